// Package cluster knows who is alive and decides what Raft's membership should
// become.
//
// Gossip (memberlist) carries a small Meta of every node to every other, finds
// the dead, and keeps looking for those it has lost. Three pure functions draw
// conclusions from what it saw: Plan says which changes the leader should make
// to the membership, Bootstrap whether this node shall form the first cluster,
// Adopt which cluster a node without one belongs to. DESIGN.md explains them.
//
// # What it guarantees
//
//   - Plan never removes or demotes a server, and changes at most one voter at
//     a time: gossip may be wrong about who is dead, and must not cost a quorum.
//   - While exactly as many nodes as --bootstrap-expect names are started with
//     it, one cluster is formed however they start, stop and restart.
//   - Nodes of another cluster are never members here; they are listed as
//     Foreign and logged once.
//   - Callbacks of memberlist never block and never call back into it.
//
// # What it never does
//
// It does not change Raft's membership, draw or keep a cluster id, or decide
// who may join: the gossip key, the peers' TLS and the operator do that.
package cluster
