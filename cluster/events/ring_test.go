package events_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/cluster/events"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestEventsComeBackInTheirOrder(t *testing.T) {
	var r events.Ring
	for i, k := range []events.Kind{events.Started, events.Candidate, events.Leads} {
		r.Add(events.Event{Time: noon.Add(time.Duration(i) * time.Second), Kind: k, Term: uint64(i)})
	}
	got := r.Last(2)
	if len(got) != 2 || got[0].Kind != events.Candidate || got[1].Kind != events.Leads {
		t.Errorf("got %+v", got)
	}
	got[0].Kind = "mine"
	if again := r.Last(100); len(again) != 3 || again[1].Kind != events.Candidate {
		t.Errorf("the list is not the caller's own: %+v", again)
	}
	if got := r.Last(-1); len(got) != 0 {
		t.Errorf("Last(-1) is %v", got)
	}
}

func TestManyOfAKindAtOnceAreOne(t *testing.T) {
	var r events.Ring
	slow := func(at time.Duration, total float64) {
		r.Add(events.Event{Time: noon.Add(at), Kind: events.SlowWrite, Text: "write", Parts: &events.Parts{Total: total}})
	}
	slow(0, 600)
	r.Add(events.Event{Time: noon, Kind: events.Stall})
	slow(300*time.Millisecond, 900)
	slow(900*time.Millisecond, 700)
	slow(1100*time.Millisecond, 501)
	got := r.Last(9)
	if len(got) != 3 || got[0].Count != 3 || got[0].Parts.Total != 900 || !got[0].Time.Equal(noon) || got[2].Count != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestAChangeIsNeverJoined(t *testing.T) {
	var r events.Ring
	for range 3 {
		r.Add(events.Event{Time: noon, Kind: events.Leader, Node: "n1"})
	}
	if got := r.Last(9); len(got) != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestAFloodOfOneKindPushesOutNoOther(t *testing.T) {
	var r events.Ring
	r.Add(events.Event{Time: noon, Kind: events.Leads})
	for i := range 3 * events.Size {
		r.Add(events.Event{Time: noon.Add(time.Duration(i) * time.Minute), Kind: events.SlowWrite})
	}
	got := r.Last(5000)
	if len(got) != events.Size || got[0].Kind != events.Leads {
		t.Errorf("%d events, the first is %+v", len(got), got[0])
	}
}

func TestATextIsBounded(t *testing.T) {
	var r events.Ring
	r.Add(events.Event{Kind: events.Refused, Text: strings.Repeat("x", 5000)})
	if got := r.Last(1)[0]; len(got.Text) != 500 || got.Time.IsZero() {
		t.Errorf("a text of %d bytes at %v", len(got.Text), got.Time)
	}
}

func TestTheBoundHoldsWhateverComes(t *testing.T) {
	kinds := []events.Kind{events.SlowWrite, events.Leads, events.Refused, events.Member}
	rapid.Check(t, func(t *rapid.T) {
		var r events.Ring
		now := noon
		for range rapid.IntRange(0, 2500).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			r.Add(events.Event{Time: now, Kind: rapid.SampledFrom(kinds).Draw(t, "kind")})
		}
		got := r.Last(1 << 20)
		if len(got) > events.Size {
			t.Fatalf("%d events", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].Time.Before(got[i-1].Time) {
				t.Fatal("out of order")
			}
		}
	})
}

func TestARingIsSafeForConcurrentUse(t *testing.T) {
	var r events.Ring
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				r.Add(events.Event{Kind: events.SlowRead})
				r.Last(10)
			}
		})
	}
	wg.Wait()
	total := 0
	for _, e := range r.Last(events.Size) {
		total += max(e.Count, 1)
	}
	if total != 2000 {
		t.Errorf("%d events are accounted for, want 2000", total)
	}
}

func TestTheLargestPart(t *testing.T) {
	for want, p := range map[string]events.Parts{
		"queue": {Queue: 3, Fsync: 2}, "fsync": {Fsync: 5, Network: 4}, "network": {Network: 1}, "apply": {Queue: 1, Apply: 9},
	} {
		if got, ms := p.Largest(); got != want || ms == 0 {
			t.Errorf("%+v: %s %v", p, got, ms)
		}
	}
}
