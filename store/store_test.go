package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

// quiet keeps Pebble's messages out of the test output.
func quiet() *slog.Logger { return newTextLogger(io.Discard) }

func newTextLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// testOptions are small, so that flushes and compactions happen.
func testOptions(fs vfs.FS, dir string) Options {
	return Options{Dir: dir, FS: fs, Logger: quiet(), CacheBytes: 1 << 20, MemTableBytes: 256 << 10}
}

func mustOpen(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commit runs fn on a new batch and commits it.
func commit(t testing.TB, db *DB, fn func(*Batch)) {
	t.Helper()
	b := db.Batch()
	fn(b)
	must(t, b.Commit())
	must(t, b.Close())
}

func set(t testing.TB, db *DB, pairs ...string) {
	t.Helper()
	commit(t, db, func(b *Batch) {
		for i := 0; i < len(pairs); i += 2 {
			b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

// list drains it into "key=value" texts and closes it.
func list(t testing.TB, it *Iter) []string {
	t.Helper()
	got := []string{}
	for it.Next() {
		got = append(got, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	must(t, it.Close())
	return got
}

// contents returns all of db.
func contents(t testing.TB, db *DB) []string {
	t.Helper()
	s := db.Snapshot()
	defer s.Close()
	return list(t, s.Scan(nil, nil))
}

func wantList(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantKind(t testing.TB, what string, err error, kind errs.Kind) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind {
		t.Errorf("%s: got error %v (kind %v), want kind %v", what, err, errs.KindOf(err), kind)
	}
}

// TestConformance runs every rule of the map on disk and in memory.
func TestConformance(t *testing.T) {
	rules := []struct {
		name string
		run  func(*testing.T, Options)
	}{
		{"reads what was written", testReads},
		{"scans spans both ways", testScans},
		{"a batch sees its own writes", testBatchReads},
		{"a batch is atomic and spent after its commit", testBatchCommit},
		{"deletes spans", testDeleteSpan},
		{"a snapshot does not change", testSnapshot},
		{"large values", testLargeValues},
		{"close and open again", testReopen},
		{"one opener at a time", testLock},
		{"checkpoint", testCheckpoint},
		{"replace", testReplace},
		{"a failed replace changes nothing", testReplaceFails},
		{"after close", testClosed},
		{"read-only", testReadOnly},
		{"metrics", testMetrics},
	}
	media := []struct {
		name string
		fs   func() vfs.FS
	}{
		{"disk", func() vfs.FS { return nil }},
		{"memory", MemFS},
	}
	for _, m := range media {
		for _, r := range rules {
			t.Run(m.name+"/"+r.name, func(t *testing.T) {
				r.run(t, testOptions(m.fs(), t.TempDir()+"/a/store"))
			})
		}
	}
}

func testReads(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1", "b", "", "\x00", "low", "\xff\xff", "high")
	s := db.Snapshot()
	defer s.Close()
	for _, tc := range []struct {
		key, want string
		ok        bool
	}{{"a", "1", true}, {"b", "", true}, {"\x00", "low", true}, {"", "", false}, {"\xff\xff", "high", true}, {"c", "", false}, {"aa", "", false}} {
		got, ok, err := s.Get([]byte(tc.key))
		if err != nil || ok != tc.ok || string(got) != tc.want || ok && got == nil {
			t.Errorf("Get(%q) = %q, %v, %v; want %q, %v", tc.key, got, ok, err, tc.want, tc.ok)
		}
		seen := false
		ok, err = s.View([]byte(tc.key), func(v []byte) error { seen = string(v) == tc.want; return nil })
		if err != nil || ok != tc.ok || seen != tc.ok {
			t.Errorf("View(%q): ok %v, right value %v, %v", tc.key, ok, seen, err)
		}
	}
	if _, err := s.View([]byte("a"), func([]byte) error { return io.EOF }); err != io.EOF {
		t.Errorf("View returned %v, want the closure's own error", err)
	}
}

func testScans(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1", "b", "2")
	must(t, db.Flush())
	set(t, db, "c", "3", "d", "4")
	s := db.Snapshot()
	defer s.Close()
	b := db.Batch()
	defer b.Close()
	all := []string{"a=1", "b=2", "c=3", "d=4"}
	for _, tc := range []struct {
		name   string
		lo, hi []byte
		want   []string
	}{
		{"everything", nil, nil, all},
		{"an empty hi is before everything", nil, []byte{}, nil},
		{"hi is exclusive", []byte("a"), []byte("d"), all[:3]},
		{"lo is inclusive, hi open", []byte("b"), nil, all[1:]},
		{"between keys", []byte("aa"), []byte("cc"), all[1:3]},
		{"nothing there", []byte("x"), nil, nil},
		{"lo = hi", []byte("b"), []byte("b"), nil},
		{"lo > hi", []byte("c"), []byte("a"), nil},
	} {
		var back []string
		for i := len(tc.want) - 1; i >= 0; i-- {
			back = append(back, tc.want[i])
		}
		for name, r := range map[string]Reader{"snapshot": s, "batch": b} {
			wantList(t, name+": "+tc.name, list(t, r.Scan(tc.lo, tc.hi)), tc.want...)
			wantList(t, name+": "+tc.name+", back", list(t, r.ScanBack(tc.lo, tc.hi)), back...)
		}
	}
	it := s.Scan(nil, nil)
	for it.Next() {
	}
	if it.Next() || it.Key() != nil || it.Value() != nil {
		t.Error("an iterator came back to life after its end")
	}
	must(t, it.Close())
	must(t, it.Close())
}

func testBatchReads(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1", "b", "2", "c", "3")
	b := db.Batch()
	defer b.Close()
	before := b.Scan(nil, nil)
	defer before.Close()
	b.Set([]byte("b"), []byte("22"))
	b.Set([]byte("d"), []byte("4"))
	b.Delete([]byte("a"))
	wantList(t, "batch", list(t, b.Scan(nil, nil)), "b=22", "c=3", "d=4")
	b.DeleteSpan([]byte("b"), []byte("d"))
	b.Set([]byte("bb"), []byte("new"))
	wantList(t, "batch after DeleteSpan", list(t, b.Scan(nil, nil)), "bb=new", "d=4")
	wantList(t, "backwards", list(t, b.ScanBack(nil, nil)), "d=4", "bb=new")
	if _, ok, err := b.Get([]byte("c")); ok || err != nil {
		t.Errorf("Get of a key in a deleted span: %v, %v", ok, err)
	}
	if v, ok, _ := b.Get([]byte("bb")); !ok || string(v) != "new" {
		t.Errorf("Get of a key set after the DeleteSpan: %q, %v", v, ok)
	}
	wantList(t, "an iterator made before the writes", list(t, before), "a=1", "b=2", "c=3")
	wantList(t, "the store before the commit", contents(t, db), "a=1", "b=2", "c=3")
	if b.Len() != 5 || b.Size() == 0 {
		t.Errorf("Len %d, Size %d", b.Len(), b.Size())
	}
}

func testBatchCommit(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	b := db.Batch()
	key, value := []byte("k"), []byte("v")
	b.Set(key, value)
	key[0], value[0] = 'x', 'x' // the batch has copies
	must(t, b.Commit())
	wantList(t, "committed", contents(t, db), "k=v")
	wantKind(t, "second commit", b.Commit(), errs.Internal)
	_, _, err := b.Get([]byte("k"))
	wantKind(t, "read after commit", err, errs.Internal)
	must(t, b.Close())
	must(t, b.Close())
	dropped := db.Batch()
	dropped.Set([]byte("k"), []byte("never"))
	must(t, dropped.Close())
	wantKind(t, "commit after close", dropped.Commit(), errs.Unavailable)
	for name, write := range map[string]func(*Batch){
		"Set":    func(b *Batch) { b.Set(nil, []byte("v")) },
		"Delete": func(b *Batch) { b.Delete([]byte{}) },
	} {
		b := db.Batch()
		b.Set([]byte("x"), nil)
		write(b)
		wantKind(t, name+" of the empty key", b.Commit(), errs.Invalid)
		must(t, b.Close())
	}
	empty := db.Batch()
	must(t, empty.Commit())
	must(t, empty.Close())
	wantList(t, "after a dropped batch", contents(t, db), "k=v")
}

func testDeleteSpan(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	high := string(bytes.Repeat([]byte{0xff}, 40))
	fill := func() { set(t, db, "a", "1", "b", "2", "c", "3", high, "4") }
	for _, tc := range []struct {
		name   string
		lo, hi []byte
		want   []string
	}{
		{"a span", []byte("b"), []byte("c"), []string{"a=1", "c=3", high + "=4"}},
		{"to the end", []byte("b"), nil, []string{"a=1"}},
		{"everything", nil, nil, nil},
		{"an empty span", []byte("c"), []byte("b"), []string{"a=1", "b=2", "c=3", high + "=4"}},
	} {
		fill()
		commit(t, db, func(b *Batch) { b.DeleteSpan(tc.lo, tc.hi) })
		wantList(t, tc.name, contents(t, db), tc.want...)
		must(t, db.Flush())
		wantList(t, tc.name+", flushed", contents(t, db), tc.want...)
	}
}

func testSnapshot(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1", "b", "2")
	s := db.Snapshot()
	defer s.Close()
	commit(t, db, func(b *Batch) { b.DeleteSpan(nil, nil); b.Set([]byte("c"), []byte("3")) })
	must(t, db.Flush())
	wantList(t, "snapshot", list(t, s.Scan(nil, nil)), "a=1", "b=2")
	wantList(t, "store", contents(t, db), "c=3")
}

func testLargeValues(t *testing.T, o Options) {
	db := mustOpen(t, o)
	large := bytes.Repeat([]byte("covey"), (32<<20)/5) // far over the memtable
	commit(t, db, func(b *Batch) { b.Set([]byte("a"), []byte("1")) })
	commit(t, db, func(b *Batch) { b.Set([]byte("large"), large) })
	commit(t, db, func(b *Batch) { b.Set([]byte("z"), []byte("2")) })
	must(t, db.Close())
	db = mustOpen(t, o)
	defer db.Close()
	s := db.Snapshot()
	defer s.Close()
	ok, err := s.View([]byte("large"), func(v []byte) error {
		if !bytes.Equal(v, large) {
			return errors.New("another value")
		}
		return nil
	})
	if !ok || err != nil {
		t.Errorf("View of 32 MiB: %v, %v", ok, err)
	}
}

func testReopen(t *testing.T, o Options) {
	o.MustExist = true
	if _, err := Open(o); !errs.Is(err, errs.NotFound) {
		t.Fatalf("MustExist without a store: %v", err)
	}
	o.MustExist = false
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	must(t, db.Close())
	must(t, db.Close())
	o.MustExist = true
	db = mustOpen(t, o)
	defer db.Close()
	wantList(t, "reopened", contents(t, db), "a=1")
}

func testLock(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1")
	_, err := Open(o)
	wantKind(t, "second Open", err, errs.Unavailable)
	wantList(t, "the first", contents(t, db), "a=1")
}
