package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What an *Error can be matched against with errors.Is.
var (
	ErrInvalid     = errors.New("the request is invalid")
	ErrDenied      = errors.New("the credential does not allow this")
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("a stated condition does not hold")
	ErrLimited     = errors.New("over the rate limit")
	ErrUnavailable = errors.New("unavailable")     // not applied; a repeat makes sense
	ErrUnknown     = errors.New("outcome unknown") // may have been applied; repeat with the same Idempotency-Key
	ErrOff         = errors.New("the API is off on this node")
)

// Error is a call that did not succeed. It never holds a credential.
type Error struct {
	Op         string        // what was tried, such as "set key hits in bucket b"
	Endpoint   string        // host:port of the last node that was asked
	Status     int           // the HTTP status, 0 when there was no answer
	Reason     string        // the node's own words, may be empty
	RetryAfter time.Duration // how long the node asked to wait, 0 when it did not say
	Unknown    bool          // the change may have been applied
	Err        error         // the cause when there was no answer, or a *NestRefusal

	unreachable bool // no connection came about
	final       bool // another try would not help
	missing     bool // what was asked for is not there, whatever the status
	off         bool // the API as a whole is not served

	leader string // where the leader serves, if that was the reason
}

// Error says what failed, where and why.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.missing, e.off:
		fmt.Fprintf(&b, "%s: %s (says %s)", e.Op, e.Reason, e.Endpoint)
	case e.unreachable:
		fmt.Fprintf(&b, "%s: cannot reach %s (%v)", e.Op, e.Endpoint, innermost(e.Err))
	case e.Status == 0:
		fmt.Fprintf(&b, "%s: no answer from %s (%v)", e.Op, e.Endpoint, innermost(e.Err))
	default:
		fmt.Fprintf(&b, "%s: %s answered %d %s", e.Op, e.Endpoint, e.Status, http.StatusText(e.Status))
		if e.Reason != "" {
			b.WriteString(": " + e.Reason)
		}
	}
	if e.Unknown {
		b.WriteString("; the change may or may not have been applied")
	}
	return b.String()
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// Unreachable reports whether no connection to the endpoint came about.
func (e *Error) Unreachable() bool { return e.unreachable }

// Is matches e against the errors of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnknown:
		return e.Unknown
	case ErrUnavailable:
		return !e.Unknown && (e.Status == 0 || e.retryable())
	case ErrInvalid:
		return e.Status == http.StatusBadRequest || e.Status == http.StatusMethodNotAllowed ||
			e.Status == http.StatusNotAcceptable || e.Status == http.StatusRequestEntityTooLarge
	case ErrDenied:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.missing || e.Status == http.StatusNotFound && !e.off
	case ErrOff:
		return e.off
	case ErrConflict:
		return e.Status == http.StatusPreconditionFailed || e.Status == http.StatusConflict
	case ErrLimited:
		return e.Status == http.StatusTooManyRequests
	}
	return false
}

// retryable reports whether another try, here or elsewhere, may fare better.
func (e *Error) retryable() bool {
	switch e.Status {
	case 0:
		return !e.final
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// judged reports whether the answer is that of a node that has looked at the
// change anew, so that no try before it was applied. A credential and what it
// opens may be gone since, and a limit is looked at first.
func (e *Error) judged() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// fill takes over what a node said about its refusal: KVdb puts the reason into
// a header, the admin API into a JSON body.
func (e *Error) fill(a *answer) {
	e.Status = a.status
	e.Reason = a.header.Get("Covey-Reason")
	if r := nestRefusal(a.body); r != nil {
		e.Reason, e.Err = r.Error(), r
	}
	if e.Reason == "" {
		var doc struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if json.Unmarshal(a.body, &doc) == nil {
			e.Reason = doc.Error.Message
		}
	}
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
}

// innermost returns the last cause: "connection refused" rather than the whole
// path that leads to it.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
