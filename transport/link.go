package transport

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// link is one established connection to a peer, carrying calls that this node
// makes. It fails once, as a whole: then every call in flight is told.
type link struct {
	node string
	out  *outbox
	born time.Time
	idle sync.Pool // of *waiting whose channels are empty

	mu    sync.Mutex
	calls map[uint64]*waiting
	next  uint64
	err   error // why the link failed; nil while it works
}

// waiting is a call that waits for its reply. Exactly one outcome is sent to
// it by whoever takes it out of link.calls.
type waiting struct{ done chan outcome } // capacity 1: the sender never waits

type outcome struct {
	reply  frame
	broken bool // the link failed; reply is empty
}

func newLink(node string, conn net.Conn, cfg *Config) *link {
	return &link{
		node: node, out: newOutbox(conn, cfg), born: time.Now(), calls: make(map[uint64]*waiting),
		idle: sync.Pool{New: func() any { return &waiting{done: make(chan outcome, 1)} }},
	}
}

// call sends one call and waits for its outcome. The second result is false
// if nothing was queued because the link had failed: then another link may be
// tried.
func (l *link) call(ctx context.Context, c Call, body []byte) ([]byte, bool, error) {
	w := l.idle.Get().(*waiting)
	defer l.idle.Put(w)
	id, err := l.enter(w)
	if err != nil {
		return nil, false, err
	}
	batch, err := l.out.put(ctx, frame{id: id, kind: byte(c), body: body})
	if err != nil {
		l.leave(id, w)
		if ctx.Err() != nil {
			return nil, true, errs.E(errs.Unavailable, "call to node %s: not sent, too much is queued: %w", l.node, context.Cause(ctx))
		}
		return nil, false, errs.E(errs.Unavailable, "call to node %s: not sent: %w", l.node, err)
	}
	select {
	case o := <-w.done:
		body, err := l.settle(o, batch)
		return body, true, err
	case <-ctx.Done():
	}
	if o, ok := l.leave(id, w); ok {
		body, err := l.settle(o, batch) // the outcome arrived with the end of the context
		return body, true, err
	}
	return nil, true, errs.E(errs.Unknown, "call to node %s: no reply before its time was over: %w", l.node, context.Cause(ctx))
}

// settle turns an outcome into the result of a call that was queued in batch.
func (l *link) settle(o outcome, batch uint64) ([]byte, error) {
	switch {
	case !o.broken && o.reply.kind == kindReply:
		return o.reply.body, nil
	case !o.broken:
		return nil, errs.Decode(o.reply.body)
	case l.out.sent(batch):
		return nil, errs.E(errs.Unknown, "call to node %s: no reply: %w", l.node, l.failure())
	}
	return nil, errs.E(errs.Unavailable, "call to node %s: not sent: %w", l.node, l.failure())
}

// enter registers w under a new id.
func (l *link) enter(w *waiting) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, errs.E(errs.Unavailable, "call to node %s: not sent: %w", l.node, l.err)
	}
	l.next++
	l.calls[l.next] = w
	return l.next, nil
}

// leave takes back a call. If its outcome was on the way already it is
// returned, and w's channel is empty in either case.
func (l *link) leave(id uint64, w *waiting) (outcome, bool) {
	l.mu.Lock()
	_, ours := l.calls[id]
	delete(l.calls, id)
	l.mu.Unlock()
	if ours {
		return outcome{}, false
	}
	return <-w.done, true
}

// read delivers replies until the connection ends, and says why it did.
func (l *link) read(r *bufio.Reader, maxFrame int) error {
	for {
		f, err := readFrame(r, maxFrame)
		if err != nil {
			return err
		}
		switch f.kind {
		case kindPing:
		case kindReply, kindError:
			l.deliver(f)
		default:
			return fmt.Errorf("node %s sent a frame of kind %#x where a reply belongs", l.node, f.kind)
		}
	}
}

// deliver drops a reply that nobody waits for any more.
func (l *link) deliver(f frame) {
	l.mu.Lock()
	w := l.calls[f.id]
	delete(l.calls, f.id)
	l.mu.Unlock()
	if w != nil {
		w.done <- outcome{reply: f}
	}
}

// fail ends the link; only the first cause counts. The outbox is closed before
// any call hears of it, so that what was sent is settled when they ask.
func (l *link) fail(cause error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = cause
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	l.out.close()
	l.out.conn.Close()
	for _, w := range calls {
		w.done <- outcome{broken: true}
	}
}

func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// inFlight is the number of calls that wait for a reply.
func (l *link) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}
