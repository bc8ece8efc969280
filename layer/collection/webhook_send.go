package collection

import (
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/outgoing/webhook"
)

// HookKind is the kind of the queues of webhooks, whose Sender is one of package
// posting with the Store's Hooks.
const HookKind = "webhook"

// queuePrefix begins the queues of this layer, before the database and the hook.
const queuePrefix = HookKind + "/restdb/"

func hookQueue(db, id string) string { return queuePrefix + db + "/" + id }

// splitQueue reads what hookQueue wrote.
func splitQueue(queue string) (db, id string, ok bool) {
	rest, ok := strings.CutPrefix(queue, queuePrefix)
	db, id, both := strings.Cut(rest, "/")
	return db, id, ok && both
}

// hooks are the webhooks of a Store, for package posting.
type hooks struct{ s *Store }

// Hooks returns the webhooks as a posting.Sender delivers to them.
func (s *Store) Hooks() posting.Hooks { return hooks{s} }

// Message implements posting.Hooks.
func (h hooks) Message(tx *kv.Tx, d outbox.Delivery, _ time.Time) (m webhook.Message, err error) {
	db, id, ok := splitQueue(d.Queue)
	if !ok {
		return m, posting.ErrNoTarget
	}
	one, err := h.s.hook(tx, db, id)
	if errs.Is(err, errs.NotFound) || err == nil && one.Disabled != nil {
		return m, posting.ErrNoTarget
	}
	if err != nil {
		return m, err
	}
	text, err := h.s.WebhookSecret(tx, db, id)
	if err != nil {
		return m, err
	}
	secret, err := webhook.ParseSecret(text)
	if err != nil {
		return m, err
	}
	e, err := openEvent(d.Payload)
	if err != nil {
		return m, err
	}
	url, err := h.s.hookURL(db, one)
	return webhook.Message{URL: url, ID: d.ID, Body: e.body(db), Secret: secret}, err
}

// Ended implements posting.Hooks: when an event is given up, its webhook is
// disabled, with the reason.
func (h hooks) Ended(tx *kv.Tx, d outbox.Delivery, _ posting.Try, failed error) error {
	db, id, ok := splitQueue(d.Queue)
	if failed == nil || !ok {
		return nil
	}
	return h.s.disable(tx, db, id, failed.Error())
}
