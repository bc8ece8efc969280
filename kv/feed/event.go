package feed

import (
	"math"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Kind says what became of a key.
type Kind uint8

// The kinds of events.
const (
	Set        Kind = iota + 1 // Key has Value
	Delete                     // Key, which was there, is gone
	DeleteSpan                 // all keys of [Key, Hi) are gone, if there were any
	Expire                     // Key had expired, and its storage was given back: some time after
	Touch                      // Key has the same value and another Expiry
)

// A Cursor is a place in the order of all changes: behind change Seq of
// version Version. The order is the same on all nodes. The zero Cursor is the
// beginning.
type Cursor struct {
	Version uint64
	Seq     uint32
}

// After is the Cursor behind all changes of a version, such as the one that a
// read was made at.
func After(version uint64) Cursor { return Cursor{version, math.MaxUint32} }

// Compare returns a negative number if c is before d, 0 if they are the same,
// and a positive number otherwise.
func (c Cursor) Compare(d Cursor) int {
	switch {
	case c.Version != d.Version:
		if c.Version < d.Version {
			return -1
		}
		return 1
	case c.Seq < d.Seq:
		return -1
	case c.Seq > d.Seq:
		return 1
	}
	return 0
}

// String returns c as ParseCursor reads it: 42.3, or 42 for After(42).
func (c Cursor) String() string {
	p := strconv.AppendUint(nil, c.Version, 10)
	if c.Seq != math.MaxUint32 {
		p = strconv.AppendUint(append(p, '.'), uint64(c.Seq), 10)
	}
	return string(p)
}

// ParseCursor reads what String wrote. A version alone means After it.
func ParseCursor(text string) (Cursor, error) {
	version, seq, dotted := strings.Cut(text, ".")
	c := Cursor{Seq: math.MaxUint32}
	v, err := strconv.ParseUint(version, 10, 64)
	if err == nil && dotted {
		var n uint64
		n, err = strconv.ParseUint(seq, 10, 32)
		c.Seq = uint32(n)
	}
	if err != nil {
		return Cursor{}, errs.E(errs.Invalid, "%.50q is no place in the order of changes: it is a version, or a version, a dot and a number", text)
	}
	c.Version = v
	return c, nil
}

// An Event is one change of one key, or of a span of keys. Watchers share its
// slices: they must not be written to.
type Event struct {
	Cursor
	Kind    Kind
	Time    int64 // the cluster's clock at the commit, unix milliseconds
	Key     []byte
	Hi      []byte // DeleteSpan: the exclusive end; nil for no end
	Value   []byte // Set: the value, unless it is Long
	Long    bool   // Set: the value is too long for the history; read the record
	Created bool   // Set: the key was not there before
	Expiry  int64  // Set, Touch: unix milliseconds, 0 = never
}
