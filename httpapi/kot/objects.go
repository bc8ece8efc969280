package kot

import (
	"context"
	"net/http"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

const (
	// maxBuffered is how much of an object waits for its end, so that most are
	// answered as one, with a length, or with an error's status.
	maxBuffered = 1 << 20
	// listTime bounds the work for one object, and with it how long it pins a
	// snapshot.
	listTime = 5 * time.Minute
)

// object answers with a JSON object: whole if it is short, in pieces if it is
// not. The pieces go out from inside the View, which runs once, so that an
// object of any length shows one state without being held in memory.
type object struct {
	q       *request
	info    kv.ReadInfo // as known inside the View
	buf     []byte
	started bool
	members int
}

func newObject(q *request) *object { return &object{q: q, buf: []byte{'{'}} }

// read runs fn, which adds the members, on one state. fn has its own time to
// end in, longer than that for the state.
func (o *object) read(fn func(context.Context, *kv.Tx) error) (kv.ReadInfo, error) {
	work, stop := context.WithTimeout(o.q.r.Context(), listTime)
	defer stop()
	ctx, cancel := o.q.patience()
	defer cancel()
	level := o.q.consistency()
	return o.q.DB.View(ctx, level, func(tx *kv.Tx) error {
		o.info = kv.ReadInfo{Version: tx.Version(), Consistency: level, Staleness: -1}
		return fn(work, tx)
	})
}

// add takes one member. It reports false if no more are wanted: the headers of
// a long answer are the same however it goes on.
func (o *object) add(name string, v database.Value) (more bool, err error) {
	if o.members++; o.members > 1 {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(appendText(o.buf, name), ':')
	o.buf = appendValue(o.buf, v)
	if len(o.buf) < maxBuffered {
		return true, nil
	}
	o.begin()
	if o.q.r.Method == http.MethodHead {
		return false, nil
	}
	return true, o.send()
}

// begin writes the headers of an object in pieces.
func (o *object) begin() {
	if o.started {
		return
	}
	o.started = true
	o.q.achieved(o.info)
	o.q.w.Header()["Content-Type"] = jsonType
	o.q.w.WriteHeader(http.StatusOK)
}

func (o *object) send() error {
	// A writer without deadlines has no slow client to be protected from. A
	// piece may be longer than most, by one value, and so may take longer.
	pieces := 1 + len(o.buf)/maxBuffered
	_ = http.NewResponseController(o.q.w).SetWriteDeadline(time.Now().Add(time.Duration(pieces) * o.q.PieceTime))
	_, err := o.q.w.Write(o.buf)
	o.buf = o.buf[:0]
	return clientGone(err)
}

// finish writes what is left.
func (o *object) finish(info kv.ReadInfo) error {
	o.buf = append(o.buf, '}')
	if !o.started {
		o.q.achieved(info)
		return o.q.json(o.buf)
	}
	if o.q.r.Method == http.MethodHead {
		return nil
	}
	o.buf = append(o.buf, '\n')
	return o.send()
}
