package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster/events"
)

// Explain answers q. The worst finding comes first; there is always one.
func Explain(v View, q Question) []Finding {
	e := explainer{View: v}
	if _, led := e.leader(); e.superseded() && !led {
		return e.found // all else is of a cluster that is no more
	}
	switch q.About {
	case Leader:
		e.leads()
	case Writes:
		e.leads()
		e.writes()
	case Voter:
		e.voter(q.Node)
	case Stop:
		e.stop(q.Node)
	default:
		e.leads()
		e.writes()
		e.members()
		if q.Node != "" {
			e.voter(q.Node)
			e.stop(q.Node)
		}
	}
	slices.SortStableFunc(e.found, func(a, b Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return e.found
}

type explainer struct {
	View
	found []Finding
}

func (e *explainer) say(s Severity, subject, do, format string, args ...any) *Finding {
	e.found = append(e.found, Finding{Subject: subject, Severity: s, Do: do, Text: fmt.Sprintf(format, args...)})
	return &e.found[len(e.found)-1]
}

// leads says who leads, or why nobody does.
func (e *explainer) leads() {
	best, known := e.best()
	switch {
	case !known:
		e.noCluster()
	case best.Serves:
		f := e.say(OK, Leader, "", "%s leads in term %d", best.ID, best.Term)
		f.Since = e.since(best.ID, func(x events.Event) bool { return x.Kind == events.Leads })
		e.restless()
		e.outdated(best)
	default:
		if leader, who := e.hidden(best); leader != "" {
			e.say(Warning, Leader, "mend what lies between "+e.Asked+" and "+leader+"; until then "+e.Asked+" serves stale reads only: use another node",
				"%s leads in term %d, %s %s, but it does not answer %s", leader, best.Term, verb(len(who), "says", "say"), strings.Join(who, ", "), e.Asked)
			break
		}
		e.noLeader(best)
	}
	e.cuts()
	e.certificates()
	e.disks()
}

// hidden finds a leader that does not answer, though so many voters follow it
// that it leads for all that is known; who are those.
func (e *explainer) hidden(best Facts) (leader string, who []string) {
	follow := make(map[string][]string)
	for _, id := range best.Voters {
		n, answers := e.Nodes[id]
		if _, there := e.Nodes[n.Leader]; answers && !there && n.Leader != "" && n.Term >= best.Term {
			follow[n.Leader] = append(follow[n.Leader], id)
		}
	}
	for leader, who := range follow {
		if slices.Contains(best.Voters, leader) && len(who)+1 > len(best.Voters)/2 {
			return leader, who
		}
	}
	return "", nil
}

// noCluster explains nodes that are in no cluster.
func (e *explainer) noCluster() {
	for _, id := range e.ids() {
		n := e.Nodes[id]
		e.say(Failure, Leader, "check --join and --bootstrap-expect of this node, and that it reaches the gossip ports of the others",
			"%s is in no cluster: %s", id, orElse(n.Reason, "it does not say why"))
	}
	e.missing(e.missingIDs(), "")
}

// noLeader explains why the voters have no leader.
func (e *explainer) noLeader(best Facts) {
	t := e.turnout(best)
	need := len(best.Voters)/2 + 1
	sum := fmt.Sprintf("of %d voters %s, %d are needed", len(best.Voters), t, need)
	lost := e.lastLeader()
	wait, start := "wait for two election time-outs; if it lasts, look at the findings about the network and the disks",
		"start the voters that do not answer, or let them reach each other; if they are lost for good: covey cluster recover"
	switch {
	case slices.ContainsFunc(t.silent, e.ended):
		wait = "do what is said of the certificates; nothing is lost"
		start = wait
	case len(t.silent) == 0: // what is missing are votes that nobody can bring back
		start = "on a voter that has its data: covey cluster recover; then on those without a vote: covey cluster recover rejoin"
	}
	for _, id := range t.blank {
		e.say(Failure, id, start, "%s began with an empty data folder, so it has no vote until a leader has brought it up", id)
	}
	switch {
	case len(t.answer) >= need:
		f := e.say(Failure, Leader, wait, "there is no leader, though enough voters answer %s: %s", e.Asked, sum)
		f.Since = lost
		e.campaigns()
	case len(t.answer)+len(t.stalled) >= need:
		f := e.say(Failure, Leader, "mend the disks that are named, or move those nodes to other ones", "there is no leader: %s", sum)
		f.Since = lost
	default:
		f := e.say(Failure, Leader, start, "there is no leader: %s", sum)
		f.Since = lost
	}
	e.missing(t.silent, "voter ")
}

// turnout sorts the voters by whether they can elect somebody.
type turnout struct{ answer, blank, silent, stalled []string }

// turnout sorts the voters that best knows of.
func (e *explainer) turnout(best Facts) (t turnout) {
	for _, id := range best.Voters {
		n, ok := e.Nodes[id]
		switch {
		case !ok:
			t.silent = append(t.silent, id)
		case n.Disk.Stalled:
			t.stalled = append(t.stalled, id)
		case n.Blank:
			t.blank = append(t.blank, id)
		default:
			t.answer = append(t.answer, id)
		}
	}
	return t
}

// String says how many do what.
func (t turnout) String() string {
	n := len(t.answer)
	parts := []string{fmt.Sprintf("%d %s", n, verb(n, "answers", "answer"))}
	if n > 0 {
		parts[0] += " (" + strings.Join(t.answer, ", ") + ")"
	}
	for _, more := range []struct {
		ids       []string
		one, many string
	}{
		{t.blank, "has no vote yet", "have no vote yet"},
		{t.silent, "does not", "do not"},
		{t.stalled, "has a disk that is stuck", "have a disk that is stuck"},
	} {
		if n := len(more.ids); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", n, verb(n, more.one, more.many), strings.Join(more.ids, ", ")))
		}
	}
	return strings.Join(parts, ", ")
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// lastLeader is when the last node that answers lost sight of a leader.
func (e *explainer) lastLeader() (at time.Time) {
	for _, id := range e.ids() {
		t := e.since(id, func(x events.Event) bool { return x.Kind == events.LeadLost || x.Kind == events.Leader && x.Node == "" })
		if t.After(at) {
			at = t
		}
	}
	return at
}

// missing says of nodes that do not answer since when, and why.
func (e *explainer) missing(ids []string, what string) {
	for _, id := range ids {
		reason := orElse(e.Missing[id], "nobody knows its address")
		do := "is its process up, and does it reach the peer ports of the others? Try covey why through that node itself"
		if e.ended(id) {
			do = "do what is said of the certificate"
		}
		f := e.say(Warning, id, do, "%s%s does not answer %s: %s", what, id, e.Asked, reason)
		for _, other := range e.ids() {
			if t := e.since(other, func(x events.Event) bool { return x.Kind == events.Contact && x.Node == id }); t.After(f.Since) {
				f.Since = t
			}
		}
	}
}

func (e *explainer) missingIDs() []string {
	var ids []string
	for id := range e.Missing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// campaigns tells of elections that come to nothing.
func (e *explainer) campaigns() {
	times, who := 0, map[string]bool{}
	for _, id := range e.ids() {
		for _, x := range e.recent(id, time.Minute) {
			if x.Kind == events.Candidate {
				times++
				who[id] = true
			}
		}
	}
	if times < 3 {
		return
	}
	var ids []string
	for id := range who {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	e.say(Warning, Leader, "a larger --heartbeat helps where machines or networks are slower than an election; otherwise the network loses packets",
		"%d elections within a minute came to nothing (%s)", times, strings.Join(ids, ", "))
}

// restless tells of a lead that moves too often.
func (e *explainer) restless() {
	const span, often = 10 * time.Minute, 3
	terms := map[uint64]bool{}
	for _, id := range e.ids() {
		for _, x := range e.recent(id, span) {
			if x.Kind == events.Leads {
				terms[x.Term] = true
			}
		}
	}
	if len(terms) > often {
		e.say(Warning, Leader, "look at the events of the nodes (GET /cluster/events): slow fsyncs, a busy machine or a bad network make leaders late; a larger --heartbeat bears more",
			"the lead has changed hands %d times within %v", len(terms)-1, span)
	}
}

// outdated tells of nodes that follow somebody else than the leader.
func (e *explainer) outdated(leader Facts) {
	for _, id := range e.ids() {
		n := e.Nodes[id]
		switch {
		case id == leader.ID || len(n.Voters) == 0:
		case n.Serves:
			e.say(Warning, id, "nothing: it steps down as soon as it hears of the later term, and it cannot confirm writes", "%s still takes itself for the leader, of the earlier term %d", id, n.Term)
		case n.Leader == "":
			e.say(Warning, id, "look at the network between the two; a stuck disk on that node has the same effect", "%s does not know that %s leads: %s", id, leader.ID, orElse(n.Reason, "it gives no reason"))
		}
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
