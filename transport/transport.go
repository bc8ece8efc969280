package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Call names one of the calls between peers. The numbers are the frame's kind
// on the wire: never renumber, only append, below 0x80.
type Call uint8

const (
	Propose   Call = iota + 1 // may be large; has a connection of its own
	ReadPoint                 // small, must not wait behind a proposal
	Term                      // likewise
	Admin                     // likewise; what an operator asked another node for
)

// String returns the call's name for logs and metrics.
func (c Call) String() string {
	switch c {
	case Propose:
		return "propose"
	case ReadPoint:
		return "read_point"
	case Term:
		return "term"
	case Admin:
		return "admin"
	}
	return "unknown"
}

// Handler answers one call that node from made. It owns body. It must call
// reply once, now or later and from any goroutine; reply keeps nothing of its
// argument and never blocks. An error reaches the caller with its
// errs.Kind and text. ctx ends when the caller's connection does: then a reply
// goes nowhere.
//
// A Handler runs on the goroutine that reads the connection: while it runs,
// no other call of that peer is read, so it must not wait for the disk or for
// another node. It must not call Transport.Close.
type Handler func(ctx context.Context, from string, call Call, body []byte, reply func(body []byte, err error))

// Config says how a Transport listens, who it is and what it may use. The zero
// value of a limit or a time-out means its default.
type Config struct {
	Addr      string   // host:port to listen on
	Advertise string   // host:port that peers reach it by, as RaftLayer.Addr tells; "" = where it listens
	NodeID    string   // of this node, 1 to 128 bytes
	ClusterID [16]byte // zero = not yet known, see SetClusterID

	// TLS is asked for each new connection, dialed or accepted, so that what it
	// returns may change; connections that are open go on as they are. nil means
	// plain TCP. For mutual TLS the result, which is not changed, holds a
	// certificate, RootCAs, ClientCAs and RequireAndVerifyClientCert. A peer's
	// certificate that names a node (pki.Identify) has to name the one that it
	// says it is; one that names none is verified by the host that was dialed,
	// or by ServerName. It must be safe for concurrent use, and not wait.
	TLS func() *tls.Config

	Logger  *slog.Logger                               // nil = discard
	Resolve func(nodeID string) (addr string, ok bool) // a node's current peer address; must not block; nil = no peer is known
	Handler Handler                                    // nil = calls are answered as errs.Unavailable

	// Superseded says when this node's cluster has taken the place of another
	// one, if it has; its nodes are told so when they are refused. It must not
	// block; nil = of none.
	Superseded func(cluster [16]byte) (at time.Time, ok bool)

	// Refused is told of each incoming connection that was refused: who it says it
	// is from, if it got to say it, and from which host. It must not block; nil =
	// nobody.
	Refused func(from, host string, err error)

	MaxFrame         int           // bytes of a frame after its length, default 40 MiB
	MaxConns         int           // incoming connections, default 1024; a quarter of them may be in their handshake
	MaxInFlight      int           // unanswered calls of one incoming connection, default 4096
	HandshakeTimeout time.Duration // of an incoming connection, default 5 s
	DialTimeout      time.Duration // of an outgoing one, handshake included, default 3 s
	WriteTimeout     time.Duration // of a write of at most 256 KiB, default 10 s
	PingEvery        time.Duration // default 5 s
	IdleTimeout      time.Duration // a peer silent for this long is gone, default 15 s
}

// Transport is one node's end of all its connections to other nodes. All its
// methods are safe for concurrent use.
type Transport struct {
	cfg      Config
	listener net.Listener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	raft     chan net.Conn // accepted Raft streams on their way to a RaftLayer
	slots    chan struct{} // one for each incoming connection
	greeting chan struct{} // one for each unfinished incoming handshake
	stats    counters
	told     once

	mu      sync.Mutex
	cluster [16]byte
	peers   map[string]*peer
	conns   map[net.Conn]struct{} // all that are open, to be closed by Close
	closed  bool
	wg      sync.WaitGroup
}

type peer struct{ propose, control lane }

// Listen opens the port and begins to accept. The error is errs.Invalid for a
// wrong Config and errs.Unavailable if the address cannot be listened on.
func Listen(cfg Config) (*Transport, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive()}
	l, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, errs.E(errs.Unavailable, "peer address %s: %w: choose another with --peer-addr, or stop what uses it", cfg.Addr, err)
	}
	t := &Transport{
		cfg: cfg, listener: l, cluster: cfg.ClusterID,
		raft:     make(chan net.Conn),
		slots:    make(chan struct{}, cfg.MaxConns),
		greeting: make(chan struct{}, max(1, cfg.MaxConns/4)),
		peers:    make(map[string]*peer),
		conns:    make(map[net.Conn]struct{}),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.spawn(t.accept)
	return t, nil
}

func (c *Config) complete() error {
	if c.NodeID == "" || len(c.NodeID) > maxNodeID {
		return errs.E(errs.Invalid, "node id %q: 1 to %d bytes are needed", c.NodeID, maxNodeID)
	}
	if c.MaxFrame < 0 || c.MaxFrame > 1<<30 {
		return errs.E(errs.Invalid, "frame limit %d: at most 1 GiB", c.MaxFrame)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Resolve == nil {
		c.Resolve = func(string) (string, bool) { return "", false }
	}
	if c.Handler == nil {
		c.Handler = func(_ context.Context, _ string, call Call, _ []byte, reply func([]byte, error)) {
			reply(nil, errs.E(errs.Unavailable, "node %s answers no calls", c.NodeID))
		}
	}
	orInt(&c.MaxFrame, 40<<20)
	orInt(&c.MaxConns, 1024)
	orInt(&c.MaxInFlight, 4096)
	orTime(&c.HandshakeTimeout, 5*time.Second)
	orTime(&c.DialTimeout, 3*time.Second)
	orTime(&c.WriteTimeout, 10*time.Second)
	orTime(&c.PingEvery, 5*time.Second)
	orTime(&c.IdleTimeout, 15*time.Second)
	return nil
}

func orInt(v *int, def int) {
	if *v <= 0 {
		*v = def
	}
}

func orTime(v *time.Duration, def time.Duration) {
	if *v <= 0 {
		*v = def
	}
}

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}
}

func errClosed() error { return errs.E(errs.Unavailable, "the peer transport is closed") }

// Addr is the address that the port is bound to.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// SetClusterID tells the transport which cluster its node belongs to. Until
// then it refuses incoming connections as "not yet part of a cluster", and
// dials nobody. Setting the same id again does nothing; a node never changes
// its cluster: another id is errs.Invalid.
func (t *Transport) SetClusterID(id [16]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cluster != [16]byte{} && t.cluster != id {
		return errs.E(errs.Invalid, "this node is of cluster %x and cannot move to cluster %x", t.cluster, id)
	}
	t.cluster = id
	return nil
}

func (t *Transport) clusterID() [16]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cluster
}

// Call sends body to the given node and returns its reply, which the caller
// owns. body may be reused when Call returns. It connects if it must, and
// waits as long as ctx allows or the connection lives; it never repeats.
//
// The error is errs.Unavailable if certainly nothing was sent, errs.Unknown if
// the call was sent, or may have been, and no reply came; errs.TooLarge for a
// body over the frame limit; else what the node's Handler returned, which may
// be of any kind.
func (t *Transport) Call(ctx context.Context, node string, call Call, body []byte) ([]byte, error) {
	p, err := t.peer(node)
	if err != nil {
		return nil, err
	}
	n := t.stats.call(call)
	if n == nil {
		return nil, errs.E(errs.Invalid, "call %d to node %s: there is no such call", call, node)
	}
	if frameMin+len(body) > t.cfg.MaxFrame {
		return nil, errs.E(errs.TooLarge, "%s call to node %s: %d bytes do not fit into a frame of %d", call, node, len(body), t.cfg.MaxFrame)
	}
	l := &p.control
	if call == Propose {
		l = &p.propose
	}
	n.sent.Add(1)
	reply, err := l.call(ctx, call, body)
	if err != nil {
		n.errors.Add(1)
	}
	return reply, err
}

func (t *Transport) peer(node string) (*peer, error) {
	if node == t.cfg.NodeID {
		return nil, errs.E(errs.Invalid, "node %s cannot call itself", node)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, errClosed()
	case t.cluster == [16]byte{}:
		return nil, errs.E(errs.Unavailable, "call to node %s: this node is not yet part of a cluster", node)
	}
	p := t.peers[node]
	if p == nil {
		if len(t.peers) >= t.cfg.MaxConns {
			return nil, errs.E(errs.Unavailable, "call to node %s: there are %d peers already", node, len(t.peers))
		}
		p = &peer{propose: lane{t: t, node: node, name: "propose"}, control: lane{t: t, node: node, name: "control"}}
		t.peers[node] = p
	}
	return p, nil
}

// dial connects to addr and shakes hands; h needs only service and to. The
// connection is counted, and known to Close.
func (t *Transport) dial(ctx context.Context, addr string, h hello) (net.Conn, error) {
	h.protocol, h.cluster, h.from = protocol, t.clusterID(), t.cfg.NodeID
	if h.cluster == [16]byte{} {
		return nil, errs.E(errs.Unavailable, "dialing %s: this node is not yet part of a cluster", addr)
	}
	t.stats.dials.Add(1)
	conn, err := t.connect(ctx, addr, h)
	if err != nil {
		t.stats.dialErrors.Add(1)
		return nil, err
	}
	return conn, nil
}

func (t *Transport) connect(ctx context.Context, addr string, h hello) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive()}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, errs.E(errs.Unavailable, "%w", err)
	}
	conn := t.track(raw, &t.stats.outgoing, nil)
	if conn == nil {
		return nil, errClosed()
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	secure, err := t.secure(ctx, conn, addr, h.to)
	if err == nil {
		deadline, _ := ctx.Deadline()
		err = greet(secure, h, deadline)
	}
	if !stop() && err == nil {
		err = errs.E(errs.Unavailable, "dialing %s: %w", addr, context.Cause(ctx))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// spawn runs f on a goroutine that Close waits for, or returns false if the
// transport is closed.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

// Close closes the port and every connection, Raft's included, and returns
// when all goroutines have ended. Calls under way fail. It may be called again.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.wg.Wait()
		return nil
	}
	t.closed = true
	open := make([]net.Conn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()

	t.cancel()
	err := t.listener.Close()
	for _, c := range open {
		c.Close()
	}
	t.wg.Wait()
	return err
}
