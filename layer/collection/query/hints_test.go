package query

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestParseHints(t *testing.T) {
	h, err := ParseHints([]byte(`{"$orderby":{"salary":1,"age":-1,"a[0].b": 1},"$max":2000,"$skip":0,"$fields":{"title":1},
		"$groupby":["age","position"],"$aggregate":["SUM:score","COUNT:"],"$aggregate-grand-total":true,"metafields":true}`))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, k := range h.Sort {
		order = append(order, map[bool]string{true: "-", false: "+"}[k.Desc]+k.Path.String())
	}
	if got := strings.Join(order, " "); got != "+salary -age +a.0.b" {
		t.Errorf("order %s", got)
	}
	if *h.Max != 2000 || *h.Skip != 0 || !*h.GrandTotal || !*h.Metafields || len(h.GroupBy) != 2 || len(h.Aggregates) != 2 || !h.Fields.Asks("title") {
		t.Errorf("hints %+v", h)
	}
}

func TestHintsOverrideWhatTheyGive(t *testing.T) {
	spec := Spec{Max: 5, Skip: 6, Sort: []SortKey{{Path: pathOf(t, "a")}}, Metafields: true}
	none, err := ParseHints([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	spec.Override(none)
	if spec.Max != 5 || spec.Skip != 6 || len(spec.Sort) != 1 || !spec.Metafields || !spec.Everything() || spec.Aggregated() {
		t.Errorf("no hints made it %+v", spec)
	}
	all, err := ParseHints([]byte(`{"$max":1,"$skip":2,"$orderby":{"b":1,"c":1},"metafields":false,"$groupby":"x","$aggregate":"COUNT:","$fields":{"a":0},"$aggregate-grand-total":true}`))
	if err != nil {
		t.Fatal(err)
	}
	spec.Override(all)
	if spec.Max != 1 || spec.Skip != 2 || len(spec.Sort) != 2 || spec.Metafields || !spec.GrandTotal || !spec.Aggregated() || spec.Fields.Everything() {
		t.Errorf("hints made it %+v", spec)
	}
}

func TestParseHintsRefuses(t *testing.T) {
	for h, say := range map[string]string{
		`[]`:                           "h: a JSON object",
		`{"$max":1,"$max":2}`:          `h: "$max" is there twice`,
		`{"$foo":1}`:                   "h: $foo: unknown hint",
		`{"$max":-1}`:                  "h: $max: a whole number",
		`{"$max":"5"}`:                 "h: $max: a whole number",
		`{"$skip":1.5}`:                "h: $skip: a whole number",
		`{"$skip":1e300}`:              "h: $skip: a whole number",
		`{"$orderby":["a"]}`:           "h: $orderby: an object",
		`{"$orderby":{"a":2}}`:         "h: $orderby: a: 1 (ascending)",
		`{"$orderby":{"a..b":1}}`:      "h: $orderby: ",
		`{"$fields":{"a":1,"b":0}}`:    "h: $fields: b: fields are either",
		`{"$fields":{"a":0,"b":true}}`: "h: $fields: b: fields are either",
		`{"$fields":{"a":"yes"}}`:      "h: $fields: a: 1 or 0",
		`{"$fields":["a"]}`:            "h: $fields: an object",
		`{"$groupby":[1]}`:             "h: $groupby: an array of texts",
		`{"$groupby":{}}`:              "h: $groupby: an array of texts",
		`{"$aggregate":["FOO:a"]}`:     "h: $aggregate: ",
		`{"$aggregate-grand-total":1}`: "h: $aggregate-grand-total: true or false",
		`{"metafields":"x"}`:           "h: metafields: true or false",
		`{"$groupby":[` + strings.Repeat(`"a",`, maxKeys) + `"a"]}`: "the limit is 64",
	} {
		if _, err := ParseHints([]byte(h)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) {
			t.Errorf("%.80s: %v, want it to be invalid and to say %q", h, err, say)
		}
	}
}

func TestProjection(t *testing.T) {
	const doc = `{"_id":"1","a":1,"b":{"c":2,"d":{"e":3,"f":4}},"l":[{"x":1,"y":2},3,[{"x":4,"y":5}]],"q\"":6}`
	for fields, want := range map[string]string{
		`{}`:                        doc,
		`{"a":1}`:                   `{"_id":"1","a":1}`,
		`{"b":true,"a":true}`:       `{"_id":"1","a":1,"b":{"c":2,"d":{"e":3,"f":4}}}`,
		`{"a":1,"_id":0}`:           `{"a":1}`,
		`{"_id":0,"a":1}`:           `{"a":1}`,
		`{"_id":1}`:                 `{"_id":"1"}`,
		`{"_id":1,"a":1}`:           `{"_id":"1","a":1}`,
		`{"_id":0}`:                 `{"a":1,"b":{"c":2,"d":{"e":3,"f":4}},"l":[{"x":1,"y":2},3,[{"x":4,"y":5}]],"q\"":6}`,
		`{"b":0,"l":0}`:             `{"_id":"1","a":1,"q\"":6}`,
		`{"b":0,"l":0,"_id":0}`:     `{"a":1,"q\"":6}`,
		`{"b.c":1}`:                 `{"_id":"1","b":{"c":2}}`,
		`{"b.d.e":1,"b.c":1}`:       `{"_id":"1","b":{"c":2,"d":{"e":3}}}`,
		`{"b.d":1,"b.d.e":1}`:       `{"_id":"1","b":{"d":{"e":3,"f":4}}}`,
		`{"b.d.e":1,"b":1}`:         `{"_id":"1","b":{"c":2,"d":{"e":3,"f":4}}}`,
		`{"a.x":1,"gone":1}`:        `{"_id":"1"}`,
		`{"b.x":1}`:                 `{"_id":"1","b":{}}`,
		`{"l.x":1}`:                 `{"_id":"1","l":[{"x":1},[{"x":4}]]}`,
		`{"l.x":0,"b":0,"a.x":0}`:   `{"_id":"1","a":1,"l":[{"y":2},3,[{"y":5}]],"q\"":6}`,
		`{"b.d.e":0,"l":0,"q\"":0}`: `{"_id":"1","a":1,"b":{"c":2,"d":{"f":4}}}`,
		`{"q\"":1}`:                 `{"_id":"1","q\"":6}`,
	} {
		h, err := ParseHints([]byte(`{"$fields":` + fields + `}`))
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		if got := string(h.Fields.Apply([]byte("> "), []byte(doc))); got != "> "+want {
			t.Errorf("%s leaves %s\nwant %s", fields, got, want)
		}
	}
	var all Projection
	if got := string(all.Apply(nil, []byte(doc))); got != doc || !all.Everything() || all.Asks("a") {
		t.Errorf("the zero Projection leaves %s", got)
	}
}
