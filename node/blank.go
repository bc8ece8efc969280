package node

// A voter that has lost its data folder has forgotten what it acknowledged. Its
// vote could make a node lead that lacks just that. So a node that comes into a
// cluster with nothing of its own votes only when a leader has brought it up.
// Whether it was a voter before it cannot know: all new nodes do so.

// founding is the index of the last entry in the log of a cluster that is being
// formed: its first configuration.
const founding = 1

// begins notes whether this node enters its cluster with nothing.
func (n *Node) begins(founder bool) { n.blank.Store(!founder && !n.hasState()) }

// forgot reports whether this node must not take part in the election of a
// candidate whose log ends at last. Who elects a leader of a cluster that is
// being formed has nothing to forget.
func (n *Node) forgot(last uint64) bool {
	if last <= founding {
		n.blank.Store(false)
	}
	return n.blank.Load()
}

// recall ends that, once this node has applied what the leader had when it told.
func (n *Node) recall(l leaderAt) {
	if !n.blank.Load() {
		return
	}
	if c := n.consensus.Load(); c != nil && l.index > 0 && c.raft.AppliedIndex() >= l.index {
		n.blank.Store(false)
		n.log.Info("this node has caught up and takes part in elections", "index", l.index)
	}
}
