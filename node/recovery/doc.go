// Package recovery brings a cluster back that has lost its quorum, out of the
// data folder of one survivor. It works on folders of nodes that are stopped.
//
// Raft without a quorum can do nothing, and rightly so: nobody can know what the
// lost voters had promised. To go on without them is an operator's decision. This
// package shows what it rests on: where each survivor stands (Survivor, a file
// that travels between machines), which of them has the newest log, what of its
// log may never have been committed and would be from now on, and what is known
// to be lost (Assess). Then Recover makes the survivor a cluster of its own.
//
// What is guaranteed:
//
//   - Everything in the survivor's log is kept, and counts as committed.
//   - The new cluster has a new id. The lost nodes, which have the old one, are
//     refused at the peer port and in the gossip, and told why.
//   - Versions that the lost past may have given to writes that nobody has any
//     more are never given again (fsm.Machine.NewEpoch).
//   - A crash at any point leaves a folder that a node refuses to start on, and
//     on which Recover, called again, comes to the same end; before its first
//     write the folder is as it was.
//   - A file that was altered, is of another cluster or of another release, or
//     says what no survivor can say, is refused.
//
// What is never done: to choose a survivor, to touch the lost nodes' data, to show
// or store keys or values.
//
// # How
//
// hashicorp/raft's RecoverCluster would restore the newest snapshot over the state,
// replay the log into it and write a snapshot with the new configuration. The same
// is done here by hand, since the state is durable as it is (no restore is needed),
// since the new epoch has to get into it between replay and snapshot, and since each
// step must be one that a second try finds done:
//
//  1. Copies of node.json, of the stable store and of the report go to
//     recovery/ in the data folder.
//  2. node.json says that a recovery is under way, with the new cluster's id, and
//     the index and the term of its first snapshot: one past the last of the log.
//     From here on the folder starts no node.
//  3. The log is applied to the state, all of it, and the new epoch begun.
//  4. A snapshot (hard links) at that index says that this node is the only voter.
//  5. The stable store gets that term: no vote and no entry of the past has it.
//  6. The log is emptied.
//  7. node.json gets the new id and remembers the old one as superseded.
package recovery
