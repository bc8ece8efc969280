package query

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawValue draws JSON whose values often meet: few names, small numbers.
func drawValue(t *rapid.T, depth int) string {
	kinds := []string{"null", "true", "false", "number", "number", "text", "date"}
	if depth > 0 {
		kinds = append(kinds, "array", "array", "object", "object")
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "number":
		return rapid.SampledFrom([]string{"0", "-0", "1", "1.0", "2", "2.5", "-3", "1e1", "10", "9007199254740993"}).Draw(t, "number")
	case "text":
		return rapid.SampledFrom([]string{`""`, `"a"`, `"\u0061"`, `"ab"`, `"b"`, `"é"`, `"\"\\"`, `"1"`}).Draw(t, "text")
	case "date":
		return rapid.SampledFrom([]string{`"2020-01-01"`, `"2020-01-01T00:00:00Z"`, `"2020-01-01T01:00:00.000+01:00"`, `"2021"`}).Draw(t, "date")
	case "array":
		var list []string
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			list = append(list, drawValue(t, depth-1))
		}
		return "[" + strings.Join(list, ",") + "]"
	case "object":
		return drawObject(t, depth-1)
	default:
		return kind
	}
}

func drawObject(t *rapid.T, depth int) string {
	var list []string
	for _, name := range []string{"a", "b", "0"} {
		if rapid.Bool().Draw(t, name) {
			list = append(list, fmt.Sprintf("%q:%s", name, drawValue(t, depth)))
		}
	}
	return "{" + strings.Join(rapid.Permutation(list).Draw(t, "order"), ",") + "}"
}

func drawDocument(t *rapid.T) string {
	return fmt.Sprintf(`{"a":%s,"b":%s,"_created":"2020-01-0%dT00:00:00.%03dZ","_createdby":"api"}`, drawValue(t, 3), drawValue(t, 2),
		rapid.IntRange(1, 3).Draw(t, "day"), rapid.IntRange(0, 2).Draw(t, "ms"))
}

// drawTests draws an object of operators.
func drawTests(t *rapid.T, depth int) string {
	value := func() string {
		if rapid.IntRange(0, 5).Draw(t, "dated") == 0 {
			return `{"$date":"2020-01-02T00:00:00.0005Z"}`
		}
		return drawValue(t, 1)
	}
	var list []string
	ops := []string{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$bt", "$not", "$exists", "$size", "$all", "$type", "$regex", "$mod"}
	if depth > 0 {
		ops = append(ops, "$elemMatch", "$elemMatch", "$elemMatch")
	}
	for _, op := range rapid.SliceOfNDistinct(rapid.SampledFrom(ops), 1, 2, rapid.ID[string]).Draw(t, "operators") {
		arg := value()
		switch op {
		case "$in", "$nin", "$all":
			arg = "[" + value() + "," + value() + "]"
		case "$bt":
			arg = rapid.SampledFrom([]string{`[0,2]`, `["a","b"]`, `[{"$date":"2020-01-01"},{"$date":"2020-01-02"}]`, `[false,true]`}).Draw(t, "between")
		case "$exists":
			arg = "true"
		case "$size":
			arg = "1"
		case "$type":
			arg = `"number"`
		case "$mod":
			arg = "[2,1]"
		case "$regex":
			arg = rapid.SampledFrom([]string{`"^a"`, `"^a."`, `"b$"`, `"^2020"`, `"(?i)^A"`, `"^é?"`}).Draw(t, "pattern")
		case "$not":
			if depth > 0 {
				arg = drawTests(t, depth-1)
			}
		case "$elemMatch":
			if arg = drawTests(t, depth-1); rapid.Bool().Draw(t, "objects") {
				arg = drawQuery(t, depth-1)
			}
		}
		list = append(list, fmt.Sprintf("%q:%s", op, arg))
	}
	return "{" + strings.Join(list, ",") + "}"
}

func drawQuery(t *rapid.T, depth int) string {
	var list []string
	paths := []string{"a", "a", "b", "a.b", "a.0", "a.b.0", "b.a", "a.a.b", "_created", "gone"}
	for _, path := range rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 0, 2, rapid.ID[string]).Draw(t, "paths") {
		arg := drawTests(t, depth)
		if rapid.IntRange(0, 2).Draw(t, "plain") == 0 {
			arg = drawValue(t, 1)
		}
		list = append(list, fmt.Sprintf("%q:%s", path, arg))
	}
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "logical") == 0 {
		op := rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "operator")
		list = append(list, fmt.Sprintf("%q:[%s,%s]", op, drawQuery(t, depth-1), drawQuery(t, depth-1)))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// aimQuery draws a query around values of the document, so that it may match.
func aimQuery(t *rapid.T, doc []byte) string {
	text := rapid.SampledFrom([]string{"a", "b", "a.b", "a.0", "b.a", "_created"}).Draw(t, "path")
	path, err := ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := path.Entries(doc)
	values := append(slices.AppendSeq(entries, path.Values(doc)), Value{})
	if entries[0].Kind() == Array {
		values = slices.AppendSeq(values, entries[0].Elements())
	}
	draw := func() string {
		if v := values[rapid.IntRange(0, len(values)-1).Draw(t, "value")]; v.Exists() {
			return v.Raw()
		}
		return "null"
	}
	x, y := draw(), draw()
	if op := rapid.SampledFrom([]string{"$gt", "$gte", "$lt", "$lte", "$eq"}).Draw(t, "operator"); op != "$eq" {
		x, y = fmt.Sprintf(`{%q:%s}`, op, x), fmt.Sprintf(`{"$lte":%s,"$gte":%s}`, y, x)
	} else {
		y = fmt.Sprintf(`{"$in":[%s,%s]}`, x, y)
	}
	form := rapid.SampledFrom([]string{`{"P":X}`, `{"P":Y}`, `{"P":{"$elemMatch":Y}}`, `{"P":{"$elemMatch":{"$elemMatch":Y}}}`,
		`{"P":{"$elemMatch":{"a":X}}}`, `{"P":{"$elemMatch":{"b":Y}}}`, `{"$and":[{"P":X},{"P":Y}]}`}).Draw(t, "form")
	if text == "_created" {
		return fmt.Sprintf(`{"_created":{%q:{"$date":"2020-01-02T00:00:00.00%dZ"}}}`, rapid.SampledFrom([]string{"$gt", "$lt", "$eq"}).Draw(t, "side"),
			rapid.IntRange(0, 20).Draw(t, "fine"))
	}
	return strings.NewReplacer("P", text, "X", x, "Y", y).Replace(form)
}

func mustParse(t *rapid.T, q string) *Query {
	query, err := Parse([]byte(q), noon)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return query
}

func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v [3]Value
		for i := range v {
			v[i] = Of([]byte(drawValue(t, 3)))
		}
		a, b, c := v[0], v[1], v[2]
		if Compare(a, a) != 0 || Compare(a, b) != -Compare(b, a) {
			t.Fatalf("%s and %s: %d, the other way round %d", a.Raw(), b.Raw(), Compare(a, b), Compare(b, a))
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%s <= %s <= %s, but not the first and the last", a.Raw(), b.Raw(), c.Raw())
		}
		same := string(a.AppendCanonical(nil)) == string(b.AppendCanonical(nil))
		if equal := Equal(a, b); equal != (Compare(a, b) == 0) || equal != same {
			t.Fatalf("%s and %s: equal %v, compare %d, one canonical form %v", a.Raw(), b.Raw(), equal, Compare(a, b), same)
		}
		if Compare(a, b) != 0 && a.Kind() != b.Kind() && (Compare(a, b) < 0) != (a.Kind() < b.Kind()) {
			t.Fatalf("%s and %s are not in the order of their kinds", a.Raw(), b.Raw())
		}
	})
}

// The bytes of a document are read without encoding/json; the two must agree.
func TestValuesAreWhatEncodingJSONReads(t *testing.T) {
	var plain func(v Value) any
	plain = func(v Value) any {
		switch v.Kind() {
		case Number:
			return v.Float()
		case Text:
			return v.Text()
		case Bool:
			return v.True()
		case Array:
			list := []any{}
			for e := range v.Elements() {
				list = append(list, plain(e))
			}
			return list
		case Object:
			members := map[string]any{}
			for name, e := range v.Members() {
				members[name] = plain(e)
			}
			return members
		}
		return nil
	}
	rapid.Check(t, func(t *rapid.T) {
		text := drawValue(t, 4)
		if rapid.Bool().Draw(t, "text") {
			text = string(AppendText(nil, rapid.String().Draw(t, "string")))
		}
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		wide, err := json.MarshalIndent(json.RawMessage(text), " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{text, string(wide), " " + text + " "} {
			if got := plain(Of([]byte(text))); !cmp.Equal(got, want) {
				t.Fatalf("%s reads as %v, want %v", text, got, want)
			}
		}
	})
}

func TestConjunctionIsBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(drawDocument(t))
		q, r := drawQuery(t, 2), drawQuery(t, 2)
		a, b := mustParse(t, q), mustParse(t, r)
		both, either := a.Match(doc) && b.Match(doc), a.Match(doc) || b.Match(doc)
		for text, want := range map[string]bool{`{"$and":[%s,%s]}`: both, `{"$or":[%s,%s]}`: either, `{"$nor":[%s,%s]}`: !either} {
			text = fmt.Sprintf(text, q, r)
			if got := mustParse(t, text).Match(doc); got != want {
				t.Fatalf("%s matches %s: %v, want %v", text, doc, got, want)
			}
		}
		if got := a.With(b).Match(doc); got != both {
			t.Fatalf("%s with %s matches %s: %v, want %v", q, r, doc, got, both)
		}
	})
}

func TestBoundsAreImpliedByMatch(t *testing.T) {
	matched, bounded := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(drawDocument(t))
		for range 10 {
			text := drawQuery(t, 2)
			if rapid.Bool().Draw(t, "aimed") {
				text = aimQuery(t, doc)
			}
			q := mustParse(t, text)
			if !q.Match(doc) {
				continue
			}
			matched++
			for _, b := range q.Bounds() {
				bounded++
				path, err := ParsePath(b.Path)
				if err != nil {
					t.Fatal(err)
				}
				entries, many := path.Entries(doc)
				if !slices.ContainsFunc(entries, b.In) {
					t.Fatalf("%s matches %s, but no entry of %s is in the bound %+v", text, doc, b.Path, b)
				}
				if !many && len(entries) != 1 {
					t.Fatalf("%d entries of %s, and many is not set", len(entries), doc)
				}
			}
		}
	})
	t.Logf("%d matches with %d bounds", matched, bounded)
	if matched == 0 || bounded == 0 {
		t.Errorf("%d matches with %d bounds: nothing was tested", matched, bounded)
	}
}

// A document that is not spread over several index entries stands in the index
// where it sorts.
func TestEntryIsTheSortValueUnlessMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(drawDocument(t))
		for _, text := range []string{"a", "b", "a.b", "a.0", "a.b.0", "gone"} {
			path, err := ParsePath(text)
			if err != nil {
				t.Fatal(err)
			}
			entries, many := path.Entries(doc)
			for _, desc := range []bool{false, true} {
				if v := (SortKey{path, desc}).Value(doc); !many && !Equal(v, entries[0]) {
					t.Fatalf("%s of %s sorts as %s and is indexed as %s", text, doc, v.Raw(), entries[0].Raw())
				}
			}
		}
	})
}
