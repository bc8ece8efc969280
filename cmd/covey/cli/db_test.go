package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// db runs a verb of db with the password.
func (w *world) db(args ...string) outcome {
	w.t.Helper()
	return w.runIn("", []string{envKOTPassword + "=" + kotPassword}, append([]string{"db"}, args...)...)
}

func TestDatabasesAreWrittenReadListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(kotPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		code int
		want string // on stdout, or on stderr when the code is not 0
		args []string
	}{
		{0, "", []string{"list"}},
		{0, "", []string{"set", "d", "k", "<é>"}},
		{0, "", []string{"set", "d", "-", "42", "--compress"}},
		{0, "", []string{"set", "", "", ""}},
		{0, "<é>", []string{"get", "d", "k"}},
		{0, "42", []string{"get", "d", "-", "-o", "raw"}},
		{0, "{\n  \"key\": \"-\",\n  \"value\": \"42\"\n}\n", []string{"get", "d", "-", "-o", "json"}},
		{0, "\nd\n", []string{"list"}},
		{0, "[\n  \"\",\n  \"d\"\n]\n", []string{"list", "-o", "json"}},
		{exitNotFound, "there is no such key", []string{"get", "d", "none"}},
		{exitUsage, "needs --yes", []string{"delete", "d", "k"}},
		{0, "", []string{"delete", "d", "k", "-", "--yes"}},
		{exitNotFound, "no such key", []string{"get", "d", "k"}},
		{exitConflict, "database d already", []string{"rename", "d", "d"}},
		{exitConflict, "database d already", []string{"rename", "", "d"}},
		{exitNotFound, "there is no database none", []string{"rename", "none", "new"}},
		{0, "{\"from\":\"d\",\"to\":\"e\"}\n", []string{"rename", "d", "e", "-o", "jsonl"}},
		{0, "", []string{"set", "e", "k", "v"}},
		{exitUsage, "Delete all keys of database e (1 keys, and those that are encrypted) needs --yes", []string{"pop", "e"}},
		{0, "", []string{"pop", "e", "--yes"}},
		{exitNotFound, "there is no database none", []string{"pop", "none", "--yes"}},
		{0, "\ne\n", []string{"list"}},
		{exitUsage, "Delete database e (0 keys, and those that are encrypted) needs --yes", []string{"delete", "e"}},
		{exitUsage, "Delete database none (not found) needs --yes", []string{"delete", "none"}},
		{0, "", []string{"delete", "e", "--yes"}},
		{exitNotFound, "there is no such database", []string{"delete", "e", "--yes"}},
		{0, "\n", []string{"list", "--password-file", file}},
		{exitNotFound, "there is no database none", []string{"dump", "none"}},
		{exitUsage, "--parallel", []string{"load", "d", "-", "--parallel", "0"}},
		{exitFailed, "no such file", []string{"load", "d", "/does/not/exist"}},
	}
	for _, s := range steps {
		o := w.db(s.args...)
		if o.code != s.code || s.code == 0 && (o.out != s.want || o.errOut != "") || !strings.Contains(o.out+o.errOut, s.want) {
			t.Errorf("%q: %+v, want %d and %q", s.args, o, s.code, s.want)
		}
	}
	if o := w.runIn("typed\n", []string{envKOTPassword + "=" + kotPassword}, "db", "set", "d", "k", "-"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	if o := w.db("get", "d", "k"); o.out != "typed\n" {
		t.Errorf("%+v", o)
	}
	if o := w.runIn("a\xffb", []string{envKOTPassword + "=" + kotPassword}, "db", "set", "d", "bin"); o.code != exitUsage || !strings.Contains(o.errOut, "UTF-8") {
		t.Errorf("bytes that are no text: %+v", o)
	}
}

func TestDatabaseRefusalsSayWhatToDo(t *testing.T) {
	w := newWorld(t)
	o := w.run("db", "list")
	if o.code != exitDenied || !strings.Contains(o.errOut, "--password-file or COVEY_KOT_PASSWORD") || strings.Contains(o.errOut, "--key-file") {
		t.Errorf("without a password: %+v", o)
	}
	off := httptest.NewServer(http.NotFoundHandler())
	defer off.Close()
	o = w.db("get", "d", "k", "--endpoint", off.URL)
	if o.code != exitFailed || !strings.Contains(o.errOut, "Start the node with --kot-password-file") {
		t.Errorf("where the API is off: %+v", o)
	}
}

func TestEncryptedValues(t *testing.T) {
	w := newWorld(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("the-encryption-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.db("set", "d", "open", "1")
	if o := w.db("set", "d", "sealed", "2", "--encryption-key-file", key); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	if o := w.db("get", "d", "sealed"); o.code != exitFailed || !strings.Contains(o.errOut, "encrypted") {
		t.Errorf("without the key: %+v", o)
	}
	env := []string{envKOTPassword + "=" + kotPassword, envEncryptionKey + "=the-encryption-key"}
	if o := w.runIn("", env, "db", "get", "d", "sealed"); o.out != "2" || o.errOut != "" {
		t.Errorf("with the key: %+v", o)
	}
	o := w.db("dump", "d")
	if o.out != "{\"open\":\"1\"}\n" || !strings.Contains(o.errOut, "encrypted are left out") {
		t.Errorf("dump: %+v", o)
	}
	if o := w.runIn("", env, "db", "dump", "d"); o.out != "{\"sealed\":\"2\"}\n" {
		t.Errorf("dump with the key: %+v", o)
	}
}

func TestADumpLoadsAgain(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	want := map[string]string{"": "empty", "<é☃😀>": "\u2028\x00\n"}
	for i := range 500 {
		want[fmt.Sprint("key", i)] = strings.Repeat("v", i)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	if err := os.WriteFile(first, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // loading again does no harm
		if o := w.db("load", "d", first); o.code != 0 || o.out+o.errOut != "" {
			t.Fatalf("load: %+v", o)
		}
	}
	if o := w.db("dump", "d", second); o.code != 0 || o.out != "" {
		t.Fatalf("dump: %+v", o)
	}
	text, err = os.ReadFile(second)
	var got map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if info, err := os.Stat(second); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestLoadTakesWhatItCan(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		code int
		says string
		want string // what is in the database afterwards
	}{
		"other values":      {`{"n":1.50,"o":{"a":[ 1 ]},"z":null,"s":"x"}`, 0, "3 values are no strings", `{"n":"1.50","o":"{\"a\":[1]}","s":"x","z":"null"}`},
		"the last one wins": {`{"a":"1","a":"2","a":"3","a":"4"}`, 0, "", `{"a":"4"}`},
		"malformed":         {`{"a":"1","b":"2","c":x}`, exitPartly, "2 done, then: read -: malformed JSON after byte 21", `{"a":"1","b":"2"}`},
		"cut off":           {`{"a":"1","b":"2`, exitPartly, "1 done, then: read -: after byte 13: unexpected EOF", `{"a":"1"}`},
		"no object":         {`["a"]`, exitFailed, "this is no object", `{}`},
		"one is too large":  {`{"a":"1","b":"` + strings.Repeat("x", 17<<20) + `","c":"3"}`, exitPartly, "2 of 3 done", `{"a":"1","c":"3"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			env := []string{envKOTPassword + "=" + kotPassword}
			w.runIn("", env, "db", "set", "d", "k", "v")
			w.runIn("", env, "db", "delete", "d", "k", "--yes")
			o := w.runIn(tt.text, env, "db", "load", "d", "-")
			if o.code != tt.code || !strings.Contains(o.errOut, tt.says) || tt.says == "" && o.errOut != "" {
				t.Errorf("exit code %d, %s; want %d, %s", o.code, o.errOut, tt.code, tt.says)
			}
			if got := w.runIn("", env, "db", "dump", "d").out; got != tt.want+"\n" {
				t.Errorf("the database holds %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAStoppedTransferLeavesNoFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/database/list" {
			io.WriteString(w, `{"d":"x"}`)
			return
		}
		io.WriteString(w, `{"a":"1",`)
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	dir := t.TempDir()
	kept := filepath.Join(dir, "dump")
	if err := os.WriteFile(kept, []byte("the last one"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code := Main(ctx, []string{"db", "dump", "d", kept, "--endpoint", s.URL}, Env{Stdin: &out, Stdout: &out, Stderr: &errOut})
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
	files, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(kept); err != nil || len(files) != 1 || string(text) != "the last one" {
		t.Errorf("%v, %v, %q", files, err, text)
	}
}

func TestTransfersTellHowFarTheyAre(t *testing.T) {
	a := &app{}
	for _, tt := range []struct {
		total, count, bytes int64
		want                string
	}{
		{0, 0, 0, "0 keys, 0 B, 0/s"},
		{0, 50, 1536, "50 keys, 1.5 KiB, 5/s"},
		{3 << 20, 20, 2 << 20, "20 keys, 2.0 MiB, 2/s, 5s left"},
	} {
		m := &meter{a: a, what: "keys", total: tt.total}
		m.add(tt.count, tt.bytes)
		if got := m.line(10 * time.Second); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
