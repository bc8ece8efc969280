package node

import "github.com/coveydb/covey/cluster"

// GossipKeys returns the keys that this node gossips with, the one it sends with
// first; none for clear text. They are secrets, and the caller's.
func (n *Node) GossipKeys() [][]byte { return n.gossip.Keys() }

// SetGossipKeys makes these the keys that this node gossips with, at once, and
// announces their names. The first one sends. Errors are those of
// cluster.Gossip.SetKeys.
func (n *Node) SetGossipKeys(keys [][]byte) error { return n.gossip.SetKeys(keys) }

// ClusterID is the cluster that this node is of; zero before there is one.
func (n *Node) ClusterID() cluster.ID { return n.folder.ClusterID() }
