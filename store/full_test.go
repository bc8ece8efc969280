package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/coveydb/covey/internal/errs"
)

// disk is a file system in memory that can be full.
type disk struct {
	vfs.FS
	full atomic.Bool
	only string // if set, only writes to paths that contain it fail
}

func newDisk(only string) *disk { return newDiskOver(vfs.NewMem(), only) }

func newDiskOver(inner vfs.FS, only string) *disk {
	d := &disk{only: only}
	d.FS = errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.full.Load() && needsRoom(op.Kind) && strings.Contains(op.Path, d.only) {
			return syscall.ENOSPC
		}
		return nil
	}))
	return d
}

func needsRoom(k errorfs.OpKind) bool {
	switch k {
	case errorfs.OpCreate, errorfs.OpLink, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt:
		return true
	}
	return false
}

// fillUntilRefused commits records from *n on until one is refused, and
// returns the refused batch and its error. It sets *n to that batch's number.
func fillUntilRefused(t *testing.T, db *DB, n *int) (*Batch, error) {
	t.Helper()
	for limit := *n + 10_000; *n < limit; *n++ {
		b := db.Batch()
		b.Set(fmt.Appendf(nil, "%08d", *n), make([]byte, 4<<10))
		if err := b.Commit(); err != nil {
			return b, err
		}
		must(t, b.Close())
	}
	t.Fatal("a full disk never refused a commit")
	return nil, nil
}

func wantRecords(t *testing.T, db *DB, n int) {
	t.Helper()
	s := db.Snapshot()
	defer s.Close()
	it := s.Scan(nil, nil)
	i := 0
	for ; it.Next(); i++ {
		if want := fmt.Sprintf("%08d", i); string(it.Key()) != want {
			t.Fatalf("record %d is %s", i, it.Key())
		}
	}
	must(t, it.Close())
	if i != n {
		t.Fatalf("%d records, want %d", i, n)
	}
}

// In a synctest bubble a hang is a failure, and waiting costs nothing.
func TestFullDisk(t *testing.T) {
	for _, only := range []string{"", ".sst", "MANIFEST"} {
		t.Run("writes to *"+only, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testFullDisk(t, only) })
		})
	}
}

func testFullDisk(t *testing.T, only string) {
	d := newDisk(only)
	o := testOptions(d, "s")
	var told atomic.Int64
	o.BackgroundError = func(err error) {
		if !errs.Is(err, errs.NoSpace) {
			t.Errorf("background error %v", err)
		}
		told.Add(1)
	}
	db := mustOpen(t, o)
	n := 0
	for ; n < 10; n++ {
		set(t, db, fmt.Sprintf("%08d", n), "v")
	}
	must(t, db.Flush())

	d.full.Store(true)
	refused, err := fillUntilRefused(t, db, &n)
	wantKind(t, "Commit", err, errs.NoSpace)
	wantKind(t, "the same Commit again", refused.Commit(), errs.NoSpace)
	wantKind(t, "Flush", db.Flush(), errs.NoSpace)
	wantKind(t, "Checkpoint", db.Checkpoint("c"), errs.NoSpace)
	wantKind(t, "Err", db.Err(), errs.NoSpace)
	wantRecords(t, db, n)
	memory := db.Metrics().MemTables
	for range 100 {
		_ = db.Flush()
		time.Sleep(retryEvery)
	}
	// One may slip in between two refusals of Pebble's own.
	if got := db.Metrics().MemTables; got > memory+1 {
		t.Errorf("refused flushes left %d memtables, there were %d", got, memory)
	}
	if got := told.Load(); got == 0 || got > 400 {
		t.Errorf("%d background errors in 10 s", got)
	}

	d.full.Store(false)
	time.Sleep(2 * retryEvery)
	synctest.Wait()
	must(t, db.Err())
	must(t, refused.Commit())
	must(t, refused.Close())
	n++
	must(t, db.Flush())
	wantRecords(t, db, n)
	must(t, db.Close())
	db = mustOpen(t, o)
	wantRecords(t, db, n)
	must(t, db.Close())
}

// A store that was killed must say that it cannot be opened while the disk is
// full, and open when there is room again.
func TestOpenOnAFullDiskReturns(t *testing.T) {
	for _, only := range []string{"", ".sst", "MANIFEST", "OPTIONS"} {
		t.Run("writes to *"+only, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			db := mustOpen(t, testOptions(mem, "s"))
			set(t, db, "a", "1")
			must(t, db.Flush())
			d := newDiskOver(mem.CrashClone(vfs.CrashCloneCfg{}), only)
			must(t, db.Close())
			d.full.Store(true)
			opened := make(chan error, 1)
			go func() {
				db, err := Open(testOptions(d, "s"))
				if err == nil {
					err = db.Close()
				}
				opened <- err
			}()
			select {
			case err := <-opened:
				if err != nil {
					wantKind(t, "Open", err, errs.NoSpace)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("Open does not return")
			}
			d.full.Store(false)
			db = mustOpen(t, testOptions(d, "s"))
			wantList(t, "content", contents(t, db), "a=1")
			must(t, db.Close())
		})
	}
}

func TestFlushWaitsInVainForAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk("")
		db := mustOpen(t, testOptions(d, "s"))
		set(t, db, "a", "1")
		d.full.Store(true)
		wantKind(t, "Flush", db.Flush(), errs.NoSpace)
		d.full.Store(false)
		time.Sleep(2 * retryEvery)
		must(t, db.Flush())
		must(t, db.Close())
	})
}

func TestCloseOnAFullDiskKeepsWhatWasDurable(t *testing.T) {
	for _, only := range []string{"", ".sst", "MANIFEST"} {
		t.Run("writes to *"+only, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk(only)
				o := testOptions(d, "s")
				db := mustOpen(t, o)
				set(t, db, "a", "1")
				must(t, db.Flush())
				set(t, db, "b", "2")
				d.full.Store(true)
				wantKind(t, "Close", db.Close(), errs.NoSpace)
				d.full.Store(false)
				db = mustOpen(t, o)
				wantList(t, "content", contents(t, db), "a=1")
				must(t, db.Close())
			})
		})
	}
}

// compactionDisk is full for compactions only.
type compactionDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *compactionDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() && c == "pebble-compaction" {
		return nil, syscall.ENOSPC
	}
	return d.FS.Create(name, c)
}

func TestFailingCompactionsRefuseCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &compactionDisk{FS: vfs.NewMem()}
		d.full.Store(true)
		o := testOptions(d, "s")
		db := mustOpen(t, o)
		var err error
		n := 0
		for ; n < 10_000 && err == nil; n++ {
			b := db.Batch()
			// The same two ends every time, so that no table can just be moved down.
			b.Set([]byte("a"), fmt.Append(nil, n))
			b.Set([]byte("m"), make([]byte, 16<<10))
			b.Set([]byte("z"), fmt.Append(nil, n))
			err = b.Commit()
			must(t, b.Close())
		}
		wantKind(t, "Commit", err, errs.NoSpace)
		wantKind(t, "Err", db.Err(), errs.NoSpace)
		must(t, db.Flush()) // memtables still have room
		d.full.Store(false)
		must(t, db.Close())
		db = mustOpen(t, o)
		set(t, db, "b", "1")
		must(t, db.Err())
		must(t, db.Close())
	})
}

// TestEveryOperationFails lets each single file operation of an action fail in
// turn, for want of room and for another reason. The store must say so or have
// succeeded, and hold the old or the new content whole.
func TestEveryOperationFails(t *testing.T) {
	actions := []struct {
		name string
		act  func(*DB) error
		want string // the content after success
	}{
		{"Open", nil, "a=1"},
		{"Replace", func(db *DB) error { return db.Replace(fillWith("b", "2")) }, "b=2"},
		{"Checkpoint", func(db *DB) error { return db.Checkpoint("c") }, "a=1"},
	}
	for _, a := range actions {
		for _, cause := range []error{syscall.ENOSPC, errorfs.ErrInjected} {
			t.Run(fmt.Sprintf("%s/%v", a.name, cause), func(t *testing.T) {
				failed := 0
				for i := int64(0); ; i++ {
					hit, err := failAt(t, i, cause, a.act, a.want)
					if !hit {
						break
					}
					if err != nil {
						failed++
					}
				}
				if failed < 10 {
					t.Errorf("only %d operations made it fail", failed)
				}
			})
		}
	}
}

// failAt runs act (nil: Open of a new store) while file operation i fails with
// cause, checks what is left, and reports whether there was such an operation.
func failAt(t *testing.T, i int64, cause error, act func(*DB) error, want string) (hit bool, err error) {
	mem := vfs.NewMem()
	var left atomic.Int64
	var on atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch {
		case !on.Load() || op.Kind == errorfs.OpFileClose:
			return nil
		case act != nil && strings.HasPrefix(op.Path, "s/"+generationName(1)):
			return nil // what befalls the store in use is another test's matter
		case left.Add(-1) != 0:
			return nil
		}
		return cause
	}))
	o := testOptions(fs, "s")
	left.Store(i + 1)
	on.Store(act == nil)
	db, err := Open(o)
	if err == nil && act != nil {
		set(t, db, "a", "1")
		on.Store(true)
		err = act(db)
		on.Store(false)
	}
	hit = left.Load() <= 0
	on.Store(false)
	if err != nil && !errs.Is(err, errs.NoSpace) && !errs.Is(err, errs.Internal) && !errs.Is(err, errs.Unavailable) {
		t.Fatalf("operation %d: %v has kind %v", i, err, errs.KindOf(err))
	}
	if db != nil {
		if act == nil {
			set(t, db, "a", "1")
		} else if err != nil {
			wantList(t, fmt.Sprintf("operation %d: after %v", i, err), contents(t, db), "a=1")
		}
		_ = db.Close()
	}
	o.FS = mem
	again := mustOpen(t, o)
	defer again.Close()
	switch {
	case err == nil:
		wantList(t, fmt.Sprintf("operation %d, reopened", i), contents(t, again), want)
	case act == nil:
		wantList(t, fmt.Sprintf("operation %d, opened again", i), contents(t, again))
	default:
		wantList(t, fmt.Sprintf("operation %d, reopened after %v", i, err), contents(t, again), "a=1")
	}
	if _, serr := mem.Stat("c"); (serr == nil) && err != nil {
		t.Errorf("operation %d: a checkpoint is there in spite of %v", i, err)
	}
	return hit, err
}
