package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/transport"
)

// An AdminHandler answers one operation that node from asks for. body is JSON,
// and so becomes what it returns. It may wait, as long as ctx lets it; its error
// reaches the asking node with its kind and text.
type AdminHandler func(ctx context.Context, from string, body json.RawMessage) (any, error)

const (
	adminLimit = 30 * time.Second // of an operation whose caller sets no limit
	adminDesks = 16               // operations at once
	adminBytes = 256 << 10        // of a request or an answer
)

// adminRequest is the body of an Admin call, in JSON.
type adminRequest struct {
	Op      string          `json:"op"`
	Millis  int64           `json:"ms,omitempty"` // how long the caller waits
	Payload json.RawMessage `json:"body,omitempty"`
}

// desk is where the operations are answered that operators ask other nodes for.
// The zero value is ready.
type desk struct {
	mu       sync.Mutex
	handlers map[string]AdminHandler
	busy     int
}

// HandleAdmin makes this node answer operation op, which no other handler may
// answer already. Peers of any release may ask: a handler checks what it gets.
func (n *Node) HandleAdmin(op string, h AdminHandler) {
	n.admin.mu.Lock()
	defer n.admin.mu.Unlock()
	if n.admin.handlers == nil {
		n.admin.handlers = make(map[string]AdminHandler)
	}
	if n.admin.handlers[op] != nil {
		panic("node: two handlers for the operation " + op)
	}
	n.admin.handlers[op] = h
}

// CallAdmin asks node to, which may be this one, for an operation. in becomes
// JSON; the answer is read into out, if that is not nil. The error is the
// handler's, or as that of transport.Call: errs.Unavailable when nothing was
// done, errs.Unknown when it may have been.
func (n *Node) CallAdmin(ctx context.Context, to, op string, in, out any) error {
	ctx, cancel := bounded(ctx, adminLimit)
	defer cancel()
	q := adminRequest{Op: op}
	if end, ok := ctx.Deadline(); ok {
		q.Millis = max(1, time.Until(end).Milliseconds())
	}
	var err error
	if in != nil {
		if q.Payload, err = json.Marshal(in); err != nil {
			return errs.E(errs.Internal, "operation %s: %w", op, err)
		}
	}
	var reply []byte
	if to == n.cfg.ID {
		reply, err = n.admin.run(ctx, n.cfg.ID, q)
	} else {
		var body []byte
		if body, err = json.Marshal(q); err == nil {
			reply, err = n.transport.Call(ctx, to, transport.Admin, body)
		}
	}
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return errs.E(errs.Unknown, "node %s answered operation %s with what does not decode: %w", to, op, err)
	}
	return nil
}

// AskLeader is CallAdmin of the leader, whoever that is. It waits for one as
// long as ctx allows, and asks the next one if the first did not do it.
func (n *Node) AskLeader(ctx context.Context, op string, in, out any) error {
	ctx, cancel := bounded(ctx, adminLimit)
	defer cancel()
	for {
		changed := n.changed.next()
		leader, _, reason := n.leader()
		var err error = errs.E(errs.Unavailable, "%s", reason)
		if leader != "" {
			if err = n.CallAdmin(ctx, leader, op, in, out); !errs.Is(err, errs.Unavailable) {
				return err
			}
		}
		if !pause(ctx, changed, retryEvery) {
			return err
		}
	}
}

// bounded returns ctx with a limit, if it has none.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// serve answers a peer's call. It does not wait.
func (d *desk) serve(ctx context.Context, from string, body []byte, reply func([]byte, error)) {
	var q adminRequest
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&q); err != nil || len(body) > adminBytes {
		reply(nil, errs.E(errs.Invalid, "an admin call that does not decode"))
		return
	}
	if _, err := dec.Token(); err != io.EOF {
		reply(nil, errs.E(errs.Invalid, "an admin call that does not end"))
		return
	}
	go func() {
		limit := adminLimit
		if q.Millis > 0 && q.Millis < limit.Milliseconds() {
			limit = time.Duration(q.Millis) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		reply(d.run(ctx, from, q))
	}()
}

func (d *desk) run(ctx context.Context, from string, q adminRequest) ([]byte, error) {
	d.mu.Lock()
	h := d.handlers[q.Op]
	if h == nil || d.busy >= adminDesks {
		d.mu.Unlock()
		if h == nil {
			return nil, errs.E(errs.Invalid, "this node's release does not know the operation %q: upgrade it", q.Op)
		}
		return nil, errs.E(errs.Unavailable, "%d operations of operators are under way already", adminDesks)
	}
	d.busy++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.busy--
		d.mu.Unlock()
	}()
	answer, err := h(ctx, from, q.Payload)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err == nil && len(body) > adminBytes {
		err = errs.E(errs.Internal, "operation %s: an answer of %d bytes", q.Op, len(body))
	}
	return body, err
}

// decodeAdmin reads the body of an operation.
func decodeAdmin(body json.RawMessage, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return errs.E(errs.Invalid, "the operation's body does not decode: %w", err)
	}
	return nil
}
