package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// Wishes keeps what operators decide about the membership where the next leader
// finds it too. Both are called by the node that leads, by several goroutines.
type Wishes interface {
	// Load returns all of them, as this node's own state has them, at once.
	Load(ctx context.Context) (cluster.Wishes, error)
	// Keep sets the wish about one node; cluster.WishNone forgets it.
	Keep(ctx context.Context, id string, w cluster.Wish) error
}

// KeepWishes tells the node where wishes are kept. Without it what operators do
// lasts until gossip brings it back.
func (n *Node) KeepWishes(w Wishes) { n.wishes.Store(&w) }

func (n *Node) loadWishes(ctx context.Context) (cluster.Wishes, error) {
	if w := n.wishes.Load(); w != nil {
		return (*w).Load(ctx)
	}
	return cluster.Wishes{}, nil
}

func (n *Node) keepWish(ctx context.Context, id string, w cluster.Wish) error {
	if k := n.wishes.Load(); k != nil {
		return (*k).Keep(ctx, id, w)
	}
	return nil
}

// Operations between nodes, by their names in a call.
const (
	opMember   = "member"
	opTransfer = "transfer"
	opFarewell = "farewell"
)

type transferOp struct {
	To string `json:"to,omitempty"`
}

type farewellOp struct {
	Node    string `json:"node"`
	Cluster string `json:"cluster"`
}

// handleMembers registers the operations of this file.
func (n *Node) handleMembers() {
	n.HandleAdmin(opMember, func(ctx context.Context, _ string, body json.RawMessage) (any, error) {
		var q cluster.MemberChange
		if err := decodeAdmin(body, &q); err != nil {
			return nil, err
		}
		return n.changeMember(ctx, q)
	})
	n.HandleAdmin(opTransfer, func(ctx context.Context, _ string, body json.RawMessage) (any, error) {
		var q transferOp
		if err := decodeAdmin(body, &q); err != nil {
			return nil, err
		}
		return n.transferFor(ctx, q.To)
	})
	n.HandleAdmin(opFarewell, func(_ context.Context, from string, body json.RawMessage) (any, error) {
		var q farewellOp
		if err := decodeAdmin(body, &q); err != nil {
			return nil, err
		}
		if q.Node != n.cfg.ID || q.Cluster != n.folder.ClusterID().String() {
			return nil, errs.E(errs.Invalid, "a farewell to node %s of another cluster", q.Node)
		}
		return nil, n.retire("it was removed from the cluster, says " + from)
	})
}

// ChangeMember has the leader change one member, or with q.DryRun only say what
// that would do. The error is errs.Conflict, with the arithmetic, if the cluster
// could commit nothing any more; errs.NotFound if there is no such member.
func (n *Node) ChangeMember(ctx context.Context, q cluster.MemberChange) (did cluster.MemberChange, err error) {
	err = n.AskLeader(ctx, opMember, q, &did)
	return did, err
}

// changeMember answers ChangeMember on the leader. A leader that is to go hands
// the lead over, and has the next one go on. It holds no turn then: for a moment
// it may still take itself for the leader, and would wait for itself.
func (n *Node) changeMember(ctx context.Context, q cluster.MemberChange) (cluster.MemberChange, error) {
	did, own, err := n.changeHere(ctx, q)
	if own && err == nil {
		err = n.AskLeader(ctx, opMember, q, &did)
	}
	return did, err
}

// changeHere makes a change when it is its turn. own is true for one of this node
// itself: then only the lead was handed over.
func (n *Node) changeHere(ctx context.Context, q cluster.MemberChange) (did cluster.MemberChange, own bool, err error) {
	select {
	case n.changing <- struct{}{}:
		defer func() { <-n.changing }()
	case <-ctx.Done():
		return q, false, errs.E(errs.Unavailable, "another change of the membership is under way")
	}
	c, err := n.raft()
	if err != nil {
		return q, false, err
	}
	if _, err := n.leading(); err != nil {
		return q, false, err
	}
	have := (&duties{n: n, c: c, began: time.Now()}).have(ctx, c.servers())
	x := memberChange{n: n, c: c, MemberChange: q, have: have, seen: n.gossip.Members()}
	if err := x.judge(); err != nil || q.DryRun {
		return x.MemberChange, false, err
	}
	if q.Node == n.cfg.ID && q.Change != cluster.DoPromote {
		return q, true, n.transfer(ctx, c, "")
	}
	err = x.carryOut(ctx)
	return x.MemberChange, false, err
}

// memberChange is a change that an operator asked this leader for.
type memberChange struct {
	cluster.MemberChange
	n    *Node
	c    *consensus
	have []cluster.Server
	seen []cluster.Seen
}

// judge fills in what the change comes to, and refuses what must not be.
func (x *memberChange) judge() error {
	text, after, err := cluster.Judge(x.have, x.seen, x.MemberChange)
	x.Votes, x.Text = after, text
	return err
}

// carryOut makes the change. The wish comes first: a leader that dies in between
// leaves behind what was meant, not what would be undone.
func (x *memberChange) carryOut(ctx context.Context) error {
	wish := map[string]cluster.Wish{cluster.DoDemote: cluster.WishNonVoter, cluster.DoRemove: cluster.WishRemoved}[x.Change]
	if err := x.n.keepWish(ctx, x.Node, wish); err != nil {
		return err
	}
	id := raft.ServerID(x.Node)
	var f raft.IndexFuture
	switch {
	case x.Change == cluster.DoRemove:
		f = x.c.raft.RemoveServer(id, 0, changeFor)
	case x.Change == cluster.DoDemote:
		f = x.c.raft.DemoteVoter(id, 0, changeFor)
	default:
		f = x.c.raft.AddVoter(id, x.addr(), 0, changeFor)
	}
	if err := x.c.wait(f); err != nil {
		return changeError(x.Node, err)
	}
	x.Done = true
	x.n.log.Info("membership", "change", x.Change, "node", x.Node, "reason", "an operator asked for it", "voters", x.Votes.Voters)
	if x.Change == cluster.DoRemove && !x.Leaving {
		x.n.sayFarewell(ctx, x.Node)
	}
	return nil
}

func (x *memberChange) addr() raft.ServerAddress {
	for _, s := range x.c.servers() {
		if string(s.ID) == x.Node {
			return s.Address
		}
	}
	return ""
}

// sayFarewell tells a node that it is no member any more, so that its process
// ends. One that cannot be reached hears it when it comes back: see duties.
func (n *Node) sayFarewell(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, surveyFor)
	defer cancel()
	q := farewellOp{Node: id, Cluster: n.folder.ClusterID().String()}
	if err := n.CallAdmin(ctx, id, opFarewell, q, nil); err != nil {
		n.log.Debug("a removed node could not be told", "node", id, "err", err)
	}
}

// Leave takes this node out of the cluster for good: the lead goes to another
// member, the leader removes this one, and Done closes with ErrLeft. The caller
// has drained it before, if there are clients.
func (n *Node) Leave(ctx context.Context) (cluster.MemberChange, error) {
	did, err := n.ChangeMember(ctx, cluster.MemberChange{Change: cluster.DoRemove, Node: n.cfg.ID, Leaving: true})
	if err != nil {
		return did, err
	}
	return did, n.retire("it left the cluster")
}

// ErrLeft is why a node is done that is no member any more, as was wanted.
var ErrLeft = errs.E(errs.Unavailable, "this node is no member of the cluster any more")

// retire writes down that the data folder is of no use any more, and stops this
// node's part in the cluster.
func (n *Node) retire(why string) error {
	if err := n.folder.Retire(time.Now()); err != nil {
		return errs.E(errs.Internal, "%w", err)
	}
	n.failing.Do(func() {
		n.log.Info("this node stops for good", "why", why, "data", n.cfg.DataDir)
		n.failure = ErrLeft
		close(n.failed)
	})
	return nil
}
