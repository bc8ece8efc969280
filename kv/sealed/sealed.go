package sealed

import (
	"cmp"
	"context"
	"slices"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

// A Thing is one secret that the keyring has sealed.
type Thing struct {
	Kind   string  // one of few words, in the plural: "tokens"
	Which  string  // which one, for the operator: "user 7"; never a secret
	Place  []byte  // that it is sealed for
	Sealed *[]byte // in memory of the visit's own
}

// A Visit looks at one Thing, and reports whether it has put other bytes where
// Sealed points.
type Visit func(Thing) (changed bool)

// Rows are the records of one kind that hold Things. They never expire.
type Rows struct {
	Name   string // for good: progress is stored under it
	Lo, Hi []byte // the span of their keys

	// Each hands all Things of a record to visit. If one was changed it returns
	// the record's new value, else nil. A record that it cannot read is an error.
	// It is called in transactions, and must not keep rec.
	Each func(rec kv.Record, visit Visit) (changed []byte, err error)
}

// An Inventory is everything that a keyring has sealed. It is only read, and
// safe for concurrent use.
type Inventory struct {
	Keyring *seal.Keyring // of this node; nil = it has none
	Rows    []Rows
}

// A Tally is how many Things of a kind are under one key.
type Tally struct {
	Kind  string `json:"kind"`
	Key   string `json:"key"` // its id; "" = damaged: nobody knows
	Count int64  `json:"count"`
}

// look is how many records are read between looks at a context.
const look = 1000

// Count goes over everything, and returns its Tallies in the order of kinds and
// keys. It reads all Rows, so its time grows with them; ctx can end it. Made
// for a View.
func (in *Inventory) Count(ctx context.Context, tx *kv.Tx) ([]Tally, error) {
	type under struct{ kind, key string }
	counts := make(map[under]int64)
	n := 0
	for _, rows := range in.Rows {
		for rec, err := range tx.Scan(rows.Lo, rows.Hi) {
			if n++; err == nil && n%look == 0 {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			if _, err := rows.Each(rec, func(t Thing) bool {
				id, _ := seal.KeyID(*t.Sealed)
				counts[under{t.Kind, id}]++
				return false
			}); err != nil {
				counts[under{rows.Name, ""}]++
			}
		}
	}
	tallies := make([]Tally, 0, len(counts))
	for u, n := range counts {
		tallies = append(tallies, Tally{u.kind, u.key, n})
	}
	slices.SortFunc(tallies, func(a, b Tally) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key)) })
	return tallies, nil
}

// Lacking returns the ids of the keys that tallies name and this node does not
// hold, in order, and how much is under them.
func (in *Inventory) Lacking(tallies []Tally) (ids []string, things int64) {
	for _, t := range tallies {
		if t.Key != "" && !in.Keyring.Holds(t.Key) {
			ids, things = append(ids, t.Key), things+t.Count
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), things
}
