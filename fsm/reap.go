package fsm

import (
	"bytes"
	"encoding/binary"

	"github.com/coveydb/covey/fsm/command"
)

// chunkLifeMS is after how many milliseconds a chunk whose command was never
// completed counts as abandoned.
const chunkLifeMS = 10 * 60 * 1000

// expiryEntry is one entry of the expiry index.
type expiryEntry struct {
	due int64 // the record's expiry is then or just before; see head.due
	key []byte
}

// reap gives back the storage of records past their expiry, earliest first,
// looking at no more than limit of them. An index entry whose record has gone,
// or is due at another time now, is just dropped.
func (a *applier) reap(limit uint64) (looked uint64, err error) {
	due, err := a.due(limit)
	if err != nil {
		return 0, err
	}
	for _, d := range due {
		h, err := a.m.heads.head(a.b, d.key)
		if err != nil {
			return 0, err
		}
		if h.expiry != 0 && h.due() == d.due {
			a.remove(d.key)
			a.m.hist.gone(d.key, false)
		}
		a.b.Delete(a.expiryKey(d.due, d.key))
	}
	return uint64(len(due)), a.reapChunks()
}

func (a *applier) due(limit uint64) (due []expiryEntry, err error) {
	it := a.b.Scan([]byte{prefixExpiry}, appendExpiryKey(nil, a.st.Clock+1, nil))
	defer it.Close()
	for uint64(len(due)) < limit && it.Next() {
		at, key, err := decodeExpiryKey(it.Key())
		if err != nil {
			return nil, err
		}
		due = append(due, expiryEntry{at, bytes.Clone(key)})
	}
	return due, it.Err()
}

func (a *applier) reapChunks() error {
	var gone []command.ID
	it := a.b.Scan([]byte{prefixChunkSet}, []byte{prefixChunkSet + 1})
	defer it.Close()
	for it.Next() {
		if stamp, n := binary.Uvarint(it.Value()); n > 0 && int64(stamp)+chunkLifeMS > a.st.Clock {
			continue
		}
		var set command.ID
		copy(set[:], it.Key()[1:])
		gone = append(gone, set)
	}
	for _, set := range gone {
		a.dropChunks(set)
	}
	return it.Err()
}
