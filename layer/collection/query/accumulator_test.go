package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// specOf builds what a list request with these two parameters means.
func specOf(t testing.TB, q, h string) *Spec {
	t.Helper()
	parsed, err := Parse([]byte(q), time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	hints, err := ParseHints([]byte(h))
	if err != nil {
		t.Fatal(err)
	}
	s := &Spec{Query: parsed, Max: -1}
	s.Override(hints)
	return s
}

// showWhole shows documents as they are stored.
func showWhole(dst, doc []byte) ([]byte, error) { return append(dst, doc...), nil }

// accumulated returns the answer over those documents that match.
func accumulated(t testing.TB, spec *Spec, docs ...string) string {
	t.Helper()
	a, err := NewAccumulator(spec, AccumulatorConfig{Show: showWhole})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if !spec.Query.Match([]byte(d)) {
			continue
		}
		doc := []byte(d)
		if err := a.Add(doc, doc); err != nil {
			t.Fatal(err)
		}
		clear(doc) // nothing of it may be in use
	}
	got, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(got) {
		t.Fatalf("no JSON: %s", got)
	}
	return string(got)
}

// Players of the examples, in the order of their ids.
const (
	ann  = `{"_id":"01","name":"ann","age":20,"position":"goal","score":4,"category":"a","registered":"2016-03-06T21:05:09.000Z","tags":["x","y"]}`
	bob  = `{"_id":"02","name":"bob","age":30,"position":"wing","score":9,"category":"b","registered":"2016-11-07T03:00:00Z","tags":["y","z"]}`
	cleo = `{"_id":"03","name":"cleo","age":20,"position":"wing","score":9,"category":"a","registered":"2017-03-31","tags":[]}`
	dan  = `{"_id":"04","name":"dan","age":20.0,"position":"goal","score":"none","category":null,"producer":[{"country":"NO"}]}`
	eve  = `{"_id":"05","name":"eve","score":null,"registered":"soon","producer":[{"country":"SE"},{"country":"NO"}]}`
)

func TestAggregation(t *testing.T) {
	all := []string{ann, bob, cleo, dan, eve}
	tests := map[string]struct {
		q, h string
		docs []string
		want string
	}{
		"sum and average": {h: `{"$aggregate":["SUM:score","AVG:score"]}`, docs: []string{ann, bob}, want: `{"SUM score":13,"AVG score":6.5}`},
		"no numbers are skipped": {h: `{"$aggregate":["SUM:score","AVG:score","MIN:score"]}`, docs: []string{dan, ann, eve},
			want: `{"SUM score":4,"AVG score":4,"MIN score":` + ann + `}`},
		"extremes are whole documents":  {h: `{"$aggregate":["MIN:score","MAX:age"]}`, docs: all, want: `{"MIN score":` + ann + `,"MAX age":` + bob + `}`},
		"ties go to the lowest id":      {h: `{"$aggregate":["MAX:score"]}`, docs: []string{cleo, bob}, want: `{"MAX score":` + bob + `}`},
		"extremes of dates":             {h: `{"$aggregate":["MAX:registered","MIN:registered"]}`, docs: all, want: `{"MAX registered":` + cleo + `,"MIN registered":` + ann + `}`},
		"a number beats a date":         {h: `{"$aggregate":["MAX:v"]}`, docs: []string{`{"_id":"1","v":"2016"}`, `{"_id":"2","v":-5}`}, want: `{"MAX v":{"_id":"2","v":-5}}`},
		"count with a name":             {h: `{"$aggregate":["COUNT:nplayers"]}`, docs: all, want: `{"COUNT nplayers":5}`},
		"count without":                 {h: `{"$aggregate":["COUNT:"]}`, docs: all, want: `{"COUNT ":5}`},
		"count with a filter":           {q: `{"age":{"$lt":25}}`, h: `{"$aggregate":["COUNT:"]}`, docs: all, want: `{"COUNT ":3}`},
		"over nothing":                  {h: `{"$aggregate":["SUM:a","COUNT:n","AVG:a","MIN:a","MAX:a"]}`, want: `{"SUM a":0,"COUNT n":0,"AVG a":null,"MIN a":null,"MAX a":null}`},
		"over no numbers":               {h: `{"$aggregate":["SUM:a","AVG:a","MIN:a","COUNT:n"]}`, docs: []string{ann}, want: `{"SUM a":0,"AVG a":null,"MIN a":null,"COUNT n":1}`},
		"the same twice":                {h: `{"$aggregate":["SUM:age","SUM:age"]}`, docs: []string{ann}, want: `{"SUM age":20}`},
		"through arrays":                {h: `{"$aggregate":["SUM:l.n","AVG:m"]}`, docs: []string{`{"l":[{"n":1},{"n":2.5},{}],"m":[1,"x",2]}`}, want: `{"SUM l.n":3.5,"AVG m":1.5}`},
		"a sum beyond all numbers":      {h: `{"$aggregate":["SUM:n"]}`, docs: []string{`{"n":1e308}`, `{"n":1e308}`}, want: `{"SUM n":null}`},
		"numbers as JavaScript's":       {h: `{"$aggregate":["SUM:n","AVG:n"]}`, docs: []string{`{"n":1e20}`, `{"n":2e21}`, `{"n":1}`}, want: `{"SUM n":2.1e+21,"AVG n":700000000000000000000}`},
		"groups":                        {h: `{"$groupby":["category"]}`, docs: all, want: `{"a":[` + ann + `,` + cleo + `],"b":[` + bob + `],"null":[` + dan + `,` + eve + `]}`},
		"groups in groups":              {h: `{"$groupby":["age","position"]}`, docs: []string{ann, bob, cleo}, want: `{"20":{"goal":[` + ann + `],"wing":[` + cleo + `]},"30":{"wing":[` + bob + `]}}`},
		"groups of nothing":             {h: `{"$groupby":["age"]}`, want: `{}`},
		"1 and 1.0 are one group":       {h: `{"$groupby":["age"],"$aggregate":["COUNT:"]}`, docs: all, want: `{"20":{"COUNT ":3},"30":{"COUNT ":1},"null":{"COUNT ":1}}`},
		"by year":                       {h: `{"$groupby":["$YEAR:registered"],"$aggregate":["COUNT:"]}`, docs: all, want: `{"2016":{"COUNT ":2},"2017":{"COUNT ":1},"null":{"COUNT ":2}}`},
		"by month":                      {h: `{"$groupby":["$MONTH:registered"],"$aggregate":["COUNT:"]}`, docs: all[:3], want: `{"3":{"COUNT ":2},"11":{"COUNT ":1}}`},
		"by day":                        {h: `{"$groupby":["$DAY:registered"],"$aggregate":["COUNT:"]}`, docs: all[:3], want: `{"6":{"COUNT ":1},"7":{"COUNT ":1},"31":{"COUNT ":1}}`},
		"by hour":                       {h: `{"$groupby":["$HOUR:registered"],"$aggregate":["COUNT:"]}`, docs: all[:3], want: `{"21":{"COUNT ":1},"3":{"COUNT ":1},"0":{"COUNT ":1}}`},
		"by second":                     {h: `{"$groupby":["$SEC:registered"],"$aggregate":["COUNT:"]}`, docs: all[:3], want: `{"9":{"COUNT ":1},"0":{"COUNT ":2}}`},
		"by a format":                   {h: `{"$groupby":["$DATE.YYYY-MM-DD:registered"]}`, docs: []string{bob}, want: `{"2016-11-07":[` + bob + `]}`},
		"by a month's name":             {h: `{"$groupby":["$DATE.MMM:registered"],"$aggregate":["COUNT:"]}`, docs: all[:3], want: `{"Mar":{"COUNT ":2},"Nov":{"COUNT ":1}}`},
		"by a format with colons, dots": {h: `{"$groupby":["$DATE.DD.MM. HH:mm:registered"],"$aggregate":["COUNT:"]}`, docs: all[:2], want: `{"06.03. 21:05":{"COUNT ":1},"07.11. 03:00":{"COUNT ":1}}`},
		"groups and aggregates":         {h: `{"$groupby":["category"],"$aggregate":["COUNT:notes","MAX:score"]}`, docs: all[:3], want: `{"a":{"COUNT notes":2,"MAX score":` + cleo + `},"b":{"COUNT notes":1,"MAX score":` + bob + `}}`},
		"grand totals": {h: `{"$groupby":["position"],"$aggregate":["AVG:score"],"$aggregate-grand-total":true}`, docs: all[:3],
			want: `{"goal":{"AVG score":4},"wing":{"AVG score":9},"AVG score":7.333333333333333}`},
		"grand totals at each outer level": {h: `{"$groupby":["age","position"],"$aggregate":["SUM:score"],"$aggregate-grand-total":true}`, docs: all[:3],
			want: `{"20":{"goal":{"SUM score":4},"wing":{"SUM score":9},"SUM score":13},"30":{"wing":{"SUM score":9},"SUM score":9},"SUM score":22}`},
		"a grand total leaves a group of its name": {h: `{"$groupby":["n"],"$aggregate":["COUNT:"],"$aggregate-grand-total":true}`, docs: []string{`{"n":"COUNT "}`},
			want: `{"COUNT ":{"COUNT ":1}}`},
		"grand totals of nothing":      {h: `{"$groupby":["n"],"$aggregate":["COUNT:","MAX:n"],"$aggregate-grand-total":true}`, want: `{"COUNT ":0,"MAX n":null}`},
		"by an array, an object":       {h: `{"$groupby":["v"],"$aggregate":["COUNT:"]}`, docs: []string{`{"v":["a",1]}`, `{"v":{"x":1}}`, `{"v":["a",1]}`, `{"v":true}`}, want: `{"[\"a\",1]":{"COUNT ":2},"{\"x\":1}":{"COUNT ":1},"true":{"COUNT ":1}}`},
		"by what is behind an array":   {h: `{"$groupby":["producer.country"],"$aggregate":["COUNT:"]}`, docs: []string{dan, eve}, want: `{"NO":{"COUNT ":1},"[\"SE\",\"NO\"]":{"COUNT ":1}}`},
		"keys are JSON texts":          {h: `{"$groupby":["v"],"$aggregate":["COUNT:"]}`, docs: []string{`{"v":"R&B \"é\" \u0001\n"}`}, want: `{"R&B \"é\" \u0001\n":{"COUNT ":1}}`},
		"distinct":                     {q: `{"$distinct":"age"}`, docs: all, want: `[20,30]`},
		"distinct with a filter":       {q: `{"$distinct":"name","age":20}`, docs: all, want: `["ann","cleo","dan"]`},
		"distinct behind an array":     {q: `{"$distinct":"producer[0].country"}`, docs: all, want: `["NO","SE"]`},
		"distinct members of an array": {q: `{"$distinct":"tags"}`, docs: all, want: `["x","y","z"]`},
		"distinct has null":            {q: `{"$distinct":"category"}`, docs: all, want: `["a","b",null]`},
		"distinct, descending":         {q: `{"$distinct":"tags"}`, h: `{"$orderby":{"tags":-1}}`, docs: all, want: `["z","y","x"]`},
		"distinct, ascending":          {q: `{"$distinct":"v"}`, h: `{"$orderby":{"v":1}}`, docs: []string{`{"v":["b",2]}`, `{"v":{"x":[1]}}`, `{"v":{"x":[1.0]}}`, `{"v":"a"}`}, want: `[2,"a","b",{"x":[1]}]`},
		"distinct of nothing":          {q: `{"$distinct":"tags"}`, want: `[]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.q == "" {
				tt.q = "{}"
			}
			if tt.h == "" {
				tt.h = "{}"
			}
			spec := specOf(t, tt.q, tt.h)
			if !spec.Aggregated() {
				t.Fatal("not an aggregation")
			}
			if diff := cmp.Diff(tt.want, accumulated(t, spec, tt.docs...)); diff != "" {
				t.Error("-want +got", diff)
			}
		})
	}
}

// The document's example of the URL: groupby=gender&aggregate=SUM:weight&aggregate=AVG:age.
func TestAggregationByURL(t *testing.T) {
	spec := specOf(t, "{}", "{}")
	for _, text := range []string{"SUM:weight", "AVG:age"} {
		a, err := ParseAggregate(text)
		if err != nil {
			t.Fatal(err)
		}
		if a.String() != text {
			t.Errorf("%q reads back as %q", text, a)
		}
		spec.Aggregates = append(spec.Aggregates, a)
	}
	g, err := ParseGroup("gender")
	if err != nil {
		t.Fatal(err)
	}
	spec.GroupBy = []Group{g}
	got := accumulated(t, spec, `{"gender":"f","weight":50,"age":20}`, `{"gender":"m","weight":80,"age":30}`, `{"gender":"f","weight":60,"age":25}`)
	if want := `{"f":{"SUM weight":110,"AVG age":22.5},"m":{"SUM weight":80,"AVG age":30}}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestParseGroupAndAggregateNameWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		aggregate bool
		text      string
		want      string
	}{
		"unknown function":      {true, "MEDIAN:x", `"MEDIAN"`},
		"lower case":            {true, "sum:x", `"sum"`},
		"no colon":              {true, "SUM", `"SUM"`},
		"no field":              {true, "SUM:", `"SUM:"`},
		"a bad path":            {true, "AVG:a..b", `"AVG:a..b"`},
		"empty group":           {false, "", `""`},
		"unknown part":          {false, "$CENTURY:d", `"$CENTURY:d"`},
		"part without a field":  {false, "$YEAR", `"$YEAR"`},
		"part of an empty path": {false, "$YEAR:", `"$YEAR:"`},
		"no format":             {false, "$DATE:d", `"$DATE:d"`},
		"empty format":          {false, "$DATE.:d", `"$DATE.:d"`},
		"a long format":         {false, "$DATE." + strings.Repeat("Y", 201) + ":d", `201 bytes`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseGroup(tt.text)
			if tt.aggregate {
				_, err = ParseAggregate(tt.text)
			}
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want an invalid one with %s", err, tt.want)
			}
		})
	}
}

func TestAccumulatorRefusesWhatItCannotHold(t *testing.T) {
	tests := map[string]struct {
		q, h string
		cfg  AccumulatorConfig
		want string
	}{
		"groups":           {"{}", `{"$groupby":["n"],"$aggregate":["COUNT:"]}`, AccumulatorConfig{MaxGroups: 99}, "$groupby: more than 99 different values"},
		"groups in groups": {"{}", `{"$groupby":["c","n"],"$aggregate":["COUNT:"]}`, AccumulatorConfig{MaxGroups: 99}, "$groupby: more than 99 different values"},
		"distinct values":  {`{"$distinct":"n"}`, `{}`, AccumulatorConfig{MaxGroups: 99}, "$distinct: more than 99 different values"},
		"documents":        {"{}", `{"$groupby":["c"]}`, AccumulatorConfig{MaxBytes: 2000}, "more than 2000 bytes"},
		"tallies":          {"{}", `{"$groupby":["n"],"$aggregate":["COUNT:"]}`, AccumulatorConfig{MaxBytes: 20000}, "more than 20000 bytes"},
		"texts":            {`{"$distinct":"t"}`, `{}`, AccumulatorConfig{MaxBytes: 20000}, "more than 20000 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Show = showWhole
			a, err := NewAccumulator(specOf(t, tt.q, tt.h), tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; n < 100 && err == nil; n++ {
				doc := fmt.Appendf(nil, `{"_id":"%03d","c":1,"n":%d,"t":"%d"}`, n, n, n)
				err = a.Add(doc, doc)
			}
			if !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one of size with %q", err, tt.want)
			}
		})
	}
	t.Run("many aggregates", func(t *testing.T) {
		spec := specOf(t, "{}", "{}")
		for n := range maxAggregates + 1 {
			spec.Aggregates = append(spec.Aggregates, Aggregate{Function: Count, name: fmt.Sprint(n)})
		}
		if _, err := NewAccumulator(spec, AccumulatorConfig{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("error %v, want an invalid one", err)
		}
	})
	t.Run("many levels", func(t *testing.T) {
		spec := specOf(t, "{}", "{}")
		spec.GroupBy = make([]Group, maxGroupLevels+1)
		if _, err := NewAccumulator(spec, AccumulatorConfig{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("error %v, want an invalid one", err)
		}
	})
	t.Run("distinct values in groups", func(t *testing.T) {
		if _, err := NewAccumulator(specOf(t, `{"$distinct":"a"}`, `{"$groupby":["b"]}`), AccumulatorConfig{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("error %v, want an invalid one", err)
		}
	})
}

// A document that took the place of another gives its bytes back.
func TestExtremesKeepOneDocumentEach(t *testing.T) {
	a, err := NewAccumulator(specOf(t, "{}", `{"$aggregate":["MAX:n","MIN:n"]}`), AccumulatorConfig{Show: showWhole, MaxBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		doc := fmt.Appendf(nil, `{"_id":"%03d","n":%d}`, n, n)
		if err := a.Add(doc, doc); err != nil {
			t.Fatal(err)
		}
	}
	got, err := a.JSON()
	if want := `{"MAX n":{"_id":"999","n":999},"MIN n":{"_id":"000","n":0}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestErrorsOfShowAreHandedOn(t *testing.T) {
	broken := errors.New("broken")
	show := func(dst, doc []byte) ([]byte, error) { return dst, broken }
	for name, h := range map[string]string{"groups": `{"$groupby":["n"]}`, "extremes": `{"$aggregate":["MAX:n"]}`} {
		t.Run(name, func(t *testing.T) {
			a, err := NewAccumulator(specOf(t, "{}", h), AccumulatorConfig{Show: show})
			if err != nil {
				t.Fatal(err)
			}
			if err = a.Add([]byte(`{"n":1}`), []byte(`{"n":1}`)); err == nil {
				_, err = a.JSON()
			}
			if !errors.Is(err, broken) {
				t.Errorf("error %v, want %v", err, broken)
			}
		})
	}
}

// Aggregates without groups do not depend on the order of the documents.
func TestAnyOrderOfDocumentsGivesTheSameAggregates(t *testing.T) {
	spec := specOf(t, "{}", `{"$aggregate":["SUM:n","AVG:n","MIN:n","MAX:n","COUNT:"]}`)
	if !spec.AnyOrder() {
		t.Fatal("an aggregate over everything needs an order")
	}
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOf(rapid.SampledFrom([]string{"1", "2", "3", "-1", `"2020"`, `"2021-01-01"`, "null", `"x"`, "[1,5]"})).Draw(rt, "values")
		var docs []string
		for i, v := range values {
			docs = append(docs, fmt.Sprintf(`{"_id":"%03d","n":%s}`, i, v))
		}
		want := accumulated(t, spec, docs...)
		if got := accumulated(t, spec, rapid.Permutation(docs).Draw(rt, "shuffled")...); got != want {
			rt.Fatalf("got %s\nwant %s", got, want)
		}
	})
	for name, h := range map[string]string{"groups": `{"$groupby":["n"],"$aggregate":["COUNT:"]}`, "max": `{"$aggregate":["COUNT:"],"$max":3}`, "a list": `{}`} {
		if specOf(t, "{}", h).AnyOrder() {
			t.Errorf("%s: any order is said to do", name)
		}
	}
}

func FuzzParseGroupAndAggregate(f *testing.F) {
	for _, s := range []string{"a.b", "$DATE.HH:mm:d", "$YEAR:d", "SUM:a[0].b", "COUNT:"} {
		f.Add(s, ann)
	}
	f.Fuzz(func(t *testing.T, text, doc string) {
		if !json.Valid([]byte(doc)) || doc[0] != '{' {
			doc = ann
		}
		g, err := ParseGroup(text)
		if err == nil {
			if g.String() != text {
				t.Errorf("group %q reads back as %q", text, g)
			}
			g.appendKey(nil, []byte(doc))
		} else if !errs.Is(err, errs.Invalid) {
			t.Errorf("group: %v", err)
		}
		a, err := ParseAggregate(text)
		if err == nil {
			if a.String() != text {
				t.Errorf("aggregate %q reads back as %q", text, a)
			}
			new(tally).add(a, []byte(doc))
		} else if !errs.Is(err, errs.Invalid) {
			t.Errorf("aggregate: %v", err)
		}
	})
}
