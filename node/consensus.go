package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/logbridge"
	"github.com/coveydb/covey/node/rafttransport"
	"github.com/coveydb/covey/transport"
)

// maxAppend is how many entries one message to a follower holds at the most.
// An entry has up to command.ChunkBytes, and a follower answers heartbeats only
// between messages: 64 keep one under 32 MiB, a fraction of an election
// time-out on any disk that is fit for use.
const maxAppend = 64

// consensus is one run of Raft. It can be stopped and started again on the same
// stores without restarting the process.
type consensus struct {
	raft         *raft.Raft
	transport    *rafttransport.Transport
	layer        *transport.RaftLayer
	transferring atomic.Bool   // writes and read points wait for the next leader
	moving       chan struct{} // full while somebody transfers the lead
	refusals     refusals
	installs     installs

	notify   chan bool
	observed chan raft.Observation
	leads    atomic.Bool
	over     chan struct{} // closes when Raft has stopped
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// startConsensus begins to take part in the cluster.
func (n *Node) startConsensus() error {
	ctx, stop := context.WithCancel(n.ctx)
	c := &consensus{
		layer:    n.transport.RaftListener(),
		moving:   make(chan struct{}, 1),
		notify:   make(chan bool, 16),
		observed: make(chan raft.Observation, 64),
		over:     make(chan struct{}),
		stop:     stop,
	}
	logger := logbridge.New(n.log)
	var err error
	c.transport, err = rafttransport.New(rafttransport.Options{
		Streams: c.layer, Advertise: n.peerAddr, Logger: logger.Named("raft"),
		Address: n.raftAddress, Mute: n.mute, Last: n.lastIndex, Crammed: n.crammed, Blank: n.forgot,
		Installing: func(index uint64) { n.installing(c, index) },
	})
	if err != nil {
		stop()
		return err
	}
	// Raft blocks on this channel; it is drained from before it starts until
	// after it has stopped.
	c.wg.Go(func() { n.drainLeadership(c) })
	conf := n.raftConfig(c.notify)
	conf.Logger = logger.Named("raft")
	c.raft, err = raft.NewRaft(conf, n.replica, tracedLog{meteredLog{n.logs.Log, n.meters}, n.trace}, n.logs.Stable, n.snapshots, c.transport)
	if err != nil {
		close(c.notify)
		stop()
		c.wg.Wait()
		return errors.Join(errs.E(errs.Internal, "start raft: %w", err), c.transport.Close())
	}
	c.raft.RegisterObserver(raft.NewObserver(c.observed, false, observedKinds))
	n.consensus.Store(c)
	c.wg.Go(func() { n.watch(ctx, c) })
	c.wg.Go(func() { n.lead(ctx, c) })
	c.wg.Go(func() { n.keepLogSmall(ctx, c) })
	n.changed.change()
	return nil
}

func (n *Node) raftConfig(notify chan<- bool) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.cfg.ID)
	conf.HeartbeatTimeout = n.cfg.Heartbeat
	conf.ElectionTimeout = n.cfg.Heartbeat
	conf.LeaderLeaseTimeout = n.cfg.Heartbeat / 2
	conf.MaxAppendEntries = maxAppend
	conf.SnapshotInterval = n.cfg.SnapshotCheck
	conf.SnapshotThreshold = n.cfg.SnapshotEvery
	conf.TrailingLogs = n.cfg.TrailingLogs
	conf.NotifyCh = notify
	conf.NoSnapshotRestoreOnStart = true
	conf.NoLegacyTelemetry = true
	return conf
}

// raftAddress finds a member's peer address at the moment of dialing: by
// gossip, which follows a member that moved, else as Raft's configuration has
// it. The address names the member, so that nobody answers in its place.
func (n *Node) raftAddress(id raft.ServerID) (raft.ServerAddress, bool) {
	if addr, ok := n.resolve(string(id)); ok {
		return raft.ServerAddress(transport.RaftAddress(string(id), addr)), true
	}
	return "", false
}

// lastIndex is the index of the last entry in this node's log; 0 while Raft
// does not run.
func (n *Node) lastIndex() uint64 {
	if c := n.consensus.Load(); c != nil {
		return c.raft.LastIndex()
	}
	return 0
}

// resolve is raftAddress for peer calls.
func (n *Node) resolve(id string) (string, bool) {
	for _, s := range n.gossip.Members() {
		if s.NodeID == id && s.PeerAddr != "" {
			return s.PeerAddr, true
		}
	}
	if c := n.consensus.Load(); c != nil {
		for _, s := range c.servers() {
			if string(s.ID) == id {
				return string(s.Address), true
			}
		}
	}
	return "", false
}

// drainLeadership keeps Raft's last word on whether it leads.
func (n *Node) drainLeadership(c *consensus) {
	for leads := range c.notify {
		c.leads.Store(leads)
		if !leads {
			c.transferring.Store(false) // it is done; what is left of it would bind a later term
		}
		n.changed.change()
	}
}

// watch tells waiters of every change that may concern them.
func (n *Node) watch(ctx context.Context, c *consensus) {
	w := witness{n: n, c: c, mute: make(map[raft.ServerID]bool)}
	for {
		select {
		case o := <-c.observed:
			n.changed.change()
			w.see(o)
		case <-ctx.Done():
			return
		}
	}
}

// stopConsensus ends the run. No callback of Raft is under way when it returns.
func (n *Node) stopConsensus(c *consensus) error {
	n.consensus.Store(nil)
	err := c.raft.Shutdown().Error()
	close(c.over)
	c.stop()
	close(c.notify)
	c.wg.Wait()
	n.changed.change()
	return errors.Join(err, c.transport.Close())
}

// servers returns the latest configuration, committed or not: what a quorum is
// counted over.
func (c *consensus) servers() []raft.Server {
	f := c.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// voters returns the ids of all that vote.
func (c *consensus) voters() []string {
	var ids []string
	for _, s := range c.servers() {
		if s.Suffrage == raft.Voter {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}

// applyLog hands an entry to Raft.
func (n *Node) applyLog(entry []byte) raft.ApplyFuture {
	c := n.consensus.Load()
	if c == nil {
		return refused{raft.ErrNotLeader}
	}
	return applying{c.raft.Apply(entry, enqueueTimeout), n, c}
}

// wait is f.Error, but ends with Raft, which never answers what was committed
// and not yet applied when it was stopped.
func (c *consensus) wait(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-c.over:
		return raft.ErrRaftShutdown
	}
}

// applying is the future of an entry that Raft has, for one who waits for it.
type applying struct {
	raft.ApplyFuture
	n *Node
	c *consensus
}

func (f applying) Error() error {
	err := f.c.wait(f.ApplyFuture)
	f.n.judge(f.c, err)
	return err
}

// refused is the future of an entry that never got to Raft.
type refused struct{ err error }

func (f refused) Error() error  { return f.err }
func (f refused) Response() any { return nil }
func (f refused) Index() uint64 { return 0 }
