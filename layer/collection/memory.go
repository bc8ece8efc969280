package collection

import (
	"sync"

	"github.com/coveydb/covey/kv"
)

// memory remembers decoded rows by the version of their record, so that a
// request does not decode what the last one did. What it returns is shared and
// must not be changed. The zero value is empty. Safe for concurrent use.
type memory[T any] struct {
	mu    sync.Mutex
	known map[string]remembered[T]
}

type remembered[T any] struct {
	version uint64
	value   *T
}

// get returns the row under key as tx sees it with its version, and nil if
// there is none. The version is 0 when tx itself has written the row.
func (m *memory[T]) get(tx *kv.Tx, key []byte, decode func([]byte) (*T, error)) (*T, uint64, error) {
	rec, ok, err := tx.Get(key)
	if err != nil || !ok {
		return nil, 0, err
	}
	if rec.Version == 0 { // it may yet change
		v, err := decode(rec.Value)
		return v, 0, err
	}
	m.mu.Lock()
	r, found := m.known[string(key)]
	m.mu.Unlock()
	if found && r.version == rec.Version {
		return r.value, rec.Version, nil
	}
	v, err := decode(rec.Value)
	if err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= maxRows {
		m.known = make(map[string]remembered[T])
	}
	m.known[string(key)] = remembered[T]{rec.Version, v}
	return v, rec.Version, nil
}
