package node

import (
	"context"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// point is a read point: a state that has reached version shows every write
// acknowledged before the point was asked for; what expires by now is gone.
type point struct {
	version uint64
	now     int64
}

// rounds shares one confirmation among all who ask for one: whoever joins gets
// a round that started after it joined, and one round runs at a time.
type rounds struct {
	run   func(ctx context.Context) (point, error)
	limit time.Duration // of one round

	mu      sync.Mutex
	next    *round // joined by those who wait, not started
	running bool
}

type round struct {
	done  chan struct{}
	point point
	err   error
}

// join waits for a round, or for ctx: then it is errs.Unavailable.
func (r *rounds) join(ctx context.Context) (point, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	w := r.next
	if !r.running {
		r.running = true
		go r.loop()
	}
	r.mu.Unlock()
	select {
	case <-w.done:
		return w.point, w.err
	case <-ctx.Done():
		return point{}, errs.E(errs.Unavailable, "no answer in time from the cluster's leader: %w", context.Cause(ctx))
	}
}

// loop runs rounds while somebody waits for one. Its end is bounded by limit.
func (r *rounds) loop() {
	for {
		r.mu.Lock()
		w := r.next
		r.next = nil
		r.running = w != nil
		r.mu.Unlock()
		if w == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.limit)
		w.point, w.err = r.run(ctx)
		cancel()
		close(w.done)
	}
}
