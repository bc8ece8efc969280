package kot

import (
	"net/http"
	"strconv"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
)

// Headers that are the same on many answers. Answers share the slices: nobody
// writes to them.
var (
	noStore      = []string{"no-store"}
	noSniff      = []string{"nosniff"}
	htmlType     = []string{"text/html; charset=utf-8"}
	jsonType     = []string{"application/json"}
	retryAfter   = []string{"1"}
	unknown      = []string{"unknown"}
	linearizable = []string{"linearizable"}
	stale        = []string{"stale"}
	wantPassword = []string{`Basic realm="Login Required"`}
	wantAccess   = []string{`Basic realm="Access Required"`}
)

func setCommonHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
}

// reply writes a success with a body of known length.
func (q *request) reply(contentType []string, body []byte) error {
	h := q.w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	q.w.WriteHeader(http.StatusOK)
	if q.r.Method == http.MethodHead {
		return nil
	}
	_, err := q.w.Write(body)
	return web.ClientGone(err)
}

// sentence answers an action.
func (q *request) sentence(text string) error { return q.reply(htmlType, []byte(text)) }

// json answers data, which is compact already. It may append to text.
func (q *request) json(text []byte) error { return q.reply(jsonType, append(text, '\n')) }

// achieved writes what a read was given.
func (q *request) achieved(info kv.ReadInfo) {
	h := q.w.Header()
	h["Covey-Version"] = []string{strconv.FormatUint(info.Version, 10)}
	if !info.Consistency.Stale {
		h["Covey-Consistency"] = linearizable
		return
	}
	h["Covey-Consistency"] = stale
	if info.Staleness >= 0 {
		h["Covey-Staleness-Ms"] = []string{strconv.FormatInt(info.Staleness.Milliseconds(), 10)}
	}
}

// wrote writes where a change took place in the order of all changes.
func (q *request) wrote(res kv.Result) {
	if res.Version > 0 {
		q.w.Header()["Covey-Version"] = []string{strconv.FormatUint(res.Version, 10)}
	}
}
