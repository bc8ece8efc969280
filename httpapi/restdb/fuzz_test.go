package restdb

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
)

var seeds = []string{
	"", "q={}", `q={"a":"x;y"}&h={"$orderby":{"a":+1}}`, `q={"a":{"$date":"$now"}}`, "&&max=1&skip=2&sort=a&dir=-1", "q=%7B%22a%22:1%7D", `q={"a":"50%"}`,
	`metafields=true?q={}`, "q=null", "q=undefined", "q={}&q={}", "groupby=$YEAR:d&aggregate=COUNT:", `h={"$fields":{"a":1}}`, "filter=a+b", `q={"$distinct":"a"}`, "q", "q==", "%",
}

// What a query string asks for is found out without a panic, and a q that is
// there is either understood or an error.
func FuzzParseSpec(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	now := time.UnixMilli(1_700_000_000_000)
	f.Fuzz(func(t *testing.T, raw string) {
		pairs := web.SplitPairs(raw)
		spec, err := parseSpec(pairs, now)
		q, given := pairs.Lookup("q")
		q = strings.TrimSpace(q)
		if err == nil && given && !strings.HasPrefix(q, "{") && q != "" && q != "null" && q != "undefined" {
			t.Errorf("q %q was taken for none", q)
		}
		if err == nil && (spec.Skip < 0 || spec.Max < -1) {
			t.Errorf("skip %d, max %d", spec.Skip, spec.Max)
		}
	})
}

// A deletion is by an object, or an error.
func FuzzDeletion(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	now := time.UnixMilli(1_700_000_000_000)
	f.Fuzz(func(t *testing.T, raw string) {
		pairs := web.SplitPairs(raw)
		spec, err := deletion(pairs, now)
		if err != nil {
			return
		}
		q, given := pairs.Lookup("q")
		if !given || !strings.HasPrefix(strings.TrimSpace(q), "{") {
			t.Errorf("q %q deletes", q)
		}
		if spec.Skip != 0 || spec.Max != -1 || spec.Aggregated() {
			t.Errorf("%+v", spec)
		}
	})
}

// No path is understood in two ways: what a key's scope sees is what is served.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/rest/items", "/rest/items/", "/rest/items/*", "/rest/items.html", "/rest/aa.", "/rest/a%2Fb", "/rest//", "/rest/a/b/c/d/e", "/auth/jwt", "/media/x", "/rest/%zz", "", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		got, ok := parseTarget(escaped)
		if !ok || got.collection == "" {
			return
		}
		parts := []string{got.collection}
		for _, p := range []string{got.id, got.field, got.child} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		if got.path != strings.Join(parts, "/") {
			t.Errorf("%q: scope %q, served %q", escaped, got.path, parts)
		}
		if plain, err := url.PathUnescape(escaped); err == nil && got.suffix == "" && strings.Trim(plain, "/") != "rest/"+got.path {
			t.Errorf("%q: %q", escaped, got.path)
		}
	})
}

// The body of a form becomes one JSON object, or an error.
func FuzzParseContent(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "a=1&a=2&b=%")
	f.Add("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n--B--\r\n")
	f.Add("", `{"a":1}`)
	f.Add("application/x-www-form-urlencoded", "\x00=\"&\\=\u2028")
	f.Fuzz(func(t *testing.T, kind, body string) {
		c, err := parseContent(kind, []byte(body))
		if err != nil || !c.texts {
			return
		}
		names, _, err := membersOf(c.json)
		if err != nil {
			t.Errorf("%q: %s: %v", body, c.json, err)
		}
		seen := map[string]bool{}
		for _, name := range names {
			if seen[name] {
				t.Errorf("%q: two members %q", body, name)
			}
			seen[name] = true
		}
	})
}
