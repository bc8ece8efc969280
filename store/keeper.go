package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// metricsWait is how long a reader of the figures waits for fresh ones.
const metricsWait = 100 * time.Millisecond

// keeper does for one generation what must not be done on a request's time:
// it closes Pebble's snapshots and reads Pebble's metrics. Both wait for
// Pebble's manifest to be written, which takes a few milliseconds on a good
// day and for ever on a full disk; closing also picks compactions.
//
// For the same reason readers share one Pebble snapshot as long as nothing is
// committed.
type keeper struct {
	p *pebble.DB
	h *health

	commits atomic.Uint64 // so far; moves when a commit is visible
	wake    chan struct{} // there are dead snapshots
	ask     chan chan<- *pebble.Metrics
	stop    chan struct{}
	done    chan struct{}
	last    atomic.Pointer[pebble.Metrics]

	mu     sync.Mutex
	shared *sharedSnapshot    // what the next reader may use; the keeper holds a reference
	dead   []*pebble.Snapshot // to be closed
}

// sharedSnapshot is one Pebble snapshot with the number of its users.
type sharedSnapshot struct {
	*pebble.Snapshot
	at   uint64 // contains all commits up to this one
	refs int    // guarded by keeper.mu
}

func newKeeper(p *pebble.DB, h *health) *keeper {
	k := &keeper{
		p: p, h: h,
		wake: make(chan struct{}, 1), ask: make(chan chan<- *pebble.Metrics),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go k.run()
	return k
}

func (k *keeper) run() {
	defer close(k.done)
	for {
		select {
		case <-k.wake:
			k.bury()
		case <-k.h.look:
			k.look()
		case reply := <-k.ask:
			reply <- k.look()
		case <-k.stop:
			k.bury()
			return
		}
	}
}

// close ends the keeper. Nobody may use it or a snapshot of it any more.
func (k *keeper) close() {
	k.committed()
	close(k.stop)
	<-k.done
}

// bury closes the dead snapshots. An error of it is an invariant broken in
// Pebble, which panics there itself.
func (k *keeper) bury() {
	k.mu.Lock()
	dead := k.dead
	k.dead = nil
	k.mu.Unlock()
	for _, p := range dead {
		_ = p.Close()
	}
}

// look reads Pebble's metrics and tells health how far compactions are behind.
func (k *keeper) look() *pebble.Metrics {
	ended := k.h.lastEnded()
	m := k.p.Metrics()
	k.last.Store(m)
	k.h.looked(int64(m.Levels[0].Sublevels), ended)
	return m
}

// acquire returns a snapshot of everything committed so far, to be released.
func (k *keeper) acquire() *sharedSnapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Loaded before the snapshot is taken: it may hold more, never less.
	at := k.commits.Load()
	if k.shared == nil || k.shared.at != at {
		k.forget()
		k.shared = &sharedSnapshot{Snapshot: k.p.NewSnapshot(), at: at, refs: 1}
	}
	k.shared.refs++
	return k.shared
}

func (k *keeper) release(s *sharedSnapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unref(s)
}

// committed makes readers take a new snapshot. The shared one is dropped at
// once, because while it is open it keeps overwritten records on disk.
func (k *keeper) committed() {
	k.commits.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
}

// forget drops the keeper's own reference. The caller holds k.mu.
func (k *keeper) forget() {
	if k.shared != nil {
		k.unref(k.shared)
		k.shared = nil
	}
}

func (k *keeper) unref(s *sharedSnapshot) {
	if s.refs--; s.refs > 0 {
		return
	}
	k.dead = append(k.dead, s.Snapshot)
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// metrics returns fresh metrics or, when Pebble does not answer in time, the
// last ones; nil when there are none.
func (k *keeper) metrics() *pebble.Metrics {
	t := time.NewTimer(metricsWait)
	defer t.Stop()
	reply := make(chan *pebble.Metrics, 1)
	select {
	case k.ask <- reply:
	case <-t.C:
		return k.last.Load()
	}
	select {
	case m := <-reply:
		return m
	case <-t.C:
		return k.last.Load()
	}
}
