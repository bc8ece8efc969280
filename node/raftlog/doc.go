// Package raftlog opens what a member writes before it answers: the Raft log
// and the stable store (term and vote) of a data folder.
//
// What it guarantees beyond the libraries below it:
//
//   - A folder remembers how it keeps its log; another kind is refused.
//   - A write that takes longer than the deadline is a stall: it is reported,
//     Stalled holds until the disk has proven itself with an fsync, and stalls
//     that pile up end the node. A leader on a stuck disk would otherwise go on
//     sending heartbeats and so keep the cluster without a working leader
//     (hashicorp/raft issues 503, 614 and 666).
//   - A write or an fsync that fails ends the node and is never repeated, and its
//     store takes no further write: after a failed append Raft's cached end of the
//     log is wrong. Only a new term is then still accepted, in memory, since Raft
//     would panic; with no vote and no entry on disk it binds to nothing.
//   - Term and candidate of a vote are one write: after a crash both are there
//     or neither is (hashicorp/raft issue 661).
//   - Values of the stable store carry a checksum.
//   - A ballast file is given up when the disk is full, so that the next term
//     can still be written: Raft panics when it cannot. Full tells the node to
//     refuse writes before it comes to that, and Crammed a follower to take no
//     more entries.
//
// It never retries what may have been written in part, never hides another
// error from Raft, and never deletes a log.
package raftlog
