package collection

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestFormulas(t *testing.T) {
	doc := []byte(`{"a":6,"b":4,"t":"x","o":{"c":2.5},"n":null,"big":1e308,"l":[1]}`)
	for _, tt := range []struct{ formula, number, text string }{ // number "": refused
		{"1", "1", `"1"`}, {"a+b*2", "14", `"14"`}, {"(a+b)*2", "20", `"20"`}, {"a-b-1", "1", `"1"`}, {"a/b", "1.5", `"1.5"`}, {"-a + -2", "-8", `"-8"`},
		{"a * o.c", "15", `"15"`}, {" a\n* 2 ", "12", `"12"`}, {"2 - -2", "4", `"4"`}, {"8/2/2", "2", `"2"`}, {".5", "", ""},
		{"t + a", "null", `"x6"`}, {"'a\"' + \"b'\"", "null", `"a\"b'"`}, {"a + b + t", "null", `"10x"`}, {"t + n + 'y'", "null", `"xy"`},
		{"a / 0", "null", `""`}, {"a + n", "null", `""`}, {"a + missing", "null", `""`}, {"t * 2", "null", `""`}, {"l + 1", "null", `""`}, {"a.b", "null", `""`}, {"big*10", "null", `""`},
		{"", "", ""}, {"1 +", "", ""}, {"(1", "", ""}, {"1)", "", ""}, {"1 2", "", ""}, {"'a", "", ""}, {"a..b", "", ""}, {"a.", "", ""}, {"1.2.3", "", ""}, {"a ** b", "", ""},
		{"f(1)", "", ""}, {"a;b", "", ""}, {strings.Repeat("(", 60) + "1" + strings.Repeat(")", 60), "", ""}, {strings.Repeat("-", 60) + "1", "", ""}, {strings.Repeat("1+", 600) + "1", "", ""},
	} {
		f, err := parseFormula(tt.formula)
		if err != nil {
			if tt.number != "" || !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v", tt.formula, err)
			}
			continue
		}
		if number, text := string(f.json(doc, false)), string(f.json(doc, true)); number != tt.number || text != tt.text {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.formula, number, text, tt.number, tt.text)
		}
	}
}

func FuzzFormula(f *testing.F) {
	for _, s := range []string{"a+b*2", "-(a.b / 'x')", "\"y\" + 1.5", "((", "a."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseFormula(text)
		if err != nil {
			return
		}
		for _, asText := range []bool{false, true} {
			if got := p.json([]byte(`{"a":1,"b":"x"}`), asText); !json.Valid(got) {
				t.Errorf("%q: %s", text, got)
			}
		}
	})
}
