package query

import (
	"slices"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func FuzzMatch(f *testing.F) {
	for _, q := range []string{`{"a":1,"b":{"$gt":5}}`, `{"a.b":{"$elemMatch":{"c":{"$in":[1,"x",null]}}}}`, `{"$or":[{"a":{"$not":null}},{"_keywords":"x"}]}`,
		`{"a":{"$regex":"^a","$options":"i"}}`, `{"a":{"$all":[1]},"b":{"$size":1},"c":{"$date":"$moment.add.1.days"}}`, `{"a":{"$type":["int"]},"$distinct":"a"}`} {
		f.Add([]byte(q), []byte(benchDoc))
		f.Add([]byte(q), []byte(`{"a":[{"b":[{"c":"\u0078"}]},`))
	}
	f.Add([]byte(`{}`), []byte(`{"a`))
	f.Fuzz(func(t *testing.T, text, doc []byte) {
		q, err := Parse(text, noon)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%v is no errs.Invalid", err)
			}
			return
		}
		_ = q.Match(doc)
		for _, p := range q.Paths() {
			entries, _ := p.Entries(doc)
			if len(entries) == 0 {
				t.Fatalf("no entry of %s", p)
			}
			if again, err := ParsePath(p.String()); err != nil || again.String() != p.String() {
				// a joined path may be longer than one that a client may write
				if len(p.String()) <= maxPath && len(p.steps) <= maxSteps {
					t.Fatalf("%q reads as %q, %v", p, again, err)
				}
			}
		}
		if _, err := open("doc", doc); err != nil || !q.Match(doc) {
			return
		}
		for _, b := range q.Bounds() {
			path, err := ParsePath(b.Path)
			if err != nil {
				continue
			}
			if entries, _ := path.Entries(doc); !slices.ContainsFunc(entries, b.In) {
				t.Fatalf("%s matches %s, but no entry of %s is in the bound", text, doc, b.Path)
			}
		}
	})
}

func FuzzParseHints(f *testing.F) {
	f.Add([]byte(`{"$orderby":{"a":1},"$max":1,"$fields":{"a.b":1},"$groupby":["$YEAR:d"],"$aggregate":["SUM:a"],"metafields":true}`), []byte(benchDoc))
	f.Fuzz(func(t *testing.T, text, doc []byte) {
		h, err := ParseHints(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%v is no errs.Invalid", err)
			}
			return
		}
		values := SortValues(nil, h.Sort, doc)
		if CompareSorted(h.Sort, values, values) != 0 {
			t.Fatal("a document does not sort as itself")
		}
		if _, err := open("doc", doc); err != nil || h.Fields == nil {
			return
		}
		left := h.Fields.Apply(nil, doc)
		if _, err := open("left", left); err != nil {
			t.Fatalf("%s leaves %s of %s: %v", text, left, doc, err)
		}
		if again := h.Fields.Apply(nil, left); string(again) != string(left) {
			t.Fatalf("%s leaves %s, and of that %s", text, left, again)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, text := range []string{"a.b.0.c", "producer[0].country", "a[[0]]", "[", "a.[1]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		if again, err := ParsePath(p.String()); err != nil || again.String() != p.String() {
			t.Fatalf("%q reads as %q, and that as %q, %v", text, p, again, err)
		}
		for range p.Values([]byte(benchDoc)) {
		}
	})
}

func FuzzParseTime(f *testing.F) {
	f.Add("2020-01-31T10:20:30.123+01:00")
	f.Add("$moment.subtract.30.days")
	f.Fuzz(func(t *testing.T, text string) {
		at, ok := ParseTime(text)
		if resolved, err := resolveDate(text, noon); ok && (err != nil || !resolved.Equal(at)) {
			t.Fatalf("%q is %v, in a query %v, %v", text, at, resolved, err)
		}
	})
}
