package collection

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// HookKind is the kind of the queues of webhooks, whose Sender is a HookSender.
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

// HookPolicy is how the queues of webhooks are to be treated.
func HookPolicy() outbox.Policy {
	return outbox.Policy{Ordered: true, Parallel: 32, Timeout: 30 * time.Second, GiveUp: WebhookGiveUp}
}

// A HookSender sends events to the targets of webhooks: the outbox's Sender of
// HookKind. Safe for concurrent use.
type HookSender struct {
	DB    *kv.DB
	Store *Store
	// Post makes one request, as webhook.Poster does.
	Post func(context.Context, webhook.Message) error
}

// errNoTarget is why an event of a webhook that was removed or disabled is
// given up: nobody waits for it.
var errNoTarget = errs.E(errs.NotFound, "the webhook was removed or disabled")

// Send implements outbox.Sender: it posts one event to where the hook points
// now. A target that answers 410 Gone, and one that has been removed or disabled,
// refuses it.
func (s *HookSender) Send(ctx context.Context, d outbox.Delivery) error {
	m, err := s.message(ctx, d)
	if err != nil {
		return err
	}
	err = s.Post(ctx, m)
	if errors.Is(err, webhook.ErrGone) {
		return &outbox.Refused{Err: err}
	}
	return err
}

// message makes the request of a delivery, from what this node knows: it leads,
// so that is no less than what the item was committed on.
func (s *HookSender) message(ctx context.Context, d outbox.Delivery) (webhook.Message, error) {
	db, id, ok := splitQueue(d.Queue)
	if !ok {
		return webhook.Message{}, &outbox.Refused{Err: errNoTarget}
	}
	m := webhook.Message{ID: d.ID, At: time.Now()}
	_, err := s.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		h, err := s.Store.hook(tx, db, id)
		if errs.Is(err, errs.NotFound) || err == nil && h.Disabled != nil {
			return &outbox.Refused{Err: errNoTarget}
		}
		if err != nil {
			return err
		}
		text, err := s.Store.WebhookSecret(tx, db, id)
		if err != nil {
			return err
		}
		secret, err := webhook.ParseSecret(text)
		if err != nil {
			return err
		}
		e, err := openEvent(d.Payload)
		if err != nil {
			return err
		}
		m.Secret, m.Body = secret, e.body(db)
		m.URL, err = s.Store.hookURL(db, h)
		return err
	})
	return m, err
}

// Settle implements outbox.Sender: when an event is given up, its webhook is
// disabled, with the reason.
func (s *HookSender) Settle(tx *kv.Tx, d outbox.Delivery, failed error) error {
	db, id, ok := splitQueue(d.Queue)
	if failed == nil || !ok || errors.Is(failed, errNoTarget) {
		return nil
	}
	return s.Store.disable(tx, db, id, failed.Error())
}
