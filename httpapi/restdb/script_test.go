package restdb

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/collection"
)

// node runs a script of testdata with Node, and fails with what it says.
func node(t *testing.T, name string, env ...string) {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	run := exec.Command(path, "--experimental-eventsource", "--no-warnings", filepath.Join("testdata", name))
	run.Env = append(os.Environ(), env...)
	var says bytes.Buffer
	run.Stdout, run.Stderr = &says, &says
	if err := run.Run(); err != nil || !strings.HasSuffix(says.String(), "all is well\n") {
		t.Errorf("%v\n%s", err, says.String())
	}
}

// The client for JavaScript does all that it promises, against the real API.
func TestTheScript(t *testing.T) {
	w := newFollowed(t)
	w.schema("letters", `{"fields":[]}`)
	w.schema("items", `{"fields":[
		{"name":"name","fieldtype":"text","required":true},
		{"name":"letters","fieldtype":"collection","collection":"letters","relation":"child"}]}`)
	web := w.key(collection.KeySpec{
		Web: true, Paths: []string{"**"}, Methods: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}, Origins: []string{"*"},
		Realtime: []string{"POST:items", "PUT:items", "DELETE:items"}, Channels: []string{"news"},
	})
	node(t, "client.js", "COVEY_URL="+w.srv.URL, "COVEY_KEY="+web)
}

func TestTheScriptIsForEveryone(t *testing.T) {
	w := newWorld(t)
	w.insert("secretstuff", `{}`)
	a := w.do("GET", "/rest/_jsapi.js", "")
	if a.code != 200 || a.body != scriptText || strings.Contains(a.body, "secretstuff") {
		t.Fatalf("%d %.200s", a.code, a.body)
	}
	if len(a.body) > 12<<10 {
		t.Errorf("%d bytes, want at most 12 KiB", len(a.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "application/javascript; charset=utf-8", "Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	tag := a.header.Get("ETag")
	if again := w.do("GET", "/rest/_jsapi.js?plainjs=true", "", "If-None-Match: "+tag); tag == "" || again.code != http.StatusNotModified || again.body != "" {
		t.Errorf("with the ETag %s: %d %.100s", tag, again.code, again.body)
	}
	if plain := w.do("GET", "/rest/_jsapi.js?plainjs=true", ""); plain.body != a.body {
		t.Error("plainjs=true is another text")
	}
	if head := w.do("HEAD", "/rest/_jsapi.js", ""); head.code != 200 || head.body != "" || head.header.Get("ETag") != tag {
		t.Errorf("HEAD: %d %.100s", head.code, head.body)
	}
}

func TestTheScriptsHelp(t *testing.T) {
	w := newWorld(t)
	w.schema("items", `{"description":"<b>things</b>","fields":[{"name":"a<b","fieldtype":"text","required":true}]}`)
	w.insert("other", `{}`)
	a := w.get("/rest/_jsapi.doc")
	if a.code != 200 || !strings.Contains(a.body, "&lt;b&gt;things") || !strings.Contains(a.body, "a&lt;b") || !strings.Contains(a.body, "<h3>other") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if got := a.header.Get("Content-Security-Policy"); got != "default-src 'none'; sandbox" {
		t.Errorf("policy %q", got)
	}
	w.fails(401, "Unauthorized", w.do("GET", "/rest/_jsapi.doc", ""))
	web := w.key(collection.KeySpec{Web: true, Paths: []string{"_jsapi", "items"}, Methods: []string{"GET"}, Origins: []string{"*"}})
	if a := w.do("GET", "/rest/_jsapi.doc", "", "x-apikey: "+web); a.code != 200 || strings.Contains(a.body, "<h3>other") || !strings.Contains(a.body, "<h3>items") {
		t.Errorf("%d %s", a.code, a.body)
	}
}
