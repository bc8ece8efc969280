package kvdb

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Section 4 of the contract: lists.

// filled returns a bucket with the given keys and values.
func (w *world) filled(pairs ...string) string {
	w.t.Helper()
	id := w.bucket()
	for i := 0; i < len(pairs); i += 2 {
		w.want(200, "", "PUT", "/"+id+"/"+url.PathEscape(pairs[i]), pairs[i+1])
	}
	return id
}

func TestListParameters(t *testing.T) {
	w := newWorld(t)
	id := w.filled("hits_2018", "1", "hits_2019", "2", "Hits", "3", "h", "4", "x_hits_2018", "5", "zz", "6")
	for _, tt := range []struct{ query, want string }{
		{"", "Hits h hits_2018 hits_2019 x_hits_2018 zz"},
		{"reverse=true", "zz x_hits_2018 hits_2019 hits_2018 h Hits"},
		{"reverse=false", "Hits h hits_2018 hits_2019 x_hits_2018 zz"},
		{"prefix=hits", "hits_2018 hits_2019"},
		{"prefix=none", ""},
		{"regex=%5Ehits_2018.*", "hits_2018"},
		{"regex=hits_2018", "hits_2018 x_hits_2018"},
		{"regex=.*", "Hits h hits_2018 hits_2019 x_hits_2018 zz"},
		{"regex=", "Hits h hits_2018 hits_2019 x_hits_2018 zz"},
		{"regex=(?i)%5Ehits", "Hits hits_2018 hits_2019"},
		{"regex=8$&prefix=hits", "hits_2018"},
		{"regex=%5Ehits&prefix=x", ""},
		{"limit=2", "Hits h"},
		{"limit=0", ""},
		{"limit=99999999999999999999999", "Hits h hits_2018 hits_2019 x_hits_2018 zz"},
		{"skip=4", "x_hits_2018 zz"},
		{"skip=99999999999999999999999", ""},
		{"skip=1&limit=2", "h hits_2018"},
		{"skip=1&limit=2&reverse=true", "x_hits_2018 hits_2019"},
		{"prefix=h&regex=_&reverse=true&skip=1&limit=1", "hits_2018"},
	} {
		want := strings.Join(strings.Fields(tt.want), "\n")
		if want != "" {
			want += "\n"
		}
		w.want(200, want, "GET", "/"+id+"/?"+tt.query, "")
	}
	for _, bad := range []string{"limit=-1", "limit=x", "limit=", "limit=1.5", "limit=%2B1", "skip=-1", "skip=x", "skip=", "regex=(", "regex=%5C", "regex=" + strings.Repeat("a", 5000)} {
		w.refused(400, "GET", "/"+id+"/?"+bad, "")
	}
}

func TestListCap(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.layer.MaxList = 2 })
	id := w.filled("a", "1", "b", "2", "c", "3")
	w.want(200, "a\nb\n", "GET", "/"+id, "")
	w.want(200, "a\nb\n", "GET", "/"+id+"?limit=50", "")
}

func TestListOrderIsByBytes(t *testing.T) {
	w := newWorld(t)
	id := w.filled("a", "", "a\x00", "", "a/b", "", "ab", "", "B", "", "ü", "", "\xff", "", "10", "", "9", "")
	w.want(200, `["10","9","B","a","a\u0000","a/b","ab","ü","`+"\uFFFD"+`"]`, "GET", "/"+id+"?format=json", "")
}

func TestListFormats(t *testing.T) {
	w := newWorld(t)
	id := w.filled("flavor", "coconut", "html", "<a&b>", "json", `{"a":1}`, "lines", "a\nb", "n\nk", `q"\`, "raw", "\xff\x01", "visitors", "101", "zero", "007")
	path := "/" + id + "/?values=true"
	for _, tt := range []struct{ query, accept, contentType, want string }{
		{"", "", "text/plain; charset=utf-8", "flavor=coconut\nhtml=<a&b>\njson={\"a\":1}\nlines=a\\nb\nn\\nk=q\"\\\nraw=\xff\x01\nvisitors=101\nzero=007\n"},
		{"&format=json", "", "application/json", `[["flavor","coconut"],["html","<a&b>"],["json","{\"a\":1}"],["lines","a\nb"],["n\nk","q\"\\"],["raw","` + "\uFFFD" + `\u0001"],["visitors",101],["zero","007"]]`},
		{"", "application/json", "application/json", `[["flavor","coconut"],["html","<a&b>"],["json","{\"a\":1}"],["lines","a\nb"],["n\nk","q\"\\"],["raw","` + "\uFFFD" + `\u0001"],["visitors",101],["zero","007"]]`},
		{"&format=jsonl", "application/json", "application/x-ndjson", `["flavor","coconut"]` + "\n" + `["html","<a&b>"]` + "\n" + `["json","{\"a\":1}"]` + "\n" + `["lines","a\nb"]` + "\n" + `["n\nk","q\"\\"]` + "\n" + `["raw","` + "\uFFFD" + `\u0001"]` + "\n" + `["visitors",101]` + "\n" + `["zero","007"]` + "\n"},
	} {
		var headers []string
		if tt.accept != "" {
			headers = append(headers, "Accept: "+tt.accept)
		}
		a := w.want(200, tt.want, "GET", path+tt.query, "", headers...)
		if got := a.header.Get("Content-Type"); got != tt.contentType {
			t.Errorf("%s: Content-Type %q, want %q", tt.query, got, tt.contentType)
		}
		h := w.want(200, "", "HEAD", path+tt.query, "", headers...)
		if h.header.Get("Content-Length") != fmt.Sprint(len(tt.want)) || h.header.Get("Content-Type") != tt.contentType {
			t.Errorf("HEAD %s: length %q, type %q", tt.query, h.header.Get("Content-Length"), h.header.Get("Content-Type"))
		}
	}
	w.want(200, "\"n\\nk\"\n", "GET", "/"+id+"/?format=jsonl&prefix=n", "")
	w.want(200, `["n\nk"]`, "GET", "/"+id+"/?format=json&prefix=n", "")
	w.want(200, "n\\nk\n", "GET", "/"+id+"/?format=text&prefix=n", "", "Accept: application/json")
	w.want(200, "n\\nk=q\"\\\n", "GET", "/"+id+"/?values=1&prefix=n", "")
	for format, empty := range map[string]string{"text": "", "json": "[]", "jsonl": ""} {
		w.want(200, empty, "GET", "/"+id+"/?prefix=none&format="+format, "")
		w.want(200, empty, "GET", "/"+id+"/?prefix=none&values=true&format="+format, "")
	}
}

func TestListFormatByAccept(t *testing.T) {
	w := newWorld(t)
	id := w.filled("k", "v")
	const text, json, none = "k\n", `["k"]`, "Not Acceptable"
	for accept, want := range map[string]string{
		"text/plain":                               text,
		"*/*":                                      text,
		"text/*":                                   text,
		"application/json":                         json,
		"application/*":                            json,
		"APPLICATION/JSON; charset=utf-8":          json,
		"application/json, text/plain, */*":        json, // what axios sends
		"text/plain, application/json":             text,
		"text/plain;q=0.5, application/json":       json,
		"application/json;q=0.2, text/plain;q=0.9": text,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": text, // browsers
		"*/*, text/plain;q=0":         json,
		"application/json;q=0":        none,
		"application/json;q=0, */*":   text,
		"text/html":                   none,
		"application/x-ndjson":        none,
		"image/png, application/xml":  none,
		"text/html, application/json": json,
	} {
		code := 200
		if want == none {
			code = 406
		}
		w.want(code, want, "GET", "/"+id, "", "Accept: "+accept)
	}
	w.want(200, text, "GET", "/"+id, "", "Accept: ")
	w.want(200, json, "GET", "/"+id, "", "Accept: application/json;q=0.9", "Accept: text/plain;q=0.3")
	w.refused(406, "GET", "/"+id+"?format=xml", "", "Accept: text/plain")
	w.refused(406, "HEAD", "/"+id+"?format=xml", "")
}

func TestPagingWithSkip(t *testing.T) {
	w := newWorld(t)
	var pairs, want []string
	for i := range 25 {
		k := fmt.Sprintf("k%02d", i)
		pairs, want = append(pairs, k, "v"), append(want, k)
	}
	id := w.filled(pairs...)
	var got []string
	for skip := 0; ; skip += 10 {
		var page []string
		a := w.do("GET", fmt.Sprintf("/%s?limit=10&skip=%d&format=json", id, skip), "")
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < 10 {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLongListsGoOutInPieces(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	value := strings.Repeat("v", 16000)
	var want strings.Builder
	for i := range 200 { // 3.2 MB
		fmt.Fprintf(&want, "k%03d=%s\n", i, value)
		w.want(200, "", "PUT", fmt.Sprintf("/%s/k%03d", id, i), value)
	}
	a := w.do("GET", "/"+id+"?values=true", "")
	if a.code != 200 || a.body != want.String() {
		t.Errorf("got %d and %d bytes, want %d", a.code, len(a.body), want.Len())
	}
	head := w.want(200, "", "HEAD", "/"+id+"?values=true", "")
	for _, h := range []string{"Content-Type", "Covey-Version", "Covey-Consistency"} {
		if a.header.Get(h) == "" || a.header.Get(h) != head.header.Get(h) {
			t.Errorf("%s: GET says %q, HEAD %q", h, a.header.Get(h), head.header.Get(h))
		}
	}
	var list [][2]string
	a = w.do("GET", "/"+id+"?values=true&format=json", "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 200 {
		t.Errorf("%d items, %v", len(list), err)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\r\t\x00\x1f", "é🌱\xff\xc3", "<&>\u2028"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		out := appendString(nil, p)
		var got string
		if err := json.Unmarshal(out, &got); err != nil || !utf8.Valid(out) {
			t.Fatalf("%q gives %q: %v", p, out, err)
		}
		if want := string([]rune(string(p))); got != want {
			t.Fatalf("%q reads back as %q, want %q", p, got, want)
		}
	})
}
