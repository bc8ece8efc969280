package fsm

import (
	"encoding/binary"

	"github.com/coveydb/covey/internal/errs"
)

// epochSkip is how far at least the version jumps when a new epoch begins: more
// commands than a lost past can have been ahead by, and so many times fewer than
// the 2^53 that a client can count to.
const epochSkip = 1 << 30

// NewEpoch gives the state a future of its own after its cluster was given up: a
// past that only lost replicas knew may have gone further than this state has.
// The version jumps over all versions that such a past can have used, to one above
// past too, so that none comes twice: neither as an ETag nor as the cursor of a
// watch. What was read before is refused at commit (State.Floor), what was changed
// before is no longer told (State.History), and a command that was first sent before
// is Forgotten unless its id is remembered. index, which is above the state's, is
// where the state stands in the log from then on.
//
// It is one batch, durable with the next Flush, and belongs to the goroutine that
// applies. All other replicas must begin with a copy of this state.
func (m *Machine) NewEpoch(index, past uint64) error {
	if index <= m.st.Index {
		return errs.E(errs.Internal, "a new epoch at index %d, the state stands at %d", index, m.st.Index)
	}
	st := m.st
	// Whole rounds of the ring: each remembered id keeps its slot.
	rounds := (max(past, st.Version) - st.Version + epochSkip + st.Ring - 1) / st.Ring
	st.Version += rounds * st.Ring
	st.Index, st.Floor, st.History = index, st.Version, st.Version+1
	st.HistoryHeld, st.SegmentHeld = 0, 0
	m.hash.Reset()
	m.hash.Write(m.st.Chain[:])
	m.hash.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("epoch"), index), st.Version))
	m.hash.Sum(st.Chain[:0])

	b := m.db.Batch()
	defer b.Close()
	for _, prefix := range []byte{prefixHistory, prefixSegment, prefixChunk, prefixChunkSet} {
		b.DeleteSpan([]byte{prefix}, []byte{prefix + 1})
	}
	b.Set(metaKey, st.append(nil))
	if err := b.Commit(); err != nil {
		return err
	}
	m.st = st
	m.publish()
	return nil
}
