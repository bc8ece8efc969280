package node

import (
	"context"
	"time"

	"github.com/coveydb/covey/cluster"
)

// learnEvery is how often a node looks whether the other members know of a
// cluster that theirs has superseded.
const learnEvery = 2 * time.Second

// Superseded returns the clusters whose place this node's has taken, the newest
// first: what was theirs, by id, is this one's.
func (n *Node) Superseded() []cluster.Superseded { return n.folder.Superseded() }

// supersedes is what this node announces: the last of them.
func (n *Node) supersedes() cluster.Superseded {
	if all := n.folder.Superseded(); len(all) > 0 {
		return all[0]
	}
	return cluster.Superseded{}
}

// superseded is for the transport.
func (n *Node) superseded(id [16]byte) (time.Time, bool) {
	for _, s := range n.folder.Superseded() {
		if s.ClusterID == id {
			return time.Unix(s.At, 0), true
		}
	}
	return time.Time{}, false
}

// learnSuperseded writes down what other members of the cluster know to be
// superseded, until ctx ends: a node that joined later must refuse the lost ones
// also when the one that was recovered is gone.
func (n *Node) learnSuperseded(ctx context.Context) {
	tick := time.NewTicker(learnEvery)
	defer tick.Stop()
	for {
		before := n.supersedes()
		for _, s := range n.gossip.Members() {
			if s.ClusterID != n.folder.ClusterID() {
				continue
			}
			if err := n.folder.Supersede(s.Supersedes); err != nil {
				n.log.Warn("a superseded cluster is not written down", "cluster", s.Supersedes.ClusterID, "err", err)
			}
		}
		if n.supersedes() != before {
			if err := n.gossip.SetMeta(n.meta()); err != nil {
				n.log.Warn("a superseded cluster is not announced", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
