// Package telemetry brings the measurements of the libraries below a node to
// Prometheus.
//
// Raft and memberlist report to the global sink of hashicorp/go-metrics,
// raft-boltdb and raft-wal to that of armon/go-metrics, its older self. Connect
// takes over both and registers them with one registry.
//
// Names are the libraries' own: raft_*, memberlist_*, raft_boltdb_*, raft_wal_*.
// Each of the two sinks lets through only its own of these, so that no name can
// come from both: a registry refuses to be read when one does. Labels are a
// closed set too (peer_id, rpcType, node_state), no host name is in any of them,
// and no series disappears again: a counter that vanishes when nothing happened
// for a minute cannot be alarmed on. There is one set of series for each member
// the process has ever sent to.
//
// Both sinks are global to the process. Several nodes in one process, as in
// tests, share them, and each of their registries shows the sum.
package telemetry
