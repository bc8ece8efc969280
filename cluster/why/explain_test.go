package why_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/cluster/why"
)

// Whatever nodes say: there is an answer, the worst comes first, each says
// something of somebody, and what is a failure says what to do.
func TestThereIsAlwaysAnAnswer(t *testing.T) {
	ids := []string{"n1", "n2", "n3", "n4"}
	rapid.Check(t, func(t *rapid.T) {
		v := why.View{Asked: "n1", Now: noon, Nodes: map[string]why.Facts{}, Missing: map[string]string{}}
		for i, id := range ids {
			if i > 0 && rapid.Bool().Draw(t, "missing") {
				v.Missing[id] = "x"
				continue
			}
			f := why.Facts{ID: id, Time: noon, Term: rapid.Uint64Range(0, 3).Draw(t, "term"), Serves: rapid.Bool().Draw(t, "serves")}
			f.Voters = rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 0, 4, rapid.ID).Draw(t, "voters")
			f.Disk.Stalled = rapid.Bool().Draw(t, "stalled")
			f.Disk.Level = rapid.SampledFrom([]string{"", "plenty", "low", "full"}).Draw(t, "room")
			f.Leader = rapid.SampledFrom(append(ids, "")).Draw(t, "leader")
			f.NonVoter = rapid.Bool().Draw(t, "nonvoter")
			f.Seen = []why.Seen{{ID: rapid.SampledFrom(ids).Draw(t, "seen"), Alive: rapid.Bool().Draw(t, "alive")}}
			v.Nodes[id] = f
		}
		q := why.Question{About: rapid.SampledFrom([]string{"", why.Leader, why.Writes, why.Voter, why.Stop}).Draw(t, "about"), Node: rapid.SampledFrom(ids).Draw(t, "node")}
		order := map[why.Severity]int{why.Failure: 0, why.Warning: 1, why.Info: 2, why.OK: 3}
		last := 0
		found := why.Explain(v, q)
		for _, f := range found {
			rank, ok := order[f.Severity]
			if !ok || rank < last || f.Text == "" || f.Subject == "" || f.Severity == why.Failure && f.Do == "" {
				t.Fatalf("finding %+v behind rank %d", f, last)
			}
			last = rank
		}
		if len(found) == 0 {
			t.Fatal(fmt.Sprintf("nothing to say about %+v", v))
		}
	})
}
