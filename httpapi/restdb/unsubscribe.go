package restdb

import (
	"bytes"
	"html/template"
	"net/http"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/mail"
)

// Headers of the page that a mail's link leads to. It runs nothing, is shown in
// no frame, and does not tell its address, which is a credential, to others.
var (
	pageType     = []string{"text/html; charset=utf-8"}
	pagePolicy   = []string{"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	denyFrames   = []string{"DENY"}
	noReferrer   = []string{"no-referrer"}
	noIndex      = []string{"noindex"}
	unsubscribed = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Unsubscribe</title>
<style>body{font:16px/1.5 sans-serif;max-width:30em;margin:4em auto;padding:0 1em}button{font:inherit;padding:.4em 1em}</style></head>
<body><h1>Unsubscribe</h1>
{{if not .Found}}<p>This link is not valid, or not any more.</p>
{{else if .Done}}<p><b>{{.Address}}</b> gets no more mails from here.</p>
{{else}}<p>Shall <b>{{.Address}}</b> get no more mails from here?</p>
<form method="post"><button name="List-Unsubscribe" value="One-Click">Unsubscribe</button></form>
{{end}}</body></html>
`))
)

// leaving is what the page says.
type leaving struct {
	Found, Done bool
	Address     string
}

// askUnsubscribe serves GET of the link in a mail: a page that asks, because
// programs follow links too, to see where they lead.
func (q *request) askUnsubscribe() error {
	u := mail.NewUnsubscription(q.r.Host, q.file, q.at)
	ctx, cancel := q.patience()
	defer cancel()
	var page leaving
	_, err := q.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		page.Done, page.Found, err = q.desk().Find(ctx, tx, u)
		return err
	})
	if err != nil {
		return err
	}
	page.Address = u.Address
	return q.page(page)
}

// unsubscribe serves POST of the link in a mail: the page's form, and what mail
// programs send by themselves (RFC 8058). Whatever the body is, it is meant.
func (q *request) unsubscribe() error {
	u := mail.NewUnsubscription(q.r.Host, q.file, q.at)
	ctx, cancel := q.patience()
	defer cancel()
	page := leaving{Done: true}
	if _, err := q.DB.Update(ctx, func(tx *kv.Tx) (err error) {
		page.Found, err = q.desk().Do(ctx, tx, u)
		return err
	}); err != nil {
		return err
	}
	page.Address = u.Address
	return q.page(page)
}

func (q *request) page(p leaving) error {
	var b bytes.Buffer
	if err := unsubscribed.Execute(&b, p); err != nil {
		return err
	}
	h := q.w.Header()
	h["Content-Security-Policy"] = pagePolicy
	h["X-Frame-Options"] = denyFrames
	h["Referrer-Policy"] = noReferrer
	h["X-Robots-Tag"] = noIndex
	status := http.StatusOK
	if !p.Found {
		status = http.StatusNotFound
	}
	return q.send(status, pageType, b.Bytes())
}
