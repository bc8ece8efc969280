package collection

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestCompact(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct{ in, want string }{ // want "": refused
		{` { "a" : 1 , "b":[ 1 , 2 ] } `, `{"a":1,"b":[1,2]}`},
		{"{}", "{}"}, {"[ ]", "[]"}, {" null\n", "null"}, {"true", "true"}, {`"a b"`, `"a b"`},
		{`{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{`[1.0,1e2,-0,12345678901234567890,0.10]`, `[1.0,1e2,-0,12345678901234567890,0.10]`},
		{`"\u00e9\n\ud83d\ude00\/"`, `"\u00e9\n\ud83d\ude00\/"`},
		{`{"":1}`, `{"":1}`}, {`{"a":{"a":1},"b":{"a":1}}`, `{"a":{"a":1},"b":{"a":1}}`},
		{"\"\u00e9\u2028\"", "\"\u00e9\u2028\""},
		{deep(maxDepth), deep(maxDepth)},
		{deep(maxDepth + 1), ""}, {deep(1_000_000), ""}, {strings.Repeat("[", 1000), ""},
		{`{"a":1,"a":2}`, ""}, {`{"a":1,"\u0061":2}`, ""}, {`[{"x":{"a":1,"b":1,"a":2}}]`, ""},
		{"", ""}, {" ", ""}, {"{", ""}, {"{}x", ""}, {"{} {}", ""}, {`{"a"}`, ""}, {`{"a":}`, ""}, {`{"a":1,}`, ""}, {"[1,]", ""},
		{"[1 2]", ""}, {`{a:1}`, ""}, {`{'a':1}`, ""}, {"nul", ""}, {"tru", ""}, {"NaN", ""}, {"undefined", ""},
		{"01", ""}, {"+1", ""}, {"1.", ""}, {".5", ""}, {"1e", ""}, {"0x10", ""}, {"--1", ""}, {"1e999", ""}, {"-1e999", ""},
		{`"`, ""}, {`"\`, ""}, {`"\x"`, ""}, {`"\u12"`, ""}, {`"\u12g4"`, ""}, {"\"a\nb\"", ""}, {"\"\x00\"", ""},
		{"\"\xff\"", ""}, {"{\"\xc3\":1}", ""}, {"\xef\xbb\xbf{}", ""}, {"[1]//", ""},
	} {
		got, err := compact(nil, []byte(tt.in))
		if string(got) != tt.want || (err == nil) != (tt.want != "") || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%.40q: got %.40q, %v; want %.40q", tt.in, got, err, tt.want)
		}
	}
}

func TestSplitAndJoin(t *testing.T) {
	object := []byte(`{"a":1,"b\"":"x,}","c":[1,{"d":2}],"e":{"f":[]},"g":null,"":""}`)
	if got := joinObject(split(object)); !bytes.Equal(got, object) {
		t.Errorf("got %s", got)
	}
	var names []string
	for m := range pairs(object) {
		names = append(names, m.name())
	}
	if want := []string{"a", `b"`, "c", "e", "g", ""}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	array := []byte(`[1,"a]",[2,[3]],{},{"a":[4]},null]`)
	if got := joinArray(slices.Collect(elements(array))); !bytes.Equal(got, array) {
		t.Errorf("got %s", got)
	}
	if n := len(slices.Collect(elements([]byte("[]")))) + len(split([]byte("{}"))); n != 0 {
		t.Errorf("%d things in nothing", n)
	}
}

// A body of many names must not be slow to check.
func TestManyNames(t *testing.T) {
	p := []byte("{")
	for i := range 200_000 {
		p = append(append(p, `"k`...), strconv.Itoa(i)...)
		p = append(p, `":1,`...)
	}
	if _, err := compact(nil, append(p, `"k7":1}`...)); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
	if _, err := compact(nil, append(p, `"k":1}`...)); err != nil {
		t.Error(err)
	}
}

func FuzzCompact(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c\u0061"}],"d":null}`, `[[],{},"",-1.5e-7]`, `{"a":1,"a":2}`, "\"\\ud800\"", "[", `{"a"`, "1e400"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := compact(nil, in)
		if err != nil {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, in); err != nil {
			t.Fatalf("%q: taken, and yet %v", in, err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%q: got %q, want %q", in, got, want.Bytes())
		}
		if again, err := compact(nil, got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q: again %q, %v", got, again, err)
		}
		if end := skip(got, 0); end != len(got) {
			t.Fatalf("%q: ends at %d", got, end)
		}
		switch got[0] {
		case '{':
			if p := joinObject(split(got)); !bytes.Equal(p, got) {
				t.Fatalf("%q came back as %q", got, p)
			}
		case '[':
			if p := joinArray(slices.Collect(elements(got))); !bytes.Equal(p, got) {
				t.Fatalf("%q came back as %q", got, p)
			}
		}
		if n := depth(got); n > maxDepth {
			t.Fatalf("%q: depth %d", got, n)
		}
	})
}
