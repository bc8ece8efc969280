package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/store"
	"github.com/coveydb/covey/transport"
)

// Node is one running member. All its methods are safe for concurrent use.
type Node struct {
	cfg    Config
	log    *slog.Logger
	clock  *clock
	meters *meters

	folder    *folder.Folder
	db        *store.DB
	machine   *fsm.Machine
	logs      *raftlog.Stores
	snapshots *checkpoint.Store
	replica   *replica
	transport *transport.Transport
	gossip    *cluster.Gossip
	peerAddr  string // advertised

	proposer *proposer
	reads    rounds // read points for this node's readers
	leads    rounds // confirmations of this node's own leadership
	proven   atomic.Pointer[proof]
	contacts sync.Map // node id -> time.Time of its last answer to askStanding
	heard    atomic.Pointer[heard]

	consensus atomic.Pointer[consensus] // nil before the node is in a cluster
	changed   signal                    // the leader, the term, or the consensus
	opened    atomic.Bool               // Open is done: peers may call
	large     *semaphore.Weighted       // bytes of large commands on their way
	archive   archive                   // backups and restores under way
	admin     desk                      // where peers ask for what operators want
	wishes    atomic.Pointer[Wishes]    // nil: nobody keeps any
	changing  chan struct{}             // capacity 1: an operator's change of the membership is under way
	restarts  chan restart              // capacity 1
	draining  atomic.Bool               // it is about to stop
	blank     atomic.Bool               // it began with nothing and has not caught up: no vote; as in the folder
	full      atomic.Bool               // the store has no room for what is committed
	space     space                     // on the disks, here and at the other members
	events    events.Ring               // for operators
	trace     *trace                    // of the last entries

	stableSince atomic.Pointer[map[string]time.Time] // while this node leads: since when members keep up
	ready       atomic.Uint64                        // the term in which this node's barrier passed, as a leader

	ctx     context.Context // ends when the node stops
	cancel  context.CancelFunc
	forming sync.WaitGroup
	wg      sync.WaitGroup
	alive   context.Context // ends when the node fails
	die     context.CancelFunc
	failing sync.Once
	failed  chan struct{}
	failure error // set before failed closes
	closing sync.Once
	closed  error
}

var _ kv.Backend = (*Node)(nil)

// Done closes when the node has found that it must not go on; Err says why.
// The caller should Close it and exit.
func (n *Node) Done() <-chan struct{} { return n.failed }

// Err returns why Done closed.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

// fail stops the node's part in the cluster. It returns at once.
func (n *Node) fail(err error) {
	n.failing.Do(func() {
		n.log.Error("this node must stop", "err", err)
		n.failure = err
		n.Note(events.Event{Kind: events.Stopping, Text: err.Error()})
		close(n.failed)
		if n.die != nil {
			n.die()
		}
	})
}

// whileAlive is ctx until this node fails: nobody shall wait for one that stops.
func (n *Node) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(n.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

// mute says whether this node must do nothing by which it would lead: its disk
// is stalled, or it is about to stop because of what it found.
func (n *Node) mute() bool { return n.logs.Stalled() || n.alive.Err() != nil }

// crammed says whether this node takes no entries.
func (n *Node) crammed() bool { return n.logs.Crammed() || n.alive.Err() != nil }

// PeerAddr returns the address at which other members reach the node.
func (n *Node) PeerAddr() string { return n.peerAddr }

// GossipAddr returns the address at which the node gossips.
func (n *Node) GossipAddr() string { return n.gossip.Addr() }

// raft returns the running consensus, or errs.Unavailable with the reason why
// there is none.
func (n *Node) raft() (*consensus, error) {
	if c := n.consensus.Load(); c != nil {
		return c, nil
	}
	return nil, errs.E(errs.Unavailable, "%s", n.waitingFor())
}

// leader returns the id of the leader that this node knows, in which term;
// "" with the reason if it knows none.
func (n *Node) leader() (id string, term uint64, reason string) {
	c, err := n.raft()
	if err != nil {
		return "", 0, err.Error()
	}
	_, lid := c.raft.LeaderWithID()
	if lid == "" {
		return "", 0, n.noLeader(c)
	}
	return string(lid), c.raft.CurrentTerm(), ""
}

// noLeader says why there is no leader, as far as this node can see.
func (n *Node) noLeader(c *consensus) string {
	voters, alive := c.voters(), 0
	for _, id := range voters {
		if id == n.cfg.ID || n.isAlive(id) {
			alive++
		}
	}
	switch {
	case len(voters) == 0:
		return "no leader: this node waits to be taken into the cluster"
	case alive <= len(voters)/2:
		return fmt.Sprintf("no leader: gossip sees %d of %d voters, %d are needed", alive, len(voters), len(voters)/2+1)
	}
	return fmt.Sprintf("no leader: gossip sees %d of %d voters, an election is under way or gossip is behind", alive, len(voters))
}

func (n *Node) isAlive(id string) bool {
	for _, s := range n.gossip.Members() {
		if s.NodeID == id {
			return s.Alive
		}
	}
	return false
}

// IsLeader reports whether this node leads and has taken over.
func (n *Node) IsLeader() bool {
	_, err := n.leading()
	return err == nil
}
