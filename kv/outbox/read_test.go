package outbox

import (
	"context"
	"errors"
	"testing"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// lively is a store in which something happens just after a state was taken to be
// read.
type lively struct {
	*kvtest.Store
	during func()
	err    error
}

func (b *lively) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	v, info, err := b.Store.View(ctx, c)
	b.during()
	if err == nil && b.err != nil {
		v.Release()
		return nil, info, b.err
	}
	return v, info, err
}

func TestWhatIsPutDuringAReadingIsCounted(t *testing.T) {
	r := rig{kvtest.New(t), t, false}
	r.put("hook/a", "before")
	version := func() (v uint64) {
		r.view(func(tx *kv.Tx) error { v = tx.Version(); return nil })
		return v
	}
	b := &lively{Store: r.Store}
	n := &Runner{DB: kv.New(b), Kinds: ordered(&target{})}
	n.open()
	l := &line{t: &term{r: n, ctx: t.Context()}, queue: "hook/a", sender: &target{}, policy: n.policies["hook"], wake: make(chan struct{}, 1)}
	b.during = func() {
		l.tell(news{version: version(), items: 1, bytes: 5}) // late: it is in the state
		r.put("hook/a", "meanwhile")
		l.tell(news{version: version(), items: 1, bytes: 20})
	}
	if err := l.read(); err != nil {
		t.Fatal(err)
	}
	if want := int64(len("payload of before") + 20); l.pending != 2 || l.bytes != want || len(l.ready) != 1 {
		t.Errorf("%d items of %d bytes, want 2 of %d; %d are ready", l.pending, l.bytes, want, len(l.ready))
	}
	b.err = errors.New("injected")
	if err := l.read(); !errors.Is(err, b.err) || l.reading || l.heard != nil {
		t.Errorf("a reading that fails: %v", err)
	}
}
