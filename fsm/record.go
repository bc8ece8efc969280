package fsm

import (
	"encoding/binary"
)

// Record is one live key with its value.
type Record struct {
	Key     []byte
	Value   []byte
	Version uint64 // of the command that wrote it
	Expiry  int64  // unix milliseconds; 0 = never
}

// liveAt reports whether a record with that expiry is visible at now.
func liveAt(expiry, now int64) bool { return expiry == 0 || expiry > now }

func appendRecord(dst []byte, version uint64, expiry int64, value []byte) []byte {
	dst = binary.AppendUvarint(dst, version)
	dst = binary.AppendUvarint(dst, uint64(expiry))
	return append(dst, value...)
}

// decodeRecord reads a stored record; the value aliases p.
func decodeRecord(p []byte) (version uint64, expiry int64, value []byte, err error) {
	version, n := binary.Uvarint(p)
	if n <= 0 {
		return 0, 0, nil, errCorrupt
	}
	exp, k := binary.Uvarint(p[n:])
	if k <= 0 || exp > 1<<63-1 {
		return 0, 0, nil, errCorrupt
	}
	return version, int64(exp), p[n+k:], nil
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
