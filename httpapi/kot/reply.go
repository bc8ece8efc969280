package kot

import (
	"net/http"

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
	wantPassword = []string{`Basic realm="Login Required"`}
	wantAccess   = []string{`Basic realm="Access Required"`}
)

func setCommonHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
}

// reply writes a success with a body of known length.
func (q *request) reply(contentType []string, body []byte) error {
	q.w.Header()["Content-Type"] = contentType
	return web.Send(q.w, q.r, http.StatusOK, body)
}

// sentence answers an action.
func (q *request) sentence(text string) error { return q.reply(htmlType, []byte(text)) }

// json answers data, which is compact already. It may append to text.
func (q *request) json(text []byte) error { return q.reply(jsonType, append(text, '\n')) }

// achieved writes what a read was given.
func (q *request) achieved(info kv.ReadInfo) {
	web.SetRead(q.w.Header(), info.Version, info.Consistency.Stale, info.Staleness)
}

// wrote writes where a change took place in the order of all changes.
func (q *request) wrote(res kv.Result) { web.SetChange(q.w.Header(), res.Version, res.Duplicate) }
