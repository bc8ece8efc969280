package kot

import (
	"context"
	"net/http"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

// listTime bounds the work for one object, and with it how long it pins a
// snapshot.
const listTime = 5 * time.Minute

// object answers with a JSON object.
type object struct {
	web.Pieces
	q       *request
	info    kv.ReadInfo // as known inside the View
	members int
}

func newObject(q *request) *object {
	o := &object{q: q}
	o.Pieces = web.Pieces{W: q.w, R: q.r, Time: q.PieceTime, Begin: o.begin, Buf: []byte{'{'}}
	return o
}

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

// add takes one member. It reports false if no more are wanted.
func (o *object) add(name string, v database.Value) (more bool, err error) {
	if o.members++; o.members > 1 {
		o.Buf = append(o.Buf, ',')
	}
	o.Buf = append(appendText(o.Buf, name), ':')
	o.Buf = appendValue(o.Buf, v)
	return o.Flush()
}

// begin writes the headers of an object in pieces.
func (o *object) begin() {
	o.q.achieved(o.info)
	o.q.w.Header()["Content-Type"] = jsonType
	o.q.w.WriteHeader(http.StatusOK)
}

// finish writes what is left.
func (o *object) finish(info kv.ReadInfo) error {
	o.Buf = append(o.Buf, '}')
	if o.Begun() {
		o.Buf = append(o.Buf, '\n')
		return o.End()
	}
	o.q.achieved(info)
	return o.q.json(o.Buf)
}
