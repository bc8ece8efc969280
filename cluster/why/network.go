package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster/events"
)

// sees reports whether node a takes b for alive; it is known only of those that
// a has heard of.
func (v View) sees(a, b string) (alive, known bool) {
	for _, s := range v.Nodes[a].Seen {
		if s.ID == b {
			return s.Alive, true
		}
	}
	return false, false
}

// cuts finds nodes that both answer and do not see each other.
func (e *explainer) cuts() {
	ids := e.ids()
	for i, a := range ids {
		for _, b := range ids[i+1:] {
			ab, knownAB := e.sees(a, b)
			ba, knownBA := e.sees(b, a)
			const do = "the network between the two is cut: check routes, firewalls and the peer and gossip ports (TCP and UDP) in both directions"
			switch blindA, blindB := knownAB && !ab, knownBA && !ba; {
			case blindA && blindB:
				e.say(Warning, "network", do, "%s and %s do not hear each other, though %s reaches both", a, b, e.Asked)
			case blindA:
				e.say(Warning, "network", do, "%s does not hear %s, though %s hears %s: the cut may be in one direction only", a, b, b, a)
			case blindB:
				e.say(Warning, "network", do, "%s does not hear %s, though %s hears %s: the cut may be in one direction only", b, a, a, b)
			}
		}
	}
	e.witnesses()
}

// witnesses tells of nodes that the asking one cannot reach and others can, or
// have not missed yet: gossip takes seconds to give up a node that was killed, the
// leader's contact is known at once.
func (e *explainer) witnesses() {
	leader, led := e.leader()
	for _, id := range e.missingIDs() {
		var hear []string
		for _, other := range e.ids() {
			if alive, known := e.sees(other, id); known && alive && other != e.Asked {
				hear = append(hear, other)
			}
		}
		between := fmt.Sprintf("check what lies between %s and %s", e.Asked, id)
		at, misses := e.heard(leader.ID, id)
		switch all := strings.Join(hear, ", "); {
		case len(hear) == 0 || e.ended(id):
		case led && misses:
			f := e.say(Info, "network", "is its process up? Else: "+between, "%s does not answer %s, and the leader %s last heard of it %s ago; the gossip of %s has not given it up yet",
				id, e.Asked, leader.ID, ago(leader.Time.Sub(at)), all)
			f.Since = at
		case led && leader.ID != e.Asked && leader.ID != id && slices.Contains(leader.Voters, id):
			e.say(Warning, "network", fmt.Sprintf("ask again through %s; %s", leader.ID, between), "%s does not answer %s, but the leader %s hears it", id, e.Asked, leader.ID)
		default:
			e.say(Warning, "network", fmt.Sprintf("is its process up? If so, ask again through %s; %s", hear[0], between),
				"%s does not answer %s, and the gossip of %s has not given it up: either it died within the last seconds, or only %s cannot reach it", id, e.Asked, all, e.Asked)
		}
	}
}

func ago(d time.Duration) string { return max(d, 0).Round(time.Second).String() }

// disks tells of stuck and of full ones.
func (e *explainer) disks() {
	for _, id := range e.ids() {
		d := e.Nodes[id].Disk
		if d.Stalled {
			f := e.say(Failure, "disk", "check the disk of that machine (kernel log, SMART, the storage it is on); the node takes part in elections again after an fsync in time, and stops if stalls pile up",
				"a write to the log of %s is stuck: it takes no part in elections", id)
			f.Since = e.since(id, func(x events.Event) bool { return x.Kind == events.Stall })
		}
		if d.short() {
			severity, effect := Warning, "it does not lead while another node has room"
			if e.Nodes[id].Serves {
				severity, effect = Failure, "it leads, so writes that add data are refused (507)"
			}
			f := e.say(severity, "disk", "make room on that disk or enlarge it; writes go on by themselves. What was deleted gives its space back with the next snapshot, within seconds",
				"%s is short of room (%s): %d MiB are free, %d MiB are needed; %s", id, d.Level, d.Free>>20, d.Need>>20, effect)
			f.Since = e.since(id, func(x events.Event) bool { return x.Kind == events.Room })
		}
	}
}
