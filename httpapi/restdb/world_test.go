package restdb

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
)

// fullKey is the full-access key of the default database.
const fullKey = "0123456789abcdef0123456789abcdef01234"

// withKey and asJSON are headers that most requests have.
const (
	withKey = "x-apikey: " + fullKey
	asJSON  = "Content-Type: application/json"
)

// world is the API behind a real HTTP server, on a store of its own.
type world struct {
	t     testing.TB
	store *kvtest.Store
	layer *collection.Store
	srv   *httptest.Server
}

// settings are what a test changes of a world before it begins.
type settings struct {
	api   Config
	layer collection.Config
}

func newWorld(t testing.TB, change ...func(*settings)) *world {
	t.Helper()
	w := &world{t: t, store: kvtest.New(t)}
	w.serve(change...)
	return w
}

// serve begins anew on the same store, with other settings.
func (w *world) serve(change ...func(*settings)) {
	w.t.Helper()
	ring, err := seal.Create(filepath.Join(w.t.TempDir(), "keyring"))
	if err != nil {
		w.t.Fatal(err)
	}
	s := &settings{
		api:   Config{DB: w.store.DB, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMilli(w.store.Now()) }},
		layer: collection.Config{DefaultKey: auth.NewRootKey(fullKey), Keyring: ring},
	}
	for _, f := range change {
		f(s)
	}
	w.layer = collection.New(s.layer)
	s.api.Store = w.layer
	w.srv = httptest.NewServer(New(s.api))
	w.t.Cleanup(w.srv.Close)
}

// update runs a transaction of the operator.
func (w *world) update(fn func(tx *kv.Tx) error) {
	w.t.Helper()
	if _, err := w.store.DB.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// key creates an access key of the default database.
func (w *world) key(spec collection.KeySpec) string {
	w.t.Helper()
	text := collection.DrawKey(spec.Web)
	w.update(func(tx *kv.Tx) error {
		_, err := w.layer.CreateKey(tx, collection.DefaultDatabase, text, spec)
		return err
	})
	return text
}

// set sets a setting of the default database.
func (w *world) set(name, value string) {
	w.t.Helper()
	c, err := w.layer.NewSetting(collection.DefaultDatabase, name, value)
	if err != nil {
		w.t.Fatal(err)
	}
	w.update(func(tx *kv.Tx) error { return w.layer.Set(tx, c) })
}

// schema sets the schema of a collection.
func (w *world) schema(name, text string) {
	w.t.Helper()
	var s collection.Schema
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		w.t.Fatal(err)
	}
	w.update(func(tx *kv.Tx) error { return w.layer.SetSchema(tx, collection.DefaultDatabase, name, s) })
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
	req.URL.Opaque, req.URL.RawQuery = raw, query
	if body == "" {
		req.Body = nil
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
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
	if got := resp.Header.Get("X-Content-Type-Options") + " " + resp.Header.Get("Cache-Control"); got != "nosniff no-store" && (got == "nosniff " || !cacheable(path, resp.StatusCode)) {
		w.t.Errorf("%s %s: headers %q", method, path, got)
	}
	a := response{resp.StatusCode, string(p), resp.Header}
	w.conforms(req, path, a)
	return a
}

// cacheable reports whether an answer is for everyone, and may be kept.
func cacheable(path string, code int) bool {
	return code < 400 && (strings.HasPrefix(path, "/media/") || strings.HasPrefix(path, "/rest/_jsapi.js"))
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// send sends JSON with the full-access key.
func (w *world) send(method, path, body string, headers ...string) response {
	w.t.Helper()
	return w.do(method, path, body, append(headers, withKey, asJSON)...)
}

// get reads with the full-access key.
func (w *world) get(path string, headers ...string) response {
	w.t.Helper()
	return w.do("GET", path, "", append(headers, withKey)...)
}

// is checks a JSON answer.
func (w *world) is(code int, body string, a response) response {
	w.t.Helper()
	if a.code != code || a.body != body {
		w.t.Errorf("got %d %.600s (%s)\nwant %d %.600s", a.code, a.body, a.header.Get("Covey-Reason"), code, body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		w.t.Errorf("type %q", got)
	}
	return a
}

// fails checks an error's shape, and returns its message.
func (w *world) fails(code int, name string, a response) string {
	w.t.Helper()
	var e struct {
		Message string
		Name    string
		Status  int
	}
	err := json.Unmarshal([]byte(a.body), &e)
	if err != nil || a.code != code || e.Status != code || e.Name != name || e.Message == "" {
		w.t.Errorf("got %d %.300s, want %d %s with a message (%v)", a.code, a.body, code, name, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		w.t.Errorf("error of type %q", got)
	}
	if a.header.Get("X-Pagination") != "" {
		w.t.Error("an error with X-Pagination")
	}
	return e.Message
}

// insert creates a document and returns its id.
func (w *world) insert(coll, body string) string {
	w.t.Helper()
	a := w.send("POST", "/rest/"+coll, body)
	var d struct {
		ID string `json:"_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.code != 201 {
		w.t.Fatalf("insert into %s: %d %s (%v)", coll, a.code, a.body, err)
	}
	return d.ID
}

// people are documents that many tests read, with ids that are known.
const people = `[
	{"_id":"000000000000000000000001","name":"ann","age":31,"town":"oslo","score":10.5},
	{"_id":"000000000000000000000002","name":"bob","age":17,"town":"rome","score":8},
	{"_id":"000000000000000000000003","name":"cid","age":45,"town":"oslo"},
	{"_id":"000000000000000000000004","name":"dee","age":17,"town":"rome","score":3}]`

func (w *world) people() {
	w.t.Helper()
	if a := w.send("POST", "/rest/people", people); a.code != 201 {
		w.t.Fatalf("people: %d %s", a.code, a.body)
	}
}

// names returns the names of the people that a list shows.
func (w *world) names(a response) string {
	w.t.Helper()
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.code != 200 {
		w.t.Errorf("%d %s (%v)", a.code, a.body, err)
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

// left returns the names of the people that are left.
func (w *world) left() string {
	w.t.Helper()
	return w.names(w.get("/rest/people"))
}

// breaking is a store whose commits fail from a certain one on.
type breaking struct {
	*kvtest.Store
	mu sync.Mutex // an upload commits several chunks at once
	at int
}

func (b *breaking) db() *kv.DB { return kv.New(b) }

func (b *breaking) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	b.mu.Lock()
	b.at--
	broken := b.at <= 0
	b.mu.Unlock()
	if broken {
		return command.Result{}, errs.E(errs.Unavailable, "no leader")
	}
	return b.Store.Commit(ctx, cmd)
}
