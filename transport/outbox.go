package transport

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	writeChunk  = 256 << 10 // the bytes that one write deadline is for
	keepBuffer  = 1 << 20   // a larger buffer is not kept for reuse
	queueFrames = 8 << 20   // the bytes that may queue beyond one frame of the greatest size
)

// outbox is the sending half of a connection for calls. Frames are copied
// into one growing buffer; a single goroutine takes the buffer whole and
// writes it, so frames that arrive during a write leave together in the next.
type outbox struct {
	conn         net.Conn
	limit        int // bytes queued at which senders wait
	writeTimeout time.Duration
	pingEvery    time.Duration
	wake         chan struct{} // capacity 1: pend is not empty
	done         chan struct{} // closed by close

	mu      sync.Mutex
	pend    []byte
	spare   []byte        // the buffer written last, for reuse
	batch   uint64        // number of the buffer that pend will be
	started uint64        // number of the last buffer given to the network
	room    chan struct{} // closed when pend is taken; nil while nobody waits
	closed  bool
}

func newOutbox(conn net.Conn, cfg *Config) *outbox {
	return &outbox{
		conn: conn, limit: cfg.MaxFrame + queueFrames,
		writeTimeout: cfg.WriteTimeout, pingEvery: cfg.PingEvery,
		wake: make(chan struct{}, 1), done: make(chan struct{}), batch: 1,
	}
}

// put queues f, whose body may be reused when put returns, and returns the
// number of the buffer that will carry it. When too much is queued it waits
// for room. On an error f was not queued and never will be.
func (o *outbox) put(ctx context.Context, f frame) (uint64, error) {
	for {
		batch, room, ok := o.queue(f)
		if ok {
			return batch, nil
		}
		if room == nil {
			return 0, net.ErrClosed
		}
		select {
		case <-room:
		case <-o.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// offer queues f if there is room for it now.
func (o *outbox) offer(f frame) bool {
	_, _, ok := o.queue(f)
	return ok
}

// queue appends f to the buffer. If it did not, room is closed as soon as
// there may be room, or nil if the outbox is closed.
func (o *outbox) queue(f frame) (batch uint64, room <-chan struct{}, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, nil, false
	}
	if len(o.pend) > 0 && len(o.pend)+f.size() > o.limit {
		if o.room == nil {
			o.room = make(chan struct{})
		}
		return 0, o.room, false
	}
	if len(o.pend) == 0 {
		select {
		case o.wake <- struct{}{}:
		default: // the writer has been woken and not yet looked
		}
	}
	o.pend = appendFrame(o.pend, f)
	return o.batch, nil, true
}

// take hands the queued bytes to the writer, nil if there are none.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.pend) == 0 {
		return nil
	}
	buf := o.pend
	o.pend, o.spare = o.spare[:0], nil
	o.started = o.batch
	o.batch++
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	return buf
}

func (o *outbox) giveBack(buf []byte) {
	if cap(buf) > keepBuffer {
		return
	}
	o.mu.Lock()
	o.spare = buf
	o.mu.Unlock()
}

// run writes until the outbox is closed or a write does not succeed, and
// pings when a tick finds nothing queued. tick may end the connection by
// returning an error; it is called every PingEvery.
func (o *outbox) run(tick func() error) error {
	t := time.NewTicker(o.pingEvery)
	defer t.Stop()
	for {
		select {
		case <-o.done:
			return net.ErrClosed
		case <-t.C:
			if err := tick(); err != nil {
				return err
			}
			o.offer(frame{kind: kindPing})
		case <-o.wake:
		}
		for buf := o.take(); buf != nil; buf = o.take() {
			if err := o.write(buf); err != nil {
				return err
			}
			o.giveBack(buf)
		}
	}
}

func (o *outbox) write(buf []byte) error {
	for len(buf) > 0 {
		n := min(len(buf), writeChunk)
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.writeTimeout)); err != nil {
			return err
		}
		if _, err := o.conn.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// close drops what is queued and ends run. After it, sent is final.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		o.pend, o.spare = nil, nil
		close(o.done)
	}
}

// sent reports whether any byte of the given buffer may have left this process.
func (o *outbox) sent(batch uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return batch <= o.started
}
