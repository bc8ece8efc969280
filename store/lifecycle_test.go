package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/internal/errs"
)

func (o Options) files() vfs.FS {
	if o.FS == nil {
		return vfs.Default
	}
	return o.FS
}

// tree lists all paths below dir.
func tree(t testing.TB, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	var all []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		all = append(all, path)
		info, err := fs.Stat(path)
		must(t, err)
		if info.IsDir() {
			all = append(all, tree(t, fs, path)...)
		}
	}
	slices.Sort(all)
	return all
}

func testCheckpoint(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	set(t, db, "a", "1", "b", "2")
	dir := o.Dir + "-checkpoint"
	must(t, db.Checkpoint(dir))
	wantKind(t, "Checkpoint into a folder that exists", db.Checkpoint(dir), errs.Exists)
	set(t, db, "c", "3")
	commit(t, db, func(b *Batch) { b.DeleteSpan(nil, []byte("c")) })
	must(t, db.Flush())

	copied := o
	copied.Dir, copied.ReadOnly = dir, true
	before := tree(t, o.files(), dir)
	first, second := mustOpen(t, copied), mustOpen(t, copied)
	wantList(t, "checkpoint", contents(t, first), "a=1", "b=2")
	wantList(t, "checkpoint opened twice", contents(t, second), "a=1", "b=2")
	must(t, first.Close())
	must(t, second.Close())
	wantList(t, "files after a read-only open", tree(t, o.files(), dir), before...)

	copied.ReadOnly = false
	writable := mustOpen(t, copied)
	set(t, writable, "d", "4")
	must(t, writable.Close())
	writable = mustOpen(t, copied)
	defer writable.Close()
	wantList(t, "a checkpoint that is written on", contents(t, writable), "a=1", "b=2", "d=4")
	wantList(t, "the original", contents(t, db), "c=3")
}

// fillWith returns a fill function for Replace.
func fillWith(pairs ...string) func(func(k, v []byte) error) error {
	return func(set func(k, v []byte) error) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := set([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	}
}

func testReplace(t *testing.T, o Options) {
	db := mustOpen(t, o)
	set(t, db, "a", "1", "b", "2")
	old := db.Snapshot()
	stale := db.Batch()
	stale.Set([]byte("stale"), []byte("x"))
	must(t, db.Replace(fillWith("b", "new", "c", "3")))
	wantList(t, "replaced", contents(t, db), "b=new", "c=3")
	wantList(t, "a snapshot from before", list(t, old.Scan(nil, nil)), "a=1", "b=2")
	wantKind(t, "commit of a batch from before", stale.Commit(), errs.Unavailable)
	must(t, stale.Close())
	set(t, db, "d", "4")
	must(t, old.Close())
	if got := db.Metrics().Generation; got != 2 {
		t.Errorf("generation %d, want 2", got)
	}
	must(t, db.Close())
	for _, path := range tree(t, o.files(), o.Dir) {
		if strings.Contains(path, generationName(1)) || strings.Contains(path, "load-") {
			t.Errorf("left behind: %s", path)
		}
	}
	db = mustOpen(t, o)
	wantList(t, "replaced and reopened", contents(t, db), "b=new", "c=3", "d=4")
	must(t, db.Replace(fillWith()))
	wantList(t, "replaced by nothing", contents(t, db))
	must(t, db.Replace(func(set func(k, v []byte) error) error {
		for i := range 1100 { // several tables
			if err := set(fmt.Appendf(nil, "%08d", i), make([]byte, 64<<10)); err != nil {
				return err
			}
		}
		return nil
	}))
	if got := len(contents(t, db)); got != 1100 {
		t.Errorf("%d records, want 1100", got)
	}
	must(t, db.Close())
}

func testReplaceFails(t *testing.T, o Options) {
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	for _, tc := range []struct {
		name string
		fill func(func(k, v []byte) error) error
		want func(error) bool
	}{
		{"fill's error", func(set func(k, v []byte) error) error {
			_ = set([]byte("x"), nil)
			return io.ErrUnexpectedEOF
		}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"keys out of order", fillWith("b", "", "a", ""), func(err error) bool { return errs.Is(err, errs.Invalid) }},
		{"a key twice", fillWith("b", "", "b", ""), func(err error) bool { return errs.Is(err, errs.Invalid) }},
		{"the empty key", fillWith("", ""), func(err error) bool { return errs.Is(err, errs.Invalid) }},
		{"an error of set that fill swallows", func(set func(k, v []byte) error) error {
			_ = fillWith("b", "", "a", "")(set)
			return nil
		}, func(err error) bool { return errs.Is(err, errs.Invalid) }},
	} {
		if err := db.Replace(tc.fill); !tc.want(err) {
			t.Errorf("%s: got %v", tc.name, err)
		}
		wantList(t, tc.name, contents(t, db), "a=1")
		set(t, db, "a", "1")
	}
	must(t, db.Close())
	for _, path := range tree(t, o.files(), o.Dir) {
		if strings.Contains(path, generationName(2)) {
			t.Errorf("left behind: %s", path)
		}
	}
}

func testClosed(t *testing.T, o Options) {
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	s := db.Snapshot()
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	wantList(t, "a snapshot while the store closes", list(t, s.Scan(nil, nil)), "a=1")
	must(t, s.Close())
	must(t, <-closed)
	must(t, s.Close())
	_, _, err := s.Get([]byte("a"))
	wantKind(t, "closed snapshot", err, errs.Unavailable)
	s = db.Snapshot()
	_, err = s.View([]byte("a"), func([]byte) error { return nil })
	wantKind(t, "snapshot of a closed store", err, errs.Unavailable)
	wantKind(t, "its scan", s.Scan(nil, nil).Close(), errs.Unavailable)
	must(t, s.Close())
	b := db.Batch()
	b.Set([]byte("x"), nil)
	wantKind(t, "its batch", b.Commit(), errs.Unavailable)
	wantKind(t, "its batch's scan", b.ScanBack(nil, nil).Close(), errs.Unavailable)
	if b.Len() != 0 || b.Size() != 0 {
		t.Error("a batch of a closed store holds something")
	}
	must(t, b.Close())
	wantKind(t, "Flush", db.Flush(), errs.Unavailable)
	wantKind(t, "Err", db.Err(), errs.Unavailable)
	wantKind(t, "Checkpoint", db.Checkpoint(o.Dir+"-x"), errs.Unavailable)
	wantKind(t, "Replace", db.Replace(fillWith()), errs.Unavailable)
	if db.Metrics() != (Metrics{}) {
		t.Error("a closed store has figures")
	}
}

func testReadOnly(t *testing.T, o Options) {
	o.ReadOnly = true
	_, err := Open(o)
	wantKind(t, "Open of nothing", err, errs.NotFound)
	o.ReadOnly = false
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	must(t, db.Close())
	o.ReadOnly = true
	db = mustOpen(t, o)
	b := db.Batch()
	b.Set([]byte("a"), []byte("2"))
	wantKind(t, "Commit", b.Commit(), errs.Invalid)
	must(t, b.Close())
	wantKind(t, "Replace", db.Replace(fillWith()), errs.Invalid)
	wantKind(t, "Checkpoint", db.Checkpoint(o.Dir+"-x"), errs.Invalid)
	must(t, db.Flush())
	wantList(t, "content", contents(t, db), "a=1")
	must(t, db.Close())
}

func testMetrics(t *testing.T, o Options) {
	db := mustOpen(t, o)
	defer db.Close()
	for i := range 64 {
		commit(t, db, func(b *Batch) { b.Set(fmt.Appendf(nil, "%d", i), make([]byte, 16<<10)) })
	}
	must(t, db.Flush())
	s := db.Snapshot()
	defer s.Close()
	m := db.Metrics()
	if m.Flushes == 0 || m.FlushedBytes == 0 || m.DiskBytes == 0 || m.MemTableBytes == 0 ||
		m.Tables == 0 || m.Snapshots != 1 || m.Generation != 1 || m.BackgroundErrors != 0 {
		t.Errorf("metrics: %+v", m)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Options)
		kind   errs.Kind
	}{
		{"no folder", func(o *Options) { o.Dir = "" }, errs.Invalid},
		{"a negative cache", func(o *Options) { o.CacheBytes = -1 }, errs.Invalid},
		{"a tiny memtable", func(o *Options) { o.MemTableBytes = 1 }, errs.Invalid},
		{"a huge memtable", func(o *Options) { o.MemTableBytes = 2 << 30 }, errs.Invalid},
	} {
		o := testOptions(MemFS(), "s")
		tc.change(&o)
		_, err := Open(o)
		wantKind(t, tc.name, err, tc.kind)
	}
	for _, tc := range []struct{ name, text string }{
		{"a newer format", "covey store 2\ngen-000001\n"},
		{"another file", "hello\n"},
		{"an empty pointer", ""},
	} {
		o := testOptions(MemFS(), "s")
		must(t, mustOpen(t, o).Close())
		must(t, writeFile(o.FS, "s/"+pointerName, tc.text))
		_, err := Open(o)
		wantKind(t, tc.name, err, errs.Invalid)
	}
}

func FuzzParsePointer(f *testing.F) {
	for _, s := range []string{formatPointer("gen-000001"), formatPointer("gen-1234567"), "covey store 1\n../x\n", "covey store 2\n", "", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := parsePointer(text, "d")
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		if n, ok := generationNumber(name); !ok || generationName(n) != name || formatPointer(name) != text {
			t.Fatalf("%q was read as %q", text, name)
		}
	})
}
