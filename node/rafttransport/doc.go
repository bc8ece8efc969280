// Package rafttransport is what Raft sees of the network.
//
// Transport stands in front of a transport of hashicorp/raft and changes five
// things:
//
//   - Heartbeats take no short cut. Raft offers its transport a handler to call
//     on the connection's own goroutine; that handler changes term and role while
//     the main loop is at work, and logs of members have diverged from it
//     (hashicorp/raft issue 695). Without a handler heartbeats queue with all
//     other requests. The price: a member whose main loop waits for its disk
//     answers late, so the heartbeat time-out must be well above an fsync.
//   - Appends are not pipelined. A pipeline whose follower stalls on its disk can
//     leave that follower unreplicated for good (issue 612), and with group
//     commit above Raft there is little left for a pipeline to gain.
//   - While Mute holds, nothing goes out by which this member would lead or
//     campaign. The main loop of a leader on a stuck disk is stuck with it, so
//     it cannot step down; but its heartbeats have a goroutine each, and would
//     hold the others back from an election for as long as the disk is stuck
//     (issues 503, 614, 666). Silenced, it is replaced within an election
//     time-out, and steps down by itself when its lease runs out.
//   - While Crammed holds, entries and snapshots that come in are refused. The
//     leader tries again, ever more slowly: a member whose disk is full lags and
//     catches up, where an append that fails would end it.
//   - A member that learned of a commit in another way can tell its Raft at once
//     (Committed), instead of waiting for the leader's next message.
//
// New makes the transport for a network, Wrap puts one in front of any other,
// such as raft.InmemTransport in tests. The package never opens a port and knows
// nothing of certificates: both belong to the Streams it is given.
package rafttransport
