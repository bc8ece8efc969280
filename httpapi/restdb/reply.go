package restdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// Headers that are the same on many answers, shared like those of cors.go.
var (
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
	retryAfter = []string{"1"}
	unknown    = []string{"unknown"}
	jsonType   = []string{"application/json; charset=utf-8"}
)

func setCommonHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Vary"] = varyOrigin
}

// reply writes a success with a body of JSON.
func (q *request) reply(status int, body []byte) error { return q.send(status, jsonType, body) }

// send writes a success with a body of known length.
func (q *request) send(status int, contentType []string, body []byte) error {
	q.w.Header()["Content-Type"] = contentType
	return web.Send(q.w, q.r, status, body)
}

// achieved writes what a read was given.
func (q *request) achieved(info kv.ReadInfo) {
	web.SetRead(q.w.Header(), info.Version, info.Consistency.Stale, info.Staleness)
}

// wrote writes where a change took place in the order of all changes.
func (q *request) wrote(res kv.Result) { web.SetChange(q.w.Header(), res.Version, res.Duplicate) }

// failureNames are the names of errors by status. Whatever is missing here is a
// ServerError.
var failureNames = map[int]string{
	http.StatusBadRequest:                   "BadRequest",
	http.StatusUnauthorized:                 "Unauthorized",
	http.StatusForbidden:                    "Forbidden",
	http.StatusNotFound:                     "NotFound",
	http.StatusMethodNotAllowed:             "MethodNotAllowed",
	http.StatusNotAcceptable:                "NotAcceptable",
	http.StatusConflict:                     "Conflict",
	http.StatusPreconditionFailed:           "PreconditionFailed",
	http.StatusRequestEntityTooLarge:        "TooLarge",
	http.StatusRequestedRangeNotSatisfiable: "RangeNotSatisfiable",
	http.StatusTooManyRequests:              "TooManyRequests",
	http.StatusServiceUnavailable:           "ServiceUnavailable",
	http.StatusGatewayTimeout:               "UnknownOutcome",
	http.StatusInsufficientStorage:          "NoSpace",
}

// failure is the body of an error. Clients parse it whatever they asked for.
type failure struct {
	Message string `json:"message"`
	Name    string `json:"name"`
	Status  int    `json:"status"`
}

// refusal is the body of an error that the schema of a collection makes.
type refusal struct {
	Name    string                  `json:"name"`
	Message string                  `json:"message"`
	Status  int                     `json:"status"`
	List    []collection.FieldError `json:"list"`
}

// answer writes an error.
func answer(w http.ResponseWriter, r *http.Request, f web.Failure) {
	h := w.Header()
	switch f.Status {
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{f.Allow}
	case http.StatusServiceUnavailable:
		h["Retry-After"] = retryAfter
	case http.StatusGatewayTimeout:
		h["Covey-Outcome"] = unknown
	}
	body := failureBody(f)
	h["Covey-Reason"] = []string{web.HeaderText(f.Reason)}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	delete(h, "X-Pagination")
	delete(h, "Content-Security-Policy")
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func failureBody(f web.Failure) []byte {
	var invalid *collection.ValidationError
	if f.Status == http.StatusBadRequest && errors.As(f.Err, &invalid) {
		return appendJSON(nil, refusal{"ValidationError", "Validation failed", f.Status, invalid.List})
	}
	name, ok := failureNames[f.Status]
	if !ok {
		name = "ServerError"
	}
	return appendJSON(nil, failure{f.Reason, name, f.Status})
}

// appendJSON appends v, which must be encodable, without the escapes that
// encoding/json makes for pages: these answers are none.
func appendJSON(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // texts and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}
