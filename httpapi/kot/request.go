package kot

import (
	"context"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

// request is one request on its way from the route to the answer.
type request struct {
	*api
	*route
	w      http.ResponseWriter
	r      *http.Request
	fields fields
}

// options answers OPTIONS, which is never restricted, counted or read.
func (q *request) options() error {
	q.w.Header()["Allow"] = []string{q.allow()}
	return q.reply(htmlType, nil)
}

// run reads the body, counts the request and does its work. What /execute
// would do is looked up before the counting, since a request that is forbidden
// is not counted; one that cannot be read is.
func (q *request) run() error {
	unreadable := q.read()
	if q.path == executePath && q.restricted[q.mapped()] {
		return errRestricted
	}
	if err := q.limit(); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	return q.work(q)
}

// read reads the fields. Only POST has any.
func (q *request) read() error {
	if q.r.Method != http.MethodPost {
		return nil
	}
	body, err := web.ReadBody(q.r, q.MaxBody)
	if err != nil {
		return err
	}
	q.fields, err = parseFields(q.r.Header.Get("Content-Type"), body)
	return err
}

// limit counts the request.
func (q *request) limit() error {
	if q.limiter == nil {
		return nil
	}
	now := q.Now()
	v := q.limiter.Take(q.Proxies.Client(q.r), now)
	if v.OK {
		return nil
	}
	q.w.Header()["Retry-After"] = []string{v.RetryAfter(now)}
	return errs.E(errs.Limited, "%s", web.Limit{N: v.Limit, Window: v.Window}.Normal())
}

// broken gives a mistake of the client the status that the contract fixes for
// all of them but one.
func broken(err error) error { return web.WithStatus(err, http.StatusInternalServerError) }

// refused is broken for what the layer says of a request that can never
// succeed; every other error stays what it is.
func refused(err error) error {
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound) {
		return broken(err)
	}
	return err
}

// required returns a field that must be there. It may be empty.
func (q *request) required(name string) (string, error) {
	value, ok := q.fields.lookup(name)
	if !ok {
		return "", broken(errs.E(errs.Invalid, "field %s is missing", name))
	}
	return value, nil
}

// patience bounds what the request may take but for long lists.
func (q *request) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.r.Context(), q.Wait)
}

// consistency is linearizable unless the client asks for less.
func (q *request) consistency() kv.Consistency {
	return kv.Consistency{Stale: q.r.Header.Get("Covey-Consistency") == "stale"}
}

// update commits what fn does, which may run several times.
func (q *request) update(fn func(*kv.Tx) error) (kv.Result, error) {
	ctx, cancel := q.patience()
	defer cancel()
	return q.DB.Update(ctx, fn)
}

// create makes the database called name, if it is still missing: it is created
// by being named, also by a read.
func (q *request) create(name string) error {
	draft := database.NewPlace()
	_, err := q.update(func(tx *kv.Tx) error {
		_, err := database.Open(tx, name, draft)
		return err
	})
	return err
}
