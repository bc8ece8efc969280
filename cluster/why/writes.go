package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster/events"
)

// slowSpan is how far back slow writes are of interest.
const slowSpan = 10 * time.Minute

// slowness sums up slow writes of one cause.
type slowness struct {
	part    string
	writes  int
	worst   events.Parts
	last    time.Time
	seconds int // in which there were any
}

// writes says why writes were slow, or were not taken.
func (e *explainer) writes() {
	causes := map[string]*slowness{}
	lost := 0
	for _, id := range e.ids() {
		for _, x := range e.recent(id, slowSpan) {
			switch {
			case x.Kind == events.WriteError:
				lost += max(x.Count, 1)
			case x.Kind == events.SlowWrite && x.Parts != nil:
				part, _ := x.Parts.Largest()
				c := causes[part]
				if c == nil {
					c = &slowness{part: part}
					causes[part] = c
				}
				c.writes += max(x.Count, 1)
				c.seconds++
				if x.Parts.Total > c.worst.Total {
					c.worst = *x.Parts
				}
				if x.Time.After(c.last) {
					c.last = x.Time
				}
			}
		}
	}
	leader, led := e.leader()
	if lost > 0 {
		e.say(Warning, Writes, "their clients were told 503 or 504; see the findings about the leader", "%d %s given up within %v, because no leader confirmed %s in time", lost, verb(lost, "write was", "writes were"), slowSpan, verb(lost, "it", "them"))
	}
	if len(causes) == 0 {
		if led && lost == 0 && !leader.Disk.short() && !leader.Disk.Stalled {
			e.say(OK, Writes, "", "no write took longer than half a second within %v", slowSpan)
		}
		return
	}
	all := make([]*slowness, 0, len(causes))
	for _, c := range causes {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *slowness) int { return cmp.Or(b.writes-a.writes, cmp.Compare(a.part, b.part)) })
	for _, c := range all {
		e.slow(c, leader)
	}
}

func (e *explainer) slow(c *slowness, leader Facts) {
	var cause, do string
	switch c.part {
	case "queue":
		cause = "waiting for a place in the log: more came in than the log takes, or large writes held it up"
		do = "spread large imports, or give the leader a faster disk: the fsync of one group of writes bounds the next"
	case "fsync":
		cause = "in the fsync of the leader's own log"
		do = "give the leader's data folder a faster disk, or one that nothing else uses; covey doctor measures its fsync. covey cluster transfer moves the lead meanwhile"
	case "network":
		cause = "waiting until a quorum had them: followers answered late"
		do = "look at the disks and the load of the followers, and at the network to them" + e.laggards(leader)
	default:
		cause = "in the state machine: the leader's local store was busy"
		do = "look for compactions and flushes (covey_store_*), and for a disk that is shared or full"
	}
	w := c.worst
	f := e.say(Warning, Writes, do, "%d slow %s within %v took most of the time %s; the worst took %s: queue %s, fsync %s, network %s, apply %s",
		c.writes, verb(c.writes, "write", "writes"), slowSpan, cause, ms(w.Total), ms(w.Queue), ms(w.Fsync), ms(w.Network), ms(w.Apply))
	f.Since = c.last
}

func ms(v float64) string { return fmt.Sprintf("%.0f ms", v) }

// laggards names the voters that are behind the leader.
func (e *explainer) laggards(leader Facts) string {
	var behind []string
	for _, id := range leader.Voters {
		if n, ok := e.Nodes[id]; id != leader.ID && (!ok || n.Last+caughtUp < leader.Last) {
			behind = append(behind, id)
		}
	}
	if len(behind) == 0 {
		return ""
	}
	return "; behind or silent: " + strings.Join(behind, ", ")
}

// caughtUp is how many entries a member may be behind and still count as one
// that keeps up.
const caughtUp = 512
