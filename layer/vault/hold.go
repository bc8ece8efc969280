package vault

import (
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// largeRead is from how many bytes of clear values on a request is a large one.
const largeRead = 1 << 20

// hold counts n bytes of clear values that the session has come to hold. When
// these begin to be many it asks to be admitted, with what most says: how many
// they may be in the end.
func (s *Session) hold(n int, most func() (int, error)) error {
	before := s.held
	s.held += n
	if s.admit == nil || before > largeRead || s.held <= largeRead {
		return nil
	}
	size, err := most()
	if err != nil {
		return err
	}
	if s.references != nil {
		size += maxResolvedAll
	}
	return s.admit(size)
}

// sizeOf is what the variables of an environment take in bytes, at most
// maxShown.
func sizeOf(tx *kv.Tx, environment uint64) (n int, err error) {
	lo, hi := tuple.Span(byID(variableByte, environment))
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return 0, err
		}
		if n += len(rec.Value); n > maxShown {
			return maxShown, nil
		}
	}
	return n, nil
}
