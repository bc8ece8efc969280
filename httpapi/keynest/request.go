package keynest

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/netip"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// request is one request on its way from the parsed path to the answer.
type request struct {
	*api
	target
	*route
	w      http.ResponseWriter
	r      *http.Request
	query  web.Pairs
	client netip.Addr
	cred   auth.Credential // of a user or a service token; none where nobody needs to be known
	caller uint64          // see vault.Session.Author, 0 if that is not known before the transaction
	use    vault.Use       // of a service token, see tell
	fields fields          // of the body, see read
	kept   bool            // what a repeat is answered with is kept, see keep
	held   int64           // bytes of clear values that are let in, see admit
}

var errNotFound = errs.E(errs.NotFound, "Not found.")

// identify finds out who asks, as far as the header says and as far as that is
// to be known before the transaction: a credential that is wrong is refused
// also where none is needed, and whom a limit counts must be known.
func (q *request) identify() (err error) {
	if q.cred, err = credential(q.r); err != nil {
		return err
	}
	if q.cred.None() {
		if q.open {
			return nil
		}
		return errNoCredential
	}
	if q.open || q.limiters.user != nil || q.limiters.anonymous != nil {
		q.caller, err = q.author()
	}
	return err
}

// author returns whose token the request has. Any recent state will do for that,
// but one that does not know the token: it may have been given a moment ago,
// through another node.
func (q *request) author() (id uint64, err error) {
	ctx, cancel := q.patience()
	defer cancel()
	find := func(tx *kv.Tx) error {
		s, err := q.enter(tx, q.who())
		if err == nil {
			id = s.Author()
		}
		return err
	}
	if _, err = q.DB.View(ctx, kv.Consistency{Stale: true}, find); errs.Is(err, errs.Unauthenticated) {
		_, err = q.DB.View(ctx, kv.Consistency{}, find)
	}
	return id, err
}

// run calls the one function that serves the request's place and method.
func (q *request) run() error {
	method := q.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	do, ok := q.work[method]
	if !ok {
		return q.refuse(web.WrongMethod(q.allowed[0]))
	}
	if q.noID {
		return q.refuse(errNotFound)
	}
	return do(q)
}

// refuse tells a caller whose token is good that err is wrong with the request.
func (q *request) refuse(err error) error {
	if !q.open && !q.exempt {
		if _, door := q.author(); door != nil {
			return door
		}
	}
	return err
}

// patience bounds how long the request waits for a leader and a quorum.
func (q *request) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.r.Context(), q.Wait)
}

// who is the caller as the layer wants to know it.
func (q *request) who() vault.Client { return vault.Client{IP: q.client.String(), Admit: q.admit} }

// view passes the door, runs fn on a linearizable state, or on a recent one if
// the client asks for that, and returns when the audit log has recorded what was
// read in clear, or tried to be. fn assigns its results whole: it runs again
// where a recent state does not know the token.
func (q *request) view(fn func(*vault.Session) error) error {
	level := kv.Consistency{}
	switch text := q.query.Value("consistency"); text {
	case "", "linearizable":
	case "stale":
		level.Stale = true
	default:
		return q.refuse(errs.E(errs.Invalid, "consistency is neither linearizable nor stale"))
	}
	ctx, cancel := q.patience()
	defer cancel()
	var readings []vault.Reading
	work := func(tx *kv.Tx) error {
		s, err := q.enter(tx, q.who())
		if err != nil {
			return err
		}
		err = q.fields.with(fn(s))
		readings = s.Readings()
		return err
	}
	info, err := q.DB.View(ctx, level, work)
	if level.Stale && errs.Is(err, errs.Unauthenticated) {
		info, err = q.DB.View(ctx, kv.Consistency{}, work) // see author
	}
	if q.r.Method == http.MethodHead {
		readings = nil // it is told no value
	}
	if broken := q.Recorder.Record(ctx, readings); broken != nil {
		return broken
	}
	if err == nil {
		web.SetRead(q.w.Header(), info.Version, info.Consistency.Stale, info.Staleness)
	}
	return err
}

// update passes the door and commits what fn does, which may run several times,
// unless fields of the body are wrong: fn runs nevertheless, since a lack of
// rights comes before that, and since all wrong fields are reported together.
// Under an Idempotency-Key it takes effect once: the Result of a repeat is a
// Duplicate, and what fn has come to is not what was done.
func (q *request) update(fn func(*vault.Session) error) (kv.Result, error) {
	once, isOnce, err := q.once()
	if err != nil {
		return kv.Result{}, q.refuse(err)
	}
	ctx, cancel := q.patience()
	defer cancel()
	who := q.who()
	who.Draw = vault.NewDraw()
	var readings []vault.Reading
	work := func(tx *kv.Tx) error {
		s, err := q.enter(tx, who)
		if err != nil {
			return err
		}
		err = q.fields.with(fn(s))
		readings = s.Readings()
		return err
	}
	var res kv.Result
	q.kept = isOnce
	switch {
	case isOnce:
		res, err = q.Recorder.UpdateOnce(ctx, once, work)
	case q.heavy:
		res, err = q.Recorder.UpdateAlone(ctx, work)
	default:
		res, err = q.Recorder.Update(ctx, work)
	}
	if err != nil {
		return res, err
	}
	web.SetChange(q.w.Header(), res.Version, res.Duplicate)
	if res.Duplicate {
		return res, nil
	}
	return res, q.Recorder.Record(ctx, readings)
}

// keep keeps what a repeat of the request is answered with, if one can be known
// as such.
func (q *request) keep(s *vault.Session, reply []byte) {
	if q.kept {
		s.Tx().Reply(reply)
	}
}

// once returns what makes a repeat of the request known as one, if it has an
// Idempotency-Key. The body counts as it was understood: the boundary of a
// multipart form may be another with each try.
func (q *request) once() (once kv.Once, ok bool, err error) {
	key, since, err := web.IdempotencyKey(q.r)
	if err != nil || key == "" {
		return once, false, err
	}
	id, ok := vault.Request{
		Method: q.r.Method, Target: q.r.URL.EscapedPath() + "?" + q.r.URL.RawQuery, IdempotencyKey: key,
		Credential: q.cred, Body: q.fields.canonical(),
	}.OnceID()
	return kv.Once{ID: command.ID(id), Since: since}, ok, nil
}

// changes tells of many things by their keys.
type changes interface {
	brief() any // the same without the keys
}

// saveMany commits what do does, and answers with what it returns. A repeat of
// the request is answered the same, or if that is too long to be kept, in brief.
func (q *request) saveMany(do func(*vault.Session) (changes, error)) error {
	var body []byte
	res, err := q.update(func(s *vault.Session) error {
		answer, err := do(s)
		if err != nil {
			return err
		}
		body = encode(answer)
		kept := body
		if len(kept) > command.MaxReply {
			kept = encode(answer.brief())
		}
		q.keep(s, kept)
		return nil
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if body = res.Reply; len(body) == 0 {
			return errs.E(errs.Internal, "the first try of a request left no answer")
		}
	}
	return q.send(http.StatusOK, body)
}

// create commits the making of one thing, and answers with it.
func (q *request) create(make save, show func(*vault.Session, uint64) (any, error)) error {
	return q.save(http.StatusCreated, make, show)
}

// save makes or changes one thing, and returns its id and what to show of it.
type save func(*vault.Session) (id uint64, shown any, err error)

// save commits what do does, and answers with the thing. A repeat of the
// request is answered with the thing as it is now: an answer may hold values
// and be long, so what is kept for repeats is the id alone.
func (q *request) save(status int, do save, show func(*vault.Session, uint64) (any, error)) error {
	var shown any
	res, err := q.update(func(s *vault.Session) error {
		id, done, err := do(s)
		if err == nil {
			shown = done
			q.keep(s, binary.BigEndian.AppendUint64(nil, id))
		}
		return err
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if len(res.Reply) != 8 {
			return errs.E(errs.Internal, "the first try of a request left %d bytes", len(res.Reply))
		}
		err = q.view(func(s *vault.Session) error {
			shown, err = show(s, binary.BigEndian.Uint64(res.Reply))
			return err
		})
		if err != nil {
			return err
		}
	}
	return q.reply(status, shown)
}

var errForgotten = errs.E(errs.Exists, "The request was carried out before. Its answer was too long to be kept.")

// change commits a change whose answer holds no value, which is kept for
// repeats of the request if it is short.
func (q *request) change(status int, do func(*vault.Session) (answer any, err error)) error {
	var body []byte
	res, err := q.update(func(s *vault.Session) error {
		answer, err := do(s)
		if err != nil {
			return err
		}
		if body = encode(answer); len(body) <= command.MaxReply {
			q.keep(s, body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if body = res.Reply; len(body) == 0 {
			return errForgotten
		}
	}
	return q.send(status, body)
}

// remove commits a deletion.
func (q *request) remove(do func(*vault.Session) error) error {
	if _, err := q.update(do); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
