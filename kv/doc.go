// Package kv is transactions over the replicated state machine: the one way in
// which features read and write.
//
// A transaction runs as an ordinary function on the node that got the request,
// against a local snapshot. It remembers what it read and gathers what it
// writes; at its end both become one command, which the state machine applies
// if and only if nothing that was read has changed. So an Update is atomic and
// serializable, an acknowledged one is durable on a quorum, and a View that is
// linearizable sees every write acknowledged before it began, through any node.
//
// The package knows nothing of Raft: a Backend gives it snapshots and takes
// its commands. DESIGN.md tells why an Update first runs on whatever the node
// has at hand.
package kv
