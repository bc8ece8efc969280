package cluster

import "time"

// Wish is what an operator has decided about one node, for as long as nobody
// decides otherwise.
type Wish uint8

const (
	WishNone     Wish = iota // nothing: the plan's rules hold
	WishNonVoter             // it shall not vote
	WishRemoved              // it shall be no member, unless it comes back without data
)

// String returns the wish's name, "" for WishNone.
func (w Wish) String() string {
	switch w {
	case WishNonVoter:
		return "non-voter"
	case WishRemoved:
		return "removed"
	}
	return ""
}

// ParseWish reads what String wrote; what it does not know is WishNone, so that
// a wish of a newer release is no obstacle here.
func ParseWish(text string) Wish {
	for _, w := range []Wish{WishNonVoter, WishRemoved} {
		if w.String() == text {
			return w
		}
	}
	return WishNone
}

// Wishes are what operators have decided about the membership.
type Wishes struct {
	Nodes     map[string]Wish // by node id; those that are missing are WishNone
	Autopilot Autopilot
}

// Autopilot says when dead servers are removed without an operator. The zero
// value never does that.
type Autopilot struct {
	Cleanup   bool          // whether it is done at all
	MinQuorum int           // never fewer voters than this are left; 0 = 3
	DeadAfter time.Duration // how long nobody has heard of a server; 0 = a day
}

// ReasonRemoved is the Reason of a Refuse of a node that was removed.
const ReasonRemoved = "an operator removed it: it can come back with an empty data folder"

// obey finishes the removal of a server that an operator wanted, should the
// leader have died over it. One that answers stays: the wish may be an old one
// that came back with a restored backup.
func (p *planner) obey() {
	for _, s := range p.have {
		if p.Wishes.Nodes[s.ID] != WishRemoved || s.ID == p.Self || s.Answers || !p.may(s) {
			continue
		}
		if there := p.alive[s.ID]; there.NodeID != "" || s.Voter && Quorum(p.have).Without(s).Lost() {
			continue
		}
		p.emit(Change{Remove, s.ID, s.Addr, s.Voter, "an operator wanted it"})
	}
}
