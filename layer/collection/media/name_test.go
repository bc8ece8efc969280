package media

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	for given, want := range map[string]string{
		"a.jpg":                            "a.jpg",
		"../../etc/passwd":                 "passwd",
		`C:\fakepath\höhle.png`:            "höhle.png",
		"a\x00b\r\nc.txt":                  "abc.txt",
		"photo\u202egpj.exe":               "photogpj.exe",
		"bad\xff\xfe.gif":                  "bad.gif",
		"":                                 "file",
		"..":                               "file",
		"/":                                "file",
		" . ":                              "file",
		".profile":                         ".profile",
		strings.Repeat("x", 300) + ".jpeg": strings.Repeat("x", 195) + ".jpeg",
		strings.Repeat("é", 150):           strings.Repeat("é", 100),
	} {
		if got := CleanName(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"a.jpg", "../x", "\u202e\x7f\u2028", strings.Repeat("ü.", 120), "a/ ..", "%2e%2e?#\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, given string) {
		name := CleanName(given)
		bad := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
		if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || strings.Trim(name, ".") == "" {
			t.Errorf("%q became %q", given, name)
		}
		if again := CleanName(name); again != name {
			t.Errorf("%q became %q and then %q", given, name, again)
		}
		if file := drawFile(name); len(file) > maxFile || strings.ContainsAny(file, `/\%?#"`) {
			t.Errorf("%q is asked for by %q", given, file)
		}
	})
}

func TestTypeOf(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	for _, c := range []struct {
		head, declared, want string
		active               bool
	}{
		{png, "text/html", "image/png", false},
		{"<!DOCTYPE html><script>alert(1)</script>", "image/png", "text/html; charset=utf-8", true},
		{`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "image/png", "image/svg+xml", true},
		{`<?xml version="1.0"?><a/>`, "text/plain", "text/xml; charset=utf-8", true},
		{"a plain text", "text/html", "text/plain; charset=utf-8", false},
		{"a plain text", "text/javascript", "text/plain; charset=utf-8", false},
		{"a plain text", "text/markdown", "text/markdown; charset=utf-8", false},
		{"%PDF-1.7\n", "image/png", "application/pdf", true},
		{"\x00\x01\x02\x03", "image/svg+xml", "application/octet-stream", true},
		{"\x00\x01\x02\x03", "image/png", "application/octet-stream", true},
		{"\x00\x01\x02\x03", "audio/x-rare", "audio/x-rare", false},
		{"\x00\x01\x02\x03", "audio/x-rare\r\nX: y", "application/octet-stream", true},
		{"\x00\x01\x02\x03", "application/x-shockwave-flash", "application/octet-stream", true},
		{"", "image/png", "text/plain", false},
	} {
		got := TypeOf([]byte(c.head), c.declared)
		if got != c.want || Active(got) != c.active {
			t.Errorf("%.20q declared as %s is %s (active: %v), want %s (%v)", c.head, c.declared, got, Active(got), c.want, c.active)
		}
	}
}
