package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/coveydb/covey/internal/errs"
)

// statusClientGone stands in logs and metrics for a client that left before
// its answer; it is never sent.
const statusClientGone = 499

// statusOf is the only place where a kind of failure becomes a status. An API
// whose contract names another status (413 or 400, say) replaces it in its own
// Answer.
var statusOf = map[errs.Kind]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.Invalid:         http.StatusBadRequest,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Forbidden:       http.StatusForbidden,
	errs.NotFound:        http.StatusNotFound,
	errs.Exists:          http.StatusConflict,
	errs.Conflict:        http.StatusPreconditionFailed,
	errs.TooLarge:        http.StatusRequestEntityTooLarge,
	errs.NotAcceptable:   http.StatusNotAcceptable,
	errs.Limited:         http.StatusTooManyRequests,
	errs.Unavailable:     http.StatusServiceUnavailable,
	errs.Unknown:         http.StatusGatewayTimeout,
	errs.NoSpace:         http.StatusInsufficientStorage,
}

// Failure is what an API needs to know about an error to answer it.
type Failure struct {
	Kind      errs.Kind
	Status    int
	Reason    string            // for the client: what and which; never a secret, never the text of an internal error
	Fields    map[string]string // what is wrong with each field; may be nil
	Allow     string            // value of the Allow header when Status is 405
	RequestID string
	Err       error // what failed, for an API whose contract shows more of some errors; never to be shown as it is
}

// methodError is a request with a method that its path does not serve.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "this path serves only " + e.allow }

// WrongMethod returns the error for a method that a path does not serve; allow
// lists the ones it does, as the Allow header wants them.
func WrongMethod(allow string) error { return &methodError{allow} }

// statusError is an error whose status a contract fixes.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// WithStatus returns err with the status that an API's contract fixes for it,
// whatever its kind; kind and text stay. An internal error, and one without a
// kind, keeps its own status: it is a fault of ours under any contract.
func WithStatus(err error, status int) error { return &statusError{err, status} }

// FailureOf classifies err, which must not be nil. The first errs.Error in its
// chain decides; a context that ended without one is a time-out of ours or a
// client that left.
func FailureOf(err error, requestID string) Failure {
	f := Failure{RequestID: requestID, Err: err}
	var known *errs.Error
	var method *methodError
	switch {
	case errors.As(err, &method):
		f.Kind, f.Status, f.Reason, f.Allow = errs.Invalid, http.StatusMethodNotAllowed, method.Error(), method.allow
		return f
	case errors.As(err, &known):
		f.Kind, f.Reason, f.Fields = known.Kind, known.Msg, known.Fields
	case errors.Is(err, context.Canceled):
		f.Kind, f.Status, f.Reason = errs.Unavailable, statusClientGone, "the client left before the answer"
		return f
	case errors.Is(err, context.DeadlineExceeded):
		f.Kind, f.Reason = errs.Unavailable, "no answer in time"
	}
	status, ok := statusOf[f.Kind]
	if !ok || f.Kind == errs.Internal {
		f.Kind, status, f.Fields = errs.Internal, http.StatusInternalServerError, nil
		f.Reason = "internal error, see the log under request " + requestID
	}
	f.Status = status
	var fixed *statusError
	if f.Kind != errs.Internal && errors.As(err, &fixed) {
		f.Status = fixed.status
	}
	return f
}

// maxHeaderReason bounds the text of an error in a header.
const maxHeaderReason = 300

// HeaderText makes s fit for a header: one line of printable ASCII, at most 300
// bytes. Everything else becomes '?'.
func HeaderText(s string) string {
	clean := len(s) <= maxHeaderReason
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f
	}
	if clean {
		return s
	}
	p := []byte(s[:min(len(s), maxHeaderReason)])
	for i, c := range p {
		if c < ' ' || c >= 0x7f {
			p[i] = '?'
		}
	}
	return string(p)
}
