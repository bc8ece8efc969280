package node

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/node/room"
	"github.com/coveydb/covey/store"
	"github.com/coveydb/covey/transport"
)

// Open starts a node. It returns once the node's own data is open and its
// ports listen; the node then finds or forms its cluster by itself, and Checks
// tells when it is ready. An error is one sentence that says what to do.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Logger.With("self", cfg.ID), clock: newClock(), meters: newMeters(), failed: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	n.trace = &trace{}
	n.alive, n.die = context.WithCancel(context.Background())
	n.large = semaphore.NewWeighted(largeBytes)
	n.changing, n.restarts = make(chan struct{}, 1), make(chan restart, 1)
	n.reads = rounds{run: n.readPoint, limit: readLimit}
	n.leads = rounds{run: n.confirm, limit: roundLimit}
	if err := n.open(); err != nil {
		n.release()
		return nil, err
	}
	return n, nil
}

func (n *Node) open() error {
	var err error
	if n.folder, err = folder.Open(n.cfg.DataDir, n.cfg.ID); err != nil {
		return err
	}
	if err := n.openData(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	if n.cfg.Metrics != nil {
		if err := n.measure(n.cfg.Metrics); err != nil {
			return errs.E(errs.Internal, "register metrics: %w", err)
		}
	}
	n.proposer = newProposer(n.applyLog, n.clock.now, n.meters)
	n.wg.Go(func() { n.proposer.run(n.ctx) })
	n.proposer.done = n.tellSlowWrite
	n.wg.Go(func() { n.keepSpace(n.ctx) })
	n.handleFacts()
	n.handleMembers()
	n.forming.Go(n.keepConsensus)
	n.Note(events.Event{Kind: events.Started, Text: "this node has opened its data and listens"})
	n.opened.Store(true)
	if id := n.folder.ClusterID(); !id.IsZero() {
		return n.enter(id)
	}
	if n.hasState() {
		return errs.E(errs.Invalid, "data folder %s holds a Raft log, but its node.json names no cluster: restore node.json, or start with an empty folder to join anew", n.cfg.DataDir)
	}
	n.forming.Go(n.form)
	return nil
}

// openData opens what lies in the data folder.
func (n *Node) openData() error {
	var err error
	n.db, err = store.Open(store.Options{
		Dir: n.folder.Path(folder.State), Logger: n.log,
		Fatal: n.stopForGood,
	})
	if err != nil {
		return n.folder.InUse(err)
	}
	if n.machine, err = fsm.Open(n.db, fsm.Options{Full: n.waitForRoom}); err != nil {
		return errs.E(errs.Invalid, "data folder %s: %w", n.cfg.DataDir, err)
	}
	n.logs, err = raftlog.Open(raftlog.Options{
		Dir: n.folder.Path(folder.Raft), Kind: n.cfg.RaftLog, Logger: n.log,
		Fatal: n.fail, Stall: n.stalled,
	})
	if err != nil {
		return n.folder.InUse(err)
	}
	n.snapshots, err = n.folder.OpenSnapshots(n.log)
	if err != nil {
		return err
	}
	n.snapshots.Watch(n.broken)
	n.space = space{dirs: []string{n.folder.Path(folder.State), n.folder.Path(folder.Raft)}, mark: n.cfg.Watermark, ask: room.Of}
	n.tellSpace(room.Plenty, n.space.look())
	n.replica = &replica{m: n.machine, fail: n.fail, seen: n.meters, trace: n.trace}
	return folder.CatchUp(n.machine, n.logs.Log, n.snapshots, n.log)
}

// listen opens the peer port and joins the gossip.
func (n *Node) listen() error {
	var err error
	n.transport, err = transport.Listen(transport.Config{
		Addr: n.cfg.PeerAddr, NodeID: n.cfg.ID, ClusterID: n.folder.ClusterID(), Superseded: n.superseded,
		TLS: n.cfg.TLS, Logger: n.log, Resolve: n.resolve, Handler: n.answer, Refused: n.refusedPeer,
	})
	if err != nil {
		return err
	}
	if n.peerAddr, err = n.cfg.advertised(n.transport.Addr().String()); err != nil {
		return err
	}
	gossipAddr, err := n.cfg.advertised(n.cfg.GossipAddr)
	if err != nil {
		return err
	}
	n.gossip, err = cluster.Start(cluster.Config{
		NodeID: n.cfg.ID, BindAddr: n.cfg.GossipAddr, AdvertiseAddr: gossipAddr,
		Keys: n.cfg.GossipKeys, Seeds: n.cfg.Join, Meta: n.meta(), Logger: n.log,
	})
	return err
}

// waitForRoom is called when the store has no room for a committed batch. The
// log has it, so nothing is lost; the state stands still until there is room.
func (n *Node) waitForRoom(err error) bool {
	if !n.full.Swap(true) {
		n.log.Error("the disk is full: reads go on, writes wait for room", "err", err)
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		n.full.Store(false) // until it is refused again
		return true
	case <-n.ctx.Done():
		return false
	}
}

// stalled is called when a write to the log has been stuck for seconds.
func (n *Node) stalled(err error) {
	n.Note(events.Event{Kind: events.Stall, Text: err.Error()})
	n.log.Error("a write to the log is stuck: this node takes no part in elections until its disk answers", "err", err)
}

// broken is called when a snapshot found that the disk cannot be trusted.
func (n *Node) broken(err error) {
	n.fail(errs.E(errs.Internal, "the disk of %s is broken: %w", n.cfg.DataDir, err))
}

// stopForGood is called when the store's state on disk is unknown. It must not
// return.
func (n *Node) stopForGood(err error) {
	n.fail(err)
	select {}
}
