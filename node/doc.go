// Package node is one member of a cluster: the only room that knows Raft.
//
// A Node owns the local store with its state machine, the Raft log, the peer
// port and the gossip, and is a kv.Backend: Commit puts a command through the
// log, from whichever node it comes; View gives a state as fresh as was asked
// for. It serves nothing to clients itself.
//
// It guarantees that a command which Commit calls applied is on the disks of a
// quorum and will stay applied; that one which it calls unavailable was not and
// will not be applied; and that a linearizable View shows every command that
// any node acknowledged before the View was asked for, through pauses, cuts and
// changes of leader. DESIGN.md says how, and which faults of the libraries
// below are worked around where.
//
// Duties of the caller: Open, watch Done (the node stops itself rather than
// run on with a failing disk or a diverging state), Close.
package node
