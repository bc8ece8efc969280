// Package events is what a node remembers of itself for operators: a bounded
// list of what happened to it, in memory, each thing with its time and kind.
//
// It guarantees that adding is cheap and never blocks on anything but a short
// lock, that the list has a fixed bound, and that many events of one kind, such
// as slow writes, never push out the few of another, such as elections.
//
// It never holds what clients sent: no keys, no values, no credentials. Texts
// are made of node ids, addresses, numbers and reasons. It is no log: nothing of
// it survives the process.
package events
