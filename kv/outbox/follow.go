package outbox

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
)

// retrySight is the time between looks when neither a View nor the feed works.
const retrySight = time.Second

// follow keeps the term told of the queues with work: those that there are, and
// then those that the feed tells of.
func (t *term) follow() {
	c := kv.Consistency{} // the first look must see what the last leader has done
	for t.ctx.Err() == nil {
		version, err := t.sweep(c, news{more: true, again: true, recount: true})
		if err == nil {
			c.Stale = true
			err = t.watch(version)
		}
		if err == nil || t.ctx.Err() != nil {
			continue
		}
		// A place in the feed may be lost in the course of things; a sweep is the way
		// back.
		if gone := (*feed.GoneError)(nil); errors.As(err, &gone) {
			pause(t.ctx, t.r.look)
			continue
		}
		t.r.Log.Warn("the outbox does not see what is new", "error", err)
		pause(t.ctx, min(t.r.sweep, retrySight))
	}
}

// sweep tells of all queues that hold items or are suspended, at the version that it
// returns.
func (t *term) sweep(c kv.Consistency, n news) (version uint64, err error) {
	_, err = t.r.DB.View(t.ctx, c, func(tx *kv.Tx) error {
		version = tx.Version()
		if err := t.suspended(tx, n); err != nil {
			return err
		}
		lo, end := tuple.Span([]byte{prefixOutbox, prefixItem})
		for t.ctx.Err() == nil {
			queue, found, err := firstQueue(tx, lo, end)
			if err != nil || !found {
				return err
			}
			t.tell(queue, n)
			_, lo = itemSpan(queue)
		}
		return t.ctx.Err()
	})
	return version, err
}

// suspended tells of the queues that are suspended: one may hold nothing any more, and
// only its line takes that back.
func (t *term) suspended(tx *kv.Tx, n news) error {
	for rec, err := range tx.Scan(tuple.Span([]byte{prefixOutbox, prefixSuspended})) {
		if err != nil {
			return err
		}
		_, queue, _, err := parseKey(rec.Key)
		if err != nil {
			return err
		}
		t.tell(queue, n)
	}
	return nil
}

// firstQueue returns the queue of the first item of [lo, hi).
func firstQueue(tx *kv.Tx, lo, hi []byte) (queue string, found bool, err error) {
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return "", false, err
		}
		_, queue, _, err = parseKey(rec.Key)
		return queue, err == nil, err
	}
	return "", false, nil
}

// watch tells of what changes after version, and sweeps now and then. It
// returns when the feed has no more for it, or the term ends.
func (t *term) watch(version uint64) error {
	if t.r.Feed == nil {
		pause(t.ctx, t.r.sweep)
		return nil
	}
	w, err := t.r.Feed.Watch(feed.Options{Prefixes: [][]byte{{prefixOutbox}}, After: feed.After(version)})
	if err != nil {
		return err
	}
	defer w.Close()
	for t.ctx.Err() == nil {
		if err := t.watchUntilSweep(w); err != nil {
			return err
		}
		if _, err := t.sweep(kv.Consistency{Stale: true}, news{more: true, again: true}); err != nil {
			return err
		}
	}
	return nil
}

// watchUntilSweep returns nil when the next sweep is due.
func (t *term) watchUntilSweep(w *feed.Watcher) error {
	until, cancel := context.WithTimeout(t.ctx, t.r.sweep)
	defer cancel()
	for {
		e, err := w.Next(until)
		if err != nil {
			if until.Err() != nil {
				return t.ctx.Err()
			}
			return err
		}
		t.event(e)
	}
}

// event tells the line that a change is about, if any.
func (t *term) event(e feed.Event) {
	if e.Kind == feed.DeleteSpan {
		t.cleared(e)
		return
	}
	if e.Kind != feed.Set {
		return // our own: an item goes when it is settled
	}
	what, queue, _, err := parseKey(e.Key)
	if err != nil {
		return // not of ours; whoever reads it says so
	}
	switch what {
	case prefixItem:
		size := int64(len(e.Value))
		if e.Long {
			size = maxPayload // a bound; a count will tell
		}
		t.tell(queue, news{more: true, version: e.Version, items: 1, bytes: size})
	case prefixRetry:
		// The line's own tries have a time, those of RetryNow have none.
		if row, err := decodeTries(e.Value); e.Long || err == nil && row.Next == 0 {
			t.tell(queue, news{again: true})
		}
	}
}

// cleared makes the lines count anew that a deleted span is about.
func (t *term) cleared(e feed.Event) {
	t.mu.Lock()
	var queues []string
	for queue := range t.lines {
		lo, hi := itemSpan(queue)
		if (e.Hi == nil || bytes.Compare(lo, e.Hi) < 0) && bytes.Compare(e.Key, hi) < 0 {
			queues = append(queues, queue)
		}
	}
	t.mu.Unlock()
	for _, queue := range queues {
		t.tell(queue, news{again: true, recount: true})
	}
}

// now is the cluster's clock as this node sees it, in unix milliseconds.
func (t *term) now() (int64, error) {
	info, err := t.r.DB.View(t.ctx, kv.Consistency{Stale: true}, func(*kv.Tx) error { return nil })
	return info.Now, err
}

// in is how long to wait for a time of the cluster's clock: never long, as that
// clock need not go as ours does.
func (t *term) in(at, now int64) time.Duration {
	return min(max(time.Duration(at-now)*time.Millisecond, 0), t.r.nap)
}
