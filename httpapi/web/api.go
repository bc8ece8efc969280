package web

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Handler answers a request or returns an error that the API renders. A handler
// writes once, at its end; an error returned after the first byte went out
// breaks the connection, so that the client cannot take half an answer for a
// whole one.
type Handler func(w http.ResponseWriter, r *http.Request) error

// API is one protocol's use of the plumbing. Make it with a literal, then call
// Handler; it must not change once a request is served. Safe for concurrent use.
type API struct {
	Name    string                                                  // the "api" label of metrics and logs
	Answer  func(w http.ResponseWriter, r *http.Request, f Failure) // writes an error as the API's contract says
	Log     *slog.Logger                                            // nil: slog.Default()
	Metrics *Metrics                                                // nil: nothing is counted
	Proxies Proxies                                                 // whose word on client addresses counts
	Uploads *Uploads                                                // bounds large bodies; nil: nothing does
	Access  Access                                                  // which requests are logged
	Words   map[string]bool                                         // segments of paths that are the API's own, not data
	ids     ids
}

// Handler wraps h with everything a request needs: an id, recovery, metrics and
// the access log.
func (a *API) Handler(h Handler) http.Handler {
	a.ids.init()
	if a.Log == nil {
		a.Log = slog.Default()
	}
	series := a.Metrics.series(a.Name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &response{ResponseWriter: w, id: a.ids.next()}
		if a.Access.Slow > 0 && r.ContentLength != 0 && r.Body != nil {
			rec.body.ReadCloser = r.Body
			r.Body = &rec.body
		}
		w.Header()["Covey-Request-Id"] = []string{rec.id}
		series.begin()
		r, upload := a.Uploads.track(r)
		defer upload.release()
		broken := a.serve(h, rec, r)
		took := time.Since(began)
		series.end(r.Method, rec, took)
		rec.waited = upload.waited()
		a.log(rec, r, took)
		if broken {
			panic(http.ErrAbortHandler)
		}
	})
}

// serve runs h and answers its error. It reports whether the connection must
// be broken off because the answer cannot be completed.
func (a *API) serve(h Handler, w *response, r *http.Request) (broken bool) {
	err := a.guard(h, w, r)
	if err == nil {
		if w.status == 0 {
			w.status = http.StatusOK
		}
		return false
	}
	f := FailureOf(err, w.id)
	w.failed = f.Kind.String()
	if f.Kind == errs.Internal && !errors.Is(err, http.ErrAbortHandler) {
		a.Log.LogAttrs(r.Context(), slog.LevelError, "request broke", slog.String("api", a.Name),
			slog.String("request", w.id), slog.String("method", r.Method), slog.String("error", logText(err)))
	}
	switch {
	case w.status != 0 || errors.Is(err, http.ErrAbortHandler):
		if w.status == 0 {
			w.status = statusClientGone
		}
		return true
	case f.Status == statusClientGone:
		w.status = statusClientGone
		return true
	}
	a.Answer(w, r, f)
	return false
}

// guard turns a panic of h into an error that holds the stack.
func (a *API) guard(h Handler, w *response, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = http.ErrAbortHandler
		default:
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return h(w, r)
}

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// logText is the whole chain of err, since Error.Error shows only the message.
func logText(err error) string {
	text := err.Error()
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		text += ": " + cause.Error()
	}
	return text
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	id     string
	failed string // the kind of what went wrong: its text may hold names that are data
	status int
	bytes  int64
	stream bool // it lasts as long as its client likes
	waited time.Duration
	body   timedBody
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection's writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ids draws request ids: a random start for each API of a process, then a
// counter, so that an id is unique in a cluster's logs and costs no entropy.
type ids struct {
	start string
	last  atomic.Uint64
}

func (d *ids) init() {
	if d.start == "" {
		var p [5]byte
		rand.Read(p[:])
		d.start = hex.EncodeToString(p[:]) + "-"
	}
}

func (d *ids) next() string {
	var buf [32]byte
	return string(strconv.AppendUint(append(buf[:0], d.start...), d.last.Add(1), 36))
}
