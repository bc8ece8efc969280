package node

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster/events"
)

func TestATraceSaysWhereTheTimeWent(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var tr trace
	logs := []*raft.Log{{Index: 7}, {Index: 8}}
	tr.wrote(logs, at(100), at(350))
	tr.applied(logs[1:], at(900), at(1000))
	for _, tc := range []struct {
		name  string
		index uint64
		want  events.Parts
	}{
		{"all is known", 8, events.Parts{Total: 1050, Queue: 100, Fsync: 250, Network: 600, Apply: 100}},
		{"not yet applied", 7, events.Parts{Total: 1050, Queue: 100, Fsync: 250, Network: 700}},
		{"an entry of another index", 8 + traced, events.Parts{Total: 1050, Network: 1050}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tr.parts(tc.index, at(0), at(1050)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	var none *trace
	none.wrote(logs, at(0), at(1)) // nobody wants to know
	none.applied(logs, at(0), at(1))
}
