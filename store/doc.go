// Package store is the local store of one node: an ordered map from bytes to
// bytes with consistent snapshots, atomic batches, span deletes and cheap
// checkpoints. Pebble does the work, on disk or on an in-memory file system,
// so that there is one engine to trust.
//
// # What it guarantees
//
//   - A Batch is applied whole or not at all, also across a crash.
//   - There is no write-ahead log: the replicated log above is that log. A
//     Commit is visible at once and durable later. After a crash the store
//     holds a prefix of the committed batches, in commit order, that includes
//     everything committed before the last successful Flush or Checkpoint. A
//     caller that writes its own position into every batch therefore knows
//     from where to replay.
//   - A Snapshot reads one moment, whatever is committed, flushed or replaced
//     meanwhile.
//   - Replace swaps the whole content atomically: after an error or a crash at
//     any point the old content stands.
//   - A full disk is an error of kind errs.NoSpace and no loss: see below.
//
// # What it never does
//
// It never looks into a key or a value, never reads the wall clock or a random
// number, and touches files only through its vfs.FS.
//
// # Keys and values
//
// Any bytes, of any length that fits in memory; only the key must not be empty.
// The order is bytes.Compare. A span is [lo, hi): lo nil or empty starts at the
// first key, hi nil runs to the end.
// The store copies what Set, Delete and DeleteSpan are given.
//
// # When the disk is full
//
// Commits go on into memory while there is room in the memtables (four times
// Options.MemTableBytes). Then Commit returns errs.NoSpace; the batch is not
// applied and the same Batch may be committed later. Flush and Checkpoint
// return errs.NoSpace at once. Reads are served throughout. The store tries
// again by itself every 100 ms and recovers when there is room (after a failed
// compaction about half a minute later); Err tells which state it is in. Pebble
// alone would retry in a tight loop and block writers for ever; health.go stands
// between. A full disk under Pebble's manifest, which Pebble treats as fatal, is
// waited out in patient.go.
//
// # On disk
//
// The folder holds LOCK, one generation folder (gen-000001) with Pebble's
// files, and the pointer file CURRENT with the format number and the name of
// that generation. A generation that CURRENT does not name is a leftover of an
// interrupted Replace and is removed by Open.
package store
