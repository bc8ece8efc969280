package node

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cluster/why"
)

const (
	opFacts     = "why.facts"
	factsFor    = 2 * time.Second // for all members to answer
	factsEvents = 300             // of each member
)

// facts is what this node says of itself and of the others.
func (n *Node) facts(ctx context.Context) why.Facts {
	disk := n.ownRoom()
	f := why.Facts{
		ID: n.cfg.ID, Time: time.Now(), State: "joining", NonVoter: n.cfg.NonVoter, Draining: n.draining.Load(), Blank: n.blank.Load(),
		Disk:      why.Disk{Stalled: n.logs.Stalled(), Level: disk.level.String(), Free: disk.free, Need: disk.need},
		StableFor: int(n.cfg.StableFor.Seconds()), Events: n.events.Last(factsEvents),
	}
	for _, s := range n.gossip.Members() {
		if s.NodeID != n.cfg.ID {
			f.Seen = append(f.Seen, why.Seen{ID: s.NodeID, Alive: s.Alive})
		}
	}
	slices.SortFunc(f.Seen, func(a, b why.Seen) int { return cmp.Compare(a.ID, b.ID) })
	c, err := n.raft()
	if err != nil {
		f.Reason = err.Error()
		return f
	}
	f.State, f.Term = stateName(c.raft.State()), c.raft.CurrentTerm()
	f.Last, f.Applied = c.raft.LastIndex(), c.raft.AppliedIndex()
	f.Leader, _, f.Reason = n.leader()
	for _, s := range c.servers() {
		if s.Suffrage == raft.Voter {
			f.Voters = append(f.Voters, string(s.ID))
		} else {
			f.NonVoters = append(f.NonVoters, string(s.ID))
		}
	}
	slices.Sort(f.Voters)
	slices.Sort(f.NonVoters)
	n.addWishes(ctx, &f)
	if f.Serves = n.IsLeader(); f.Serves {
		f.Keeping = n.keeping()
	}
	return f
}

// keeping says for how many seconds the members have kept up with this leader.
func (n *Node) keeping() map[string]int {
	since := n.stableSince.Load()
	if since == nil {
		return nil
	}
	all := make(map[string]int, len(*since))
	for id, t := range *since {
		all[id] = int(time.Since(t).Seconds())
	}
	return all
}

// addWishes adds what operators want of nodes, as this node's own state has it.
func (n *Node) addWishes(ctx context.Context, f *why.Facts) {
	wishes, err := n.loadWishes(ctx)
	if err != nil {
		n.log.Debug("what operators want of the membership cannot be read", "err", err)
	}
	for id, w := range wishes.Nodes {
		switch w {
		case cluster.WishRemoved:
			f.Removed = append(f.Removed, id)
		case cluster.WishNonVoter:
			f.Mute = append(f.Mute, id)
		}
	}
	slices.Sort(f.Removed)
	slices.Sort(f.Mute)
}

// handleFacts lets the other members ask for this node's facts.
func (n *Node) handleFacts() {
	n.HandleAdmin(opFacts, func(ctx context.Context, _ string, _ json.RawMessage) (any, error) { return n.facts(ctx), nil })
}

// Why explains the cluster from what all members say that can be asked, within
// two seconds. It works without a leader.
func (n *Node) Why(ctx context.Context, q why.Question) []why.Finding {
	return why.Explain(n.view(ctx), q)
}

// view asks all that are known.
func (n *Node) view(ctx context.Context) why.View {
	ctx, cancel := context.WithTimeout(ctx, factsFor)
	defer cancel()
	own := n.facts(ctx)
	v := why.View{Asked: n.cfg.ID, Now: own.Time, Nodes: map[string]why.Facts{own.ID: own}, Missing: map[string]string{}}
	ids := slices.Concat(own.Voters, own.NonVoters)
	for _, s := range own.Seen {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, id := range slices.Compact(ids) {
		if id == n.cfg.ID {
			continue
		}
		wg.Go(func() {
			var f why.Facts
			err := n.CallAdmin(ctx, id, opFacts, nil, &f)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && f.ID == id {
				v.Nodes[id] = f
			} else if err != nil {
				v.Missing[id] = err.Error()
			}
		})
	}
	wg.Wait()
	return v
}
