package feed_test

import (
	"context"
	"sync"
	"testing"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
)

// stepper is a node that shows an old state once, as one does that installs a
// snapshot which holds less than it had.
type stepper struct {
	*kvtest.Store

	mu    sync.Mutex
	old   *fsm.View     // what the next View returns, nil = the present state
	shown chan struct{} // closed when it has
}

func (s *stepper) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.old; v != nil {
		s.old = nil
		close(s.shown)
		return v, kv.ReadInfo{Version: v.Version}, nil
	}
	return s.Store.View(ctx, c)
}

// An idle watcher does not go back to its last event when it has to read the
// history again: that event may have left it long ago.
func TestAnIdleWatcherFallsBehindFromWhereItWas(t *testing.T) {
	s := &stepper{Store: kvtest.NewShort(t, 4096), shown: make(chan struct{})}
	w := &world{Store: s.Store, t: t, feed: feed.New(s)}
	quiet, busy := w.watch(feed.Cursor{}, "quiet"), w.watch(feed.Cursor{}, "k")
	w.set("quiet", "1")
	if got := next(t, quiet); got != "1.0 set quiet=1" {
		t.Fatal(got)
	}
	silent(t, quiet) // it is in line
	for range 200 {
		w.set("k", "v")
		next(t, busy)
	}
	old, _, err := s.Store.View(t.Context(), kv.Consistency{})
	if err != nil {
		t.Fatal(err)
	}
	if old.History < 2 {
		t.Fatal("the history still reaches the beginning")
	}
	w.set("k", "v")
	next(t, busy)
	s.mu.Lock()
	s.old = old
	s.mu.Unlock()
	w.set("k", "v")
	<-s.shown
	w.set("quiet", "2")
	if got := next(t, quiet); got != "204.0 set quiet=2" {
		t.Error(got)
	}
}
