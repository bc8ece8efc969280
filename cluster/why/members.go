package why

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coveydb/covey/cluster/events"
)

// members tells of nodes that do not vote, and of voters that do not answer
// although there is a leader.
func (e *explainer) members() {
	best, ok := e.best()
	if !ok {
		return
	}
	for _, id := range e.ids() {
		if !slices.Contains(best.Voters, id) {
			e.voter(id)
		}
	}
	if best.Serves {
		var silent []string
		for _, id := range slices.Concat(best.Voters, best.NonVoters) {
			if _, ok := e.Nodes[id]; !ok {
				silent = append(silent, id)
			}
		}
		e.missing(silent, "")
	}
}

// voter says why a node does not vote.
func (e *explainer) voter(id string) {
	best, known := e.best()
	n, answers := e.Nodes[id]
	switch {
	case known && slices.Contains(best.Voters, id):
		e.say(OK, id, "", "%s is a voter", id)
	case slices.Contains(best.Removed, id) && !slices.Contains(best.NonVoters, id):
		e.say(Info, id, "nothing, if it shall not come back; else start it with an empty data folder", "%s is no member: an operator removed it", id)
	case !answers && slices.Contains(best.NonVoters, id) && slices.Contains(best.Mute, id):
		e.wished(id)
		e.missing([]string{id}, "")
	case !answers:
		refusal, do := e.refusal(id), "is its process up, and does it reach the others? Ask it: covey why voter "+id+" --endpoint with its own address"
		if strings.Contains(refusal, saysSuperseded) {
			do = doRejoin(id)
		}
		e.say(Failure, id, do, "%s is no voter, and does not answer %s: %s%s", id, e.Asked, orElse(e.Missing[id], "no node has heard of it"), refusal)
	case !known || len(n.Voters) == 0 && !slices.Contains(best.NonVoters, id) || best.Serves && !slices.Contains(best.NonVoters, id):
		e.say(Failure, id, "see the reason; the leader's log says more if it refuses the node", "%s is not in the cluster: %s%s", id, orElse(n.Reason, "it waits to be taken in"), e.refusal(id))
	case n.NonVoter:
		e.say(Info, id, "start it without --non-voter if it shall vote", "%s is no voter because it was started with --non-voter", id)
	case slices.Contains(best.Mute, id):
		e.wished(id)
	case n.Draining:
		e.say(Info, id, "nothing, it stops by itself", "%s is no voter and is about to stop", id)
	case !best.Serves:
		e.say(Warning, id, "see why there is no leader: covey why leader", "%s is no voter yet, and without a leader nobody can become one", id)
	case n.Applied+caughtUp < best.Last:
		e.say(Info, id, "wait; if the distance grows, its disk or the network to it is too slow for the writes", "%s is no voter yet because it is %d entries behind the leader %s", id, best.Last-n.Applied, best.ID)
	default:
		kept := best.Keeping[id]
		e.say(Info, id, "wait, it becomes one by itself, one node at a time", "%s is no voter yet: it has kept up for %d of %d seconds%s", id, kept, best.StableFor, e.refusal(id))
	}
}

// wished says that a member has no vote because operators want it so.
func (e *explainer) wished(id string) {
	e.say(Info, id, "covey cluster promote "+id+", if it shall vote", "%s is no voter because operators want it so: it was demoted, or joined with a token for a non-voter", id)
}

// refusal is what the leader last said against a node.
func (e *explainer) refusal(id string) string {
	for _, other := range e.ids() {
		all := e.Nodes[other].Events
		for i := len(all) - 1; i >= 0; i-- {
			if x := all[i]; x.Node == id && (x.Kind == events.Declined || x.Kind == events.Refused) {
				return fmt.Sprintf(" (%s said: %s)", other, x.Text)
			}
		}
	}
	return ""
}

// stop says what happens if a node stops. That is never a failure: it has not
// happened.
func (e *explainer) stop(id string) {
	best, known := e.best()
	switch {
	case !known:
		e.say(Info, id, "", "no node that answers is in a cluster, so nothing changes if %s stops", id)
		return
	case !slices.Contains(best.Voters, id):
		e.say(OK, id, "", "if %s stops, nothing changes for writes: it does not vote. Clients that use it need another node", id)
		return
	}
	left := slices.DeleteFunc(e.turnout(best).answer, func(v string) bool { return v == id })
	need := len(best.Voters)/2 + 1
	if e.stopsNothing(id, best, need) {
		return
	}
	sum := fmt.Sprintf("%d of %d voters are left that answer (%s), %d are needed", len(left), len(best.Voters), orElse(strings.Join(left, ", "), "none"), need)
	if len(best.Voters) == 1 {
		e.say(Warning, id, "add nodes first: two more make a cluster that survives one", "if %s stops, the cluster stops: it is the only voter", id)
		return
	}
	if len(left) < need {
		e.say(Warning, id, "bring back voters that do not answer first, or remove those that are lost: covey cluster remove", "if %s stops, writes and linearizable reads stop: %s", id, sum)
		return
	}
	event := "if " + id + " stops, the cluster goes on"
	if _, answers := e.Nodes[id]; !answers {
		event = id + " does not answer " + e.Asked + " already, and the cluster goes on"
	}
	lead := "the lead is not touched"
	if best.Serves && best.ID == id {
		lead = "it leads: asked to stop, it hands the lead on first and no request fails; if it dies, writes wait for an election, a second or two"
	}
	spare := len(left) - need
	severity, do := OK, ""
	more := fmt.Sprintf("%d more may fail after that", spare)
	if spare == 0 {
		severity, do, more = Warning, "stop no second voter before it is back", "none may fail after that"
	}
	e.say(severity, id, do, "%s: %s; %s; %s", event, sum, more, lead)
}

// stopsNothing says so where there is no quorum to be lost.
func (e *explainer) stopsNothing(id string, best Facts, need int) bool {
	t := e.turnout(best)
	if len(t.answer) >= need {
		return false
	}
	missed := slices.Concat(t.silent, t.stalled, t.blank)
	do := "bring " + strings.Join(missed, ", ") + " back; covey why leader says what " + verb(len(missed), "it lacks", "they lack")
	effect := id + " is one of those that are missed"
	if slices.Contains(t.answer, id) {
		effect = "if " + id + " stops too, its stale reads end, and one more has to be started again"
		do = "keep " + id + " running and " + do
	}
	e.say(Warning, id, do, "there is no quorum now, whether %s stops or not: of %d voters %s, %d are needed, so writes and linearizable reads stand still; %s",
		id, len(best.Voters), t, need, effect)
	return true
}
