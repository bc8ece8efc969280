package kot

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/database"
)

const password = "0123"

// world is the API behind a real HTTP server, on a store of its own.
type world struct {
	t     testing.TB
	store *kvtest.Store
	srv   *httptest.Server
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: kvtest.New(t)}
	w.srv = httptest.NewServer(newHandler(w.store, change...))
	t.Cleanup(w.srv.Close)
	return w
}

func newHandler(store *kvtest.Store, change ...func(*Config)) http.Handler {
	c := Config{DB: store.DB, Codec: database.NewCodec(), Password: auth.NewRootKey(password), Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

// restricted closes endpoints.
func restricted(t testing.TB, text string) func(*Config) {
	t.Helper()
	list, err := ParseRestricted(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Restricted = list }
}

// limited limits endpoints.
func limited(t testing.TB, text string) func(*Config) {
	t.Helper()
	limit, err := ParseRateLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.RateLimit = limit }
}

// response is what came back.
type response struct {
	code   int
	body   string
	header http.Header
}

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	objType  = "Content-Type: application/json"
	admitted = "Authorization: Basic OjAxMjM=" // base64 of ":0123"
)

// do sends a request without a password of its own. path goes on the wire as
// it is; headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) response {
	w.t.Helper()
	req, err := http.NewRequest(method, w.srv.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	raw, query, _ := strings.Cut(path, "?")
	req.URL.Opaque, req.URL.RawQuery = raw, query
	if strings.HasPrefix(raw, "//") { // else the client would take it for a host
		req.URL.Opaque = "//" + req.URL.Host + raw
	}
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
	if got := resp.Header.Get("X-Content-Type-Options") + " " + resp.Header.Get("Cache-Control"); got != "nosniff no-store" {
		w.t.Errorf("%s %s: headers %q", method, path, got)
	}
	return response{resp.StatusCode, string(p), resp.Header}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// form encodes name, value, name, value...
func form(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return v.Encode()
}

// post sends a form as clients do.
func (w *world) post(path string, fields ...string) response {
	w.t.Helper()
	return w.do("POST", path, form(fields...), admitted, formType)
}

// get sends a GET.
func (w *world) get(path string) response {
	w.t.Helper()
	return w.do("GET", path, "", admitted)
}

// says checks a sentence.
func (w *world) says(text string, a response) response {
	w.t.Helper()
	w.is(200, "text/html; charset=utf-8", text, a)
	return a
}

// data checks a JSON answer; text is without the final newline.
func (w *world) data(text string, a response) response {
	w.t.Helper()
	w.is(200, "application/json", text+"\n", a)
	return a
}

// fails checks an error page, and returns the reason that came with it.
func (w *world) fails(code int, a response) string {
	w.t.Helper()
	w.is(code, "text/html; charset=utf-8", a.body, a)
	if !strings.HasPrefix(a.body, fmt.Sprintf("<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n", code, http.StatusText(code))) || !strings.HasSuffix(a.body, "</p>\n") {
		w.t.Errorf("%d: no page: %q", code, a.body)
	}
	reason := a.header.Get("Covey-Reason")
	if reason == "" {
		w.t.Errorf("%d without a reason", code)
	}
	return reason
}

func (w *world) is(code int, contentType, body string, a response) {
	w.t.Helper()
	if a.code != code || a.body != body {
		w.t.Errorf("got %d %.300q (%s), want %d %.300q", a.code, a.body, a.header.Get("Covey-Reason"), code, body)
	}
	if got := a.header.Get("Content-Type"); got != contentType {
		w.t.Errorf("type %q, want %q", got, contentType)
	}
}

// set, read, all and names are the endpoints that most tests use.
func (w *world) set(db, key, value string, more ...string) {
	w.t.Helper()
	w.says("Data set successfully", w.post("/controller/set", append([]string{"database_name", db, "key", key, "value", value}, more...)...))
}

func (w *world) read(want, db, key string, more ...string) {
	w.t.Helper()
	w.data(want, w.post("/controller/get", append([]string{"database_name", db, "key", key}, more...)...))
}

func (w *world) all(want, db string, more ...string) {
	w.t.Helper()
	w.data(want, w.post("/controller/get_all", append([]string{"database_name", db}, more...)...))
}

// names checks which databases are listed.
func (w *world) names(want ...string) {
	w.t.Helper()
	b := []byte{'{'}
	for i, name := range want {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, name), ':'), filePath(name))
	}
	w.data(string(append(b, '}')), w.get("/database/list"))
}
