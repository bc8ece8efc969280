package outbox

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Bounds of one queue.
const (
	maxHeld         = 10_000 // items that are known in memory, without payloads
	maxPending      = 100_000
	maxPendingBytes = 256 << 20

	// A queue is read again at the earliest after this many times the time that
	// the last reading took, so that a long one costs a tenth of a core.
	readPace = 10
	readWait = 5 * time.Second // after a reading that failed
)

// ref is what is known in memory of an item.
type ref struct {
	id      string
	version uint64
	since   int64 // unix milliseconds
	size    int64
}

// inOrder is the order of the commits that put the items, and within one that of the
// keys.
func inOrder(a, b ref) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.id, b.id))
}

// news is what a line is told.
type news struct {
	more    bool // there may be items that it has not read
	again   bool // what it waits for may have changed
	recount bool // the queue is to be read even if not all is worked off

	version uint64 // of the commit that put so many
	items   int
	bytes   int64
}

// outcome is what became of a delivery.
type outcome struct {
	ref
	gone bool  // from the queue
	next int64 // else: not before this time
}

// A line works off one queue, in the one goroutine of run, but for the
// deliveries, which have one each.
type line struct {
	t      *term
	queue  string
	kind   string
	sender Sender
	policy Policy
	slots  chan struct{} // one token for each delivery under way of the kind
	again  chan struct{} // and one for each of those that have failed before
	wake   chan struct{}
	done   chan outcome

	mu      sync.Mutex
	news    news
	version uint64 // of the state in which the items were counted last
	pending int    // since then by what is heard of
	bytes   int64
	reading bool
	heard   []news // of items, while it reads
	oldest  int64  // since of the oldest item, 0 if there is none

	ready     []ref          // to be delivered, in order
	flying    map[string]ref // under way, by id
	failing   string         // ordered: the item whose last try came to nothing
	stale     bool           // the queue may hold what is not in ready, flying or waiting
	recount   bool
	hold      int64 // ordered: when the first of ready is due; else: when the first of those is that are not in ready; 0 = at once, or none
	waitsFrom int64 // oldest since of what waits for hold, when not ordered
	suspended bool
	readAfter time.Time
}

// tell adds to the news and wakes the line.
func (l *line) tell(n news) {
	l.mu.Lock()
	l.news.more = l.news.more || n.more
	l.news.again = l.news.again || n.again
	l.news.recount = l.news.recount || n.recount
	if n.version > l.version {
		l.pending += n.items
		l.bytes += n.bytes
		if l.reading {
			l.heard = append(l.heard, n)
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) hasNews() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news.more || l.news.again || l.news.recount
}

// run works until nothing is left, or the term ends.
func (l *line) run() {
	for l.t.ctx.Err() == nil {
		l.hear()
		if l.due() {
			if err := l.read(); err != nil && l.t.ctx.Err() == nil {
				l.t.r.Log.Warn("a queue of the outbox cannot be read", "queue", l.queue, "error", err)
				l.recount, l.readAfter = true, time.Now().Add(readWait)
			}
		}
		nap := l.start()
		l.note()
		if l.idle() && l.t.leave(l) {
			return
		}
		l.await(nap)
	}
	for len(l.flying) > 0 {
		l.landed(<-l.done)
	}
}

// hear takes in the news.
func (l *line) hear() {
	l.mu.Lock()
	n := l.news
	l.news = news{}
	over := l.pending > l.t.r.maxPending || l.bytes > l.t.r.maxBytes
	half := l.pending < l.t.r.maxPending/2 && l.bytes < l.t.r.maxBytes/2
	version := l.version
	l.mu.Unlock()
	// What is never delivered is read once, and then counted by what is heard of.
	l.stale = l.stale || n.more && (l.sender != nil || version == 0)
	l.recount = l.recount || n.recount || over && !l.suspended || half && l.suspended
	if !n.again || l.sender == nil {
		return
	}
	if l.hold = 0; !l.policy.Ordered {
		l.stale = true
	}
}

// due reports whether the queue is to be read now.
func (l *line) due() bool {
	return l.wantsRead() && !time.Now().Before(l.readAfter)
}

func (l *line) wantsRead() bool {
	if l.recount {
		return true
	}
	return l.stale && len(l.ready) == 0 && (!l.policy.Ordered || len(l.flying) == 0)
}

// idle reports whether there is nothing left.
func (l *line) idle() bool {
	return len(l.flying) == 0 && len(l.ready) == 0 && l.hold == 0 && !l.stale && !l.recount && !l.suspended
}

// start begins the deliveries that can be, and returns how long there is
// nothing to do but for news; negative for ever.
func (l *line) start() time.Duration {
	nap := time.Duration(-1)
	if l.hold != 0 {
		now, err := l.t.now()
		if err != nil {
			return l.t.r.look
		}
		if now < l.hold {
			nap = l.t.in(l.hold, now)
		} else if l.hold = 0; !l.policy.Ordered {
			l.stale = true
		}
	}
	most := l.policy.Parallel
	if l.sender == nil {
		most = 0
	} else if l.policy.Ordered {
		if most = 1; l.hold != 0 {
			most = 0
		}
	}
	for len(l.flying) < most && len(l.ready) > 0 {
		f := l.ready[0]
		l.ready = l.ready[1:]
		l.flying[f.id] = f
		again := f.id == l.failing
		l.t.wg.Go(func() { l.done <- l.fly(f, again) })
	}
	if l.wantsRead() {
		until := max(time.Until(l.readAfter), 0)
		if nap < 0 || until < nap {
			nap = until
		}
	}
	return nap
}

// fly delivers an item once a slot of its kind is free. Those that are tried
// again share half of the slots, so that targets which hang leave some to the
// others.
func (l *line) fly(f ref, again bool) outcome {
	if again {
		if !l.enter(l.again) {
			return outcome{ref: f}
		}
		defer func() { <-l.again }()
	}
	if !l.enter(l.slots) {
		return outcome{ref: f}
	}
	defer func() { <-l.slots }()
	return l.deliver(f)
}

// enter takes one of slots when it is free; false: the term has ended.
func (l *line) enter(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		if l.t.ctx.Err() == nil { // both could be had
			return true
		}
		<-slots
	case <-l.t.ctx.Done():
	}
	return false
}

// await waits for something to do.
func (l *line) await(nap time.Duration) {
	var late <-chan time.Time
	if nap >= 0 {
		t := time.NewTimer(nap)
		defer t.Stop()
		late = t.C
	}
	select {
	case o := <-l.done:
		l.landed(o)
	case <-l.wake:
	case <-late:
	case <-l.t.ctx.Done():
	}
}

// landed takes in what became of a delivery.
func (l *line) landed(o outcome) {
	delete(l.flying, o.id)
	switch {
	case o.gone:
		l.mu.Lock()
		l.pending, l.bytes = max(l.pending-1, 0), max(l.bytes-o.size, 0)
		l.mu.Unlock()
	case l.policy.Ordered:
		if o.next != 0 { // else it has not been tried
			l.failing = o.id
		}
		l.ready = slices.Insert(l.ready, 0, o.ref)
		l.hold = o.next
	default: // it is read again when it is due
		if l.hold == 0 || o.next < l.hold {
			l.hold = o.next
		}
		l.waitsFrom = older(l.waitsFrom, o.since)
	}
}

// note tells the metrics of the oldest item. Times go with the order well
// enough.
func (l *line) note() {
	oldest := int64(0)
	if l.hold != 0 && !l.policy.Ordered {
		oldest = l.waitsFrom
	}
	if len(l.ready) > 0 {
		oldest = older(oldest, l.ready[0].since)
	}
	for _, f := range l.flying {
		oldest = older(oldest, f.since)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oldest = oldest
}

func older(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
