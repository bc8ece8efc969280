package collection

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestValuesByType(t *testing.T) {
	const other = `"fieldtype":"collection","collection":"o"`
	const a, b = "56e9d0b301bf3408000006f4", "56e9d0b301bf3408000006f5"
	for _, tt := range []struct{ field, in, want string }{ // want "!": refused
		{`"fieldtype":"text"`, `"x"`, `"x"`}, {`"fieldtype":"text"`, `""`, `""`}, {`"fieldtype":"text"`, `null`, `null`},
		{`"fieldtype":"text"`, `1`, `! TYPE text`}, {`"fieldtype":"text"`, `["x"]`, `! TYPE text`},
		{`"fieldtype":"text","regex":"^[a-z]+$"`, `"abc"`, `"abc"`}, {`"fieldtype":"text","regex":"^[a-z]+$"`, `"aBc"`, `! REGEX`},
		{`"fieldtype":"text","regex":"b"`, `"abc"`, `"abc"`}, {`"fieldtype":"text","regex":"b"`, `""`, `""`},
		{`"fieldtype":"richtext"`, `"<b>x</b>"`, `"<b>x</b>"`}, {`"fieldtype":"richtext"`, `true`, `! TYPE richtext`},
		{`"fieldtype":"number"`, `5`, `5`}, {`"fieldtype":"number"`, `-5.0`, `-5.0`}, {`"fieldtype":"number"`, `1e3`, `1e3`},
		{`"fieldtype":"number"`, `5.5`, `! TYPE number`}, {`"fieldtype":"number"`, `"5"`, `! TYPE number`},
		{`"fieldtype":"number"`, `92233720368547758080`, `! TYPE number`}, {`"fieldtype":"number"`, `1e300`, `! TYPE number`},
		{`"fieldtype":"float_number"`, `5.5`, `5.5`}, {`"fieldtype":"float_number"`, `"5.5"`, `! TYPE float_number`},
		{`"fieldtype":"money"`, `5`, `5`}, {`"fieldtype":"money"`, `5.10`, `5.10`}, {`"fieldtype":"money"`, `0.30000000000000004`, `0.3`},
		{`"fieldtype":"money"`, `-1.239`, `-1.24`}, {`"fieldtype":"money"`, `1e2`, `100`}, {`"fieldtype":"money"`, `-0.001`, `0`}, {`"fieldtype":"money"`, `"1"`, `! TYPE money`},
		{`"fieldtype":"email"`, `"jo.e+x@mail.example.org"`, `"jo.e+x@mail.example.org"`}, {`"fieldtype":"email"`, `""`, `""`},
		{`"fieldtype":"email"`, `"joe"`, `! TYPE email`}, {`"fieldtype":"email"`, `"joe@x"`, `! TYPE email`}, {`"fieldtype":"email"`, `"a b@x.org"`, `! TYPE email`},
		{`"fieldtype":"email"`, `"a@b@x.org"`, `! TYPE email`}, {`"fieldtype":"email"`, `"a@x..org"`, `! TYPE email`}, {`"fieldtype":"email"`, `"a@x.org\nBcc: b"`, `! TYPE email`},
		{`"fieldtype":"email"`, `"Joe <a@x.org>"`, `! TYPE email`}, {`"fieldtype":"email"`, `{}`, `! TYPE email`}, {`"fieldtype":"email"`, `"@x.org"`, `! TYPE email`},
		{`"fieldtype":"bool"`, `true`, `true`}, {`"fieldtype":"bool"`, `"true"`, `! TYPE bool`}, {`"fieldtype":"bool"`, `1`, `! TYPE bool`},
		{`"fieldtype":"JSON"`, `{"a":[1]}`, `{"a":[1]}`}, {`"fieldtype":"JSON"`, `[1]`, `[1]`}, {`"fieldtype":"JSON"`, `"x"`, `! TYPE JSON`},
		{`"fieldtype":"date"`, `"2020-04-01"`, `"2020-04-01T00:00:00.000Z"`}, {`"fieldtype":"datetime"`, `"2020-04-01T10:00:00+02:00"`, `"2020-04-01T08:00:00.000Z"`},
		{`"fieldtype":"datetime"`, `"2020-04-01 10:00:00.1239"`, `"2020-04-01T10:00:00.123Z"`}, {`"fieldtype":"datetime"`, `"2020-04-01T10:00"`, `"2020-04-01T10:00:00.000Z"`},
		{`"fieldtype":"date"`, `{"$date":"2020-04-01"}`, `"2020-04-01T00:00:00.000Z"`}, {`"fieldtype":"date"`, `1585699200000`, `"2020-04-01T00:00:00.000Z"`},
		{`"fieldtype":"date"`, `"2020-02-30"`, `! TYPE date`}, {`"fieldtype":"date"`, `"soon"`, `! TYPE date`}, {`"fieldtype":"date"`, `9e18`, `! TYPE date`}, {`"fieldtype":"date"`, `{"x":1}`, `! TYPE date`},
		{`"fieldtype":"date"`, `"9999-12-31T23:59:59-23:00"`, `! TYPE date`}, {`"fieldtype":"date"`, `true`, `! TYPE date`}, {`"fieldtype":"date"`, `""`, `""`},
		{`"fieldtype":"time"`, `"10:15"`, `"1970-01-01T10:15:00.000Z"`}, {`"fieldtype":"time"`, `"10:15:30.5"`, `"1970-01-01T10:15:30.500Z"`},
		{`"fieldtype":"time"`, `"2020-04-01T10:15:00Z"`, `"1970-01-01T10:15:00.000Z"`}, {`"fieldtype":"time"`, `"25:00"`, `! TYPE time`}, {`"fieldtype":"date"`, `"10:15"`, `! TYPE date`},
		{`"fieldtype":"image"`, `"x"`, `["x"]`}, {`"fieldtype":"image"`, `["x","y"]`, `["x","y"]`}, {`"fieldtype":"file"`, `null`, `[]`}, {`"fieldtype":"file"`, `""`, `[]`},
		{`"fieldtype":"file"`, `[1]`, `! TYPE`}, {`"fieldtype":"file"`, `[""]`, `! TYPE`}, {`"fieldtype":"file"`, `1`, `! TYPE`},
		{`"fieldtype":"option","options":["a","5"]`, `"a"`, `"a"`}, {`"fieldtype":"option","options":["a","5"]`, `["a",5]`, `["a",5]`}, {`"fieldtype":"option"`, `"x"`, `"x"`},
		{`"fieldtype":"option","options":["a"]`, `"b"`, `! TYPE option`}, {`"fieldtype":"option","options":["a"]`, `["a","b"]`, `! TYPE option`}, {`"fieldtype":"option","options":["a"]`, `{}`, `! TYPE option`},
		{other + `,"relation":"one"`, `"` + a + `"`, `["` + a + `"]`}, {other + `,"relation":"one"`, `{"_id":"` + a + `","name":"x"}`, `["` + a + `"]`},
		{other + `,"relation":"one"`, `[{"_id":"` + a + `"}]`, `["` + a + `"]`}, {other + `,"relation":"many"`, `["` + a + `",{"_id":"` + b + `"}]`, `["` + a + `","` + b + `"]`},
		{other + `,"relation":"one"`, `null`, `[]`}, {other + `,"relation":"one"`, `""`, `[]`}, {other + `,"relation":"many"`, `[]`, `[]`},
		{other + `,"relation":"one"`, `["` + a + `","` + b + `"]`, `! TYPE collection`}, {other + `,"relation":"one"`, `"x"`, `! TYPE collection`},
		{other + `,"relation":"one"`, `{"name":"x"}`, `! TYPE collection`}, {other + `,"relation":"many"`, `5`, `! TYPE collection`}, {other + `,"relation":"many"`, `[null]`, `! TYPE collection`},
	} {
		schema := fieldsOf(t, `{"fields":[{"name":"f",`+tt.field+`}]}`)
		rules, err := schema.compile()
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		now, fault := rules.list[0].read([]byte(tt.in))
		got := string(now)
		if fault != nil {
			got = strings.Join(append([]string{"!"}, fault.codes...), " ")
		}
		if got != tt.want {
			t.Errorf("%s: %s gives %s, want %s", tt.field, tt.in, got, tt.want)
		}
		if fault == nil {
			if again, fault := rules.list[0].read(now); fault != nil || string(again) != got {
				t.Errorf("%s: %s, which is stored, gives %s, %v", tt.field, now, again, fault)
			}
		}
	}
}

func TestValuesOfForms(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"n","fieldtype":"number"},{"name":"m","fieldtype":"money"},{"name":"b","fieldtype":"bool"},
		{"name":"j","fieldtype":"JSON"},{"name":"t","fieldtype":"text"},{"name":"d","fieldtype":"date"}]}`))
	docs, err := w.tryInsert("c", `{"_id":"`+id1+`","n":" 12","m":"","b":"true","j":"{\"a\": 1}","t":"12","d":"2020-04-01","x":"5"}`, WriteOptions{Texts: true})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_id":"` + id1 + `","n":12,"m":null,"b":true,"j":{"a":1},"t":"12","d":"2020-04-01T00:00:00.000Z","x":"5"}`
	if got := string(docs[0].Plain(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for _, body := range []string{`{"n":"x"}`, `{"n":"true"}`, `{"b":"1"}`, `{"j":"{"}`, `{"n":"1 2"}`} {
		if _, err := w.tryInsert("c", body, WriteOptions{Texts: true}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
