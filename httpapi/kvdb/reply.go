package kvdb

import (
	"net/http"
	"strconv"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
)

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

// empty writes a success without a body.
func (q *request) empty() error {
	q.w.Header()["Content-Length"] = noContentSize
	q.w.WriteHeader(http.StatusOK)
	return nil
}

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
	h := q.w.Header()
	if res.Version > 0 {
		h["Covey-Version"] = []string{strconv.FormatUint(res.Version, 10)}
	}
	if res.Duplicate {
		h["Covey-Replayed"] = isTrue
	}
}

// tagged is wrote for a change that gave one record a new version.
func (q *request) tagged(res kv.Result) {
	q.wrote(res)
	q.w.Header()["Etag"] = []string{etag(res.Version)}
}
