package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/node/telemetry"
)

// meters is what a node counts of its own work.
type meters struct {
	entries     prometheus.Counter
	commands    prometheus.Counter
	retries     prometheus.Counter
	readPoints  prometheus.Counter
	readRetries prometheus.Counter
	reapedTotal prometheus.Counter
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "covey", Name: name, Help: help})
}

func newMeters() *meters {
	return &meters{
		entries:     counter("proposed_entries_total", "Log entries that this node proposed as leader."),
		commands:    counter("proposed_commands_total", "Commands in those entries; divided by the entries it is the size of a group commit."),
		retries:     counter("commit_retries_total", "Tries of a command that were repeated, because there was no leader or it did not answer."),
		readPoints:  counter("read_points_total", "Read points that this node got; readers that wait share one."),
		readRetries: counter("read_point_retries_total", "Tries to get a read point that were repeated."),
		reapedTotal: counter("ttl_reaped_total", "Entries of the expiry index that this node's reap commands gave back."),
	}
}

func (m *meters) entry(commands int) {
	m.entries.Inc()
	m.commands.Add(float64(commands))
}

func (m *meters) reaped(res command.Result) {
	if len(res.Added) == 1 {
		if n, err := strconv.ParseFloat(string(res.Added[0]), 64); err == nil {
			m.reapedTotal.Add(n)
		}
	}
}

func gauge(name, help string, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "covey", Name: name, Help: help}, f)
}

// measure registers what this node and the libraries below it can tell.
func (n *Node) measure(reg prometheus.Registerer) error {
	m := n.meters
	collectors := []prometheus.Collector{
		m.entries, m.commands, m.retries, m.readPoints, m.readRetries, m.reapedTotal,
		gauge("state_version", "Version of this node's state machine.", func() float64 { return float64(n.machine.State().Version) }),
		gauge("state_index", "Index of the last log entry that this node's state machine applied.", func() float64 { return float64(n.machine.State().Index) }),
		gauge("leader", "1 while this node leads and has taken over.", func() float64 { return flag(n.IsLeader()) }),
		gauge("members_alive", "Members that gossip sees alive, this node included.", n.aliveMembers),
		gauge("raft_log_stalled", "1 while a write to this node's log is stuck.", func() float64 { return flag(n.logs.Stalled()) }),
		gauge("disk_full", "1 while this node has no room for writes.", func() float64 { return flag(n.logs.Full() || n.full.Load()) }),
		newPeerTraffic(n.transport),
		newStoreFigures(n.db),
	}
	for _, c := range collectors {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return telemetry.Connect(reg)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (n *Node) aliveMembers() float64 {
	alive := 0
	for _, s := range n.gossip.Members() {
		if s.Alive {
			alive++
		}
	}
	return float64(alive)
}
