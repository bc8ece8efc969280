package raftlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/coveydb/covey/internal/errs"
)

// calls collects what the guard reports.
type calls struct {
	mu            sync.Mutex
	stalls, fatal []error
}

func (c *calls) stall(err error) { c.mu.Lock(); defer c.mu.Unlock(); c.stalls = append(c.stalls, err) }
func (c *calls) end(err error)   { c.mu.Lock(); defer c.mu.Unlock(); c.fatal = append(c.fatal, err) }

func (c *calls) want(t *testing.T, stalls, fatal int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stalls) != stalls || len(c.fatal) != fatal {
		t.Errorf("stalls %v, fatal %v; want %d and %d of them", c.stalls, c.fatal, stalls, fatal)
	}
}

// testGuard returns a guard on an empty folder with a disk that is never full,
// and its keeper running until the test ends.
func testGuard(t *testing.T, set func(*Options)) (*guard, *calls) {
	t.Helper()
	c := &calls{}
	o := Options{Dir: t.TempDir(), Fatal: c.end, Stall: c.stall, Ballast: 8 << 10, Logger: slog.New(slog.DiscardHandler)}
	if set != nil {
		set(&o)
	}
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGuard(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.keep(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		g.disk.Close()
	})
	return g, c
}

// faultyLog is a log in memory whose writes wait or fail as told.
type faultyLog struct {
	*raft.InmemStore
	wait  time.Duration
	fails []error // one a write, until they are used up
}

func (f *faultyLog) fault() error {
	if f.wait > 0 {
		time.Sleep(f.wait)
	}
	if len(f.fails) == 0 {
		return nil
	}
	err := f.fails[0]
	f.fails = f.fails[1:]
	return err
}

func (f *faultyLog) StoreLogs(logs []*raft.Log) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.InmemStore.StoreLogs(logs)
}

func (f *faultyLog) DeleteRange(min, max uint64) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.InmemStore.DeleteRange(min, max)
}

func (f *faultyLog) Set(k, v []byte) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.InmemStore.Set(k, v)
}

func newFaultyLog() *faultyLog { return &faultyLog{InmemStore: raft.NewInmemStore()} }

// writers are the three ways to write, under one guard.
func writers(g *guard, f *faultyLog, k Kind) map[string]func() error {
	l, s := newGuardedLog(f, g, k), newStable(f, g)
	return map[string]func() error{
		"append":   func() error { return l.StoreLogs([]*raft.Log{{Index: 1}}) },
		"truncate": func() error { return l.DeleteRange(1, 1) },
		"stable":   func() error { return s.Set([]byte("k"), []byte("v")) },
	}
}

func TestAWriteWithinTheDeadlineIsNoStall(t *testing.T) {
	for _, name := range []string{"append", "truncate", "stable"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, c := testGuard(t, nil)
				f := newFaultyLog()
				f.wait = 9 * time.Second
				if err := writers(g, f, WAL)[name](); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				c.want(t, 0, 0)
				if g.isStalled() {
					t.Error("stalled")
				}
			})
		})
	}
}

func TestAStallIsReportedOnceAndEndsWithAProbe(t *testing.T) {
	for _, name := range []string{"append", "truncate", "stable"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, c := testGuard(t, nil)
				f := newFaultyLog()
				f.wait = 25 * time.Second // two deadlines missed
				write := writers(g, f, WAL)[name]
				done := make(chan error, 1)
				go func() { done <- write() }()
				time.Sleep(9 * time.Second)
				c.want(t, 0, 0)
				time.Sleep(2 * time.Second)
				c.want(t, 1, 0)
				if !g.isStalled() {
					t.Error("not stalled while a write is stuck")
				}
				time.Sleep(12 * time.Second)
				if !g.isStalled() {
					t.Error("a probe ended the stall though the write is still stuck")
				}
				if err := <-done; err != nil {
					t.Errorf("the write that was late: %v", err)
				}
				time.Sleep(3 * time.Second)
				if g.isStalled() {
					t.Error("still stalled after the write and a probe have ended")
				}
				c.want(t, 1, 0)
				c.mu.Lock()
				defer c.mu.Unlock()
				if !errs.Is(c.stalls[0], errs.Unavailable) {
					t.Errorf("kind %v", errs.KindOf(c.stalls[0]))
				}
			})
		})
	}
}

func TestStallsThatPileUpAreFatal(t *testing.T) {
	tests := map[string]struct {
		waits []time.Duration // of writes one after the other
		pause time.Duration
		fatal int
	}{
		"a write that never ends":       {waits: []time.Duration{31 * time.Second}, fatal: 1},
		"three stalls in a row":         {waits: []time.Duration{11e9, 11e9, 11e9}, pause: time.Minute, fatal: 1},
		"four stalls tell it once":      {waits: []time.Duration{11e9, 11e9, 11e9, 11e9}, pause: time.Minute, fatal: 1},
		"two stalls are none too many":  {waits: []time.Duration{11e9, 11e9}, pause: time.Minute},
		"stalls far apart do not count": {waits: []time.Duration{11e9, 11e9, 11e9}, pause: 6 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, c := testGuard(t, nil)
				f := newFaultyLog()
				write := writers(g, f, WAL)["append"]
				for _, f.wait = range tt.waits {
					if err := write(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(tt.pause)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if len(c.fatal) != tt.fatal {
					t.Errorf("fatal %v, want %d", c.fatal, tt.fatal)
				}
			})
		})
	}
}

func TestAFailedWriteEndsTheNode(t *testing.T) {
	for _, name := range []string{"append", "truncate", "stable"} {
		for _, k := range []Kind{WAL, Bolt} {
			t.Run(fmt.Sprint(name, " on ", k), func(t *testing.T) {
				g, c := testGuard(t, nil)
				f := newFaultyLog()
				f.fails = []error{syscall.EIO}
				write := writers(g, f, k)[name]
				if err := write(); !errors.Is(err, syscall.EIO) || !errs.Is(err, errs.Internal) {
					t.Errorf("got %v", err)
				}
				c.want(t, 0, 1)
				if err := write(); !errors.Is(err, syscall.EIO) {
					t.Errorf("the write after it: %v, want the first one's error", err)
				}
				if len(f.fails) != 0 {
					t.Error("the write did not get to the store")
				}
				c.want(t, 0, 1)
				if !g.disk.ballast {
					t.Error("the ballast is gone though the disk is not full")
				}
			})
		}
	}
}

func TestAFullDisk(t *testing.T) {
	// bbolt keeps only the text of this one.
	flattened := fmt.Errorf("file resize error: %s", error(syscall.ENOSPC))
	found := func(err error) error { return &fs.PathError{Op: "write", Path: "stable.db", Err: err} }
	tests := map[string]struct {
		write   string
		kind    Kind
		fails   []error
		ok      bool
		ballast bool
	}{
		"stable store goes on from the ballast":             {"stable", WAL, []error{found(syscall.ENOSPC)}, true, false},
		"stable store knows the error by its text":          {"stable", WAL, []error{flattened}, true, false},
		"stable store knows a quota":                        {"stable", WAL, []error{found(syscall.EDQUOT)}, true, false},
		"stable store fails when the ballast is not enough": {"stable", WAL, []error{found(syscall.ENOSPC), found(syscall.ENOSPC)}, false, false},
		"stable store does not repeat an fsync":             {"stable", WAL, []error{syscall.ENOSPC}, false, true},
		"stable store does not repeat one that is named":    {"stable", WAL, []error{&fs.PathError{Op: "sync", Err: syscall.ENOSPC}}, false, true},
		"a bolt log does not repeat an fsync":               {"append", Bolt, []error{syscall.ENOSPC}, false, true},
		"a bolt log goes on from the ballast":               {"append", Bolt, []error{found(syscall.ENOSPC)}, true, false},
		"a write-ahead log is not written to again":         {"append", WAL, []error{syscall.ENOSPC}, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, c := testGuard(t, func(o *Options) { o.ProbeEvery = time.Hour })
			f := newFaultyLog()
			f.fails = tt.fails
			err := writers(g, f, tt.kind)[tt.write]()
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if err != nil {
				if !errs.Is(err, errs.NoSpace) {
					t.Errorf("kind %v, want %v", errs.KindOf(err), errs.NoSpace)
				}
				c.want(t, 0, 1)
			} else {
				c.want(t, 0, 0)
			}
			_, statErr := os.Stat(filepath.Join(g.o.Dir, ballastFile))
			if there := !errors.Is(statErr, fs.ErrNotExist); there != tt.ballast {
				t.Errorf("ballast there: %v, want %v", there, tt.ballast)
			}
			if g.disk.isFull() == tt.ballast {
				t.Errorf("full: %v", g.disk.isFull())
			}
		})
	}
}

func TestASegmentThatCouldNotBeMade(t *testing.T) {
	for full, kind := range map[bool]errs.Kind{true: errs.NoSpace, false: errs.Internal} {
		g, c := testGuard(t, func(o *Options) { o.ProbeEvery = time.Hour })
		g.disk.free = func(string) (int64, bool) { return map[bool]int64{true: 0, false: 1 << 40}[full], true }
		g.disk.mind()
		f := newFaultyLog()
		f.fails = []error{wal.ErrSealed}
		if err := writers(g, f, WAL)["append"](); !errs.Is(err, kind) || !errors.Is(err, wal.ErrSealed) {
			t.Errorf("full %v: %v of kind %v", full, err, errs.KindOf(err))
		}
		c.want(t, 0, 1)
	}
}

func TestBallastComesBackOnlyWithSpaceToSpare(t *testing.T) {
	g, _ := testGuard(t, func(o *Options) { o.Reserve = 100; o.Ballast = 50; o.ProbeEvery = time.Hour })
	d := g.disk
	free := int64(1000)
	d.free = func(string) (int64, bool) { return free, true }
	steps := []struct {
		do            string
		free          int64
		ballast, full bool
	}{
		{"plenty", 1000, true, false},
		{"below the reserve", 99, true, true},
		{"above it", 100, true, false},
		{"give up", 149, false, true},
		{"enough for the ballast and the reserve", 150, true, false},
	}
	for _, s := range steps {
		free = s.free
		if s.do == "give up" && !d.giveUpBallast() {
			t.Fatal("there was no ballast to give up")
		}
		d.mind()
		if d.ballast != s.ballast || d.isFull() != s.full {
			t.Errorf("%s: ballast %v, full %v; want %v, %v", s.do, d.ballast, d.full, s.ballast, s.full)
		}
		info, err := os.Stat(d.path())
		if (err == nil) != s.ballast || err == nil && info.Size() != 50 {
			t.Errorf("%s: on disk: %v, %v", s.do, info, err)
		}
	}
	if d.giveUpBallast(); d.giveUpBallast() {
		t.Error("the ballast was given up twice")
	}
}

func TestCloseDoesNotWaitWithAStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := testGuard(t, nil)
		f := newFaultyLog()
		f.wait = 15 * time.Second
		s := &Stores{guard: g, stop: func() {}}
		go writers(g, f, WAL)["append"]()
		synctest.Wait()
		begin := time.Now()
		if err := s.Close(); !errs.Is(err, errs.Unavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != g.o.Deadline {
			t.Errorf("waited %v", took)
		}
		time.Sleep(time.Minute)
		c.want(t, 1, 0)
	})
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGuard(t, nil)
		f := newFaultyLog()
		f.wait = 5 * time.Second
		s := &Stores{guard: g, stop: func() {}}
		go writers(g, f, WAL)["append"]()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("a write that ends in time: %v", err)
		}
	})
}

// An fsync that failed is not tried again until it succeeds: what it should have
// written may be gone by then.
func TestAProbeThatFailsEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := testGuard(t, nil)
		f := newFaultyLog()
		f.wait = 15 * time.Second
		if err := g.disk.file.Close(); err != nil { // no later write or fsync of it can succeed
			t.Fatal(err)
		}
		if err := writers(g, f, WAL)["append"](); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		c.want(t, 1, 1)
		if !g.isStalled() {
			t.Error("the stall is over")
		}
	})
}

func TestALogIsCrammedWhenItsNextSegmentMayNotFit(t *testing.T) {
	g, _ := testGuard(t, func(o *Options) { o.ProbeEvery, o.SegmentSize = time.Hour, 64<<20 })
	for _, step := range []struct {
		free          int64
		full, crammed bool
	}{{1 << 40, false, false}, {100 << 20, true, false}, {10 << 20, true, true}, {1 << 40, false, false}} {
		g.disk.free = func(string) (int64, bool) { return step.free, true }
		if err := g.disk.mind(); err != nil {
			t.Fatal(err)
		}
		if g.disk.isFull() != step.full || g.disk.isCrammed() != step.crammed {
			t.Errorf("%d MiB free: full %v, crammed %v", step.free>>20, g.disk.isFull(), g.disk.isCrammed())
		}
	}
	if !g.disk.giveUpBallast() || !g.disk.isCrammed() {
		t.Error("not crammed without the ballast")
	}
}
