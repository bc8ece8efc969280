package transport

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

const (
	backoffMin = 20 * time.Millisecond
	backoffMax = time.Second
)

// lane is the way to one peer for one sort of call. It has at most one link,
// made when a call first needs it. After a dial that did not succeed, or a
// link that did not last, it rests, and calls get the reason at once; the rest
// doubles up to backoffMax.
type lane struct {
	t    *Transport
	node string
	name string // for the log: "propose" or "control"

	mu      sync.Mutex
	cur     *link
	dialing chan struct{} // closed when the dial under way ends; nil if none
	addr    string        // the address last dialed
	err     error         // why there is no link
	rest    time.Duration
	until   time.Time // no dial before this
	down    bool      // the log has been told that the peer cannot be reached
}

func (l *lane) call(ctx context.Context, c Call, body []byte) ([]byte, error) {
	for try := 0; ; try++ {
		k, err := l.link(ctx)
		if err != nil {
			return nil, err
		}
		reply, queued, err := k.call(ctx, c, body)
		if queued || err == nil || try > 0 {
			return reply, err
		}
		l.drop(k) // it failed while it was idle: the next one may work
	}
}

// link returns the working link, waiting for a dial if there is none.
func (l *lane) link(ctx context.Context) (*link, error) {
	l.mu.Lock()
	if k := l.cur; k != nil {
		l.mu.Unlock()
		return k, nil
	}
	if l.dialing == nil {
		if err := l.start(); err != nil {
			l.mu.Unlock()
			return nil, err
		}
	}
	dialed := l.dialing
	l.mu.Unlock()
	select {
	case <-dialed:
	case <-ctx.Done():
		return nil, errs.E(errs.Unavailable, "call to node %s: no connection yet: %w", l.node, context.Cause(ctx))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != nil {
		return l.cur, nil
	}
	return nil, l.err
}

// start begins a dial, unless the lane rests; l.mu is held. The dial has a
// time limit of its own: a caller that gives up does not end it for others.
func (l *lane) start() error {
	addr, ok := l.t.cfg.Resolve(l.node)
	if !ok {
		return errs.E(errs.Unavailable, "call to node %s: its address is not known", l.node)
	}
	if addr == l.addr && l.err != nil && time.Now().Before(l.until) {
		return l.err
	}
	if addr != l.addr {
		l.rest = 0 // the failures were another address's
	}
	l.addr = addr
	dialed := make(chan struct{})
	if !l.t.spawn(func() { l.dial(addr, dialed) }) {
		return errClosed()
	}
	l.dialing = dialed
	return nil
}

func (l *lane) dial(addr string, dialed chan struct{}) {
	ctx, cancel := context.WithTimeout(l.t.ctx, l.t.cfg.DialTimeout)
	defer cancel()
	conn, err := l.t.dial(ctx, addr, hello{service: serviceCalls, to: l.node})

	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(dialed)
	l.dialing = nil
	if err == nil {
		k := newLink(l.node, conn, &l.t.cfg)
		if !l.t.spawn(func() { l.run(k, conn) }) {
			conn.Close()
			l.err = errClosed()
			return
		}
		l.cur, l.err = k, nil
		l.t.cfg.Logger.Debug("connected to peer", "node", l.node, "addr", addr, "lane", l.name)
		l.down = false
		return
	}
	l.err = errs.E(errs.Unavailable, "call to node %s: %w", l.node, err)
	l.pause()
	if !l.down {
		l.down = true
		l.t.cfg.Logger.Warn("cannot reach peer", "node", l.node, "addr", addr, "lane", l.name, "err", err)
	}
}

// pause makes the lane rest; l.mu is held.
func (l *lane) pause() {
	l.rest = min(max(2*l.rest, backoffMin), backoffMax)
	l.until = time.Now().Add(l.rest/2 + rand.N(l.rest))
}

// run serves an established link to its end.
func (l *lane) run(k *link, conn net.Conn) {
	ended := make(chan struct{})
	ok := l.t.spawn(func() {
		defer close(ended)
		k.fail(k.out.run(l.moved))
	})
	if ok {
		r := &timedReader{conn: conn, timeout: l.t.cfg.IdleTimeout}
		k.fail(k.read(bufio.NewReaderSize(r, readBuffer), l.t.cfg.MaxFrame))
		<-ended
	}
	k.fail(net.ErrClosed) // only counts if the transport closed before the writer could start
	l.drop(k)
}

// moved ends a link to an address that is no longer the node's: a host that
// vanished sends no farewell.
func (l *lane) moved() error {
	l.mu.Lock()
	was := l.addr
	l.mu.Unlock()
	if now, ok := l.t.cfg.Resolve(l.node); ok && now != was {
		return fmt.Errorf("node %s moved from %s to %s", l.node, was, now)
	}
	return nil
}

// drop forgets a link that failed.
func (l *lane) drop(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != k {
		return
	}
	l.cur = nil
	l.err = errs.E(errs.Unavailable, "call to node %s: not sent, the connection was lost: %w", l.node, k.failure())
	if time.Since(k.born) < backoffMax {
		l.pause()
	} else {
		l.rest, l.until = 0, time.Time{}
	}
	l.t.cfg.Logger.Debug("lost connection to peer", "node", l.node, "addr", l.addr, "lane", l.name, "err", k.failure())
}

// inFlight is the number of calls of this lane that wait for a reply.
func (l *lane) inFlight() int {
	l.mu.Lock()
	k := l.cur
	l.mu.Unlock()
	if k == nil {
		return 0
	}
	return k.inFlight()
}
