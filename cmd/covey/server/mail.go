package server

import (
	"context"
	"log/slog"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/mail"
	"github.com/coveydb/covey/outgoing/smtp"
)

// Mail is what an operator decides about mails that leave the cluster.
type Mail struct {
	URL      string // of the relay; "" = there is none, and mails stay queued
	Password string // of the user in URL
	From     string // whom mails are from
}

// parse returns the relay, nil if there is none.
func (m Mail) parse() (*smtp.Relay, error) {
	if m.URL == "" {
		if m.Password != "" {
			return nil, errs.E(errs.Invalid, "--smtp-password-file needs a mail relay: give --smtp")
		}
		if m.From != "" {
			return nil, errs.E(errs.Invalid, "--smtp-from needs a mail relay: give --smtp")
		}
		return nil, nil
	}
	if m.From == "" {
		return nil, errs.E(errs.Invalid, "--smtp needs to know whom mails are from: give --smtp-from, such as \"Shop <shop@example.com>\"")
	}
	relay, err := smtp.New(smtp.Config{URL: m.URL, Password: m.Password, From: m.From})
	if err != nil {
		return nil, errs.E(errs.KindOf(err), "--smtp, --smtp-password-file, --smtp-from: %w", err)
	}
	return relay, nil
}

// mailFrom is whom the relay says mails are from, "" without one.
func mailFrom(relay *smtp.Relay) string {
	if relay == nil {
		return ""
	}
	return relay.From()
}

// mailKinds is what the outbox sends through the relay: nothing without one, so
// that mails wait in it, up to its bound.
func mailKinds(relay *smtp.Relay, db *kv.DB, store *collection.Store) map[string]outbox.Kind {
	if relay == nil {
		return map[string]outbox.Kind{mail.Kind: {Policy: mail.Policy()}}
	}
	sender := &mail.Sender{DB: db, Store: store, From: relay.From(), Relay: func(ctx context.Context, l mail.Letter) error {
		return relay.Send(ctx, smtp.Message{
			ID: l.ID, Date: l.Date, SenderName: l.SenderName, To: l.To, Subject: l.Subject, HTML: l.HTML, Unsubscribe: l.Unsubscribe,
		})
	}}
	return map[string]outbox.Kind{mail.Kind: {Sender: sender, Policy: mail.Policy()}}
}

// announceMail logs where mails go.
func announceMail(relay *smtp.Relay, log *slog.Logger) {
	if relay == nil {
		return
	}
	log.Info("mails go to a relay", "relay", relay.Addr(), "from", relay.From())
	if relay.Exposed() {
		log.Warn("mails may pass unencrypted to the relay: leave out ?starttls, or use smtps://", "relay", relay.Addr())
	}
}
