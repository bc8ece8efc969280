// Package tuple encodes values into keys whose byte order is the order of the
// values.
//
// Each element begins with a type byte and ends by itself, so the encoding of
// a tuple is the concatenation of its elements and no tuple is a prefix of
// another element's inside. All keys that begin with a tuple form one span.
// In a byte string 0x00 is written as 0x00 0xFF, and 0x00 0x01 ends it: so no
// encoded string is the beginning of another one, and it sorts before all that
// go on.
package tuple

import (
	"encoding/binary"
	"errors"
)

const (
	tagBytes  = 0x01
	tagString = 0x02
	tagUint   = 0x03
	tagInt    = 0x04
)

var errCorrupt = errors.New("tuple: not an encoded element of that type")

// AppendBytes appends a byte string. Order: bytewise.
func AppendBytes(dst, v []byte) []byte { return escape(append(dst, tagBytes), v) }

// AppendString appends a text. Order: bytewise.
func AppendString(dst []byte, v string) []byte { return escape(append(dst, tagString), v) }

// AppendUint appends an unsigned number in nine bytes.
func AppendUint(dst []byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tagUint), v)
}

// AppendInt appends a signed number in nine bytes.
func AppendInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tagInt), uint64(v)^1<<63)
}

func escape[T []byte | string](dst []byte, v T) []byte {
	for i := range len(v) {
		dst = append(dst, v[i])
		if v[i] == 0 {
			dst = append(dst, 0xFF)
		}
	}
	return append(dst, 0, 1)
}

// Bytes reads a byte string from the head of p and returns what follows it.
func Bytes(p []byte) (v, rest []byte, err error) { return unescape(p, tagBytes) }

// String reads a text from the head of p and returns what follows it.
func String(p []byte) (v string, rest []byte, err error) {
	b, rest, err := unescape(p, tagString)
	return string(b), rest, err
}

// Uint reads an unsigned number from the head of p.
func Uint(p []byte) (v uint64, rest []byte, err error) {
	if len(p) < 9 || p[0] != tagUint {
		return 0, nil, errCorrupt
	}
	return binary.BigEndian.Uint64(p[1:]), p[9:], nil
}

// Int reads a signed number from the head of p.
func Int(p []byte) (v int64, rest []byte, err error) {
	if len(p) < 9 || p[0] != tagInt {
		return 0, nil, errCorrupt
	}
	return int64(binary.BigEndian.Uint64(p[1:]) ^ 1<<63), p[9:], nil
}

func unescape(p []byte, tag byte) (v, rest []byte, err error) {
	if len(p) == 0 || p[0] != tag {
		return nil, nil, errCorrupt
	}
	p = p[1:]
	for i := 0; i < len(p); i++ {
		if p[i] != 0 {
			v = append(v, p[i])
			continue
		}
		if i++; i == len(p) {
			break
		}
		switch p[i] {
		case 0xFF:
			v = append(v, 0)
		case 1:
			return v, p[i+1:], nil
		default:
			return nil, nil, errCorrupt
		}
	}
	return nil, nil, errCorrupt
}

// Span returns the bounds [lo, hi) of all keys that begin with prefix. hi is
// nil, for no bound, when prefix is empty or all 0xFF.
func Span(prefix []byte) (lo, hi []byte) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			hi = append(append([]byte(nil), prefix[:i]...), prefix[i]+1)
			break
		}
	}
	return prefix, hi
}
