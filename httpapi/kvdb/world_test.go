package kvdb

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
)

const rootKey = "root-key-of-the-test-cluster"

// world is the API behind a real HTTP server, on a store of its own.
type world struct {
	t     testing.TB
	store *kvtest.Store
	srv   *httptest.Server
}

// settings are what a test changes of a world before it begins.
type settings struct {
	api   Config
	layer bucket.Config
}

func newWorld(t testing.TB, change ...func(*settings)) *world {
	t.Helper()
	w := &world{t: t, store: kvtest.New(t)}
	handler := newHandler(t, w.store, change...)
	w.srv = httptest.NewServer(handler)
	t.Cleanup(w.srv.Close)
	return w
}

func newHandler(t testing.TB, store *kvtest.Store, change ...func(*settings)) http.Handler {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	s := &settings{
		api:   Config{DB: store.DB, Log: slog.New(slog.DiscardHandler)},
		layer: bucket.Config{Root: auth.NewRootKey(rootKey), Keyring: ring},
	}
	for _, f := range change {
		f(s)
	}
	if s.api.Buckets, err = bucket.New(s.layer); err != nil {
		t.Fatal(err)
	}
	return New(s.api)
}

// response is what came back.
type response struct {
	code   int
	body   string
	header http.Header
}

// do sends a request. path goes on the wire as it is; headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) response {
	w.t.Helper()
	req, err := http.NewRequest(method, w.srv.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	raw, query, _ := strings.Cut(path, "?")
	req.URL.Opaque = raw
	if strings.HasPrefix(raw, "//") { // else the client would take it for a host
		req.URL.Opaque = "//" + req.URL.Host + raw
	}
	req.URL.RawQuery = query
	if body == "" {
		req.Body = nil
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := noRedirects.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response{resp.StatusCode, string(p), resp.Header}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// want sends a request and checks status and body.
func (w *world) want(code int, body, method, path, send string, headers ...string) response {
	w.t.Helper()
	a := w.do(method, path, send, headers...)
	if a.code != code || a.body != body {
		w.t.Errorf("%s %s: got %d %q (%s), want %d %q", method, path, a.code, a.body, a.header.Get("Covey-Reason"), code, body)
	}
	return a
}

// refused sends a request and checks that it fails with the plain reason phrase.
func (w *world) refused(code int, method, path, send string, headers ...string) response {
	w.t.Helper()
	phrase := http.StatusText(code)
	if method == http.MethodHead {
		phrase = ""
	}
	a := w.want(code, phrase, method, path, send, headers...)
	if got := a.header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		w.t.Errorf("%s %s: error of type %q", method, path, got)
	}
	if a.header.Get("Www-Authenticate") != "" {
		w.t.Errorf("%s %s: WWW-Authenticate would open a dialog", method, path)
	}
	if a.header.Get("Covey-Reason") == "" {
		w.t.Errorf("%s %s: no reason", method, path)
	}
	return a
}

// bucket creates a bucket; fields are name, value, name, value...
func (w *world) bucket(fields ...string) string {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	a := w.do("POST", "/", form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	if a.code != 200 {
		w.t.Fatalf("create a bucket: %d %q (%s)", a.code, a.body, a.header.Get("Covey-Reason"))
	}
	return a.body
}

func bearer(key string) string { return "Authorization: Bearer " + key }
