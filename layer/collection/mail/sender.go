package mail

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
)

// A Letter is a mail on its way to the relay.
type Letter struct {
	ID          string // of its document: the same in every try
	Date        time.Time
	SenderName  string // "" = the relay's own
	To          string
	Subject     string
	HTML        string // with the footer
	Unsubscribe string // a link, "" = none
}

// Sender sends the mails of all databases: it is the outbox.Sender of the queues
// that collection.MailQueue names. Safe for concurrent use.
type Sender struct {
	DB    *kv.DB
	Store *collection.Store
	From  string // whom the relay says mails are from
	// Relay hands a letter to the relay. nil: it was taken. An error with a method
	// Temporary() bool that returns false: no further try will help.
	Relay func(context.Context, Letter) error
}

// Kind begins the names of the queues.
const Kind = "mail"

// Policy returns how the queues are treated: mails do not wait for each other.
func Policy() outbox.Policy {
	return outbox.Policy{Parallel: 8, Timeout: time.Minute, GiveUp: 3 * 24 * time.Hour}
}

// Why a mail is not sent.
var (
	errGone         = errors.New("the mail's document is gone")
	errNotQueued    = errors.New("the mail's document says that it is not to be sent")
	errUnsubscribed = errors.New("the receiver has unsubscribed")
	errDamaged      = errors.New("the item in the outbox is damaged")
)

// Send implements outbox.Sender. It reads the document as it is now: who
// deletes it, changes its status or unsubscribes in time stops the mail.
func (s *Sender) Send(ctx context.Context, d outbox.Delivery) error {
	var it item
	if err := json.Unmarshal(d.Payload, &it); err != nil {
		return &outbox.Refused{Err: errDamaged}
	}
	var l Letter
	_, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		l, err = s.load(ctx, tx, it)
		return err
	})
	if err != nil {
		return err
	}
	err = s.Relay(ctx, l)
	var known interface{ Temporary() bool }
	if errors.As(err, &known) && !known.Temporary() {
		return &outbox.Refused{Err: err}
	}
	return err
}

// load makes the letter of a document.
func (s *Sender) load(ctx context.Context, tx *kv.Tx, it item) (Letter, error) {
	out, err := s.Store.System(tx, it.Database, collection.EmailOutbound, collection.Read)
	if errs.Is(err, errs.NotFound) {
		return Letter{}, &outbox.Refused{Err: errGone}
	}
	if err != nil {
		return Letter{}, err
	}
	doc, ok, err := out.Get(it.ID)
	switch {
	case err != nil:
		return Letter{}, err
	case !ok:
		return Letter{}, &outbox.Refused{Err: errGone}
	case doc.Text(fieldStatus) != queued:
		return Letter{}, &outbox.Refused{Err: errNotQueued}
	}
	list, err := s.Store.System(tx, it.Database, collection.EmailUnsubscribed, collection.Read)
	if err != nil {
		return Letter{}, err
	}
	to := doc.Text(fieldTo)
	if is, err := list.Unsubscribed(ctx, to); err != nil || is {
		if is {
			err = &outbox.Refused{Err: errUnsubscribed}
		}
		return Letter{}, err
	}
	unsubscribe := doc.Text(fieldUnsubscribe)
	return Letter{
		ID: it.ID.String(), Date: doc.Created(), To: to, Subject: doc.Text(fieldSubject), SenderName: doc.Text(fieldSender),
		HTML: withFooter(doc.Text(fieldBody), doc.Text(fieldCompany), unsubscribe), Unsubscribe: unsubscribe,
	}, nil
}

// withFooter puts the company and the link to unsubscribe at the end of a page.
func withFooter(page, company, link string) string {
	if company == "" && link == "" {
		return page
	}
	footer := "<p style=\"color:#666;font-size:small\">"
	if company != "" {
		footer += html.EscapeString(company) + "<br>"
	}
	if link != "" {
		footer += `<a href="` + html.EscapeString(link) + `">Unsubscribe</a>`
	}
	footer += "</p>"
	end := len(page)
	for _, tag := range []string{"</body>", "</BODY>", "</html>", "</HTML>"} {
		if at := strings.LastIndex(page, tag); at >= 0 {
			end = min(end, at)
		}
	}
	return page[:end] + footer + page[end:]
}

// Settle implements outbox.Sender: it writes into the document what became of
// the mail. One that is gone, or was taken back by a change of its status, stays
// as it is.
func (s *Sender) Settle(tx *kv.Tx, d outbox.Delivery, why error) error {
	var it item
	if err := json.Unmarshal(d.Payload, &it); err != nil {
		return nil // nothing says of which document
	}
	out, err := s.Store.System(tx, it.Database, collection.EmailOutbound, collection.Read)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, ok, err := out.Get(it.ID)
	if err != nil || !ok || doc.Text(fieldStatus) != queued {
		return err
	}
	if out, err = s.Store.System(tx, it.Database, collection.EmailOutbound, collection.Update); err != nil {
		return err
	}
	at := time.UnixMilli(tx.Now())
	change, err := collection.ParseChange(encode(s.outcome(at, why)), false)
	if err != nil {
		return err
	}
	_, err = out.Update(it.ID, change, collection.WriteOptions{At: at, SkipValidate: true})
	return err
}

// outcome is what changes in a document.
func (s *Sender) outcome(at time.Time, why error) map[string]string {
	m := map[string]string{
		fieldStatus: sent, fieldTracking: sent, fieldFrom: s.From, fieldTrackedAt: at.UTC().Format(timeLayout),
	}
	switch {
	case why == nil:
		return m
	case errors.Is(why, errUnsubscribed):
		m[fieldTracking] = "unsubscribed"
	default:
		m[fieldTracking] = why.Error()
	}
	m[fieldStatus] = failed
	return m
}
