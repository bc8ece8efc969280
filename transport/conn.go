package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// readBuffer is what one read from a connection for calls may bring.
const readBuffer = 64 << 10

// tracked is a TCP connection that counts its bytes and that its transport
// can close. TLS, if there is any, lies above it.
type tracked struct {
	net.Conn
	t       *Transport
	open    *atomic.Int64
	release func() // gives back what the connection occupied; may be nil
	once    sync.Once
	err     error
}

// track takes charge of conn. It closes conn and returns nil if the transport
// is closed.
func (t *Transport) track(conn net.Conn, open *atomic.Int64, release func()) net.Conn {
	c := &tracked{Conn: conn, t: t, open: open, release: release}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		conn.Close()
		if release != nil {
			release()
		}
		return nil
	}
	t.conns[c] = struct{}{}
	open.Add(1)
	return c
}

func (c *tracked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.t.stats.bytesIn.Add(uint64(n))
	return n, err
}

func (c *tracked) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.t.stats.bytesOut.Add(uint64(n))
	return n, err
}

// Close is safe to call from several goroutines and more than once.
func (c *tracked) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.t.mu.Lock()
		delete(c.t.conns, c)
		c.t.mu.Unlock()
		c.open.Add(-1)
		if c.release != nil {
			c.release()
		}
	})
	return c.err
}

// timedReader gives every read from the network the same time limit.
type timedReader struct {
	conn    net.Conn
	timeout time.Duration
}

func (r *timedReader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(r.timeout)); err != nil {
		return 0, err
	}
	return r.conn.Read(p)
}

// timedWriter is a Raft stream that a peer opened. Raft sets deadlines on the
// streams that it dials, but none on those it accepts: without one, a peer
// that does not read would hold Raft's goroutine for ever.
type timedWriter struct {
	net.Conn
	timeout time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	if err := w.Conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// quiet is how long a sentence that was logged is not logged again.
const quiet = 10 * time.Minute

// once remembers which sentences were logged, so that a peer which tries
// again and again is reported once in a while.
type once struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// first reports whether text has not been said for a while. After many different
// texts it forgets them all rather than grow.
func (o *once) first(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if at, ok := o.said[text]; ok && now.Sub(at) < quiet {
		return false
	}
	if o.said == nil || len(o.said) >= 256 {
		o.said = make(map[string]time.Time)
	}
	o.said[text] = now
	return true
}
