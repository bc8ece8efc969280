package posting

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// GiveUp is how long a target may fail before its webhook is disabled.
const GiveUp = 3 * 24 * time.Hour

// Policy is how queues of webhooks are treated.
func Policy() outbox.Policy {
	return outbox.Policy{Ordered: true, Parallel: 32, Timeout: 30 * time.Second, GiveUp: GiveUp}
}

// ErrNoTarget is why an event of a webhook that was removed or disabled is
// given up: nobody waits for it.
var ErrNoTarget error = errs.E(errs.NotFound, "the webhook was removed or disabled")

// errSettled is why nothing is posted: another node, or an earlier try, has seen
// to it.
var errSettled error = errs.E(errs.Unavailable, "the event does not wait any more")

// A Try is what came of one try to post a message.
type Try struct {
	Status int           // of the answer, 0 = there was none
	Took   time.Duration // up to the answer, or the lack of one
}

// Hooks are the webhooks of a layer. Its methods are part of transactions and
// may run several times.
type Hooks interface {
	// Message makes an item the message that is posted at a time. That nobody waits
	// for it is ErrNoTarget.
	Message(tx *kv.Tx, d outbox.Delivery, at time.Time) (webhook.Message, error)

	// Ended is part of the commit that takes an item out of its queue. failed is nil
	// if it was delivered. Otherwise it was given up, or refused for good, and the
	// webhook is to be disabled; for one without a target Ended is not called.
	Ended(tx *kv.Tx, d outbox.Delivery, t Try, failed error) error
}

// A Witness are Hooks that keep what came of tries after which the item stays
// in its queue.
type Witness interface {
	Failed(tx *kv.Tx, d outbox.Delivery, t Try, failed error) error
}

// A Sender posts events to the targets of webhooks: the outbox's Sender of one
// kind of queues, which must be ordered. Safe for concurrent use.
type Sender struct {
	DB    *kv.DB
	Hooks Hooks
	// Try makes one request, as that of webhook.Poster does.
	Try func(context.Context, webhook.Message) (status int, err error)

	mu   sync.Mutex
	last map[string]Try // by queue, from the try to its Settle: in each queue one is under way
}

// Send implements outbox.Sender: it posts one event to where the hook points
// now. A target that answers 410 Gone, and one that has been removed or
// disabled, refuses it.
func (s *Sender) Send(ctx context.Context, d outbox.Delivery) error {
	// A node that was paused, or cut off, may take itself for the leader still: what
	// it knows may point elsewhere by now, and be delivered.
	var m webhook.Message
	at := time.Now()
	_, err := s.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		if m, err = s.Hooks.Message(tx, d, at); err != nil {
			return err
		}
		if _, waits, err := outbox.Find(tx, d.Queue, d.ID); err != nil || waits {
			return err
		}
		return errSettled
	})
	if errors.Is(err, errSettled) {
		return err // the outbox sees that too
	}
	if errors.Is(err, ErrNoTarget) {
		return &outbox.Refused{Err: err}
	}
	var t Try
	if err == nil {
		m.At = at
		t.Status, err = s.Try(ctx, m)
		t.Took = time.Since(at)
	}
	s.note(d.Queue, t)
	if errors.Is(err, webhook.ErrGone) {
		return &outbox.Refused{Err: err}
	}
	if w, ok := s.Hooks.(Witness); ok && err != nil {
		s.failed(ctx, w, d, err)
	}
	return err
}

// witnessTime bounds the commit of what came of a try. The try itself may have
// used up its time.
const witnessTime = 5 * time.Second

// failed lets the witness keep what came of a try. If it cannot, that is lost:
// the outbox keeps by itself what it needs.
func (s *Sender) failed(ctx context.Context, w Witness, d outbox.Delivery, err error) {
	if context.Cause(ctx) == context.Canceled {
		return // it is our own end that has failed it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), witnessTime)
	defer cancel()
	t := s.noted(d.Queue)
	_, _ = s.DB.Update(ctx, func(tx *kv.Tx) error { return w.Failed(tx, d, t, err) })
}

// Settle implements outbox.Sender.
func (s *Sender) Settle(tx *kv.Tx, d outbox.Delivery, failed error) error {
	if errors.Is(failed, ErrNoTarget) {
		return nil
	}
	return s.Hooks.Ended(tx, d, s.noted(d.Queue), failed)
}

func (s *Sender) note(queue string, t Try) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || len(s.last) >= maxNoted {
		s.last = make(map[string]Try)
	}
	s.last[queue] = t
}

func (s *Sender) noted(queue string) Try {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[queue]
}

// maxNoted bounds the tries that are kept in memory. What is forgotten is for
// people's eyes alone.
const maxNoted = 10_000
