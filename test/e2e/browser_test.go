package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// browserCall is what a page does, and what it sees of it.
type browserCall struct {
	Page    string            `json:"page"`
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body,omitempty"`
}

type browserAnswer struct {
	Status     int    `json:"status"`
	Body       string `json:"body"`
	Pagination string `json:"pagination"`
	Error      string `json:"error"`
}

// browserFolder holds the scripts of testdata/browser with what they need, once
// for all tests.
var browserFolder = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(filepath.Dir(binary), "browser")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "browser"))); err != nil {
		return "", err
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// newBrowser returns the folder to run a script of testdata/browser in, and the
// browser that the script is to drive. It skips the test where there is none, or
// no Node to drive it.
func newBrowser(t *testing.T) (dir, chromium string) {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	_, errNode := exec.LookPath("node")
	_, errNPM := exec.LookPath("npm")
	if chromium == "" || errNode != nil || errNPM != nil {
		t.Skip("needs chromium, node and npm")
	}
	dir, err := browserFolder()
	if err != nil {
		t.Fatal(err)
	}
	return dir, chromium
}

// browse makes calls from pages in a real browser.
func browse(t *testing.T, calls []browserCall) []browserAnswer {
	t.Helper()
	dir, chromium := newBrowser(t)
	input, err := json.Marshal(map[string]any{"browser": chromium, "calls": calls})
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("node", "calls.mjs")
	run.Dir, run.Stdin = dir, bytes.NewReader(input)
	var says bytes.Buffer
	run.Stderr = &says
	out, err := run.Output()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, says.String())
	}
	var answers []browserAnswer
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var a browserAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("the browser printed %q: %v", lines.Text(), err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(calls) {
		t.Fatalf("%d answers to %d calls", len(answers), len(calls))
	}
	return answers
}

// A page of the key's origin works with a web key as far as its scope goes; a
// page of another origin sees nothing.
func TestAPageUsesAWebKey(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(page.Close)
	_, port, err := net.SplitHostPort(page.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	home, foreign := page.URL, "http://localhost:"+port // the same server is another origin by another name

	s := newServer(t, "n1", 1)
	fullKey := strings.Repeat("0123456789abcdef", 3)[:37]
	file := filepath.Join(t.TempDir(), "restdb.key")
	if err := os.WriteFile(file, []byte(fullKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.extra = []string{"--restdb-key-file", file}
	s.start()
	s.waitReady(patience)
	webKey := s.webKey(t, "--path", "items", "--methods", "GET,POST", "--origin", home)
	if code, body, err := s.do("POST", "/rest/items", `{"name":"first"}`, map[string]string{"x-apikey": fullKey, "Content-Type": "application/json"}); code != 201 || err != nil {
		t.Fatalf("create: %d %s %v", code, body, err)
	}

	call := func(from, method, path, key, body string) browserCall {
		return browserCall{Page: from, URL: "http://" + s.http + path, Method: method, Body: body,
			Headers: map[string]string{"x-apikey": key, "content-type": "application/json", "cache-control": "no-cache"}}
	}
	rows := []struct {
		what   string
		call   browserCall
		status int // 0: the browser lets nothing through
		says   string
	}{
		{"read", call(home, "GET", "/rest/items", webKey, ""), 200, `"name":"first"`},
		{"create", call(home, "POST", "/rest/items", webKey, `{"name":"second"}`), 201, `"_created"`},
		{"query", call(home, "GET", `/rest/items?q={"name":"second"}`, webKey, ""), 200, `"name":"second"`},
		{"a path outside the scope", call(home, "GET", "/rest/others", webKey, ""), 403, `"message"`},
		{"a method outside the scope", call(home, "DELETE", "/rest/items/*?q={}", webKey, ""), 403, `"message"`},
		{"an overridden method outside the scope", browserCall{Page: home, URL: "http://" + s.http + "/rest/items/*?q={}", Method: "POST",
			Headers: map[string]string{"x-apikey": webKey, "x-http-method-override": "DELETE"}}, 403, `"message"`},
		{"a wrong key", call(home, "GET", "/rest/items", "0123456789abcdef01234567", ""), 401, `"message"`},
		{"another origin", call(foreign, "GET", "/rest/items", webKey, ""), 0, ""},
		{"another origin that writes", call(foreign, "POST", "/rest/items", webKey, `{"name":"third"}`), 0, ""},
		{"a full-access key in a page", call(home, "GET", "/rest/items", fullKey, ""), 0, ""},
	}
	calls := make([]browserCall, len(rows))
	for i := range rows {
		calls[i] = rows[i].call
	}
	for i, a := range browse(t, calls) {
		tt := rows[i]
		if a.Status != tt.status || !strings.Contains(a.Body, tt.says) || (a.Error == "") != (tt.status != 0) {
			t.Errorf("%s: got %+v, want %d with %q", tt.what, a, tt.status, tt.says)
		}
		if tt.what == "read" && a.Pagination == "" {
			t.Error("the page cannot read X-Pagination")
		}
	}
	if body := s.list(t, fullKey); strings.Contains(body, "third") || !strings.Contains(body, "second") {
		t.Errorf("after all the collection holds %s", body)
	}
}

// webKey creates a web key with the command line.
func (s *server) webKey(t *testing.T, scope ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"restdb", "key", "create", "--web", "-o", "json", "--endpoint", "http://" + s.http}, scope...)...)
	cmd.Env = append(os.Environ(), "COVEY_ROOT_KEY="+rootKey)
	out, err := cmd.Output()
	var key struct {
		Key string `json:"key"`
	}
	if err != nil || json.Unmarshal(out, &key) != nil || key.Key == "" {
		t.Fatalf("key create: %v %s", err, out)
	}
	return key.Key
}

func (s *server) list(t *testing.T, key string) string {
	t.Helper()
	code, body, err := s.do("GET", "/rest/items", "", map[string]string{"x-apikey": key})
	if code != 200 || err != nil {
		t.Fatal(fmt.Errorf("list: %d %s %v", code, body, err))
	}
	return body
}
