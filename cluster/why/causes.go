package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster/events"
)

// Parts of what the peer port of a node says to one that it refuses, and of what
// a node says of a peer that it does not trust.
const (
	saysSuperseded  = "was superseded by cluster"
	saysExpired     = "has expired or is not valid yet"
	saysOwnExpired  = "tls: expired certificate" // the alert of the other side
	saysAnswerAgain = "answers again"
)

// refusalSpan is how far back refused connections are of interest: nodes dial
// again within seconds.
const refusalSpan = time.Minute

// superseded says that the node that was asked is of a cluster whose place
// another one has taken, if a node of that one says so.
func (e *explainer) superseded() bool {
	for _, id := range e.missingIDs() {
		if _, reason, ok := cutFrom(e.Missing[id], "cluster ", saysSuperseded); ok {
			e.say(Failure, e.Asked, doRejoin(e.Asked)+". Do not recover the old cluster", "%s is of a cluster that was given up, so the nodes of its successor do not let it in; %s says: %s", e.Asked, id, reason)
			return true
		}
	}
	return false
}

func doRejoin(id string) string {
	return "stop " + id + "; covey cluster recover rejoin --data-dir DIR there; start it with --join to the new cluster"
}

// cutFrom returns text from the last word that comes before part, and what is
// before that.
func cutFrom(text, word, part string) (before, from string, ok bool) {
	at := strings.Index(text, part)
	if at < 0 {
		return text, "", false
	}
	i := max(strings.Index(text[:at], word), 0)
	return text[:i], text[i:], true
}

// ended reports whether a node does not answer because a certificate has ended.
func (e *explainer) ended(id string) bool {
	return strings.Contains(e.Missing[id], saysExpired) || strings.Contains(e.Missing[id], saysOwnExpired)
}

// certificates names certificates that have ended as the cause of nodes that do
// not answer each other.
func (e *explainer) certificates() {
	severity := Warning
	if _, led := e.leader(); !led {
		severity = Failure
	}
	const renew = "covey cert node %s --host HOST, where the CA is; move the files to the --peer-key and --peer-cert of %s, which reads them within two seconds. If it has not ended, set the clocks"
	var refusing []string
	for _, id := range e.missingIDs() {
		switch reason := e.Missing[id]; {
		case strings.Contains(reason, saysExpired):
			e.say(severity, id, fmt.Sprintf(renew, id, id), "the peer certificate of %s has ended, so %s does not talk to it: %s", id, e.Asked, reason)
		case strings.Contains(reason, saysOwnExpired):
			refusing = append(refusing, id)
		}
	}
	if len(refusing) > 0 {
		e.say(severity, e.Asked, fmt.Sprintf(renew, e.Asked, e.Asked), "the peer certificate of %s has ended: %s %s it", e.Asked, strings.Join(refusing, ", "), verb(len(refusing), "refuses", "refuse"))
	}
	e.refused()
}

// refused tells of connections that answering nodes have refused since the other
// side's certificate has ended, or its cluster was superseded.
func (e *explainer) refused() {
	said := map[string]bool{}
	for _, reason := range e.Missing {
		_, cause, _ := cutFrom(reason, "its certificate", saysExpired)
		said[cause] = true
	}
	for _, id := range e.ids() {
		recent := e.recent(id, refusalSpan)
		for _, x := range slices.Backward(recent) {
			var do, cause string
			switch {
			case x.Kind != events.Refused:
				continue
			case strings.Contains(x.Text, saysExpired):
				_, cause, _ = cutFrom(x.Text, "its certificate", saysExpired)
				do = "make a new certificate for that node: covey cert node; or set its clock or that of " + id
			case strings.Contains(x.Text, saysSuperseded):
				_, cause, _ = cutFrom(x.Text, "cluster ", saysSuperseded)
				do = "this cluster is not touched; " + doRejoin(orElse(x.Node, "that node"))
			default:
				continue
			}
			if said[cause] {
				continue
			}
			said[cause] = true
			f := e.say(Warning, orElse(x.Node, "network"), do, "%s refuses a node%s: %s", id, named(x.Node), cause)
			f.Since = x.Time
		}
	}
}

func named(id string) string {
	if id == "" {
		return ""
	}
	return " that says it is " + id
}

// heard returns when other, as the leader, has last heard of id, if it misses it.
func (e *explainer) heard(other, id string) (at time.Time, misses bool) {
	all := e.Nodes[other].Events
	for _, x := range slices.Backward(all) {
		switch {
		case x.Kind == events.LeadLost, x.Kind == events.Leads:
			return at, false
		case x.Kind == events.Contact && x.Node == id:
			return x.Time, x.Text != saysAnswerAgain
		}
	}
	return at, false
}
