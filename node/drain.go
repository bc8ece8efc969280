package node

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

// Drain begins the end of this node's service: Checks fail, so that load
// balancers send clients elsewhere, the other members hear of it, and the lead
// goes to one of them. The node goes on serving until Close. The error is that
// of handing over; it is no reason not to go on.
func (n *Node) Drain(ctx context.Context) error {
	n.draining.Store(true)
	err := n.gossip.SetMeta(n.meta())
	if herr := n.giveUpLead(ctx); err == nil {
		err = herr
	}
	return err
}

// Resume takes a Drain back.
func (n *Node) Resume() error {
	n.draining.Store(false)
	return n.gossip.SetMeta(n.meta())
}

// HasOthers reports whether there is another member, as far as gossip sees,
// that goes on serving: somewhere for clients to go.
func (n *Node) HasOthers() bool {
	c := n.consensus.Load()
	if c == nil {
		return false
	}
	members := make(map[string]bool)
	for _, s := range c.servers() {
		members[string(s.ID)] = true
	}
	for _, s := range n.gossip.Members() {
		if s.NodeID != n.cfg.ID && s.Alive && !s.Draining && members[s.NodeID] {
			return true
		}
	}
	return false
}

// giveUpLead transfers the lead if this node has it and anybody else can. It
// waits for a transfer that is under way, such as that of a leader which drains
// and is about to close.
func (n *Node) giveUpLead(ctx context.Context) error {
	c := n.consensus.Load()
	if c == nil || !c.leads.Load() || len(c.voters()) < 2 {
		return nil
	}
	select {
	case c.moving <- struct{}{}:
	case <-ctx.Done():
		return errs.E(errs.Unavailable, "the lead is being handed over still: %w", context.Cause(ctx))
	}
	defer func() { <-c.moving }()
	if c.raft.State() != raft.Leader {
		return nil
	}
	if err := n.handTo(ctx, c, ""); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}

func (n *Node) isDraining(id string) bool {
	for _, s := range n.gossip.Members() {
		if s.NodeID == id {
			return s.Draining
		}
	}
	return false
}
