package bucket

import "github.com/coveydb/covey/internal/tuple"

// The layer's keys, all below one byte:
//
//	'b' 'p' string(id)        -> policy row
//	'b' 'k' string(id) key    -> stored value
//
// The key of a record is the raw rest, so that the order of the store is the
// byte order of keys, and a prefix of a key is a prefix of a store key.
const (
	layerByte  = 'b'
	policyByte = 'p'
	dataByte   = 'k'
)

// policyKey returns the key of id's policy row, in a slice of its own.
func policyKey(id string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 4+len(id)), layerByte, policyByte), id)
}

// dataKey returns the store key of key in bucket id, in a slice of its own.
// With no key it is the prefix that all of the bucket's keys share.
func dataKey(id string, key []byte) []byte {
	dst := append(make([]byte, 0, 4+len(id)+len(key)), layerByte, dataByte)
	return append(tuple.AppendString(dst, id), key...)
}

// dataSpan returns the span of all keys of bucket id that begin with prefix.
func dataSpan(id string, prefix []byte) (lo, hi []byte) { return tuple.Span(dataKey(id, prefix)) }

// policySpan returns the span of the policy rows of all ids after the given one.
func policySpan(after string) (lo, hi []byte) {
	lo, hi = tuple.Span([]byte{layerByte, policyByte})
	if after != "" {
		// The encoding of a text ends in 0x00, and no other text's begins with it.
		lo = append(policyKey(after), 0)
	}
	return lo, hi
}

// policyID reads the id from the key of a policy row.
func policyID(key []byte) (string, bool) {
	if len(key) < 2 {
		return "", false
	}
	id, rest, err := tuple.String(key[2:])
	return id, err == nil && len(rest) == 0
}
