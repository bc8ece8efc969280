package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"pgregory.net/rapid"
)

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "%d of %d %s", index, term, make([]byte, 4<<10))}
}

// checkLog reads all entries from first to last, each of the term that of gives.
func checkLog(t *testing.T, log raft.LogStore, first, last uint64, of func(index uint64) uint64) {
	t.Helper()
	if got, err := log.FirstIndex(); got != first || err != nil {
		t.Errorf("first index %d, %v, want %d", got, err, first)
	}
	if got, err := log.LastIndex(); got != last || err != nil {
		t.Errorf("last index %d, %v, want %d", got, err, last)
	}
	for i := first; i <= last; i++ {
		var got raft.Log
		if err := log.GetLog(i, &got); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if want := entry(i, of(i)); got.Term != want.Term || string(got.Data) != string(want.Data) {
			t.Fatalf("entry %d is of term %d, want %d", i, got.Term, want.Term)
		}
	}
}

// A follower whose last entries were overruled cuts them off, goes on, and is
// restarted: the log must be readable from end to end.
func TestATruncatedLogIsReadableAfterReopening(t *testing.T) {
	for _, kind := range []Kind{WAL, Bolt} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir, kind)
			terms := make(map[uint64]uint64)
			next := uint64(1)
			for term := uint64(1); term <= 12; term++ {
				for range 7 {
					if err := s.Log.StoreLog(entry(next, term)); err != nil {
						t.Fatal(err)
					}
					terms[next] = term
					next++
				}
				if term%3 > 0 {
					cut := term % 5
					if err := s.Log.DeleteRange(next-cut, next-1); err != nil && cut > 0 {
						t.Fatal(err)
					}
					next -= cut
				}
				if term == 8 {
					if err := s.Log.DeleteRange(1, 10); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir, kind)
				first := uint64(1)
				if term >= 8 {
					first = 11
				}
				checkLog(t, s.Log, first, next-1, func(i uint64) uint64 { return terms[i] })
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// forgetful loses what is noted once it is told to, as a crash would.
type forgetful struct {
	types.MetaStore
	lost *atomic.Bool
}

func (f forgetful) CommitState(s types.PersistentState) error {
	if f.lost.Load() {
		return errors.New("lost")
	}
	return f.MetaStore.CommitState(s)
}

// The process dies after an append has filled a segment and before the next
// segment is noted: what was appended is there, and appends go on.
func TestAFullSegmentWithoutSuccessorGetsOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, WAL) // makes the folder
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	meta, lost := &metadb.BoltMetaDB{}, &atomic.Bool{}
	w, err := wal.Open(filepath.Join(dir, walDir), wal.WithMetaStore(forgetful{meta, lost}), wal.WithSegmentSize(16<<10))
	if err != nil {
		t.Fatal(err)
	}
	lost.Store(true)
	last := uint64(0)
	for range 100 {
		if err := w.StoreLogs([]*raft.Log{entry(last+1, 1)}); err != nil {
			break // the segment is full, and there is no next one
		}
		last++
	}
	if last == 0 || last == 100 {
		t.Fatalf("%d entries went into the segment", last)
	}
	if err := errors.Join(w.Close(), meta.Close()); err != nil {
		t.Fatal(err)
	}
	for round := range uint64(3) {
		s = open(t, dir, WAL)
		checkLog(t, s.Log, 1, last, func(uint64) uint64 { return 1 })
		if err := s.Log.StoreLog(entry(last+1, 1)); err != nil {
			t.Fatalf("round %d: append after reopening: %v", round, err)
		}
		last++
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever Raft does to its log, in any order and with any number of restarts,
// the log holds what a plain list would.
func TestTheLogAgreesWithAModel(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		t.Parallel() // it waits for the disk most of the time
		rapid.Check(t, func(rt *rapid.T) {
			dir, err := os.MkdirTemp(t.TempDir(), "log")
			if err != nil {
				rt.Fatal(err)
			}
			defer os.RemoveAll(dir)
			m := &logModel{t: t, dir: dir, kind: k, terms: make(map[uint64]uint64), first: 1, next: 1}
			m.stores = open(t, dir, k)
			defer func() { m.stores.Close() }()
			rt.Repeat(map[string]func(*rapid.T){
				"append":   func(rt *rapid.T) { m.append(rapid.Uint64Range(1, 12).Draw(rt, "entries")) },
				"cut end":  func(rt *rapid.T) { m.cutEnd(rapid.Uint64Range(1, 9).Draw(rt, "entries")) },
				"cut head": func(rt *rapid.T) { m.cutHead(rapid.Uint64Range(1, 9).Draw(rt, "entries")) },
				"reopen":   func(*rapid.T) { m.reopen() },
			})
			m.reopen()
		})
	})
}

type logModel struct {
	t           *testing.T
	dir         string
	kind        Kind
	stores      *Stores
	terms       map[uint64]uint64
	first, next uint64
	term        uint64
}

func (m *logModel) append(n uint64) {
	m.term++
	var batch []*raft.Log
	for range n {
		batch = append(batch, entry(m.next, m.term))
		m.terms[m.next] = m.term
		m.next++
	}
	if err := m.stores.Log.StoreLogs(batch); err != nil {
		m.t.Fatal(err)
	}
}

func (m *logModel) cutEnd(n uint64) {
	if m.next-m.first <= n { // Raft never cuts off what is committed, so never all
		return
	}
	if err := m.stores.Log.DeleteRange(m.next-n, m.next-1); err != nil {
		m.t.Fatal(err)
	}
	m.next -= n
}

func (m *logModel) cutHead(n uint64) {
	if m.next-m.first <= n {
		return
	}
	if err := m.stores.Log.DeleteRange(m.first, m.first+n-1); err != nil {
		m.t.Fatal(err)
	}
	m.first += n
	if err := m.stores.Log.GetLog(m.first-1, new(raft.Log)); err != raft.ErrLogNotFound {
		m.t.Fatalf("entry %d was cut off: %v", m.first-1, err)
	}
}

func (m *logModel) reopen() {
	if err := m.stores.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.stores = open(m.t, m.dir, m.kind)
	if m.next > m.first {
		checkLog(m.t, m.stores.Log, m.first, m.next-1, func(i uint64) uint64 { return m.terms[i] })
	}
}
