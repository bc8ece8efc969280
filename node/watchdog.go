package node

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
)

// restart asks keepConsensus to stop a run of Raft and to start the next one,
// on the same stores.
type restart struct {
	c   *consensus
	why string
}

// restartConsensus has Raft started again in this process. It does not wait; a
// run that is to end already is not ended twice.
func (n *Node) restartConsensus(c *consensus, why string) {
	select {
	case n.restarts <- restart{c, why}:
	default:
	}
}

// keepConsensus restarts Raft where that is asked for. It is the only one that
// does, and it is waited for before a closing node stops Raft.
func (n *Node) keepConsensus() {
	for {
		select {
		case r := <-n.restarts:
			if n.ctx.Err() != nil || n.consensus.Load() != r.c {
				continue
			}
			n.log.Warn("Raft is started again", "why", r.why)
			if err := n.stopConsensus(r.c); err != nil {
				n.log.Warn("Raft did not stop well", "err", err)
			}
			err := folder.CatchUp(n.machine, n.logs.Log, n.snapshots, n.log)
			if err == nil {
				err = n.startConsensus()
			}
			if err != nil {
				n.fail(errs.E(errs.Internal, "Raft cannot be started again after %s: %w", r.why, err))
				return
			}
		case <-n.ctx.Done():
			return
		}
	}
}

// refusals watches a leader that refuses writes because it takes itself to be
// handing over the lead. Raft lifts that after two election time-outs at the
// most; but one that waits for an answer of the member that was to lead, or led
// again meanwhile, can refuse them for ever (hashicorp/raft issue 696).
type refusals struct {
	mu    sync.Mutex
	since time.Time // of the first one in a row; zero = there is none
}

// tooLong takes the outcome of something that was given to Raft, and reports
// whether refusals have gone on for longer than limit.
func (r *refusals) tooLong(err error, limit time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		r.since = time.Time{}
		return false
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	return time.Since(r.since) > limit
}

// stuckAfter is how long a leader may refuse writes for a transfer.
func (n *Node) stuckAfter() time.Duration { return 2*n.cfg.Heartbeat + n.cfg.Heartbeat/2 }

// judge looks at what Raft said to something that this node gave it.
func (n *Node) judge(c *consensus, err error) {
	if c.refusals.tooLong(err, n.stuckAfter()) {
		n.restartConsensus(c, "this leader refuses writes since a transfer of the lead that never ended")
	}
}

const (
	sameInstalls = 3                // in a row that are no accident any more
	installsLast = 10 * time.Minute // between two of them
)

// installs counts the snapshots that the leader sends to this member. Raft keeps
// entries that conflict with a snapshot which it has installed, or its idea of
// them, then refuses what follows the snapshot, and so gets the same one again,
// for ever (hashicorp/raft issue 697).
type installs struct {
	index uint64
	times int
	last  time.Time
}

// again counts one more of index and reports whether it is one too many.
func (i *installs) again(index uint64, now time.Time) bool {
	if index != i.index || now.Sub(i.last) > installsLast {
		i.index, i.times = index, 0
	}
	i.last = now
	i.times++
	if i.times < sameInstalls {
		return false
	}
	i.times = 0
	return true
}

// installing is told of each snapshot that the leader of run c begins to send.
// Only the goroutine calls it that hands requests to Raft.
func (n *Node) installing(c *consensus, index uint64) {
	if !c.installs.again(index, time.Now()) {
		return
	}
	list, err := n.snapshots.List()
	if err != nil || len(list) == 0 || list[0].Index < index {
		return // it did not get here: the way is bad, not the log
	}
	n.restartConsensus(c, "the leader sends the same snapshot again and again")
}
