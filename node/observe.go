package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster/events"
)

const (
	slowWrite = 500 * time.Millisecond // from where on a write is worth an event
	slowRead  = 500 * time.Millisecond // likewise a read point
)

// Note adds an event to what this node remembers for operators. Its text must
// hold nothing that clients sent.
func (n *Node) Note(e events.Event) { n.events.Add(e) }

// Events returns the last events of this node, at most events.Size of them, the
// oldest first.
func (n *Node) Events() []events.Event { return n.events.Last(events.Size) }

// observedKinds are what a run of Raft tells of itself.
func observedKinds(o *raft.Observation) bool {
	switch o.Data.(type) {
	case raft.LeaderObservation, raft.RaftState, raft.PeerObservation,
		raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
		return true
	}
	return false
}

// witness makes events of what one run of Raft tells. One goroutine uses it.
type witness struct {
	n    *Node
	c    *consensus
	led  bool
	mute map[raft.ServerID]bool // members that do not answer this leader
}

func (w *witness) see(o raft.Observation) {
	term := w.c.raft.CurrentTerm()
	switch x := o.Data.(type) {
	case raft.RaftState:
		w.state(x, term)
	case raft.LeaderObservation:
		id := string(x.LeaderID)
		switch {
		case id == "":
			w.n.Note(events.Event{Kind: events.Leader, Term: term, Text: "this node knows no leader any more"})
		case id != w.n.cfg.ID:
			w.n.Note(events.Event{Kind: events.Leader, Node: id, Term: term, Text: "this node follows " + id})
		}
	case raft.PeerObservation:
		verb := "is replicated to from now on"
		if x.Removed {
			verb = "is replicated to no more"
		}
		w.n.Note(events.Event{Kind: events.Member, Node: string(x.Peer.ID), Term: term, Text: fmt.Sprintf("%s (%s) %s", x.Peer.ID, strings.ToLower(x.Peer.Suffrage.String()), verb)})
	case raft.FailedHeartbeatObservation:
		if !w.mute[x.PeerID] {
			w.mute[x.PeerID] = true
			w.n.Note(events.Event{Time: x.LastContact, Kind: events.Contact, Node: string(x.PeerID), Term: term, Text: "last heard of"})
		}
	case raft.ResumedHeartbeatObservation:
		delete(w.mute, x.PeerID)
		w.n.Note(events.Event{Kind: events.Contact, Node: string(x.PeerID), Term: term, Text: "answers again"})
	}
}

func (w *witness) state(s raft.RaftState, term uint64) {
	switch s {
	case raft.Leader:
		w.led = true
		w.n.Note(events.Event{Kind: events.Leads, Term: term, Text: "this node was elected"})
	case raft.Candidate:
		w.n.Note(events.Event{Kind: events.Candidate, Term: term, Text: "this node heard nothing of a leader and campaigns"})
	case raft.Follower:
		if w.led {
			w.n.Note(events.Event{Kind: events.LeadLost, Term: term, Text: "this node leads no more"})
		}
		w.led = false
		clear(w.mute)
	}
}

// refusedPeer is told of connections that the peer port has refused.
func (n *Node) refusedPeer(from, remote string, err error) {
	n.Note(events.Event{Kind: events.Refused, Node: from, Text: fmt.Sprintf("a connection from %s was refused: %v", remote, err)})
}

// tellSlowRead adds an event if a read point took long.
func (n *Node) tellSlowRead(began time.Time) {
	if took := time.Since(began); took >= slowRead {
		n.Note(events.Event{Kind: events.SlowRead, Text: fmt.Sprintf("a read point took %d ms", took.Milliseconds())})
	}
}
