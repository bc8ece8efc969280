package fsm

import (
	"encoding/binary"
	"fmt"
)

// RingSize is how many of the last commands' ids a new state remembers. It is
// stored in the state and stays as it is for the life of the cluster.
const RingSize = 100_000

// maxRing is more than any state remembers: a larger one is damage.
const maxRing = 1 << 24

// StateFormat is the layout of everything below the machine's prefixes.
const StateFormat = 2

// State is where a machine stands.
type State struct {
	Version uint64   // commands applied
	Index   uint64   // of the last entry applied, in the log
	Clock   int64    // the largest stamp seen, unix milliseconds
	Floor   uint64   // commands that read before this version are refused
	Ring    uint64   // ids remembered
	Chain   [32]byte // hash over all entries and results so far

	History      uint64 // the oldest version whose changes are kept
	HistoryLimit uint64 // bytes of history to keep
	HistoryHeld  uint64 // bytes of history
	SegmentHeld  uint64 // of them, in the segment that is not ended
}

func (s *State) append(dst []byte) []byte {
	dst = append(dst, StateFormat)
	dst = binary.AppendUvarint(dst, s.Version)
	dst = binary.AppendUvarint(dst, s.Index)
	dst = binary.AppendUvarint(dst, uint64(s.Clock))
	dst = binary.AppendUvarint(dst, s.Floor)
	dst = binary.AppendUvarint(dst, s.Ring)
	dst = binary.AppendUvarint(dst, s.History)
	dst = binary.AppendUvarint(dst, s.HistoryLimit)
	dst = binary.AppendUvarint(dst, s.HistoryHeld)
	dst = binary.AppendUvarint(dst, s.SegmentHeld)
	return append(dst, s.Chain[:]...)
}

func decodeState(p []byte) (State, error) {
	var s State
	if len(p) == 0 {
		return s, errCorrupt
	}
	if p[0] != StateFormat {
		return s, fmt.Errorf("the data folder has state format %d, this release reads %d: start the release that wrote it, or a newer one", p[0], StateFormat)
	}
	p = p[1:]
	var clock uint64
	for _, field := range []*uint64{&s.Version, &s.Index, &clock, &s.Floor, &s.Ring, &s.History, &s.HistoryLimit, &s.HistoryHeld, &s.SegmentHeld} {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			return s, errCorrupt
		}
		*field, p = v, p[n:]
	}
	s.Clock = int64(clock)
	if len(p) != len(s.Chain) || s.Ring == 0 || s.Ring > maxRing || clock > 1<<63-1 || s.HistoryLimit > maxHistory {
		return s, errCorrupt
	}
	copy(s.Chain[:], p)
	return s, nil
}
