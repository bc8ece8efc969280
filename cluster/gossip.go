package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/coveydb/covey/internal/errs"
)

// Config says how a node gossips.
type Config struct {
	NodeID        string          // 1 to 128 bytes, never another node's
	BindAddr      string          // host:port, TCP and UDP
	AdvertiseAddr string          // host:port that peers dial, "" = BindAddr; a name is resolved once
	Keys          [][]byte        // 16, 24 or 32 bytes each; the first one sends; none = gossip in clear text and with anyone
	Seeds         []string        // host:port of some nodes of the cluster; may be down, and may be this node
	Peers         func() []string // more addresses to look for lost nodes at; may be nil, must not block
	Meta          Meta            // first announcement; NodeID is set here
	Logger        *slog.Logger    // nil = discard

	probe time.Duration // tests make it short; 0 = 1 s
}

// Foreign is a node of another cluster that gossip met.
type Foreign struct {
	NodeID     string
	ClusterID  ID
	GossipAddr string
	Lost       bool   // one of the two clusters has superseded the other
	Reason     string // why the two are kept apart, for people
}

// Gossip is one node's part in the gossip. Its methods are safe for concurrent
// use.
type Gossip struct {
	cfg     Config
	list    *memberlist.Memberlist
	keys    *memberlist.Keyring // nil = clear text
	addr    string              // advertised
	updated chan struct{}
	stir    chan struct{} // capacity 1: what we announce may have changed
	retry   chan struct{} // capacity 1: look for lost nodes soon
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	life   sync.Mutex // held by Leave and Close, which exclude each other
	turn   sync.Mutex // held by SetKeys
	closed bool

	mu      sync.Mutex // held for moments only, and never while calling memberlist
	meta    Meta
	encoded []byte // meta, as announced
	settled bool   // every seed has been tried once
	table   map[string]*Seen
	foreign map[string]Foreign
	moves   map[string]move // nodes that claim a new address while the old one seems alive
	double  map[string]move // addresses at which others know this node's id
}

// Limits of what others can make a node remember.
const (
	maxNodes   = 1024
	maxForeign = 64
	maxMoves   = 64
	forget     = time.Hour // a dead node is forgotten after this
)

// Start listens, announces cfg.Meta, and begins to look for the seeds. Seeds
// that do not resolve or answer are no error: they are tried again, for ever.
// The error is errs.Invalid for a wrong Config, and for an address that no
// peer could dial; errs.Unavailable if the address cannot be listened on.
func Start(cfg Config) (*Gossip, error) {
	if cfg.NodeID == "" || len(cfg.NodeID) > 128 {
		return nil, errs.E(errs.Invalid, "node id %q: 1 to 128 bytes are needed", cfg.NodeID)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	keys, err := newKeys(cfg.Keys)
	if err != nil {
		return nil, err
	}
	cfg.Meta.NodeID, cfg.Meta.Keys = cfg.NodeID, prints(cfg.Keys)
	encoded, err := checkMeta(cfg.Meta)
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		cfg: cfg, keys: keys, meta: cfg.Meta, encoded: encoded, settled: len(cfg.Seeds) == 0,
		updated: make(chan struct{}, 1), stir: make(chan struct{}, 1), retry: make(chan struct{}, 1),
		table: make(map[string]*Seen), foreign: make(map[string]Foreign), moves: make(map[string]move), double: make(map[string]move),
	}
	mc, err := g.listConfig()
	if err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(mc); err != nil {
		return nil, errs.E(errs.Unavailable, "gossip address %s: %w: choose another with --gossip-addr, or stop what uses it", cfg.BindAddr, err)
	}
	g.addr = net.JoinHostPort(mc.AdvertiseAddr, strconv.Itoa(mc.AdvertisePort))
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.wg.Go(func() { g.announce(ctx) })
	g.wg.Go(func() { g.rejoin(ctx) })
	return g, nil
}

func checkMeta(m Meta) ([]byte, error) {
	if m.PeerAddr != "" {
		if err := CheckAdvertised("peer address", m.PeerAddr); err != nil {
			return nil, err
		}
	}
	if m.HTTPAddr != "" {
		if err := CheckAdvertised("http address", m.HTTPAddr); err != nil {
			return nil, err
		}
	}
	full := m // what comes and goes must fit when it is there
	full.Choice = 1
	for i := range full.Keys {
		full.Keys[i] = KeyPrint{1}
	}
	if _, err := full.append(nil); err != nil {
		return nil, err
	}
	m.Choice = 0
	return m.append(nil)
}

// listConfig is memberlist's configuration; DESIGN.md gives the reasons for
// what differs from its defaults.
func (g *Gossip) listConfig() (*memberlist.Config, error) {
	mc := memberlist.DefaultLANConfig()
	mc.Name = g.cfg.NodeID
	mc.Label = "covey"
	mc.Delegate, mc.Events, mc.Alive, mc.Conflict = (*delegate)(g), (*delegate)(g), (*delegate)(g), (*delegate)(g)
	mc.Logger = bridge(g.cfg.Logger)
	mc.TCPTimeout = 3 * time.Second
	mc.SuspicionMult = 3
	mc.ProbeInterval = cmp.Or(g.cfg.probe, time.Second)
	mc.ProbeTimeout = mc.ProbeInterval / 2
	mc.GossipInterval = 100 * time.Millisecond
	mc.PushPullInterval = 15 * time.Second
	mc.GossipToTheDeadTime = time.Minute
	mc.DeadNodeReclaimTime = time.Millisecond
	mc.EnableCompression = false
	mc.Keyring = g.keys
	var err error
	if mc.BindAddr, mc.BindPort, err = resolve("gossip address", g.cfg.BindAddr); err != nil {
		return nil, err
	}
	advertise := cmp.Or(g.cfg.AdvertiseAddr, g.cfg.BindAddr)
	if mc.AdvertiseAddr, mc.AdvertisePort, err = resolve("advertised gossip address", advertise); err != nil {
		return nil, err
	}
	if mc.AdvertisePort == 0 {
		mc.AdvertisePort = mc.BindPort // if that is 0 too, memberlist sets both
	}
	port := strconv.Itoa(cmp.Or(mc.AdvertisePort, 1))
	return mc, CheckAdvertised("gossip address", net.JoinHostPort(mc.AdvertiseAddr, port))
}

// resolve splits host:port and returns the host as an IP address.
func resolve(what, addr string) (string, int, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, errs.E(errs.Invalid, "%s %q: host:port is needed", what, addr)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, errs.E(errs.Invalid, "%s %q: the port is not a number up to 65535", what, addr)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, int(port), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", 0, errs.E(errs.Invalid, "%s %q: %w", what, addr, err)
	}
	return ips[0], int(port), nil
}

// Addr is the gossip address that this node advertises.
func (g *Gossip) Addr() string { return g.addr }

// Updated signals that Members, Self or Foreign may say something new. One
// signal may stand for many changes; there is one receiver.
func (g *Gossip) Updated() <-chan struct{} { return g.updated }

// Self is this node, as it announces itself.
func (g *Gossip) Self() Seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Seen{Meta: g.meta, GossipAddr: g.addr, Alive: true}
	if t := g.table[g.cfg.NodeID]; t != nil {
		s.Since = t.Since
	}
	return s
}

// Members returns the nodes that are not of another cluster, this one
// included, in order of their ids. The dead stay in it for an hour.
func (g *Gossip) Members() []Seen {
	self := g.Self()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := []Seen{self}
	for id, s := range g.table {
		if id != self.NodeID && !foreignTo(self.ClusterID, s.ClusterID) {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Seen) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return out
}

// Foreign returns the nodes of other clusters that were met, in order of their
// ids: somebody's --join points at the wrong place.
func (g *Gossip) Foreign() []Foreign {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(maps.Values(g.foreign), func(a, b Foreign) int { return cmp.Compare(a.NodeID, b.NodeID) })
}

func foreignTo(ours, theirs ID) bool {
	return !ours.IsZero() && !theirs.IsZero() && ours != theirs
}

// SetMeta announces m from now on; Choice, Keys and NodeID of it are ignored. It
// does not wait for others to hear of it.
func (g *Gossip) SetMeta(m Meta) error {
	m.NodeID = g.cfg.NodeID
	if _, err := checkMeta(m); err != nil {
		return err
	}
	g.mu.Lock()
	m.Choice, m.Keys = g.meta.Choice, g.meta.Keys
	g.meta = m
	for _, s := range g.table {
		if foreignTo(m.ClusterID, s.ClusterID) {
			g.noteForeign(s.Meta, s.GossipAddr)
		}
	}
	g.mu.Unlock()
	signal(g.stir)
	return nil
}

// Leave tells the others that this node stops on purpose, so that they need
// not find out, and waits until one of them could hear it, for ctx, or for 3 s.
func (g *Gossip) Leave(ctx context.Context) error {
	g.life.Lock()
	defer g.life.Unlock()
	if g.closed {
		return errs.E(errs.Unavailable, "leaving the gossip: it is closed")
	}
	patience := 3 * time.Second
	if end, ok := ctx.Deadline(); ok {
		patience = max(time.Millisecond, min(patience, time.Until(end)))
	}
	if err := g.list.Leave(patience); err != nil {
		return errs.E(errs.Unavailable, "leaving the gossip: %w", err)
	}
	return nil
}

// Close stops at once, without a farewell. No goroutine of the package is left
// when it returns; that may take the 3 s of a dial under way. It may be called
// again.
func (g *Gossip) Close() error {
	g.life.Lock()
	defer g.life.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.cancel()
	g.wg.Wait()
	return g.list.Shutdown()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is there already
	}
}
