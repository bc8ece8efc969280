package query

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// noon is the now of these tests.
var noon = time.Date(2024, 3, 31, 12, 30, 15, 500e6, time.UTC)

func parsed(t testing.TB, q string) *Query {
	t.Helper()
	query, err := Parse([]byte(q), noon)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return query
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name string
		doc  string
		yes  []string
		no   []string
	}{{
		name: "equality and conjunction",
		doc:  `{"name":"ab","age":17,"ok":true,"n":null,"o":{"x":1,"y":[2]}}`,
		yes: []string{`{}`, `{"name":"ab","age":17}`, `{"age":17.0}`, `{"age":1.7e1}`, `{"ok":true}`, `{"n":null}`, `{"gone":null}`,
			`{"o":{"x":1,"y":[2]}}`, `{"o":{"y":[2.0],"x":1}}`, `{"o.x":1}`, `{"o.x.deeper":null}`, `{"age":{"$eq":17}}`},
		no: []string{`{"name":"ab","age":18}`, `{"name":"AB"}`, `{"age":"17"}`, `{"ok":1}`, `{"ok":false}`, `{"name":null}`,
			`{"o":{"x":1}}`, `{"o":{}}`, `{"o":{"x":1,"y":[2],"z":3}}`, `{"n":0}`, `{"n":""}`},
	}, {
		name: "negation matches what is missing",
		doc:  `{"name":"ab","n":null,"a":[1,null]}`,
		yes: []string{`{"name":{"$not":"cd"}}`, `{"gone":{"$not":"cd"}}`, `{"name":{"$not":null}}`, `{"gone":{"$ne":1}}`,
			`{"gone":{"$nin":[1,2]}}`, `{"name":{"$not":{"$gt":"b"}}}`, `{"gone":{"$not":{"$gt":1}}}`, `{"gone":{"$not":{"$exists":true}}}`,
			`{"name":{"$not":{"$regex":"^b"}}}`, `{"name":{"$not":{}}}`, `{"name":{"$not":{"$not":"ab"}}}`, `{"name":{"$ne":null}}`,
			`{"$nor":[{"name":"x"},{"n":1}]}`},
		no: []string{`{"name":{"$not":"ab"}}`, `{"gone":{"$not":null}}`, `{"n":{"$not":null}}`, `{"gone":{"$ne":null}}`,
			`{"name":{"$nin":["ab"]}}`, `{"gone":{"$nin":[null]}}`, `{"name":{"$not":{"$gt":"aa","$lt":"ac"}}}`, `{"a":{"$ne":1}}`,
			`{"a":{"$not":null}}`, `{"$nor":[{"name":"ab"}]}`},
	}, {
		name: "lists",
		doc:  `{"s":"b","n":2,"z":null,"o":{"k":[1]},"t":true,"d":"2020-01-02"}`,
		yes: []string{`{"s":{"$in":["a","b"]}}`, `{"n":{"$in":["2",2.0]}}`, `{"z":{"$in":[null]}}`, `{"gone":{"$in":[null,1]}}`,
			`{"o":{"$in":[{"k":[1]}]}}`, `{"t":{"$in":[true]}}`, `{"s":{"$nin":[]}}`, `{"d":{"$in":[{"$date":"2020-01-02T00:00Z"}]}}`},
		no: []string{`{"s":{"$in":[]}}`, `{"n":{"$in":["2"]}}`, `{"t":{"$in":[1,false]}}`, `{"o":{"$in":[{"k":1}]}}`, `{"s":{"$nin":["b"]}}`},
	}, {
		name: "order within one type",
		doc:  `{"n":5,"s":"m","t":true,"z":null,"o":{"a":1},"l":[5]}`,
		yes: []string{`{"n":{"$gt":4,"$lt":6}}`, `{"n":{"$gte":5,"$lte":5}}`, `{"n":{"$bt":[5,5]}}`, `{"n":{"$bt":[1,9]}}`, `{"s":{"$gt":"l"}}`,
			`{"s":{"$bt":["a","z"]}}`, `{"t":{"$gt":false}}`, `{"z":{"$gte":null}}`, `{"gone":{"$lte":null}}`, `{"o":{"$gt":{"a":0}}}`,
			`{"l":{"$gte":[5]}}`, `{"l":{"$gte":5}}`},
		no: []string{`{"n":{"$gt":5}}`, `{"n":{"$lt":5}}`, `{"n":{"$gt":"4"}}`, `{"s":{"$gt":1}}`, `{"s":{"$lt":1}}`, `{"n":{"$bt":[6,9]}}`,
			`{"n":{"$bt":["a","z"]}}`, `{"gone":{"$lt":5}}`, `{"z":{"$lt":5}}`, `{"z":{"$gt":null}}`, `{"t":{"$gt":0}}`, `{"n":{"$gte":null}}`},
	}, {
		name: "arrays contain",
		doc:  `{"a":[1,"x",[7,8],{"k":1}],"e":[],"n":[1,10],"o":[{"b":1,"c":1},{"b":2},{"c":3}],"m":[[{"b":9}]]}`,
		yes: []string{`{"a":1}`, `{"a":"x"}`, `{"a":[7,8]}`, `{"a":{"k":1}}`, `{"a":[1,"x",[7,8],{"k":1}]}`, `{"a.0":1}`, `{"a.2.1":8}`, `{"a[2][0]":7}`,
			`{"a[3].k":1}`, `{"a.k":1}`, `{"e":[]}`, `{"n":{"$gt":3,"$lt":5}}`, `{"n":{"$lt":2}}`, `{"o.b":2}`, `{"o.b":{"$in":[5,2]}}`, `{"o.b":null}`,
			`{"o":{"b":2}}`, `{"o.1.b":2}`, `{"a.9":null}`, `{"e.x":{"$ne":1}}`, `{"e.x":{"$not":null}}`, `{"m.0.b":9}`},
		no: []string{`{"a":7}`, `{"a":[1]}`, `{"e":null}`, `{"e":1}`, `{"n":{"$bt":[3,5]}}`, `{"n":{"$gt":10}}`, `{"o.b":3}`, `{"o.b":{"$ne":2}}`,
			`{"e.x":null}`, `{"n.x":null}`, `{"m.b":9}`, `{"o.0.b":2}`, `{"a.9":1}`},
	}, {
		name: "about the whole array",
		doc:  `{"a":[1,2,[3]],"o":[{"x":"y","n":1},{"x":"z","n":5},7],"e":[],"s":"t","g":[[5]]}`,
		yes: []string{`{"a":{"$size":3}}`, `{"e":{"$size":0}}`, `{"a.2":{"$size":1}}`, `{"a":{"$exists":true}}`, `{"gone":{"$exists":false}}`, `{"o.x":{"$exists":true}}`,
			`{"o":{"$elemMatch":{"x":"y"}}}`, `{"o":{"$elemMatch":{"x":"z","n":{"$gt":4}}}}`, `{"a":{"$elemMatch":{"$gt":1,"$lt":3}}}`, `{"o":{"$elemMatch":{"$or":[{"n":5},{"n":9}]}}}`,
			`{"a":{"$all":[1,2]}}`, `{"a":{"$all":[[3]]}}`, `{"s":{"$all":["t"]}}`, `{"o":{"$all":[{"$elemMatch":{"x":"y"}},{"$elemMatch":{"n":5}}]}}`,
			`{"o":{"$elemMatch":{"$eq":7}}}`, `{"o":{"$elemMatch":{"$not":{"$type":"object"}}}}`, `{"g":{"$elemMatch":{"$elemMatch":{"$gt":4}}}}`,
			`{"o":{"$elemMatch":{}}}`},
		no: []string{`{"a":{"$size":1}}`, `{"s":{"$size":1}}`, `{"gone":{"$size":0}}`, `{"a":{"$exists":false}}`, `{"gone":{"$exists":true}}`, `{"e.x":{"$exists":true}}`,
			`{"o":{"$elemMatch":{"x":"y","n":5}}}`, `{"o":{"$elemMatch":{"x":{"$exists":false}}}}`, `{"s":{"$elemMatch":{"$eq":"t"}}}`, `{"a":{"$elemMatch":{"$gt":2}}}`,
			`{"a":{"$all":[1,4]}}`, `{"a":{"$all":[]}}`, `{"o":{"$all":[{"$elemMatch":{"x":"w"}}]}}`, `{"gone":{"$all":[1]}}`, `{"g":{"$elemMatch":{"$gt":4}}}`, `{"a":{"$elemMatch":{}}}`},
	}, {
		name: "patterns",
		doc:  `{"s":"Cabbage\nrolls","l":["x1","y2"],"n":12}`,
		yes: []string{`{"s":{"$regex":".ab*"}}`, `{"s":{"$regex":"CAB","$options":"i"}}`, `{"s":{"$options":"i","$regex":"^cab"}}`, `{"l":{"$regex":"^y\\d$"}}`,
			`{"s":{"$regex":"^rolls","$options":"m"}}`, `{"s":{"$regex":"e.r","$options":"s"}}`, `{"s":{"$regex":""}}`, `{"s":{"$regex":"C","$options":""}}`,
			`{"s":{"$regex":"e","$ne":"x"}}`},
		no: []string{`{"s":{"$regex":"CAB"}}`, `{"s":{"$regex":"^rolls"}}`, `{"n":{"$regex":"1"}}`, `{"gone":{"$regex":""}}`, `{"s":{"$regex":"e.r"}}`},
	}, {
		name: "logic",
		doc:  `{"a":1,"b":2}`,
		yes: []string{`{"$or":[{"a":9},{"b":2}]}`, `{"$and":[{"a":1},{"b":2}]}`, `{"$or":[{"$and":[{"a":1},{"b":9}]},{"a":{"$lt":2}}]}`,
			`{"$or":[{}]}`, `{"a":1,"$or":[{"b":1},{"b":2}]}`},
		no: []string{`{"$or":[{"a":9},{"b":9}]}`, `{"$and":[{"a":1},{"b":9}]}`, `{"a":2,"$or":[{"b":2}]}`, `{"$nor":[{}]}`},
	}, {
		name: "remainders and types",
		doc:  `{"n":7,"f":4.5,"s":"x","o":{},"a":["s"],"t":false,"z":null,"m":-4}`,
		yes: []string{`{"n":{"$mod":[4,3]}}`, `{"m":{"$mod":[2,0]}}`, `{"n":{"$type":"number"}}`, `{"f":{"$type":"double"}}`, `{"n":{"$type":"int"}}`, `{"n":{"$type":16}}`,
			`{"s":{"$type":"string"}}`, `{"o":{"$type":3}}`, `{"a":{"$type":"array"}}`, `{"a":{"$type":"string"}}`, `{"t":{"$type":"bool"}}`, `{"z":{"$type":"null"}}`,
			`{"s":{"$type":["number","string"]}}`},
		no: []string{`{"n":{"$mod":[4,1]}}`, `{"s":{"$mod":[1,0]}}`, `{"f":{"$mod":[2,0]}}`, `{"n":{"$type":"string"}}`, `{"gone":{"$type":"null"}}`, `{"f":{"$type":"int"}}`,
			`{"n":{"$type":[]}}`},
	}, {
		name: "dates",
		doc:  `{"d":"2020-01-31","t":"2020-01-31T10:00:00+02:00","ms":"2020-01-31T08:00:00.250Z","no":"soon","n":1580428800000,"l":["2019-05-01","2021-01-01"],"today":"2024-03-31T00:00:00Z"}`,
		yes: []string{`{"d":{"$gte":{"$date":"2020-01-31"}}}`, `{"d":{"$date":"2020-01-31T00:00:00.000Z"}}`, `{"t":{"$eq":{"$date":"2020-01-31T08:00Z"}}}`, `{"ms":{"$gt":{"$date":"2020-01-31T08:00:00.249"}}}`,
			`{"t":{"$bt":[{"$date":"2020-01-31"},{"$date":"2020-02-01"}]}}`, `{"t":{"$not":{"$date":"2020-01-31"}}}`, `{"no":{"$ne":{"$date":"2020-01-31"}}}`, `{"l":{"$lt":{"$date":"2020-01-01"}}}`,
			`{"today":{"$date":"$currentDate"}}`, `{"today":{"$lt":{"$date":"$now"}}}`, `{"today":{"$gt":{"$date":"$currentMonth"}}}`, `{"today":{"$gt":{"$date":"$currentYear"}}}`,
			`{"today":{"$gt":{"$date":"$moment.subtract.1.days"}}}`, `{"d":{"$nin":[{"$date":"2021-01-01"}]}}`, `{"d":{"$gt":"2020"}}`},
		no: []string{`{"d":{"$gt":{"$date":"2020-01-31"}}}`, `{"d":"2020-01-31T00:00:00Z"}`, `{"no":{"$lt":{"$date":"2099-01-01"}}}`, `{"no":{"$gt":{"$date":"1970-01-01"}}}`,
			`{"n":{"$date":"2020-01-31"}}`, `{"gone":{"$date":"2020-01-31"}}`, `{"today":{"$gt":{"$date":"$moment.add.1.seconds"}}}`},
	}, {
		name: "names as they come",
		doc:  `{"a b":1,"c\"d":2,"caf\u00e9":3,"x*":4,"@this":5,"0":6,"#":7,"k":{"":8,"y":9},"q|r":10,"\\n":11,"i\n":12}`,
		yes: []string{`{"a b":1}`, `{"c\"d":2}`, `{"café":3}`, `{"x*":4}`, `{"@this":5}`, `{"0":6}`, `{"#":7}`, `{"k.y":9}`, `{"q|r":10}`, `{"\\n":11}`, `{"i\n":12}`,
			`{"i\\n":null}`, `{"x?":null}`, `{"A b":null}`},
		no: []string{`{"x":4}`, `{"*":4}`, `{"i":12}`, `{"i\\n":12}`},
	}, {
		name: "fields that the server makes",
		doc:  `{"_id":"56e9d0b301bf3408000006f4","t":"P.O. Box","_created":"2016-03-16T21:31:31.627Z","_createdby":"api","_version":0}`,
		yes: []string{`{"_id":"56e9d0b301bf3408000006f4"}`, `{"_keywords":"box"}`, `{"_keywords":"api"}`, `{"_tags":"p o box api"}`, `{"_version":0}`,
			`{"_created":{"$lt":{"$date":"$now"}}}`, `{"_keywords":{"$size":4}}`, `{"_keywords.0":"p"}`},
		no: []string{`{"_keywords":"Box"}`, `{"t._keywords":"box"}`},
	}} {
		t.Run(c.name, func(t *testing.T) {
			for want, list := range map[bool][]string{true: c.yes, false: c.no} {
				for _, q := range list {
					if got := parsed(t, q).Match([]byte(c.doc)); got != want {
						t.Errorf("%s matches %s: %v, want %v", q, c.doc, got, want)
					}
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"$or":[`, 26) + `{}` + strings.Repeat(`]}`, 26)
	for _, c := range []struct{ name, q, say string }{
		{"nothing", ``, "q: not JSON"},
		{"no JSON", `{"a":}`, "q: not JSON"},
		{"more than one value", `{} {}`, "q: not JSON"},
		{"no object", `[]`, "q: a JSON object is wanted, not array"},
		{"null", `null`, "not null"},
		{"bad UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"two members of one name", `{"a":1,"a":2}`, `"a" is there twice`},
		{"two members of one name, one escaped", `{"a":1,"\u0061":2}`, `"a" is there twice`},
		{"two members below", `{"a":[{"b":1,"b":2}]}`, `"b" is there twice`},
		{"huge number", `{"a":1e999}`, "1e999 is out of range"},
		{"too deep", deep, "deeper than 50"},
		{"very deep", strings.Repeat("[", 100_000), "q: not JSON"},
		{"too large", `{"a":"` + strings.Repeat("x", maxText) + `"}`, "the limit is 1048576"},
		{"unknown operator of a field", `{"a":{"$foo":1}}`, "a: $foo: unknown operator"},
		{"unknown operator at the top", `{"$where":"1"}`, `unknown operator "$where"`},
		{"geo", `{"a":{"$near":[1,2]}}`, "a: $near: unknown operator"},
		{"operator as a field's name", `{"a.$b":1}`, `unknown operator "$b"`},
		{"operators beside fields", `{"a":{"$gt":1,"b":2}}`, "a: b: a field beside operators"},
		{"operators within a value", `{"a":{"b":{"$gt":1}}}`, `a: operator "$gt" within a value`},
		{"operators within a list", `{"a":[{"$gt":1}]}`, `a: operator "$gt" within a value`},
		{"$date beside operators", `{"a":{"$date":"2020-01-01","$gt":1}}`, "a: $date: unknown operator"},
		{"empty field", `{"":1}`, "a name is empty"},
		{"empty name", `{"a..b":1}`, "a name is empty"},
		{"$or of an object", `{"$or":{"a":1}}`, "$or: an array of queries"},
		{"empty $or", `{"$or":[]}`, "$or: an array of queries"},
		{"empty $and", `{"$and":[]}`, "$and: an array of queries"},
		{"$or of numbers", `{"$or":[1]}`, "$or: its members have to be objects"},
		{"within $or", `{"$or":[{"a":{"$foo":1}}]}`, "$or: a: $foo: unknown operator"},
		{"$distinct below", `{"$or":[{"$distinct":"a"}]}`, "$distinct"},
		{"$distinct of a member", `{"a":{"$elemMatch":{"$distinct":"a","b":1}}}`, "$distinct"},
		{"$distinct of a number", `{"$distinct":1}`, "$distinct: the name of a field"},
		{"$in of a value", `{"a":{"$in":1}}`, "a: $in: an array is wanted, not number"},
		{"$nin of an object", `{"a":{"$nin":{}}}`, "a: $nin: an array"},
		{"$all of a value", `{"a":{"$all":1}}`, "a: $all: an array"},
		{"$all of operators", `{"a":{"$all":[{"$gt":1}]}}`, "within a value"},
		{"$bt of one", `{"a":{"$bt":[1]}}`, "a: $bt: two values"},
		{"$bt of two types", `{"a":{"$bt":[1,"b"]}}`, "a: $bt: two values"},
		{"$bt of a value", `{"a":{"$bt":1}}`, "a: $bt: an array"},
		{"$exists of a number", `{"a":{"$exists":1}}`, "a: $exists: true or false"},
		{"$size of a fraction", `{"a":{"$size":1.5}}`, "a: $size: a whole number"},
		{"$size below 0", `{"a":{"$size":-1}}`, "a: $size: a whole number"},
		{"$size of a text", `{"a":{"$size":"1"}}`, "a: $size: a whole number"},
		{"$mod by 0", `{"a":{"$mod":[0,1]}}`, "a: $mod: two numbers"},
		{"$mod of one", `{"a":{"$mod":[2]}}`, "a: $mod: two numbers"},
		{"$mod of texts", `{"a":{"$mod":[2,"1"]}}`, "a: $mod: two numbers"},
		{"$type unknown", `{"a":{"$type":"point"}}`, `a: $type: unknown type "point"`},
		{"$type of a boolean", `{"a":{"$type":true}}`, "a: $type: unknown type true"},
		{"$elemMatch of a value", `{"a":{"$elemMatch":1}}`, "a: $elemMatch: an object"},
		{"$elemMatch of a date", `{"a":{"$elemMatch":{"$date":"2020-01-01"}}}`, "$date"},
		{"$regex of a number", `{"a":{"$regex":1}}`, "a: $regex: a text"},
		{"$regex that is not RE2", `{"a":{"$regex":"(?=x)"}}`, "a: $regex: not RE2"},
		{"$regex that is open", `{"a":{"$regex":"("}}`, "a: $regex: not RE2"},
		{"$regex that is long", `{"a":{"$regex":"` + strings.Repeat("x", maxPattern+1) + `"}}`, "the limit is 1024"},
		{"$regex that is expensive", `{"a":{"$regex":"` + strings.Repeat(`.{1000}`, 9) + `"}}`, "too expensive"},
		{"$regex that repeats repeats", `{"a":{"$regex":"((a{100}){100}){100}"}}`, "a: $regex: not RE2"},
		{"$regexes that are expensive together", `{"$or":[` + strings.Repeat(`{"a":{"$regex":".{900}"}},`, 9) + `{}]}`, "too expensive"},
		{"$options unknown", `{"a":{"$regex":"x","$options":"x"}}`, "$options: a text of the letters"},
		{"$options alone", `{"a":{"$options":"i"}}`, "a: $options: there is no $regex"},
		{"$date of a number", `{"a":{"$gt":{"$date":1}}}`, "a: $gt: $date: a text"},
		{"$date that is none", `{"a":{"$date":"yesterday"}}`, `a: $date: "yesterday" is neither`},
		{"$date with a macro that is none", `{"a":{"$date":"$tomorrow"}}`, `a: $date: "$tomorrow" is neither`},
		{"$moment with a unit that is none", `{"a":{"$date":"$moment.add.1.eons"}}`, `unknown unit "eons"`},
		{"$moment with a number that is none", `{"a":{"$date":"$moment.add.x.days"}}`, `"x" is no whole number`},
		{"$moment with half a link", `{"a":{"$date":"$moment.add.1"}}`, "links are add or subtract"},
		{"$moment with a verb that is none", `{"a":{"$date":"$moment.startOf.1.days"}}`, "links are add or subtract"},
		{"$moment beyond the years", `{"a":{"$date":"$moment.add.9999.years"}}`, "outside the years"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.q), noon)
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("%q, want it to be invalid and to say %q", err, c.say)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParseTakesWhatTheLimitsAllow(t *testing.T) {
	deep := strings.Repeat(`{"$or":[`, 24) + `{"a":1}` + strings.Repeat(`]}`, 24)
	if !parsed(t, deep).Match([]byte(`{"a":1}`)) {
		t.Error("a query of 49 levels does not match")
	}
	list := `{"a":{"$in":[` + strings.Repeat(`"x",`, 100_000) + `"y"]}}`
	if !parsed(t, list).Match([]byte(`{"a":"y"}`)) {
		t.Error("a long list does not match")
	}
}

func TestQueryAsks(t *testing.T) {
	q := parsed(t, `{"$distinct":"producer[0].country","a.b":1,"$or":[{"c":{"$elemMatch":{"d":1}}}]}`)
	path, ok := q.Distinct()
	if !ok || path.String() != "producer.0.country" {
		t.Errorf("distinct %q, %v", path, ok)
	}
	var paths []string
	for _, p := range q.Paths() {
		paths = append(paths, p.String())
	}
	if got := strings.Join(paths, " "); got != "a.b c c.d" {
		t.Errorf("paths %q", got)
	}
	if q.Empty() || !parsed(t, `{"$distinct":"a"}`).Empty() || !parsed(t, ` {} `).Empty() {
		t.Error("a query is empty without conditions, $distinct is none")
	}
	var none *Query
	if _, ok := none.Distinct(); ok || !none.Empty() || !none.Match([]byte(`{}`)) || none.Bounds() != nil || none.Paths() != nil {
		t.Error("no query matches everything")
	}
}

func TestWithIsBoth(t *testing.T) {
	doc := []byte(`{"a":1,"by":"x"}`)
	path, err := ParsePath("by")
	if err != nil {
		t.Fatal(err)
	}
	a, x, y := parsed(t, `{"a":1}`), Is(path, TextOf("x")), Is(path, TextOf("y"))
	if !a.With(x).Match(doc) || a.With(y).Match(doc) || !a.Match(doc) {
		t.Error("With adds a condition and leaves the query as it was")
	}
	var none *Query
	if !none.With(x).Match(doc) || none.With(y).Match(doc) || !a.With(nil).Match(doc) || len(a.With(x).Bounds()) != 2 || len(a.With(x).Paths()) != 2 {
		t.Error("With takes queries that are none")
	}
}
