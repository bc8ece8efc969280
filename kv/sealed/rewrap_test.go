package sealed

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestEverythingIsSealedAnewWhileOthersWrite(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 150)...)
	w.put([]string{"left", "right"}, many("b", 70)...)
	old := w.ring.Primary()
	if w.step() || w.latest() != nil {
		t.Error("there was something to do before anybody asked")
	}
	id := w.rotate()
	names := map[string]string{old: "old", id: "new"}
	w.put([]string{"one"}, "a0003")
	if got, want := w.count(names), "left old 70, one new 1, one old 149, right old 70"; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	if p := w.start(); p.Key != id || p.Started != kvtest.Start || p.Total != 7 || p.Finished != 0 {
		t.Errorf("at the start: %+v", p)
	}
	steps := 1
	for w.ConflictNext(1); w.step(); w.ConflictNext(1) {
		if steps == 2 { // asking again does not begin again
			if p := w.start(); p.Changed == 0 {
				t.Errorf("asked for twice: %+v", p)
			}
		}
		if steps++; steps > 30 {
			t.Fatal("it does not end")
		}
	}
	if got, want := w.count(names), "left new 70, one new 150, right new 70"; got != want {
		t.Errorf("after: %s, want %s", got, want)
	}
	want := &Progress{Key: id, Started: kvtest.Start, Finished: kvtest.Start, Total: 7, Done: 290, Changed: 289}
	if diff := cmp.Diff(want, w.latest()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if w.step() {
		t.Error("there is more to do after the end")
	}
	w.openAll(old)
	w.start()
	for w.step() {
	}
	if p := w.latest(); p.Changed != 0 || p.Done != 290 || p.Finished == 0 {
		t.Errorf("the second time: %+v", p)
	}
}

// A request that has sealed with the old key before the rotation may commit
// behind the back of the first pass.
func TestAStragglerIsFoundByAnotherPass(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 100)...)
	old := w.ring.Primary()
	straggler, err := w.ring.Seal([]byte("secret of a0000x"), place([]byte("a0000x"), "one"))
	if err != nil {
		t.Fatal(err)
	}
	id := w.rotate()
	w.start()
	w.step()
	w.update(func(tx *kv.Tx) error {
		tx.Set([]byte("a0000x"), append([]byte{byte(len(straggler))}, straggler...), 0)
		return nil
	})
	for w.step() {
	}
	if got := w.count(map[string]string{old: "old", id: "new"}); got != "one new 101" {
		t.Errorf("after: %s", got)
	}
	w.openAll(old)
}

// Records that are changed or deleted between the look at them and the commit are
// left to whoever did that.
func TestARecordThatChangesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, "a1", "a2", "a3")
	old := w.ring.Primary()
	w.rotate()
	w.start()
	r := w.rewrapper()
	b, err := r.look(t.Context())
	if err != nil || len(b.keys) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	w.put([]string{"one"}, "a1") // under the new key
	w.update(func(tx *kv.Tx) error { tx.Delete([]byte("a2")); return nil })
	w.update(func(tx *kv.Tx) error {
		p, err := r.reseal(tx, b, seal.Seed{1})
		if p.Changed != 1 || p.Failed != 0 {
			t.Errorf("%+v", p)
		}
		return err
	})
	w.openAll(old)
	w.view(func(tx *kv.Tx) error {
		if _, there, err := tx.Get([]byte("a2")); there || err != nil {
			t.Errorf("a record that was deleted is there again, %v", err)
		}
		return nil
	})
}

func TestWhatCannotBeSealedAnewIsCountedAndNamed(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "other.json")
	other, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w.put([]string{"left", "right"}, many("b", 30)...)
	old := w.ring.Primary()
	w.update(func(tx *kv.Tx) error {
		rec, _, err := tx.Get([]byte("b0007"))
		if err != nil {
			return err
		}
		rec.Value[len(rec.Value)-1] ^= 1 // the right one does not open any more
		tx.Set([]byte("b0007"), rec.Value, 0)
		lost, err := other.Seal([]byte("x"), place([]byte("a1"), "one"))
		tx.Set([]byte("a1"), append([]byte{byte(len(lost))}, lost...), 0)
		tx.Set([]byte("a2"), []byte("\x05hello"), 0)
		tx.Set([]byte("a3"), []byte("\xffshort"), 0)
		return err
	})
	id := w.rotate()
	names := map[string]string{old: "old", id: "new", other.Primary(): "lost", "": "damaged"}
	w.start()
	for w.step() {
	}
	p := w.latest()
	want := []Fault{
		{"one", "a1", "sealed with the master key " + other.Primary() + ", which the node that leads does not hold"},
		{"one", "a2", "sealed bytes are damaged or of a newer format"},
		{"ones", "", damagedRecord},
		{"right", "b0007", fmt.Sprintf("sealed bytes do not open with key %q: damaged, or moved from another place", old)},
	}
	if diff := cmp.Diff(want, p.Faults); diff != "" || p.Failed != 4 || p.Changed != 59 || p.Finished == 0 {
		t.Errorf("%+v, faults (-want +got):\n%s", p, diff)
	}
	got := w.count(names)
	for _, part := range []string{"left new 30", "one lost 1", "one damaged 1", "ones damaged 1", "right new 29", "right old 1"} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
	var lacking []string
	var things int64
	w.view(func(tx *kv.Tx) error {
		tallies, err := w.in.Count(t.Context(), tx)
		lacking, things = w.in.Lacking(tallies)
		return err
	})
	if things != 1 || !cmp.Equal(lacking, []string{other.Primary()}) {
		t.Errorf("lacking %v, for %d things", lacking, things)
	}
}

func TestMoreFaultsThanAreNamed(t *testing.T) {
	w := newWorld(t)
	w.update(func(tx *kv.Tx) error {
		for _, key := range many("a", maxFaults+5) {
			tx.Set([]byte(key), []byte("x"), 0)
		}
		return nil
	})
	w.start()
	for w.step() {
	}
	if p := w.latest(); p.Failed != maxFaults+5 || len(p.Faults) != maxFaults {
		t.Errorf("%d failed, %d named", p.Failed, len(p.Faults))
	}
}

func TestANodeWithAnotherPrimaryKeyWaits(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 3)...)
	behind, err := seal.Load(w.path)
	if err != nil {
		t.Fatal(err)
	}
	id := w.rotate()
	w.start()
	for _, ring := range []*seal.Keyring{behind, nil} {
		r := &Rewrapper{DB: w.DB, Inventory: &Inventory{Keyring: ring, Rows: w.in.Rows}, Log: slog.New(slog.DiscardHandler)}
		if more, err := r.Step(t.Context()); more || !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), id) {
			t.Errorf("got %v, %v", more, err)
		}
	}
	if p := w.latest(); p.Done != 0 || p.Finished != 0 {
		t.Errorf("progress %+v", p)
	}
	_, err = w.DB.Update(t.Context(), func(tx *kv.Tx) error {
		_, err := (&Inventory{Rows: w.in.Rows}).Start(tx, 0)
		return err
	})
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("asked of a node without a keyring: %v", err)
	}
}

func TestAskingForAnotherKeyBeginsAgain(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 200)...)
	w.rotate()
	w.start()
	w.step()
	id := w.rotate()
	if p := w.start(); p.Key != id || p.Done != 0 {
		t.Errorf("%+v", p)
	}
	for w.step() {
	}
	if got := w.count(map[string]string{id: "newest"}); got != "one newest 200" {
		t.Errorf("after: %s", got)
	}
}

// Two leaders at once go over each record once in all.
func TestTwoRewrappersDoNotCountTwice(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 200)...)
	w.rotate()
	w.start()
	r := w.rewrapper()
	b, err := r.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.step() // another is faster
	before := w.latest()
	if more, err := r.commit(t.Context(), b); err != nil || !more {
		t.Errorf("the slower one: %v, %v", more, err)
	}
	if diff := cmp.Diff(before, w.latest()); diff != "" || before.Changed != batchRecords {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	for w.step() {
	}
	if p := w.latest(); p.Changed != 200 || p.Done != 200 {
		t.Errorf("at the end: %+v", p)
	}
}

// Run does nothing while another node leads, and says once why it waits.
func TestRunGoesOnWhenItCan(t *testing.T) {
	w := newWorld(t)
	w.put([]string{"one"}, many("a", 100)...)
	other, err := seal.Load(w.path)
	if err != nil {
		t.Fatal(err)
	}
	id := w.rotate()
	w.start()
	var log lines
	var leads atomic.Bool
	asked := make(chan struct{})
	r := &Rewrapper{DB: w.DB, Inventory: &Inventory{Keyring: other, Rows: w.in.Rows}, Log: slog.New(slog.NewTextHandler(&log, nil)), Leads: func() bool {
		asked <- struct{}{}
		return leads.Load()
	}, pause: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	<-asked
	leads.Store(true)
	<-asked
	<-asked
	<-asked // it has tried twice
	if n := strings.Count(log.text(), "the re-wrapping of secrets waits"); n != 1 || w.latest().Done != 0 {
		t.Errorf("it said %d times that it waits:\n%s", n, log.text())
	}
	if _, err := other.Reload(); err != nil {
		t.Fatal(err)
	}
	for w.latest().Finished == 0 {
		<-asked
	}
	if got := w.count(map[string]string{id: "new"}); got != "one new 100" {
		t.Errorf("after: %s", got)
	}
	cancel()
	for running := true; running; {
		select {
		case <-asked:
		case <-done:
			running = false
		}
	}
}

// lines is a log that several goroutines use.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNodesAnnounceTheirKeys(t *testing.T) {
	w := newWorld(t)
	announce := func(ring *seal.Keyring, id string) {
		t.Helper()
		if err := (&Inventory{Keyring: ring}).Announce(t.Context(), w.DB, id); err != nil {
			t.Fatal(err)
		}
	}
	nodes := func() (all []Node) {
		t.Helper()
		w.view(func(tx *kv.Tx) (err error) { all, err = Nodes(tx); return err })
		return all
	}
	announce(nil, "n3")
	if got := nodes(); got != nil {
		t.Errorf("a cluster without keyrings: %+v", got)
	}
	announce(w.ring, "n2")
	announce(w.ring, "n1")
	announce(nil, "n3")
	old := w.ring.Primary()
	want := []Node{{"n1", old, []string{old}}, {"n2", old, []string{old}}, {ID: "n3"}}
	if diff := cmp.Diff(want, nodes()); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	commits := w.Commits()
	announce(w.ring, "n1")
	announce(nil, "n3")
	if w.Commits() != commits {
		t.Error("what is stored already was stored again")
	}
	id := w.rotate()
	announce(w.ring, "n1")
	if n := nodes()[0]; n.Primary != id || !n.Holds(id) || !n.Holds(old) || n.Holds("x") {
		t.Errorf("after a rotation: %+v", n)
	}
}
