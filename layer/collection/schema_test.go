package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// fieldsOf reads the fields of a schema.
func fieldsOf(t testing.TB, text string) (s Schema) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// validation returns what a ValidationError says, a line for each field.
func validation(err error) string {
	var v *ValidationError
	if !errors.As(err, &v) {
		return fmt.Sprint(err)
	}
	if !errs.Is(err, errs.Invalid) || v.Error() != "Validation failed" {
		return "kind or text: " + err.Error()
	}
	var lines []string
	for _, f := range v.List {
		line := f.Field
		if f.Index != nil {
			line = fmt.Sprint(*f.Index, " ", line)
		}
		if len(f.Message) < 2 || f.Message[0] == "" {
			return "a fault without reason or code"
		}
		lines = append(lines, line+" "+strings.Join(f.Message[1:], " "))
	}
	return strings.Join(lines, "; ")
}

func TestValidation(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"email","fieldtype":"email","required":true,"unique":true},{"name":"n","fieldtype":"number"},
		{"name":"tags","fieldtype":"image","required":true}]}`))
	id := w.insert("c", `{"email":"a@x.org","tags":"t","free":{"x":1}}`)
	for _, tt := range []struct{ body, want string }{
		{`{"email":"b@x.org","tags":["t"]}`, `<nil>`},
		{`{}`, `email REQUIRED; tags REQUIRED`},
		{`{"email":"","tags":[]}`, `email REQUIRED; tags REQUIRED`},
		{`{"email":null,"tags":null,"n":"x"}`, `n TYPE number; email REQUIRED; tags REQUIRED`},
		{`{"email":"a@x.org","tags":"t"}`, `email UNIQUE`},
		{`[{"email":"c@x.org","tags":"t"},{"email":"x","tags":"t","n":1.5},{"tags":"t"}]`, `1 email TYPE email; 1 n TYPE number; 2 email REQUIRED`},
		{`[{"email":"c@x.org","tags":"t"},{"email":"c@x.org","tags":"t"}]`, `1 email UNIQUE`},
		{`[{"tags":"t"}]`, `0 email REQUIRED`},
	} {
		n := len(w.stored("c"))
		_, err := w.tryInsert("c", tt.body, WriteOptions{})
		if got := validation(err); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.body, got, tt.want)
		}
		if now := len(w.stored("c")); err != nil && now != n {
			t.Errorf("%s: refused, and yet %d documents instead of %d", tt.body, now, n)
		}
	}
	for _, tt := range []struct{ body, want string }{
		{`{"n":5}`, `<nil>`}, {`{"email":"b@x.org"}`, `email UNIQUE`}, {`{"$unset":{"email":1}}`, `email REQUIRED`}, {`{"n":"5"}`, `n TYPE number`},
		{`{"email":"a@x.org"}`, `<nil>`},
	} {
		if _, err := w.put("c", id, tt.body); validation(err) != tt.want {
			t.Errorf("put %s: got %s, want %s", tt.body, validation(err), tt.want)
		}
	}
}

func TestValidationOfManyIsBounded(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"a","fieldtype":"text","required":true}]}`))
	_, err := w.tryInsert("c", "["+strings.Repeat("{},", 3000)+"{}]", WriteOptions{})
	var v *ValidationError
	if !errors.As(err, &v) || len(v.List) != maxFaults {
		t.Errorf("got %.200v", err)
	}
}

func TestStrictSchemas(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"strict":true,"fields":[{"name":"a","fieldtype":"text"}]}`))
	if _, err := w.tryInsert("c", `{"a":"x","b":1}`, WriteOptions{}); validation(err) != "b TYPE" {
		t.Errorf("got %s", validation(err))
	}
	if _, err := w.tryInsert("c", `{"a":"x","b":1}`, WriteOptions{SkipValidate: true}); err != nil {
		t.Errorf("without validation: %v", err)
	}
}

func TestOnlyFullKeysSkipValidation(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"a","fieldtype":"text","required":true},{"name":"l","fieldtype":"collection","collection":"o","relation":"one"}]}`))
	drafts, _, err := ParseDrafts([]byte(`{"l":"`+id1+`"}`), at)
	if err != nil {
		t.Fatal(err)
	}
	insert := func(full bool) (d Document, err error) {
		err = w.change(func(tx *kv.Tx) error {
			c, err := w.open(tx, "c", Create)
			if err != nil {
				return err
			}
			c.full = full
			docs, err := c.Insert(drafts, WriteOptions{At: at, SkipValidate: true})
			if err == nil {
				d = docs[0]
			}
			return err
		})
		return d, err
	}
	if _, err := insert(false); validation(err) != "a REQUIRED" {
		t.Errorf("another caller: %s", validation(err))
	}
	d, err := insert(true)
	if err != nil || !strings.Contains(string(d.JSON), `"l":["`+id1+`"]`) { // what can be read has its form all the same
		t.Errorf("a full key: %s, %v", d.JSON, err)
	}
}

func TestAutoIncrement(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `[{"n":7},{"n":"x"},{"n":3}]`)
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"n","fieldtype":"number","autoincrement":true,"required":true,"unique":true}]}`))
	insert := func(body, want string) OID {
		t.Helper()
		docs, err := w.tryInsert("c", body, WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range docs {
			got = append(got, string(find(d.JSON, "n")))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
		return docs[0].ID()
	}
	w.ConflictNext(1)
	insert(`{}`, "8")
	insert(`[{},{"n":null},{}]`, "9 10 11")
	id := insert(`[{"n":20},{"n":8},{"n":"x"},{"n":5.5}]`, "12 13 14 15") // what the client sends is ignored
	if _, err := w.tryInsert("c", `[{},{"_id":"`+id.String()+`"}]`, WriteOptions{}); err == nil {
		t.Error("the id is taken")
	}
	insert(`{}`, "16") // what was refused has used up nothing
	for _, tt := range []struct {
		body    string
		replace bool
		want    string
	}{
		{`{"n":13}`, false, `"n":12`},
		{`{"n":null,"a":1}`, false, `"n":12,"a":1`},
		{`{"$inc":{"n":5}}`, false, `"n":12,"a":1`},
		{`{"$unset":{"n":1}}`, false, `"a":1,"n":12`},
		{`{"n":99,"a":2}`, true, `"n":12,"a":2`},
		{`{"a":1}`, true, `"a":1,"n":12`},
	} {
		got, err := w.tryUpdate("c", id, tt.body, tt.replace, WriteOptions{At: at})
		if want := `{"_id":"` + id.String() + `",` + tt.want + `}`; err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", tt.body, got, err, want)
		}
	}
	insert(`{}`, "17") // and so have updates
}

// A document that was there before the field gets its number when it is written,
// if it has none.
func TestAutoIncrementOfOldDocuments(t *testing.T) {
	w := newWorld(t, Config{})
	none, text, fraction := w.insert("c", `{"a":1}`), w.insert("c", `{"n":"x"}`), w.insert("c", `{"n":2.5}`)
	w.insert("c", `{"n":9223372036854775805}`)
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"n","fieldtype":"number","autoincrement":true}]}`))
	for _, tt := range []struct {
		id   OID
		want string
	}{{none, `"a":1,"n":9223372036854775806`}, {text, `"n":9223372036854775807`}, {fraction, `"n":2.5`}} {
		got, err := w.put("c", tt.id, `{"n":3}`)
		if want := `{"_id":"` + tt.id.String() + `",` + tt.want + `}`; err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	if _, err := w.tryInsert("c", `{}`, WriteOptions{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("after the last number: %v", err)
	}
}

func TestNumbersAreGivenOnce(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"n","fieldtype":"number","autoincrement":true}]}`))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := w.tryInsert("c", `{}`, WriteOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, d := range w.stored("c") {
		seen[string(find([]byte(d), "n"))] = true
	}
	if len(seen) != 40 || !seen["1"] || !seen["40"] {
		t.Errorf("%d different numbers", len(seen))
	}
}

// Of those who want one value at the same time, one gets it.
func TestUniqueAtTheSameTime(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"u","fieldtype":"text","unique":true}]}`))
	var wg sync.WaitGroup
	var mu sync.Mutex
	results := map[string]int{}
	for range 16 {
		wg.Go(func() {
			_, err := w.tryInsert("c", `{"u":"x"}`, WriteOptions{})
			mu.Lock()
			defer mu.Unlock()
			results[validation(err)]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"<nil>": 1, "u UNIQUE": 15}, results); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFormulasInDocuments(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", fieldsOf(t, `{"fields":[{"name":"sum","fieldtype":"float_number","formula":"price * count"},
		{"name":"label","fieldtype":"text","formula":"name + ': ' + sum"}]}`))
	id := w.insert("c", `{"price":2.5,"count":3,"sum":99,"name":"tea"}`)
	if got, want := w.plain("c", id), `{"_id":"`+id.String()+`","price":2.5,"count":3,"name":"tea","sum":7.5,"label":"tea: 7.5"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got, err := w.put("c", id, `{"$inc":{"count":1},"label":"mine"}`)
	if want := `{"_id":"` + id.String() + `","price":2.5,"count":4,"name":"tea","sum":10,"label":"tea: 10"}`; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestSchemasAreChecked(t *testing.T) {
	long := strings.Repeat("x", maxSchemaText+1)
	for _, fields := range []string{
		`{"name":"","fieldtype":"text"}`, `{"name":"_id","fieldtype":"text"}`, `{"name":"a.b","fieldtype":"text"}`, `{"name":"$a","fieldtype":"text"}`,
		`{"name":"a","fieldtype":"text"},{"name":"a","fieldtype":"text"}`, `{"name":"` + long + `","fieldtype":"text"}`,
		`{"name":"a"}`, `{"name":"a","fieldtype":"varchar"}`, `{"name":"a","fieldtype":"Text"}`,
		`{"name":"a","fieldtype":"text","regex":"("}`, `{"name":"a","fieldtype":"text","regex":"` + long + `"}`, `{"name":"a","fieldtype":"number","regex":"a"}`,
		`{"name":"a","fieldtype":"text","regex":"(?=x)"}`,
		`{"name":"a","fieldtype":"text","options":["x"]}`, `{"name":"a","fieldtype":"option","options":["` + long + `"]}`,
		`{"name":"a","fieldtype":"text","autoincrement":true}`, `{"name":"a","fieldtype":"text","relation":"one"}`, `{"name":"a","fieldtype":"text","collection":"c"}`,
		`{"name":"a","fieldtype":"collection"}`, `{"name":"a","fieldtype":"collection","collection":"c","relation":"some"}`,
		`{"name":"a","fieldtype":"collection","collection":"_c","relation":"one"}`, `{"name":"a","fieldtype":"JSON","unique":true}`,
		`{"name":"a","fieldtype":"collection","collection":"c","relation":"child","required":true}`,
		`{"name":"a","fieldtype":"number","formula":"1"}`, `{"name":"a","fieldtype":"text","formula":"1 +"}`, `{"name":"a","fieldtype":"text","formula":{"x":1}}`,
		`{"name":"a","fieldtype":"text","formula":"1","required":true}`,
	} {
		schema := fieldsOf(t, `{"fields":[`+fields+`]}`)
		w := newWorld(t, Config{})
		err := w.change(func(tx *kv.Tx) error { return w.s.SetSchema(tx, DefaultDatabase, "c", schema) })
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "field") {
			t.Errorf("%.200s: got %v", fields, err)
		}
	}
	many := Schema{Fields: make([]Field, maxFields+1)}
	if _, err := many.compile(); !errs.Is(err, errs.Invalid) {
		t.Errorf("too many fields: %v", err)
	}
}

func TestSchemasBringTheirIndexes(t *testing.T) {
	w := newWorld(t, Config{})
	indexes := func(name string) (names []string) {
		t.Helper()
		w.look(func(tx *kv.Tx) error {
			c, err := w.open(tx, name, Read)
			if err != nil {
				return err
			}
			for _, ix := range c.row.Indexes {
				names = append(names, ix.Name)
			}
			return nil
		})
		return names
	}
	text := `{"fields":[{"name":"u","fieldtype":"text","unique":true},{"name":"people","fieldtype":"collection","collection":"person","relation":"child"}]}`
	for range 2 { // the second time there is nothing to do
		w.ConflictNext(1)
		w.schema("company", fieldsOf(t, text))
		if got := indexes("company"); cmp.Diff([]string{"schema_unique_u"}, got) != "" {
			t.Errorf("company: %v", got)
		}
		if got := indexes("person"); cmp.Diff([]string{"schema_parent"}, got) != "" {
			t.Errorf("person: %v", got)
		}
	}
	w.insert("company", `{"u":"x"}`)
	w.schema("company", fieldsOf(t, `{"fields":[{"name":"u","fieldtype":"text"}]}`))
	if got := indexes("company"); got != nil {
		t.Errorf("company, no longer unique: %v", got)
	}
	w.insert("company", `{"u":"x"}`)
	w.look(func(tx *kv.Tx) error {
		s, err := w.s.Schema(tx, DefaultDatabase, "company")
		if err != nil || len(s.Fields) != 1 {
			t.Errorf("got %v, %v", s, err)
		}
		if _, err := w.s.Schema(tx, DefaultDatabase, "nothing"); !errs.Is(err, errs.NotFound) {
			t.Errorf("unknown collection: %v", err)
		}
		return nil
	})
}

// A write that saw the old schema must not commit under the new one.
func TestASchemaSetDuringAWrite(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `{}`)
	drafts, _, err := ParseDrafts([]byte(`{"n":"x"}`), at)
	if err != nil {
		t.Fatal(err)
	}
	first := true
	err = w.change(func(tx *kv.Tx) error {
		c, err := w.open(tx, "c", Create)
		if err != nil {
			return err
		}
		if first {
			first = false
			w.schema("c", fieldsOf(t, `{"fields":[{"name":"n","fieldtype":"number"}]}`))
		}
		_, err = c.Insert(drafts, WriteOptions{At: at})
		return err
	})
	if got := validation(err); got != "n TYPE number" {
		t.Errorf("got %s", got)
	}
}
