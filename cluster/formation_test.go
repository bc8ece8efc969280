package cluster

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// formation is a model of nodes that form a first cluster: each sees the
// others as it last heard of them, in any order and as late as the test likes.
type formation struct {
	expect int
	nodes  []*candidate
	formed map[ID]string // clusters, and who formed them
}

type candidate struct {
	meta Meta            // what it announces
	view map[string]Seen // what it heard
	disk ID              // its cluster, kept over restarts
}

func newFormation(n, expect int) *formation {
	f := &formation{expect: expect, formed: map[ID]string{}}
	for i := range n {
		f.nodes = append(f.nodes, &candidate{})
		f.start(i)
	}
	return f
}

// start is a start or restart: what is not on disk is forgotten.
func (f *formation) start(i int) {
	c := f.nodes[i]
	id := fmt.Sprint("n", i)
	c.meta = Meta{NodeID: id, PeerAddr: id + ":1", BootstrapExpect: f.expect, ClusterID: c.disk, HasState: !c.disk.IsZero()}
	c.view = map[string]Seen{}
	f.step(i)
}

// hear lets node to learn what node from announces now.
func (f *formation) hear(from, to int) {
	m := f.nodes[from].meta
	f.nodes[to].view[m.NodeID] = Seen{Meta: m, Alive: true}
	f.step(to)
}

// bury lets node at believe that node who is dead.
func (f *formation) bury(who, at int) {
	id := fmt.Sprint("n", who)
	if s, ok := f.nodes[at].view[id]; ok {
		s.Alive = false
		f.nodes[at].view[id] = s
		f.step(at)
	}
}

// step is what a node does after each news: what Gossip does for Choice, and
// what its user is told to do by the documentation of Bootstrap and Adopt.
func (f *formation) step(i int) {
	c := f.nodes[i]
	var seen []Seen
	for _, s := range c.view {
		seen = append(seen, s)
	}
	self := Seen{Meta: c.meta, Alive: true}
	c.meta.Choice = 0
	if chosen, wait := choose(self, seen, f.expect); wait == "" {
		c.meta.Choice = digest(chosen)
	}
	self.Meta = c.meta
	if _, yes := Bootstrap(self, seen, f.expect); yes {
		c.disk = ID{byte(len(f.formed) + 1)}
		f.formed[c.disk] = c.meta.NodeID
	} else if id, ok := Adopt(self, seen); ok {
		c.disk = id
	}
	c.meta.ClusterID, c.meta.HasState = c.disk, !c.disk.IsZero()
}

func (f *formation) check(t *rapid.T) {
	if len(f.formed) > 1 {
		t.Fatalf("%d clusters were formed: %v", len(f.formed), f.formed)
	}
}

// settle lets everybody hear everybody until nothing is left to say, and
// requires that all are of one cluster then.
func (f *formation) settle(t *rapid.T) {
	for range 4 {
		for a := range f.nodes {
			for b := range f.nodes {
				if a != b {
					f.hear(a, b)
					f.check(t)
				}
			}
		}
	}
	for _, c := range f.nodes {
		if c.disk.IsZero() || c.disk != f.nodes[0].disk {
			t.Fatalf("node %s is of cluster %v, node n0 of %v", c.meta.NodeID, c.disk, f.nodes[0].disk)
		}
	}
}

// With as many nodes as expected, nothing that gossip does leads to a second
// cluster: late news, restarts, wrong obituaries.
func TestExpectedNodesFormOneClusterWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "nodes")
		node := rapid.IntRange(0, n-1)
		f := newFormation(n, n)
		t.Repeat(map[string]func(*rapid.T){
			"hear":    func(t *rapid.T) { f.hearSome(t, node) },
			"restart": func(t *rapid.T) { f.start(node.Draw(t, "who")) },
			"bury":    func(t *rapid.T) { f.bury(node.Draw(t, "who"), node.Draw(t, "at")) },
			"":        f.check,
		})
		f.settle(t)
	})
}

// With more nodes than expected, but fewer than twice as many, late news alone
// do not lead to a second cluster. (Twice as many can be two halves that never
// heard of each other, each as large as expected.)
func TestMoreNodesThanExpectedFormOneCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expect := rapid.IntRange(2, 4).Draw(t, "expect")
		n := expect + rapid.IntRange(1, expect-1).Draw(t, "more")
		node := rapid.IntRange(0, n-1)
		f := newFormation(n, expect)
		t.Repeat(map[string]func(*rapid.T){
			"hear": func(t *rapid.T) { f.hearSome(t, node) },
			"":     f.check,
		})
	})
}

func (f *formation) hearSome(t *rapid.T, node *rapid.Generator[int]) {
	for range 4 {
		if from, to := node.Draw(t, "from"), node.Draw(t, "to"); from != to {
			f.hear(from, to)
		}
	}
}

// Whatever is seen, Plan keeps its promises, and repeating it comes to rest.
func TestPlanKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := ID{1}
		id := rapid.SampledFrom([]string{"n1", "n2", "n3", "n4", "n5"})
		addr := rapid.SampledFrom([]string{"h1:1", "h2:1", "h3:1", "h4:1", "h5:1", "h6:1"})
		have := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Server {
			return Server{ID: id.Draw(t, "id"), Voter: rapid.Bool().Draw(t, "voter"), CaughtUp: true, StableFor: time.Hour}
		}), 1, 5, func(s Server) string { return s.ID }).Draw(t, "have")
		for i := range have {
			have[i].Addr = fmt.Sprintf("h%d:1", i+1)
		}
		seen := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Seen {
			cluster := rapid.SampledFrom([]ID{ours, ours, ours, {2}, {}}).Draw(t, "cluster")
			m := Meta{NodeID: id.Draw(t, "id"), PeerAddr: addr.Draw(t, "addr"), ClusterID: cluster, NonVoter: rapid.Bool().Draw(t, "nonvoter")}
			return Seen{Meta: m, Alive: rapid.Bool().Draw(t, "alive")}
		}), 0, 5, func(s Seen) string { return s.NodeID }).Draw(t, "seen")
		p := Policy{Self: have[0].ID, ClusterID: ours}
		for range 30 {
			changes := Plan(have, seen, p)
			next, moved := apply(t, have, changes)
			if have = next; !moved {
				return
			}
		}
		t.Fatalf("no rest after 30 rounds: %+v, seen %+v", have, seen)
	})
}

// apply makes the changes as Raft would, and checks each.
func apply(t *rapid.T, have []Server, changes []Change) (next []Server, moved bool) {
	voters := 0
	next = append(next, have...)
	for _, c := range changes {
		if c.Kind == Refuse {
			continue
		}
		moved = true
		at := -1
		for i, s := range next {
			if s.ID == c.ID {
				at = i
			} else if s.Addr == c.Addr {
				t.Fatalf("%+v: the address is that of %s", c, s.ID)
			}
		}
		switch {
		case c.Kind == AddNonvoter && (at >= 0 || c.Voter):
			t.Fatalf("%+v: it is a server already, or would vote at once", c)
		case c.Kind == AddNonvoter:
			next = append(next, Server{ID: c.ID, Addr: c.Addr, CaughtUp: true, StableFor: time.Hour})
			continue
		case at < 0 || next[at].Voter && !c.Voter:
			t.Fatalf("%+v: it is no server, or would lose its vote", c)
		}
		if c.Voter {
			voters++
		}
		next[at].Addr, next[at].Voter = c.Addr, c.Voter
	}
	if voters > 1 {
		t.Fatalf("%d voters changed in one round: %+v", voters, changes)
	}
	return next, moved
}
