package kvdb

import (
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
)

// reply writes a success with a body of known length.
func (q *request) reply(contentType []string, body []byte) error {
	q.w.Header()["Content-Type"] = contentType
	return web.Send(q.w, q.r, http.StatusOK, body)
}

// empty writes a success without a body.
func (q *request) empty() error {
	q.w.Header()["Content-Length"] = noContentSize
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// achieved writes what a read was given.
func (q *request) achieved(info kv.ReadInfo) {
	web.SetRead(q.w.Header(), info.Version, info.Consistency.Stale, info.Staleness)
}

// wrote writes where a change took place in the order of all changes.
func (q *request) wrote(res kv.Result) { web.SetChange(q.w.Header(), res.Version, res.Duplicate) }

// tagged is wrote for a change that gave one record a new version.
func (q *request) tagged(res kv.Result) {
	q.wrote(res)
	q.w.Header()["Etag"] = []string{etag(res.Version)}
}
