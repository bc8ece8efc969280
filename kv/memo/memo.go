// Package memo remembers decoded rows, so that a request does not decode what
// the last one did.
//
// What it returns is what the transaction sees: a row is known by the version
// of its record, and reading it through a memo reads the record as always, so
// it guards a write just the same. It never holds more than its bounds, and
// nothing depends on what it holds.
package memo

import (
	"sync"

	"github.com/coveydb/covey/kv"
)

// Bounds of what one Rows remembers. Bytes are those of keys and of the stored
// form of rows.
const (
	maxRows  = 10_000
	maxBytes = 32 << 20
)

// Rows remembers decoded rows of one type. The zero value is empty. Safe for
// concurrent use.
type Rows[T any] struct {
	mu    sync.Mutex
	known map[string]row[T]
	bytes int // what the keys and rows in known have, or more
}

type row[T any] struct {
	version uint64
	value   *T
}

// Get returns the row under key as tx sees it with its version, and nil if
// there is none. The row is shared and must not be changed. The version is 0
// when tx itself has written the row.
func (r *Rows[T]) Get(tx *kv.Tx, key []byte, decode func([]byte) (*T, error)) (*T, uint64, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return nil, 0, err
	}
	if rec.Version == 0 { // it may yet change
		v, err := decode(rec.Value)
		return v, 0, err
	}
	r.mu.Lock()
	k, found := r.known[string(key)]
	r.mu.Unlock()
	if found && k.version == rec.Version {
		return k.value, rec.Version, nil
	}
	v, err := decode(rec.Value)
	if err != nil {
		return nil, 0, err
	}
	r.put(key, row[T]{rec.Version, v}, len(rec.Value))
	return v, rec.Version, nil
}

// put remembers a row, and forgets all others where there is no room.
func (r *Rows[T]) put(key []byte, v row[T], size int) {
	size += len(key)
	if size > maxBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRows || r.bytes+size > maxBytes {
		r.known, r.bytes = make(map[string]row[T]), 0
	}
	r.known[string(key)] = v
	r.bytes += size // also of a row that replaces another: too much, never too little
}
