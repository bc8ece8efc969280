// Package checkpoint keeps Raft's snapshots as folders of the local store.
//
// A snapshot that this member takes is a checkpoint: a folder of hard links that
// the store makes, at a cost that does not grow with the data. One that comes
// from a leader, or from an operator's backup, is a stream in a file. Both lie
// side by side:
//
//	DIR/<term>-<index>-<stamp>/meta.json   what Raft knows of the snapshot
//	                           data/       a checkpoint, or
//	                           stream      a stream
//
// A checkpoint becomes a stream only when a follower needs one. Raft announces a
// stream's length before it sends the first byte, and the follower reads exactly
// that many. Open finds the length by producing the stream once into the void,
// then produces it again for the reader. Writing it to a temporary file instead
// would cost as much disk as there is data, on the leader, next to the log whose
// fsyncs everyone is waiting for; reading twice costs processor time in the
// background, and only once a checkpoint: the length is remembered. It is sound
// because a checkpoint never changes; if a stream comes out at another length
// all the same, its reader gets an error instead of an end.
//
// What is guaranteed: a snapshot is listed only when all of it is on disk; a
// stream has been verified before it is listed; nothing that is open is removed;
// what a crash has left half done is removed at the next start. What is never
// done: to remove a folder whose description cannot be read. It is passed over
// with a line in the log.
package checkpoint
