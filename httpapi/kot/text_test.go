package kot

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coveydb/covey/layer/database"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "abc", "\"\\/", "\b\f\n\r\t\x00\x7f", "é☃😀\u2028\ufffd", "\xff\xed\xa0\x80", "</b>&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendText([]byte("x"), s)[1:]
		for _, c := range got {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("%q is sent as %q, which is not printable ASCII", s, got)
			}
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != validText(s) {
			t.Fatalf("%q is sent as %s, which reads as %q, %v", s, got, back, err)
		}
		// Nothing is escaped that need not be: Python's json.dumps and Go's
		// encoder without HTML escapes agree on ASCII but for DEL.
		if strings.IndexFunc(s, func(r rune) bool { return r >= 0x7f }) < 0 {
			var b strings.Builder
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(s); err != nil || b.String() != string(got)+"\n" {
				t.Fatalf("%q is sent as %s, encoding/json sends %s", s, got, b.String())
			}
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\nb\x1b[31m\u202e\x7f\u0085\xff")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if !utf8.ValidString(got) || strings.IndexFunc(got, hidden) >= 0 {
			t.Fatalf("%q is printed as %q", s, got)
		}
		if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) && got != s {
			t.Fatalf("%q is printed as %q for no reason", s, got)
		}
	})
}

func TestAppendValue(t *testing.T) {
	for want, v := range map[string]database.Value{
		"null": {}, `""`: {Kind: database.String}, `"null"`: {Kind: database.String, Text: "null"}, `[1]`: {Kind: database.JSON, Text: "[1]"},
	} {
		if got := string(appendValue(nil, v)); got != want {
			t.Errorf("%+v is sent as %s, want %s", v, got, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"SET d k v key c", "GET_ALL d", " \u00a0DELETE d", "set", "DATABASE_LIST"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		c, words, ok := parseQuery(query)
		fields := strings.Fields(query)
		if _, known := commands[strings.Join(fields[:min(len(fields), 1)], "")]; known != ok {
			t.Fatalf("%q: command %v, want %v", query, ok, known)
		}
		if !ok {
			if c.endpoint != "" || c.work != nil {
				t.Fatalf("%q: no command, but %q", query, c.endpoint)
			}
			return
		}
		if len(words) != len(fields)-1 {
			t.Fatalf("%q: %d words", query, len(words))
		}
		for i := range words {
			if words[i] == "" || strings.ContainsAny(words[i], " \t\r\n") {
				t.Fatalf("%q: word %q", query, words[i])
			}
		}
	})
}
