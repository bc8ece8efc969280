package collection

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// fill inserts n documents {"a":i}.
func (w *world) fill(name string, n int) {
	w.t.Helper()
	var body []string
	for i := range n {
		body = append(body, fmt.Sprintf(`{"a":%d}`, i))
	}
	w.insert(name, "["+strings.Join(body, ",")+"]")
}

// A node that dies leaves a build behind, and another goes on where it was.
func TestABuildGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 1000)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	var done int64
	for steps := 0; w.indexes("items")[0].State == Building; steps++ {
		st := w.indexes("items")[0]
		if st.Total != 1000 || st.Done < done || steps > 0 && st.Done == done {
			t.Fatalf("after %d steps: %+v", steps, st)
		}
		done = st.Done
		if n := w.inSpan("items", "a"); int64(n) != done {
			t.Fatalf("%d entries, %d are done", n, done)
		}
		if _, err := w.builder().Step(context.Background()); err != nil { // each time another Builder
			t.Fatal(err)
		}
	}
	if done == 0 {
		t.Error("it took one step")
	}
	w.checkEntries(t, "items")
}

// Whoever writes between the looks of a Builder, it comes to an end: documents
// newer than the index are not its business, and batches shrink.
func TestABuildEndsBesideWriters(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 600)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	b := w.builder()
	steps := 0
	for more := true; more; steps++ {
		if steps > 100 {
			t.Fatal("it does not end")
		}
		w.fill("items", 50) // as many as it has to do
		w.ConflictNext(steps % 3)
		var err error
		if more, err = b.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.ConflictNext(0)
	}
	if st := w.indexes("items")[0]; st.State != Ready {
		t.Errorf("%+v", st)
	}
	w.checkEntries(t, "items")
}

func TestConflictsMakeBatchesSmaller(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 3000)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	number := uint64(0)
	w.look(func(tx *kv.Tx) error {
		c, err := w.open(tx, "items", Read)
		if err == nil {
			number = c.row.Indexes[0].Number
		}
		return err
	})
	b := w.builder()
	for _, c := range []struct{ conflicts, want int }{{0, 2 * firstBatch}, {1, 2 * firstBatch}, {2, firstBatch}, {0, 2 * firstBatch}, {11, 1}} {
		w.ConflictNext(c.conflicts)
		if _, err := b.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := b.sizes[number]; got != c.want {
			t.Errorf("after %d conflicts the next batch is %d, want %d", c.conflicts, got, c.want)
		}
	}
}

func TestABuildThatCannotBeUniqueFails(t *testing.T) {
	w := newWorld(t, Config{})
	first := w.insert("items", `{"a":"x"}`)
	second := w.insert("items", `{"a":"x","secret":"s"}`)
	w.insert("items", `[{"a":[1,2],"b":[1]}]`)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}, Unique: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.index("items", IndexSpec{Paths: []string{"a", "b"}, Name: "two"}); err != nil {
		t.Fatal(err)
	}
	w.ConflictNext(1)
	var log bytes.Buffer
	b := w.builder()
	b.Log = slog.New(slog.NewTextHandler(&log, nil))
	for more := true; more; {
		var err error
		if more, err = b.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if text := log.String(); strings.Count(text, "state=failed") != 2 || strings.Contains(text, "x\\\"") || strings.Contains(text, first.String()) {
		t.Errorf("logged: %s", text)
	}
	list := w.indexes("items")
	for i, parts := range [][]string{{first.String(), second.String(), `"x"`}, {"only one of its fields"}} {
		for _, part := range parts {
			if list[i].State != Failed || !strings.Contains(list[i].Reason, part) || strings.Contains(list[i].Reason, "secret") {
				t.Errorf("%+v, want a reason with %s", list[i], part)
			}
		}
		if n := w.inSpan("items", list[i].Name); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}
	w.insert("items", `{"a":"x","b":"not kept up"}`)
	w.insert("items", `{"a":[1,2],"b":[1]}`)
	if n := w.inSpan("items", "a"); n != 0 {
		t.Errorf("a failed index has %d entries", n)
	}
	w.delete("items", first)
}

// While a unique index is built, a write that breaks it is refused if it is seen
// and makes the build fail if it is not.
func TestUniqueWhileBuilding(t *testing.T) {
	w := newWorld(t, Config{})
	old := w.insert("items", `{"a":"x"}`)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}, Unique: true}); err != nil {
		t.Fatal(err)
	}
	second := w.insert("items", `{"a":"x"}`) // the first is not in the index yet
	if _, err := w.tryInsert("items", `{"a":"x"}`, WriteOptions{}); err == nil {
		t.Error("the value is taken")
	}
	w.delete("items", old) // does not take the second's entry with it
	if _, err := w.tryInsert("items", `{"a":"x"}`, WriteOptions{}); err == nil {
		t.Error("the value is taken still")
	}
	w.build()
	w.checkEntries(t, "items")
	if st := w.indexes("items")[0]; st.State != Ready || w.inSpan("items", "a") != 1 {
		t.Errorf("%+v", st)
	}
	w.delete("items", second)
	w.insert("items", `{"a":"x"}`)
}

func TestABuilderWaitsForItsTurn(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 10)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	asked := 0
	b := w.builder()
	b.Leads = func() bool {
		if asked++; asked == 1 && w.indexes("items")[0].State != Building {
			t.Error("built before it led")
		}
		if w.indexes("items")[0].State == Ready {
			cancel()
		}
		return asked > 1
	}
	b.Run(ctx)
	if st := w.indexes("items")[0]; st.State != Ready {
		t.Errorf("%+v after %d looks", st, asked)
	}
}

func TestABuildWithoutItsCollectionIsForgotten(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 10)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	w.must(func(tx *kv.Tx) error { tx.Delete(collectionKey(DefaultDatabase, "items")); return nil })
	w.build()
	w.look(func(tx *kv.Tx) error {
		for rec := range tx.Scan(buildSpan()) {
			t.Errorf("left: %x", rec.Key)
		}
		return nil
	})
}

func TestAFailingStoreIsReported(t *testing.T) {
	w := newWorld(t, Config{})
	w.fill("items", 10)
	if err := w.index("items", IndexSpec{Paths: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	w.FailNext(errs.E(errs.Unavailable, "no leader"))
	if more, err := w.builder().Step(context.Background()); !more || !errs.Is(err, errs.Unavailable) {
		t.Errorf("more %v, %v", more, err)
	}
	w.build()
}
