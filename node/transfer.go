package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

const (
	heirNear  = 64                    // entries behind the leader from which an heir takes over at once
	heirEvery = 20 * time.Millisecond // between looks at how far it is
)

// Transfer hands the lead over, from whichever node has it: to the voter to, or
// with "" to the one that has caught up best. It returns who leads then, when
// that node serves. The error is errs.Conflict if to cannot take over, or nobody
// can.
func (n *Node) Transfer(ctx context.Context, to string) (leader string, err error) {
	err = n.AskLeader(ctx, opTransfer, transferOp{To: to}, &leader)
	return leader, err
}

// StepDown is Transfer away from this node; errs.Conflict if it does not lead.
func (n *Node) StepDown(ctx context.Context) (leader string, err error) {
	switch id, _, reason := n.leader(); id {
	case n.cfg.ID:
		err = n.CallAdmin(ctx, id, opTransfer, transferOp{}, &leader)
		return leader, err
	case "":
		return "", errs.E(errs.Unavailable, "%s", reason)
	default:
		return "", errs.E(errs.Conflict, "node %s does not lead: %s does", n.cfg.ID, id)
	}
}

// transferFor answers a Transfer.
func (n *Node) transferFor(ctx context.Context, to string) (string, error) {
	if to == n.cfg.ID {
		if _, err := n.leading(); err != nil {
			return "", err
		}
		return to, nil
	}
	c, err := n.raft()
	if err != nil {
		return "", err
	}
	if _, err := n.leading(); err != nil {
		return "", err
	}
	if err := n.transfer(ctx, c, to); err != nil {
		return "", err
	}
	// A read point is the proof that the next leader has taken over.
	if _, err := n.reads.join(ctx); err != nil {
		return "", err
	}
	leader, _, reason := n.leader()
	if leader == "" {
		return "", errs.E(errs.Unavailable, "%s", reason)
	}
	return leader, nil
}

// transfer makes another voter lead, to or the best one. When it returns nil
// this node leads no more.
func (n *Node) transfer(ctx context.Context, c *consensus, to string) error {
	select {
	case c.moving <- struct{}{}:
	default:
		return errs.E(errs.Unavailable, "the lead is being handed over already")
	}
	defer func() { <-c.moving }()
	return n.handTo(ctx, c, to)
}

// handTo is transfer for whoever has filled c.moving.
func (n *Node) handTo(ctx context.Context, c *consensus, to string) error {
	heir, err := n.heir(ctx, c, to)
	if err != nil {
		return err
	}
	n.log.Info("handing the lead over", "to", heir.ID)
	c.transferring.Store(true)
	done := make(chan error, 1)
	go func() { done <- c.raft.LeadershipTransferToServer(heir.ID, heir.Address).Error() }()
	limit := time.NewTimer(n.stuckAfter())
	defer limit.Stop()
	select {
	case err = <-done:
	case <-limit.C:
		err = errs.E(errs.Unavailable, "node %s did not take over in time", heir.ID)
	case <-c.over:
		return nil
	}
	if err == nil {
		return nil // drainLeadership takes back c.transferring
	}
	c.transferring.Store(false)
	n.probe(ctx, c)
	if c.raft.State() != raft.Leader {
		return nil // it was late
	}
	return errs.E(errs.Unavailable, "the lead was not handed over to node %s: %w", heir.ID, err)
}

// probe sees to it that a leader which keeps the lead takes writes again.
func (n *Node) probe(ctx context.Context, c *consensus) {
	for c.raft.State() == raft.Leader {
		err := c.wait(c.raft.Barrier(enqueueTimeout))
		n.judge(c, err)
		if !errors.Is(err, raft.ErrLeadershipTransferInProgress) || !pause(ctx, n.changed.next(), retryEvery) {
			return
		}
	}
}

// heir returns the voter that shall lead next, once it is close behind. Nobody
// is asked to lead who does not answer or is far behind: writes would wait for
// it in vain.
func (n *Node) heir(ctx context.Context, c *consensus, to string) (raft.Server, error) {
	var voters []raft.Server
	for _, s := range c.servers() {
		switch id := string(s.ID); {
		case id == n.cfg.ID:
		case s.Suffrage == raft.Voter && (to == id || to == "" && !n.isDraining(id)):
			voters = append(voters, s)
		case to == id:
			return s, errs.E(errs.Conflict, "node %s does not vote, so it cannot lead", to)
		}
	}
	if len(voters) == 0 && to != "" {
		return raft.Server{}, errs.E(errs.NotFound, "node %s is no member", to)
	}
	if len(voters) == 0 {
		return raft.Server{}, errs.E(errs.Conflict, "there is no other voter that could lead")
	}
	// Who is far behind is waited for longer than who says nothing at all.
	silence := time.Now().Add(n.cfg.Heartbeat)
	limit := silence.Add(4 * n.cfg.Heartbeat)
	for {
		best, lag, ok := n.closest(ctx, c, voters)
		switch {
		case ok && lag <= heirNear:
			return best, nil
		case ok && lag <= caughtUp && time.Now().After(limit):
			return best, nil // Raft brings it up while writes wait
		case ok && time.Now().After(limit):
			return best, errs.E(errs.Conflict, "node %s is %d entries behind and cannot take over yet", best.ID, lag)
		case !ok && time.Now().After(silence):
			return best, errs.E(errs.Conflict, "no voter that could lead answers: %v", voterNames(voters))
		}
		t := time.NewTimer(heirEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return best, errs.E(errs.Unavailable, "nobody could take over in time: %w", context.Cause(ctx))
		}
	}
}

// closest returns the server whose log is the longest, and how many entries it
// lacks; false if none answers.
func (n *Node) closest(ctx context.Context, c *consensus, servers []raft.Server) (best raft.Server, lag uint64, ok bool) {
	stands := n.survey(ctx, voterNames(servers), surveyFor)
	last := c.raft.LastIndex()
	for _, s := range servers {
		st, answered := stands[string(s.ID)]
		if !answered || st.blank { // one that is blank would not campaign
			continue
		}
		behind := last - min(last, st.last)
		if !ok || behind < lag {
			best, lag, ok = s, behind, true
		}
	}
	return best, lag, ok
}

func voterNames(servers []raft.Server) (ids []string) {
	for _, s := range servers {
		ids = append(ids, string(s.ID))
	}
	slices.Sort(ids)
	return ids
}
