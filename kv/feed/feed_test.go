package feed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
)

// world is a store with its feed.
type world struct {
	*kvtest.Store
	t    testing.TB
	feed *feed.Feed
}

func newWorld(t testing.TB) *world { return on(t, kvtest.New(t)) }

func on(t testing.TB, s *kvtest.Store) *world { return &world{Store: s, t: t, feed: feed.New(s)} }

func (w *world) update(fn func(tx *kv.Tx)) kv.Result {
	w.t.Helper()
	res, err := w.DB.Update(context.Background(), func(tx *kv.Tx) error { fn(tx); return nil })
	if err != nil {
		w.t.Error(err)
	}
	return res
}

func (w *world) set(key, value string) kv.Result {
	w.t.Helper()
	return w.update(func(tx *kv.Tx) { tx.Set([]byte(key), []byte(value), 0) })
}

func (w *world) watch(after feed.Cursor, prefixes ...string) *feed.Watcher {
	w.t.Helper()
	o := feed.Options{After: after}
	for _, p := range prefixes {
		o.Prefixes = append(o.Prefixes, []byte(p))
	}
	watcher, err := w.feed.Watch(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(watcher.Close)
	return watcher
}

// next returns the next event as a line.
func next(t testing.TB, w *feed.Watcher) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return line(e)
}

func line(e feed.Event) string {
	name := [...]string{"", "set", "delete", "span", "expire", "touch"}[e.Kind]
	return fmt.Sprintf("%s %s %s%s=%s", e.Cursor, name, e.Key, e.Hi, e.Value)
}

// silent fails the test if w has anything to tell.
func silent(t testing.TB, w *feed.Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if e, err := w.Next(ctx); err == nil {
		t.Errorf("unwanted event %s", line(e))
	}
}

func TestAWatcherSeesWhatConcernsItsPrefixes(t *testing.T) {
	w := newWorld(t)
	w.set("a/old", "0")
	all, a, two := w.watch(feed.Cursor{}, ""), w.watch(feed.After(1), "a/"), w.watch(feed.Cursor{}, "a/", "a/1", "c/")
	w.set("a/1", "x")
	w.set("b/1", "y")
	w.update(func(tx *kv.Tx) {
		tx.Add([]byte("a/n"), command.Int(5), 0)
		tx.Delete([]byte("a/1"))
		tx.Delete([]byte("a/never"))
	})
	w.update(func(tx *kv.Tx) { tx.DeleteSpan([]byte("a/"), []byte("a0")) })
	w.update(func(tx *kv.Tx) { tx.DeleteSpan([]byte("b"), nil) })
	events := []string{"1.0 set a/old=0", "2.0 set a/1=x", "3.0 set b/1=y", "4.0 set a/n=5", "4.1 delete a/1=", "5.0 span a/a0=", "6.0 span b="}
	for _, c := range []struct {
		name string
		of   *feed.Watcher
		want []int
	}{{"all", all, []int{0, 1, 2, 3, 4, 5, 6}}, {"one prefix", a, []int{1, 3, 4, 5}}, {"prefixes that overlap", two, []int{0, 1, 3, 4, 5, 6}}} {
		t.Run(c.name, func(t *testing.T) {
			for _, i := range c.want {
				if got := next(t, c.of); got != events[i] {
					t.Errorf("got %s, want %s", got, events[i])
				}
			}
			silent(t, c.of)
		})
	}
}

// Whatever is written beside, and wherever a reader takes up again, it sees each
// change of its prefix once and in order.
func TestNothingIsLostOrDoubled(t *testing.T) {
	w := newWorld(t)
	const writers, writes = 4, 400
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for i := range writes {
				w.update(func(tx *kv.Tx) { // two changes of the prefix, one beside it
					tx.Set(fmt.Appendf(nil, "k/%d/a", n), fmt.Append(nil, i), 0)
					tx.Set(fmt.Appendf(nil, "j/%d", n), nil, 0)
					tx.Set(fmt.Appendf(nil, "k/%d/b", n), fmt.Append(nil, i), 0)
				})
			}
		})
	}
	var reading sync.WaitGroup
	for r := range 8 {
		reading.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 1))
			seen := make(map[string]int)
			last := feed.Cursor{}
			watcher := w.watch(last, "k/")
			for n := range 2 * writers * writes {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				e, err := watcher.Next(ctx)
				cancel()
				if err != nil {
					t.Errorf("reader %d after %d events: %v", r, n, err)
					return
				}
				if e.Compare(last) <= 0 {
					t.Errorf("reader %d: %s after %s", r, e.Cursor, last)
				}
				last = e.Cursor
				if got, want := string(e.Value), fmt.Sprint(seen[string(e.Key)]); got != want {
					t.Errorf("reader %d: %s is %s, want %s", r, e.Key, got, want)
					return
				}
				seen[string(e.Key)]++
				switch rnd.IntN(200) {
				case 0: // goes away, and comes again
					watcher.Close()
					if c, err := feed.ParseCursor(last.String()); err != nil || c != last {
						t.Errorf("cursor %s reads as %v, %v", last, c, err)
					}
					watcher = w.watch(last, "k/")
				case 1: // is slow
					time.Sleep(2 * time.Millisecond)
				}
			}
			silent(t, watcher)
		})
	}
	writing.Wait()
	reading.Wait()
}

func TestWhoNeverReadsHoldsLittle(t *testing.T) {
	w := newWorld(t)
	stuck, sleeper := w.watch(feed.Cursor{}, "k"), w.watch(feed.Cursor{}, "other")
	silent(t, stuck)
	silent(t, sleeper)
	value := make([]byte, 1000)
	for range 500 {
		w.update(func(tx *kv.Tx) { tx.Set([]byte("k"), value, 0) })
	}
	w.set("other", "x")
	next(t, sleeper) // by then all has been handed out
	if n, size := stuck.Held(); n > 64 || size > 40_000 {
		t.Errorf("a watcher that is not read holds %d events of %d bytes", n, size)
	}
	for i := range uint64(500) {
		if got, want := next(t, stuck), fmt.Sprintf("%d.0 set k=%s", i+1, value); got != want {
			t.Fatalf("event %d is %.30s", i, got)
		}
	}
}

func TestWhoComesTooLateIsTold(t *testing.T) {
	w := on(t, kvtest.NewShort(t, 4096))
	late := w.watch(feed.Cursor{Version: 1}, "k")
	idle := w.watch(feed.Cursor{Version: 1}, "nothing")
	for i := range 200 {
		w.set("k", fmt.Sprint(i))
	}
	_, err := late.Next(t.Context())
	var gone *feed.GoneError
	if !errors.As(err, &gone) || gone.Oldest < 2 || gone.Cursor.Version != 1 {
		t.Fatalf("got %v", err)
	}
	again := w.watch(feed.After(gone.Oldest-1), "k")
	if got, want := next(t, again), fmt.Sprintf("%d.0 set k=%d", gone.Oldest, gone.Oldest-1); got != want {
		t.Errorf("the oldest that is kept: got %s, want %s", got, want)
	}
	if _, err := idle.Next(t.Context()); !errors.As(err, &gone) {
		t.Errorf("one that nothing may have concerned: %v", err)
	}
}

func TestPositionMovesOnWhileNothingMatches(t *testing.T) {
	w := on(t, kvtest.NewShort(t, 4096))
	quiet, busy := w.watch(feed.Cursor{}, "quiet"), w.watch(feed.Cursor{}, "k")
	w.set("quiet", "1")
	if got := next(t, quiet); got != "1.0 set quiet=1" {
		t.Fatal(got)
	}
	silent(t, quiet)
	for i := range 200 {
		w.set("k", fmt.Sprint(i))
		next(t, busy)
	}
	at := quiet.Position()
	if at.Version < 150 {
		t.Fatalf("position %s after 201 versions", at)
	}
	w.set("quiet", "2")
	again := w.watch(at, "quiet")
	if got := next(t, again); got != "202.0 set quiet=2" {
		t.Error(got)
	}
	// What waits to be taken is not passed by.
	w.update(func(tx *kv.Tx) {
		tx.Set([]byte("x"), nil, 0)
		tx.Set([]byte("quiet/a"), nil, 0)
	})
	next(t, quiet)
	next(t, quiet)
	if at := quiet.Position(); at.Compare(feed.Cursor{Version: 203, Seq: 1}) < 0 {
		t.Errorf("position %s behind what was taken", at)
	}
}

func TestACursorOfAnotherNodeIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.set("k", "1")
	ahead := w.watch(feed.Cursor{Version: 3}, "k")
	silent(t, ahead)
	for i := range 3 {
		w.set("k", fmt.Sprint(i+2))
	}
	if got := next(t, ahead); got != "4.0 set k=4" {
		t.Error(got)
	}
}

func TestLongValuesAreLeftToTheReader(t *testing.T) {
	w := newWorld(t)
	watcher := w.watch(feed.Cursor{}, "k")
	w.update(func(tx *kv.Tx) {
		tx.Set([]byte("k1"), make([]byte, 16<<10), 0)
		tx.Set([]byte("k2"), make([]byte, 16<<10+1), 0)
	})
	for _, long := range []bool{false, true} {
		e, err := watcher.Next(t.Context())
		if err != nil || e.Long != long || (len(e.Value) > 0) == long {
			t.Errorf("%d bytes, long %t, %v; want long %t", len(e.Value), e.Long, err, long)
		}
	}
}

func TestAWatcherEnds(t *testing.T) {
	w := newWorld(t)
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("over")
		cancel(over)
		watcher := w.watch(feed.Cursor{}, "k")
		if _, err := watcher.Next(ctx); !errors.Is(err, over) {
			t.Error(err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		watcher := w.watch(feed.Cursor{}, "k")
		done := make(chan error)
		go func() {
			_, err := watcher.Next(context.Background())
			done <- err
		}()
		silent(t, w.watch(feed.Cursor{}, "x"))
		watcher.Close()
		watcher.Close()
		if err := <-done; !errs.Is(err, errs.Unavailable) {
			t.Error(err)
		}
	})
	t.Run("with its node", func(t *testing.T) {
		broken := feed.New(failing{})
		watcher, err := broken.Watch(feed.Options{Prefixes: [][]byte{nil}})
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Close()
		if _, err := watcher.Next(t.Context()); !errs.Is(err, errs.Unavailable) {
			t.Error(err)
		}
	})
}

func TestTooMuchIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, prefixes := range map[string][][]byte{"many": make([][]byte, 65), "long": {make([]byte, 8<<10+1)}} {
		if _, err := w.feed.Watch(feed.Options{Prefixes: prefixes}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCursor(t *testing.T) {
	for text, want := range map[string]feed.Cursor{"0": feed.After(0), "7": feed.After(7), "7.0": {Version: 7}, "7.12": {Version: 7, Seq: 12}} {
		if c, err := feed.ParseCursor(text); err != nil || c != want || c.String() != text {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", ".", "7.", ".7", "-1", "7.-1", "7.1.1", "x", "7.4294967296", "18446744073709551616"} {
		if c, err := feed.ParseCursor(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	order := []feed.Cursor{{}, {Seq: 1}, feed.After(0), {Version: 1}, feed.After(1)}
	if !slices.IsSortedFunc(order, feed.Cursor.Compare) {
		t.Errorf("%v is not ascending", order)
	}
}

// A bulk write stands in several records of the history; a reader may go on
// anywhere in it.
func TestAReaderGoesOnInTheMiddleOfABulkWrite(t *testing.T) {
	w := newWorld(t)
	w.set("k/before", "x")
	const n = 5000
	w.update(func(tx *kv.Tx) {
		for i := range n {
			tx.Set(fmt.Appendf(nil, "k/%05d", i), make([]byte, 50), 0)
		}
	})
	w.set("k/after", "x")
	for _, at := range []uint32{0, 1, 700, 701, 1400, 3333, n - 2, n - 1} {
		watcher := w.watch(feed.Cursor{Version: 2, Seq: at}, "k/")
		for i := at + 1; i <= min(at+100, n); i++ {
			e, err := watcher.Next(t.Context())
			want := feed.Event{Cursor: feed.Cursor{Version: 2, Seq: i}, Key: fmt.Appendf(nil, "k/%05d", i)}
			if i == n {
				want = feed.Event{Cursor: feed.Cursor{Version: 3}, Key: []byte("k/after")}
			}
			if err != nil || e.Cursor != want.Cursor || string(e.Key) != string(want.Key) {
				t.Fatalf("behind 2.%d: got %s, %v; want %s", at, line(e), err, line(want))
			}
		}
		watcher.Close()
	}
}
