package kot

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

// body is a request's body that can be read again.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

func newPost(path string, p []byte) (*http.Request, *body) {
	b := &body{}
	r := httptest.NewRequest("POST", path, nil)
	r.SetBasicAuth("", password)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body, r.ContentLength = b, int64(len(p))
	return r, b
}

func benchmark(b *testing.B, path string, fields ...string) {
	h := newHandler(kvtest.New(b), func(c *Config) { c.Metrics = web.NewMetrics(prometheus.NewRegistry()) })
	first := []byte(form("database_name", "d", "key", "k", "value", strings.Repeat("v", 128)))
	r, in := newPost("/controller/set", first)
	in.Reset(first)
	h.ServeHTTP(discard{http.Header{}}, r)
	payload := []byte(form(fields...))
	r, in = newPost(path, payload)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(payload)
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}

func BenchmarkSet(b *testing.B) {
	benchmark(b, "/controller/set", "database_name", "d", "key", "k", "value", strings.Repeat("v", 128))
}

func BenchmarkSetEncrypted(b *testing.B) {
	benchmark(b, "/controller/set", "database_name", "d", "key", "k", "value", strings.Repeat("v", 128), "encryption_key", "a")
}

func BenchmarkGet(b *testing.B) { benchmark(b, "/controller/get", "database_name", "d", "key", "k") }

func BenchmarkExecuteGet(b *testing.B) { benchmark(b, "/execute", "query", "GET d k") }

// BenchmarkNowhere is the API without any data.
func BenchmarkNowhere(b *testing.B) { benchmark(b, "/nowhere") }

func BenchmarkText(b *testing.B) {
	s := strings.Repeat("gAAAAABk_-", 100)
	b.SetBytes(int64(len(s)))
	var dst []byte
	for b.Loop() {
		dst = appendText(dst[:0], s)
	}
}
