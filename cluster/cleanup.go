package cluster

import (
	"fmt"
	"time"
)

// Defaults of Autopilot.
const (
	defaultMinQuorum = 3
	defaultDeadAfter = 24 * time.Hour
)

// cleanUp removes one server that is dead by all accounts, if operators have
// turned that on. It is careful in the way of hashicorp's autopilot: where more
// than (voters-1)/2 voters look dead, it is rather the network or this node
// that is ill, and nobody is removed.
func (p *planner) cleanUp() {
	a := p.Wishes.Autopilot
	if !a.Cleanup || p.planned() {
		return
	}
	if a.MinQuorum <= 0 {
		a.MinQuorum = defaultMinQuorum
	}
	if a.DeadAfter <= 0 {
		a.DeadAfter = defaultDeadAfter
	}
	votes := Quorum(p.have)
	var dead []Server
	voters := 0
	for _, s := range p.have {
		if s.ID == p.Self || !p.dead(s, a.DeadAfter) {
			continue
		}
		dead = append(dead, s)
		if s.Voter {
			voters++
		}
	}
	if most := (votes.Voters - 1) / 2; voters > most {
		p.emit(Change{Refuse, dead[0].ID, dead[0].Addr, false, fmt.Sprintf("%d of %d voters look dead, more than the %d that may be cleaned up: nothing is removed", voters, votes.Voters, most)})
		return
	}
	for _, s := range dead {
		after := votes.Without(s)
		if s.Voter && (after.Voters < a.MinQuorum || after.Lost()) {
			p.emit(Change{Refuse, s.ID, s.Addr, false, fmt.Sprintf("it looks dead, but removing it would leave %v, and --min-quorum is %d", after, a.MinQuorum)})
			continue
		}
		p.emit(Change{Remove, s.ID, s.Addr, s.Voter, fmt.Sprintf("nobody has heard of it for %v", s.Silent.Round(time.Second))})
		return // one at a time
	}
}

// planned reports whether there is anything to do before the clean-up.
func (p *planner) planned() bool {
	for _, c := range p.changes {
		if c.Kind != Refuse {
			return true
		}
	}
	return false
}

// dead reports whether both gossip and the leader have lost s for as long as
// after. What gossip does not know at all it has forgotten, or never met.
func (p *planner) dead(s Server, after time.Duration) bool {
	if s.Answers || s.Silent < after {
		return false
	}
	for _, n := range p.seen {
		if n.NodeID == s.ID && (n.Alive || p.Now.Sub(n.Since) < after) {
			return false
		}
	}
	return true
}
