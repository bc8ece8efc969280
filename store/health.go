package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// retryEvery is how long a failed flush or compaction waits for its next try.
const retryEvery = 100 * time.Millisecond

// nudgeEvery is how often a waiting commit makes Pebble look for work again.
const nudgeEvery = time.Second

// health follows the background work of one generation. It is Pebble's logger
// and event listener, decides whether a commit may enter, and remembers which
// flush or compaction failed last. Pebble calls it with its own lock held, so
// health's lock is a leaf: nothing is called under it.
type health struct {
	dir   string
	log   *slog.Logger
	hook  func(error)
	fatal func(error)

	memoryLimit int64
	committed   atomic.Int64  // bytes admitted so far
	flushed     atomic.Int64  // committed when the last successful flush began
	sublevels   atomic.Int64  // of L0, when last looked at
	look        chan struct{} // asks the keeper to look
	errors      atomic.Uint64 // background errors so far
	stalls      atomic.Uint64 // commits that had to wait

	nudging sync.Mutex      // held to nudge; not a leaf, and never taken by a callback
	nudged  <-chan struct{} // closed when the last nudge is done

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at every event
	flushErr   error         // the last flush failed with this; nil once one succeeds
	flushBegan int64         // committed when the flush that runs began
	ended      endedFlush    // a flush whose outcome is not known yet
	compactErr error         // likewise for compactions
	waitErr    error         // what the waiting writes of patientFS wait for to end
	waiting    int           // how many there are
	failing    bool          // a background error was logged and no success followed
	tentative  bool          // opening, filling or closing: errors go up, nobody waits for a disk
	abandoned  error         // the write of a small file that was given up while tentative
	outsideErr error         // of syncing a folder of the checkpoint being made
	closing    chan struct{} // closed by shutdown
}

// endedFlush is a flush that reported an error. If BackgroundError follows, it
// failed; otherwise it found nothing to write, which is a success.
type endedFlush struct {
	err   error // nil: its outcome is known
	seq   uint64
	began int64
}

func newHealth(dir string, o Options) *health {
	return &health{
		dir: dir, log: o.Logger, hook: o.BackgroundError, fatal: o.Fatal,
		memoryLimit: stallMemTables * int64(o.MemTableBytes), look: make(chan struct{}, 1),
		changed: make(chan struct{}), closing: make(chan struct{}), tentative: true,
	}
}

// settle ends the tentative phase: the generation is in use. It returns what
// went wrong in it, if anything did; then it does not end.
func (h *health) settle() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tentative = h.abandoned != nil
	return h.abandoned
}

// shutdown ends all waiting; from here on errors go up at once.
func (h *health) shutdown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tentative = true
	select {
	case <-h.closing:
	default:
		close(h.closing)
	}
	h.notify()
}

// notify wakes all who wait for a change. The caller holds h.mu.
func (h *health) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// state returns the errors outstanding (a write that waits for room counts as
// a failed flush) and a channel that is closed at the next event.
func (h *health) state() (changed <-chan struct{}, flushErr, compactErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if flushErr = h.flushErr; flushErr == nil {
		flushErr = h.waitErr
	}
	return h.changed, flushErr, h.compactErr
}

// admit lets a commit that needs size bytes of memory into p, waits while
// flushes or compactions are behind, and refuses it when they are behind
// because they fail. Pebble's own stall has no way out but success, and the
// figures it goes by cannot be read without waiting for the disk; hence this
// one, with figures of its own.
func (h *health) admit(p *pebble.DB, size int64) error {
	for first := true; ; first = false {
		memory, tables, changed, flushErr, compactErr := h.behind()
		if !memory && !tables {
			h.committed.Add(size)
			return nil
		}
		switch {
		case flushErr != nil:
			return wrap("commit", h.dir, flushErr)
		case tables && compactErr != nil:
			h.nudge(p)
			return wrap("commit", h.dir, compactErr)
		}
		if first {
			h.stalls.Add(1)
		}
		t := time.NewTimer(nudgeEvery)
		select {
		case <-changed:
		case <-t.C:
			h.nudge(p)
		case <-h.closing:
			t.Stop()
			return errClosed(h.dir)
		}
		t.Stop()
	}
}

// behind reports whether too much memory waits for a flush and too many tables
// for a compaction, and if so why.
func (h *health) behind() (memory, tables bool, changed <-chan struct{}, flushErr, compactErr error) {
	memory = h.committed.Load()-h.flushed.Load() >= h.memoryLimit
	tables = h.sublevels.Load() >= stallL0Sublevels
	if memory || tables {
		changed, flushErr, compactErr = h.state()
	}
	return memory, tables, changed, flushErr, compactErr
}

// looked records what the keeper saw: how many sublevels L0 has, and that the
// flush that had ended as number ended did not fail.
func (h *health) looked(sublevels int64, ended uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sublevels.Store(sublevels)
	if h.ended.err != nil && h.ended.seq == ended {
		h.flushSucceeded(h.ended.began)
	}
	h.notify()
}

// flushSucceeded records that all that was committed before began is flushed.
// The caller holds h.mu.
func (h *health) flushSucceeded(began int64) {
	h.flushErr, h.ended.err = nil, nil
	h.flushed.Store(began)
}

// lastEnded returns the number of the last flush that reported an error.
func (h *health) lastEnded() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended.seq
}

// nudge makes Pebble look for compactions, by a flush. Pebble spares what a
// failed compaction touched for 30 s and then waits for a flush to look again,
// while flushes wait for commits and commits wait for compactions.
func (h *health) nudge(p *pebble.DB) {
	if !h.nudging.TryLock() {
		return
	}
	defer h.nudging.Unlock()
	if h.nudged != nil {
		select {
		case <-h.nudged:
		default:
			return
		}
	}
	h.nudged, _ = p.AsyncFlush() // fails only on a read-only store
}

// pause waits before a retry when the last background work failed.
func (h *health) pause() {
	_, flushErr, compactErr := h.state()
	if flushErr != nil || compactErr != nil {
		h.wait()
	}
}

// wait waits for retryEvery and reports whether waiting longer makes sense.
func (h *health) wait() bool {
	t := time.NewTimer(retryEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.closing:
		return false
	}
}

func (h *health) isTentative() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tentative
}

// abandon records, while the generation is tentative, that the writing of a
// small file failed for good, and reports whether it is tentative. From then
// on every such write fails: what follows a torn record of the manifest would
// not be read.
func (h *health) abandon(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tentative && h.abandoned == nil {
		h.abandoned = err
	}
	return h.tentative
}

// noteOutside keeps the first error of syncing a folder of a checkpoint.
func (h *health) noteOutside(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.outsideErr == nil {
		h.outsideErr = err
	}
}

// takeOutside returns what noteOutside kept and forgets it.
func (h *health) takeOutside() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.outsideErr
	h.outsideErr = nil
	return err
}

func (h *health) abandonedErr() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.abandoned
}

// beginWait records that a write waits because of err, so that whoever waits
// for a flush learns of it. endWait follows.
func (h *health) beginWait(err error) {
	h.mu.Lock()
	h.waitErr = err
	h.waiting++
	h.notify()
	h.mu.Unlock()
	h.background(err)
}

// endWait records that a waiting write is done, well or not.
func (h *health) endWait() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting--; h.waiting == 0 {
		h.waitErr = nil
	}
	h.notify()
}
