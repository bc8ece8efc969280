package node

import (
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
)

// form waits until this node is part of a cluster: one that it finds by
// gossip, or one that it forms with the nodes that expect each other (see
// cluster/DESIGN.md). Then it starts Raft, once.
func (n *Node) form() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := n.tryForm()
		if err != nil {
			n.fail(err)
			return
		}
		if done {
			return
		}
		select {
		case <-n.gossip.Updated():
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *Node) tryForm() (done bool, err error) {
	self, seen := n.gossip.Self(), n.gossip.Members()
	if id, ok := cluster.Adopt(self, seen); ok {
		n.log.Info("found the cluster", "cluster", id)
		return true, n.enter(id)
	}
	servers, ok := cluster.Bootstrap(self, seen, n.cfg.BootstrapExpect)
	if !ok {
		return false, nil
	}
	var founders []folder.Founder
	for _, s := range servers {
		founders = append(founders, folder.Founder{ID: s.ID, Addr: s.Addr})
	}
	id := cluster.NewID()
	n.log.Info("forming a cluster", "cluster", id, "voters", len(servers))
	if err := n.folder.Join(id, founders...); err != nil {
		return false, err
	}
	return true, n.enter(id)
}

// enter makes this node part of cluster id, durably, and starts Raft.
func (n *Node) enter(id cluster.ID) error {
	founders := n.folder.Founders()
	if err := n.begins(len(founders) > 0); err != nil {
		return err
	}
	if len(founders) > 0 {
		if err := n.found(founders); err != nil {
			return err
		}
	}
	if err := n.folder.Join(id); err != nil {
		return err
	}
	if err := n.transport.SetClusterID(id); err != nil {
		return err
	}
	if err := n.startConsensus(); err != nil {
		return err
	}
	n.wg.Go(func() { n.learnSuperseded(n.ctx) })
	n.wg.Go(func() { n.catchUp(n.ctx) })
	return n.gossip.SetMeta(n.meta())
}

// found writes the cluster's first configuration into the empty log.
func (n *Node) found(founders []folder.Founder) error {
	if n.hasState() {
		return nil // a crash came after it
	}
	var conf raft.Configuration
	for _, f := range founders {
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(f.ID), Address: raft.ServerAddress(f.Addr)})
	}
	_, unused := raft.NewInmemTransport(raft.ServerAddress(n.peerAddr))
	err := raft.BootstrapCluster(n.raftConfig(nil), n.logs.Log, n.logs.Stable, n.snapshots, unused, conf)
	if err != nil {
		return errs.E(errs.Internal, "write the cluster's first configuration: %w", err)
	}
	return nil
}

// meta is what this node tells the others of itself.
func (n *Node) meta() cluster.Meta {
	return cluster.Meta{
		NodeID: n.cfg.ID, ClusterID: n.folder.ClusterID(), Supersedes: n.supersedes(),
		PeerAddr: n.peerAddr, HTTPAddr: n.cfg.HTTPAddr,
		NonVoter: n.cfg.NonVoter, BootstrapExpect: n.cfg.BootstrapExpect,
		HasState: n.hasState(), Draining: n.draining.Load(), Formats: formats, Release: n.cfg.Release,
	}
}

// hasState reports whether the Raft log holds anything.
func (n *Node) hasState() bool {
	has, err := raft.HasExistingState(n.logs.Log, n.logs.Stable, n.snapshots)
	return has || err != nil
}

// waitingFor says why this node is not in a cluster yet.
func (n *Node) waitingFor() string {
	if n.ctx.Err() != nil {
		return "this node is stopping"
	}
	if !n.folder.ClusterID().IsZero() {
		return "this node is starting its Raft"
	}
	if why := cluster.Waiting(n.gossip.Self(), n.gossip.Members(), n.cfg.BootstrapExpect); why != "" {
		return why
	}
	return "this node is about to form a cluster"
}
