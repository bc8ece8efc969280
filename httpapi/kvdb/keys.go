package kvdb

import (
	"net/http"
	"unicode/utf8"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

// get serves GET and HEAD of a key. It looks at no Accept header: clients send
// all kinds of them and expect the stored bytes.
func (q *request) get() error {
	level := q.consistency()
	cond, err := parseCondition(q.r.Header)
	q.note(err)
	var entry bucket.Entry
	info, err := q.view(bucket.Read, level, func(_ *kv.Tx, b *bucket.Bucket) error {
		var err error
		entry, err = b.Get(q.key)
		return q.first(err)
	})
	found := err == nil
	if !found && !errs.Is(err, errs.NotFound) {
		return err
	}
	if info.Version > 0 {
		q.achieved(info)
	}
	if cond.match.stated && !cond.match.matches(found, entry.Version) {
		return errs.E(errs.Conflict, "the key's version is none of those in If-Match")
	}
	if !found {
		return err
	}
	h := q.w.Header()
	h["Etag"] = []string{etag(entry.Version)}
	if cond.noneMatch.stated && cond.noneMatch.matches(true, entry.Version) {
		q.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	value := entry.Value.Bytes()
	if utf8.Valid(value) {
		return q.reply(contentTypes[formatText], value)
	}
	return q.reply(bytesType, value)
}

// set serves POST and PUT of a key. The body is the value, byte for byte,
// whatever its Content-Type says.
func (q *request) set() error {
	body, err := q.body(q.Buckets.MaxValue())
	if err != nil {
		return err
	}
	ttl, cond := q.ttl(), q.condition()
	once := q.once(body, q.query.Value("ttl"), q.conditionParams())
	value := bucket.Text(body)
	res, err := q.change(bucket.Write, once, func(b *bucket.Bucket) error {
		return b.Set(q.key, value, ttl, cond)
	})
	if err != nil {
		return err
	}
	q.tagged(res)
	return q.empty()
}

// maxDelta bounds the body of a PATCH: no number that fits is longer.
const maxDelta = 512

// increment serves PATCH of a key: an atomic counter.
func (q *request) increment() error {
	body, err := q.body(maxDelta)
	if err != nil {
		return err
	}
	var delta command.Number
	if q.bad == nil {
		delta, err = bucket.ParseDelta(body)
		q.note(err)
	}
	ttl, cond := q.ttl(), q.condition()
	once := q.once(body, q.query.Value("ttl"), q.conditionParams())
	res, err := q.change(bucket.Write, once, func(b *bucket.Bucket) error {
		return b.Incr(q.key, delta, ttl, cond)
	})
	if err != nil {
		return err
	}
	if len(res.Added) != 1 {
		return errs.E(errs.Internal, "a counter's commit returned %d sums", len(res.Added))
	}
	q.tagged(res)
	return q.reply(contentTypes[formatText], res.Added[0])
}

// remove serves DELETE of a key, which succeeds whether or not it is there.
func (q *request) remove() error {
	cond := q.condition()
	once := q.once(nil, q.conditionParams())
	res, err := q.change(bucket.Delete, once, func(b *bucket.Bucket) error {
		return b.Delete(q.key, cond)
	})
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.empty()
}
