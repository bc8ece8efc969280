package feed

import (
	"bytes"
	"context"
	"sync"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// What waits for a Watcher to take it is bounded: by bytes if it is more than one
// event, and by number while it is pushed.
const (
	maxQueue      = 64
	maxQueueBytes = 32 << 10
)

// A Watcher is one reader of a Feed. Next belongs to one goroutine.
type Watcher struct {
	feed     *Feed
	prefixes [][]byte
	ready    chan struct{} // holds one: there is something to look at

	mu     sync.Mutex
	queue  []*Event // taken from the front
	bytes  int      // of queue
	live   bool     // what is new is pushed; else it is to be read from the history
	read   Cursor   // all matching events up to here were put into the queue
	closed bool
	err    error // why the feed has ended
}

// push adds an event, if the Watcher has room for it; else it falls behind.
func (w *Watcher) push(e *Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.live || e.Compare(w.read) <= 0 { // one of several prefixes has brought it
		return
	}
	if n := len(w.queue); n >= maxQueue || n > 0 && w.bytes+e.size() > maxQueueBytes {
		w.live = false
		return
	}
	w.add(e)
	w.signal()
}

func (w *Watcher) add(e *Event) {
	w.queue = append(w.queue, e)
	w.bytes += e.size()
	w.read = e.Cursor
}

func (w *Watcher) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// fallBehind makes the Watcher read the history again, from where it was: all
// that is up to handed was pushed to whoever was in line. An idle Watcher would
// else go back to its last event, which the history may not reach any more.
func (w *Watcher) fallBehind(handed Cursor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.live && handed.Compare(w.read) > 0 {
		w.read = handed
	}
	w.live = false
	w.signal()
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	w.signal()
}

// Close releases the Watcher and ends a Next that waits. It may be called from
// any goroutine, and more than once.
func (w *Watcher) Close() {
	w.feed.remove(w)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed, w.queue, w.bytes = true, nil, 0
	w.signal()
}

// Next returns the next event, and waits for it. The error is ctx's cause, a
// *GoneError, or errs.Unavailable when the node stops or the Watcher is closed;
// after an error other than ctx's the Watcher is of no more use.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		e, live, err := w.take()
		switch {
		case err != nil:
			return Event{}, err
		case e != nil:
			return *e, nil
		case !live:
			if err := w.catchUp(ctx); err != nil {
				return Event{}, err
			}
		default:
			select {
			case <-w.ready:
			case <-ctx.Done():
				return Event{}, context.Cause(ctx)
			}
		}
	}
}

// take returns the front of the queue, or nil and whether more will be pushed.
func (w *Watcher) take() (e *Event, live bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, false, errs.E(errs.Unavailable, "the watch was closed")
	case len(w.queue) > 0:
		e = w.queue[0]
		w.queue[0] = nil
		w.bytes -= e.size()
		if w.queue = w.queue[1:]; len(w.queue) == 0 {
			w.queue = nil // an idle Watcher holds nothing
		}
		return e, w.live, nil
	case w.err != nil:
		return nil, false, errs.E(errs.Unavailable, "%w", w.err)
	}
	return nil, w.live, nil
}

// Position returns a place before which nothing is missing: all matching events
// up to it have been taken. It moves on while nothing matches, and a reader
// that goes on from there later does not depend on history that it does not need.
func (w *Watcher) Position() Cursor {
	pos := After(w.feed.pos.Load()) // before the queue is looked at: all up to it has been pushed
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.queue) > 0:
		first := w.queue[0].Cursor
		if first.Seq == 0 {
			return After(first.Version - 1)
		}
		return Cursor{first.Version, first.Seq - 1}
	case !w.live || pos.Compare(w.read) < 0:
		return w.read
	}
	return pos
}

// catchUp reads from the history what comes next, a queue full of it. At the end
// of the history the Watcher takes its place in line.
func (w *Watcher) catchUp(ctx context.Context) error {
	w.mu.Lock()
	from := w.read
	w.mu.Unlock()
	// A cursor from another node may be ahead of this one.
	if err := w.feed.source.Wait(ctx, from.Version); err != nil {
		return err
	}
	if err := w.feed.reading.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer w.feed.reading.Release(1)
	v, _, err := w.feed.source.View(ctx, kv.Consistency{Stale: true})
	if err != nil {
		return err
	}
	defer v.Release()
	first := from // the first change that is needed
	if first.Seq++; first.Seq == 0 {
		first.Version++
	}
	if first.Version < v.History {
		return &GoneError{Cursor: from, Oldest: v.History}
	}
	full := false
	err = v.Changes(first.Version, first.Seq, func(c *fsm.Change) bool {
		if !w.wants(c) {
			return true
		}
		full = w.fill(newEvent(c))
		return !full
	})
	if err != nil || full {
		return err
	}
	w.attach(v.Version)
	return nil
}

// fill adds an event of the history and reports whether that has to do for now.
func (w *Watcher) fill(e *Event) (full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(e)
	return w.bytes >= maxQueueBytes
}

// attach ends the reading of the history, which has gone up to version, if the
// Feed has not handed out more meanwhile.
func (w *Watcher) attach(version uint64) {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if read := After(version); read.Compare(w.read) > 0 {
		w.read = read
	}
	w.live = w.feed.pos.Load() <= version
}

// wants reports whether a change concerns one of the prefixes.
func (w *Watcher) wants(c *fsm.Change) bool {
	for _, p := range w.prefixes {
		if bytes.HasPrefix(c.Key, p) {
			return true
		}
		if c.Kind == fsm.ChangeSpan && bytes.Compare(c.Key, p) <= 0 && (c.Hi == nil || bytes.Compare(p, c.Hi) < 0) {
			return true
		}
	}
	return false
}

// newEvent copies a change.
func newEvent(c *fsm.Change) *Event {
	p := make([]byte, 0, len(c.Key)+len(c.Hi)+len(c.Value))
	cut := func(part []byte) []byte {
		if part == nil {
			return nil
		}
		at := len(p)
		p = append(p, part...)
		return p[at:len(p):len(p)]
	}
	return &Event{
		Cursor: Cursor{c.Version, c.Seq}, Kind: kinds[c.Kind], Time: c.Time,
		Key: cut(c.Key), Hi: cut(c.Hi), Value: cut(c.Value), Long: c.Long, Created: c.Created, Expiry: c.Expiry,
	}
}

var kinds = map[fsm.ChangeKind]Kind{
	fsm.ChangeSet: Set, fsm.ChangeDelete: Delete, fsm.ChangeSpan: DeleteSpan, fsm.ChangeExpire: Expire, fsm.ChangeTouch: Touch,
}

// eventBytes is what an Event takes besides its slices.
const eventBytes = 128

func (e *Event) size() int { return eventBytes + len(e.Key) + len(e.Hi) + len(e.Value) }
