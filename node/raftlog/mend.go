package raftlog

import (
	"errors"
	"os"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

// raft-wal 0.4.0 leaves two traces of which a later opening makes nothing good:
//
//   - A truncation of the log's end ends the last segment without writing its
//     index block. The running log reads on from memory; a later one cannot read
//     that segment at all ("sealed segment has no index block", raft-wal issue 31,
//     repaired since, but in no release).
//   - An append that fills a segment is acknowledged before the next segment is
//     noted. After a crash in between, the last segment is full and every append
//     is refused.
//
// Both are mended where the log is opened: what a segment without an index holds
// can be found by reading it through, as is done with the last one after a crash
// anyway; and a full last segment gets its successor.

// segments opens segments that have no index block too.
type segments struct{ types.SegmentFiler }

// Open implements types.SegmentFiler.
func (s segments) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart == 0 {
		return s.RecoverTail(info)
	}
	return s.SegmentFiler.Open(info)
}

// notes is the list of segments, mended when it is read.
type notes struct {
	types.MetaStore
	segments types.SegmentFiler
	now      func() time.Time
}

// Load implements types.MetaStore.
func (n notes) Load(dir string) (types.PersistentState, error) {
	state, err := n.MetaStore.Load(dir)
	if err != nil || len(state.Segments) == 0 {
		return state, err
	}
	end := &state.Segments[len(state.Segments)-1]
	if !end.SealTime.IsZero() {
		return state, nil
	}
	full, last, err := n.isFull(*end)
	if err != nil || !full {
		return state, err
	}
	next := *end
	next.ID, next.CreateTime = state.NextSegmentID, n.now()
	state.NextSegmentID++
	if last == 0 { // its one batch was torn: it holds nothing
		*end = next
	} else {
		end.SealTime, end.MaxIndex = n.now(), last
		next.BaseIndex, next.MinIndex = last+1, last+1
		state.Segments = append(state.Segments, next)
	}
	return state, n.CommitState(state)
}

// isFull reads the last segment through. Its index block is not relied on: it
// may be torn.
func (n notes) isFull(end types.SegmentInfo) (full bool, last uint64, err error) {
	w, err := n.segments.RecoverTail(end)
	if errors.Is(err, os.ErrNotExist) {
		return false, 0, nil // noted, not made yet
	}
	if err != nil {
		return false, 0, err
	}
	full, _, err = w.Sealed()
	return full, w.LastIndex(), errors.Join(err, w.Close())
}
