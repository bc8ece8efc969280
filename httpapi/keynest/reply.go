package keynest

import (
	"bytes"
	"encoding/json"

	"github.com/coveydb/covey/httpapi/web"
)

// reply writes a success with a body of JSON.
func (q *request) reply(status int, v any) error { return q.send(status, encode(v)) }

func (q *request) send(status int, body []byte) error {
	q.w.Header()["Content-Type"] = jsonType
	return web.Send(q.w, q.r, status, body)
}

// encoder encodes to b, without the escapes that encoding/json makes for pages:
// these answers are none.
func encoder(b *bytes.Buffer) *json.Encoder {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e
}

// encode returns v, which must be encodable.
func encode(v any) []byte {
	var b bytes.Buffer
	if err := encoder(&b).Encode(v); err != nil {
		panic(err) // texts, numbers, and structs of them
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// orNull returns nil for 0, which stands for a time that has not come.
func orNull(unix int64) *string {
	if unix == 0 {
		return nil
	}
	text := stamp(unix)
	return &text
}

// Answers to everybody, of one form for ever.
const (
	serviceVersion = "1.0.0"
	healthBody     = `{"status":"healthy","service":"KeyNest API","version":"` + serviceVersion + `"}`
	rootBody       = `{"message":"Welcome to KeyNest API","version":"` + serviceVersion + `",` +
		`"endpoints":{"authentication":"/api/auth/","projects":"/api/projects/","health":"/health/","admin":"/admin/"}}`
)

// health serves GET of /health/: that this process answers. Whether there is a
// quorum is asked elsewhere.
func (q *request) health() error { return q.send(200, []byte(healthBody)) }

func (q *request) root() error { return q.send(200, []byte(rootBody)) }
