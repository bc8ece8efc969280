package why

import (
	"cmp"
	"slices"
	"time"

	"github.com/coveydb/covey/cluster/events"
)

// Facts are what one node says of itself and of the others.
type Facts struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`  // by its own clock
	State  string    `json:"state"` // leader, follower, candidate, joining or stopped
	Term   uint64    `json:"term"`
	Leader string    `json:"leader,omitempty"` // whom it follows
	Serves bool      `json:"serves,omitempty"` // it leads and has taken over
	Reason string    `json:"reason,omitempty"` // why it knows no leader, or is in no cluster

	Last      uint64   `json:"last"`    // index of the last entry in its log
	Applied   uint64   `json:"applied"` // index up to which it has applied
	Voters    []string `json:"voters,omitempty"`
	NonVoters []string `json:"non_voters,omitempty"`
	Seen      []Seen   `json:"seen,omitempty"` // the others, as its gossip sees them

	Draining  bool `json:"draining,omitempty"`  // it is about to stop
	NonVoter  bool `json:"non_voter,omitempty"` // it was started as one
	Blank     bool `json:"blank,omitempty"`     // it began with an empty folder, and votes when a leader has brought it up
	Disk      Disk `json:"disk"`
	StableFor int  `json:"stable_for,omitempty"` // seconds that a new member must keep up before it votes

	Removed []string `json:"removed,omitempty"` // nodes that operators want to be no members
	Mute    []string `json:"mute,omitempty"`    // nodes that operators want to have no vote

	// Keeping says for how many seconds each member that is not a voter has kept
	// up; only a leader knows. One that is missing is behind.
	Keeping map[string]int `json:"keeping,omitempty"`

	Events []events.Event `json:"events,omitempty"` // the oldest first
}

// Seen is another node as gossip sees it.
type Seen struct {
	ID    string `json:"id"`
	Alive bool   `json:"alive"`
}

// Disk is the state of a node's disk.
type Disk struct {
	Stalled bool   `json:"stalled,omitempty"` // a write to its log is stuck, or it has not proven itself since
	Level   string `json:"level"`             // plenty, low, scarce or full
	Free    int64  `json:"free"`              // bytes
	Need    int64  `json:"need"`              // bytes that must be free for it to take everything
}

// short reports whether it has too little room to take everything.
func (d Disk) short() bool { return d.Level != "" && d.Level != "plenty" }

// View is all that is known.
type View struct {
	Asked   string            // id of the node that asked the others
	Now     time.Time         // by its clock
	Nodes   map[string]Facts  // those that answered, itself included
	Missing map[string]string // those that did not, and why
}

// Question says what to explain.
type Question struct {
	About string // Leader, Writes, Voter, Stop, or "" for all that is worth a word
	Node  string // of Voter and Stop; with "" it adds both for that node
}

// What a Question can be about.
const (
	Leader = "leader"
	Writes = "writes"
	Voter  = "voter"
	Stop   = "stop"
)

// Finding is one thing that Explain found.
type Finding struct {
	Subject  string    `json:"subject"`  // leader, writes, disk, network, or a node's id
	Severity Severity  `json:"severity"` // how bad it is
	Text     string    `json:"text"`
	Since    time.Time `json:"since,omitzero"`
	Do       string    `json:"do,omitempty"` // what an operator can do
}

// Severity is how bad a finding is.
type Severity string

// Severities, from good to bad.
const (
	OK      Severity = "ok"
	Info    Severity = "info"
	Warning Severity = "warning"
	Failure Severity = "failure"
)

var severities = []Severity{Failure, Warning, Info, OK}

// ids returns the ids of the nodes that answered, in order.
func (v View) ids() []string {
	ids := make([]string, 0, len(v.Nodes))
	for id := range v.Nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// best is the node whose idea of the membership counts: the one that leads in
// the latest term, else the one with the newest log.
func (v View) best() (Facts, bool) {
	var best Facts
	found := false
	for _, id := range v.ids() {
		n := v.Nodes[id]
		if len(n.Voters) == 0 {
			continue
		}
		if !found || cmp.Or(cmp.Compare(rank(n), rank(best)), cmp.Compare(n.Term, best.Term), cmp.Compare(n.Last, best.Last)) > 0 {
			best, found = n, true
		}
	}
	return best, found
}

func rank(n Facts) int {
	if n.Serves {
		return 1
	}
	return 0
}

// leader returns who leads, as far as the facts show.
func (v View) leader() (Facts, bool) {
	best, ok := v.best()
	return best, ok && best.Serves
}

// since returns the time of the last event that ok takes, of node id.
func (v View) since(id string, ok func(events.Event) bool) time.Time {
	all := v.Nodes[id].Events
	for i := len(all) - 1; i >= 0; i-- {
		if ok(all[i]) {
			return all[i].Time
		}
	}
	return time.Time{}
}

// recent returns the events of a node of the last d, by its own clock.
func (v View) recent(id string, d time.Duration) []events.Event {
	n := v.Nodes[id]
	i := 0
	for i < len(n.Events) && n.Time.Sub(n.Events[i].Time) > d {
		i++
	}
	return n.Events[i:]
}
