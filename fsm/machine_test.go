package fsm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

func TestWaitWakesAtItsVersion(t *testing.T) {
	r := newRig(t, Options{})
	ctx := t.Context()
	if err := r.m.Wait(ctx, 0); err != nil {
		t.Errorf("for a version that is there: %v", err)
	}
	const waiters = 20
	done := make(chan uint64, waiters)
	var wg sync.WaitGroup
	for i := range uint64(waiters) {
		wg.Go(func() {
			if err := r.m.Wait(ctx, i%5+1); err != nil {
				t.Error(err)
			}
			if got := r.m.State().Version; got < i%5+1 {
				t.Errorf("woken at version %d, waited for %d", got, i%5+1)
			}
			done <- i
		})
	}
	for i := range 5 {
		r.apply(int64(i), ops(set("k", "v", 0)))
	}
	wg.Wait()
	if len(done) != waiters {
		t.Errorf("%d woke, want %d", len(done), waiters)
	}
}

func TestWaitEndsWithItsContextAndWithTheMachine(t *testing.T) {
	r := newRig(t, Options{})
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() { failed <- r.m.Wait(ctx, 7) }()
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("got %v, want the context's cause", err)
	}
	if n := len(r.m.waiting.h); n != 0 {
		t.Errorf("%d waiters are left", n)
	}
	for range 3 {
		go func() { failed <- r.m.Wait(t.Context(), 7) }()
	}
	r.m.Close()
	for range 3 {
		if err := <-failed; !errs.Is(err, errs.Unavailable) {
			t.Errorf("got %v, want errs.Unavailable", err)
		}
	}
	if err := r.m.Wait(t.Context(), 7); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := r.m.View(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("View after Close: %v", err)
	}
	if st := r.m.State(); st != (State{}) {
		t.Errorf("State after Close: %+v", st)
	}
	r.apply(1, ops(set("late", "1", 0))) // must not keep the store from closing
}

func TestViewOutlivesWhatComesAfter(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(1, ops(set("k", "old", 0)))
	v := r.view()
	r.apply(2, ops(set("k", "new", 0), set("l", "1", 0)))
	r.m.Close()
	rec, ok, err := v.Get([]byte("k"), 2)
	if err != nil || !ok || string(rec.Value) != "old" || v.Version != 1 {
		t.Errorf("got %v %v %v at version %d", rec, ok, err, v.Version)
	}
	it := v.ScanBack(nil, nil, 2)
	n := 0
	for it.Next() {
		n++
	}
	if err := it.Close(); err != nil || n != 1 {
		t.Errorf("%d records, %v, want 1", n, err)
	}
	v.Release()
}

// Readers see whole commands only, and versions that never go back.
func TestReadersBesideTheApplier(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(1, ops(set("a", "0", 0), set("b", "0", 0)))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, err := r.m.View()
				if err != nil {
					t.Error(err)
					return
				}
				a, _, _ := v.Get([]byte("a"), 1)
				b, _, _ := v.Get([]byte("b"), 1)
				if v.Version < last || string(a.Value) != string(b.Value) || a.Version != b.Version {
					t.Errorf("version %d after %d: a=%s b=%s", v.Version, last, a.Value, b.Value)
				}
				last = v.Version
				v.Release()
				if err := r.m.Wait(t.Context(), last); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 300 {
		r.apply(1, ops(set("a", strconv.Itoa(i), 0), set("b", strconv.Itoa(i), 0)))
	}
	close(stop)
	wg.Wait()
}

func TestEntryThatCannotBeReadStopsTheMachine(t *testing.T) {
	good := command.AppendEntry(nil, 1, ops(set("k", "v", 0)).Append(nil))
	newer := append([]byte{command.Format + 1}, good[1:]...)
	for name, data := range map[string][]byte{
		"empty":          {},
		"cut":            good[:len(good)-1],
		"newer format":   newer,
		"broken command": command.AppendEntry(nil, 1, []byte("no command")),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			want := r.hash()
			_, err := r.m.Apply([]Entry{r.entry(1, ops(set("before", "1", 0))), r.raw(data)})
			if err == nil || !strings.Contains(err.Error(), "entry 2") {
				t.Fatalf("got %v, want an error that names entry 2", err)
			}
			var format command.FormatError
			if name == "newer format" && !errors.As(err, &format) {
				t.Errorf("got %v, want a FormatError", err)
			}
			if r.hash() != want {
				t.Error("a part of the batch was applied")
			}
		})
	}
}

func TestChainTellsHistoriesApart(t *testing.T) {
	chain := func(values ...string) [32]byte {
		r := newRig(t, Options{})
		for _, v := range values {
			r.apply(1, ops(set("k", v, 0)))
		}
		return r.m.State().Chain
	}
	same, other, swapped := chain("1", "2", "3"), chain("1", "x", "3"), chain("2", "1", "3")
	if same != chain("1", "2", "3") {
		t.Error("equal histories give unequal chains")
	}
	if same == other || same == swapped {
		t.Error("unequal histories give equal chains")
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	for name, damage := range map[string]func(r *rig){
		"newer state": func(r *rig) {
			p := r.m.st.append(nil)
			p[0]++
			r.write(metaKey, p)
		},
		"cut state":  func(r *rig) { r.write(metaKey, []byte{StateFormat, 1}) },
		"wrong slot": func(r *rig) { r.write(appendIDKey(nil, 9), make([]byte, 24)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.apply(1, ops(set("k", "v", 0)))
			damage(r)
			if m, err := Open(r.db, Options{}); err == nil {
				m.Close()
				t.Error("opened")
			}
		})
	}
}

func (r *rig) write(key, value []byte) {
	r.t.Helper()
	b := r.db.Batch()
	defer b.Close()
	b.Set(key, value)
	if err := b.Commit(); err != nil {
		r.t.Fatal(err)
	}
}

func TestStateSurvivesItsEncoding(t *testing.T) {
	want := State{Version: 1 << 40, Index: 7, Clock: 1_700_000_000_000, Floor: 3, Ring: RingSize, Chain: [32]byte{1, 31: 2}}
	got, err := decodeState(want.append(nil))
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestManyCommandsOfOneEntryAreOneAtomicChange(t *testing.T) {
	r := newRig(t, Options{})
	var cs []*command.Command
	for i := range 500 {
		cs = append(cs, ops(command.Op{Kind: command.Add, Key: fmt.Appendf(nil, "n%d", i%2), Delta: command.Int(1)}))
	}
	for i, res := range r.apply(1, cs...) {
		if res.Version != uint64(i+1) || string(res.Added[0]) != strconv.Itoa(i/2+1) {
			t.Fatalf("command %d: %+v", i, res)
		}
	}
}
