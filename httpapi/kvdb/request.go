package kvdb

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

var errNoBucket = errs.E(errs.NotFound, "the bucket does not exist")

// request is one request on its way from the parsed path to the answer.
type request struct {
	*api
	target
	w     http.ResponseWriter
	r     *http.Request
	query web.Pairs
	cred  auth.Credential
	bad   error // the first problem with the parameters
}

// note keeps the first problem with the parameters for after the door.
func (q *request) note(err error) {
	if q.bad == nil {
		q.bad = err
	}
}

// body reads the body. One that is too long is noted for after the door; one
// that ends early is an error at once, since with its client gone there is
// nothing left to ask for.
func (q *request) body(limit int) ([]byte, error) {
	body, err := web.ReadBody(q.r, limit)
	if errs.Is(err, errs.TooLarge) {
		q.note(err)
		return nil, nil
	}
	return body, err
}

// first returns what is to be reported of a layer's answer and the noted
// problem. Whoever may not do a thing learns that before anything else.
func (q *request) first(err error) error {
	if q.bad == nil || errs.Is(err, errs.Forbidden) {
		return err
	}
	return q.bad
}

// view opens the bucket for need and runs fn once.
func (q *request) view(need bucket.Need, c kv.Consistency, fn func(*kv.Tx, *bucket.Bucket) error) (kv.ReadInfo, error) {
	ctx, cancel := context.WithTimeout(q.r.Context(), q.Wait)
	defer cancel()
	return q.DB.View(ctx, c, func(tx *kv.Tx) error {
		b, err := q.Buckets.Open(tx, q.bucket, q.cred, need)
		if err != nil {
			return err
		}
		return fn(tx, b)
	})
}

// change opens the bucket for need and commits what fn does, which may run
// several times. A problem with the parameters ends it past fn's own door, so
// that nothing is committed.
func (q *request) change(need bucket.Need, once *kv.Once, fn func(*bucket.Bucket) error) (kv.Result, error) {
	return q.update(once, func(tx *kv.Tx) error {
		b, err := q.Buckets.Open(tx, q.bucket, q.cred, need)
		if err != nil {
			return err
		}
		return q.first(fn(b))
	})
}

// update runs fn, under the request's identity if it has one.
func (q *request) update(once *kv.Once, fn func(*kv.Tx) error) (kv.Result, error) {
	ctx, cancel := context.WithTimeout(q.r.Context(), q.Wait)
	defer cancel()
	if once == nil {
		return q.DB.Update(ctx, fn)
	}
	return q.DB.UpdateOnce(ctx, *once, fn)
}

// once returns the identity that the request's Idempotency-Key gives it, or
// nil if it has none. params are the parameters that make two requests
// different.
func (q *request) once(body []byte, params ...string) *kv.Once {
	key, since, err := web.IdempotencyKey(q.r)
	q.note(err)
	if key == "" {
		return nil
	}
	once := kv.Once{Since: since}
	id := bucket.Request{
		Bucket: q.bucket, Method: q.r.Method, IdempotencyKey: key, Credential: q.cred, Body: body,
		Target: frame(append([]string{string(q.key)}, params...)),
	}
	once.ID = id.OnceID()
	return &once
}

// frame joins parts so that no two lists of parts give the same text.
func frame(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}

// ttl reads ?ttl=, which may be absent.
func (q *request) ttl() bucket.TTL {
	text, ok := q.query.Lookup("ttl")
	if !ok {
		return bucket.TTL{}
	}
	ttl, err := bucket.ParseTTL(text)
	q.note(err)
	return ttl
}

// consistency reads ?consistency= and ?max_stale=.
func (q *request) consistency() (c kv.Consistency) {
	level, ok := q.query.Lookup("consistency")
	if ok && level != "stale" && level != "linearizable" {
		q.note(errs.E(errs.Invalid, "consistency is neither linearizable nor stale"))
	}
	c.Stale = level == "stale"
	age, ok := q.query.Lookup("max_stale")
	if !ok {
		return c
	}
	d, err := time.ParseDuration(age)
	if err != nil || d <= 0 || !c.Stale {
		q.note(errs.E(errs.Invalid, "max_stale is not a positive duration such as 5s, beside consistency=stale"))
		return kv.Consistency{}
	}
	c.MaxStale = d
	return c
}

// condition reads If-Match and If-None-Match as a condition of a change.
func (q *request) condition() bucket.Condition {
	c, err := parseCondition(q.r.Header)
	q.note(err)
	var cond bucket.Condition
	if c.match.stated {
		cond.Match = &bucket.Versions{Any: c.match.any, List: c.match.versions}
	}
	if c.noneMatch.stated {
		cond.NoneMatch = &bucket.Versions{Any: c.noneMatch.any, List: c.noneMatch.versions}
	}
	return cond
}

// conditionParams are the headers behind condition, as they were sent.
func (q *request) conditionParams() string {
	h := q.r.Header
	if len(h["If-Match"]) == 0 && len(h["If-None-Match"]) == 0 {
		return ""
	}
	return frame(h["If-Match"]) + "\n" + frame(h["If-None-Match"])
}

// noCondition refuses conditions where there is no record to compare: to
// ignore one would be to change what its sender wanted left alone.
func (q *request) noCondition() {
	if len(q.r.Header["If-Match"]) > 0 || len(q.r.Header["If-None-Match"]) > 0 {
		q.note(errs.E(errs.Invalid, "If-Match and If-None-Match work on single keys only"))
	}
}
