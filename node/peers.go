package node

import (
	"context"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/rafttransport"
	"github.com/coveydb/covey/transport"
)

// answer is the transport's handler. It runs on the goroutine that reads the
// peer's connection, so nothing in it waits.
func (n *Node) answer(ctx context.Context, from string, call transport.Call, body []byte, reply func([]byte, error)) {
	if !n.opened.Load() {
		reply(nil, errs.E(errs.Unavailable, "node %s is starting", n.cfg.ID))
		return
	}
	switch call {
	case transport.Propose:
		n.proposeFor(body, reply)
	case transport.ReadPoint:
		// A peer has one such call under way at a time (see rounds).
		go func() {
			p, err := n.leads.join(ctx)
			if err != nil {
				reply(nil, err)
				return
			}
			reply(pointReply{p, n.replica.position()}.append(nil), nil)
		}()
	case transport.Term:
		q, err := decodeTermRequest(body)
		if err != nil {
			reply(nil, err)
			return
		}
		c, err := n.raft()
		if err != nil {
			reply(nil, err)
			return
		}
		n.clock.raise(q.now)
		n.hear(c.raft.CurrentTerm(), q.leader)
		reply(n.standing(c).append(make([]byte, 0, 64)), nil)
	case transport.Admin:
		n.admin.serve(ctx, from, body, reply)
	default:
		reply(nil, errs.E(errs.Invalid, "node %s does not know call %d", n.cfg.ID, call))
	}
}

// believe takes over how far leader, which led in term when it was asked, has
// committed. It may lead in a later term by now, in which Raft here will not
// take its word for this: no harm, its next message tells the same.
func (n *Node) believe(leader string, term uint64, at position) {
	c := n.consensus.Load()
	if c == nil || at.index <= c.raft.CommitIndex() {
		return
	}
	addr, id := c.raft.LeaderWithID()
	if string(id) != leader {
		return
	}
	c.transport.Committed(rafttransport.Notice{
		LeaderID: id, LeaderAddr: addr, Term: term, Index: at.index, EntryTerm: at.term,
	})
}

// standing is where this node stands now. The term comes last: all else may be
// older than it.
func (n *Node) standing(c *consensus) standing {
	st := n.machine.State()
	s := standing{
		wall: time.Now().UnixMilli(), used: max(n.clock.used(), st.Clock),
		last: c.raft.LastIndex(), applied: c.raft.AppliedIndex(), version: st.Version,
		room: n.ownRoom(), blank: n.blank.Load(),
	}
	s.term = c.raft.CurrentTerm()
	return s
}

// askStanding asks one peer. now is the time that this node, as a leader, is
// about to use; 0 for none.
func (n *Node) askStanding(ctx context.Context, id string, now int64) (standing, error) {
	reply, err := n.transport.Call(ctx, id, transport.Term, n.asking(now).append(nil))
	if err != nil {
		return standing{}, err
	}
	s, err := decodeStanding(reply)
	if err == nil {
		n.clock.observe(id, s.wall, s.used)
		n.space.hear(id, s.room)
		n.contacts.Store(id, time.Now())
	}
	return s, err
}

// lastContact is when id last answered this node.
func (n *Node) lastContact(id string) (at time.Time, ok bool) {
	v, ok := n.contacts.Load(id)
	if !ok {
		return at, false
	}
	return v.(time.Time), true
}

// survey asks all these peers at once and returns who answered within limit.
func (n *Node) survey(ctx context.Context, ids []string, limit time.Duration) map[string]standing {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	found := make(map[string]standing, len(ids))
	for _, id := range ids {
		if id == n.cfg.ID {
			continue
		}
		wg.Go(func() {
			if s, err := n.askStanding(ctx, id, 0); err == nil {
				mu.Lock()
				defer mu.Unlock()
				found[id] = s
			}
		})
	}
	wg.Wait()
	return found
}
