package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
)

// formats are what this release reads, and writes.
var formats = cluster.Formats{Log: command.Format, Stream: fsm.StreamFormat}

// statusFor bounds how long Status waits for members that do not answer.
const statusFor = time.Second

// Status tells how the cluster looks from here. It asks every member, and waits
// at most a second for those that do not answer; it works without a leader.
func (n *Node) Status(ctx context.Context) (cluster.Status, error) {
	st := n.machine.State()
	s := cluster.Status{
		ID: n.cfg.ID, ClusterID: n.folder.ClusterID().String(), State: "joining",
		Version: st.Version, Release: n.cfg.Release, Formats: formats,
	}
	seen := n.gossip.Members()
	c, err := n.raft()
	if err != nil {
		s.Reason = err.Error()
		s.Members = n.members(nil, seen, nil)
		return s, nil
	}
	s.State, s.Term, s.Index = stateName(c.raft.State()), c.raft.CurrentTerm(), c.raft.AppliedIndex()
	s.Leader, _, s.Reason = n.leader()
	servers := c.servers()
	ids := make([]string, len(servers))
	for i := range servers {
		ids[i] = string(servers[i].ID)
	}
	stands := n.survey(ctx, ids, statusFor)
	stands[n.cfg.ID] = n.standing(c)
	answered := 0
	voters := c.voters()
	for _, id := range voters {
		if _, ok := stands[id]; ok {
			answered++
		}
	}
	s.Quorum = s.Leader != "" && answered > len(voters)/2
	s.Members = n.members(servers, seen, stands)
	wishes, err := n.loadWishes(ctx)
	if err != nil {
		n.log.Debug("what operators want of the membership cannot be read", "err", err)
	}
	for i := range s.Members {
		m := &s.Members[i]
		m.Wish = wishes.Nodes[m.ID].String()
		m.Leader = m.ID == s.Leader
		if at := stands[s.Leader].applied; at > m.AppliedIndex {
			m.AppliedLag = at - m.AppliedIndex
		}
	}
	return s, nil
}

// members joins Raft's configuration with what gossip sees.
func (n *Node) members(servers []raft.Server, seen []cluster.Seen, stands map[string]standing) []cluster.Member {
	byID := make(map[string]*cluster.Member)
	get := func(id string) *cluster.Member {
		if byID[id] == nil {
			byID[id] = &cluster.Member{ID: id, Role: cluster.RoleNone, LastContactMS: -1}
		}
		return byID[id]
	}
	for _, g := range seen {
		m := get(g.NodeID)
		m.PeerAddr, m.HTTPAddr, m.GossipAddr = g.PeerAddr, g.HTTPAddr, g.GossipAddr
		m.Alive, m.Release, m.Formats = g.Alive, g.Release, g.Formats
		m.Draining = g.Alive && g.Draining
		if g.Alive {
			m.GossipKeys = g.KeyNames()
		}
	}
	for _, s := range servers {
		m := get(string(s.ID))
		m.Role = cluster.RoleNonVoter
		if s.Suffrage == raft.Voter {
			m.Role = cluster.RoleVoter
		}
		if m.PeerAddr == "" {
			m.PeerAddr = string(s.Address)
		}
		if st, ok := stands[m.ID]; ok {
			m.AppliedIndex, m.LastContactMS = st.applied, 0
		} else if at, ok := n.lastContact(m.ID); ok {
			m.LastContactMS = time.Since(at).Milliseconds()
		}
	}
	members := make([]cluster.Member, 0, len(byID))
	for _, m := range byID {
		members = append(members, *m)
	}
	slices.SortFunc(members, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}

func stateName(s raft.RaftState) string {
	switch s {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	case raft.Follower:
		return "follower"
	}
	return "stopped"
}

// Checks are the conditions under which this node is ready for clients.
func (n *Node) Checks(ctx context.Context) []cluster.Check {
	if n.draining.Load() {
		return []cluster.Check{{Name: "draining", Detail: "this node is about to stop: use another one"}}
	}
	checks := []cluster.Check{n.checkRunning(), n.checkDisk(), n.checkMember()}
	if _, _, reason := n.leader(); reason != "" {
		return append(checks, cluster.Check{Name: "quorum", Detail: reason})
	}
	return append(checks, n.checkQuorum(ctx))
}

func (n *Node) checkRunning() cluster.Check {
	c := cluster.Check{Name: "running", OK: n.ctx.Err() == nil}
	if err := n.Err(); err != nil {
		c.OK, c.Detail = false, err.Error()
	}
	return c
}

func (n *Node) checkDisk() cluster.Check {
	c := cluster.Check{Name: "disk", OK: true}
	switch {
	case n.logs.Stalled():
		c.OK, c.Detail = false, "a write to the log is stuck"
	case n.outOfRoom():
		c.OK, c.Detail = false, "the disk is full: no more writes are taken until there is room"
	}
	return c
}

func (n *Node) checkMember() cluster.Check {
	c := cluster.Check{Name: "member"}
	x, err := n.raft()
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	for _, s := range x.servers() {
		if string(s.ID) == n.cfg.ID {
			c.OK = true
			return c
		}
	}
	c.Detail = "the cluster has not taken this node in yet"
	return c
}

// checkQuorum gets a read point, and is then as far as it asks.
func (n *Node) checkQuorum(ctx context.Context) cluster.Check {
	c := cluster.Check{Name: "quorum"}
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	p, err := n.reads.join(ctx)
	if err == nil {
		err = n.machine.Wait(ctx, p.version)
	}
	if c.OK = err == nil; err != nil {
		c.Detail = fmt.Sprintf("no read point within %v: %v", roundLimit, err)
	}
	return c
}
