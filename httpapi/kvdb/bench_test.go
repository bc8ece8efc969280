package kvdb

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/prometheus/client_golang/prometheus"
)

// discard is a ResponseWriter without a connection.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func benchmark(b *testing.B, method, path, body string, prepare ...[3]string) {
	store := kvtest.New(b)
	h := newHandler(b, store, func(s *settings) { s.api.Metrics = web.NewMetrics(prometheus.NewRegistry()) })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	id := w.Body.String()
	for _, p := range prepare {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(p[0], "/"+id+p[1], strings.NewReader(p[2])))
	}
	r := httptest.NewRequest(method, "/"+id+path, nil)
	payload := []byte(body)
	reader := bytes.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		if body != "" {
			reader.Reset(payload)
			r.Body, r.ContentLength = struct {
				*bytes.Reader
				nothing
			}{reader, nothing{}}, int64(len(payload))
		}
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}

type nothing struct{}

func (nothing) Close() error { return nil }

func BenchmarkGet(b *testing.B) {
	benchmark(b, "GET", "/k", "", [3]string{"PUT", "/k", strings.Repeat("v", 128)})
}

func BenchmarkGetStale(b *testing.B) {
	benchmark(b, "GET", "/k?consistency=stale", "", [3]string{"PUT", "/k", strings.Repeat("v", 128)})
}

func BenchmarkSet(b *testing.B) { benchmark(b, "PUT", "/k", strings.Repeat("v", 128)) }

func BenchmarkIncrement(b *testing.B) { benchmark(b, "PATCH", "/k", "+1") }

// BenchmarkRefused is the API without any data: an unknown bucket's id that
// cannot be one.
func BenchmarkRefused(b *testing.B) { benchmark(b, "GET", "/../../nothing", "") }
