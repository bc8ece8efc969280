package restdb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"strconv"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// once is what makes a repeat of a request known as one.
type once struct {
	key   string            // the Idempotency-Key, "" = none
	since uint64            // a version that the client knew before its first try, 0 = none
	body  [sha256.Size]byte // of the content, zero if none was read
}

// idempotency reads the Idempotency-Key, and the Covey-Version that may come
// with it.
func (q *request) idempotency() {
	var err error
	q.once.key, q.once.since, err = web.IdempotencyKey(q.r)
	q.note(err)
}

// content makes the body a part of the identity, as it was understood: the
// boundary of a multipart form may be another with each try.
func (o *once) content(c content) {
	if o.key == "" {
		return
	}
	h := sha256.New()
	writePart(h, strconv.FormatBool(c.texts))
	writePart(h, string(c.json))
	h.Sum(o.body[:0])
}

// identity returns the identity of a request that has an Idempotency-Key. A
// repeat must agree in everything that decides what is done and who asks for
// it, so that nobody gets the answer to another's request by repeating its key.
// The database stands for the host, which is another one on each node.
func (q *request) identity(database string) command.ID {
	email := ""
	if q.caller.User != nil {
		email = q.caller.User.Email()
	}
	h := sha256.New()
	for _, p := range []string{
		"covey restdb request 2", database, q.method, q.path, q.once.key, q.caller.Key.Value, email, string(q.once.body[:]),
		q.query.Value("validate"), q.query.Value("replace"), q.query.Value("q"), q.query.Value("filter"), q.r.Header.Get("If-Match"),
	} {
		writePart(h, p)
	}
	return command.ID(h.Sum(nil)[:len(command.ID{})])
}

// writePart writes p so that no two lists of parts give the same hash.
func writePart(h hash.Hash, p string) {
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
	_, _ = h.Write([]byte(p))
}

var errMoved = errs.E(errs.Unavailable, "the database that this host means has just become another; nothing was changed, try again")

// updateOnce is update for a request with an Idempotency-Key.
func (q *request) updateOnce(ctx context.Context, fn func(*kv.Tx, *collection.Session) error) (kv.Result, error) {
	// What this node has at hand says the right database but for the moments
	// after the operator has changed what hosts mean.
	res, err := q.updateOnceIn(ctx, kv.Consistency{Stale: true}, fn)
	if errors.Is(err, errMoved) {
		res, err = q.updateOnceIn(ctx, kv.Consistency{}, fn)
	}
	return res, err
}

// updateOnceIn commits only to the database that the identity is made of, which
// a state of the given level tells; it is errMoved if the host means another.
func (q *request) updateOnceIn(ctx context.Context, level kv.Consistency, fn func(*kv.Tx, *collection.Session) error) (kv.Result, error) {
	var database string
	if _, err := q.DB.View(ctx, level, func(tx *kv.Tx) (err error) {
		database, err = q.Store.DatabaseOf(tx, q.caller.Host)
		return err
	}); err != nil {
		return kv.Result{}, err
	}
	id := kv.Once{ID: q.identity(database), Since: q.once.since}
	return q.DB.UpdateOnce(ctx, id, func(tx *kv.Tx) error {
		s, err := q.enter(ctx, tx)
		if err != nil {
			return err
		}
		if s.Database() != database {
			return errMoved
		}
		return fn(tx, s)
	})
}
