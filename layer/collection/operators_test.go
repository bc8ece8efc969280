package collection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

// changed returns the fields of a document after a change.
func changed(doc, body string) (string, error) {
	c, err := ParseChange([]byte(body), false)
	if err != nil {
		return "", err
	}
	fields, err := c.apply(split([]byte(doc)))
	if err != nil {
		return "", err
	}
	return string(joinObject(fields)), nil
}

func TestOperators(t *testing.T) {
	for _, tt := range []struct{ doc, body, want string }{ // want "": refused
		{`{"n":1}`, `{"$inc":{"n":1}}`, `{"n":2}`},
		{`{"n":1}`, `{"$inc":{"n":-3}}`, `{"n":-2}`},
		{`{}`, `{"$inc":{"n":5}}`, `{"n":5}`},
		{`{}`, `{"$inc":{"a.b.c":5}}`, `{"a":{"b":{"c":5}}}`},
		{`{"n":1}`, `{"$inc":{"n":0.5}}`, `{"n":1.5}`},
		{`{"n":1.5}`, `{"$inc":{"n":0.5}}`, `{"n":2}`},
		{`{"n":9007199254740993}`, `{"$inc":{"n":1}}`, `{"n":9007199254740994}`},
		{`{"n":9223372036854775807}`, `{"$inc":{"n":0}}`, `{"n":9223372036854775807}`},
		{`{"n":9223372036854775807}`, `{"$inc":{"n":1}}`, ``},
		{`{"n":-9223372036854775808}`, `{"$inc":{"n":-1}}`, ``},
		{`{"n":92233720368547758070}`, `{"$inc":{"n":1}}`, ``},
		{`{"n":1e308}`, `{"$inc":{"n":1e308}}`, ``},
		{`{"n":"1"}`, `{"$inc":{"n":1}}`, ``}, {`{"n":null}`, `{"$inc":{"n":1}}`, ``}, {`{"n":[1]}`, `{"$inc":{"n":1}}`, ``},
		{`{}`, `{"$inc":{"n":"1"}}`, ``}, {`{}`, `{"$inc":5}`, ``}, {`{}`, `{"$inc":[{"n":1}]}`, ``},
		{`{"a":1}`, `{"$inc":{"a.b":1}}`, ``}, {`{"a":null}`, `{"$inc":{"a.b":1}}`, ``},

		{`{"n":6}`, `{"$mul":{"n":7}}`, `{"n":42}`}, {`{}`, `{"$mul":{"n":7}}`, `{"n":0}`}, {`{"n":3}`, `{"$mul":{"n":0.5}}`, `{"n":1.5}`},
		{`{"n":-9223372036854775808}`, `{"$mul":{"n":-1}}`, ``}, {`{"n":-1}`, `{"$mul":{"n":-9223372036854775808}}`, ``},
		{`{"n":4611686018427387904}`, `{"$mul":{"n":2}}`, ``}, {`{"n":"x"}`, `{"$mul":{"n":2}}`, ``}, {`{"n":-0.0}`, `{"$mul":{"n":2}}`, `{"n":0}`},

		{`{"n":5}`, `{"$min":{"n":3}}`, `{"n":3}`}, {`{"n":5}`, `{"$min":{"n":7}}`, `{"n":5}`}, {`{}`, `{"$min":{"n":7}}`, `{"n":7}`},
		{`{"n":5}`, `{"$max":{"n":7}}`, `{"n":7}`}, {`{"n":5}`, `{"$max":{"n":5.0}}`, `{"n":5}`}, {`{"d":"2020"}`, `{"$max":{"d":"2021"}}`, `{"d":"2021"}`},

		{`{"a":1}`, `{"$set":{"a":2,"b.c":3}}`, `{"a":2,"b":{"c":3}}`}, {`{"a":[1,2]}`, `{"$set":{"a.1":5}}`, `{"a":[1,5]}`},
		{`{"a":[1]}`, `{"$set":{"a.3":5}}`, `{"a":[1,null,null,5]}`}, {`{"a":[{"b":1},{"b":2}]}`, `{"$set":{"a.0.b":9}}`, `{"a":[{"b":9},{"b":2}]}`},
		{`{"a":[1]}`, `{"$set":{"a.20000":5}}`, ``}, {`{"a":[1]}`, `{"$set":{"a.x":5}}`, ``}, {`{"a":[1]}`, `{"$set":{"a.-1":5}}`, ``}, {`{"a":[1]}`, `{"$set":{"a.00":5}}`, ``},
		{`{"a":1}`, `{"$set":{"a.b":5}}`, ``}, {`{}`, `{"$set":{"":5}}`, ``}, {`{}`, `{"$set":{"a..b":5}}`, ``}, {`{}`, `{"$set":{"a.$":5}}`, ``},
		{`{}`, `{"$set":{"` + strings.Repeat("a.", 150) + `a":5}}`, ``},
		{`{}`, `{"$set":{"` + strings.Repeat("a.", 90) + `a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}`, ``},
		{`{}`, `{"a.b":1}`, `{"a.b":1}`},

		{`{"a":1,"b":2,"c":3}`, `{"$unset":{"b":""}}`, `{"a":1,"c":3}`}, {`{"a":{"b":1}}`, `{"$unset":{"a.b":1,"x.y":1}}`, `{"a":{}}`},
		{`{"a":[1,2,3]}`, `{"$unset":{"a.1":1,"a.7":1,"a.x":1}}`, `{"a":[1,null,3]}`}, {`{"a":1}`, `{"$unset":{"a.b":1}}`, `{"a":1}`},

		{`{"a":1,"b":2}`, `{"$rename":{"a":"x.y"}}`, `{"b":2,"x":{"y":1}}`}, {`{"a":1,"b":2}`, `{"$rename":{"a":"b"}}`, `{"b":1}`},
		{`{"b":2}`, `{"$rename":{"a":"c"}}`, `{"b":2}`}, {`{"a":1}`, `{"$rename":{"a":5}}`, ``}, {`{"a":1}`, `{"$rename":{"a":""}}`, ``},
		{`{"a":[1]}`, `{"$rename":{"a.0":"b"}}`, ``}, {`{"a":1}`, `{"$rename":{"a":"_id"}}`, `{"a":1}`}, {`{"a":1,"b":2}`, `{"$rename":{"a":"b.c"}}`, ``},
		{`{"a":{"b":1}}`, `{"$rename":{"a.b":"a.c"}}`, `{"a":{"c":1}}`},

		{`{"a":[1]}`, `{"$push":{"a":2}}`, `{"a":[1,2]}`}, {`{}`, `{"$push":{"a":2}}`, `{"a":[2]}`}, {`{"a":[1]}`, `{"$push":{"a":[2,3]}}`, `{"a":[1,[2,3]]}`},
		{`{"a":[1]}`, `{"$push":{"a":{"$each":[2,3]}}}`, `{"a":[1,2,3]}`}, {`{}`, `{"$push":{"a":{"$each":[]}}}`, `{"a":[]}`},
		{`{"a":1}`, `{"$push":{"a":2}}`, ``}, {`{"a":null}`, `{"$push":{"a":2}}`, ``}, {`{}`, `{"$push":{"a":{"$each":2}}}`, ``},
		{`{}`, `{"$push":{"a":{"$each":[1],"$slice":1}}}`, ``}, {`{}`, `{"$push":{"a":{"$foo":1}}}`, ``},

		{`{"a":[1,{"x":1}]}`, `{"$addToSet":{"a":1.0}}`, `{"a":[1,{"x":1}]}`}, {`{"a":[1,{"x":1}]}`, `{"$addToSet":{"a":{"x":1}}}`, `{"a":[1,{"x":1}]}`},
		{`{"a":[1]}`, `{"$addToSet":{"a":{"$each":[2,1,2]}}}`, `{"a":[1,2]}`}, {`{"a":1}`, `{"$addToSet":{"a":1}}`, ``}, {`{"a":["1"]}`, `{"$addToSet":{"a":1}}`, `{"a":["1",1]}`},

		{`{"a":[1,2,1.0,"1"]}`, `{"$pull":{"a":1}}`, `{"a":[2,"1"]}`}, {`{}`, `{"$pull":{"a":1}}`, `{}`}, {`{"a":1}`, `{"$pull":{"a":1}}`, ``},
		{`{"a":[{"x":1},{"x":1,"y":2}]}`, `{"$pull":{"a":{"x":1}}}`, `{"a":[{"x":1,"y":2}]}`}, {`{"a":[1,5]}`, `{"$pull":{"a":{"$gt":2}}}`, ``},

		{`{"a":[1,2,3]}`, `{"$pop":{"a":1}}`, `{"a":[1,2]}`}, {`{"a":[1,2,3]}`, `{"$pop":{"a":-1}}`, `{"a":[2,3]}`}, {`{"a":[]}`, `{"$pop":{"a":1}}`, `{"a":[]}`},
		{`{}`, `{"$pop":{"a":1}}`, `{}`}, {`{"a":[1]}`, `{"$pop":{"a":2}}`, ``}, {`{"a":5}`, `{"$pop":{"a":1}}`, ``},

		{`{}`, `{"$foo":{"a":1}}`, ``}, {`{}`, `{"$where":"1"}`, ``}, {`{}`, `[]`, ``}, {`{}`, `"x"`, ``}, {`{}`, `{"a":1,"a":1}`, ``}, {`{}`, `null`, ``},
		{`{"A":1,"a":2}`, `{"A":5,"\u0061":6}`, `{"A":5,"a":6}`},
	} {
		got, err := changed(tt.doc, tt.body)
		if got != tt.want || err == nil && tt.want == "" || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s with %.100s: got %.200s, %v; want %s", tt.doc, tt.body, got, err, tt.want)
		}
	}
}

func TestTooManyOperations(t *testing.T) {
	var list []string
	for i := range maxOperations + 1 {
		list = append(list, fmt.Sprintf(`"f%d":1`, i))
	}
	if _, err := ParseChange([]byte(`{"$inc":{`+strings.Join(list, ",")+`}}`), false); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
	long := "[" + strings.Repeat("1,", 5000) + "1]"
	if _, err := changed(`{"a":`+long+`}`, `{"$addToSet":{"a":{"$each":`+long+`}}}`); !errs.Is(err, errs.Invalid) {
		t.Errorf("sets: got %v", err)
	}
}

func TestErrorsNameTheFieldAndTheOperator(t *testing.T) {
	_, err := changed(`{"a":{"b":"x"}}`, `{"$inc":{"a.b":1}}`)
	if want := `$inc of "a.b": the document's value is not a number`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// model is a document as a Go program would hold it: what operators do is
// written a second time, in another way.
type model map[string]any

func (m model) at(path []string) (parent map[string]any, name string) {
	parent = m
	for _, step := range path[:len(path)-1] {
		next, ok := parent[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			parent[step] = next
		}
		parent = next
	}
	return parent, path[len(path)-1]
}

// apply does one operator; false: it has to be refused.
func (m model) apply(op string, path []string, arg any) bool {
	if op == "$unset" || op == "$pull" || op == "$pop" { // these make nothing
		v := any(map[string]any(m))
		for _, step := range path {
			o, ok := v.(map[string]any)
			if !ok {
				return true
			}
			if v, ok = o[step]; !ok {
				return true
			}
		}
	} else {
		v := any(map[string]any(m))
		for _, step := range path[:len(path)-1] {
			o, ok := v.(map[string]any)
			if !ok {
				return false
			}
			if v, ok = o[step]; !ok {
				break
			}
		}
		if _, ok := v.(map[string]any); v != nil && !ok {
			return false
		}
	}
	o, name := m.at(path)
	old, has := o[name]
	n, isNumber := old.(float64)
	list, isList := old.([]any)
	switch op {
	case "$set":
		o[name] = arg
	case "$unset":
		delete(o, name)
	case "$inc":
		if has && !isNumber {
			return false
		}
		o[name] = n + arg.(float64)
	case "$mul":
		if has && !isNumber {
			return false
		}
		o[name] = n*arg.(float64) + 0 // no negative zero
	case "$push", "$addToSet":
		if has && !isList {
			return false
		}
		for _, e := range list {
			if op == "$addToSet" && reflect.DeepEqual(e, arg) {
				return true
			}
		}
		o[name] = append(append([]any{}, list...), arg)
	case "$pull":
		if !isList {
			return false
		}
		kept := []any{}
		for _, e := range list {
			if !reflect.DeepEqual(e, arg) {
				kept = append(kept, e)
			}
		}
		o[name] = kept
	case "$pop":
		if !isList {
			return false
		}
		if len(list) > 0 {
			o[name] = append([]any{}, list[:len(list)-1]...)
		}
	}
	return true
}

func TestOperatorsAgainstAModel(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any {
		return rapid.SampledFrom([]any{float64(1), float64(2), "x", true, []any{}, []any{float64(1), "x"}}).Draw(t, "value")
	})
	path := rapid.Custom(func(t *rapid.T) []string {
		return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "\u00e9\"", "c"}), 1, 3).Draw(t, "path")
	})
	rapid.Check(t, func(t *rapid.T) {
		w := []byte("{}")
		m := model{}
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			op := rapid.SampledFrom([]string{"$set", "$set", "$unset", "$inc", "$mul", "$push", "$addToSet", "$pull", "$pop"}).Draw(t, "op")
			p, arg := path.Draw(t, "path"), value.Draw(t, "arg")
			switch op {
			case "$inc", "$mul":
				arg = float64(rapid.IntRange(-3, 3).Draw(t, "number"))
			case "$pop":
				arg = float64(1)
			}
			body, err := json.Marshal(map[string]any{op: map[string]any{strings.Join(p, "."): arg}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := changed(string(w), string(body))
			before, _ := json.Marshal(m)
			ok := m.apply(op, p, arg)
			if ok != (err == nil) {
				t.Fatalf("%s on %s: %v, the model says %v", body, w, err, ok)
			}
			if !ok { // the model may have changed on its way
				m = model{}
				if err := json.Unmarshal(before, &m); err != nil {
					t.Fatal(err)
				}
				continue
			}
			w = []byte(got)
			if again, err := compact(nil, w); err != nil || !bytes.Equal(again, w) {
				t.Fatalf("%s gave %s: %v", body, w, err)
			}
			var have map[string]any
			if err := json.Unmarshal(w, &have); err != nil {
				t.Fatal(err)
			}
			want, _ := json.Marshal(m)
			if now, _ := json.Marshal(have); !bytes.Equal(now, want) {
				t.Fatalf("%s: got %s, want %s", body, now, want)
			}
		}
	})
}

func FuzzParseChange(f *testing.F) {
	for _, s := range []string{``, `{"a":1}`, `{"$inc":{"a.b":1}}`, `{"$push":{"a":{"$each":[1]}},"b":[]}`, `{"$rename":{"a":"b.c"}}`, `{"$set":{"a.3":1}}`} {
		f.Add([]byte(s), []byte(`{"a":{"b":1},"b":[1,{"c":2}]}`))
	}
	f.Fuzz(func(t *testing.T, body, doc []byte) {
		c, err := ParseChange(body, false)
		if err != nil {
			return
		}
		doc, err = compact(nil, doc)
		if err != nil || doc[0] != '{' {
			return
		}
		fields, err := c.apply(split(doc))
		if err != nil {
			return
		}
		p := joinObject(fields)
		if again, err := compact(nil, p); err != nil || !bytes.Equal(again, p) {
			t.Errorf("%q on %q gave %q: %v", body, doc, p, err)
		}
	})
}
