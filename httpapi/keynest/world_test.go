package keynest

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/vault"
)

const (
	asJSON   = "Content-Type: application/json"
	asForm   = "Content-Type: application/x-www-form-urlencoded"
	password = "correct-horse-7" // of everybody

	// started is what answers show as the time until a test turns the clock.
	started = "2023-11-14T22:13:20Z"
)

// world is the API behind a real HTTP server, on a store of its own. Limits are
// off. Ids count from 1 for each type of thing, so that tests know them.
type world struct {
	t        testing.TB
	store    *kvtest.Store
	ring     *seal.Keyring
	layer    *vault.Store
	recorder *vault.Recorder
	srv      *httptest.Server
}

// settings are what a test changes of a world before it begins.
type settings struct {
	api   Config
	layer vault.Config
}

func newWorld(t testing.TB, change ...func(*settings)) *world {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: kvtest.New(t), ring: ring}
	w.recorder = vault.NewRecorder(w.store.DB)
	t.Cleanup(w.recorder.Close)
	w.serve(change...)
	return w
}

// serve begins anew on the same store, with other settings.
func (w *world) serve(change ...func(*settings)) {
	w.t.Helper()
	s := &settings{
		api: Config{
			DB: w.store.DB, Recorder: w.recorder, Log: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.UnixMilli(w.store.Now()) },
		},
		layer: vault.Config{Keyring: w.ring, PasswordCost: seal.Cost{Passes: 1, KiB: 64}},
	}
	for _, f := range change {
		f(s)
	}
	w.layer = vault.New(s.layer)
	s.api.Store = w.layer
	w.srv = httptest.NewServer(New(s.api))
	w.t.Cleanup(w.srv.Close)
}

// response is what came back.
type response struct {
	code   int
	body   string
	header http.Header
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// do sends a request and checks what all answers have. path goes on the wire as
// it is; headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.srv.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Opaque, req.URL.RawQuery, _ = strings.Cut(path, "?")
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
	a := response{resp.StatusCode, string(p), resp.Header}
	w.common(method, path, a)
	w.conforms(req, path, body, a)
	return a
}

// common checks the headers of every answer.
func (w *world) common(method, path string, a response) {
	w.t.Helper()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin",
		"X-Xss-Protection": "1; mode=block", "Cross-Origin-Opener-Policy": "same-origin", "Vary": "Cookie, Origin",
	} {
		if got := a.header.Get(name); got != want {
			w.t.Errorf("%s %s: %s is %q, want %q", method, path, name, got, want)
		}
	}
	if got := a.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		w.t.Errorf("%s %s: Cache-Control is %q", method, path, got)
	}
	if method == http.MethodHead && a.body != "" {
		w.t.Errorf("HEAD %s: a body %q", path, a.body)
	}
}

// as is the header of a user.
func as(token string) string { return "Authorization: Token " + token }

// send sends JSON as a user, or as nobody if token is "".
func (w *world) send(token, method, path, body string, headers ...string) response {
	w.t.Helper()
	if token != "" {
		headers = append(headers, as(token))
	}
	if body != "" {
		headers = append(headers, asJSON)
	}
	return w.do(method, path, body, headers...)
}

func (w *world) get(token, path string, headers ...string) response {
	w.t.Helper()
	return w.send(token, "GET", path, "", headers...)
}

// is checks an answer of JSON. Where want has the text "*", anything may stand.
func (w *world) is(code int, want string, a response) response {
	w.t.Helper()
	var expect, got any
	if err := json.Unmarshal([]byte(want), &expect); err != nil {
		w.t.Fatalf("what is wanted is no JSON: %v\n%s", err, want)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.code != code {
		w.t.Errorf("got %d %.600s\nwant %d %.600s", a.code, a.body, code, want)
		return a
	}
	if diff := cmp.Diff(expect, wild(expect, got)); diff != "" {
		w.t.Errorf("%d, the answer differs (-want +got):\n%s", a.code, diff)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		w.t.Errorf("type %q", got)
	}
	return a
}

// wild returns got with "*" wherever want has it.
func wild(want, got any) any {
	switch want := want.(type) {
	case string:
		if want == "*" {
			return want
		}
	case map[string]any:
		if object, ok := got.(map[string]any); ok {
			for name, v := range object {
				if w, ok := want[name]; ok {
					object[name] = wild(w, v)
				}
			}
		}
	case []any:
		if list, ok := got.([]any); ok {
			for i := range min(len(list), len(want)) {
				list[i] = wild(want[i], list[i])
			}
		}
	}
	return got
}

// fails checks an error whose details are null. It is w.faulty without details.
func (w *world) fails(code int, name, text string, a response) response {
	w.t.Helper()
	return w.faulty(code, name, text, "null", a)
}

// faulty checks the whole envelope of an error. details is JSON.
func (w *world) faulty(code int, name, text, details string, a response) response {
	w.t.Helper()
	quoted := string(encode(text))
	return w.is(code, fmt.Sprintf(`{"error":%s,"details":%s,"code":%q,"timestamp":"*","detail":%s}`, quoted, details, name, quoted), a)
}

// invalid checks what is wrong with the fields of a request: texts by field.
func (w *world) invalid(details string, a response) response {
	w.t.Helper()
	return w.faulty(400, "VALIDATION_ERROR", "Validation failed", details, a)
}

// Refusals that every part of the API has.
func (w *world) notFound(a response) response {
	w.t.Helper()
	return w.fails(404, "NOT_FOUND", "Not found.", a)
}

func (w *world) forbidden(a response) response {
	w.t.Helper()
	return w.fails(403, "PERMISSION_DENIED", "You do not have permission to perform this action.", a)
}

// read decodes a good answer into v.
func (w *world) read(code int, a response, v any) {
	w.t.Helper()
	if a.code != code {
		w.t.Fatalf("got %d %.600s, want %d", a.code, a.body, code)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		w.t.Fatalf("%v in %.600s", err, a.body)
	}
}

// made returns the id of what was created.
func (w *world) made(a response) uint64 {
	w.t.Helper()
	var v struct{ ID uint64 }
	w.read(201, a, &v)
	if v.ID == 0 {
		w.t.Fatalf("no id in %s", a.body)
	}
	return v.ID
}

// register makes the user NAME with NAME@example.com and the usual password,
// and returns its token. Its organization is called "NAME's Organization".
func (w *world) register(name string) (token string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":%q}`, name, name, password)
	var v struct{ Token string }
	w.read(201, w.send("", "POST", "/api/auth/register/", body), &v)
	return v.Token
}

// login returns the token of a user.
func (w *world) login(name string) (token string) {
	w.t.Helper()
	var v struct{ Token string }
	w.read(200, w.send("", "POST", "/api/auth/login/", fmt.Sprintf(`{"email":"%s@example.com","password":%q}`, name, password)), &v)
	return v.Token
}

// create posts an object and returns its id.
func (w *world) create(token, path string, object map[string]any) uint64 {
	w.t.Helper()
	return w.made(w.send(token, "POST", path, string(encode(object))))
}

func (w *world) organization(token, name string) uint64 {
	w.t.Helper()
	return w.create(token, "/api/organizations/", map[string]any{"name": name})
}

func (w *world) project(token string, organization uint64, name string) uint64 {
	w.t.Helper()
	return w.create(token, "/api/projects/", map[string]any{"name": name, "organization": organization})
}

func (w *world) environment(token string, project uint64, name string) uint64 {
	w.t.Helper()
	return w.create(token, "/api/environments/", map[string]any{"name": name, "project": project})
}

func (w *world) variable(token string, environment uint64, key, value string) uint64 {
	w.t.Helper()
	return w.create(token, "/api/variables/", map[string]any{"key": key, "value": value, "environment": environment})
}

// webhook makes a webhook and returns the number in its id.
func (w *world) webhook(token string, organization uint64, url string, events ...string) uint64 {
	w.t.Helper()
	var v struct{ ID string }
	w.read(201, w.send(token, "POST", "/api/webhooks/", string(encode(map[string]any{"url": url, "events": events, "organization": organization}))), &v)
	id, ok := parseID(strings.TrimPrefix(v.ID, hookPrefix))
	if !ok || !strings.HasPrefix(v.ID, hookPrefix) {
		w.t.Fatalf("a webhook with the id %q", v.ID)
	}
	return id
}

// invite makes a user who is registered a member.
func (w *world) invite(token string, organization uint64, name, role string) {
	w.t.Helper()
	a := w.send(token, "POST", at("organizations", organization, "invite_member"), fmt.Sprintf(`{"email":"%s@example.com","role":%q}`, name, role))
	if a.code != 201 {
		w.t.Fatalf("invite: %d %s", a.code, a.body)
	}
}

// at is the path of a thing, or of something below it.
func at(kind string, id uint64, below ...string) string {
	path := "/api/" + kind + "/" + strconv.FormatUint(id, 10) + "/"
	for _, part := range below {
		path += part + "/"
	}
	return path
}

// counts reports whether a list has a page of so many of so many.
func (w *world) counts(count, onPage int, a response) {
	w.t.Helper()
	var v struct {
		Count   int
		Results []json.RawMessage
	}
	w.read(200, a, &v)
	if v.Count != count || len(v.Results) != onPage {
		w.t.Errorf("%d of %d, want %d of %d: %.600s", len(v.Results), v.Count, onPage, count, a.body)
	}
}
