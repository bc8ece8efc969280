package database

import "github.com/coveydb/covey/internal/tuple"

// The layer's keys, all below one byte:
//
//	'd' 'n' name    -> row of the name: the place it points to
//	'd' 'k' ID key  -> packed value
//
// Names and keys stand raw at the end, so the order of the store is their byte
// order, which for UTF-8 is the order of code points. IDs have one length, so
// no database's keys begin with another's.
const (
	layerByte = 'd'
	nameByte  = 'n'
	dataByte  = 'k'
)

const dataPrefix = 2 + len(ID{})

// nameKey returns the key of a name's row, in a slice of its own.
func nameKey(name string) []byte {
	return append(append(make([]byte, 0, 2+len(name)), layerByte, nameByte), name...)
}

// dataKey returns the store key of key, in a slice of its own. With no key it
// is the prefix that all keys of the place share.
func dataKey(id ID, key string) []byte {
	dst := append(make([]byte, 0, dataPrefix+len(key)), layerByte, dataByte)
	return append(append(dst, id[:]...), key...)
}

func dataSpan(id ID) (lo, hi []byte) { return tuple.Span(dataKey(id, "")) }
func allNames() (lo, hi []byte)      { return tuple.Span([]byte{layerByte, nameByte}) }
func allData() (lo, hi []byte)       { return tuple.Span([]byte{layerByte, dataByte}) }
