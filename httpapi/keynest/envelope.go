package keynest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// envelope is the body of an error: what the document says and what clients of
// the real service read besides.
type envelope struct {
	Error     string `json:"error"`
	Details   any    `json:"details"`
	Code      string `json:"code"`
	Timestamp string `json:"timestamp"`
	Detail    string `json:"detail"` // the same as Error

	Conflicts []string `json:"conflicts,omitempty"` // keys that an import found
	Version   uint64   `json:"version,omitempty"`   // that a variable has, where another was expected
	Message   string   `json:"message,omitempty"`   // what to do about them

	References vault.Unresolvable `json:"references,omitempty"` // keys of an export, and why theirs cannot be resolved
}

// codes are the codes of errors by status. Whatever is missing here is a
// SERVER_ERROR.
var codes = map[int]string{
	http.StatusBadRequest:            "VALIDATION_ERROR",
	http.StatusUnauthorized:          "INVALID_TOKEN",
	http.StatusForbidden:             "PERMISSION_DENIED",
	http.StatusNotFound:              "NOT_FOUND",
	http.StatusMethodNotAllowed:      "METHOD_NOT_ALLOWED",
	http.StatusConflict:              "CONFLICT",
	http.StatusRequestEntityTooLarge: "TOO_LARGE",
	http.StatusUnsupportedMediaType:  "UNSUPPORTED_MEDIA_TYPE",
	http.StatusTooManyRequests:       "RATE_LIMITED",
	http.StatusServiceUnavailable:    "UNAVAILABLE",
	http.StatusGatewayTimeout:        "UNKNOWN_OUTCOME",
	http.StatusInsufficientStorage:   "NO_SPACE",
}

// credentialCodes are the codes of those 401 that are not about a token.
var credentialCodes = map[string]string{
	textNoCredential:      "AUTHENTICATION_REQUIRED",
	"Invalid credentials": "INVALID_CREDENTIALS",
	"Account is disabled": "INVALID_CREDENTIALS",
}

// coded is an error whose envelope says more than its kind.
type coded struct {
	error
	code  string // "" = that of the status
	title string // the error's text for clients, "" = its own
}

func (c *coded) Unwrap() error { return c.error }

// titled gives what is wrong with the fields of a request the title that
// clients read.
func titled(err error, title string) error {
	var fields vault.FieldErrors
	if !errors.As(err, &fields) || errs.KindOf(err) != errs.Invalid {
		return err
	}
	return &coded{error: err, title: title}
}

// answer writes an error.
func (a *api) answer(w http.ResponseWriter, r *http.Request, f web.Failure) {
	h := w.Header()
	switch f.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = tokenScheme
	case http.StatusServiceUnavailable:
		h["Retry-After"] = retryAfter
	case http.StatusGatewayTimeout:
		h["Covey-Outcome"] = unknown
	}
	e := envelopeOf(f, r.Method)
	if f.Status == http.StatusTooManyRequests {
		e.limited(h, f)
	}
	e.Timestamp, e.Detail = stamp(a.Now().Unix()), e.Error
	body := encode(e)
	h["Covey-Reason"] = []string{web.HeaderText(f.Reason)}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	delete(h, "Content-Disposition")
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// envelopeOf says what is wrong, but for what the answer itself adds.
func envelopeOf(f web.Failure, method string) envelope {
	e := envelope{Error: f.Reason, Code: codes[f.Status]}
	if e.Code == "" {
		e.Code = "SERVER_ERROR"
	}
	var (
		fields    vault.FieldErrors
		data      vault.DataErrors
		conflicts vault.Conflicts
		broken    vault.Undecryptable
		outdated  vault.Outdated
		dangling  vault.Unresolvable
		own       *coded
	)
	switch {
	case f.Status == http.StatusUnauthorized:
		if code, ok := credentialCodes[f.Reason]; ok {
			e.Code = code
		}
	case f.Status == http.StatusMethodNotAllowed:
		e.Error = fmt.Sprintf("Method %q not allowed.", method)
	case f.Status == http.StatusServiceUnavailable:
		e.Error, e.Details = "Service unavailable", f.Reason
	case f.Status == http.StatusGatewayTimeout:
		e.Error, e.Details = "Unknown outcome", f.Reason
	case errors.As(f.Err, &fields):
		e.Details = map[string][]string(fields)
	case errors.As(f.Err, &data):
		e.Details = []string(data)
	case errors.As(f.Err, &conflicts):
		e.Error, e.Conflicts = "Conflicting variables found", conflicts
		e.Message = "Set overwrite=true to replace existing variables"
	case errors.As(f.Err, &outdated):
		e.Version = outdated.Version
	case errors.As(f.Err, &broken):
		e.Error = broken.Error()
	case errors.As(f.Err, &dangling):
		e.References = dangling
	}
	if errors.As(f.Err, &own) && f.Kind != errs.Internal {
		if own.code != "" {
			e.Code = own.code
		}
		if own.title != "" {
			e.Error = own.title
		}
	}
	return e
}

// limited fills in a refusal by a limit.
func (e *envelope) limited(h http.Header, f web.Failure) {
	wait := "1"
	var over *limited
	if errors.As(f.Err, &over) {
		wait = over.wait
	}
	h["Retry-After"] = []string{wait}
	e.Error, e.Details = "Rate limit exceeded", "Too many requests. Try again in "+wait+" seconds."
}
