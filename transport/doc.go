// Package transport carries bytes between the nodes of one cluster over one
// TCP port: Raft's streams, and four small calls whose meaning is the
// caller's (Propose, ReadPoint, Term, Admin).
//
// # A connection
//
// Every connection begins with a handshake that names the service, the
// cluster, the sender and, if the sender knows it, the receiver it wants. A
// connection from another cluster, or for another node, is refused with a
// sentence that says so, before a byte of it reaches Raft or a Handler. Raft's
// streams are then handed over as they are; calls are frames (frame.go), many
// in flight, answered in any order. A node keeps two connections for calls to
// each peer it talks to, so that a proposal of many MiB never delays a read
// point or a term.
//
// # What it guarantees
//
//   - The class of a failed call is true. errs.Unavailable: no byte of the call
//     was given to the network. errs.Unknown: the peer may have acted on it.
//     Any other kind was said by the peer's Handler.
//   - Nothing waits for ever: dials, handshakes, writes and silent peers have
//     time limits; a call waits no longer than its context or its connection.
//     An idle Raft stream is Raft's to time; a vanished peer of one is found by
//     TCP keepalive, and a peer that does not read is cut off at the write
//     limit.
//   - Nothing grows without bound: connections, unfinished handshakes, frames,
//     queued bytes, calls in flight. Where a limit is reached, the sender waits
//     (backpressure) or the connection is closed; memory for a frame grows with
//     the bytes that came, not with the length that was claimed.
//   - After Close no goroutine and no connection of the package is left.
//
// # What it never does
//
// It never repeats a call, never looks into a body, never logs one, and knows
// nothing of Raft, of commands or of who leads. It authenticates a peer only
// through the tls.Config it is given, and the node's id in the certificate if
// there is one (secure.go): without a tls.Config, the cluster id keeps honest
// clusters apart, nothing more.
package transport
