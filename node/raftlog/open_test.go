package raftlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gometrics "github.com/armon/go-metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

func testOptions(dir string, k Kind) Options {
	return Options{Dir: dir, Kind: k, Ballast: 4 << 10, SegmentSize: 64 << 10, Fatal: func(err error) { panic(err) }}
}

func open(t *testing.T, dir string, k Kind) *Stores {
	t.Helper()
	s, err := Open(testOptions(dir, k))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func eachKind(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range []Kind{WAL, Bolt} {
		t.Run(string(k), func(t *testing.T) { test(t, k) })
	}
}

func entries(from, to uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 1 + i/10, Data: []byte(strings.Repeat("x", int(i)))})
	}
	return logs
}

func TestLogSurvivesReopening(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		dir := t.TempDir()
		s := open(t, dir, k)
		if err := s.Log.StoreLogs(entries(1, 600)); err != nil {
			t.Fatal(err)
		}
		if err := s.Log.DeleteRange(1, 9); err != nil { // the head, as after a snapshot
			t.Fatal(err)
		}
		if err := s.Log.DeleteRange(590, 600); err != nil { // the tail, as after a conflict
			t.Fatal(err)
		}
		if err := s.Log.StoreLog(&raft.Log{Index: 590, Term: 99}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, k)
		first, err1 := s.Log.FirstIndex()
		last, err2 := s.Log.LastIndex()
		if first != 10 || last != 590 || err1 != nil || err2 != nil {
			t.Errorf("indexes %d to %d (%v, %v), want 10 to 590", first, last, err1, err2)
		}
		want := append(entries(10, 589), &raft.Log{Index: 590, Term: 99})
		for _, w := range want {
			var got raft.Log
			if err := s.Log.GetLog(w.Index, &got); err != nil {
				t.Fatal(err)
			}
			if got.Term != w.Term || string(got.Data) != string(w.Data) {
				t.Fatalf("entry %d: term %d, %d bytes", w.Index, got.Term, len(got.Data))
			}
		}
		if err := s.Log.GetLog(9, &raft.Log{}); err != raft.ErrLogNotFound {
			t.Errorf("a truncated entry: %v", err)
		}
	})
}

func TestATruncationRightAfterASegmentIsFull(t *testing.T) {
	dir := t.TempDir()
	for round := range uint64(10) {
		s := open(t, dir, WAL)
		next := round*10 + 1
		batch := make([]*raft.Log, 10)
		for i := range batch {
			batch[i] = &raft.Log{Index: next + uint64(i), Term: round, Data: make([]byte, 8<<10)}
		}
		if err := s.Log.StoreLogs(batch); err != nil {
			t.Fatal(err)
		}
		if err := s.Log.DeleteRange(next+5, next+9); err != nil {
			t.Fatal(err)
		}
		if err := s.Log.StoreLogs(batch[5:]); err != nil {
			t.Fatalf("round %d: the append after it: %v", round, err)
		}
		if last, err := s.Log.LastIndex(); last != next+9 || err != nil {
			t.Fatalf("round %d: last index %d, %v, want %d", round, last, err, next+9)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyAWriteAheadLogIsMonotonic(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		m, ok := open(t, t.TempDir(), k).Log.(raft.MonotonicLogStore)
		if !ok || m.IsMonotonic() != (k == WAL) {
			t.Errorf("%v, monotonic %v", ok, ok && m.IsMonotonic())
		}
	})
}

func TestAFolderKeepsItsKind(t *testing.T) {
	refused := func(t *testing.T, dir string, k Kind, kind errs.Kind, words ...string) {
		t.Helper()
		s, err := Open(testOptions(dir, k))
		if err == nil {
			s.Close()
			t.Fatal("it opened")
		}
		if !errs.Is(err, kind) {
			t.Errorf("kind %v, want %v", errs.KindOf(err), kind)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	t.Run("another kind", func(t *testing.T) {
		eachKind(t, func(t *testing.T, k Kind) {
			dir := t.TempDir()
			open(t, dir, k).Close()
			other := map[Kind]Kind{WAL: Bolt, Bolt: WAL}[k]
			refused(t, dir, other, errs.Invalid, "--raft-log "+string(k))
			open(t, dir, k)
		})
	})
	t.Run("a log without a kind", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, Bolt).Close()
		os.Remove(filepath.Join(dir, kindFile))
		refused(t, dir, Bolt, errs.Invalid, kindFile, "put the file back")
	})
	t.Run("a kind of another release", func(t *testing.T) {
		for _, text := range []string{"", "covey raft log 2 wal\n", "covey raft log 1 paper\n", "covey raft log 1 wal\n\n"} {
			dir := t.TempDir()
			os.WriteFile(filepath.Join(dir, kindFile), []byte(text), 0o600)
			refused(t, dir, WAL, errs.Invalid, kindFile)
		}
	})
	t.Run("a folder in use", func(t *testing.T) {
		eachKind(t, func(t *testing.T, k Kind) {
			t.Parallel() // it waits for the lock
			dir := t.TempDir()
			open(t, dir, k)
			refused(t, dir, k, errs.Unavailable, "in use")
		})
	})
	t.Run("a folder that cannot be made", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		os.WriteFile(file, nil, 0o600)
		refused(t, filepath.Join(file, "dir"), WAL, errs.Invalid, "file")
	})
	t.Run("an unknown kind", func(t *testing.T) {
		refused(t, t.TempDir(), "paper", errs.Invalid, "paper", "wal", "bolt")
	})
	t.Run("no one to tell of a failure", func(t *testing.T) {
		if _, err := Open(Options{Dir: t.TempDir()}); err == nil {
			t.Error("opened without Fatal")
		}
	})
}

func TestAFailedOpenLeavesNothingLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, WAL).Close()
	meta := filepath.Join(dir, walDir, "wal-meta.db")
	good, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(meta, []byte("no bolt file"), 0o600)
	if _, err := Open(testOptions(dir, WAL)); err == nil {
		t.Fatal("opened a damaged log")
	}
	os.WriteFile(meta, good, 0o600)
	open(t, dir, WAL)
}

func TestStoresReportTheirMetrics(t *testing.T) {
	sink := gometrics.NewInmemSink(time.Hour, 2*time.Hour)
	c := gometrics.DefaultConfig("")
	c.EnableHostname, c.EnableRuntimeMetrics = false, false
	if _, err := gometrics.NewGlobal(c, sink); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gometrics.NewGlobal(c, &gometrics.BlackholeSink{}) })
	wants := map[Kind][]string{
		WAL:  {"raft.boltdb.numFreePages", "raft.boltdb.totalReadTxn", "raft.wal.log_appends", "raft.wal.log_entries_written"},
		Bolt: {"raft.boltdb.numFreePages", "raft.boltdb.storeLogs"},
	}
	eachKind(t, func(t *testing.T, k Kind) {
		s := open(t, t.TempDir(), k)
		if err := s.Log.StoreLogs(entries(1, 3)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, i := range sink.Data() {
			for name := range i.Gauges {
				got[name] = true
			}
			for name := range i.Counters {
				got[name] = true
			}
			for name := range i.Samples {
				got[name] = true
			}
		}
		for _, want := range wants[k] {
			if !got[want] {
				t.Errorf("no %s in %v", want, got)
			}
		}
	})
}

func TestParseKind(t *testing.T) {
	got := map[string]Kind{}
	for _, text := range []string{"wal", "bolt", "", "WAL", "boltdb"} {
		if k, err := ParseKind(text); err == nil {
			got[text] = k
		} else if !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: kind %v", text, errs.KindOf(err))
		}
	}
	if diff := cmp.Diff(map[string]Kind{"wal": WAL, "bolt": Bolt}, got); diff != "" {
		t.Error(diff)
	}
}
