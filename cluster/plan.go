package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Seen is a node as gossip sees it.
type Seen struct {
	Meta
	GossipAddr string
	Alive      bool
	Since      time.Time // when it was found alive or dead
}

// Server is a member of Raft's configuration, with what its leader knows of it.
type Server struct {
	ID, Addr  string
	Voter     bool
	CaughtUp  bool          // its log is as long as the leader's, or nearly
	StableFor time.Duration // it has been caught up and in contact this long
	Answers   bool          // it answers its leader now
	Silent    time.Duration // since its leader heard of it, or began to lead; 0 if it answers
}

// Policy is what Plan holds to.
type Policy struct {
	Self      string        // the leader's node id; it is alive even if seen does not say so
	ClusterID ID            // of the leader; without one nothing is planned
	StableFor time.Duration // needed to become a voter; 0 = 10 s
	Formats   Formats       // in use in the cluster
	Wishes    Wishes        // of operators
	Now       time.Time     // that Seen.Since is compared with; only the clean-up needs it
}

// Kind says what a Change is.
type Kind uint8

const (
	Refuse        Kind = iota // change nothing; Reason says why, for the log and the status
	AddNonvoter               // a new server
	AddVoter                  // a non-voter that shall vote
	UpdateAddress             // a server that has another address; it keeps its vote
	Remove                    // a server that shall be none any more
)

// String returns the kind's name as in a log line.
func (k Kind) String() string {
	switch k {
	case AddNonvoter:
		return "add non-voter"
	case AddVoter:
		return "add voter"
	case UpdateAddress:
		return "update address"
	case Remove:
		return "remove"
	}
	return "refuse"
}

// Change is one step from the membership that is to the one that should be.
type Change struct {
	Kind   Kind
	ID     string
	Addr   string // peer address the server shall have
	Voter  bool   // whether a voter is changed, or the server votes after the change
	Reason string // one sentence for the log
}

// parkedSuffix ends the address of a server whose own address belongs to
// another node now; the name never resolves (RFC 2606).
const parkedSuffix = ".moved.invalid:1"

// Plan returns the changes that bring the membership have closer to what seen
// asks for, in the order in which they should be made. It is a pure function:
// the leader calls it whenever something may have changed, and carries out
// what it says as far as it can; what was not done is planned again.
//
//   - An alive node of this cluster that is no server becomes a non-voter.
//   - A non-voter that wants to vote, is alive, caught up and stable becomes a
//     voter.
//   - A server that is alive at another address gets it. If another server
//     still has that address on paper, the other one is moved away first.
//   - At most one change touches a voter.
//   - A node that is too old for the formats in use, or has no address of its
//     own, is refused.
//   - What an operator removed or demoted stays so: see Wishes.
//   - Where an operator has turned it on, a server that gossip and its leader
//     have not heard of for long is removed: see Autopilot.
//   - Nothing else is ever removed or demoted, and nodes of another cluster, or
//     of none yet, are no concern of the plan (see Adopt).
func Plan(have []Server, seen []Seen, p Policy) []Change {
	if p.ClusterID.IsZero() {
		return nil
	}
	if p.StableFor == 0 {
		p.StableFor = 10 * time.Second
	}
	pl := planner{Policy: p, have: have, seen: seen, byID: make(map[string]Server), byAddr: make(map[string]string), alive: make(map[string]Seen)}
	for _, s := range have {
		pl.byID[s.ID] = s
		pl.byAddr[s.Addr] = s.ID
	}
	ours := slices.DeleteFunc(slices.Clone(seen), func(s Seen) bool { return !s.Alive || s.ClusterID != p.ClusterID })
	slices.SortStableFunc(ours, func(a, b Seen) int { return cmp.Compare(a.NodeID, b.NodeID) })
	for _, s := range ours {
		pl.alive[s.NodeID] = s
	}
	pl.move(ours)
	pl.promote(ours)
	pl.add(ours)
	pl.obey()
	pl.cleanUp()
	return pl.changes
}

type planner struct {
	Policy
	have    []Server
	seen    []Seen
	byID    map[string]Server
	byAddr  map[string]string // address -> id of the server that has it; kept up to date with changes
	alive   map[string]Seen
	touched bool // a voter is changed already
	changes []Change
}

func (p *planner) emit(c Change) {
	p.changes = append(p.changes, c)
	if c.Kind == Refuse {
		return
	}
	if c.Voter {
		p.touched = true
	}
	if old, ok := p.byID[c.ID]; ok && p.byAddr[old.Addr] == c.ID {
		delete(p.byAddr, old.Addr)
	}
	p.byAddr[c.Addr] = c.ID
}

// move gives servers the addresses that they are alive at. First those whose
// new address is free; then, to make one free, a server that only has it on
// paper steps aside.
func (p *planner) move(ours []Seen) {
	for _, s := range ours {
		if h, ok := p.byID[s.NodeID]; ok && p.moved(h, s) && p.byAddr[s.PeerAddr] == "" && p.may(h) {
			p.emit(Change{UpdateAddress, s.NodeID, s.PeerAddr, h.Voter, fmt.Sprintf("it moved from %s", h.Addr)})
		}
	}
	for _, s := range ours {
		h, server := p.byID[s.NodeID]
		holder := p.byAddr[s.PeerAddr]
		if s.PeerAddr == "" || holder == "" || holder == s.NodeID || server && !p.moved(h, s) {
			continue
		}
		if there, ok := p.alive[holder]; there.PeerAddr == s.PeerAddr || !ok && holder == p.Self {
			p.emit(Change{Refuse, s.NodeID, s.PeerAddr, false, fmt.Sprintf("node %s is alive at the same address", holder)})
			continue
		}
		if other := p.byID[holder]; other.Addr == s.PeerAddr && p.may(other) {
			p.emit(Change{UpdateAddress, holder, holder + parkedSuffix, other.Voter, fmt.Sprintf("its address %s belongs to node %s now", other.Addr, s.NodeID)})
		}
	}
}

func (p *planner) moved(h Server, s Seen) bool { return s.PeerAddr != "" && s.PeerAddr != h.Addr }

// may reports whether server h may be changed in this round.
func (p *planner) may(h Server) bool { return !h.Voter || !p.touched }

func (p *planner) promote(ours []Seen) {
	for _, s := range ours {
		h, ok := p.byID[s.NodeID]
		switch {
		case !ok || h.Voter || s.NonVoter || s.Draining || p.moved(h, s):
		case p.Wishes.Nodes[s.NodeID] != WishNone:
		case !s.Formats.speaks(p.Formats):
			p.emit(Change{Refuse, s.NodeID, h.Addr, false, p.tooOld(s)})
		case h.CaughtUp && h.StableFor >= p.StableFor && !p.touched:
			p.emit(Change{AddVoter, s.NodeID, h.Addr, true, fmt.Sprintf("caught up and stable for %v", h.StableFor.Round(time.Millisecond))})
		}
	}
}

func (p *planner) add(ours []Seen) {
	for _, s := range ours {
		if _, ok := p.byID[s.NodeID]; ok {
			continue
		}
		switch holder := p.byAddr[s.PeerAddr]; {
		case s.PeerAddr == "":
			p.emit(Change{Refuse, s.NodeID, "", false, "it advertises no peer address"})
		case s.HasState && p.Wishes.Nodes[s.NodeID] == WishRemoved:
			p.emit(Change{Refuse, s.NodeID, s.PeerAddr, false, ReasonRemoved})
		case !s.Formats.speaks(p.Formats):
			p.emit(Change{Refuse, s.NodeID, s.PeerAddr, false, p.tooOld(s)})
		case holder == "":
			p.emit(Change{AddNonvoter, s.NodeID, s.PeerAddr, false, "it is alive and not yet a member"})
		case p.byID[holder].ID == "": // added a moment ago
			p.emit(Change{Refuse, s.NodeID, s.PeerAddr, false, fmt.Sprintf("node %s is alive at the same address", holder)})
		}
	}
}

func (p *planner) tooOld(s Seen) string {
	return fmt.Sprintf("its release %s reads log format %d and stream format %d, the cluster uses %d and %d: upgrade it",
		cmp.Or(s.Release, "(unknown)"), s.Formats.Log, s.Formats.Stream, p.Formats.Log, p.Formats.Stream)
}
