package feed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-immutable-radix/v2"
	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Source is the state that a Feed follows. A cluster's node is one, and so is
// kvtest's Store.
type Source interface {
	// View returns a state fit for c, of which the caller owns one reference.
	View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error)

	// Wait returns once the state of this node is at version, or later.
	Wait(ctx context.Context, version uint64) error
}

// A GoneError says that the changes behind a cursor are no longer kept. The
// reader has to read anew what it follows.
type GoneError struct {
	Cursor Cursor
	Oldest uint64 // the first version whose changes are kept
}

// Error implements error.
func (e *GoneError) Error() string {
	return fmt.Sprintf("the changes behind %s are no longer kept, the oldest are those of version %d", e.Cursor, e.Oldest)
}

// Bounds of what a Feed takes on.
const (
	maxWatchers = 100_000
	maxPrefixes = 64 // of one Watcher
	// readers is how many Watchers read the history at once: it takes memory for
	// its blocks, and the processor.
	readers = 4
)

// Options say what a Watcher sees.
type Options struct {
	Prefixes [][]byte // of keys; a span that is deleted counts if it may hold such a key
	After    Cursor   // the first event is the first one behind it
}

// Feed hands changes to Watchers. Safe for concurrent use.
type Feed struct {
	source  Source
	reading *semaphore.Weighted
	pos     atomic.Uint64 // all changes up to this version have been handed out

	mu       sync.Mutex // taken before a Watcher's
	index    *iradix.Tree[*group]
	watchers map[*Watcher]struct{}
	stop     context.CancelFunc // ends the goroutine that follows; nil: there is none
}

// group is the Watchers of one prefix.
type group struct{ watchers map[*Watcher]struct{} }

// New returns the Feed of a node. It does nothing while nobody watches.
func New(s Source) *Feed {
	return &Feed{
		source: s, reading: semaphore.NewWeighted(readers),
		index: iradix.New[*group](), watchers: make(map[*Watcher]struct{}),
	}
}

// Watch returns a Watcher, which the caller must Close. Whether the history
// reaches back to o.After shows with the first Next. errs.Unavailable when
// this node has as many as it takes.
func (f *Feed) Watch(o Options) (*Watcher, error) {
	if len(o.Prefixes) > maxPrefixes {
		return nil, errs.E(errs.Invalid, "a watcher of %d prefixes, the limit is %d", len(o.Prefixes), maxPrefixes)
	}
	w := &Watcher{feed: f, prefixes: o.Prefixes, read: o.After, ready: make(chan struct{}, 1)}
	for _, p := range o.Prefixes {
		if len(p) > command.MaxKey {
			return nil, errs.E(errs.Invalid, "a prefix of %d bytes, the limit is %d", len(p), command.MaxKey)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watchers) >= maxWatchers {
		return nil, errs.E(errs.Unavailable, "this node has %d watchers, which is the limit: use another one", maxWatchers)
	}
	f.watchers[w] = struct{}{}
	for _, p := range o.Prefixes {
		g, ok := f.index.Get(p)
		if !ok {
			g = &group{watchers: make(map[*Watcher]struct{}, 1)}
			f.index, _, _ = f.index.Insert(p, g)
		}
		g.watchers[w] = struct{}{}
	}
	if f.stop == nil {
		f.follow()
	}
	return w, nil
}

// remove takes a Watcher out; the last one ends the following.
func (f *Feed) remove(w *Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.watchers[w]; !ok {
		return
	}
	delete(f.watchers, w)
	for _, p := range w.prefixes {
		g, ok := f.index.Get(p)
		if !ok {
			continue // one prefix was given twice
		}
		if delete(g.watchers, w); len(g.watchers) == 0 {
			f.index, _, _ = f.index.Delete(p)
		}
	}
	if len(f.watchers) == 0 && f.stop != nil {
		f.stop()
		f.stop = nil
	}
}

// follow starts the goroutine that hands out what is new. f.mu is held. Until it
// has found out where it begins all Watchers read the history.
func (f *Feed) follow() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.run(ctx)
}

const (
	// retry is how long following waits after an error, before it tries again.
	retry = 100 * time.Millisecond
	// rest is how long it waits after changes that nobody wanted: a node that is
	// busy with them should not look at each one by itself.
	rest = 2 * time.Millisecond
)

func (f *Feed) run(ctx context.Context) {
	begun := false
	t := time.NewTimer(0)
	defer t.Stop()
	for ctx.Err() == nil {
		wanted, err := f.step(ctx, begun)
		begun = err == nil
		if wanted && begun {
			continue
		}
		t.Reset(rest)
		if !begun {
			f.fail(ctx, err)
			t.Reset(retry)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

// step waits for the next version and hands out all there is. The first one of
// a run only finds out where the state is: Watchers read for themselves what
// came before. wanted is whether anybody was given something.
func (f *Feed) step(ctx context.Context, begun bool) (wanted bool, err error) {
	pos := f.pos.Load()
	if begun {
		if err := f.source.Wait(ctx, pos+1); err != nil {
			return false, err
		}
	}
	v, _, err := f.source.View(ctx, kv.Consistency{Stale: true})
	if err != nil {
		return false, err
	}
	defer v.Release()
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err() // another run may have begun
	}
	if !begun || v.History > pos+1 || v.Version-pos > maxStep { // or a snapshot was installed
		handed := Cursor{} // pos may be from another run
		if begun {
			handed = After(pos)
		}
		for w := range f.watchers {
			w.fallBehind(handed)
		}
	} else if err := v.Changes(pos+1, 0, func(c *fsm.Change) bool {
		wanted = f.handOut(c) || wanted
		return true
	}); err != nil {
		return false, err
	}
	f.pos.Store(v.Version)
	return wanted, nil
}

// maxStep is how many versions are handed out with the lock held. A node that
// catches up with its cluster has many.
const maxStep = 100_000

// handOut gives a change to those whose prefixes it concerns, and reports
// whether there is anybody. f.mu is held.
func (f *Feed) handOut(c *fsm.Change) (wanted bool) {
	var e *Event // copied when somebody wants it
	give := func(_ []byte, g *group) bool {
		for w := range g.watchers {
			if e == nil {
				e = newEvent(c)
			}
			w.push(e)
		}
		return false
	}
	root := f.index.Root()
	root.WalkPath(c.Key, give)
	if c.Kind != fsm.ChangeSpan {
		return e != nil
	}
	// Also those whose prefix begins inside the span.
	it := root.Iterator()
	it.SeekLowerBound(c.Key)
	for p, g, ok := it.Next(); ok && (c.Hi == nil || string(p) < string(c.Hi)); p, g, ok = it.Next() {
		give(p, g)
	}
	return e != nil
}

// fail tells all Watchers that the state cannot be followed.
func (f *Feed) fail(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for w := range f.watchers {
		w.fail(err)
	}
}
