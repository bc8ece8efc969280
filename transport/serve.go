package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// bytesInFlight is how many bytes the unanswered calls of one connection may
// hold together, beyond one call of any size.
const bytesInFlight = 64 << 20

// raftPatience is how long an accepted Raft stream waits for Raft to take it.
const raftPatience = 10 * time.Second

// accept runs until the port is closed.
func (t *Transport) accept() {
	var rest time.Duration
	for {
		conn, err := t.listener.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // such as too many open files: others may be closed soon
			rest = min(max(2*rest, 5*time.Millisecond), time.Second)
			t.cfg.Logger.Warn("cannot accept a peer connection", "err", err, "retry_in", rest)
			select {
			case <-time.After(rest):
			case <-t.ctx.Done():
			}
			continue
		}
		rest = 0
		t.admit(conn)
	}
}

// admit starts to serve conn if there is room for it. There is no answer if
// there is none: to write one could block the accepting goroutine.
func (t *Transport) admit(conn net.Conn) {
	select {
	case t.slots <- struct{}{}:
	default:
		t.refuseFull(conn)
		return
	}
	select {
	case t.greeting <- struct{}{}:
	default:
		<-t.slots
		t.refuseFull(conn)
		return
	}
	t.stats.accepted.Add(1)
	c := t.track(conn, &t.stats.incoming, func() { <-t.slots })
	if c == nil || !t.spawn(func() { t.serve(c) }) {
		<-t.greeting
		if c != nil {
			c.Close()
		}
	}
}

func (t *Transport) refuseFull(conn net.Conn) {
	t.stats.refused.Add(1)
	if t.told.first("full") {
		t.cfg.Logger.Warn("too many peer connections, refusing more", "limit", t.cfg.MaxConns)
	}
	conn.Close()
}

// serve shakes hands and then serves conn to its end, or hands it to Raft.
func (t *Transport) serve(conn net.Conn) {
	h, secure, err := t.welcome(conn)
	<-t.greeting
	if err != nil {
		t.stats.refused.Add(1)
		t.logRefused(conn.RemoteAddr(), h, err)
		conn.Close()
		return
	}
	if h.service == serviceRaft {
		t.handOver(&timedWriter{Conn: secure, timeout: t.cfg.WriteTimeout})
		return
	}
	t.answerCalls(secure, h.from)
	conn.Close()
}

// logRefused warns of each sort of refusal from one host, and again after a
// while if it goes on. A connection that ends without a byte is somebody's check
// of the port, no news.
func (t *Transport) logRefused(remote net.Addr, h hello, err error) {
	if op, ok := err.(*net.OpError); ok {
		err = op.Err // without the ports, which differ each time
	}
	host, _, splitErr := net.SplitHostPort(remote.String())
	if splitErr != nil {
		host = remote.String()
	}
	level := slog.LevelDebug
	if !errors.Is(err, io.EOF) && t.told.first(host+" "+err.Error()) {
		level = slog.LevelWarn
	}
	t.cfg.Logger.Log(t.ctx, level, "refused a peer connection", "remote", host, "node", h.from, "err", err)
	if t.cfg.Refused != nil && !errors.Is(err, io.EOF) {
		t.cfg.Refused(h.from, host, err)
	}
}

// welcome performs the accepting side of the handshake.
func (t *Transport) welcome(conn net.Conn) (hello, net.Conn, error) {
	deadline := time.Now().Add(t.cfg.HandshakeTimeout)
	if err := conn.SetDeadline(deadline); err != nil {
		return hello{}, nil, err
	}
	if t.cfg.TLS != nil {
		c := tls.Server(conn, t.cfg.TLS())
		if err := c.HandshakeContext(t.ctx); err != nil {
			return hello{}, nil, explain(err)
		}
		conn = c
	}
	h, err := readHello(conn)
	if err != nil {
		return hello{}, nil, err
	}
	a := t.refuse(h, judge(h, t.cfg.NodeID, t.clusterID()))
	if why := calledBy(conn, h.from); why != "" && h.protocol == protocol {
		a = answer{statusCertificate, why}
	}
	if _, err := conn.Write(appendAnswer(nil, a)); err != nil {
		return h, nil, err
	}
	if a.status != statusOK {
		return h, nil, errors.New(a.text)
	}
	return h, conn, conn.SetDeadline(time.Time{})
}

// handOver gives a stream to whoever accepts for Raft.
func (t *Transport) handOver(conn net.Conn) {
	patience := time.NewTimer(raftPatience)
	defer patience.Stop()
	select {
	case t.raft <- conn:
		return // its owner closes it
	case <-patience.C:
	case <-t.ctx.Done():
	}
	conn.Close()
}

// server answers the calls of one incoming connection.
type server struct {
	t    *Transport
	from string
	out  *outbox
	gate gate
}

func (t *Transport) answerCalls(conn net.Conn, from string) {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	s := &server{t: t, from: from, out: newOutbox(conn, &t.cfg)}
	s.gate = gate{maxCalls: t.cfg.MaxInFlight, maxBytes: bytesInFlight, wake: make(chan struct{}, 1)}
	written := make(chan struct{})
	if !t.spawn(func() {
		defer close(written)
		s.out.run(func() error { return nil })
		s.out.close()
		conn.Close() // ends read
	}) {
		return
	}
	err := s.read(ctx, bufio.NewReaderSize(&timedReader{conn: conn, timeout: t.cfg.IdleTimeout}, readBuffer))
	s.out.close()
	conn.Close()
	<-written
	t.cfg.Logger.Debug("peer connection ended", "node", from, "err", err)
}

func (s *server) read(ctx context.Context, r *bufio.Reader) error {
	for {
		f, err := readFrame(r, s.t.cfg.MaxFrame)
		if err != nil {
			return err
		}
		if f.kind == kindPing {
			continue
		}
		n := s.t.stats.call(Call(f.kind))
		if n == nil {
			s.send(f.id, nil, errs.E(errs.Invalid, "node %s knows no call %d", s.t.cfg.NodeID, f.kind))
			continue
		}
		if !s.gate.enter(len(f.body), s.out.done) {
			return net.ErrClosed
		}
		n.served.Add(1)
		s.t.cfg.Handler(ctx, s.from, Call(f.kind), f.body, s.replier(f.id, len(f.body)))
	}
}

// replier returns the reply function of one call. Only its first use counts.
func (s *server) replier(id uint64, size int) func([]byte, error) {
	var used atomic.Bool
	return func(body []byte, err error) {
		if used.Swap(true) {
			return
		}
		s.send(id, body, err)
		s.gate.leave(size)
	}
}

// send queues a reply. It must not wait, for it may run on a goroutine that
// others depend on; a peer that leaves this many replies unread is cut off.
func (s *server) send(id uint64, body []byte, err error) {
	f := frame{id: id, kind: kindReply, body: body}
	if err == nil && frameMin+len(body) > s.t.cfg.MaxFrame {
		err = errs.E(errs.Internal, "a reply of %d bytes does not fit into a frame of %d", len(body), s.t.cfg.MaxFrame)
	}
	if err != nil {
		f = frame{id: id, kind: kindError, body: errs.Append(nil, err)}
		f.body = f.body[:min(len(f.body), s.t.cfg.MaxFrame-frameMin)]
	}
	if !s.out.offer(f) {
		s.out.close()
	}
}

// gate bounds what one connection has in flight. Only the goroutine that
// reads the connection enters.
type gate struct {
	maxCalls, maxBytes int
	wake               chan struct{} // capacity 1

	mu           sync.Mutex
	calls, bytes int
	waiting      bool
}

// enter waits until a call of n bytes may begin; false if done came first.
func (g *gate) enter(n int, done <-chan struct{}) bool {
	for {
		g.mu.Lock()
		if g.calls == 0 || g.calls < g.maxCalls && g.bytes+n <= g.maxBytes {
			g.calls++
			g.bytes += n
			g.mu.Unlock()
			return true
		}
		g.waiting = true
		g.mu.Unlock()
		select {
		case <-g.wake:
		case <-done:
			return false
		}
	}
}

func (g *gate) leave(n int) {
	g.mu.Lock()
	g.calls--
	g.bytes -= n
	waiting := g.waiting
	g.waiting = false
	g.mu.Unlock()
	if waiting {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}
