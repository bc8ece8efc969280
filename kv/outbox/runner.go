package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
)

// How often a Runner looks by itself.
const (
	lookEvery  = 200 * time.Millisecond // whether this node leads
	sweepEvery = 30 * time.Second       // which queues there are, lest one be forgotten
	napMost    = 30 * time.Second       // at the clock, while an item waits for its next try
)

// Kind is one kind of queues: the first part of their names, see Item.
type Kind struct {
	Sender Sender // nil: this node cannot deliver; what is in the queues waits, and is bounded
	Policy Policy
}

// A Runner delivers what is in the outbox while its node leads. Queues of
// kinds that it does not know are left alone.
type Runner struct {
	DB      *kv.DB
	Feed    *feed.Feed // tells of new items; without one they are found by a look every 30 seconds
	Leads   func() bool
	Log     *slog.Logger
	Metrics prometheus.Registerer // optional
	Kinds   map[string]Kind

	// For tests; 0 = as above.
	look, sweep, nap    time.Duration
	maxPending, maxHeld int
	maxBytes            int64

	policies map[string]Policy
	slots    map[string]chan struct{} // one token for each delivery under way
	again    map[string]chan struct{} // one for each of those that have failed before
	metrics  *metrics
	unknown  map[string]bool // kinds that the log has been told of
}

// Run delivers until ctx ends, and returns when nothing is under way any more.
// A Runner runs once.
func (r *Runner) Run(ctx context.Context) {
	r.open()
	if r.Metrics != nil {
		if err := r.Metrics.Register(r.metrics); err != nil {
			r.Log.Warn("the outbox has no metrics", "error", err)
		}
		defer r.Metrics.Unregister(r.metrics)
	}
	for ctx.Err() == nil {
		if r.Leads() {
			r.lead(ctx)
		}
		pause(ctx, r.look)
	}
}

func (r *Runner) open() {
	r.look = cmp.Or(r.look, lookEvery)
	r.sweep = cmp.Or(r.sweep, sweepEvery)
	r.nap = cmp.Or(r.nap, napMost)
	r.maxPending = cmp.Or(r.maxPending, maxPending)
	r.maxHeld = cmp.Or(r.maxHeld, maxHeld)
	r.maxBytes = cmp.Or(r.maxBytes, maxPendingBytes)
	r.policies, r.unknown = make(map[string]Policy), make(map[string]bool)
	r.slots, r.again = make(map[string]chan struct{}), make(map[string]chan struct{})
	for name, k := range r.Kinds {
		r.policies[name] = k.Policy.withDefaults()
		r.slots[name] = make(chan struct{}, r.policies[name].Parallel)
		r.again[name] = make(chan struct{}, max(r.policies[name].Parallel/2, 1))
	}
	r.metrics = newMetrics(r.Kinds)
}

// lead delivers until the node no longer leads or ctx ends.
func (r *Runner) lead(ctx context.Context) {
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &term{r: r, process: ctx, ctx: leading, lines: make(map[string]*line)}
	r.metrics.begin(t)
	defer r.metrics.end()
	t.wg.Go(t.follow)
	for leading.Err() == nil && r.Leads() {
		pause(leading, r.look)
	}
	cancel()
	t.wg.Wait()
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A term is one time of leading: it has one line for each queue with work.
type term struct {
	r       *Runner
	process context.Context // ends with the Runner
	ctx     context.Context // ends with the term
	wg      sync.WaitGroup

	mu    sync.Mutex
	lines map[string]*line
}

// tell makes a queue's line look at what the news are about, and begins the line
// if there is none.
func (t *term) tell(queue string, n news) {
	kind := kindOf(queue)
	k, ok := t.r.Kinds[kind]
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok {
		if !t.r.unknown[kind] && len(t.r.unknown) < 100 {
			t.r.unknown[kind] = true
			t.r.Log.Warn("the outbox holds items of a kind that this node does not know; they are left alone", "kind", kind, "queue", queue)
		}
		return
	}
	l := t.lines[queue]
	if l == nil {
		l = &line{
			t: t, queue: queue, kind: kind, sender: k.Sender, policy: t.r.policies[kind], slots: t.r.slots[kind], again: t.r.again[kind],
			wake: make(chan struct{}, 1), done: make(chan outcome), flying: make(map[string]ref),
			news: news{more: true},
		}
		t.lines[queue] = l
		t.wg.Go(l.run)
	}
	l.tell(n)
}

// leave ends a line, unless there are news for it.
func (t *term) leave(l *line) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.hasNews() {
		return false
	}
	delete(t.lines, l.queue)
	return true
}
