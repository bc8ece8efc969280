package node

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

func TestCountingAllocatesNothing(t *testing.T) {
	m := newMeters()
	log := meteredLog{nothing{}, m}
	logs := []*raft.Log{{Index: 1, Data: make([]byte, 100)}}
	work := func() {
		began := time.Now()
		m.entry(17)
		since(m.queue, began)
		since(m.commit, began)
		since(m.apply, began)
		if err := log.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		work() // the native buckets that these times fall into are made once
	}
	if n := testing.AllocsPerRun(1000, work); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// nothing is a log that keeps nothing.
type nothing struct{ raft.LogStore }

func (nothing) StoreLogs([]*raft.Log) error { return nil }

// BenchmarkCounting is all that is counted of one command that makes up an
// entry of its own.
func BenchmarkCounting(b *testing.B) {
	m := newMeters()
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		m.entry(1)
		for _, h := range []prometheus.Histogram{m.queue, m.entryCommit, m.logAppend, m.apply, m.commit} {
			since(h, began)
		}
	}
}

func value(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := families[0].Metric[0]
	if m.Gauge != nil {
		return m.Gauge.GetValue()
	}
	return m.Counter.GetValue()
}

func TestWhatIsGivenUpIsCountedByItsOutcome(t *testing.T) {
	m := newMeters()
	for _, err := range []error{
		errs.E(errs.Unknown, "no answer"), errs.E(errs.Unavailable, "no leader"), errs.E(errs.Invalid, "x"),
	} {
		if got := m.gaveUp(err); !errors.Is(got, err) {
			t.Errorf("got %v for %v", got, err)
		}
	}
	if u, a := value(t, m.unknown), value(t, m.unavailable); u != 1 || a != 2 {
		t.Errorf("%v unknown, %v unavailable", u, a)
	}
}

func TestOnlyWhatEndsWellHasATime(t *testing.T) {
	m := newTimed("thing", "doing a thing")
	bad := errors.New("bad")
	if err := m.record(time.Now(), bad); err != bad {
		t.Errorf("got %v", err)
	}
	if value(t, m.failed) != 1 || value(t, m.total) != 0 || value(t, m.seconds) != 0 || value(t, m.ended) != 0 {
		t.Error("a failure was taken for more")
	}
	if err := m.record(time.Now().Add(-time.Minute), nil); err != nil {
		t.Error(err)
	}
	if s := value(t, m.seconds); value(t, m.total) != 1 || s < 60 || s > 70 || value(t, m.ended) < 1e9 {
		t.Errorf("%v times, %v s, at %v", value(t, m.total), s, value(t, m.ended))
	}
}

func TestReapedCountsWhatTheMachineSays(t *testing.T) {
	m := newMeters()
	m.reaped(command.Result{Added: [][]byte{[]byte("12")}})
	m.reaped(command.Result{})
	if got := value(t, m.reapedTotal); got != 12 {
		t.Errorf("got %v", got)
	}
}

func TestALeaderOfAnEarlierTermIsNotHeard(t *testing.T) {
	for name, tt := range map[string]struct {
		said leaderAt
		now  uint64
		want bool
	}{
		"the leader of now":          {leaderAt{term: 7, version: 1}, 7, true},
		"one that we have not met":   {leaderAt{term: 8, version: 1}, 7, true},
		"one that was deposed":       {leaderAt{term: 6, version: 1}, 7, false},
		"a peer that does not lead":  {leaderAt{}, 0, false},
		"a peer of an older release": {leaderAt{}, 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &Node{}
			n.hear(tt.now, tt.said)
			if got := n.heard.Load() != nil; got != tt.want {
				t.Errorf("heard: %v", got)
			}
		})
	}
}
