package fsm

import (
	"encoding/binary"
	"errors"

	"github.com/coveydb/covey/fsm/command"
)

// The machine's keys in the store begin with one of these bytes.
const (
	prefixChunk    = 'c' // c SET SEQ         -> one chunk of a large command
	prefixChunkSet = 'C' // C SET             -> clock when its last chunk arrived
	prefixData     = 'd' // d KEY             -> version, expiry, value
	prefixExpiry   = 'e' // e DUE KEY         -> nothing; KEY may have expired at DUE
	prefixHistory  = 'h' // h VERSION SEQ     -> changes, up to that one
	prefixID       = 'i' // i VERSION mod N   -> command id, result
	prefixMeta     = 'm' // m                 -> version, index, clock, chain, …
	prefixSegment  = 's' // s VERSION         -> bytes of the segment of the history that ends there
)

var metaKey = []byte{prefixMeta}

var errCorrupt = errors.New("fsm: the store holds a value that this machine did not write")

func appendDataKey(dst, key []byte) []byte { return append(append(dst, prefixData), key...) }

// dataSpan maps a span of record keys to a span of the store's.
func dataSpan(lo, hi []byte) (slo, shi []byte) {
	slo = appendDataKey(make([]byte, 0, 1+len(lo)), lo)
	if hi == nil {
		return slo, []byte{prefixData + 1}
	}
	return slo, appendDataKey(make([]byte, 0, 1+len(hi)), hi)
}

func appendExpiryKey(dst []byte, expiry int64, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, prefixExpiry), uint64(expiry))
	return append(dst, key...)
}

func decodeExpiryKey(p []byte) (expiry int64, key []byte, err error) {
	if len(p) < 9 || p[0] != prefixExpiry {
		return 0, nil, errCorrupt
	}
	return int64(binary.BigEndian.Uint64(p[1:])), p[9:], nil
}

func appendIDKey(dst []byte, slot uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefixID), slot)
}

func chunkSetKey(set command.ID) []byte { return append([]byte{prefixChunkSet}, set[:]...) }

func chunkKey(set command.ID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{prefixChunk}, set[:]...), seq)
}
