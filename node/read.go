package node

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/transport"
)

const (
	readLimit  = 5 * time.Second // of one round of read points
	roundLimit = 2 * time.Second // of one confirmation of leadership
)

// proof is the last read point that this node got: its state is not older than
// asked, once it has reached version.
type proof struct {
	asked   time.Time
	version uint64
}

// Wait returns once this node's own state is at version: with View it makes
// the node a source of a feed.
func (n *Node) Wait(ctx context.Context, version uint64) error { return n.machine.Wait(ctx, version) }

// View implements kv.Backend.
func (n *Node) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	if c.Stale {
		v, info, err := n.staleView()
		if err != nil || c.MaxStale == 0 || info.Staleness >= 0 && info.Staleness <= c.MaxStale {
			return v, info, err
		}
		v.Release()
	}
	ctx, cancel := n.whileAlive(ctx)
	defer cancel()
	p, err := n.reads.join(ctx)
	if err != nil {
		return nil, kv.ReadInfo{}, err
	}
	v, err := n.viewAt(ctx, p.version)
	if err != nil {
		return nil, kv.ReadInfo{}, err
	}
	return v, kv.ReadInfo{Version: v.Version, Now: max(p.now, v.Clock)}, nil
}

// viewAt returns a state that has reached version. What was reached can be left
// again: a snapshot that is being installed may hold less than the state has.
func (n *Node) viewAt(ctx context.Context, version uint64) (*fsm.View, error) {
	for {
		if err := n.machine.Wait(ctx, version); err != nil {
			if ctx.Err() != nil {
				err = errs.E(errs.Unavailable, "this node is at version %d and did not reach %d in time", n.machine.State().Version, version)
			}
			return nil, err
		}
		v, err := n.machine.View()
		if err != nil || v.Version >= version {
			return v, err
		}
		v.Release()
	}
}

// staleView is this node's state as it is, with a proven bound on its age if
// there is one.
func (n *Node) staleView() (*fsm.View, kv.ReadInfo, error) {
	v, err := n.machine.View()
	if err != nil {
		return nil, kv.ReadInfo{}, err
	}
	info := kv.ReadInfo{
		Version: v.Version, Now: max(time.Now().UnixMilli(), v.Clock),
		Consistency: kv.Consistency{Stale: true}, Staleness: -1,
	}
	if p := n.proven.Load(); p != nil && v.Version >= p.version {
		info.Staleness = time.Since(p.asked)
	}
	return v, info, nil
}

// readPoint runs one round for all readers of this node that wait.
func (n *Node) readPoint(ctx context.Context) (point, error) {
	began := time.Now()
	for {
		changed := n.changed.next()
		asked := time.Now()
		p, err := n.askLeader(ctx, changed)
		if err == nil {
			n.meters.readPoints.Inc()
			since(n.meters.readPoint, began)
			n.tellSlowRead(began)
			n.proven.Store(&proof{asked, p.version})
			return p, nil
		}
		n.meters.readRetries.Inc()
		if !pause(ctx, changed, retryEvery) {
			return p, errs.E(errs.Unavailable, "no read point: %w", err)
		}
	}
}

func (n *Node) askLeader(ctx context.Context, changed context.Context) (point, error) {
	leader, term, reason := n.leader()
	switch leader {
	case "":
		return point{}, errs.E(errs.Unavailable, "%s", reason)
	case n.cfg.ID:
		return n.leads.join(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	defer context.AfterFunc(changed, cancel)()
	reply, err := n.transport.Call(ctx, leader, transport.ReadPoint, nil)
	if err != nil {
		return point{}, err
	}
	a, err := decodePointReply(reply)
	if err == nil {
		n.believe(leader, term, a.at)
	}
	return a.point, err
}

// confirm runs one round for all who want a read point of this leader: it
// takes its version and then asks the voters for their terms. A quorum that is
// still in this term had not elected another leader when it was asked, so no
// other leader can have acknowledged anything by then.
//
// raft.VerifyLeader is no substitute: it counts answers to heartbeats that were
// sent before the question.
func (n *Node) confirm(ctx context.Context) (point, error) {
	term, err := n.leading()
	if err != nil {
		return point{}, err
	}
	c, err := n.raft()
	if err != nil {
		return point{}, err // it was stopped since
	}
	for {
		p := point{version: n.machine.State().Version, now: n.clock.now()}
		used, err := n.quorumIn(ctx, c, term, p.now)
		if err != nil {
			return point{}, err
		}
		if now, err := n.leading(); err != nil || now != term {
			return point{}, errs.E(errs.Unavailable, "node %s lost the lead", n.cfg.ID)
		}
		// A time that only some voter knows of must be told to a quorum before
		// it is used, or the next leader might fall behind it.
		if used <= p.now {
			return p, nil
		}
	}
}

// leading returns the term in which this node leads and has taken over, or
// errs.Unavailable with what is missing.
func (n *Node) leading() (term uint64, err error) {
	c, err := n.raft()
	if err != nil {
		return 0, err
	}
	term = c.raft.CurrentTerm()
	switch {
	case c.raft.State() != raft.Leader:
		return 0, errs.E(errs.Unavailable, "node %s does not lead", n.cfg.ID)
	case n.ready.Load() != term:
		return 0, errs.E(errs.Unavailable, "leader %s is taking over", n.cfg.ID)
	case c.transferring.Load():
		return 0, errs.E(errs.Unavailable, "leader %s is handing over", n.cfg.ID)
	}
	return term, nil
}

// quorumIn asks all other voters where they stand and returns once a quorum,
// this node included and blank ones not, has answered that it is in term, with the latest time
// that any of them knows to have been used.
func (n *Node) quorumIn(ctx context.Context, c *consensus, term uint64, now int64) (used int64, err error) {
	voters := c.voters()
	need := len(voters)/2 + 1
	peers := make([]string, 0, len(voters))
	for _, id := range voters {
		if id == n.cfg.ID {
			need--
		} else {
			peers = append(peers, id)
		}
	}
	if need <= 0 {
		return now, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what has not answered by then is not waited for
	type answer struct {
		s   standing
		err error
	}
	answers := make(chan answer, len(peers))
	for _, id := range peers {
		go func() {
			s, err := n.askStanding(ctx, id, now)
			answers <- answer{s, err}
		}()
	}
	var last error
	for left := len(peers); left >= need; left-- {
		a := <-answers
		switch {
		case a.err != nil:
			last = a.err
		case a.s.blank: // it may have helped to elect another in a later term
			last = errs.E(errs.Unavailable, "a voter began with an empty data folder and has not caught up")
		case a.s.term != term:
			last = errs.E(errs.Unavailable, "a voter is in term %d, the leader in %d", a.s.term, term)
		default:
			used = max(used, a.s.used)
			if need--; need == 0 {
				return used, nil
			}
		}
	}
	return 0, errs.E(errs.Unavailable, "no quorum confirms leader %s: %w", n.cfg.ID, last)
}
