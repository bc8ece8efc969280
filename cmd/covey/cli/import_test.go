package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestImportGivesIDsInTheOrderOfTheLines(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	text.WriteString("\ufeff")
	for i := range 1200 {
		fmt.Fprintf(&text, "  {\"n\":%d}\r\n\n", i)
	}
	text.WriteString("{}") // without a line break
	path := file(t, text.String())
	if o := w.asRoot("collection", "import", "items", path); o.code != 0 || o.errOut != "" {
		t.Fatalf("%+v", o)
	}
	got := w.exported("items")
	if len(got) != 1201 {
		t.Fatalf("%d documents", len(got))
	}
	for i, line := range got[:1200] {
		if !strings.HasSuffix(line, fmt.Sprintf(`","n":%d}`, i)) {
			t.Fatalf("document %d is %s", i, line)
		}
	}
	t.Run("and the same file adds nothing", func(t *testing.T) {
		o := w.asRoot("collection", "import", "items", path)
		if o.code != 0 || !strings.Contains(o.errOut, "0 documents imported, 1201 were there already") {
			t.Errorf("%+v", o)
		}
	})
	t.Run("but a file that was changed is another", func(t *testing.T) {
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		if o := w.asRoot("collection", "import", "items", path); o.code != 0 || len(w.exported("items")) != 2402 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("and lines from standard input are new", func(t *testing.T) {
		for range 2 {
			if o := w.runIn(`{"n":1}`, []string{envRootKey + "=" + rootKey}, "collection", "import", "typed", "-"); o.code != 0 {
				t.Errorf("%+v", o)
			}
		}
		if got := w.exported("typed"); len(got) != 2 {
			t.Errorf("%q", got)
		}
	})
}

func TestImportRefusesLinesByNumberAndStoresTheOthers(t *testing.T) {
	w := newWorld(t)
	schema := file(t, `{"fields":[{"name":"n","fieldtype":"number","required":true,"unique":true}]}`)
	w.walk([]step{{0, "", []string{"collection", "schema", "set", "items", schema}}})
	lines := []string{
		`{"n":1}`, `[1]`, `{"n":2`, `{"n":3}`, `{"n":"no number"}`, "{\"n\":4,\"t\":\"\xff\"}", `{"n":5,"n":6}`, `{"_id":"x","n":7}`, `{"n":3,"again":true}`, `{"n":8} {}`, `{"n":9}`,
	}
	o := w.asRoot("collection", "import", "items", file(t, strings.Join(lines, "\n")))
	if o.code != exitPartly || o.out != "" || !strings.Contains(o.errOut, "3 documents imported\n") || !strings.Contains(o.errOut, "3 of 11 done") {
		t.Errorf("%+v", o)
	}
	for _, line := range []int{2, 3, 5, 6, 7, 8, 9, 10} {
		if !strings.Contains(o.errOut, fmt.Sprintf("covey: line %d: ", line)) {
			t.Errorf("line %d is not told: %s", line, o.errOut)
		}
	}
	if got := w.exported("items"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

func TestImportStopsAtWhatIsNoSuchFile(t *testing.T) {
	w := newWorld(t)
	many := strings.Repeat("<html>\n", maxRefusals+10)
	o := w.asRoot("collection", "import", "items", file(t, many))
	if o.code != exitFailed || strings.Count(o.errOut, "covey: line ") != shownRefusals ||
		!strings.Contains(o.errOut, "more than 1000 lines are refused") {
		t.Errorf("%+v", o)
	}
	w.walk([]step{
		{exitFailed, "no such file", []string{"collection", "import", "items", filepath.Join(t.TempDir(), "none")}},
		{exitUsage, "--parallel", []string{"collection", "import", "items", "-", "--parallel", "0"}},
		{exitFailed, "_bad", []string{"collection", "import", "_bad", "-"}},
		{exitNotFound, "nowhere", []string{"collection", "import", "items", "-", "--database", "nowhere"}},
	})
	long := `{"n":1}` + "\n" + `{"t":"` + strings.Repeat("x", maxLine) + `"}`
	if o := w.asRoot("collection", "import", "long", file(t, long)); o.code != exitPartly || !strings.Contains(o.errOut, "line 2 is longer than 12.0 MiB") {
		t.Errorf("%+v", o)
	}
}

func TestImportGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "{\"n\":%d}\n", i)
	}
	path := file(t, text.String())
	direct := w.url
	target, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	broken := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/documents") && calls.Add(1) == 4 {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	defer broken.Close()
	w.url = broken.URL
	w.store.LoseNext(2) // answers that the client asks for again
	o := w.asRoot("collection", "import", "items", path, "--parallel", "1")
	w.url = direct
	if o.code != exitPartly || !strings.Contains(o.errOut, "1500 documents imported; the same command goes on with the rest") {
		t.Fatalf("%+v", o)
	}
	if o := w.asRoot("collection", "import", "items", path); o.code != 0 || !strings.Contains(o.errOut, "1500 documents imported, 1500 were there already") {
		t.Errorf("%+v", o)
	}
	if got := w.exported("items"); len(got) != 3000 {
		t.Errorf("%d documents", len(got))
	}
}
