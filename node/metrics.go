package node

import (
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/node/room"
)

// heard is the last word of a leader on how far it is.
type heard struct {
	leaderAt
	at    time.Time
	ahead int64 // this node's wall clock minus the leader's, ms
}

// asking is a question of this node after where a peer stands. A leader says in
// it where it stands itself: it asks all members twice a second.
func (n *Node) asking(now int64) termRequest {
	q := termRequest{now: now}
	if c := n.consensus.Load(); c != nil && c.raft.State() == raft.Leader {
		st := n.machine.State()
		q.leader = leaderAt{term: c.raft.CurrentTerm(), index: st.Index, version: st.Version, wall: time.Now().UnixMilli(), last: c.raft.LastIndex()}
	}
	return q
}

// hear notes what a peer that leads says of itself, unless it was deposed: term is
// the one that this node is in.
func (n *Node) hear(term uint64, l leaderAt) {
	if l.term == 0 || l.term < term {
		return
	}
	now := time.Now()
	n.heard.Store(&heard{leaderAt: l, at: now, ahead: now.UnixMilli() - l.wall})
}

// memberFigures collects how this node stands in the cluster.
type memberFigures struct {
	n *Node

	version, index, term               sample
	leads, hasLeader                   sample
	members, alive, voters, aliveVotes sample
	stalled, full, level               sample
	queued, queuedBytes                sample

	// Behind the leader; missing until this node has heard of one.
	lagEntries, lagVersions, contact, clock sample
}

func newMemberFigures(n *Node) memberFigures {
	g := func(name, help string) sample { return series(gaugeValue, name, help) }
	return memberFigures{
		n:           n,
		version:     g("state_version", "Version of this node's state machine."),
		index:       g("state_index", "Index of the last log entry that this node's state machine applied."),
		term:        g("raft_term", "Raft's current term; it grows with every election."),
		leads:       g("leader", "1 while this node leads and has taken over."),
		hasLeader:   g("has_leader", "1 while this node knows a leader."),
		members:     g("members", "Members in Raft's configuration, non-voters included, as this node has it."),
		alive:       g("members_alive", "Members that gossip sees alive, this node included."),
		voters:      g("voters", "Voters in Raft's configuration, as this node has it."),
		aliveVotes:  g("voters_alive", "Voters that gossip sees alive, this node included."),
		stalled:     g("raft_log_stalled", "1 while a write to this node's log is stuck."),
		full:        g("disk_full", "1 while this node's disk has no room for more data: below the watermark, or a write found none."),
		level:       g("disk_level", "How short of room this node's disk is: 0 not at all, 1 low, 2 scarce, 3 full."),
		queued:      g("proposal_queue_commands", "Commands that wait in this node's queue, as leader, for a place in an entry."),
		queuedBytes: g("proposal_queue_bytes", "Bytes of the commands that wait there."),
		lagEntries:  g("lag_entries", "Log entries that this node's state is behind the leader, as it last heard of it; 0 on the leader."),
		lagVersions: g("lag_versions", "Versions that this node's state is behind the leader, as it last heard of it; 0 on the leader."),
		contact:     g("leader_contact_seconds", "Time since this node last heard of a leader how far it is; 0 on the leader."),
		clock:       g("clock_difference_seconds", "This node's wall clock minus the leader's, the way of one message included; 0 on the leader."),
	}
}

// Describe implements prometheus.Collector.
func (f memberFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range []sample{
		f.version, f.index, f.term, f.leads, f.hasLeader, f.members, f.alive, f.voters, f.aliveVotes, f.stalled, f.full, f.level,
		f.queued, f.queuedBytes, f.lagEntries, f.lagVersions, f.contact, f.clock,
	} {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (f memberFigures) Collect(ch chan<- prometheus.Metric) {
	n := f.n
	st := n.machine.State()
	f.version.send(ch, float64(st.Version))
	f.index.send(ch, float64(st.Index))
	f.leads.send(ch, flag(n.IsLeader()))
	f.stalled.send(ch, flag(n.logs.Stalled()))
	level := n.space.now().level
	if n.outOfRoom() {
		level = room.Full
	}
	f.full.send(ch, flag(level != room.Plenty))
	f.level.send(ch, float64(level))
	commands, bytes := n.proposer.waiting()
	f.queued.send(ch, float64(commands))
	f.queuedBytes.send(ch, float64(bytes))
	f.membership(ch)
	f.behind(ch)
}

func (f memberFigures) membership(ch chan<- prometheus.Metric) {
	alive := make(map[string]bool)
	for _, s := range f.n.gossip.Members() {
		if s.Alive {
			alive[s.NodeID] = true
		}
	}
	var term uint64
	var voters, aliveVoters, members int
	leader := false
	if c := f.n.consensus.Load(); c != nil {
		_, id := c.raft.LeaderWithID()
		leader, term = id != "", c.raft.CurrentTerm()
		for _, s := range c.servers() {
			members++
			if s.Suffrage != raft.Voter {
				continue
			}
			voters++
			if alive[string(s.ID)] {
				aliveVoters++
			}
		}
	}
	f.term.send(ch, float64(term))
	f.hasLeader.send(ch, flag(leader))
	f.members.send(ch, float64(members))
	f.alive.send(ch, float64(len(alive)))
	f.voters.send(ch, float64(voters))
	f.aliveVotes.send(ch, float64(aliveVoters))
}

// behind sends how far this node is from the leader. The leader may have gone
// on since it was heard, which the contact's age bounds.
func (f memberFigures) behind(ch chan<- prometheus.Metric) {
	st := f.n.machine.State()
	h := f.n.heard.Load()
	if f.n.IsLeader() {
		h = &heard{leaderAt: leaderAt{index: st.Index, version: st.Version}, at: time.Now()}
	}
	if h == nil {
		return
	}
	f.lagEntries.send(ch, behind(h.index, st.Index))
	f.lagVersions.send(ch, behind(h.version, st.Version))
	f.contact.send(ch, time.Since(h.at).Seconds())
	f.clock.send(ch, float64(h.ahead)/1000)
}

func behind(leader, self uint64) float64 {
	if self >= leader {
		return 0
	}
	return float64(leader - self)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// meteredLog times the appends of a log.
type meteredLog struct {
	raft.LogStore
	seen *meters
}

// IsMonotonic forwards what Raft asks of the store below.
func (l meteredLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLog implements raft.LogStore.
func (l meteredLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. Of what fails nothing is counted: it ends
// the node.
func (l meteredLog) StoreLogs(logs []*raft.Log) error {
	began := time.Now()
	if err := l.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	since(l.seen.logAppend, began)
	bytes := 0
	for _, log := range logs {
		bytes += len(log.Data)
	}
	l.seen.logAppended.Add(float64(bytes))
	return nil
}
