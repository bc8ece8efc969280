package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
)

// States of a mail, in its document.
const (
	queued = "queued"
	sent   = "sent"
	failed = "failed"
)

// Fields of a document that are read or changed after it was made.
const (
	fieldStatus      = "status"
	fieldFrom        = "from"
	fieldTracking    = "tracking-status"
	fieldTrackedAt   = "tracking-date"
	fieldTo          = "to"
	fieldSubject     = "subject"
	fieldCompany     = "company"
	fieldSender      = "sendername"
	fieldUnsubscribe = "unsubscribelink"
	fieldBody        = "body"
)

// document is a mail as it is stored first.
type document struct {
	To              string `json:"to"`
	Status          string `json:"status"`
	Transport       string `json:"transport"`
	From            string `json:"from"`
	Subject         string `json:"subject"`
	Company         string `json:"company"`
	SenderName      string `json:"sendername"`
	UnsubscribeLink string `json:"unsubscribelink"`
	Database        string `json:"_dbname"`
	Track           bool   `json:"track"`
	Body            string `json:"body"`
	TrackingStatus  string `json:"tracking-status"`
	TrackingDate    string `json:"tracking-date"`
}

// item is what the outbox holds of a mail.
type item struct {
	Database string         `json:"db"`
	ID       collection.OID `json:"id"`
}

// linkLifetime is how long one can unsubscribe by a mail.
const linkLifetime = 365 * 24 * time.Hour

// timeLayout is that of _created.
const timeLayout = "2006-01-02T15:04:05.000Z"

// A Desk takes mails. Safe for concurrent use.
type Desk struct {
	Store *collection.Store
	From  string // whom the relay says mails are from; "" = this node knows of no relay
}

// Post stores the mails of b through s, with out being EmailOutbound opened for
// Create, and gives them to the outbox: all or none. b.Drafts then has their
// ids. *collection.ValidationError for a template that is not there, or is
// wrong; errs.TooLarge if all are too long together; errs.Unavailable while so
// much waits to be sent that no more is taken.
func (d *Desk) Post(ctx context.Context, s *collection.Session, out *collection.Collection, b *Batch) error {
	tx := s.Tx()
	now := time.UnixMilli(tx.Now())
	if err := d.fill(ctx, s, b, now); err != nil {
		return err
	}
	docs, err := out.Insert(b.Drafts, collection.WriteOptions{At: now, SkipValidate: true})
	if err != nil {
		return err
	}
	n := 0
	for i := range b.letters {
		for _, to := range b.letters[i].to {
			d.Store.SetLink(tx, s.Database(), b.links[n].hash, []byte(to), linkLifetime)
			id := docs[n].ID()
			if err := outbox.Put(tx, outbox.Item{
				Queue: collection.MailQueue(s.Database()), ID: id.String(), Payload: encode(item{s.Database(), id}),
			}); err != nil {
				return err
			}
			n++
		}
	}
	return nil
}

// Warning is what the client should know besides the ids; "" for nothing.
func (d *Desk) Warning(b *Batch) string {
	list := slices.Clone(b.warnings)
	if d.From == "" && len(b.letters) > 0 {
		list = append(list, "queued: this cluster has no mail relay")
	}
	return strings.Join(list, "; ")
}

// fill puts the documents together.
func (d *Desk) fill(ctx context.Context, s *collection.Session, b *Batch, now time.Time) error {
	n, size := 0, 0
	var faults []collection.FieldError
	for i := range b.letters {
		l := &b.letters[i]
		subject, html := l.subject, l.html
		if l.template != "" {
			if ctx.Err() != nil {
				return errs.E(errs.Unavailable, "the mails' templates took too long: %w", ctx.Err())
			}
			bad, err := d.template(ctx, s, l, &b.left)
			if err != nil {
				return err
			}
			if bad != nil && len(faults) < maxFaults {
				faults = append(faults, *bad)
			}
			subject, html = l.drawn.subject, l.drawn.html
		}
		for _, to := range l.to {
			doc := document{
				To: to, Status: queued, Transport: l.transport, From: d.From, Subject: subject, Company: l.company, SenderName: l.sender,
				UnsubscribeLink: b.base + b.links[n].token, Database: s.Database(), Body: html,
				TrackingStatus: queued, TrackingDate: now.UTC().Format(timeLayout),
			}
			b.Drafts[n].Members = encode(doc)
			if size += len(b.Drafts[n].Members); size > maxBytes {
				return errs.E(errs.TooLarge, "the mails of one request have more than %d bytes together, one copy for each receiver", maxBytes)
			}
			n++
		}
	}
	if len(faults) > 0 {
		return &collection.ValidationError{List: faults}
	}
	return nil
}

// template fills in l's template, which it finds by its name. What is wrong
// with it is told by a fault. A run that meets the template of the last one has
// nothing to do.
func (d *Desk) template(ctx context.Context, s *collection.Session, l *letter, left *work) (*collection.FieldError, error) {
	templates, err := d.Store.System(s.Tx(), s.Database(), collection.EmailTemplates, collection.Read)
	if err != nil {
		return nil, err
	}
	t, ok, err := templates.WithText(ctx, "name", l.template)
	if err != nil {
		return nil, err
	}
	if !ok {
		f := fault(l.index, "template", "there is no such template in "+collection.EmailTemplates, codeType)
		return &f, nil
	}
	r := rendered{source: sha256.Sum256(t.JSON)}
	if l.drawn.source == r.source {
		return nil, nil
	}
	source := t.Text("html")
	if source == "" {
		f := fault(l.index, "template", "the template has no text under html", codeType)
		return &f, nil
	}
	if r.html, err = left.render(source, l.values, nil, maxHTML); err != nil {
		return l.wrong("template", err), nil
	}
	subject := l.subject
	if subject == "" {
		subject = t.Text("subject")
	}
	if r.subject, err = left.render(subject, l.values, func(text string) string { return text }, maxSubject); err != nil {
		return l.wrong("subject", err), nil
	}
	if !printable(r.subject) {
		return l.wrong("subject", errors.New("line breaks and control characters are not allowed, and a value has one")), nil
	}
	l.drawn = r
	return nil, nil
}

// maxReason bounds what is told of a library's error.
const maxReason = 200

func (l *letter) wrong(field string, err error) *collection.FieldError {
	text := err.Error()
	f := fault(l.index, field, "the template does not work: "+strings.ToValidUTF8(text[:min(len(text), maxReason)], ""), codeType)
	return &f
}

// encode writes v, which must be encodable, without the escapes that
// encoding/json makes for pages.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // texts and flags
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}
