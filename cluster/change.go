package cluster

import (
	"fmt"

	"github.com/coveydb/covey/internal/errs"
)

// What an operator can do to a member.
const (
	DoPromote = "promote" // let it vote, now
	DoDemote  = "demote"  // let it vote no more
	DoRemove  = "remove"  // let it be no member any more
)

// MemberChange is a change of one member that an operator asks for, and with
// its lower half what became of it.
type MemberChange struct {
	Change  string `json:"change"` // DoPromote, DoDemote or DoRemove
	Node    string `json:"node"`
	Force   bool   `json:"force,omitempty"`   // remove it though it is alive
	Leaving bool   `json:"leaving,omitempty"` // the node itself asks
	DryRun  bool   `json:"dry_run,omitempty"` // only say what would be

	Done  bool   `json:"done"`
	Votes Votes  `json:"after"` // the change
	Text  string `json:"text"`  // what it comes to, for people
}

// Judge says what a change comes to, and refuses one that must not be:
// errs.NotFound for what is no member, errs.Invalid for what is no change, and
// errs.Conflict for what the membership does not allow, above all if nothing
// could be committed after it. have is the leader's, with Answers.
func Judge(have []Server, seen []Seen, q MemberChange) (text string, after Votes, err error) {
	after = Quorum(have)
	i := -1
	for k := range have {
		if have[k].ID == q.Node {
			i = k
		}
	}
	if i < 0 {
		return "", after, errs.E(errs.NotFound, "node %s is no member", q.Node)
	}
	s, doing := have[i], ""
	var there Seen
	for _, g := range seen {
		if g.NodeID == q.Node {
			there = g
		}
	}
	switch q.Change {
	case DoPromote:
		doing, after = "promoting", after.With(s)
		err = mayVote(s, there)
	case DoDemote:
		doing, after = "demoting", after.Without(s)
	case DoRemove:
		doing, after = "removing", after.Without(s)
		if (s.Answers || there.Alive) && !q.Force && !q.Leaving {
			err = errs.E(errs.Conflict, "node %s is alive: let it go by itself with covey cluster leave, or stop it first, or say --force", q.Node)
		}
	default:
		return "", after, errs.E(errs.Invalid, "change %q is none of promote, demote, remove", q.Change)
	}
	text = fmt.Sprintf("%s %s would leave %v", doing, q.Node, after)
	switch {
	case err != nil:
		return text, after, err
	case s.Voter != (q.Change == DoPromote) && after.Lost() && (s.Voter || q.Change == DoPromote):
		return text, after, errs.E(errs.Conflict, "%s", text)
	}
	return text, after, nil
}

// mayVote says why a server cannot become a voter now.
func mayVote(s Server, there Seen) error {
	switch {
	case s.Voter:
		return nil // its wish may still have to go
	case !there.Alive || !s.Answers:
		return errs.E(errs.Conflict, "node %s does not answer: a voter that is down brings the quorum nearer to its end", s.ID)
	case there.NonVoter:
		return errs.E(errs.Conflict, "node %s was started with --non-voter: start it without", s.ID)
	case there.Draining:
		return errs.E(errs.Conflict, "node %s is about to stop", s.ID)
	case !s.CaughtUp:
		return errs.E(errs.Conflict, "node %s has not caught up yet", s.ID)
	}
	return nil
}
