package restdb

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strconv"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Bounds of an Idempotency-Key. The lower one makes it unlikely that two
// clients choose the same.
const (
	minIdempotencyKey = 16
	maxIdempotencyKey = 128
)

// once returns the identity that the request's Idempotency-Key gives it, or nil
// if it has none. A repeat must agree in everything that decides what is done
// and who asks for it, so that nobody gets the answer to another's request by
// repeating its key.
func (q *request) once(body []byte) *kv.Once {
	given := q.r.Header["Idempotency-Key"]
	if len(given) == 0 {
		return nil
	}
	key := given[0]
	if len(given) > 1 || len(key) < minIdempotencyKey || len(key) > maxIdempotencyKey || !visible(key) {
		q.note(errs.E(errs.Invalid, "Idempotency-Key is not one text of %d to %d visible ASCII characters", minIdempotencyKey, maxIdempotencyKey))
		return nil
	}
	var once kv.Once
	if since := q.r.Header.Get("Covey-Version"); since != "" {
		v, err := strconv.ParseUint(since, 10, 64)
		if err != nil {
			q.note(errs.E(errs.Invalid, "Covey-Version is not a version: a whole number"))
			return nil
		}
		once.Since = v
	}
	email := ""
	if q.caller.User != nil {
		email = q.caller.User.Email()
	}
	h := sha256.New()
	parts := []string{
		"covey restdb request 1", q.caller.Host, q.method, q.path, q.query.Value("validate"), key,
		q.caller.Key.Value, email, string(body),
	}
	for _, p := range parts {
		writePart(h, p)
	}
	once.ID = command.ID(h.Sum(nil)[:len(command.ID{})])
	return &once
}

// writePart writes p so that no two lists of parts give the same hash.
func writePart(h hash.Hash, p string) {
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
	_, _ = h.Write([]byte(p))
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
