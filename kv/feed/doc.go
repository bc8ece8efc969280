// Package feed lets readers follow what is committed: every change to a key,
// in the order of commits, from any place that the history still holds, on any
// node.
//
// A Watcher first reads what it has missed from the history in the state
// (package fsm keeps the last changes there), then is handed what is new by the
// one goroutine of the Feed that follows the state. A Watcher whose prefixes
// nothing is written to costs nothing but its memory. One that is slower than
// what it asks for loses its place in line, and reads the history again; the
// machine never waits for it, and what it holds is bounded. One that falls out of the
// history is told so.
package feed
