package collection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection/query"
)

// index gives a collection an index; documents that are there stay to be built.
func (w *world) index(name string, spec IndexSpec) error {
	w.t.Helper()
	return w.change(func(tx *kv.Tx) error {
		_, err := w.s.CreateIndex(tx, DefaultDatabase, name, spec)
		return err
	})
}

// indexed gives a collection an index and builds it.
func (w *world) indexed(name string, paths ...string) {
	w.t.Helper()
	if err := w.index(name, IndexSpec{Paths: paths}); err != nil {
		w.t.Fatal(err)
	}
	w.build()
}

// builder returns a Builder on the world's store.
func (w *world) builder() *Builder {
	return &Builder{DB: w.DB, Store: w.s, Leads: func() bool { return true }, Log: quiet()}
}

// build builds all indexes.
func (w *world) build() {
	w.t.Helper()
	b := w.builder()
	for more := true; more; {
		var err error
		if more, err = b.Step(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// selected is what a Selection gives.
type selected struct {
	IDs   []string
	Total int
}

// selectAll runs a request, with the total asked first or not at all.
func (w *world) selectAll(name string, spec *query.Spec, total bool) (got selected, explain string, err error) {
	w.t.Helper()
	_, err = w.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		got, explain, err = runSelection(c, spec, total)
		return err
	})
	return got, explain, err
}

func runSelection(c *Collection, spec *query.Spec, total bool) (got selected, explain string, err error) {
	s, err := c.Select(context.Background(), spec)
	if err != nil {
		return got, "", err
	}
	got.Total = -1
	if total {
		if got.Total, err = s.Total(); err != nil {
			return got, string(s.Explain()), err
		}
	}
	for d, err := range s.Documents() {
		if err != nil {
			return got, string(s.Explain()), err
		}
		got.IDs = append(got.IDs, d.ID().String())
	}
	return got, string(s.Explain()), nil
}

// specOf reads a query and a sort such as "a -b".
func specOf(t interface{ Fatal(...any) }, q, sort string, skip, most int) *query.Spec {
	parsed, err := query.Parse([]byte(q), at)
	if err != nil {
		t.Fatal(q, err)
	}
	spec := &query.Spec{Query: parsed, Skip: skip, Max: most}
	for _, word := range strings.Fields(sort) {
		path, err := query.ParsePath(strings.TrimPrefix(word, "-"))
		if err != nil {
			t.Fatal(err)
		}
		spec.Sort = append(spec.Sort, query.SortKey{Path: path, Desc: word[0] == '-'})
	}
	return spec
}

// plainly answers a request without planner and indexes.
func plainly(docs []string, spec *query.Spec) (want selected) {
	type item struct {
		values []query.Value
		id     string
	}
	var all []item
	for _, text := range docs {
		if doc := []byte(text); spec.Match(doc) {
			all = append(all, item{query.SortValues(nil, spec.Sort, doc), text[len(headText):][:24]})
		}
	}
	slices.SortFunc(all, func(a, b item) int {
		if n := query.CompareSorted(spec.Sort, a.values, b.values); n != 0 {
			return n
		}
		return strings.Compare(a.id, b.id)
	})
	want.Total = len(all)
	all = all[min(max(spec.Skip, 0), len(all)):]
	if spec.Max >= 0 {
		all = all[:min(spec.Max, len(all))]
	}
	for _, it := range all {
		want.IDs = append(want.IDs, it.id)
	}
	return want
}

// The values that random documents and queries are made of: few, so that they
// meet, with all kinds, and texts that an index cannot tell apart by order.
var someValues = []string{
	"null", "0", "-0", "1", "1.0", "2", "-3.5", "1e300", "true", "false",
	`""`, `"a"`, `"ab"`, `"b"`, `"a\u0000"`, `"a\u0000b"`, `"ü"`,
	`"` + strings.Repeat("l", 512) + `"`, `"` + strings.Repeat("l", 513) + `"`, `"` + strings.Repeat("l", 512) + `zz"`, `"` + strings.Repeat("l", 512) + `a"`,
	`{}`, `{"x":1}`, `{"x":1.0}`, `{"y":1,"x":2}`,
}

var somePaths = []string{"a", "b", "c", "n.x", "n.y"}

func drawValue(t *rapid.T) string { return rapid.SampledFrom(someValues).Draw(t, "value") }

// drawField draws a field's value; where there are arrays, sometimes one.
func drawField(t *rapid.T, arrays bool) string {
	if !arrays {
		return drawValue(t)
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind of field") {
	case 0:
		list := rapid.SliceOfN(rapid.SampledFrom(someValues), 0, 3).Draw(t, "members")
		return "[" + strings.Join(list, ",") + "]"
	case 1:
		return "[[" + drawValue(t) + "]]"
	}
	return drawValue(t)
}

func drawDocument(t *rapid.T, arrays bool) string {
	var fields []string
	for _, name := range []string{"a", "b", "c"} {
		if rapid.IntRange(0, 4).Draw(t, "missing") > 0 {
			fields = append(fields, fmt.Sprintf("%q:%s", name, drawField(t, arrays)))
		}
	}
	object := func() string {
		var fields []string
		for _, name := range []string{"x", "y"} {
			if rapid.Bool().Draw(t, "missing") {
				fields = append(fields, fmt.Sprintf("%q:%s", name, drawField(t, arrays)))
			}
		}
		return "{" + strings.Join(fields, ",") + "}"
	}
	switch n := rapid.IntRange(0, 5).Draw(t, "n"); {
	case n == 0 && arrays:
		var list []string
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			list = append(list, object())
		}
		fields = append(fields, `"n":[`+strings.Join(list, ",")+"]")
	case n == 1:
		fields = append(fields, `"n":`+drawValue(t))
	case n > 2:
		fields = append(fields, `"n":`+object())
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func drawCondition(t *rapid.T) string {
	v := func() string { return drawValue(t) }
	switch rapid.IntRange(0, 15).Draw(t, "condition") {
	case 0, 1, 2, 3:
		return v()
	case 4, 5:
		return fmt.Sprintf(`{"$in":[%s,%s,%s]}`, v(), v(), v())
	case 6:
		return fmt.Sprintf(`{"$gt":%s}`, v())
	case 7:
		return fmt.Sprintf(`{"$gte":%s,"$lt":%s}`, v(), v())
	case 8:
		return fmt.Sprintf(`{"$lte":%s}`, v())
	case 9:
		return fmt.Sprintf(`{"$bt":[%s,%s]}`, v(), v())
	case 10:
		return fmt.Sprintf(`{"$elemMatch":{"$gt":%s,"$lt":%s}}`, v(), v())
	case 11:
		return fmt.Sprintf(`{"$not":%s}`, v())
	case 12:
		return `{"$exists":true}`
	case 13:
		return `{"$regex":"^a"}`
	case 14:
		return fmt.Sprintf(`{"$all":[%s,%s]}`, v(), v())
	}
	return `[` + v() + `]`
}

func drawQuery(t *rapid.T) string {
	var members []string
	paths := slices.Clone(somePaths)
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		i := rapid.IntRange(0, len(paths)-1).Draw(t, "path")
		members = append(members, fmt.Sprintf("%q:%s", paths[i], drawCondition(t)))
		paths = slices.Delete(paths, i, i+1)
	}
	switch rapid.IntRange(0, 9).Draw(t, "more") {
	case 0:
		members = append(members, fmt.Sprintf(`"$or":[{"a":%s},{"b":%s}]`, drawValue(t), drawValue(t)))
	case 1:
		members = append(members, fmt.Sprintf(`"$and":[{"a":%s},{"a":%s}]`, drawCondition(t), drawCondition(t)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func drawSpec(t *rapid.T) (spec *query.Spec, text string) {
	q := drawQuery(t)
	var sort []string
	for range rapid.IntRange(0, 2).Draw(t, "sort keys") {
		sort = append(sort, rapid.SampledFrom([]string{"", "-"}).Draw(t, "dir")+rapid.SampledFrom(append(somePaths, "_id")).Draw(t, "sort"))
	}
	skip, most := 0, rapid.SampledFrom([]int{-1, -1, 0, 1, 3, 100}).Draw(t, "max")
	if rapid.Bool().Draw(t, "skips") {
		skip = rapid.IntRange(0, 4).Draw(t, "skip")
	}
	text = fmt.Sprintf("q=%s sort=%v skip=%d max=%d", q, sort, skip, most)
	parsed, err := query.Parse([]byte(q), at)
	if err != nil {
		t.Skip(err) // an operand that an operator does not take
	}
	spec = specOf(t, "{}", strings.Join(sort, " "), skip, most)
	spec.Query = parsed
	return spec, text
}

// Whatever indexes there are, however far their builds have come and however
// often writes meet conflicts: a request is answered as by looking at every
// document, and an index holds what it should.
func TestIndexesDoNotChangeAnswers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{t: t, Store: kvtest.NewForgetful(t, 1000), s: New(Config{})} // the ring of ids costs more than all else
		first := w.insert("items", `{"a":1}`)
		var ids []OID
		b := w.builder()
		arrays := rapid.Bool().Draw(rt, "arrays")
		specs := rapid.SliceOfNDistinct(rapid.SliceOfNDistinct(rapid.SampledFrom(somePaths), 1, 3, rapid.ID), 0, 4,
			func(p []string) string { return strings.Join(p, ",") }).Draw(rt, "indexes")
		if rapid.Bool().Draw(rt, "indexes at once") {
			w.delete("items", first)
			for ; len(specs) > 0; specs = specs[1:] {
				if err := w.index("items", IndexSpec{Paths: specs[0]}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range rapid.IntRange(10, 40).Draw(rt, "steps") {
			w.ConflictNext(rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(rt, "conflicts"))
			switch n := rapid.IntRange(0, 9).Draw(rt, "step"); {
			case n < 5 || len(ids) == 0:
				docs, err := w.tryInsert("items", drawDocument(rt, arrays), WriteOptions{})
				if errs.Is(err, errs.Invalid) { // two arrays in an index, or a value that has to be unique
					continue
				}
				if err != nil {
					rt.Fatal(err)
				}
				ids = append(ids, docs[0].ID())
			case n == 5:
				id := rapid.SampledFrom(ids).Draw(rt, "id")
				if _, err := w.tryUpdate("items", id, drawDocument(rt, arrays), rapid.Bool().Draw(rt, "replace"), WriteOptions{At: at}); err != nil && !errs.Is(err, errs.Invalid) {
					rt.Fatal(err)
				}
			case n == 6:
				i := rapid.IntRange(0, len(ids)-1).Draw(rt, "id")
				w.delete("items", ids[i])
				ids = slices.Delete(ids, i, i+1)
			case n == 7 && len(specs) > 0:
				if err := w.index("items", IndexSpec{Paths: specs[0], Unique: rapid.IntRange(0, 4).Draw(rt, "unique") == 0}); err != nil {
					rt.Fatal(err)
				}
				specs = specs[1:]
			case n == 8:
				b.sizes = map[uint64]int{}
				for number := range uint64(20) {
					b.sizes[number] = rapid.IntRange(1, 4).Draw(rt, "batch")
				}
				if _, err := b.Step(context.Background()); err != nil {
					rt.Fatal(err)
				}
			}
			w.ConflictNext(0)
			spec, text := drawSpec(rt)
			want := plainly(w.stored("items"), spec)
			got, explain, err := w.selectAll("items", spec, true)
			if err != nil {
				rt.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				rt.Fatalf("%s\n%s\n%s\n%s", text, explain, d, strings.Join(w.stored("items"), "\n"))
			}
			got, explain, err = w.selectAll("items", spec, false)
			if want.Total = -1; err != nil || !cmp.Equal(want, got) {
				rt.Fatalf("without the total: %s\n%s\n%v %s", text, explain, err, cmp.Diff(want, got))
			}
			w.checkEntries(rt, "items")
		}
	})
}

// checkEntries compares the entries of all indexes with what the documents
// say: ready ones have all, those that are built no wrong ones.
func (w *world) checkEntries(t interface{ Fatalf(string, ...any) }, name string) {
	w.t.Helper()
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, name, Read)
		if err != nil {
			return err
		}
		for _, ix := range c.row.Indexes {
			want := make(map[string][]string)
			for _, text := range w.stored(name) {
				d := Document{JSON: []byte(text)}
				list, _, err := ix.entries(&d)
				if err != nil {
					continue
				}
				for _, e := range list {
					id, value := d.ID(), ""
					if e.owned {
						value = string(id[:])
					}
					want[string(e.key)] = append(want[string(e.key)], value)
				}
			}
			got := 0
			for rec, err := range tx.Scan(ix.span()) {
				if err != nil {
					return err
				}
				got++
				values := want[string(rec.Key)]
				if !slices.Contains(values, string(rec.Value)) || len(values) > 1 && ix.State == Ready || ix.State == Failed {
					t.Fatalf("index %s (%s) has entry %x = %x", ix.Name, ix.State, rec.Key, rec.Value)
				}
			}
			if ix.State == Ready && got != len(want) {
				t.Fatalf("index %s has %d entries, want %d", ix.Name, got, len(want))
			}
		}
		return nil
	})
}

// Runs of equal values backwards, longer than what is gathered at a time, and
// texts of which an index has the beginning only.
func TestRunsComeInOrder(t *testing.T) {
	w := newWorld(t, Config{})
	var body []string
	for i := range 3 * longRun {
		body = append(body, fmt.Sprintf(`{"a":%d,"b":%d,"t":"%s%d"}`, i%3, i%7, strings.Repeat("t", 600), (i*31)%50))
	}
	w.insert("items", "["+strings.Join(body, ",")+"]")
	w.indexed("items", "a")
	w.indexed("items", "a", "b")
	w.indexed("items", "t")
	docs := w.stored("items")
	for _, c := range []struct{ q, sort, index string }{
		{`{}`, "-a", "a"},
		{`{}`, "-a -_id", "a"},
		{`{}`, "a -_id", "a"},
		{`{"a":1}`, "-b", "a_b"},
		{`{"a":1}`, "b", "a_b"},
		{`{}`, "-a b", ""},
		{`{}`, "a b", "a_b"},
		{`{}`, "t", "t"},
		{`{}`, "-t", "t"},
		{`{"a":{"$in":[0,2]}}`, "-a", "a"},
	} {
		for _, most := range []int{1, 100, 2*longRun + 7, 10_000} {
			spec := specOf(t, c.q, c.sort, 0, most)
			want := plainly(docs, spec)
			want.Total = -1
			got, explain, err := w.selectAll("items", spec, false)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("%s by %s, max %d: %v\n%s\n%s", c.q, c.sort, most, err, explain, d)
			}
			if most == 100 && !strings.Contains(explain, fmt.Sprintf(`"index":%q`, c.index)) && c.index != "" {
				t.Errorf("%s by %s: %s, want index %s", c.q, c.sort, explain, c.index)
			}
		}
	}
}

func TestNoMoreIsReadThanNeeded(t *testing.T) {
	w := newWorld(t, Config{})
	var body []string
	for i := range 1000 {
		body = append(body, fmt.Sprintf(`{"a":%d,"b":%d}`, i%100, i))
	}
	w.insert("items", "["+strings.Join(body, ",")+"]")
	w.indexed("items", "a")
	w.indexed("items", "b")
	for _, c := range []struct {
		q, sort            string
		total              bool
		entries, documents int
	}{
		{`{}`, "", true, 0, 20},
		{`{}`, "-_id", true, 0, 20},
		{`{"a":5}`, "", true, 20, 10}, // counted, then read
		{`{"b":{"$gte":500}}`, "b", false, 20, 20},
		{`{"b":{"$gte":500}}`, "b", true, 520, 20},
		{`{"b":{"$gte":500}}`, "-b", false, 21, 20},
		{`{"b":{"$gte":500},"a":{"$ne":5}}`, "b", false, 21, 21},
		{`{"a":1,"b":{"$exists":true}}`, "", true, 10, 10},
		{`{"_id":"000000000000000000000000"}`, "", true, 0, 1},
		{`{"a":{"$in":[]}}`, "", true, 0, 0},
		{`{"c":1}`, "", true, 0, 1000},
	} {
		_, explain, err := w.selectAll("items", specOf(t, c.q, c.sort, 0, 20), c.total)
		var got explanation
		if err != nil || json.Unmarshal([]byte(explain), &got) != nil {
			t.Fatal(err, explain)
		}
		if got.Entries != c.entries || got.Documents != c.documents {
			t.Errorf("%s by %q: %s, want %d entries and %d documents", c.q, c.sort, explain, c.entries, c.documents)
		}
	}
}

func TestLimitsSayWhatToDo(t *testing.T) {
	w := newWorld(t, Config{MaxExamined: 50, MaxResult: 5000})
	var body []string
	for i := range 60 {
		body = append(body, fmt.Sprintf(`{"a":%d,"b":"%s"}`, i, strings.Repeat("b", 100)))
	}
	w.insert("items", "["+strings.Join(body, ",")+"]")
	for _, c := range []struct {
		q, sort string
		most    int
		want    string // part of the error
	}{
		{`{"a":59,"c":{"$gt":1}}`, "d", 10, "create an index on a, d, c"},
		{`{"a":{"$not":1}}`, "", -1, "more than 5000 bytes"},
		{`{"$or":[{"a":1},{"a":2}]}`, "", -1, "narrow q"},
		{`{"a":{"$lt":10}}`, "b", 1000, "50 documents"},
		{`{}`, "", 5, ""},
	} {
		_, _, err := w.selectAll("items", specOf(t, c.q, c.sort, 0, c.most), false)
		if (err != nil) != (c.want != "") || err != nil && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s by %q: %v, want %q", c.q, c.sort, err, c.want)
		}
	}
	w.indexed("items", "a")
	_, _, err := w.selectAll("items", specOf(t, `{"a":{"$gte":0}}`, "", 0, 10), true)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "50 index entries") {
		t.Errorf("counting entries: %v", err)
	}
	_, _, err = w.selectAll("items", specOf(t, `{"a":{"$lt":45}}`, "b", 0, -1), false)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "sorting takes more than 5000 bytes") {
		t.Errorf("a large sort: %v", err)
	}
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	w := newWorld(t, Config{})
	var body []string
	for i := range 600 {
		body = append(body, fmt.Sprintf(`{"a":%d}`, i))
	}
	w.insert("items", "["+strings.Join(body, ",")+"]")
	ctx, cancel := context.WithCancel(context.Background())
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, "items", Read)
		if err != nil {
			return err
		}
		s, err := c.Select(ctx, specOf(t, `{"a":{"$not":1}}`, "", 0, -1))
		if err != nil {
			return err
		}
		n := 0
		for _, err := range s.Documents() {
			if n++; n == 10 {
				cancel()
			}
			if err != nil && !errs.Is(err, errs.Unavailable) {
				t.Error(err)
			}
		}
		if n > 300 {
			t.Errorf("%d documents after the context has ended", n)
		}
		return nil
	})
}

// Documents of others are as good as not there, whatever the plan.
func TestPrivateDocuments(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("items", `[{"a":1},{"a":1},{"a":2}]`)
	w.indexed("items", "a")
	for _, q := range []string{`{}`, `{"a":1}`, `{"b":null}`} {
		w.look(func(tx *kv.Tx) error {
			c, err := w.open(tx, "items", Read)
			if err != nil {
				return err
			}
			for by, all := range map[string]bool{"api": true, "a@b.example": false} {
				mine := *c
				mine.mine, mine.by = true, by
				got, explain, err := runSelection(&mine, specOf(t, q, "", 0, 10), true)
				if err != nil {
					return err
				}
				if (got.Total > 0) != all || len(got.IDs) != got.Total {
					t.Errorf("%s by %s: %+v %s", q, by, got, explain)
				}
			}
			return nil
		})
	}
}

func TestPlansLeaveLookupsAlone(t *testing.T) {
	w := newWorld(t, Config{})
	red := w.insert("colors", `{"name":"red","rank":2}`)
	blue := w.insert("colors", `{"name":"blue","rank":1}`)
	w.schema("items", Schema{Fields: []Field{{Name: "color", Type: "collection", Collection: "colors", Relation: "one"}}})
	w.insert("items", fmt.Sprintf(`[{"n":1,"color":%q},{"n":2,"color":%q},{"n":3}]`, red, blue))
	w.indexed("items", "color.name") // of which it knows nothing
	w.indexed("items", "color.rank")
	w.indexed("items", "n")
	for _, c := range []struct{ q, sort, want string }{
		{`{"color.name":"red"}`, "", "1"},
		{fmt.Sprintf(`{"color._id":%q}`, blue), "", "2"},
		{`{"color.name":"red","n":2}`, "", ""},
		{`{"n":{"$lt":3}}`, "color.rank", "2 1"},
		{`{}`, "-color.rank", "1 2 3"},
	} {
		w.look(func(tx *kv.Tx) error {
			items, err := w.open(tx, "items", Read)
			if err != nil {
				return err
			}
			s, err := items.Select(context.Background(), specOf(t, c.q, c.sort, 0, 10))
			if err != nil {
				return err
			}
			total, err := s.Total()
			if err != nil {
				return err
			}
			var got []string
			for d, err := range s.Documents() {
				if err != nil {
					return err
				}
				n, _ := query.ParsePath("n")
				for v := range n.Values(d.JSON) {
					got = append(got, v.Raw())
				}
			}
			if strings.Join(got, " ") != c.want || total != len(got) {
				t.Errorf("%s by %q: %v of %d, want %s; %s", c.q, c.sort, got, total, c.want, s.Explain())
			}
			return nil
		})
	}
}

// A delete by query: what matches when it is committed is gone.
func TestMatchingIsGuarded(t *testing.T) {
	w := newWorld(t, Config{})
	w.insert("items", `[{"a":1},{"a":2},{"a":1}]`)
	w.indexed("items", "a")
	runs := 0
	var deleted []OID
	w.must(func(tx *kv.Tx) error {
		c, err := w.open(tx, "items", Delete)
		if err != nil {
			return err
		}
		spec := specOf(t, `{"a":1}`, "-a", 1, 1) // only the query counts
		ids, err := c.Matching(context.Background(), spec)
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			w.insert("items", `{"a":1}`)
		}
		deleted, err = c.Delete(ids)
		return err
	})
	if runs < 2 || len(deleted) != 3 || !slices.IsSortedFunc(deleted, compareIDs) || w.count("items") != 1 {
		t.Errorf("%d runs deleted %v", runs, deleted)
	}
	w.checkEntries(t, "items")
}
