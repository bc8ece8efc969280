package node

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/node/raftlog"
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
	n.large = semaphore.NewWeighted(largeBytes)
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
	if n.folder, err = openFolder(n.cfg.DataDir, n.cfg.ID); err != nil {
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
	n.opened.Store(true)
	if id := n.folder.clusterID(); !id.IsZero() {
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
		Dir: n.folder.path("state"), Logger: n.log,
		Fatal: n.stopForGood,
	})
	if err != nil {
		return n.inUse(err)
	}
	if n.machine, err = fsm.Open(n.db, fsm.Options{Full: n.waitForRoom}); err != nil {
		return errs.E(errs.Invalid, "data folder %s: %w", n.cfg.DataDir, err)
	}
	n.logs, err = raftlog.Open(raftlog.Options{
		Dir: n.folder.path("raft"), Kind: n.cfg.RaftLog, Logger: n.log,
		Fatal: n.fail, Stall: n.stalled,
	})
	if err != nil {
		return n.inUse(err)
	}
	n.snapshots, err = checkpoint.Open(checkpoint.Options{
		Dir: n.folder.path("snapshots"), Logger: n.log,
		Produce: produce,
		Verify: func(r io.Reader) error {
			_, err := fsm.VerifyStream(r)
			return err
		},
	})
	if err != nil {
		return err
	}
	n.replica = &replica{m: n.machine, fail: n.fail}
	return n.recoverState()
}

// produce writes a checkpoint as a state stream.
func produce(dir string, w io.Writer) error {
	db, err := store.Open(store.Options{Dir: dir, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	snap := db.Snapshot()
	return errors.Join(fsm.WriteStream(w, snap), snap.Close(), db.Close())
}

// recoverState brings the state and the log up to the newest snapshot, behind
// which Raft will go on. They are there, unless the state folder was lost, or
// the node stopped after it got a snapshot and before it had installed it.
func (n *Node) recoverState() error {
	list, err := n.snapshots.List()
	if err != nil || len(list) == 0 {
		return err
	}
	newest := list[0]
	if err := n.recoverMachine(newest); err != nil {
		return err
	}
	// Raft appends behind the snapshot, and a log has no gaps.
	first, err := n.logs.Log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.logs.Log.LastIndex()
	if err != nil || last == 0 || last >= newest.Index {
		return err
	}
	n.log.Warn("the log ends before the newest snapshot and is emptied", "last", last, "index", newest.Index)
	return n.logs.Log.DeleteRange(first, last)
}

// recoverMachine installs a snapshot if it holds more than the state. An index
// below the snapshot's tells only that it may: not every entry is a command.
func (n *Node) recoverMachine(newest *raft.SnapshotMeta) error {
	have := n.machine.State().Index
	if have >= newest.Index {
		return nil
	}
	_, stream, err := n.snapshots.Open(newest.ID)
	if err != nil {
		return err
	}
	holds, err := fsm.VerifyStream(stream)
	if err = errors.Join(err, stream.Close()); err != nil || holds.Index <= have {
		return err
	}
	n.log.Warn("the state is behind the newest snapshot and is restored from it", "state", have, "index", newest.Index)
	if _, stream, err = n.snapshots.Open(newest.ID); err != nil {
		return err
	}
	return n.replica.Restore(stream)
}

// inUse explains the usual reason why the data cannot be opened.
func (n *Node) inUse(err error) error {
	if text := err.Error(); strings.Contains(text, "lock") || strings.Contains(text, "in use") || strings.Contains(text, "timeout") {
		return errs.E(errs.Unavailable, "data folder %s is in use by another process: stop that one, or choose another --data-dir (%w)", n.cfg.DataDir, err)
	}
	return err
}

// listen opens the peer port and joins the gossip.
func (n *Node) listen() error {
	var err error
	n.transport, err = transport.Listen(transport.Config{
		Addr: n.cfg.PeerAddr, NodeID: n.cfg.ID, ClusterID: n.folder.clusterID(),
		TLS: n.cfg.TLS, Logger: n.log, Resolve: n.resolve, Handler: n.answer,
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
		Key: n.cfg.GossipKey, Seeds: n.cfg.Join, Meta: n.meta(), Logger: n.log,
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
	n.log.Error("a write to the log is stuck: this node takes no part in elections until its disk answers", "err", err)
}

// stopForGood is called when the store's state on disk is unknown. It must not
// return.
func (n *Node) stopForGood(err error) {
	n.fail(err)
	select {}
}
