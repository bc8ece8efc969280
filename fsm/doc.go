// Package fsm says what a committed log entry does to the local store: the
// replicated state machine.
//
// It is pure. The same entries in the same order give the same bytes on every
// node, whatever their clocks, restarts and snapshots: time comes from the
// entry's stamp, randomness from the proposer, and nothing here ranges over a
// map, opens a file or knows Raft. DESIGN.md tells the commit rule, the key
// layout and why it is enough.
//
// Duties of the caller, in order: Open the machine on a store; hand every
// committed entry, from the machine's Index plus one on, to Apply from one
// goroutine at a time (entries at or below Index are skipped); stop the node
// when Apply or Restore returns an error. Views, Wait and the accessors may be
// called from any goroutine.
package fsm
