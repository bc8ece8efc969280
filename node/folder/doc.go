// Package folder is the data folder of a node: whose it is, of which cluster,
// and what lies where in it.
//
//	node.json    whose it is
//	state/       the local store
//	raft/        Raft's log and stable store
//	snapshots/   checkpoints and received streams
//
// It guarantees that node.json is replaced whole and durably, so that a crash
// leaves the old one or the new one, and that state and log reach as far as the
// newest snapshot when CatchUp returns.
//
// It never gives a folder to another node or cluster than the one it was begun
// for, and never opens one in which the recovery of a cluster was left half done:
// see package recovery.
package folder
