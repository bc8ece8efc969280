package outbox

import (
	"slices"
	"time"

	"github.com/coveydb/covey/kv"
)

// reading is what one look at a queue has found.
type reading struct {
	version   uint64
	items     int
	bytes     int64
	suspended bool
	refs      []ref // that are due, the first ones in order
	rest      bool  // there were more
	hold      int64 // when the first one is due of those that are not yet, 0 = there is none
	waitsFrom int64
}

// read looks at the whole queue and takes in the first items of it. What comes
// later has a later version, so that to work them off before the next look
// keeps the order.
func (l *line) read() error {
	began := time.Now()
	var got reading
	l.listen()
	_, err := l.t.r.DB.View(l.t.ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		got = reading{version: tx.Version()}
		return l.scan(tx, &got)
	})
	l.readAfter = time.Now().Add(readPace * time.Since(began))
	l.counted(got, err)
	if err != nil {
		return err
	}
	l.ready, l.stale, l.recount = got.refs, got.rest && l.sender != nil, false
	l.suspended = got.suspended
	if !l.policy.Ordered {
		l.hold, l.waitsFrom = got.hold, got.waitsFrom
	}
	return l.judge(got)
}

// listen begins to keep what is heard of items.
func (l *line) listen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = true
}

// counted ends that, and takes over the count of a reading that has not failed, with
// what was committed since.
func (l *line) counted(got reading, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.reading, l.heard = false, nil
	if err != nil {
		return
	}
	l.version, l.pending, l.bytes = got.version, got.items, got.bytes
	for _, n := range heard {
		if n.version > got.version {
			l.pending, l.bytes = l.pending+n.items, l.bytes+n.bytes
		}
	}
}

func (l *line) scan(tx *kv.Tx, got *reading) (err error) {
	if _, got.suspended, err = readSuspension(tx, l.queue); err != nil {
		return err
	}
	next, err := l.waiting(tx)
	if err != nil {
		return err
	}
	most := l.t.r.maxHeld
	if l.sender == nil {
		most = 1 // the oldest, which keeps the line
	}
	for rec, err := range tx.Scan(itemSpan(l.queue)) {
		if err == nil {
			err = l.t.ctx.Err()
		}
		if err != nil {
			return err
		}
		f, err := newRef(rec)
		if err != nil {
			return err
		}
		got.items++
		got.bytes += f.size
		if _, flies := l.flying[f.id]; flies {
			continue
		}
		if at := next[f.id]; at > tx.Now() {
			got.hold, got.waitsFrom = older(got.hold, at), older(got.waitsFrom, f.since)
			continue
		}
		if got.refs = append(got.refs, f); len(got.refs) >= 2*most {
			got.first(most)
		}
	}
	got.first(most)
	return nil
}

// first leaves the first n of refs, in order.
func (g *reading) first(n int) {
	slices.SortFunc(g.refs, inOrder)
	if len(g.refs) > n {
		g.refs, g.rest = g.refs[:n], true
	}
}

func newRef(rec kv.Record) (ref, error) {
	_, _, id, err := parseKey(rec.Key)
	if err != nil {
		return ref{}, err
	}
	since, payload, err := decodeItem(rec.Value)
	return ref{id: id, version: rec.Version, since: since, size: int64(len(payload))}, err
}

// waiting returns when items are due that were tried. In an ordered queue that
// is for the first item alone, and known when its turn comes.
func (l *line) waiting(tx *kv.Tx) (map[string]int64, error) {
	if l.policy.Ordered || l.sender == nil {
		return nil, nil
	}
	next := make(map[string]int64)
	for rec, err := range tx.Scan(retrySpan(l.queue)) {
		if err != nil {
			return nil, err
		}
		_, _, id, err := parseKey(rec.Key)
		if err != nil {
			return nil, err
		}
		row, err := decodeTries(rec.Value)
		if err != nil {
			return nil, err
		}
		next[id] = row.Next
	}
	return next, nil
}

// judge suspends a queue that holds too much, and takes that back once it holds less
// than half of it.
func (l *line) judge(got reading) error {
	r := l.t.r
	switch {
	case !got.suspended && (got.items > r.maxPending || got.bytes > r.maxBytes):
		_, err := r.DB.Update(l.t.ctx, func(tx *kv.Tx) error {
			put(tx, suspendedKey(l.queue), suspension{Since: tx.Now(), Pending: got.items, Bytes: got.bytes})
			return nil
		})
		if err != nil {
			return err
		}
		l.suspended = true
		r.metrics.suspended(l.kind)
		r.Log.Error("a queue of the outbox holds so much that it takes no more", "queue", l.queue, "items", got.items, "bytes", got.bytes)
	case got.suspended && got.items <= r.maxPending/2 && got.bytes <= r.maxBytes/2:
		_, err := r.DB.Update(l.t.ctx, func(tx *kv.Tx) error {
			tx.Delete(suspendedKey(l.queue))
			return nil
		})
		if err != nil {
			return err
		}
		l.suspended = false
		r.Log.Info("a queue of the outbox takes items again", "queue", l.queue, "items", got.items)
	}
	return nil
}
