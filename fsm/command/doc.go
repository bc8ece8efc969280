// Package command is the language of the replicated log, and its one encoding.
//
// The language is closed: six operations on an ordered map of bytes (set,
// delete, delete span, add, touch, reap) guarded by a list of what the writer
// has read. Features are layers above transactions; none of them adds a word
// here, so that a rolling upgrade never meets a log it cannot read.
//
// An Entry is what Raft stores: a format byte, a kind, the leader's stamp, one
// or more commands (or one chunk of a command too large for one entry, or one
// piece of a state that shall replace the whole), and a CRC32C over all of it. A decoder accepts exactly what the encoder writes, or
// returns an error; it never panics. Decoded values alias the bytes they came
// from.
//
// The package reads no clock, draws no random number and uses no reflection.
// testdata/format1.txt holds every construct with its bytes; lines may be
// added to it, never changed.
package command
