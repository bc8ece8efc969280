package restdb

import (
	"encoding/binary"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection"
)

// What a deletion leaves for its repeats is bounded by command.MaxReply. A
// deletion by ids, which a repeat has too, leaves a bit for each; one by a
// query leaves the number of documents and the first of their ids.
const (
	maxMarks    = 8 * command.MaxReply
	maxRecalled = (command.MaxReply - 8) / len(collection.OID{})
)

// mark sets a bit for each of the ids that is among deleted, which are some of
// them in the same order.
func mark(ids, deleted []collection.OID) []byte {
	bits := make([]byte, (len(ids)+7)/8)
	for i, id := range ids {
		if len(deleted) > 0 && id == deleted[0] {
			bits[i/8] |= 1 << (i % 8)
			deleted = deleted[1:]
		}
	}
	return bits
}

// marked returns the ids whose bit is set.
func marked(ids []collection.OID, bits []byte) (deleted []collection.OID, err error) {
	if len(bits) != (len(ids)+7)/8 {
		return nil, errs.E(errs.Internal, "the first try of a deletion of %d ids left %d bytes", len(ids), len(bits))
	}
	for i, id := range ids {
		if bits[i/8]&(1<<(i%8)) != 0 {
			deleted = append(deleted, id)
		}
	}
	return deleted, nil
}

// recollection is what a repeat knows of a deletion by query.
type recollection struct {
	count int
	ids   []collection.OID // the first ones
}

// recall makes what recalled reads.
func recall(deleted []collection.OID) []byte {
	p := binary.BigEndian.AppendUint64(nil, uint64(len(deleted)))
	for _, id := range deleted[:min(len(deleted), maxRecalled)] {
		p = append(p, id[:]...)
	}
	return p
}

func recalled(p []byte) (*recollection, error) {
	const size = len(collection.OID{})
	if len(p) < 8 || (len(p)-8)%size != 0 {
		return nil, errs.E(errs.Internal, "the first try of a deletion by query left %d bytes", len(p))
	}
	r := &recollection{count: int(binary.BigEndian.Uint64(p))}
	for p = p[8:]; len(p) > 0; p = p[size:] {
		r.ids = append(r.ids, collection.OID(p[:size]))
	}
	return r, nil
}
