package fsm

import (
	"encoding/binary"
	"math/bits"
)

// Record is one live key with its value.
type Record struct {
	Key     []byte
	Value   []byte
	Version uint64 // of the command that wrote it
	Expiry  int64  // unix milliseconds; 0 = never
}

// head is what a record says besides its value.
type head struct {
	exists  bool
	version uint64
	expiry  int64
	shift   uint8 // of the grain of its place in the expiry index; see due
}

func (h head) live(now int64) bool { return h.exists && liveAt(h.expiry, now) }

// liveAt reports whether a record with that expiry is visible at now.
func liveAt(expiry, now int64) bool { return expiry == 0 || expiry > now }

// due is when the expiry index has a record with an expiry looked at: at the
// expiry, rounded up to a grain of 2^shift ms. The grain is between 1/512 and
// 1/256 of the time to live, so a record that is written again and again moves
// in the index once in a while, and not each time. Nobody sees the difference:
// an expired record is hidden on the millisecond, and reaped by and by.
func (h head) due() int64 {
	grain := int64(1) << h.shift
	return (h.expiry + grain - 1) &^ (grain - 1)
}

const maxShift = 54 // with the largest expiry, 1<<62, due stays an int64

// newHead is the head of a record written at clock to live ttl milliseconds;
// 0 is for ever.
func newHead(version uint64, clock, ttl int64) head {
	h := head{exists: true, version: version, expiry: expiryAfter(clock, ttl)}
	if grain := uint64(ttl) >> 8; grain > 0 {
		h.shift = uint8(min(bits.Len64(grain)-1, maxShift))
	}
	return h
}

// expiryAfter is the absolute expiry of a record written at clock with a time
// to live of ttl milliseconds; 0 stays never.
func expiryAfter(clock, ttl int64) int64 {
	switch {
	case ttl == 0:
		return 0
	case ttl > 1<<62-clock:
		return 1 << 62
	}
	return clock + ttl
}

// appendRecord appends a stored record:
//
//	uvarint version, uvarint expiry, shift (one byte, only with an expiry), value
func appendRecord(dst []byte, h head, value []byte) []byte {
	dst = binary.AppendUvarint(dst, h.version)
	dst = binary.AppendUvarint(dst, uint64(h.expiry))
	if h.expiry != 0 {
		dst = append(dst, h.shift)
	}
	return append(dst, value...)
}

// decodeRecord reads a stored record; the value aliases p.
func decodeRecord(p []byte) (h head, value []byte, err error) {
	h.exists = true
	var n int
	if h.version, n = binary.Uvarint(p); n <= 0 {
		return head{}, nil, errCorrupt
	}
	p = p[n:]
	expiry, n := binary.Uvarint(p)
	if n <= 0 || expiry > 1<<62 {
		return head{}, nil, errCorrupt
	}
	h.expiry, p = int64(expiry), p[n:]
	if h.expiry == 0 {
		return h, p, nil
	}
	if len(p) == 0 || p[0] > maxShift {
		return head{}, nil, errCorrupt
	}
	h.shift = p[0]
	return h, p[1:], nil
}
