package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestAQueueThatHoldsTooMuchIsSuspended(t *testing.T) {
	tests := map[string]func(*Runner){
		"by number": func(n *Runner) { n.maxPending = 10 },
		"by bytes":  func(n *Runner) { n.maxBytes = 10 * 12 },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r rig) {
				s, up := downTarget()
				n := r.node(ordered(s), edit)
				r.update(func(tx *kv.Tx) error {
					for i := range 12 {
						if err := Put(tx, Item{Queue: "hook/a", ID: fmt.Sprint(i), Payload: make([]byte, 12)}); err != nil {
							return err
						}
					}
					return nil
				})
				r.until("it is suspended", func() bool { return !r.info("hook/a").Suspended.IsZero() })
				_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
					tx.Set([]byte("beside"), nil, 0)
					if err := Put(tx, Item{Queue: "hook/a", ID: "late"}); !errors.Is(err, ErrSuspended) || !errs.Is(err, errs.Unavailable) {
						return fmt.Errorf("put into a suspended queue: %w", err)
					}
					return Put(tx, Item{Queue: "hook/b", ID: "another"})
				})
				if err != nil {
					t.Fatal(err)
				}
				if r.info("hook/a").Pending != 12 || r.info("hook/b").Pending != 1 {
					t.Error("the suspended queue has taken an item, or the other one has not")
				}
				up.Store(true)
				r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
				r.put("hook/a", "again")
				r.until("nothing is left", func() bool { return r.left() == 0 })
				n.stop()
				if len(r.settled()) != 14 {
					t.Errorf("%d items settled, want 14", len(r.settled()))
				}
			})
		})
	}
}

// Where nothing can be delivered queues are bounded all the same, and lose
// nothing.
func TestAQueueThatNobodySendsIsSuspended(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		n := r.node(unordered(nil), func(n *Runner) { n.maxPending = 10 })
		r.put("mail/a", "the-first")
		r.put("mail/b", "another")
		for i := range 10 {
			r.put("mail/a", fmt.Sprint(i))
		}
		r.until("it is suspended", func() bool { return !r.info("mail/a").Suspended.IsZero() })
		if r.info("mail/a").Pending != 11 || !r.info("mail/b").Suspended.IsZero() {
			t.Error("the suspended queue has lost an item, or the other one is suspended too")
		}
		r.update(func(tx *kv.Tx) error { Drop(tx, "mail/b"); return nil })
		n.stop()
		s := &target{}
		n = r.node(unordered(s), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
		n.stop()
		if len(r.settled()) != 11 || len(s.deliveries()) != 11 {
			t.Errorf("%d items settled by %d deliveries, want 11", len(r.settled()), len(s.deliveries()))
		}
	})
}

// A queue that was suspended is freed when it is dropped, also where nothing can
// be delivered.
func TestASuspendedQueueThatNobodySendsIsFreedByDrop(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		r.node(unordered(nil), func(n *Runner) { n.maxPending = 1 })
		r.put("mail/a", "1")
		r.put("mail/a", "2")
		r.until("it is suspended", func() bool { return !r.info("mail/a").Suspended.IsZero() })
		r.update(func(tx *kv.Tx) error { Drop(tx, "mail/a"); return nil })
		r.put("mail/a", "3")
		r.put("mail/a", "4")
		r.until("it is suspended again", func() bool { return !r.info("mail/a").Suspended.IsZero() })
	})
}

func TestASuspendedQueueWithoutItemsIsFreed(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		r.update(func(tx *kv.Tx) error {
			put(tx, suspendedKey("hook/a"), suspension{Since: 1})
			return nil
		})
		r.node(ordered(&target{}), nil)
		r.until("nothing is left", func() bool { return r.left() == 0 })
	})
}

func TestRetryNowDoesNotWait(t *testing.T) {
	for name, kinds := range map[string]func(Sender) map[string]Kind{"hook/a": ordered, "mail/a": unordered} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r rig) {
				s := &target{}
				s.send = func(_ context.Context, d Delivery) error {
					if d.Attempt < 3 {
						return errDown
					}
					return nil
				}
				r.node(kinds(s), nil)
				r.put(name, "one")
				for attempt := 1; attempt < 3; attempt++ {
					r.until("it was tried", func() bool { return r.info(name).Attempts == attempt })
					r.update(func(tx *kv.Tx) error { return RetryNow(tx, name) })
				}
				r.until("nothing is left", func() bool { return r.left() == 0 })
				if r.Now() != kvtest.Start {
					t.Error("the clock was turned")
				}
			})
		})
	}
}

func TestDropRemovesAQueueAndNoOther(t *testing.T) {
	each(t, func(t *testing.T, r rig) {
		s, up := downTarget()
		n := r.node(ordered(s), nil)
		for i := range 3 {
			r.put("hook/a", fmt.Sprint(i))
			r.put("hook/ab", fmt.Sprint(i))
		}
		r.until("both were tried", func() bool { return r.info("hook/a").Attempts == 1 && r.info("hook/ab").Attempts == 1 })
		r.update(func(tx *kv.Tx) error {
			put(tx, suspendedKey("hook/a"), suspension{Since: 1})
			return nil
		})
		r.update(func(tx *kv.Tx) error { Drop(tx, "hook/a"); return nil })
		up.Store(true)
		r.put("hook/a", "new")
		r.until("nothing is left", func() bool { r.Advance(time.Second); return r.left() == 0 })
		n.stop()
		want := map[string]string{"delivered/hook/a/new": "1", "delivered/hook/ab/0": "1", "delivered/hook/ab/1": "1", "delivered/hook/ab/2": "1"}
		if diff := cmp.Diff(want, r.settled()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestQueuesListsByPrefixAndPage(t *testing.T) {
	r := rig{kvtest.New(t), t, false}
	r.put("hook/a", "1")
	r.Advance(time.Minute)
	r.put("hook/a", "0")
	r.put("hook/ab", "1")
	r.put("hook/b", "1")
	r.put("mail/a", "1")
	r.update(func(tx *kv.Tx) error {
		tries{Attempts: 2, Next: kvtest.Start + 5, Error: "two"}.put(tx, "hook/a", "1")
		put(tx, suspendedKey("hook/b"), suspension{Since: kvtest.Start})
		return nil
	})
	start := time.UnixMilli(kvtest.Start)
	all := []QueueInfo{
		{Queue: "hook/a", Pending: 2, Oldest: start, Attempts: 2, Next: start.Add(5 * time.Millisecond), LastError: "two"},
		{Queue: "hook/ab", Pending: 1, Oldest: start.Add(time.Minute)},
		{Queue: "hook/b", Pending: 1, Oldest: start.Add(time.Minute), Suspended: start},
		{Queue: "mail/a", Pending: 1, Oldest: start.Add(time.Minute)},
	}
	for _, tt := range []struct {
		prefix, after string
		want          []QueueInfo
	}{
		{"", "", all},
		{"hook/", "", all[:3]},
		{"hook/a", "", all[:2]},
		{"hook/", "hook/a", all[1:3]},
		{"hook/", "hook/aa", all[1:3]},
		{"hook/", "zzz", nil},
		{"mail/", "hook/b", all[3:]},
		{"x", "", nil},
	} {
		t.Run(tt.prefix+" after "+tt.after, func(t *testing.T) {
			r.view(func(tx *kv.Tx) error {
				got, err := Queues(tx, tt.prefix, tt.after)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				return err
			})
		})
	}
	for i := range 130 {
		r.put(fmt.Sprintf("many/%03d", i), "1")
	}
	r.view(func(tx *kv.Tx) error {
		n, after := 0, ""
		for {
			page, err := Queues(tx, "many/", after)
			if err != nil || len(page) == 0 {
				if n != 130 {
					t.Errorf("%d queues on all pages, want 130", n)
				}
				return err
			}
			n, after = n+len(page), page[len(page)-1].Queue
		}
	})
}

func TestSeveralQueuesShareWhatIsLookedAt(t *testing.T) {
	r := rig{kvtest.New(t), t, false}
	fill := func(queue string, items, size int) {
		const batch = 1000
		for from := 0; from < items; from += batch {
			r.update(func(tx *kv.Tx) error {
				for i := from; i < min(from+batch, items); i++ {
					if err := Put(tx, Item{Queue: queue, ID: fmt.Sprint(i), Payload: make([]byte, size)}); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	fill("hook/many", maxCounted+1, 0)
	fill("hook/exact", maxCounted, 0)
	fill("hook/few", 3, 0)
	fill("hook/large", 6, 4<<20)
	r.update(func(tx *kv.Tx) error {
		tries{Attempts: 2, Error: "down"}.put(tx, "hook/few", "1")
		put(tx, suspendedKey("hook/none"), suspension{Since: kvtest.Start})
		return nil
	})
	many := make([]string, 50)
	for i := range many {
		many[i] = "hook/many"
	}
	for _, tt := range []struct {
		name   string
		queues []string
		want   string
	}{
		{"no queue", nil, ""},
		{"one has no more than Queue tells", []string{"hook/many"}, "10000+"},
		{"a count that is exact", []string{"hook/exact", "hook/few"}, "10000 3"},
		{"what one leaves goes to those after it", []string{"hook/none", "hook/few", "hook/few", "hook/exact", "hook/many"}, "0 3 3 9997+ 9997+"},
		{"each has its share", []string{"hook/many", "hook/few", "hook/many", "hook/none"}, "5000+ 3 7498+ 0"},
		{"fifty that are full", many, strings.TrimSpace(strings.Repeat("400+ ", 50))},
		{"bytes are shared too", []string{"hook/large", "hook/large", "hook/large", "hook/large", "hook/large", "hook/few"}, "3+ 3+ 3+ 3+ 2+ 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.view(func(tx *kv.Tx) error {
				list, err := Several(tx, tt.queues)
				if err != nil {
					return err
				}
				var got []string
				for i, q := range list {
					text := fmt.Sprint(q.Pending)
					if q.More {
						text += "+"
					}
					got = append(got, text)
					if q.Queue != tt.queues[i] || q.Queue == "hook/few" && q.LastError != "down" || q.Queue == "hook/none" && q.Suspended.IsZero() {
						t.Errorf("%+v", q)
					}
				}
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Error(diff)
				}
				return nil
			})
		})
	}
}

func TestPutRefusesWhatIsNoItem(t *testing.T) {
	r := rig{kvtest.New(t), t, false}
	for name, tt := range map[string]struct {
		item Item
		kind errs.Kind
	}{
		"no kind":          {Item{Queue: "/a", ID: "1"}, errs.Invalid},
		"no target":        {Item{Queue: "hook/", ID: "1"}, errs.Invalid},
		"no slash":         {Item{Queue: "hook", ID: "1"}, errs.Invalid},
		"a long queue":     {Item{Queue: "hook/" + strings.Repeat("a", 252), ID: "1"}, errs.Invalid},
		"a line break":     {Item{Queue: "hook/a\nb", ID: "1"}, errs.Invalid},
		"no UTF-8":         {Item{Queue: "hook/\xff", ID: "1"}, errs.Invalid},
		"no id":            {Item{Queue: "hook/a"}, errs.Invalid},
		"a long id":        {Item{Queue: "hook/a", ID: strings.Repeat("a", 65)}, errs.Invalid},
		"an odd id":        {Item{Queue: "hook/a", ID: "a b"}, errs.Invalid},
		"too much payload": {Item{Queue: "hook/a", ID: "1", Payload: make([]byte, maxPayload+1)}, errs.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error { return Put(tx, tt.item) })
			if !errs.Is(err, tt.kind) || r.left() != 0 {
				t.Errorf("put: %v, want %v", err, tt.kind)
			}
		})
	}
}

func TestPutsIntoOneQueueDoNotConflict(t *testing.T) {
	r := rig{kvtest.New(t), t, false}
	before := r.Commits()
	r.update(func(tx *kv.Tx) error {
		if err := Put(tx, Item{Queue: "hook/a", ID: "outer"}); err != nil {
			return err
		}
		_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error { return Put(tx, Item{Queue: "hook/a", ID: fmt.Sprint("inner", r.Commits())}) })
		return err
	})
	if got := r.Commits() - before; got != 2 {
		t.Errorf("%d commits, want 2", got)
	}
}

func TestMetricsTellByKind(t *testing.T) {
	r := rig{kvtest.New(t), t, true}
	reg := prometheus.NewRegistry()
	s := &target{}
	s.send = func(_ context.Context, d Delivery) error {
		if d.Queue == "hook/down" {
			return errDown
		}
		return nil
	}
	n := r.node(ordered(s), func(n *Runner) { n.Metrics = reg })
	r.put("hook/down", "1")
	r.put("hook/down", "2")
	r.put("hook/up", "1")
	value := func(name, outcome string) float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name && (outcome == "" || m.GetLabel()[1].GetValue() == outcome) {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
		return -1
	}
	r.until("the numbers are right", func() bool {
		return value("covey_outbox_deliveries_total", "delivered") == 1 && value("covey_outbox_deliveries_total", "failed") == 1 &&
			value("covey_outbox_pending", "") == 2 && value("covey_outbox_oldest_seconds", "") > 0
	})
	n.leads.Store(false)
	r.until("only the leader tells what waits", func() bool { return value("covey_outbox_pending", "") == -1 })
	n.stop()
	if value("covey_outbox_deliveries_total", "delivered") != -1 {
		t.Error("the metrics are still registered")
	}
}
