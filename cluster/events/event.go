package events

import "time"

// Kind is what an event is about.
type Kind string

// Kinds of events. Node names the other node, where there is one.
const (
	Leads      Kind = "leads"        // this node has taken over as leader
	LeadLost   Kind = "lead-lost"    // this node leads no more
	Leader     Kind = "leader"       // this node follows another leader, Node; or knows none
	Candidate  Kind = "candidate"    // this node campaigns
	Contact    Kind = "contact"      // Node does not answer the leader, or answers again
	Member     Kind = "member"       // the membership has changed
	Declined   Kind = "declined"     // this leader does not take Node in, or gives it no vote
	Stall      Kind = "disk-stall"   // a write to this node's log is stuck
	StallOver  Kind = "disk-goes-on" // its disk has proven itself again
	Room       Kind = "disk-room"    // the room on this node's disk has become another level
	SlowWrite  Kind = "slow-write"   // Parts says where the time went
	SlowRead   Kind = "slow-read"    // a read point took long
	WriteError Kind = "write-error"  // a write was given up
	Reload     Kind = "reload"       // settings, keys or certificates were read again
	Refused    Kind = "peer-refused" // a connection of Node was refused
	Started    Kind = "started"      // this process began to serve
	Stopping   Kind = "stopping"     // this node is stopping, or must
)

// Event is one thing that happened.
type Event struct {
	Time  time.Time `json:"time"` // of the first one, if Count > 1
	Kind  Kind      `json:"kind"`
	Node  string    `json:"node,omitempty"` // the other node
	Term  uint64    `json:"term,omitempty"`
	Text  string    `json:"text"`
	Parts *Parts    `json:"parts,omitempty"` // of the slowest one, if Count > 1
	Count int       `json:"count,omitempty"` // so many alike within a second; 0 is one
}

// Parts says where the time of a slow write went, in milliseconds: waiting for a
// place in the log, in the leader's own fsync, for a quorum to have it, and in
// the state machine.
type Parts struct {
	Total   float64 `json:"total_ms"`
	Queue   float64 `json:"queue_ms"`
	Fsync   float64 `json:"fsync_ms"`
	Network float64 `json:"network_ms"`
	Apply   float64 `json:"apply_ms"`
}

// Largest names the part that took the most, and how much.
func (p Parts) Largest() (name string, ms float64) {
	for _, x := range []struct {
		name string
		ms   float64
	}{{"queue", p.Queue}, {"fsync", p.Fsync}, {"network", p.Network}, {"apply", p.Apply}} {
		if name == "" || x.ms > ms {
			name, ms = x.name, x.ms
		}
	}
	return name, ms
}
