package restdb

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// request is one request on its way from the parsed path to the answer.
type request struct {
	*api
	target
	w      http.ResponseWriter
	r      *http.Request
	query  web.Pairs
	method string    // after an override
	at     time.Time // of the request: of its ids, times and macros
	caller collection.Caller
	jwt    auth.Credential // not verified yet
	once   once            // what an Idempotency-Key says
	bad    error           // the first problem with the request
	// strange: the method is overridden with one that may not be.
	strange bool
}

// note keeps the first problem with the request for behind the door.
func (q *request) note(err error) {
	if q.bad == nil && err != nil {
		q.bad = err
	}
}

// override reads X-HTTP-Method-Override, which only a POST may carry.
// Everything that follows, scopes of keys first, goes by the overridden method.
func (q *request) override() {
	given := q.r.Header["X-Http-Method-Override"]
	if q.r.Method != http.MethodPost || len(given) == 0 {
		return
	}
	switch m := strings.ToUpper(strings.TrimSpace(given[0])); {
	case len(given) == 1 && (m == http.MethodPut || m == http.MethodPatch || m == http.MethodDelete):
		q.method = m
	default:
		q.strange = true
	}
}

// identify fills in who asks for what.
func (q *request) identify() {
	q.caller = collection.Caller{Host: q.r.Host, Method: q.method, Path: q.path, Origin: q.r.Header.Get("Origin")}
	if q.method == http.MethodHead {
		q.caller.Method = http.MethodGet
	}
	q.caller.Key, q.jwt = credentialOf(q.r, q.query)
	if q.place == atRealtime && q.caller.Key.None() && q.jwt.None() {
		q.jwt, q.caller.Page = credentialsOfPage(q.query)
	}
}

// verify checks the JWT, if there is one, before anything is done with it: that
// takes longer than a transaction's door should.
func (q *request) verify() error {
	if q.jwt.None() {
		return nil
	}
	ctx, cancel := q.patience()
	defer cancel()
	var err error
	q.caller.User, err = q.Store.VerifyJWT(ctx, q.DB, q.caller.Host, q.jwt)
	return err
}

// consistency is linearizable unless the client asks for less.
func (q *request) consistency() kv.Consistency {
	level := q.query.Value("consistency")
	if level != "" && level != "stale" && level != "linearizable" {
		q.note(errs.E(errs.Invalid, "consistency is neither linearizable nor stale"))
	}
	return kv.Consistency{Stale: level == "stale"}
}

// patience bounds how long the request waits for a leader and a quorum.
func (q *request) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.r.Context(), q.Wait)
}

// enter passes the door, and tells what is wrong with the request behind it.
func (q *request) enter(ctx context.Context, tx *kv.Tx) (*collection.Session, error) {
	s, err := q.Store.Enter(ctx, tx, q.caller)
	// For every run of a transaction, and the last one counts.
	admit(q.w, q.r, s.CORS() || errs.Is(err, errs.Unauthenticated))
	return s, err
}

// open is enter for one collection. Whoever may not do a thing learns that
// before anything else.
func (q *request) open(s *collection.Session, name string, need collection.Need) (*collection.Collection, error) {
	c, err := s.Collection(name, need)
	if q.bad != nil && (err == nil || !errs.Is(err, errs.Forbidden)) {
		return nil, q.bad
	}
	return c, err
}

// view passes the door and runs fn once. The state has to be there within the
// request's patience; fn has its own time to end in.
func (q *request) view(level kv.Consistency, fn func(*kv.Tx, *collection.Session) error) (kv.ReadInfo, error) {
	ctx, cancel := q.patience()
	defer cancel()
	return q.DB.View(ctx, level, func(tx *kv.Tx) error {
		s, err := q.enter(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, s)
	})
}

// update passes the door and commits what fn does, which may run several times.
// Under an Idempotency-Key it takes effect once: the Result of a repeat is a
// Duplicate, and what fn has come to is not what was done.
func (q *request) update(ctx context.Context, fn func(*kv.Tx, *collection.Session) error) (kv.Result, error) {
	if q.once.key != "" && q.bad == nil {
		return q.updateOnce(ctx, fn)
	}
	return q.DB.Update(ctx, func(tx *kv.Tx) error {
		s, err := q.enter(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, s)
	})
}

// refuse tells a caller who passes the door that err is wrong with the request.
// Any state will do for that.
func (q *request) refuse(err error) error {
	q.note(err)
	ctx, cancel := q.patience()
	defer cancel()
	_, err = q.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		_, err := q.enter(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	return q.bad
}
