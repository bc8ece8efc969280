package outbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnItemOutlivesTheLeaderThatCommittedIt(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		first, second := &target{}, &target{}
		old := r.node(ordered(first), nil)
		old.stop()
		r.put("hook/a", "one")
		r.node(ordered(second), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		if len(first.deliveries()) != 0 || len(second.deliveries()) != 1 {
			t.Errorf("%d and %d deliveries", len(first.deliveries()), len(second.deliveries()))
		}
	})
}

// The first leader dies when the target has taken the item and before that is
// committed.
func TestADeliveryThatWasNotCommittedIsRepeatedUnderItsID(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		arrived := make(chan struct{})
		first, second := &target{}, &target{}
		first.send = func(ctx context.Context, _ Delivery) error {
			close(arrived)
			<-ctx.Done()
			return nil
		}
		r.put("hook/a", "one")
		r.put("hook/a", "two")
		old := r.node(ordered(first), nil)
		<-arrived
		old.stop()
		if r.left() != 2 || len(r.settled()) != 0 {
			t.Fatalf("%d items are left, %v settled", r.left(), r.settled())
		}
		r.node(ordered(second), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		a, b := first.deliveries(), second.deliveries()
		if len(a) != 1 || len(b) != 2 || !cmp.Equal(a[0], b[0]) || b[1].ID != "two" {
			t.Errorf("delivered %+v and then %+v", a, b)
		}
		if diff := cmp.Diff(map[string]string{"delivered/hook/a/one": "1", "delivered/hook/a/two": "1"}, r.settled()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALeaderThatStepsDownCommitsWhatItHasDelivered(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		arrived := make(chan struct{})
		first, second := &target{}, &target{}
		first.send = func(ctx context.Context, _ Delivery) error {
			close(arrived)
			<-ctx.Done()
			return nil
		}
		r.put("hook/a", "one")
		old := r.node(ordered(first), nil)
		<-arrived
		old.leads.Store(false)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n := r.node(ordered(second), nil)
		r.put("hook/a", "two")
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n.stop()
		if got := second.deliveries(); len(got) != 1 || got[0].ID != "two" {
			t.Errorf("the next leader delivered %+v", got)
		}
	})
}

func TestATryThatTheEndOfATermCutsOffDoesNotCount(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		arrived := make(chan struct{})
		first := &target{}
		first.send = func(ctx context.Context, _ Delivery) error {
			close(arrived)
			<-ctx.Done()
			return ctx.Err()
		}
		r.put("hook/a", "one")
		old := r.node(ordered(first), nil)
		<-arrived
		old.stop()
		if info := r.info("hook/a"); info.Attempts != 0 || info.Pending != 1 {
			t.Errorf("the queue says %+v", info)
		}
	})
}

// While a cluster elects, two nodes may both believe that they lead, for a
// moment. Here they do all the time.
func TestTwoLeadersAtOnceLoseNothingAndSettleOnce(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		var n atomic.Int64
		s := &target{}
		s.send = func(context.Context, Delivery) error {
			if n.Add(1)%5 == 0 {
				return errDown
			}
			return nil
		}
		r.node(ordered(s), nil)
		r.node(ordered(s), nil)
		want := make(map[string]string)
		for i := range 60 {
			r.put("hook/a", fmt.Sprint(i))
			want[fmt.Sprintf("delivered/hook/a/%d", i)] = "1"
		}
		r.until("nothing is left", func() bool { r.Advance(1e9); return r.left() == 0 })
		if diff := cmp.Diff(want, r.settled()); diff != "" {
			t.Error(diff)
		}
	})
}
