package collection

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

const (
	id1 = "56e9d0b301bf3408000006f4"
	id2 = "56e9d0b301bf3408000006f5"
	id3 = "56e9d0b301bf3408000006f6"
)

func oid(t testing.TB, text string) OID {
	t.Helper()
	id, ok := ParseOID(text)
	if !ok {
		t.Fatalf("%q is no id", text)
	}
	return id
}

func TestWhatReadsShow(t *testing.T) {
	w := newWorld(t, Config{})
	docs, err := w.tryInsert("c", `{"_id":"`+id1+`","name":"P.O. Box 460","_tags":"x","_created":"y","_version":9,"_mock":true,"n":"name box"}`, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string][2]string{
		"plain": {string(docs[0].Plain([]byte("x"))), `x{"_id":"` + id1 + `","name":"P.O. Box 460","n":"name box"}`},
		"full": {string(docs[0].Full([]byte("x"))), `x{"_id":"` + id1 + `","name":"P.O. Box 460","n":"name box",` +
			`"_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T21:31:31.627Z","_createdby":"api","_changedby":"api",` +
			`"_keywords":["p","o","box","460","name","api"],"_tags":"p o box 460 name api","_version":0}`},
		"stored": {w.stored("c")[0], string(docs[0].JSON)},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %s\nwant %s", what, got[0], got[1])
		}
	}
	empty, err := w.tryInsert("c", `{}`, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"_keywords":["api"],"_tags":"api","_version":0}`; !strings.HasSuffix(string(empty[0].Full(nil)), want) {
		t.Errorf("got %s", empty[0].Full(nil))
	}
}

func TestParseDrafts(t *testing.T) {
	for _, tt := range []struct{ body, want string }{ // want "": refused
		{`{"a": 1}`, `{"a":1}`},
		{`{}`, `{}`},
		{`{"_id":null,"_rev":1}`, `{"_rev":1}`},
		{`{"b":1,"_created":1,"a":{"_created":1,"$x":2}}`, `{"b":1,"a":{"_created":1,"$x":2}}`},
		{`{"_id":"` + id1 + `"}`, `{} ` + id1},
		{`{"_parent_id":"` + id1 + `","_parent_def":"c","_parent_field":"f","a":1}`, `{"a":1} {` + id1 + ` c f}`},
		{`{"_parent_id":null,"_parent_def":"c"}`, `{}`},
		{`[]`, `many`},
		{`[{"a":1},{"_id":"` + id1 + `"}]`, `many {"a":1} {} ` + id1},
		{``, ""}, {`1`, ""}, {`"x"`, ""}, {`null`, ""}, {`[1]`, ""}, {`[[]]`, ""}, {`[{},null]`, ""},
		{`{"a":1,"a":2}`, ""}, {`{"$set":{"a":1}}`, ""},
		{`{"_id":"` + strings.ToUpper(id1) + `"}`, ""}, {`{"_id":1}`, ""}, {`{"_id":""}`, ""}, {`[{},{"_id":"x"}]`, ""},
		{`{"_parent_id":"x","_parent_def":"c","_parent_field":"f"}`, ""},
		{`{"_parent_id":"` + id1 + `","_parent_def":"_c","_parent_field":"f"}`, ""},
		{`{"_parent_id":"` + id1 + `","_parent_def":"c"}`, ""},
	} {
		drafts, many, err := ParseDrafts([]byte(tt.body), at)
		if err != nil {
			if tt.want != "" || !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v", tt.body, err)
			}
			continue
		}
		var got []string
		if many {
			got = append(got, "many")
		}
		for _, d := range drafts {
			got = append(got, string(d.Members))
			if d.Given {
				got = append(got, d.ID.String())
			} else if seconds := fmt.Sprintf("%08x", at.Unix()); !strings.HasPrefix(d.ID.String(), seconds) {
				t.Errorf("%s: id %s, want %s...", tt.body, d.ID, seconds)
			}
			if d.Parent != nil {
				got = append(got, fmt.Sprint(*d.Parent))
			}
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.body, got, tt.want)
		}
	}
}

func TestTooManyDrafts(t *testing.T) {
	_, _, err := ParseDrafts([]byte("["+strings.Repeat("{},", 100_000)+"{}]"), at)
	if !errs.Is(err, errs.TooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestInsertIsAllOrNothing(t *testing.T) {
	w := newWorld(t, Config{MaxDocument: 400})
	w.insert("c", `{"_id":"`+id1+`"}`)
	for what, tt := range map[string]struct {
		body string
		kind errs.Kind
	}{
		"an id that is taken":          {`[{"a":1},{"_id":"` + id1 + `"}]`, errs.Exists},
		"an id twice in one request":   {`[{"_id":"` + id2 + `"},{"_id":"` + id2 + `"}]`, errs.Exists},
		"a document that is too large": {`[{},{"a":"` + strings.Repeat("x", 400) + `"}]`, errs.TooLarge},
	} {
		t.Run(what, func(t *testing.T) {
			if _, err := w.tryInsert("c", tt.body, WriteOptions{}); !errs.Is(err, tt.kind) {
				t.Errorf("got %v, want %v", err, tt.kind)
			}
			if docs, n := w.stored("c"), w.count("c"); len(docs) != 1 || n != 1 {
				t.Errorf("%d documents, counted %d", len(docs), n)
			}
		})
	}
}

func TestInsertDoesNotRepeatItself(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `{}`)
	w.ConflictNext(1)
	w.insert("c", `[{"a":1},{"a":2}]`)
	if docs, n := w.stored("c"), w.count("c"); len(docs) != 3 || n != 3 {
		t.Errorf("%d documents, counted %d", len(docs), n)
	}
}

func TestUpdate(t *testing.T) {
	for _, tt := range []struct{ what, doc, body, want string }{
		{"an empty body", `{"a":1}`, ``, `{"a":1}`},
		{"merges", `{"a":1,"b":{"x":1}}`, `{"b":{"y":2},"c":3}`, `{"a":1,"b":{"y":2},"c":3}`},
		{"ignores metafields", `{"a":1}`, `{"_id":"x","_version":7,"_createdby":"me","_parent_id":1,"$inc":{"_version":5},"$set":{"_id":1,"a":2}}`, `{"a":2}`},
		{"null stays", `{"a":1}`, `{"a":null}`, `{"a":null}`},
		{"plain fields before operators", `{}`, `{"$inc":{"n":1},"n":5}`, `{"n":6}`},
		{"operators in their order", `{"n":1}`, `{"$inc":{"n":1},"$mul":{"n":10}}`, `{"n":20}`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t, Config{})
			id := w.insert("c", tt.doc)
			w.ConflictNext(1)
			if _, err := w.put("c", id, tt.body); err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(`{"_id":"`+id.String()+`",`+tt.want[1:], ",}")
			if !strings.HasSuffix(want, "}") {
				want += "}"
			}
			if got := w.plain("c", id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := w.stored("c")[0]; !strings.HasSuffix(got, `"_version":1}`) {
				t.Errorf("version: %s", got)
			}
		})
	}
}

func TestUpdateKeepsWhatItMust(t *testing.T) {
	w := newWorld(t, Config{})
	id := w.insert("c", `{"a":1,"b":2,"_parent_id":"`+id2+`","_parent_def":"p","_parent_field":"f"}`)
	two := int64(2)
	later := WriteOptions{At: at.Add(time.Hour)}
	if _, err := w.tryUpdate("c", id, `{"c":3}`, true, later); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"_id":"` + id.String() + `","c":3,"_parent_id":"` + id2 + `","_parent_def":"p","_parent_field":"f",` +
		`"_created":"2016-03-16T21:31:31.627Z","_changed":"2016-03-16T22:31:31.627Z","_createdby":"api","_changedby":"api","_version":1}`}
	if diff := cmp.Diff(want, w.stored("c")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	later.IfVersion = &two
	if _, err := w.tryUpdate("c", id, `{}`, false, later); !errs.Is(err, errs.Exists) {
		t.Errorf("another version: %v", err)
	}
	one := int64(1)
	later.IfVersion = &one
	if _, err := w.tryUpdate("c", id, `{}`, false, later); err != nil {
		t.Errorf("its version: %v", err)
	}
	if _, err := w.put("c", oid(t, id3), `{}`); !errs.Is(err, errs.NotFound) {
		t.Errorf("no such document: %v", err)
	}
}

// Clients count with $inc: no increment may be lost.
func TestIncrementsAtTheSameTime(t *testing.T) {
	w := newWorld(t, Config{})
	id := w.insert("c", `{"n":0}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if _, err := w.put("c", id, `{"$inc":{"n":1}}`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := w.plain("c", id), `{"_id":"`+id.String()+`","n":80}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `[{"_id":"`+id1+`"},{"_id":"`+id2+`"},{"_id":"`+id3+`"}]`)
	w.ConflictNext(1)
	got := w.delete("c", oid(t, id3), OID{}, oid(t, id1), oid(t, id3))
	if want := []OID{oid(t, id3), oid(t, id1)}; cmp.Diff(want, got) != "" {
		t.Errorf("got %v, want %v", got, want)
	}
	if docs, n := w.stored("c"), w.count("c"); len(docs) != 1 || n != 1 {
		t.Errorf("%d documents, counted %d", len(docs), n)
	}
	if got := w.delete("c", oid(t, id1)); got != nil {
		t.Errorf("deleted again: %v", got)
	}
}

func TestClear(t *testing.T) {
	w := newWorld(t, Config{})
	w.schema("c", Schema{Fields: []Field{{Name: "u", Type: typeText, Unique: true}}})
	w.insert("c", `[{"_id":"`+id2+`","u":"a"},{"_id":"`+id1+`","u":"b"}]`)
	w.insert("other", `{}`)
	var got []OID
	empty := func(tx *kv.Tx) error {
		c, err := w.open(tx, "c", Delete)
		if err != nil {
			return err
		}
		got, err = c.Clear()
		return err
	}
	w.ConflictNext(1)
	w.must(empty)
	if want := []OID{oid(t, id1), oid(t, id2)}; cmp.Diff(want, got) != "" {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(w.stored("c")) != 0 || w.count("c") != 0 || len(w.stored("other")) != 1 {
		t.Errorf("left: %v, counted %d; other %v", w.stored("c"), w.count("c"), w.stored("other"))
	}
	w.must(empty)
	if got != nil {
		t.Errorf("deleted again: %v", got)
	}
	w.insert("c", `{"u":"a"}`) // no entry has stayed
}

// A user whose roles are private finds only what they have created.
func TestPrivateData(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `{"_id":"`+id1+`"}`)
	as := func(need Need, fn func(*Collection) error) error {
		return w.change(func(tx *kv.Tx) error {
			c, err := w.open(tx, "c", need)
			if err != nil {
				return err
			}
			c.by, c.mine, c.full = "eve@x.org", true, false
			return fn(c)
		})
	}
	drafts, _, err := ParseDrafts([]byte(`[{"_id":"`+id2+`"},{"_id":"`+id3+`"}]`), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := as(Create, func(c *Collection) error { _, err := c.Insert(drafts, WriteOptions{At: at}); return err }); err != nil {
		t.Fatal(err)
	}
	err = as(Update, func(c *Collection) error { _, err := c.Update(oid(t, id1), Change{}, WriteOptions{At: at}); return err })
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("update of another's: %v", err)
	}
	var got []OID
	if err := as(Delete, func(c *Collection) (err error) { got, err = c.Delete([]OID{oid(t, id1), oid(t, id2)}); return err }); err != nil {
		t.Fatal(err)
	}
	if want := []OID{oid(t, id2)}; cmp.Diff(want, got) != "" {
		t.Errorf("deleted %v, want %v", got, want)
	}
	if err := as(Delete, func(c *Collection) (err error) { got, err = c.Clear(); return err }); err != nil {
		t.Fatal(err)
	}
	if want := []OID{oid(t, id3)}; cmp.Diff(want, got) != "" || len(w.stored("c")) != 1 || w.count("c") != 1 {
		t.Errorf("cleared %v, want %v; %d left, counted %d", got, want, len(w.stored("c")), w.count("c"))
	}
}

func TestACollectionIsUsedForWhatItWasOpenedFor(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("c", `{}`)
	for what, use := range map[string]func(*Collection) error{
		"insert": func(c *Collection) error { _, err := c.Insert(nil, WriteOptions{}); return err },
		"update": func(c *Collection) error { _, err := c.Update(OID{}, Change{}, WriteOptions{}); return err },
		"delete": func(c *Collection) error { _, err := c.Delete(nil); return err },
		"clear":  func(c *Collection) error { _, err := c.Clear(); return err },
	} {
		w.look(func(tx *kv.Tx) error {
			c, err := w.open(tx, "c", Read)
			if err == nil && !errs.Is(use(c), errs.Internal) {
				t.Errorf("%s of what was opened to read", what)
			}
			return err
		})
	}
}

func TestIDsOfOneSecondAreInOrder(t *testing.T) {
	w := newWorld(t, Config{})
	w.s.ids.count.Store(1<<23 - 3) // where carries are
	var want []string
	for range 3 {
		drafts, _, err := ParseDrafts([]byte(`[{},{},{}]`), at)
		if err != nil {
			t.Fatal(err)
		}
		w.ConflictNext(1) // the second run stores what the first has drawn
		var runs [][]OID
		w.must(func(tx *kv.Tx) error {
			c, err := w.open(tx, "c", Create)
			if err != nil {
				return err
			}
			docs, err := c.Insert(drafts, WriteOptions{At: at})
			var ids []OID
			for _, d := range docs {
				ids = append(ids, d.ID())
			}
			runs = append(runs, ids)
			return err
		})
		for _, ids := range runs[1:] {
			if !slices.Equal(ids, runs[0]) {
				t.Errorf("drawn again: %v, %v", runs[0], ids)
			}
		}
		for _, id := range runs[0] {
			want = append(want, id.String())
		}
	}
	var got []string
	for _, d := range w.stored("c") {
		got = append(got, string(plainText(find([]byte(d), "_id"))))
	}
	if !slices.IsSorted(want) || !slices.Equal(got, want) {
		t.Errorf("inserted as %v, listed as %v", want, got)
	}
}

func TestIDsAreDrawnOnce(t *testing.T) {
	first, second := newIDs(), newIDs()
	if first.process == second.process {
		t.Error("two processes have drawn the same")
	}
	if n := first.count.Load(); n >= 1<<23 {
		t.Errorf("the counter begins at %d", n)
	}
	var mu sync.Mutex
	seen := map[OID]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				id := first.complete(idAt(at))
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 1600 {
		t.Errorf("%d different ids of 1600", len(seen))
	}
}
