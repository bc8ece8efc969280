package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

var errDown = errors.New("the target is down")

func TestAnItemIsDeliveredOnceItIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		n := r.node(ordered(s), nil)
		abandoned := errors.New("the transaction ends")
		_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
			if err := Put(tx, Item{Queue: "hook/a", ID: "never"}); err != nil {
				return err
			}
			return abandoned
		})
		if !errors.Is(err, abandoned) {
			t.Fatal(err)
		}
		r.ConflictNext(2)
		r.put("hook/a", "one")
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n.stop()
		got := s.deliveries()
		if len(got) != 1 || got[0].ID != "one" || got[0].Queue != "hook/a" || string(got[0].Payload) != "payload of one" || got[0].Attempt != 1 || got[0].Version == 0 {
			t.Errorf("delivered %+v", got)
		}
		if since := got[0].Since.UnixMilli(); since != r.Now() {
			t.Errorf("since %d, want the time of the commit, %d", since, r.Now())
		}
		if diff := cmp.Diff(map[string]string{"delivered/hook/a/one": "1"}, r.settled()); diff != "" {
			t.Error(diff)
		}
	})
}

// Writers on all sides, and ids that sort the other way round: what is delivered is
// in the order of versions, and all of it.
func TestAnOrderedQueueKeepsTheOrderOfCommits(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		const writers, items = 4, 40
		var fails atomic.Int64
		s := &target{}
		s.send = func(context.Context, Delivery) error {
			if fails.Add(1)%7 == 0 {
				return errDown
			}
			return nil
		}
		n := r.node(ordered(s), func(n *Runner) { n.maxHeld = 8 })
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range items {
					queue := []string{"hook/a", "hook/b"}[i%2]
					r.put(queue, fmt.Sprintf("%d-%s", w, reversed(i)))
					r.Advance(100 * time.Millisecond)
				}
			})
		}
		writing.Wait()
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		n.stop()

		at, seen, repeats := make(map[string]uint64), make(map[string]bool), 0
		for _, d := range s.deliveries() {
			if d.Version < at[d.Queue] {
				t.Fatalf("%s: version %d after %d", d.Queue, d.Version, at[d.Queue])
			}
			at[d.Queue] = d.Version
			if seen[d.ID] {
				repeats++
			}
			seen[d.ID] = true
		}
		if len(seen) != writers*items || repeats == 0 {
			t.Errorf("%d items delivered with %d repeats, want %d and some", len(seen), repeats, writers*items)
		}
		if len(r.settled()) != writers*items {
			t.Errorf("%d items settled, want %d", len(r.settled()), writers*items)
		}
	})
}

func TestItemsOfOneCommitGoByTheirIds(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		r.update(func(tx *kv.Tx) error {
			for _, id := range []string{"c", "a", "b"} {
				if err := Put(tx, Item{Queue: "hook/a", ID: id}); err != nil {
					return err
				}
			}
			return nil
		})
		s := &target{}
		n := r.node(ordered(s), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n.stop()
		var ids []string
		for _, d := range s.deliveries() {
			ids = append(ids, d.ID)
		}
		if !slices.Equal(ids, []string{"a", "b", "c"}) {
			t.Errorf("delivered %v", ids)
		}
	})
}

func TestQueuesDoNotHoldUpEachOther(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(ctx context.Context, d Delivery) error {
			switch d.Queue {
			case "hook/down":
				return errDown
			case "hook/hangs":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r.node(ordered(s), nil)
		for i := range 20 {
			for _, queue := range []string{"hook/down", "hook/hangs", "hook/up"} {
				r.put(queue, fmt.Sprint(i))
			}
		}
		r.until("all of the queue that is up is delivered", func() bool { return r.info("hook/up").Pending == 0 })
		if down, hangs := r.info("hook/down").Pending, r.info("hook/hangs").Pending; down != 20 || hangs != 20 {
			t.Errorf("%d and %d items wait, want all 20 of each", down, hangs)
		}
	})
}

func TestUnorderedItemsDoNotHoldUpEachOther(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		var under, most atomic.Int64
		s := &target{}
		s.send = func(_ context.Context, d Delivery) error {
			now := under.Add(1)
			defer under.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			if d.ID < "00" && d.Attempt == 1 {
				return errDown
			}
			return nil
		}
		n := r.node(unordered(s), func(n *Runner) { n.maxHeld = 10 })
		for i := range 60 {
			id := fmt.Sprintf("%02d", i)
			if i < 20 {
				id = "-" + id // these are down at first, more than a Runner holds
			}
			r.put("mail/a", id)
		}
		r.until("only those are left that failed", func() bool { return r.info("mail/a").Pending == 20 })
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		n.stop()
		if len(s.deliveries()) != 80 || len(r.settled()) != 60 {
			t.Errorf("%d deliveries, %d settled; want 80 and 60", len(s.deliveries()), len(r.settled()))
		}
		if most.Load() > 4 {
			t.Errorf("%d deliveries at once, want 4 at most", most.Load())
		}
	})
}

func TestTriesAreSpacedByTheClusterClock(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s, up := downTarget()
		n := r.node(ordered(s), nil)
		r.put("hook/a", "one")
		for attempt := 1; attempt <= 14; attempt++ {
			r.until("it was tried", func() bool { return r.info("hook/a").Attempts == attempt })
			info := r.info("hook/a")
			mean := min(time.Second<<(attempt-1), 10*time.Minute)
			wait := info.Next.Sub(time.UnixMilli(r.Now()))
			if wait < mean/2-time.Millisecond || wait > mean*3/2 || info.LastError != errDown.Error() {
				t.Fatalf("after try %d: %v of waiting and error %q, want %v ± half", attempt, wait, info.LastError, mean)
			}
			if attempt == 3 { // another leader goes on where this one stops
				n.stop()
				r.node(ordered(s), nil)
			}
			if got := len(s.deliveries()); got != attempt {
				t.Fatalf("%d deliveries after %d tries", got, attempt)
			}
			if attempt == 14 {
				up.Store(true)
			}
			r.Advance(wait)
		}
		r.until("nothing is left", func() bool { return r.left() == 0 })
		if got := s.deliveries(); got[len(got)-1].Attempt != 15 {
			t.Errorf("the last delivery says it is try %d", got[len(got)-1].Attempt)
		}
	})
}

// busy is an error that asks for patience.
type busy struct{ until time.Time }

func (b busy) Error() string         { return "busy" }
func (b busy) RetryAfter() time.Time { return b.until }

func TestATargetMayAskForTime(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{5 * time.Minute: 5 * time.Minute, 48 * time.Hour: time.Hour} {
		each(t, func(t *testing.T, r rig) {
			s := &target{}
			until := time.UnixMilli(r.Now()).Add(asked)
			s.send = func(context.Context, Delivery) error { return fmt.Errorf("post: %w", busy{until}) }
			r.node(ordered(s), nil)
			r.put("hook/a", "one")
			r.until("it was tried", func() bool { return r.info("hook/a").Attempts == 1 })
			if wait := r.info("hook/a").Next.Sub(time.UnixMilli(r.Now())); wait != want {
				t.Errorf("asked for %v it waits %v, want %v", asked, wait, want)
			}
		})
	}
}

func TestWhatIsRefusedGoesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(_ context.Context, d Delivery) error {
			if d.ID == "bad" {
				return fmt.Errorf("post: %w", &Refused{errDown})
			}
			return nil
		}
		r.put("hook/a", "bad")
		r.put("hook/a", "good")
		r.node(ordered(s), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		want := map[string]string{"failed/hook/a/bad": "1", "delivered/hook/a/good": "1"}
		if diff := cmp.Diff(want, r.settled()); diff != "" || len(s.deliveries()) != 2 {
			t.Errorf("%d deliveries; %s", len(s.deliveries()), diff)
		}
	})
}

func TestWhatNeverSucceedsIsGivenUp(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(context.Context, Delivery) error { return errDown }
		kinds := ordered(s)
		k := kinds["hook"]
		k.Policy.GiveUp = time.Hour
		kinds["hook"] = k
		r.put("hook/a", "one")
		r.Advance(2 * time.Hour) // the whole cluster was down: that is not the target's fault
		r.node(kinds, nil)
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		if got := len(s.deliveries()); got != giveUpTries {
			t.Errorf("%d tries, want %d", got, giveUpTries)
		}
		if diff := cmp.Diff(map[string]string{"failed/hook/a/one": "1"}, r.settled()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASenderThatHangsIsCutOff(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(ctx context.Context, d Delivery) error {
			if d.Attempt > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		kinds := ordered(s)
		k := kinds["hook"]
		k.Policy.Timeout = 10 * time.Millisecond
		kinds["hook"] = k
		r.node(kinds, nil)
		r.put("hook/a", "one")
		r.until("it was tried", func() bool { return r.info("hook/a").Attempts == 1 })
		if got := r.info("hook/a").LastError; got != "no success within 10ms" {
			t.Errorf("error %q", got)
		}
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
	})
}

func TestPanicsOfASenderAreErrors(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(_ context.Context, d Delivery) error {
			if d.Attempt == 1 {
				panic("poison")
			}
			return nil
		}
		var settles atomic.Int64
		s.settle = func(d Delivery, _ error) error {
			if settles.Add(1) == 1 {
				panic("poison")
			}
			return nil
		}
		r.node(ordered(s), nil)
		r.put("hook/a", "one")
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		if diff := cmp.Diff(map[string]string{"delivered/hook/a/one": "1"}, r.settled()); diff != "" || len(s.deliveries()) != 2 {
			t.Errorf("%d deliveries; %s", len(s.deliveries()), diff)
		}
	})
}

func TestASettleThatNeverWorksDoesNotHoldUpTheQueue(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.settle = func(d Delivery, _ error) error {
			if d.ID == "one" {
				return errs.E(errs.Unavailable, "not now, not ever")
			}
			return nil
		}
		r.put("hook/a", "one")
		r.put("hook/a", "two")
		r.node(ordered(s), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		if diff := cmp.Diff(map[string]string{"delivered/hook/a/two": "1"}, r.settled()); diff != "" || len(s.deliveries()) != 2 {
			t.Errorf("%d deliveries; %s", len(s.deliveries()), diff)
		}
	})
}

func TestCommitsOfTheRunnerSurviveConflictsAndLostAnswers(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s := &target{}
		s.send = func(_ context.Context, d Delivery) error {
			switch d.Attempt % 3 {
			case 0:
				r.ConflictNext(2)
			case 1:
				r.LoseNext(1)
			case 2:
				r.FailNext(errs.E(errs.Unavailable, "no leader"))
			}
			if d.Attempt < 4 {
				return errDown
			}
			return nil
		}
		r.put("hook/a", "one")
		r.node(ordered(s), nil)
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		if diff := cmp.Diff(map[string]string{"delivered/hook/a/one": "1"}, r.settled()); diff != "" || len(s.deliveries()) != 4 {
			t.Errorf("%d deliveries, want 4; %s", len(s.deliveries()), diff)
		}
	})
}

func TestAKindThatIsNotKnownIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		r.put("telex/a", "one")
		r.put("hook/a", "one")
		s := &target{}
		r.node(ordered(s), nil)
		r.until("the other one is delivered", func() bool { return r.info("hook/a").Pending == 0 })
		if r.info("telex/a").Pending != 1 || len(s.deliveries()) != 1 {
			t.Error("the item of an unknown kind is gone")
		}
	})
}
