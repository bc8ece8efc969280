package query

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/google/go-cmp/cmp"
)

func pathOf(t testing.TB, text string) Path {
	t.Helper()
	p, err := ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func raws(values []Value) []string {
	list := []string{}
	for _, v := range values {
		list = append(list, v.Raw())
	}
	return list
}

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a.b.0.c": "a.b.0.c", "producer[0].country": "producer.0.country", "a[1][2]": "a.1.2", "[3]": "3", "a[x]": "a[x]",
		"a[0]b": "a[0]b", "a[": "a[", "a]": "a]", "a[].b": "a[].b", "a[-1]": "a[-1]", "ü ñ": "ü ñ", "x[y[0]": "x[y.0", "_id": "_id",
	} {
		p, err := ParsePath(text)
		if err != nil || p.String() != want {
			t.Errorf("%q reads as %q, %v, want %q", text, p, err, want)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b", "$a", "a.$b", strings.Repeat("a", maxPath+1), strings.Repeat("a.", maxSteps) + "a"} {
		if p, err := ParsePath(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q reads as %q, %v, want it to be invalid", text, p, err)
		}
	}
}

func TestPathReaches(t *testing.T) {
	const doc = `{"a":{"b":1,"n":null},"l":[{"b":1},{"b":[2,3]},{"c":4},5,[{"b":6}]],"e":[],"s":[1,1,2],"m":[[7],[8]],"_createdby":"api"}`
	for _, c := range []struct {
		path          string
		values, index []string
		many          bool
		asc, desc     string
	}{
		{"a", []string{`{"b":1,"n":null}`}, []string{`{"b":1,"n":null}`}, false, `{"b":1,"n":null}`, `{"b":1,"n":null}`},
		{"a.b", []string{"1"}, []string{"1"}, false, "1", "1"},
		{"a.n", []string{"null"}, []string{"null"}, false, "null", "null"},
		{"a.x", []string{""}, []string{""}, false, "", ""},
		{"a.b.c", []string{""}, []string{""}, false, "", ""},
		{"l.b", []string{"1", "[2,3]", ""}, []string{"1", "2", "3", ""}, true, "", "[2,3]"},
		{"l.0.b", []string{"1"}, []string{"1"}, false, "1", "1"},
		{"l.1.b", []string{"[2,3]"}, []string{"2", "3"}, true, "[2,3]", "[2,3]"},
		{"l.1.b.1", []string{"3"}, []string{"3"}, false, "3", "3"},
		{"l.4.b", []string{"6"}, []string{"6"}, true, "6", "6"},
		{"l.9", []string{""}, []string{""}, false, "", ""},
		{"e", []string{"[]"}, []string{"[]"}, false, "[]", "[]"},
		{"e.x", []string{}, []string{""}, false, "", ""},
		{"s", []string{"[1,1,2]"}, []string{"1", "1", "2"}, true, "[1,1,2]", "[1,1,2]"},
		{"s.x", []string{}, []string{""}, false, "", ""},
		{"m.0", []string{"[7]"}, []string{"7"}, true, "[7]", "[7]"},
		{"_keywords", []string{`["1","2","3","4","5","6","7","8","api"]`}, []string{`"1"`, `"2"`, `"3"`, `"4"`, `"5"`, `"6"`, `"7"`, `"8"`, `"api"`}, true,
			`["1","2","3","4","5","6","7","8","api"]`, `["1","2","3","4","5","6","7","8","api"]`},
		{"_tags", []string{`"1 2 3 4 5 6 7 8 api"`}, []string{`"1 2 3 4 5 6 7 8 api"`}, false, `"1 2 3 4 5 6 7 8 api"`, `"1 2 3 4 5 6 7 8 api"`},
	} {
		t.Run(c.path, func(t *testing.T) {
			p := pathOf(t, c.path)
			values := []string{}
			for v := range p.Values([]byte(doc)) {
				values = append(values, v.Raw())
			}
			if d := cmp.Diff(c.values, values); d != "" {
				t.Errorf("values (-want +got)\n%s", d)
			}
			entries, many := p.Entries([]byte(doc))
			if d := cmp.Diff(c.index, raws(entries)); d != "" || many != c.many {
				t.Errorf("many %v, entries (-want +got)\n%s", many, d)
			}
			asc, desc := SortKey{Path: p}.Value([]byte(doc)), SortKey{Path: p, Desc: true}.Value([]byte(doc))
			if asc.Raw() != c.asc || desc.Raw() != c.desc {
				t.Errorf("sorts by %q and %q, want %q and %q", asc.Raw(), desc.Raw(), c.asc, c.desc)
			}
		})
	}
}

func TestValuesStopWhenToldTo(t *testing.T) {
	n := 0
	for range pathOf(t, "a.b").Values([]byte(`{"a":[{"b":1},{"b":2},{"b":3}]}`)) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d values, want 2", n)
	}
}

func TestSortOrderIsTheContracts(t *testing.T) {
	docs := []string{`{}`, `{"v":-1}`, `{"v":2}`, `{"v":"10"}`, `{"v":"9"}`, `{"v":"Z"}`, `{"v":"a"}`, `{"v":{"a":1}}`, `{"v":{"a":2}}`, `{"v":[]}`, `{"v":[9]}`,
		`{"v":false}`, `{"v":true}`}
	keys := []SortKey{{Path: pathOf(t, "v")}, {Path: pathOf(t, "w"), Desc: true}}
	var last []Value
	for i, d := range docs {
		values := SortValues(nil, keys, []byte(d))
		if i > 0 && (CompareSorted(keys, last, values) >= 0 || CompareSorted(keys, values, last) <= 0) {
			t.Errorf("%s is not before %s", docs[i-1], d)
		}
		last = values
	}
	null, missing := SortValues(nil, keys, []byte(`{"v":null,"w":1}`)), SortValues(nil, keys, []byte(`{"w":2}`))
	if CompareSorted(keys, null, missing) <= 0 {
		t.Error("null sorts as missing, and the second key decides, descending")
	}
}

func TestBounds(t *testing.T) {
	for q, want := range map[string]string{
		`{}`:                                     ``,
		`{"a":1,"b.c":"x"}`:                      `a = 1; b.c = "x"`,
		`{"a":null}`:                             `a = null`,
		`{"a":{"$in":[1,"x",null]}}`:             `a = 1 "x" null`,
		`{"a":{"$in":[]}}`:                       `a =`,
		`{"a":{"$gt":1,"$lte":5}}`:               `a (1 ..; a .. 5]`,
		`{"a":{"$bt":["k","m"]}}`:                `a ["k" .. "m"]`,
		`{"a":{"$gte":true}}`:                    `a [true ..`,
		`{"$and":[{"a":1},{"$or":[{"b":2}]}]}`:   `a = 1; b = 2`,
		`{"a":{"$elemMatch":{"$gt":1,"$lt":5}}}`: `a (1 .. 5)`,
		`{"a":{"$elemMatch":{"b":1,"c":{"$gt":2,"$lt":3}}}}`:              `a.b = 1; a.c (2 ..; a.c .. 3)`,
		`{"a":{"$elemMatch":{"0":1}}}`:                                    ``,
		`{"a":{"$elemMatch":{"$elemMatch":{"$gt":1}}}}`:                   ``,
		`{"a":{"$all":[1,2]}}`:                                            `a = 1; a = 2`,
		`{"a":{"$regex":"^ab"}}`:                                          `a ["ab" .. "ac")`,
		`{"a":{"$regex":"^ab","$options":"i"}}`:                           ``,
		`{"a":{"$regex":"^ab","$options":"m"}}`:                           ``,
		`{"a":{"$regex":"ab"}}`:                                           ``,
		`{"a":{"$regex":"^ab|c"}}`:                                        ``,
		`{"a":{"$ne":1},"b":{"$nin":[1]},"c":{"$not":1}}`:                 ``,
		`{"a":{"$not":{"$gt":1}},"$or":[{"a":1},{"b":2}]}`:                ``,
		`{"a":[1],"b":{"$in":[[1]]},"c":{"$gt":[1]}}`:                     ``,
		`{"a":{"$gte":null},"b":{"$gt":{}},"c":{"$size":1}}`:              ``,
		`{"a":{"$gt":{"$date":"2020-01-01"}}}`:                            ``,
		`{"a":{"$date":"2020-01-01"}}`:                                    ``,
		`{"_created":{"$gt":{"$date":"2020-01-01"}}}`:                     `_created ["2020-01-01T00:00:00.000Z" ..`,
		`{"_changed":{"$lt":{"$date":"2020-01-01T00:00:00.0009+01:00"}}}`: `_changed .. "2019-12-31T23:00:00.000Z"]`,
		`{"_created":{"$date":"2020-01-01"}}`:                             `_created ["2020-01-01T00:00:00.000Z" .. "2020-01-01T00:00:00.000Z"]`,
		`{"_created":{"$gt":{"$date":"0000-01-01T00:00+23:00"}}}`:         ``,
		`{"_created.x":{"$gt":{"$date":"2020-01-01"}}}`:                   ``,
	} {
		var list []string
		for _, b := range parsed(t, q).Bounds() {
			list = append(list, showBound(b))
		}
		if got := strings.Join(list, "; "); got != want {
			t.Errorf("%s has the bounds %s, want %s", q, got, want)
		}
	}
}

func showBound(b Bound) string {
	if b.Eq != nil {
		return strings.Join(append([]string{b.Path, "="}, raws(b.Eq)...), " ")
	}
	lo, hi := "", ""
	if b.Lo != nil {
		lo = map[bool]string{true: "(", false: "["}[b.LoOpen] + b.Lo.Raw() + " "
	}
	if b.Hi != nil {
		hi = " " + b.Hi.Raw() + map[bool]string{true: ")", false: "]"}[b.HiOpen]
	}
	return b.Path + " " + lo + ".." + hi
}
