package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// How tries are spaced.
const (
	firstRetry   = time.Second // it doubles with each try
	mostRetry    = 10 * time.Minute
	mostAskedFor = time.Hour // that a target may hold up its queue
	giveUpTries  = 5         // that an item has at least, however old it is
	settleTries  = 8         // of a Settle that returns errors
	lastTry      = 2 * time.Second
)

// deliver makes one try to deliver an item, and records what came of it.
func (l *line) deliver(f ref) outcome {
	d, now, next, err := l.load(f)
	switch {
	case err != nil:
		if l.t.ctx.Err() == nil {
			l.t.r.Log.Warn("an item of the outbox cannot be read", "queue", l.queue, "item", f.id, "error", err)
		}
		return outcome{ref: f, next: now + firstRetry.Milliseconds()}
	case d == nil:
		return outcome{ref: f, gone: true}
	case next > now:
		return outcome{ref: f, next: next}
	}
	err = l.send(*d)
	var refused *Refused
	switch {
	case err == nil:
		l.count("delivered")
		return l.settle(*d, nil)
	case l.t.ctx.Err() != nil:
		return outcome{ref: f} // it is our own end that has failed it
	case errors.As(err, &refused):
		l.count("refused")
		l.t.r.Log.Warn("an item of the outbox is refused for good", "queue", l.queue, "item", d.ID, "error", errorText(err))
		return l.settle(*d, err)
	case d.Attempt >= giveUpTries && time.UnixMilli(now).Sub(d.Since) >= l.policy.GiveUp:
		l.count("given_up")
		l.t.r.Log.Warn("an item of the outbox is given up", "queue", l.queue, "item", d.ID, "tries", d.Attempt, "error", errorText(err))
		return l.settle(*d, err)
	}
	l.count("failed")
	l.t.r.Log.Debug("an item of the outbox is to be tried again", "queue", l.queue, "item", d.ID, "tries", d.Attempt, "error", errorText(err))
	return l.postpone(*d, err)
}

// load reads an item and when it is due. The Delivery is nil if the item is not in
// the queue any more.
func (l *line) load(f ref) (d *Delivery, now, next int64, err error) {
	info, err := l.t.r.DB.View(l.t.ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		rec, ok, err := tx.Get(itemKey(l.queue, f.id))
		if err != nil || !ok || rec.Version != f.version {
			return err
		}
		since, payload, err := decodeItem(rec.Value)
		if err != nil {
			return err
		}
		row, err := readTries(tx, l.queue, f.id)
		if err != nil {
			return err
		}
		next = row.Next
		d = &Delivery{
			Item: Item{Queue: l.queue, ID: f.id, Payload: payload}, Version: f.version,
			Since: time.UnixMilli(since), Attempt: row.Attempts + 1,
		}
		return nil
	})
	return d, info.Now, next, err
}

// send makes one try. A Sender that panics has failed.
func (l *line) send(d Delivery) (err error) {
	ctx, cancel := context.WithTimeout(l.t.ctx, l.policy.Timeout)
	defer cancel()
	defer l.rescue("Send", d, &err)
	err = l.sender.Send(ctx, d)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return errs.E(errs.Unavailable, "no success within %v", l.policy.Timeout)
	}
	return err
}

// rescue makes a panic an error. What it was is in the log.
func (l *line) rescue(what string, d Delivery, err *error) {
	if p := recover(); p != nil {
		l.t.r.Log.Error("a sender of the outbox panicked", "in", what, "queue", l.queue, "item", d.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = errs.E(errs.Internal, "the sender panicked in %s, see the log", what)
	}
}

// settleError is an error that a Settle has returned.
type settleError struct{ err error }

func (e *settleError) Error() string { return e.err.Error() }
func (e *settleError) Unwrap() error { return e.err }

// settle takes an item out of its queue, with what its Sender has to add.
func (l *line) settle(d Delivery, failed error) outcome {
	without := false // what the Sender adds
	fn := func(tx *kv.Tx) error {
		there, err := l.holds(tx, d)
		if err != nil || !there {
			return err
		}
		if !without {
			if err := l.settleBySender(tx, d, failed); err != nil {
				return &settleError{err}
			}
		}
		tx.Delete(itemKey(d.Queue, d.ID))
		tx.Delete(retryKey(d.Queue, d.ID))
		return nil
	}
	for faults, n := 0, 1; ; n++ {
		_, err := l.t.r.DB.Update(l.t.ctx, fn)
		if err == nil {
			return outcome{ref: refOf(d), gone: true}
		}
		if l.t.ctx.Err() != nil {
			break
		}
		if ofTheSender(err) {
			faults++
		}
		l.complain(n, "an item of the outbox is done, but cannot be taken out yet", d, err)
		if faults == settleTries {
			without = true
			l.count("unsettled")
			l.t.r.Log.Error("an item of the outbox is taken out without what its sender has to do then", "queue", l.queue, "item", d.ID, "error", errorText(err))
		}
		l.backOff(n)
	}
	// The node does not lead any more, but it can still save the next leader from
	// delivering the item once more.
	ctx, cancel := context.WithTimeout(l.t.process, lastTry)
	defer cancel()
	_, err := l.t.r.DB.Update(ctx, fn)
	return outcome{ref: refOf(d), gone: err == nil}
}

// ofTheSender reports whether an Update failed for what a Settle did, and not
// for the state of the cluster.
func ofTheSender(err error) bool {
	var own *settleError
	if errors.As(err, &own) {
		return true
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Unknown, errs.NoSpace:
		return false
	}
	return true
}

func (l *line) settleBySender(tx *kv.Tx, d Delivery, failed error) (err error) {
	defer l.rescue("Settle", d, &err)
	return l.sender.Settle(tx, d, failed)
}

// holds reports whether the queue still holds an item, so that what is done once
// is not done again.
func (l *line) holds(tx *kv.Tx, d Delivery) (bool, error) {
	rec, ok, err := tx.Get(itemKey(d.Queue, d.ID))
	return ok && rec.Version == d.Version, err
}

// postpone records a try that has failed.
func (l *line) postpone(d Delivery, failed error) outcome {
	wait := retryWait(d.Attempt)
	var asked interface{ RetryAfter() time.Time }
	var until time.Time
	if errors.As(failed, &asked) {
		until = asked.RetryAfter()
	}
	o := outcome{ref: refOf(d)}
	for n := 1; l.t.ctx.Err() == nil; n++ {
		_, err := l.t.r.DB.Update(l.t.ctx, func(tx *kv.Tx) error {
			there, err := l.holds(tx, d)
			if err != nil || !there {
				o.gone = err == nil
				return err
			}
			row := tries{Attempts: d.Attempt, Next: tx.Now() + wait.Milliseconds(), Error: errorText(failed)}
			if !until.IsZero() {
				row.Next = max(row.Next, min(until.UnixMilli(), tx.Now()+mostAskedFor.Milliseconds()))
			}
			row.put(tx, d.Queue, d.ID)
			o.gone, o.next = false, row.Next
			return nil
		})
		if err == nil {
			break
		}
		l.complain(n, "a try to deliver an item of the outbox cannot be recorded yet", d, err)
		l.backOff(n)
	}
	return o
}

// retryWait is the time between a try and the next one: one second after the
// first, then twice as long each time up to ten minutes, and of that between half
// and one and a half, so that targets which failed together are not tried together.
func retryWait(attempt int) time.Duration {
	mean := mostRetry
	if n := attempt - 1; n < 20 {
		mean = min(firstRetry<<max(n, 0), mostRetry)
	}
	return mean/2 + rand.N(mean)
}

// complain logs the first of a row of errors, and some of those that follow.
func (l *line) complain(n int, text string, d Delivery, err error) {
	if l.t.ctx.Err() == nil && (n == 1 || n%20 == 0) {
		l.t.r.Log.Warn(text, "queue", l.queue, "item", d.ID, "times", n, "error", errorText(err))
	}
}

// backOff waits after the nth error of a commit, up to some seconds.
func (l *line) backOff(n int) {
	pause(l.t.ctx, l.t.r.look<<min(n, 5)/2)
}

func (l *line) count(what string) { l.t.r.metrics.delivery(l.kind, what) }

func refOf(d Delivery) ref {
	return ref{id: d.ID, version: d.Version, since: d.Since.UnixMilli(), size: int64(len(d.Payload))}
}
