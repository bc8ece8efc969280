package node

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

const (
	dutyEvery  = 500 * time.Millisecond
	reapLimit  = 1000 // records of one reap command
	reapRounds = 20   // reap commands in a row, before other duties
	caughtUp   = 512  // entries behind the leader that still count as caught up
	surveyFor  = 400 * time.Millisecond
	changeFor  = 10 * time.Second // for a change of the configuration

	farewellEvery = 2 * time.Second
)

// lead does the leader's duties while this node leads, until ctx ends.
func (n *Node) lead(ctx context.Context, c *consensus) {
	for {
		changed := n.changed.next()
		if c.leads.Load() {
			n.term(ctx, c)
			if c.leads.Load() && ctx.Err() == nil {
				continue
			}
		}
		select {
		case <-changed.Done():
		case <-ctx.Done():
			return
		}
	}
}

// term is one term of leading.
func (n *Node) term(ctx context.Context, c *consensus) {
	term := c.raft.CurrentTerm()
	if err := n.takeOver(ctx, c, term); err != nil {
		if !errors.Is(err, raft.ErrRaftShutdown) {
			n.log.Warn("taking over as leader failed", "term", term, "err", err)
		}
		pause(ctx, n.changed.next(), retryEvery)
		return
	}
	n.log.Info("this node leads", "term", term)
	defer n.stableSince.Store(nil)
	defer n.log.Info("this node leads no more", "term", term)
	duties := duties{n: n, c: c, began: time.Now(), stableSince: make(map[string]time.Time)}
	tick := time.NewTicker(dutyEvery)
	defer tick.Stop()
	for c.leads.Load() && c.raft.CurrentTerm() == term {
		duties.do(ctx)
		select {
		case <-tick.C:
		case <-n.gossip.Updated():
		case <-ctx.Done():
			return
		}
	}
}

// takeOver makes this leader ready to serve: it commits an entry of its own
// term, which settles everything that earlier leaders left, waits until that
// is applied, and learns from a quorum how far the cluster's clock has gone.
func (n *Node) takeOver(ctx context.Context, c *consensus, term uint64) error {
	err := c.wait(c.raft.Barrier(enqueueTimeout))
	n.judge(c, err)
	if err != nil {
		return err
	}
	n.clock.keep(c.voters())
	n.clock.raise(n.machine.State().Clock)
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	if _, err := n.quorumIn(ctx, c, term, 0); err != nil {
		return err
	}
	n.ready.Store(term)
	n.changed.change()
	return nil
}

// duties are what a leader does again and again.
type duties struct {
	n           *Node
	c           *consensus
	began       time.Time            // when this node took the lead over
	stableSince map[string]time.Time // since when a server has been caught up
	refused     map[string]string    // last reason told, by node
	farewell    time.Time            // when a removed node was told last
}

func (d *duties) do(ctx context.Context) {
	if err := d.reap(ctx); err != nil {
		d.n.log.Debug("expired records wait", "err", err)
	}
	if d.n.draining.Load() { // it was elected since it began to drain
		if err := d.n.giveUpLead(ctx); err != nil {
			d.n.log.Debug("nobody takes the lead over", "err", err)
		}
		return
	}
	d.membership(ctx)
}

// reap gives back the storage of expired records, a bounded part at a time.
func (d *duties) reap(ctx context.Context) error {
	for range reapRounds {
		due, err := d.due()
		if err != nil || !due {
			return err
		}
		cmd := &command.Command{ID: kv.NewID(), Ops: []command.Op{{Kind: command.Reap, Limit: reapLimit}}}
		cmd.Since = d.n.machine.State().Version
		ctx, cancel := context.WithTimeout(ctx, changeFor)
		res, err := d.n.proposeHere(ctx, cmd.Append(nil))
		cancel()
		if err != nil {
			return err
		}
		d.n.meters.reaped(res)
	}
	return nil
}

func (d *duties) due() (bool, error) {
	v, err := d.n.machine.View()
	if err != nil {
		return false, err
	}
	defer v.Release()
	return v.Due(d.n.clock.now())
}

// membership brings Raft's configuration closer to what gossip sees, at most
// one change of a voter at a time.
func (d *duties) membership(ctx context.Context) {
	select {
	case d.n.changing <- struct{}{}:
		defer func() { <-d.n.changing }()
	default:
		return // an operator is at it
	}
	wishes, err := d.n.loadWishes(ctx)
	if err != nil {
		d.n.log.Warn("the membership stays as it is: what operators want of it cannot be read", "err", err)
		return
	}
	plan := cluster.Plan(d.have(ctx, d.c.servers()), d.n.gossip.Members(), cluster.Policy{
		Self: d.n.cfg.ID, ClusterID: d.n.folder.ClusterID(), StableFor: d.n.cfg.StableFor, Formats: formats,
		Wishes: wishes, Now: time.Now(),
	})
	for _, change := range plan {
		change = d.proven(ctx, change)
		if err := d.change(ctx, change); err != nil {
			d.n.log.Warn("change of membership failed", "change", change.Kind.String(), "node", change.ID, "err", err)
		}
		if change.Kind != cluster.Refuse {
			return // the next tick plans on the new configuration
		}
	}
}

// have is the configuration with how well each server keeps up.
func (d *duties) have(ctx context.Context, servers []raft.Server) []cluster.Server {
	ids := make([]string, len(servers))
	for i, s := range servers {
		ids[i] = string(s.ID)
	}
	stands := d.n.survey(ctx, ids, surveyFor)
	d.n.clock.keep(d.c.voters()) // the survey hears non-voters too
	last := d.c.raft.LastIndex()
	now := time.Now()
	have := make([]cluster.Server, len(servers))
	for i, s := range servers {
		id := string(s.ID)
		st, answers := stands[id]
		answers = answers || id == d.n.cfg.ID
		// A blank one would be a voter without a vote: the others might be no quorum.
		up := id == d.n.cfg.ID || answers && !st.blank && st.applied+caughtUp >= last
		have[i] = cluster.Server{ID: id, Addr: d.addressOf(s), Voter: s.Suffrage == raft.Voter, CaughtUp: up, Answers: answers}
		have[i].StableFor = d.stable(id, up, now)
		if !answers {
			have[i].Silent = d.silent(id, now)
		}
	}
	if d.stableSince != nil {
		kept := maps.Clone(d.stableSince)
		d.n.stableSince.Store(&kept)
	}
	return have
}

// stable notes whether a server is caught up now, and tells for how long it has
// been.
func (d *duties) stable(id string, up bool, now time.Time) time.Duration {
	if d.stableSince == nil || !up {
		delete(d.stableSince, id)
		return 0
	}
	if _, known := d.stableSince[id]; !known {
		d.stableSince[id] = now
	}
	return now.Sub(d.stableSince[id])
}

// silent is how long this leader has not heard of a server that does not answer.
func (d *duties) silent(id string, now time.Time) time.Duration {
	last := d.began
	if at, ok := d.n.lastContact(id); ok && at.After(last) {
		last = at
	}
	return now.Sub(last)
}

// addressOf is a server's address for planning. Where the server can be found
// by gossip its address in Raft's configuration does not matter, and is not
// brought up to date: hashicorp/raft 1.8.0 replaces it under the hands of the
// goroutine that replicates to that server (replication.go reads its peer
// without the lock). It has to go only if another node needs that address.
func (d *duties) addressOf(s raft.Server) string {
	configured, now := string(s.Address), ""
	for _, seen := range d.n.gossip.Members() {
		switch {
		case !seen.Alive:
		case seen.NodeID == string(s.ID):
			now = seen.PeerAddr
		case seen.PeerAddr == configured:
			return configured
		}
	}
	if now == "" {
		return configured
	}
	return now
}

// change carries out one change of the configuration.
func (d *duties) change(ctx context.Context, c cluster.Change) error {
	id, addr := raft.ServerID(c.ID), raft.ServerAddress(c.Addr)
	var f raft.IndexFuture
	switch {
	case c.Kind == cluster.Refuse:
		d.refuse(ctx, c)
		return nil
	case c.Kind == cluster.Remove:
		f = d.c.raft.RemoveServer(id, 0, changeFor)
	case c.Voter:
		f = d.c.raft.AddVoter(id, addr, 0, changeFor)
	default:
		if c.Kind == cluster.AddNonvoter {
			// A removed node that comes back without data is a new one.
			if err := d.forget(ctx, c.ID); err != nil {
				return err
			}
		}
		f = d.c.raft.AddNonvoter(id, addr, 0, changeFor)
	}
	if err := d.c.wait(f); err != nil && !errors.Is(err, raft.ErrNotLeader) {
		return changeError(c.ID, err)
	}
	d.n.log.Info("membership", "change", c.Kind.String(), "node", c.ID, "addr", c.Addr, "reason", c.Reason)
	return nil
}

// forget takes back that a node was removed.
func (d *duties) forget(ctx context.Context, id string) error {
	wishes, err := d.n.loadWishes(ctx)
	if err != nil || wishes.Nodes[id] != cluster.WishRemoved {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeFor)
	defer cancel()
	return d.n.keepWish(ctx, id, cluster.WishNone)
}

// refuse tells the log, once, why a node is not taken in, and tells a removed
// node that it may go.
func (d *duties) refuse(ctx context.Context, c cluster.Change) {
	if d.refused == nil {
		d.refused = make(map[string]string)
	}
	if d.refused[c.ID] != c.Reason {
		d.refused[c.ID] = c.Reason
		d.n.log.Warn("the membership is not changed", "node", c.ID, "reason", c.Reason)
		d.n.Note(events.Event{Kind: events.Declined, Node: c.ID, Text: c.Reason})
	}
	if c.Reason == cluster.ReasonRemoved && time.Since(d.farewell) > farewellEvery {
		d.farewell = time.Now()
		d.n.sayFarewell(ctx, c.ID)
	}
}

// changeError is what Raft said to a change of its configuration. It may have
// been made all the same, unless Raft never took it up.
func changeError(node string, err error) error {
	for _, never := range []error{raft.ErrNotLeader, raft.ErrEnqueueTimeout, raft.ErrLeadershipTransferInProgress} {
		if errors.Is(err, never) {
			return errs.E(errs.Unavailable, "the membership of node %s was not changed: %w", node, err)
		}
	}
	return errs.E(errs.Unknown, "the membership of node %s may or may not have been changed: %w", node, err)
}
