package cluster

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How long to wait until the next look for lost nodes.
const (
	aloneMin = 200 * time.Millisecond // nobody was found yet: at first
	aloneMax = 3 * time.Second        // and at most
	moveWait = 500 * time.Millisecond // a node waits to be let in at its new address
	moveLast = time.Minute            // for so long
	lostWait = 10 * time.Second       // somebody is missing
)

// lookAtOnce is how many addresses are tried at the same time.
const lookAtOnce = 16

// move is the new address that a node claims while its old one seems alive.
type move struct {
	addr  string
	since time.Time
	told  bool // that it lasts too long for a restart
}

// announce keeps what memberlist tells the others equal to g.meta, of which it
// keeps Choice up to date.
func (g *Gossip) announce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.stir:
		}
		if !g.renew() {
			continue
		}
		// An error says that nobody took the news from us within the second: they
		// will, from the queue or at the next exchange of full states.
		if err := g.list.UpdateNode(time.Second); err != nil {
			g.cfg.Logger.Debug("slow announcement", "err", err)
		}
		signal(g.updated)
	}
}

// renew computes Choice and reports whether the announcement changed.
func (g *Gossip) renew() bool {
	self, members := g.Self(), g.Members()
	choice := uint64(0)
	chosen, wait := choose(self, members, self.BootstrapExpect)
	g.mu.Lock()
	defer g.mu.Unlock()
	// Who expects only itself has to ask the seeds first: there may be a cluster.
	if wait == "" && (g.settled || self.BootstrapExpect > 1) {
		choice = digest(chosen)
	}
	g.meta.Choice = choice
	encoded, err := g.meta.append(nil)
	if err != nil || slices.Equal(encoded, g.encoded) {
		return false // checkMeta has seen to it that there is no error
	}
	g.encoded = encoded
	return true
}

// rejoin looks for the seeds, for peers that are missing and for nodes that
// moved, often while it knows nobody, now and then for ever after: memberlist
// itself never finds back who was cut off for more than a minute.
func (g *Gossip) rejoin(ctx context.Context) {
	said := make(map[string]bool) // whether an address answered, as last logged
	var wait time.Duration
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.retry:
			if time.Until(next) > moveWait {
				next = time.Now().Add(moveWait)
				timer.Reset(moveWait)
			}
			continue
		case <-timer.C:
		}
		for chunk := range slices.Chunk(g.lost(), lookAtOnce) {
			g.look(ctx, chunk, said)
		}
		g.settle()
		wait = g.nextLook(wait)
		jittered := wait*4/5 + rand.N(wait*2/5)
		next = time.Now().Add(jittered)
		timer.Reset(jittered)
	}
}

func (g *Gossip) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.settled {
		g.settled = true
		signal(g.stir)
	}
}

func (g *Gossip) nextLook(last time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, m := range g.moves {
		if time.Since(m.since) > moveLast {
			delete(g.moves, id)
		}
	}
	others := false
	for id, s := range g.table {
		others = others || s.Alive && id != g.cfg.NodeID
	}
	switch {
	case len(g.moves) > 0:
		return moveWait
	case !others && len(g.cfg.Seeds) > 0:
		return min(max(2*last, aloneMin), aloneMax)
	}
	return lostWait
}

// lost returns the addresses at which nobody is known to be alive: of seeds,
// of peers, of the dead, of nodes that moved. A seed that is a name is always
// among them, for it may mean other addresses now.
func (g *Gossip) lost() []string {
	var want []string
	if g.cfg.Peers != nil {
		want = g.cfg.Peers()
	}
	want = append(slices.Clone(g.cfg.Seeds), want...)
	g.mu.Lock()
	defer g.mu.Unlock()
	found := map[string]bool{g.addr: true, g.cfg.BindAddr: true, "": true}
	for _, s := range g.table {
		if s.Alive {
			found[s.GossipAddr] = true
		} else {
			want = append(want, s.GossipAddr)
		}
	}
	for _, m := range g.moves {
		want = append(want, m.addr)
	}
	var lost []string
	for _, addr := range want {
		if !found[addr] && len(lost) < maxNodes {
			found[addr] = true
			lost = append(lost, addr)
		}
	}
	return lost
}

// look exchanges states with whoever is at each of addrs, and logs when that
// begins or ceases to work.
func (g *Gossip) look(ctx context.Context, addrs []string, said map[string]bool) {
	results := make([]struct {
		answered bool
		err      error
	}, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { results[i].answered, results[i].err = g.meet(ctx, addr) })
	}
	wg.Wait()
	for i, addr := range addrs {
		r := results[i]
		was, known := said[addr]
		if ctx.Err() != nil || known && was == r.answered || !r.answered && r.err == nil {
			continue // we are closing, or it is no news, or the name means only this node
		}
		if len(said) >= 2*maxNodes {
			clear(said)
		}
		said[addr] = r.answered
		if r.answered {
			g.cfg.Logger.Info("reached a node by gossip", "addr", addr)
		} else {
			g.cfg.Logger.Info("nobody answers gossip there, trying on", "addr", addr, "err", r.err)
		}
	}
}

// meet reports whether anybody answers at addr. Both results are zero if addr
// means only this node.
func (g *Gossip) meet(ctx context.Context, addr string) (answered bool, err error) {
	targets, err := g.targets(ctx, addr)
	for _, t := range targets {
		if ctx.Err() != nil {
			return answered, ctx.Err()
		}
		n, joinErr := g.list.Join([]string{t})
		answered, err = answered || n > 0, joinErr
	}
	return answered, err
}

// targets resolves addr to IP addresses with ports, without our own.
func (g *Gossip) targets(ctx context.Context, addr string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if ips, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, ip := range ips[:min(len(ips), 16)] {
		if t := net.JoinHostPort(ip, port); t != g.addr {
			out = append(out, t)
		}
	}
	return out, nil
}

// noteDouble is called, with g.mu held, when others know this node's id at
// another address: it was restarted here, or the id is used twice.
func (g *Gossip) noteDouble(addr string) {
	m, known := g.double[addr]
	switch {
	case !known && len(g.double) < maxMoves:
		g.double[addr] = move{addr: addr, since: time.Now()}
		g.cfg.Logger.Info("others still know this node at its old address", "old", addr, "new", g.addr)
	case known && !m.told && time.Since(m.since) > moveLast:
		m.told = true
		g.double[addr] = m
		g.cfg.Logger.Error("another node uses the id of this one: give each an id and a data folder of its own", "node", g.cfg.NodeID, "other", addr)
	}
}
