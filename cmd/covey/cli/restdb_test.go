package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/layer/collection"
)

// asRoot runs a command line with the root key.
func (w *world) asRoot(args ...string) outcome {
	w.t.Helper()
	return w.runIn("", []string{envRootKey + "=" + rootKey, "COVEY_TIMEOUT=30s"}, args...) // a batch takes long with the race detector
}

// step is one command line and what has to come of it.
type step struct {
	code int
	want string // all of stdout, or part of stderr when the code is not 0
	args []string
}

func (w *world) walk(steps []step) {
	w.t.Helper()
	for _, s := range steps {
		o := w.asRoot(s.args...)
		if o.code != s.code || s.code == 0 && (o.out != s.want || o.errOut != "") || s.code != 0 && !strings.Contains(o.errOut, s.want) {
			w.t.Errorf("%q: %+v, want %d and %q", s.args, o, s.code, s.want)
		}
	}
}

// file writes a file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rest asks the RestDB API.
func (w *world) rest(method, path, key, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("x-apikey", key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestDatabasesOfDocumentsAreManaged(t *testing.T) {
	w := newWorld(t)
	w.walk([]step{
		{0, "default\talways there\n", []string{"restdb", "database", "list"}},
		{0, "", []string{"restdb", "database", "create", "shop"}},
		{exitConflict, "shop is there already", []string{"restdb", "database", "create", "shop"}},
		{exitFailed, "1 to 64 of a-z", []string{"restdb", "database", "create", "No"}},
		{0, "", []string{"collection", "create", "items", "--database", "shop"}},
		{exitUsage, "Drop database shop (1 collections, 0 documents) needs --yes", []string{"restdb", "database", "drop", "shop"}},
		{exitUsage, "Drop database none (not found) needs --yes", []string{"restdb", "database", "drop", "none"}},
		{0, "", []string{"restdb", "database", "drop", "shop", "--yes"}},
		{exitNotFound, "shop", []string{"restdb", "database", "drop", "shop", "--yes"}},
		{exitNotFound, "shop", []string{"restdb", "key", "list", "--database", "shop"}},
		{exitFailed, "a name is empty", []string{"restdb", "database", "drop", "", "--yes"}},
	})
	if o := w.run("restdb", "database", "list"); o.code != exitDenied || !strings.Contains(o.errOut, "--root-key-file") {
		t.Errorf("without the root key: %+v", o)
	}
}

func TestAccessKeysAreMadeShownOnceRotatedAndRevoked(t *testing.T) {
	w := newWorld(t)
	key := func(args ...string) (text, id string) {
		t.Helper()
		o := w.asRoot(append([]string{"restdb", "key"}, args...)...)
		text, id, ok := strings.Cut(strings.TrimSpace(o.out), "\t")
		if o.code != 0 || !ok {
			t.Fatalf("%q: %+v", args, o)
		}
		return text, id
	}
	full, fullID := key("create", "--note", "for the shop")
	web, webID := key("create", "--web", "--path", "items", "--methods", "GET,POST", "--origin", "https://a.example", "--expires", "30d", "--realtime", "POST:items", "--channels", "news")
	if len(full) != 37 || len(web) != 24 {
		t.Errorf("keys %q and %q", full, web)
	}
	if code, text := w.rest("POST", "/rest/items", full, `{"a":1}`); code != 201 {
		t.Errorf("the full key: %d %s", code, text)
	}
	if code, text := w.rest("GET", "/rest/items", web, ""); code != 200 {
		t.Errorf("the web key: %d %s", code, text)
	}
	if code, text := w.rest("GET", "/rest/others", web, ""); code != 403 {
		t.Errorf("the web key on another path: %d %s", code, text)
	}
	list := w.asRoot("restdb", "key", "list").out
	for _, want := range []string{fullID + "\tfull\t", "\tnever\tfor the shop\n", webID + "\tweb\titems\tGET,POST\thttps://a.example\t"} {
		if !strings.Contains(list, want) || strings.Contains(list, full) {
			t.Errorf("the list lacks %q: %s", want, list)
		}
	}
	w.store.Advance(31 * 24 * time.Hour)
	if code, _ := w.rest("GET", "/rest/items", web, ""); code != 401 {
		t.Errorf("an expired key: %d", code)
	}
	next, nextID := key("rotate", fullID, "--keep", "1d")
	for _, k := range []string{full, next} {
		if code, _ := w.rest("GET", "/rest/items", k, ""); code != 200 {
			t.Errorf("a rotated key within its time: %d", code)
		}
	}
	w.walk([]step{
		{exitUsage, "Revoke key " + nextID + " of database default needs --yes", []string{"restdb", "key", "revoke", nextID}},
		{exitUsage, "Revoke 2 keys of database default needs --yes", []string{"restdb", "key", "revoke", nextID, webID}},
		{0, "", []string{"restdb", "key", "revoke", nextID, "--yes"}},
		{exitNotFound, nextID, []string{"restdb", "key", "revoke", nextID, "--yes"}},
		{exitUsage, "give --web too", []string{"restdb", "key", "create", "--path", "items"}},
		{exitUsage, "needs --path, --methods and --origin", []string{"restdb", "key", "create", "--web", "--path", "items"}},
		{exitUsage, "--expires", []string{"restdb", "key", "create", "--expires", "soon"}},
		{exitUsage, "--expires", []string{"restdb", "key", "create", "--expires", "-1d"}},
		{exitUsage, "--keep", []string{"restdb", "key", "rotate", fullID, "--keep", "0h"}},
	})
	if code, _ := w.rest("GET", "/rest/items", next, ""); code != 401 {
		t.Errorf("a revoked key: %d", code)
	}
}

func TestLifetimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "1.5d": 36 * time.Hour, "90s": 90 * time.Second} {
		if got, err := parseLifetime("expires", text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "30", "0d", "-1d", "1ms", "1000000000d", "1h30d", "nand", "infd", "-infd", "40000d", "1000000h"} {
		if got, err := parseLifetime("expires", text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestSettingsAndRoles(t *testing.T) {
	w := newWorld(t)
	secret := file(t, "hush-hush-hush-hush\n")
	w.walk([]step{
		{0, "", []string{"restdb", "settings", "set", "jwt.client_id", "me"}},
		{0, "", []string{"restdb", "settings", "set", "jwt.client_secret", "--file", secret}},
		{0, "me\n", []string{"restdb", "settings", "get", "jwt.client_id"}},
		{0, "(set)\n", []string{"restdb", "settings", "get", "jwt.client_secret"}},
		{0, "", []string{"restdb", "settings", "set", "jwt.client_id", "--unset"}},
		{exitNotFound, "jwt.client_id is not set", []string{"restdb", "settings", "get", "jwt.client_id"}},
		{exitFailed, "nonsense", []string{"restdb", "settings", "set", "nonsense", "x"}},
		{exitUsage, "no value", []string{"restdb", "settings", "set", "strict"}},
		{exitUsage, "exclude each other", []string{"restdb", "settings", "set", "strict", "true", "--unset"}},
		{exitUsage, "--unset takes", []string{"restdb", "settings", "set", "strict", ""}},
		{0, "", []string{"collection", "create", "items"}},
		{exitNotFound, "closed to users with a JWT", []string{"restdb", "role", "get", "items"}},
		{0, "", []string{"restdb", "role", "set", "items", "--read", "staff,boss", "--delete", "boss", "--private"}},
		{0, "read\tstaff,boss\ncreate\t\nupdate\t\ndelete\tboss\nprivate\ttrue\n", []string{"restdb", "role", "get", "items"}},
		{exitNotFound, "none", []string{"restdb", "role", "set", "none", "--read", "staff"}},
	})
	if o := w.asRoot("restdb", "settings", "get", "-o", "json"); o.code != 0 || strings.Contains(o.out, "hush") || !strings.Contains(o.out, "jwt.client_secret") {
		t.Errorf("%+v", o)
	}
}

func TestCollectionsAndSchemas(t *testing.T) {
	w := newWorld(t)
	schema := file(t, `{"fields":[{"name":"a","fieldtype":"number","required":true,"unique":false}]}`)
	w.walk([]step{
		{0, "", []string{"collection", "list"}},
		{0, "", []string{"collection", "create", "items"}},
		{exitConflict, "items is there already", []string{"collection", "create", "items"}},
		{0, "", []string{"collection", "schema", "set", "things", schema}},
		{exitUsage, "is not JSON", []string{"collection", "schema", "set", "things", file(t, "{")}},
		{exitFailed, "felder", []string{"collection", "schema", "set", "things", file(t, `{"felder":1}`)}},
		{exitNotFound, "none", []string{"collection", "schema", "get", "none"}},
		{exitUsage, "Drop collection items (0 documents), collection none (not found) needs --yes", []string{"collection", "drop", "items", "none"}},
		{exitPartly, "1 of 2 done", []string{"collection", "drop", "items", "none", "--yes"}},
	})
	var got any
	if err := json.Unmarshal([]byte(w.asRoot("collection", "schema", "get", "things").out), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"fields": []any{map[string]any{"name": "a", "fieldtype": "number", "required": true, "unique": false}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if o := w.asRoot("collection", "list"); !strings.HasPrefix(o.out, "things\t0\t0\t") {
		t.Errorf("%+v", o)
	}
}

func TestIndexesAreCreatedWaitedForAndDropped(t *testing.T) {
	w := newWorld(t)
	lines := file(t, `{"a":1,"b":2}`+"\n"+`{"a":1,"b":3}`+"\n")
	if o := w.asRoot("collection", "import", "items", lines); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	w.walk([]step{
		{0, "", []string{"collection", "index", "create", "items", "a", "--unique", "--name", "u"}},
		{0, "u\ta\ttrue\tbuilding, 0 of 2 documents\n", []string{"collection", "index", "list", "items"}},
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := collection.Builder{DB: w.store.DB, Store: w.docs, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
		b.Run(ctx)
	}()
	w.walk([]step{
		{0, "", []string{"collection", "index", "create", "items", "b", "a", "--name", "both", "--wait"}},
		{exitConflict, "exists", []string{"collection", "index", "create", "items", "c", "--name", "both"}},
		{exitNotFound, "none", []string{"collection", "index", "create", "none", "a"}},
	})
	stop()
	<-done
	o := w.asRoot("collection", "index", "list", "items")
	if !strings.Contains(o.out, "u\ta\ttrue\tfailed: ") || !strings.Contains(o.out, "both\tb,a\tfalse\tready\n") {
		t.Errorf("%+v", o)
	}
	w.walk([]step{
		{exitUsage, "Drop 1 indexes of collection items needs --yes", []string{"collection", "index", "drop", "items", "u"}},
		{0, "", []string{"collection", "index", "drop", "items", "u", "--yes"}},
		{exitNotFound, "u", []string{"collection", "index", "drop", "items", "u", "--yes"}},
	})
}

func TestWaitingForAnIndexThatFailsSaysWhy(t *testing.T) {
	w := newWorld(t)
	if o := w.asRoot("collection", "import", "items", file(t, "{\"a\":1}\n{\"a\":1}\n")); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := collection.Builder{DB: w.store.DB, Store: w.docs, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
		b.Run(ctx)
	}()
	defer func() { stop(); <-done }()
	w.walk([]step{{exitConflict, "cannot be built", []string{"collection", "index", "create", "items", "a", "--unique", "--wait"}}})
}

func TestDropIsAskedForOnATerminal(t *testing.T) {
	w := newWorld(t)
	w.walk([]step{{0, "", []string{"collection", "create", "items"}}})
	var out, errOut bytes.Buffer
	code := Main(t.Context(), []string{"collection", "drop", "items", "--endpoint", w.url}, Env{
		Stdin: strings.NewReader("n\n"), StdinTerminal: true, Stdout: &out, Stderr: &errOut, Environ: []string{envRootKey + "=" + rootKey},
	})
	if want := "Drop collection items (0 documents)? [y/N]"; code != exitFailed || !strings.Contains(errOut.String(), want) {
		t.Errorf("exit code %d, %q, want %q", code, errOut.String(), want)
	}
	if o := w.asRoot("collection", "list"); !strings.Contains(o.out, "items") {
		t.Error("the collection was dropped against the answer")
	}
}

// exported returns the lines of an export.
func (w *world) exported(collection string) []string {
	w.t.Helper()
	o := w.asRoot("collection", "export", collection)
	if o.code != 0 || o.errOut != "" {
		w.t.Fatalf("%+v", o)
	}
	return strings.Split(strings.TrimSuffix(o.out, "\n"), "\n")
}

func TestExportThenImportIsTheSame(t *testing.T) {
	w := newWorld(t)
	var lines []string
	for i := range 2500 { // more than a page
		lines = append(lines, fmt.Sprintf(`{"_id":"%024x","n":%d.50,"t":"<é>","o":{"a":[1,null]}}`, i+1, i))
	}
	text := strings.Join(lines, "\n") + "\n"
	path := file(t, text)
	if o := w.asRoot("collection", "import", "items", path, "--parallel", "3"); o.code != 0 || o.out != "" || o.errOut != "" {
		t.Fatalf("%+v", o)
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")
	w.walk([]step{
		{0, "", []string{"collection", "export", "items", out}},
		{exitNotFound, "none", []string{"collection", "export", "none", out}},
	})
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines, strings.Split(strings.TrimSpace(string(got)), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%.2000s", diff)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	o := w.asRoot("collection", "import", "items", out)
	if o.code != 0 || !strings.Contains(o.errOut, "0 documents imported, 2500 were there already") {
		t.Errorf("the same again: %+v", o)
	}
}
