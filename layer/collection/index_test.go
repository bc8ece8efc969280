package collection

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func (w *world) indexes(name string) (list []IndexStatus) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) (err error) {
		list, err = w.s.Indexes(tx, DefaultDatabase, name)
		return err
	})
	return list
}

func (w *world) dropIndex(name, index string) error {
	w.t.Helper()
	return w.change(func(tx *kv.Tx) error { return w.s.DropIndex(tx, DefaultDatabase, name, index) })
}

// inSpan counts the keys of an index.
func (w *world) inSpan(name, index string) (n int) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		for _, err := range tx.Scan(c.row.index(index).span()) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n
}

func TestIndexNamesAndLimits(t *testing.T) {
	w := newWorld(t, Config{})
	w.delete("items", w.insert("items", `{}`))
	for _, c := range []struct {
		spec IndexSpec
		want string // a name, or the kind of an error
	}{
		{IndexSpec{Paths: []string{"a"}}, "a"},
		{IndexSpec{Paths: []string{"a"}}, "exists"},
		{IndexSpec{Paths: []string{"a"}, Unique: true}, "a-2"},
		{IndexSpec{Paths: []string{"b[0].c", "d e"}}, "b.0.c_d-e"},
		{IndexSpec{Paths: []string{"b.0.c", "d e"}}, "exists"},
		{IndexSpec{Paths: []string{"z"}, Name: "a"}, "exists"},
		{IndexSpec{Paths: []string{"z"}, Name: "a b"}, "invalid"},
		{IndexSpec{Paths: []string{"z"}, Name: strings.Repeat("n", 65)}, "invalid"},
		{IndexSpec{Paths: []string{strings.Repeat("n", 300)}}, strings.Repeat("n", 60)},
		{IndexSpec{Paths: []string{"_id"}}, "invalid"},
		{IndexSpec{Paths: []string{"a", "a"}}, "invalid"},
		{IndexSpec{Paths: []string{"a..b"}}, "invalid"},
		{IndexSpec{Paths: nil}, "invalid"},
		{IndexSpec{Paths: strings.Split("a,b,c,d,e,f,g", ",")}, "invalid"},
	} {
		var got string
		err := w.change(func(tx *kv.Tx) error {
			st, err := w.s.CreateIndex(tx, DefaultDatabase, "items", c.spec)
			got = st.Name
			return err
		})
		if err != nil {
			got = errs.KindOf(err).String()
		}
		if got != c.want {
			t.Errorf("%+v: got %s (%v), want %s", c.spec, got, err, c.want)
		}
	}
	for i := len(w.indexes("items")); i < MaxIndexes; i++ {
		if err := w.index("items", IndexSpec{Paths: []string{fmt.Sprintf("p%d", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.index("items", IndexSpec{Paths: []string{"over"}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("an index over the limit: %v", err)
	}
	if err := w.index("nothing", IndexSpec{Paths: []string{"a"}}); !errs.Is(err, errs.NotFound) {
		t.Errorf("an index of a collection that is not there: %v", err)
	}
}

func TestUniqueIndexes(t *testing.T) {
	w := newWorld(t, Config{})
	w.delete("items", w.insert("items", `{}`))
	if err := w.index("items", IndexSpec{Paths: []string{"a", "b"}, Unique: true}); err != nil {
		t.Fatal(err)
	}
	one := w.insert("items", `{"a":1,"b":"x"}`)
	for _, c := range []struct {
		body  string
		taken bool
	}{
		{`{"a":1.0,"b":"x","c":1}`, true},
		{`{"a":"1","b":"x"}`, false},
		{`{"a":1}`, false},
		{`{"a":1,"b":null}`, false}, // as often as one likes
		{`{"a":[7,1],"b":"x"}`, true},
		{`{"a":[7,8],"b":"x"}`, false},
		{`{"a":8,"b":"x"}`, true},
		{`[{"a":20,"b":"y"},{"a":20,"b":"y"}]`, true},
		{`[{"a":20,"b":"y"},{"a":21,"b":"y"}]`, false},
	} {
		_, err := w.tryInsert("items", c.body, WriteOptions{})
		var invalid *ValidationError
		if errors.As(err, &invalid) != c.taken || !c.taken && err != nil {
			t.Errorf("%s: %v", c.body, err)
		}
		if c.taken && (len(invalid.List) == 0 || invalid.List[0].Message[1] != "UNIQUE") {
			t.Errorf("%s: %+v", c.body, invalid)
		}
	}
	if _, err := w.put("items", one, `{"c":2}`); err != nil {
		t.Errorf("a document is in its own way: %v", err)
	}
	if _, err := w.put("items", one, `{"a":20,"b":"y"}`); err == nil {
		t.Error("an update took what another has")
	}
	w.delete("items", one)
	w.insert("items", `{"a":1,"b":"x"}`)
	w.checkEntries(t, "items")
}

// Of many who insert one value at once, one gets it.
func TestOneOfManyGetsAUniqueValue(t *testing.T) {
	w := newWorld(t, Config{})
	w.delete("items", w.insert("items", `{}`))
	if err := w.index("items", IndexSpec{Paths: []string{"a"}, Unique: true}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			_, err := w.tryInsert("items", `{"a":"one"}`, WriteOptions{})
			var invalid *ValidationError
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.As(err, &invalid) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(w.stored("items")); won != 1 || n != 1 || w.count("items") != 1 {
		t.Errorf("%d won, %d documents", won, n)
	}
}

func TestAWriteThatMeetsConflictsHasOneEffect(t *testing.T) {
	w := newWorld(t, Config{})
	id := w.insert("items", `{"a":1}`)
	steps := []struct {
		name string
		do   func() error
		want []IndexStatus
		keys int
	}{
		{"create", func() error { return w.index("items", IndexSpec{Paths: []string{"a"}, Name: "x"}) },
			[]IndexStatus{{Name: "x", Paths: []string{"a"}, State: Building, Total: 1}}, 0},
		{"build", func() error { w.build(); return nil }, []IndexStatus{{Name: "x", Paths: []string{"a"}, State: Ready}}, 1},
		{"update", func() error { _, err := w.put("items", id, `{"a":[2,3]}`); return err },
			[]IndexStatus{{Name: "x", Paths: []string{"a"}, State: Ready}}, 2},
		{"drop", func() error { return w.dropIndex("items", "x") }, []IndexStatus{}, 0},
	}
	for _, s := range steps {
		w.ConflictNext(2)
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if d := cmp.Diff(s.want, w.indexes("items")); d != "" {
			t.Errorf("%s: %s", s.name, d)
		}
		if s.name != "drop" {
			if n := w.inSpan("items", "x"); n != s.keys {
				t.Errorf("%s: %d entries, want %d", s.name, n, s.keys)
			}
		}
		w.checkEntries(t, "items")
	}
	if err := w.dropIndex("items", "x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("drop again: %v", err)
	}
}

func TestDroppedIndexesLeaveNothing(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("items", `[{"a":1},{"a":2}]`)
	w.indexed("items", "a")
	if err := w.index("items", IndexSpec{Paths: []string{"b"}}); err != nil { // still to be built
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := w.dropIndex("items", name); err != nil {
			t.Fatal(err)
		}
	}
	w.look(func(tx *kv.Tx) error {
		for _, kind := range []byte{indexByte, buildByte} {
			for rec, err := range tx.Scan([]byte{layerByte, kind}, []byte{layerByte, kind + 1}) {
				t.Errorf("left: %x %v", rec.Key, err)
			}
		}
		return nil
	})
	w.build() // and nothing to do
}

func TestASchemasUniqueIndexStays(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("items", Schema{Fields: []Field{{Name: "email", Type: "email", Unique: true}}})
	list := w.indexes("items")
	if len(list) != 1 || !list[0].Unique || list[0].State != Ready {
		t.Fatalf("%+v", list)
	}
	if err := w.dropIndex("items", list[0].Name); !errs.Is(err, errs.Conflict) {
		t.Errorf("dropped: %v", err)
	}
}

func TestArraysInIndexes(t *testing.T) {
	w := newWorld(t, Config{})
	w.delete("items", w.insert("items", `{}`))
	if err := w.index("items", IndexSpec{Name: "two", Paths: []string{"a", "b"}}); err != nil {
		t.Fatal(err)
	}
	w.insert("items", `{"a":[1,2,2,{"x":1}],"b":3}`)
	if n := w.inSpan("items", "two"); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
	_, err := w.tryInsert("items", `{"a":[1],"b":[2]}`, WriteOptions{})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "index two") {
		t.Errorf("two arrays: %v", err)
	}
	var many []string
	for i := range maxEntries + 1 {
		many = append(many, fmt.Sprint(i))
	}
	_, err = w.tryInsert("items", `{"a":[`+strings.Join(many, ",")+`]}`, WriteOptions{})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "index two") {
		t.Errorf("too many entries: %v", err)
	}
	w.insert("items", `{"a":[],"b":3}`)
	w.checkEntries(t, "items")
}

// What Clear leaves of documents and entries is nothing.
func TestClearClearsIndexes(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("items", `[{"a":1},{"a":2}]`)
	w.indexed("items", "a")
	w.must(func(tx *kv.Tx) error {
		c, err := w.open(tx, "items", Delete)
		if err == nil {
			_, err = c.Clear()
		}
		return err
	})
	if n := w.inSpan("items", "a"); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	w.insert("items", `{"a":1}`)
	w.checkEntries(t, "items")
}

// Two conditions on an array may be met by two members, so neither narrows the
// other's entries.
func TestTwoMembersMeetTwoConditions(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("items", `{"a":[1,10]}`)
	w.indexed("items", "a")
	for _, q := range []string{`{"a":{"$gt":3,"$lt":5}}`, `{"$and":[{"a":1},{"a":10}]}`} {
		if got, explain, err := w.selectAll("items", specOf(t, q, "", 0, -1), true); err != nil || got.Total != 1 || len(got.IDs) != 1 {
			t.Errorf("%s: %+v, %v, %s", q, got, err, explain)
		}
	}
}
