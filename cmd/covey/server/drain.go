package server

import (
	"context"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/node"
)

// drainLook is between looks whether anybody is left for clients to go to.
const drainLook = 100 * time.Millisecond

// drain lets the clients go to other nodes before this one's ports close. The
// node says that it is not ready, gives the lead away, and ends each connection
// with its next answer, but serves all that comes for Config.DrainTime: that is
// how long load balancers may take to notice. It does nothing where clients have
// nowhere to go, and ends as soon as that is so.
func (s *Server) drain(ctx context.Context) {
	if s.cfg.DrainTime <= 0 || !s.node.HasOthers() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTime)
	defer cancel()
	s.cfg.Log.Info("draining: this node is not ready any more and serves what still comes", "for", s.cfg.DrainTime)
	for _, d := range s.doors {
		d.http.Drain(true)
	}
	if err := s.node.Drain(ctx); err != nil {
		s.cfg.Log.Warn("the lead could not be handed over yet", "err", err)
	}
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for s.node.HasOthers() {
		select {
		case <-tick.C:
		case <-s.node.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// resume takes back a drain whose reason is gone.
func (s *Server) resume() {
	for _, d := range s.doors {
		d.http.Drain(false)
	}
	if err := s.node.Resume(); err != nil {
		s.cfg.Log.Warn("the other nodes take this one for draining", "err", err)
	}
}

// members is the node as the operator's API manages it: a node that leaves lets
// its clients go first.
type members struct {
	*node.Node
	s *Server
}

// leaveTime bounds a node's leaving, without its drain.
const leaveTime = 30 * time.Second

// Leave drains the node and takes it out of the cluster, unless the cluster
// cannot do without it.
func (m members) Leave(ctx context.Context) (cluster.MemberChange, error) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime+m.s.cfg.DrainTime)
	defer cancel()
	would := cluster.MemberChange{Change: cluster.DoRemove, Node: m.s.cfg.ID, Leaving: true, DryRun: true}
	if would, err := m.ChangeMember(ctx, would); err != nil {
		return would, err
	}
	m.s.drain(ctx)
	did, err := m.Node.Leave(ctx)
	if err != nil {
		m.s.resume()
	}
	return did, err
}
