package node

import (
	"context"
	"time"
)

// A voter that has lost its data folder has forgotten what it acknowledged. Its
// vote could make a node lead that lacks just that. So a node that comes into a
// cluster with nothing of its own votes only when a leader has brought it up,
// and is no witness of who leads until then. Whether it was a voter before it
// cannot know: all new nodes do so. Its folder says so too, from before anything
// else is in it: a node that is stopped half way has a log, but not all of it.

const (
	// founding is the index of the last entry in the log of a cluster that is being
	// formed: its first configuration.
	founding = 1

	catchUpEvery = 100 * time.Millisecond // between looks at how far it got
)

// begins notes, durably, whether this node enters its cluster with nothing, or
// did so and was stopped before it had caught up.
func (n *Node) begins(founder bool) error {
	blank := !founder && (n.folder.Blank() || !n.hasState())
	n.blank.Store(blank)
	return n.folder.SetBlank(blank)
}

// forgot reports whether this node must not take part in the election of a
// candidate whose log ends at last. Who elects a leader of a cluster that is
// being formed has nothing to forget; that is on disk before the vote is, or all
// voters of a young cluster might wait for a leader after a restart.
func (n *Node) forgot(last uint64) bool {
	if n.blank.Load() && last <= founding {
		n.recalled()
	}
	return n.blank.Load()
}

// catchUp ends that, once this node has applied all that a leader had when it
// told, which is more than all that was ever acknowledged by then.
func (n *Node) catchUp(ctx context.Context) {
	tick := time.NewTicker(catchUpEvery)
	defer tick.Stop()
	for n.blank.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c, h := n.consensus.Load(), n.heard.Load()
		if c != nil && h != nil && h.last > 0 && c.raft.AppliedIndex() >= h.last && n.blank.Load() && n.recalled() {
			n.log.Info("this node has caught up and takes part in elections", "index", h.last)
		}
	}
}

// recalled lets this node vote, as soon as its folder says that it may.
func (n *Node) recalled() bool {
	if err := n.folder.SetBlank(false); err != nil {
		n.log.Warn("this node cannot write down that it has caught up, and takes no part in elections", "err", err)
		return false
	}
	n.blank.Store(false)
	return true
}
