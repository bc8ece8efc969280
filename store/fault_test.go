package store

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/coveydb/covey/internal/errs"
)

// corrupt flips bits in the first block of every table below dir.
func corrupt(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	for _, path := range tree(t, fs, dir) {
		if !strings.HasSuffix(path, ".sst") {
			continue
		}
		f, err := fs.Open(path)
		must(t, err)
		data, err := io.ReadAll(f)
		must(t, err)
		must(t, f.Close())
		data[10] ^= 0xff
		must(t, writeFile(fs, path, string(data)))
	}
}

func TestCorruptionIsAnErrorOfTheRead(t *testing.T) {
	o := testOptions(MemFS(), "s")
	db := mustOpen(t, o)
	set(t, db, "a", "1", "b", "2")
	must(t, db.Close())
	corrupt(t, o.FS, "s")
	var told atomic.Int64
	o.BackgroundError = func(error) { told.Add(1) }
	o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	db = mustOpen(t, o)
	s := db.Snapshot()
	_, _, err := s.Get([]byte("a"))
	wantKind(t, "Get", err, errs.Internal)
	it := s.Scan(nil, nil)
	if it.Next() {
		t.Errorf("a scan of a corrupt block returned %s", it.Key())
	}
	wantKind(t, "Scan", it.Close(), errs.Internal)
	must(t, s.Close())
	must(t, db.Close())
	if told.Load() == 0 {
		t.Error("nobody was told of the corruption")
	}
}

// A manifest that cannot be synced leaves the state on disk unknown. The store
// says so once, through Options.Fatal, and panics if that returns; here it
// ends the goroutine, in place of the process.
func TestFatal(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !broken.Load() || !strings.Contains(op.Path, "MANIFEST") {
			return nil
		}
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			return errorfs.ErrInjected
		}
		return nil
	}))
	o := testOptions(fs, "s")
	told := make(chan error, 1)
	o.Fatal = func(err error) {
		told <- err
		runtime.Goexit()
	}
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	broken.Store(true)
	go db.Flush() // returns never, nor is the store ever closed: this is the end of a process
	if err := <-told; !strings.Contains(err.Error(), "MANIFEST") {
		t.Errorf("fatal error %v does not say what broke", err)
	}
}

// A table that cannot be synced could be written again, and that might succeed.
// The store ends all the same, and at once: a disk that lost one write is not to
// be trusted with the next.
func TestATableThatCannotBeSyncedEndsTheStore(t *testing.T) {
	var broken atomic.Bool
	var tries atomic.Int64
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !broken.Load() || !strings.HasSuffix(op.Path, ".sst") {
			return nil
		}
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			tries.Add(1)
			return syscall.EIO
		}
		return nil
	}))
	o := testOptions(fs, "s")
	told := make(chan error, 1)
	o.Fatal = func(err error) {
		told <- err
		runtime.Goexit()
	}
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	broken.Store(true)
	go db.Flush() // see TestFatal
	if err := <-told; !strings.Contains(err.Error(), ".sst") || !strings.Contains(err.Error(), syscall.EIO.Error()) {
		t.Errorf("fatal error %v does not say what broke", err)
	}
	if got := tries.Load(); got != 1 {
		t.Errorf("%d syncs, want the one that failed", got)
	}
}

func TestFatalPanicsWhenTheHookReturns(t *testing.T) {
	o := testOptions(MemFS(), "s")
	var told error
	o.Fatal = func(err error) { told = err }
	defer func() {
		if r := recover(); r == nil || told == nil || !strings.Contains(told.Error(), "store d: reason 7") {
			t.Errorf("panic %v, told %v", r, told)
		}
	}()
	newHealth("d", o).Fatalf("reason %d", 7)
}

func TestLogLevels(t *testing.T) {
	var log bytes.Buffer
	o := testOptions(MemFS(), "s")
	o.Logger = newTextLogger(&log)
	db := mustOpen(t, o)
	set(t, db, "a", "secret value")
	must(t, db.Close())
	if log.Len() != 0 {
		t.Errorf("a healthy store logs above debug level:\n%s", &log)
	}
}

// A disk that was found broken is asked for nothing more.
func TestAbandonFlushesNothing(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return syscall.EIO
		}
		return nil
	}))
	o := testOptions(fs, "s")
	o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	db := mustOpen(t, o)
	set(t, db, "a", "1")
	must(t, db.Flush())
	set(t, db, "b", "2")
	broken.Store(true)
	_ = db.Abandon() // that b is lost is no news
	broken.Store(false)
	o.Fatal = nil
	db = mustOpen(t, o)
	wantList(t, "content", contents(t, db), "a=1")
	must(t, db.Close())
}
