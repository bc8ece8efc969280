package query

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestKeywords(t *testing.T) {
	const meta = `,"_parent_id":"x","_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api","_version":0}`
	for _, c := range []struct {
		name, doc, by string
		want          []string
	}{
		{"an empty document has who created it", `{"_id":"56e9d0b301bf3408000006f4"` + meta, "api", []string{"api"}},
		{"split at all that is not alphanumeric", `{"_id":"5","a":"P.O. Box 460"` + meta, "api", []string{"p", "o", "box", "460", "api"}},
		{"each once, in order, in lower case", `{"a":"Red red_BLUE","b":["green","RED"],"c":{"d":"api"}}`, "api", []string{"red", "blue", "green", "api"}},
		{"numbers and booleans, not null", `{"a":1.5,"b":true,"c":null,"d":-7}`, "api", []string{"1", "5", "true", "7", "api"}},
		{"no words of a user's address", `{"a":"x"}`, "jane@example.com", []string{"x"}},
		{"words of all scripts", `{"a":"Ärger, ÉTÉ; 東京 हिन्दी"}`, "", []string{"ärger", "été", "東京", "हिन्दी"}},
		{"metafields only at the top", `{"a":{"_id":"inner"}}`, "", []string{"inner"}},
		{"nothing", `{}`, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, Keywords([]byte(c.doc), c.by)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	doc := []byte(`{"_id":"77","a":"P.O. Box 460","b":{"c":["London Bridge",5]},"_createdby":"api","_version":9}`)
	for text, want := range map[string]bool{
		"": true, "  .,": true, "box": true, "BOX": true, "bo": true, "ox": false, "box london": true, "lon,5": true, "box paris": false,
		"P.O.": true, "api": true, "ap": true, "77": false, "9": false, "bridge london 460 box": true, "boxes": false,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(doc); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
	many := strings.Repeat("a ", 10) // one word
	for i := range maxFilterWords {
		many += " w" + strings.Repeat("x", i)
	}
	for _, text := range []string{many, strings.Repeat("x", maxFilter+1)} {
		if _, err := ParseFilter(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("a filter of %d bytes: %v, want it to be invalid", len(text), err)
		}
	}
	all, err := ParseFilter(many[20:])
	if err != nil {
		t.Fatal(err)
	}
	if all.Match(doc) || !all.Match([]byte(`{"a":"`+many+`"}`)) {
		t.Error("64 words are looked for one by one")
	}
}

// A filter is about keywords: it finds what a prefix search over them finds.
func TestFilterIsAPrefixSearchOverKeywords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(drawDocument(t))
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "AB", "2", "20", "é", "api", "tru"}), 1, 3).Draw(t, "words"), " ")
		want := true
		for _, word := range strings.Fields(text) {
			found := false
			for _, k := range Keywords(doc, "api") {
				found = found || strings.HasPrefix(k, strings.ToLower(word))
			}
			want = want && found
		}
		f, err := ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(doc); got != want {
			t.Fatalf("%q in %s: %v, want %v", text, doc, got, want)
		}
	})
}
