package sealed

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// NodeSpan is the span of the records in which nodes announce their keyrings.
// They are about this cluster, whatever data is in it.
func NodeSpan() (lo, hi []byte) { return tuple.Span([]byte{ownByte, nodeByte}) }

// Foreign counts what is sealed in records that are in no transaction, such as
// those of a backup. It is for one goroutine.
type Foreign struct {
	in     *Inventory
	counts map[under]int64
}

type under struct{ kind, key string }

// NewForeign returns a Foreign that has counted nothing.
func NewForeign(in *Inventory) *Foreign { return &Foreign{in, make(map[under]int64)} }

// See counts the Things of a record, of which there are none in most. It keeps
// nothing of it.
func (f *Foreign) See(rec kv.Record) {
	for _, rows := range f.in.Rows {
		if bytes.Compare(rec.Key, rows.Lo) < 0 || rows.Hi != nil && bytes.Compare(rec.Key, rows.Hi) >= 0 {
			continue
		}
		if _, err := rows.Each(rec, func(t Thing) bool {
			id, _ := seal.KeyID(*t.Sealed)
			f.counts[under{t.Kind, id}]++
			return false
		}); err != nil {
			f.counts[under{rows.Name, ""}]++
		}
	}
}

// Tallies returns what was counted, in the order of kinds and keys.
func (f *Foreign) Tallies() []Tally {
	tallies := make([]Tally, 0, len(f.counts))
	for u, n := range f.counts {
		tallies = append(tallies, Tally{u.kind, u.key, n})
	}
	slices.SortFunc(tallies, func(a, b Tally) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key)) })
	return tallies
}
