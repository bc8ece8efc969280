package transport

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// RaftLayer is the Raft side of a Transport: a net.Listener for the streams
// that peers open, and Dial for our own. It fits raft.StreamLayer but for the
// type of an address, which this package does not know.
type RaftLayer struct {
	t      *Transport
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
}

// RaftListener returns a new RaftLayer. Streams go to whichever open layer
// accepts, so there should be one at a time; a new one may follow a closed one
// when Raft is restarted. A stream that nobody accepts within 10 s is closed.
func (t *Transport) RaftListener() *RaftLayer {
	addr := t.listener.Addr()
	if t.cfg.Advertise != "" {
		addr = advertised(t.cfg.Advertise)
	}
	return &RaftLayer{t: t, addr: addr, closed: make(chan struct{})}
}

// Accept returns the next stream that a peer opened. Its owner closes it. The
// error is net.ErrClosed after Close of the layer or of the transport.
func (l *RaftLayer) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default: // else a waiting stream and Close would be drawn by lot
	}
	select {
	case conn := <-l.t.raft:
		return conn, nil
	case <-l.closed:
	case <-l.t.ctx.Done():
	}
	return nil, net.ErrClosed
}

// Dial opens a stream to the node that listens at address, within timeout
// (<= 0: the transport's DialTimeout). Deadlines of the stream are the owner's.
//
// An address "host:port" takes any node of the cluster that answers there. To
// Raft that is not safe where nodes can trade addresses: a node that answers
// in another's place would be counted twice in a quorum. RaftAddress makes an
// address that only the named node answers.
func (l *RaftLayer) Dial(address string, timeout time.Duration) (net.Conn, error) {
	to, addr := splitRaftAddress(address)
	if len(to) > maxNodeID {
		return nil, errs.E(errs.Invalid, "node id %q: at most %d bytes", to, maxNodeID)
	}
	if timeout <= 0 {
		timeout = l.t.cfg.DialTimeout
	}
	ctx, cancel := context.WithTimeout(l.t.ctx, timeout)
	defer cancel()
	return l.t.dial(ctx, addr, hello{service: serviceRaft, to: to})
}

// RaftAddress is the text that makes RaftLayer.Dial accept only the given node
// at host:port. It is for the moment of dialing (raft.ServerAddressProvider),
// not for Raft's configuration.
func RaftAddress(nodeID, hostPort string) string { return nodeID + "@" + hostPort }

func splitRaftAddress(address string) (nodeID, hostPort string) {
	i := strings.LastIndexByte(address, '@') // a host has no @, a node id may
	if i < 0 {
		return "", address
	}
	return address[:i], address[i+1:]
}

// Addr is the address by which peers reach this node: Config.Advertise, else
// the bound one.
func (l *RaftLayer) Addr() net.Addr { return l.addr }

// Close ends Accept. The port stays open, and so do streams.
func (l *RaftLayer) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// advertised is an address that need not be an IP.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }
