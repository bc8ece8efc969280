package kvdb

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

// listTime bounds the work for one list, and with it how long the list pins a
// snapshot.
const listTime = 5 * time.Minute

// list serves GET and HEAD of a bucket.
func (q *request) list() error {
	level := q.consistency()
	query := q.listQuery()
	format, err := chooseFormat(q.query, q.r.Header["Accept"])
	q.note(err)
	ctx, cancel := context.WithTimeout(q.r.Context(), listTime)
	defer cancel()
	need := bucket.List
	if query.Values {
		need = bucket.ListValues
	}
	out := newListWriter(q, listing{format: format, values: query.Values})
	info, err := q.view(need, level, func(tx *kv.Tx, b *bucket.Bucket) error {
		entries, err := b.List(ctx, query)
		if err := q.first(err); err != nil {
			return err
		}
		out.info = kv.ReadInfo{Version: tx.Version(), Consistency: level, Staleness: -1}
		out.Buf = out.open(out.Buf)
		for e, err := range entries {
			if err != nil {
				return err
			}
			if more, err := out.add(e); !more || err != nil {
				return err
			}
		}
		out.Buf = out.close(out.Buf)
		return nil
	})
	if err != nil {
		return err
	}
	return out.finish(info)
}

// listQuery reads the parameters of a list.
func (q *request) listQuery() bucket.ListQuery {
	var err error
	l := bucket.ListQuery{
		Prefix:  []byte(q.query.Value("prefix")),
		Reverse: isSet(q.query.Value("reverse")),
		Values:  isSet(q.query.Value("values")),
		Limit:   q.count("limit", -1),
		Skip:    q.count("skip", 0),
	}
	l.Pattern, err = bucket.ParsePattern(q.query.Value("regex"))
	q.note(err)
	return l
}

func isSet(flag string) bool { return flag == "true" || flag == "1" }

// count reads a number of keys. One that no int holds is as good as the
// largest.
func (q *request) count(name string, absent int) int {
	text, ok := q.query.Lookup(name)
	if !ok {
		return absent
	}
	digits := text != ""
	for i := range len(text) {
		digits = digits && '0' <= text[i] && text[i] <= '9'
	}
	if !digits {
		q.note(errs.E(errs.Invalid, "%s is not a whole number, 0 or more", name))
		return absent
	}
	n, _ := strconv.Atoi(text) // out of range, it is the largest int
	return n
}

// listWriter answers a list.
type listWriter struct {
	listing
	web.Pieces
	q    *request
	info kv.ReadInfo // as known inside the View
}

func newListWriter(q *request, l listing) *listWriter {
	w := &listWriter{listing: l, q: q}
	w.Pieces = web.Pieces{W: q.w, R: q.r, Time: q.PieceTime, Begin: w.begin}
	return w
}

// add takes one entry. It reports false if no more are wanted.
func (l *listWriter) add(e bucket.Entry) (more bool, err error) {
	l.Buf = l.item(l.Buf, e.Key, e.Value.Bytes(), e.Value.IsJSON())
	return l.Flush()
}

// begin writes the headers of a list in pieces.
func (l *listWriter) begin() {
	l.q.achieved(l.info)
	l.q.w.Header()["Content-Type"] = contentTypes[l.format]
	l.q.w.WriteHeader(http.StatusOK)
}

// finish writes what is left.
func (l *listWriter) finish(info kv.ReadInfo) error {
	if l.Begun() {
		return l.End()
	}
	l.q.achieved(info)
	return l.q.reply(contentTypes[l.format], l.Buf)
}
