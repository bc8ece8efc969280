package collection

import (
	"regexp"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestGlobs(t *testing.T) {
	for _, c := range []struct{ glob, yes, no string }{
		{"items", "items items/ /items items/1 items/1/lines items/*", "item items2 items.x x/items ITEMS"},
		{"items/*", "items/1 items/*", "items items/1/lines items/"},
		{"items/**", "items items/1 items/1/lines", "items2 x/items"},
		{"/rest/items", "items items/1", "rest rest/items"},
		{"**", "items items/1/lines x", ""},
		{"*", "items x", "items/1"},
		{"item*", "items item item2", "items/1 x"},
		{"*/1", "items/1", "items/2 items/x/1"},
		{"**/notes", "items/1/notes a/notes", "notes items/notes/1"},
		{"customers/569a2b87566759cf4b984a50/notes", "customers/569a2b87566759cf4b984a50/notes", "customers/569a2b87566759cf4b984a50 customers/1/notes"},
		{"_meta", "_meta", "meta"},
		{"a**/é", "a/é ab/c/é", "b/é"},
	} {
		glob, err := normalizeGlob(c.glob)
		if err != nil {
			t.Fatal(err)
		}
		k := accessRow{KeySpec: KeySpec{Web: true}, paths: []*regexp.Regexp{compileGlob(glob)}}
		for _, path := range strings.Fields(c.yes) {
			if !k.allowsPath(path) {
				t.Errorf("%s does not cover %s", c.glob, path)
			}
		}
		for _, path := range strings.Fields(c.no) {
			if k.allowsPath(path) {
				t.Errorf("%s covers %s", c.glob, path)
			}
		}
	}
}

func TestGlobsThatMatchNothingAreRefused(t *testing.T) {
	for _, glob := range []string{
		"../x", "x/..", "./x", "pub.html", "pub.*", "items/a.b", "**/x.y", "it$ems", "$items", "a b", "bücher", "p!**",
		strings.Repeat("a", 65), "?", "a//b", "/rest/", "#",
	} {
		if got, err := normalizeGlob(glob); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %q, %v", glob, got, err)
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct{ origin, yes, no string }{
		{"https://app.example.com", "https://app.example.com https://app.example.com:443 HTTPS://APP.EXAMPLE.COM", "http://app.example.com https://app.example.com:8443 https://example.com https://app.example.com.evil.example null https://evil.example/https://app.example.com"},
		{"http://localhost:3000", "http://localhost:3000", "http://localhost http://localhost:3001 https://localhost:3000"},
		{"app.example.com", "https://app.example.com http://app.example.com http://app.example.com:8080", "https://x.app.example.com https://app.example.co app.example.com"},
		{"app.example.com:8080", "http://app.example.com:8080 https://app.example.com:8080", "https://app.example.com"},
		{"*.example.com", "https://a.example.com https://a.b.example.com:99", "https://example.com https://badexample.com https://example.com.evil.example"},
		{"https://*.example.com", "https://a.example.com", "http://a.example.com https://a.example.com:99"},
		{"http://[::1]:80", "http://[::1] http://[::1]:80", "http://[::2]"},
		{"https://u@app.example.com", "", ""},
		{"null", "", ""},
		{"NULL/", "", ""},
		{"*", "https://anything.example null", ""},
	} {
		text, err := normalizeOrigin(c.origin)
		if c.yes == "" {
			wantKind(t, err, errs.Invalid)
			continue
		}
		o, err2 := parseOrigin(text)
		if err != nil || err2 != nil {
			t.Errorf("%s: %v %v", c.origin, err, err2)
			continue
		}
		for _, page := range strings.Fields(c.yes) {
			if !o.allows(page) {
				t.Errorf("%s does not stand for %s", c.origin, page)
			}
		}
		for _, page := range strings.Fields(c.no) {
			if o.allows(page) {
				t.Errorf("%s stands for %s", c.origin, page)
			}
		}
	}
}

// FuzzScope: what is accepted stays as it is when it is normalized again, and
// compiles; nothing panics.
func FuzzScope(f *testing.F) {
	f.Add("items/**", "https://*.example.com:8080", "https://a.example.com")
	f.Add("/rest/**/x*", "*", "null")
	f.Add("***", "[::1]", "http://[::1]:80")
	f.Add("\x84", "0", "0") // no UTF-8
	f.Fuzz(func(t *testing.T, glob, domain, page string) {
		if g, err := normalizeGlob(glob); err == nil {
			if again, err := normalizeGlob(g); err != nil || again != g {
				t.Errorf("glob %q: first %q, then %q, %v", glob, g, again, err)
			}
			compileGlob(g).MatchString(page)
		}
		if d, err := normalizeOrigin(domain); err == nil {
			if again, err := normalizeOrigin(d); err != nil || again != d {
				t.Errorf("origin %q: first %q, then %q, %v", domain, d, again, err)
			}
			o, _ := parseOrigin(d)
			o.allows(page)
		}
	})
}
