package kvdb

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

const (
	// maxBuffered is how much of a list waits for its end, so that most lists
	// are answered as one, with a length, or with an error's status.
	maxBuffered = 1 << 20
	// listTime bounds the work for one list, and with it how long the list pins
	// a snapshot.
	listTime = 5 * time.Minute
)

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
	out := &listWriter{q: q, listing: listing{format: format, values: query.Values}}
	info, err := q.view(need, level, func(tx *kv.Tx, b *bucket.Bucket) error {
		entries, err := b.List(ctx, query)
		if err := q.first(err); err != nil {
			return err
		}
		out.info = kv.ReadInfo{Version: tx.Version(), Consistency: level, Staleness: -1}
		out.buf = out.open(out.buf)
		for e, err := range entries {
			if err != nil {
				return err
			}
			if more, err := out.add(e); !more || err != nil {
				return err
			}
		}
		out.buf = out.close(out.buf)
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

// listWriter answers a list: whole if it is short, in pieces if it is not. The
// pieces go out from inside the View, which runs once, so that a list of any
// length shows one state without being held in memory.
type listWriter struct {
	listing
	q       *request
	info    kv.ReadInfo // as known inside the View
	buf     []byte
	started bool
}

// add takes one entry. It reports false if no more are wanted: the headers of
// a long list are the same however it goes on.
func (l *listWriter) add(e bucket.Entry) (more bool, err error) {
	l.buf = l.item(l.buf, e.Key, e.Value.Bytes(), e.Value.IsJSON())
	if len(l.buf) < maxBuffered {
		return true, nil
	}
	l.begin()
	if l.q.r.Method == http.MethodHead {
		return false, nil
	}
	return true, l.send()
}

// begin writes the headers of a list in pieces.
func (l *listWriter) begin() {
	if l.started {
		return
	}
	l.started = true
	l.q.achieved(l.info)
	l.q.w.Header()["Content-Type"] = contentTypes[l.format]
	l.q.w.WriteHeader(http.StatusOK)
}

func (l *listWriter) send() error {
	// A writer without deadlines has no slow client to be protected from.
	_ = http.NewResponseController(l.q.w).SetWriteDeadline(time.Now().Add(l.q.PieceTime))
	_, err := l.q.w.Write(l.buf)
	l.buf = l.buf[:0]
	return clientGone(err)
}

// finish writes what is left.
func (l *listWriter) finish(info kv.ReadInfo) error {
	if !l.started {
		l.q.achieved(info)
		return l.q.reply(contentTypes[l.format], l.buf)
	}
	if l.q.r.Method == http.MethodHead {
		return nil
	}
	return l.send()
}
