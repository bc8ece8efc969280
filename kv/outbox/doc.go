// Package outbox delivers to the outside what a transaction decided to send: an
// item is put as part of the transaction, so it is there if and only if the
// transaction took effect, and it is delivered by the node that leads, through
// the Sender of its kind, until that says that it is done or will never be.
//
// Each item is delivered at least once. A delivery is repeated, under the same
// ID, when the leader is lost between the delivery and the commit that takes the
// item out. The items of an ordered queue go out one by one in the order of
// the commits that put them, and the first one holds up the others; a repeat
// may come late when two nodes both believe that they lead. Tries are spaced
// by a time that doubles and is kept in the store, so that a new leader goes on
// where the last one stopped.
//
// Queues are independent: one whose target hangs costs the others of its kind
// one of the deliveries that may be under way at once. A queue that
// nobody takes from is suspended at a bound, and Put says so.
//
// The package knows nothing of what it delivers, nor of where nodes and
// leaders come from. DESIGN.md tells why it is built as it is.
package outbox
