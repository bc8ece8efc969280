package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Reader reads an ordered map. A Snapshot and a Batch are Readers.
type Reader interface {
	// Get returns a copy of the value of key, which the caller owns, and
	// whether there is one.
	Get(key []byte) (value []byte, ok bool, err error)

	// View calls fn with the value of key, if there is one, and returns fn's
	// error as it is. It copies nothing: value is valid only until fn returns
	// and must not be written to.
	View(key []byte, fn func(value []byte) error) (ok bool, err error)

	// Scan returns an iterator over [lo, hi) in ascending order. It must be closed.
	Scan(lo, hi []byte) *Iter

	// ScanBack returns an iterator over [lo, hi) in descending order. It must
	// be closed.
	ScanBack(lo, hi []byte) *Iter
}

// Iter walks over a span of a Reader as it was when the Iter was made:
//
//	it := r.Scan(lo, hi)
//	defer it.Close()
//	for it.Next() {
//		use(it.Key(), it.Value())
//	}
//	return it.Err()
//
// It is for one goroutine at a time, and must be closed before its Reader.
type Iter struct {
	it         *pebble.Iterator // nil: nothing to walk over, or closed
	back       bool
	started    bool
	key, value []byte
	err        error
	dir        string
}

// Next moves to the next record, at first to the first one, and reports
// whether there is one. It returns false for good at the end and at an error.
func (it *Iter) Next() bool {
	it.key, it.value = nil, nil
	if it.it == nil || it.err != nil {
		return false
	}
	var ok bool
	switch {
	case !it.started && it.back:
		ok = it.it.Last()
	case !it.started:
		ok = it.it.First()
	case it.back:
		ok = it.it.Prev()
	default:
		ok = it.it.Next()
	}
	it.started = true
	if !ok {
		it.finish()
		return false
	}
	value, err := it.it.ValueAndErr()
	if err != nil {
		it.err = wrap("scan", it.dir, err)
		it.finish()
		return false
	}
	it.key, it.value = it.it.Key(), value
	return true
}

// finish gives the engine's iterator back; an exhausted one must not step on.
func (it *Iter) finish() {
	err := it.it.Close()
	it.it = nil
	if it.err == nil {
		it.err = wrap("scan", it.dir, err)
	}
}

// Key returns the current key. It is valid until the next call of Next or
// Close and must not be written to. It is nil when there is no current record.
func (it *Iter) Key() []byte { return it.key }

// Value returns the current value, under the same terms as Key.
func (it *Iter) Value() []byte { return it.value }

// Err returns what ended the walk early, or nil. It stays valid after Close.
func (it *Iter) Err() error { return it.err }

// Close ends the walk and returns Err. It may be called again.
func (it *Iter) Close() error {
	it.key, it.value = nil, nil
	if it.it != nil {
		it.finish()
	}
	return it.err
}

// view implements Reader.View on s, a Pebble snapshot or indexed batch.
func view(s pebble.Reader, dir string, key []byte, fn func([]byte) error) (bool, error) {
	value, closer, err := s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, wrap("get", dir, err)
	}
	err = fn(value)
	if cerr := closer.Close(); err == nil {
		err = wrap("get", dir, cerr)
	}
	return true, err
}

// get implements Reader.Get on s.
func get(s pebble.Reader, dir string, key []byte) (value []byte, ok bool, err error) {
	v, closer, err := s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap("get", dir, err)
	}
	value = append(make([]byte, 0, len(v)), v...)
	if err := closer.Close(); err != nil {
		return nil, false, wrap("get", dir, err)
	}
	return value, true, nil
}

// span is [lo, hi); hi nil is the end.
type span struct{ lo, hi []byte }

func (s span) empty() bool { return s.hi != nil && bytes.Compare(s.lo, s.hi) >= 0 }

// scan implements Reader.Scan and Reader.ScanBack on s.
func scan(s pebble.Reader, dir string, sp span, back bool) *Iter {
	it := &Iter{back: back, dir: dir}
	if sp.empty() {
		return it
	}
	if len(sp.lo) == 0 {
		sp.lo = nil // Pebble's invariant checks choke on an empty bound
	}
	p, err := s.NewIter(&pebble.IterOptions{LowerBound: sp.lo, UpperBound: sp.hi})
	if err != nil {
		it.err = wrap("scan", dir, err)
		return it
	}
	it.it = p
	return it
}
