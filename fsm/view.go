package fsm

import (
	"encoding/binary"

	"github.com/coveydb/covey/store"
)

// View is a consistent, unchanging state of the machine, safe for concurrent
// use. It is shared: each holder owns one reference.
type View struct {
	State
	m    *Machine
	snap *store.Snapshot
	hot  hot
	refs int // guarded by m.mu
}

// Release gives the caller's reference back; the view must not be used after.
func (v *View) Release() {
	v.m.mu.Lock()
	v.refs--
	last := v.refs == 0
	v.m.mu.Unlock()
	if last {
		v.snap.Close()
	}
}

// Get returns key's record if it is live at now (unix milliseconds). The
// record's value is the caller's.
func (v *View) Get(key []byte, now int64) (rec Record, ok bool, err error) {
	h, value, found := v.hot.get(key)
	if !found {
		_, err = v.snap.View(appendDataKey(make([]byte, 0, 1+len(key)), key), func(p []byte) (err error) {
			h, value, err = decodeRecord(p)
			value = append([]byte{}, value...)
			return err
		})
		if err != nil {
			return Record{}, false, err
		}
		v.hot.put(key, h, value)
	}
	if !h.live(now) {
		return Record{}, false, nil
	}
	return Record{Key: key, Value: append([]byte{}, value...), Version: h.version, Expiry: h.expiry}, true, nil
}

// Scan iterates over the records of [lo, hi) that are live at now, upwards; hi
// nil is no end. The caller must Close the iterator.
func (v *View) Scan(lo, hi []byte, now int64) *Iter {
	slo, shi := dataSpan(lo, hi)
	return &Iter{it: v.snap.Scan(slo, shi), now: now}
}

// ScanBack is Scan downwards.
func (v *View) ScanBack(lo, hi []byte, now int64) *Iter {
	slo, shi := dataSpan(lo, hi)
	return &Iter{it: v.snap.ScanBack(slo, shi), now: now}
}

// Due reports whether Reap has work at now: a record past its expiry, or an
// abandoned chunk.
func (v *View) Due(now int64) (bool, error) {
	end := appendExpiryKey(nil, now+1, nil)
	it := v.snap.Scan([]byte{prefixExpiry}, end)
	due := it.Next()
	if err := it.Close(); due || err != nil {
		return due, err
	}
	it = v.snap.Scan([]byte{prefixChunkSet}, []byte{prefixChunkSet + 1})
	defer it.Close()
	for it.Next() {
		if stamp, n := binary.Uvarint(it.Value()); n <= 0 || int64(stamp)+chunkLifeMS <= now {
			return true, nil
		}
	}
	return false, it.Err()
}

// Iter walks over live records. Record's slices are valid until the next step.
type Iter struct {
	it  *store.Iter
	now int64
	rec Record
	err error
}

// Next moves to the next live record and reports whether there is one.
func (i *Iter) Next() bool {
	for i.err == nil && i.it.Next() {
		h, value, err := decodeRecord(i.it.Value())
		if err != nil {
			i.err = err
			return false
		}
		if h.live(i.now) {
			i.rec = Record{Key: i.it.Key()[1:], Value: value, Version: h.version, Expiry: h.expiry}
			return true
		}
	}
	return false
}

// Record returns the record that Next moved to.
func (i *Iter) Record() Record { return i.rec }

// Err returns what ended the iteration early, if anything did.
func (i *Iter) Err() error {
	if i.err != nil {
		return i.err
	}
	return i.it.Err()
}

// Close releases the iterator.
func (i *Iter) Close() error { return i.it.Close() }
