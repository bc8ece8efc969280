package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls, under its locks: nothing here blocks,
// logs more than a line, or calls memberlist. The node given to a callback is
// only stable while the callback runs, so it is copied here and nowhere else.
type delegate Gossip

// NodeMeta returns what this node announces.
func (d *delegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.encoded
}

// NotifyMsg has nothing to do: nodes exchange nothing but their metas.
func (d *delegate) NotifyMsg([]byte) {}

// GetBroadcasts has nothing to send.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState has nothing to add to memberlist's own.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState has nothing to take.
func (d *delegate) MergeRemoteState([]byte, bool) {}

// NotifyAlive decides whether a node may be part of our gossip. The node may
// be this one.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if foreignTo(d.meta.ClusterID, m.ClusterID) {
		m.NodeID = n.Name
		(*Gossip)(d).noteForeign(m, gossipAddr(n))
		return fmt.Errorf("it is of another cluster, %v", m.ClusterID)
	}
	if d.table[n.Name] == nil && len(d.table) >= maxNodes {
		return fmt.Errorf("there are %d nodes already", maxNodes)
	}
	return nil
}

// NotifyJoin notes a node that is new, or alive again, maybe elsewhere.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.note(n, true) }

// NotifyUpdate notes a new meta.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.note(n, true) }

// NotifyLeave notes a node that is dead, or left.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.note(n, false) }

func (d *delegate) note(n *memberlist.Node, alive bool) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return // NotifyAlive let nobody in with such a meta
	}
	m.NodeID = n.Name
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	s := &Seen{Meta: m, GossipAddr: gossipAddr(n), Alive: alive, Since: now}
	if was := d.table[n.Name]; was != nil && was.Alive == alive {
		s.Since = was.Since
	} else if n.Name != d.cfg.NodeID {
		d.cfg.Logger.Info(map[bool]string{true: "node is alive", false: "node is gone"}[alive], "node", n.Name, "gossip_addr", s.GossipAddr)
	}
	d.table[n.Name] = s
	for id, old := range d.table {
		if !old.Alive && now.Sub(old.Since) > forget {
			delete(d.table, id)
		}
	}
	if alive && d.moves[n.Name].addr == s.GossipAddr {
		delete(d.moves, n.Name)
	}
	if !alive {
		signal(d.retry)
	}
	signal(d.stir)
	signal(d.updated)
}

// NotifyConflict notes that a node claims a new address while its old one
// seems alive. If it was restarted, the old one will be found dead within
// seconds, and it must not wait for its own next attempt to be let in.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	addr := gossipAddr(other)
	if other.Name == d.cfg.NodeID {
		(*Gossip)(d).noteDouble(addr)
		return
	}
	if _, known := d.moves[other.Name]; !known && len(d.moves) >= maxMoves {
		return
	}
	if was := d.moves[other.Name]; was.addr != addr {
		d.moves[other.Name] = move{addr: addr, since: time.Now()}
		d.cfg.Logger.Info("node claims a new address, waiting for the old one to be found dead",
			"node", other.Name, "old", gossipAddr(existing), "new", addr)
	}
	signal(d.retry)
}

// noteForeign is called with g.mu held.
func (g *Gossip) noteForeign(m Meta, addr string) {
	text, lost := strangers(g.meta, m)
	key := m.NodeID + " " + m.ClusterID.String()
	if lost {
		key += " lost"
	}
	if _, known := g.foreign[key]; known || len(g.foreign) >= maxForeign {
		return
	}
	g.foreign[key] = Foreign{NodeID: m.NodeID, ClusterID: m.ClusterID, GossipAddr: addr, Lost: lost, Reason: text}
	level := slog.LevelWarn
	if lost {
		level = slog.LevelError
	}
	g.cfg.Logger.Log(context.Background(), level, text,
		"node", m.NodeID, "gossip_addr", addr, "its_cluster", m.ClusterID.String(), "our_cluster", g.meta.ClusterID.String())
	signal(g.updated)
}

func gossipAddr(n *memberlist.Node) string {
	return net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port)))
}
