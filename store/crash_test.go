package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/coveydb/covey/internal/errs"
)

// change is one entry of the log that a crashed store is brought forward with.
type change struct {
	set        map[string]string
	lo, hi     string // a span to delete before set, unless both are empty
	wholesale  bool   // set replaces everything, by Replace at first
	flush      bool   // Flush follows
	checkpoint bool   // Checkpoint follows
}

const versionKey = "\x00version"

func randomChange(r *rand.Rand) change {
	c := change{set: map[string]string{}}
	for range 1 + r.IntN(20) {
		c.set[fmt.Sprintf("k%03d", r.IntN(200))] = fmt.Sprintf("%d%s", r.Uint32(), make([]byte, r.IntN(2000)))
	}
	if r.IntN(4) == 0 {
		c.lo, c.hi = fmt.Sprintf("k%03d", r.IntN(200)), fmt.Sprintf("k%03d", r.IntN(200))
	}
	switch r.IntN(40) {
	case 0:
		c.wholesale = true
	case 1, 2:
		c.flush = true
	case 3:
		c.checkpoint = true
	}
	return c
}

// apply brings m forward by c, to version v.
func (c change) apply(m model, v uint64) {
	if c.wholesale {
		clear(m)
	}
	if c.lo < c.hi {
		m.deleteSpan([]byte(c.lo), []byte(c.hi))
	}
	maps.Copy(m, c.set)
	m[versionKey] = string(binary.BigEndian.AppendUint64(nil, v))
}

// write does to b what apply does to a model.
func (c change) write(b *Batch, v uint64) {
	if c.wholesale {
		b.DeleteSpan(nil, nil)
	}
	if c.lo < c.hi {
		b.DeleteSpan([]byte(c.lo), []byte(c.hi))
	}
	for k, value := range c.set {
		b.Set([]byte(k), []byte(value))
	}
	b.Set([]byte(versionKey), binary.BigEndian.AppendUint64(nil, v))
}

// crash is what a disk holds after a crash, and which versions it may hold.
type crash struct {
	fs      vfs.FS
	durable uint64 // acknowledged by Flush, Checkpoint or Replace before
	latest  uint64 // commit begun before
	where   string
}

// crasher takes crashed copies of a disk just before random file operations,
// on whatever goroutine they happen.
type crasher struct {
	mem             *vfs.MemFS
	durable, latest atomic.Uint64

	mu      sync.Mutex
	rng     *rand.Rand
	crashes []crash
	limit   int
}

func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.crashes) < c.limit && c.rng.IntN(30) == 0 {
		durable := c.durable.Load() // before the copy
		fs := c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 70, 100}[c.rng.IntN(4)], RNG: c.rng})
		c.crashes = append(c.crashes, crash{fs, durable, c.latest.Load(), fmt.Sprintf("before %v of %s", op.Kind, op.Path)})
	}
	return nil
}

func (c *crasher) String() string { return "crasher" }

// linking keeps links and copies of the disk apart: MemFS.Link takes a lock for
// reading twice, and waits for ever if CrashClone wants it in between.
type linking struct {
	vfs.FS
	c *crasher
}

func (l linking) Link(from, to string) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.FS.Link(from, to)
}

// TestCrash crashes a store at random points. Each time it must open, be at a
// version between what was durable and what was begun, hold exactly what the
// map holds at that version, and arrive at the end by replay.
func TestCrash(t *testing.T) {
	const runs = 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	points := 0
	for run := range uint64(runs) {
		points += testCrash(t, rand.New(rand.NewPCG(seed, run)))
	}
	t.Logf("%d crashes", points)
	if points < 5*runs {
		t.Errorf("only %d crashes in %d runs", points, runs)
	}
}

func testCrash(t *testing.T, r *rand.Rand) int {
	var log []change
	for range 200 {
		log = append(log, randomChange(r))
	}
	c := &crasher{mem: vfs.NewCrashableMem(), rng: r, limit: 60}
	o := testOptions(errorfs.Wrap(linking{c.mem, c}, c), "dir/store")
	o.MemTableBytes = 128 << 10
	db := mustOpen(t, o)
	for i, ch := range log {
		v := uint64(i) + 1
		c.latest.Store(v)
		runChange(t, db, c, ch, v)
	}
	must(t, db.Close())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cr := range c.crashes {
		checkCrash(t, cr, log)
	}
	return len(c.crashes)
}

func runChange(t *testing.T, db *DB, c *crasher, ch change, v uint64) {
	t.Helper()
	if ch.wholesale {
		m := model{}
		ch.apply(m, v)
		must(t, db.Replace(func(set func(k, v []byte) error) error {
			for _, k := range slices.Sorted(maps.Keys(m)) {
				must(t, set([]byte(k), []byte(m[k])))
			}
			return nil
		}))
		c.durable.Store(v)
		return
	}
	commit(t, db, func(b *Batch) { ch.write(b, v) })
	if ch.flush {
		must(t, db.Flush())
		c.durable.Store(v)
	}
	if ch.checkpoint {
		must(t, db.Checkpoint(fmt.Sprintf("dir/checkpoint-%d", v)))
		c.durable.Store(v)
	}
}

func checkCrash(t *testing.T, cr crash, log []change) {
	t.Helper()
	o := testOptions(cr.fs, "dir/store")
	db, err := Open(o)
	if err != nil {
		t.Fatalf("crash %s: Open: %v", cr.where, err)
	}
	defer db.Close()
	names, err := cr.fs.List("dir/store")
	must(t, err)
	if n := strings.Count(strings.Join(names, " "), genPrefix); n != 1 || slices.Contains(names, pointerTmpName) {
		t.Errorf("crash %s: leftovers: %q", cr.where, names)
	}
	v := checkVersion(t, cr.where, db, log)
	if v < cr.durable || v > cr.latest {
		t.Fatalf("crash %s: the store is at version %d; %d was durable, %d was begun", cr.where, v, cr.durable, cr.latest)
	}
	// The same log again brings it forward, here without Replace.
	for ; v < uint64(len(log)); v++ {
		commit(t, db, func(b *Batch) { log[v].write(b, v+1) })
	}
	checkVersion(t, cr.where+", replayed", db, log)
	checkCheckpoints(t, cr, log)
}

// checkVersion compares db with the map at the version db says it is at, and
// returns that version.
func checkVersion(t *testing.T, where string, db *DB, log []change) uint64 {
	t.Helper()
	s := db.Snapshot()
	defer s.Close()
	var v uint64
	if text, found, err := s.Get([]byte(versionKey)); err != nil {
		t.Fatalf("crash %s: %v", where, err)
	} else if found {
		v = binary.BigEndian.Uint64(text)
	}
	m := model{}
	for i := range v {
		log[i].apply(m, i+1)
	}
	got, want := list(t, s.Scan(nil, nil)), m.span(nil, nil)
	if !slices.Equal(got, want) {
		t.Fatalf("crash %s: at version %d the store holds %d records that are not the %d of the map", where, v, len(got), len(want))
	}
	return v
}

// checkCheckpoints opens every checkpoint that the crash left: one that has
// its final name is whole.
func checkCheckpoints(t *testing.T, cr crash, log []change) {
	t.Helper()
	names, err := cr.fs.List("dir")
	must(t, err)
	for _, name := range names {
		var at uint64
		if n, _ := fmt.Sscanf(name, "checkpoint-%d", &at); n != 1 || name != fmt.Sprintf("checkpoint-%d", at) {
			continue
		}
		o := testOptions(cr.fs, "dir/"+name)
		o.ReadOnly = true
		db, err := Open(o)
		if err != nil {
			t.Fatalf("crash %s: %s: %v", cr.where, name, err)
		}
		if v := checkVersion(t, cr.where+", "+name, db, log); v != at {
			t.Fatalf("crash %s: %s is at version %d", cr.where, name, v)
		}
		must(t, db.Close())
	}
}

// TestCrashWhileOpening crashes the opening of an existing store before each of
// its file operations.
func TestCrashWhileOpening(t *testing.T) {
	base := vfs.NewCrashableMem()
	db := mustOpen(t, testOptions(base, "s"))
	set(t, db, "a", "1")
	must(t, db.Close())
	r := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex // operations come from several goroutines
	crashes := 0
	mem := base.CrashClone(vfs.CrashCloneCfg{})
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for range 10 {
			crashes++
			o := testOptions(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r}), "s")
			db, err := Open(o)
			if err != nil {
				t.Errorf("crash before %v of %s: Open: %v", op.Kind, op.Path, err)
				break
			}
			wantList(t, "content", contents(t, db), "a=1")
			must(t, db.Close())
		}
		return nil
	}))
	must(t, mustOpen(t, testOptions(fs, "s")).Close())
	if crashes < 100 {
		t.Errorf("only %d crashes", crashes)
	}
}

// TestLostManifestIsNoEmptyStore: a store whose files are damaged is refused,
// not opened as a new one.
func TestLostManifestIsNoEmptyStore(t *testing.T) {
	o := testOptions(MemFS(), "s")
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	must(t, db.Close())
	dir := "s/" + generationName(1)
	names, err := o.FS.List(dir)
	must(t, err)
	for _, name := range names {
		if bytes.HasPrefix([]byte(name), []byte("marker.manifest")) {
			must(t, o.FS.Remove(dir+"/"+name))
		}
	}
	_, err = Open(o)
	wantKind(t, "Open without a manifest", err, errs.Internal)
}

// TestConcurrentUse runs readers, a writer, flushes, checkpoints and Replace
// together. Every view must be one whole version.
func TestConcurrentUse(t *testing.T) {
	db := mustOpen(t, testOptions(MemFS(), "s"))
	const keys = 20
	value := func(v int) []byte { return fmt.Appendf(nil, "%08d", v) }
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for last := ""; ; {
				select {
				case <-stop:
					return
				default:
				}
				s := db.Snapshot()
				got := map[string]int{}
				it := s.Scan(nil, nil)
				for it.Next() {
					got[string(it.Value())]++
					if last > string(it.Value()) {
						t.Errorf("a reader went back from %s to %s", last, it.Value())
					}
					last = string(it.Value())
				}
				if err := it.Close(); err != nil || len(got) > 1 || len(got) == 1 && got[last] != keys {
					t.Errorf("a torn view: %v, %v", got, err)
				}
				_ = s.Close()
				_ = db.Metrics()
			}
		})
	}
	for v := range 600 {
		write := func(set func(k, v []byte) error) error {
			for k := range keys {
				if err := set(fmt.Appendf(nil, "%03d", k), value(v)); err != nil {
					return err
				}
			}
			return nil
		}
		switch {
		case v%100 == 99:
			must(t, db.Replace(write))
		case v%50 == 25:
			must(t, db.Checkpoint(fmt.Sprintf("c%d", v)))
		case v%30 == 7:
			must(t, db.Flush())
		default:
			commit(t, db, func(b *Batch) {
				_ = write(func(k, v []byte) error { b.Set(k, v); return nil })
			})
		}
	}
	close(stop)
	readers.Wait()
	must(t, db.Close())
}
