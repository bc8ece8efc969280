package raftlog

import (
	"errors"
	"sync/atomic"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/coveydb/covey/internal/errs"
)

// guardedLog is a log store under the guard.
type guardedLog struct {
	inner raft.LogStore
	guard *guard

	// retry: a Bolt transaction that found no space has been rolled back and
	// may run again. raft-wal has counted the entries of a failed append
	// already; only opening it anew repairs that.
	retry  bool
	broken atomic.Pointer[error]
}

func newGuardedLog(inner raft.LogStore, g *guard, k Kind) *guardedLog {
	return &guardedLog{inner: inner, guard: g, retry: k == Bolt}
}

func (l *guardedLog) FirstIndex() (uint64, error) { return l.inner.FirstIndex() }
func (l *guardedLog) LastIndex() (uint64, error)  { return l.inner.LastIndex() }

func (l *guardedLog) GetLog(index uint64, log *raft.Log) error { return l.inner.GetLog(index, log) }

func (l *guardedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

func (l *guardedLog) StoreLogs(logs []*raft.Log) error {
	return l.write("append to the log", func() error { return l.inner.StoreLogs(logs) })
}

func (l *guardedLog) DeleteRange(min, max uint64) error {
	return l.write("truncate the log", func() error { return l.inner.DeleteRange(min, max) })
}

// IsMonotonic forwards what Raft asks of the store below: without it Raft would
// leave a gap in a log that cannot hold one.
func (l *guardedLog) IsMonotonic() bool {
	m, ok := l.inner.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (l *guardedLog) write(what string, fn func() error) error {
	if err := l.broken.Load(); err != nil {
		return *err
	}
	err := l.guard.run(what, fn)
	if notWritten(err) && l.retry && l.guard.disk.giveUpBallast() {
		err = l.guard.run(what, fn)
	}
	if err == nil {
		return nil
	}
	err = l.explain(what, err)
	l.broken.Store(&err)
	l.guard.fatal(err)
	return err
}

// explain gives a store's error its kind. raft-wal makes its next segment in the
// background and only logs when it cannot; what the next append then gets is
// that the last segment is sealed.
func (l *guardedLog) explain(what string, err error) error {
	if !errors.Is(err, wal.ErrSealed) {
		return storeError(what, err)
	}
	kind := errs.Internal
	if l.guard.disk.isFull() {
		kind = errs.NoSpace
	}
	return errs.E(kind, "raft log: %s: there is no next segment, most likely because the disk is full: %w", what, err)
}

// settled is a write-ahead log that is truncated only between two segments, and
// from which nothing is read that was truncated.
//
// When an append has filled a segment, raft-wal 0.4.0 moves on to the next one
// in the background. Appends wait for that, truncations do not: one that gets
// in between puts an empty segment at the end, and the move then seals that one
// and goes on at index 1. The next append fails, and so does a later opening.
//
// And its last segment goes on giving out entries that were cut off at the head,
// until it is opened anew. A follower would be sent the whole past instead of the
// snapshot that has taken its place.
type settled struct{ *wal.WAL }

func (w settled) GetLog(index uint64, log *raft.Log) error {
	first, err := w.FirstIndex()
	if err != nil {
		return err
	}
	if index < first {
		return raft.ErrLogNotFound
	}
	return w.WAL.GetLog(index, log)
}

func (w settled) DeleteRange(min, max uint64) error {
	last, err := w.LastIndex()
	if err != nil {
		return err
	}
	if last > 0 {
		// An append is the only thing that waits. This one is refused before
		// anything is written: an entry 0 follows no other.
		_ = w.WAL.StoreLogs([]*raft.Log{{Index: 0}})
	}
	return w.WAL.DeleteRange(min, max)
}
