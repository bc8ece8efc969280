package collection

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/layer/collection/query"
)

// A value in an index entry begins with a byte for its kind, in the order of
// query.Compare, and ends by itself. Of texts over maxIndexed bytes, objects
// and arrays only equality is exact: they have a hash in place of what is left
// out (DESIGN.md).
const (
	tagNull   = 0x08
	tagNumber = 0x10
	tagText   = 0x18
	tagObject = 0x20
	tagArray  = 0x28
	tagBool   = 0x30

	textDone = 0x01 // after 0x00: the text was whole
	textHash = 0x02 // after 0x00: the text goes on, its hash follows

	maxIndexed = 512    // bytes of a text that an entry has
	maxEntries = 10_000 // of one document in one index
)

// appendValue appends v as an entry has it.
func appendValue(dst []byte, v query.Value) []byte {
	switch v.Kind() {
	case query.Number:
		return binary.BigEndian.AppendUint64(append(dst, tagNumber), floatBits(v.Float()))
	case query.Text:
		return appendText(append(dst, tagText), v.Text())
	case query.Bool:
		if v.True() {
			return append(dst, tagBool, 1)
		}
		return append(dst, tagBool, 0)
	case query.Object:
		return appendHash(append(dst, tagObject), v.AppendCanonical(nil))
	case query.Array:
		return appendHash(append(dst, tagArray), v.AppendCanonical(nil))
	}
	return append(dst, tagNull)
}

// floatBits are f's bits so that they sort as the numbers do. Zero has one form.
func floatBits(f float64) uint64 {
	bits := math.Float64bits(f + 0) // -0 + 0 is 0
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

func appendText(dst []byte, s string) []byte {
	head := s[:min(len(s), maxIndexed)]
	for {
		i := strings.IndexByte(head, 0)
		if i < 0 {
			break
		}
		dst = append(append(dst, head[:i]...), 0, 0xFF)
		head = head[i+1:]
	}
	dst = append(dst, head...)
	if len(s) <= maxIndexed {
		return append(dst, 0, textDone)
	}
	return appendHash(append(dst, 0, textHash), s)
}

func appendHash[T string | []byte](dst []byte, v T) []byte {
	sum := sha256.Sum256([]byte(v))
	return append(dst, sum[:]...)
}

// valueLen measures the value at the head of p: its length, and how much of it
// sorts as the values do. ok is false if it is damaged.
func valueLen(p []byte) (n, exact int, ok bool) {
	if len(p) == 0 {
		return 0, 0, false
	}
	switch p[0] {
	case tagNull:
		n, exact = 1, 1
	case tagNumber:
		n, exact = 9, 9
	case tagBool:
		n, exact = 2, 2
	case tagObject, tagArray:
		n, exact = 1+sha256.Size, 1
	case tagText:
		for i := 1; i+1 < len(p); i++ {
			if p[i] != 0 {
				continue
			}
			if i++; p[i] == textDone {
				return i + 1, i + 1, true
			}
			if p[i] == textHash {
				n, exact = i+1+sha256.Size, i+1
				break
			}
		}
	}
	return n, exact, n > 0 && n <= len(p)
}

// after returns the smallest key after all that begin with prefix.
func after(prefix []byte) []byte {
	_, hi := tuple.Span(prefix)
	return hi
}

// entry is one entry of one document. In a unique index the values belong to
// one document, so the id is no part of the key but the value: a key that is
// taken shows in one read. Documents that lack a value are exempt.
type entry struct {
	key   []byte
	owned bool // the value is the id
}

// entries returns the entries of a document in ix, in ascending order and each
// once. many says that they do not sort as the document does.
func (ix *Index) entries(d *Document) (list []entry, many bool, err error) {
	id := d.ID()
	list = []entry{{key: indexPrefix(ix.Number), owned: ix.Unique}}
	for i := range ix.parsed {
		values, array := ix.values(i, d.JSON)
		if array {
			if many {
				return nil, true, errs.E(errs.Invalid, "index %s: only one of its fields may be an array, and %s is the second in document %s", ix.Name, ix.Paths[i], id)
			}
			many = true
		}
		if len(list)*len(values) > maxEntries {
			return nil, true, errs.E(errs.Invalid, "index %s: document %s would have %d entries, the limit is %d", ix.Name, id, len(list)*len(values), maxEntries)
		}
		list = product(list, values)
	}
	for i := range list {
		if !list[i].owned {
			list[i].key = append(list[i].key, id[:]...)
		}
	}
	return list, many, nil
}

// product appends each of values to each key of list.
func product(list []entry, values [][]byte) []entry {
	out := make([]entry, 0, len(list)*len(values))
	for _, e := range list {
		for _, v := range values {
			key := e.key
			if len(values) > 1 {
				key = slices.Clone(key)
			}
			out = append(out, entry{key: append(key, v...), owned: e.owned && v[0] != tagNull})
		}
	}
	return out
}

// values returns the encoded values that path i of ix reaches in a document:
// at least one, in ascending order, each once.
func (ix *Index) values(i int, doc []byte) (list [][]byte, many bool) {
	values, many := ix.parsed[i].Entries(doc)
	for _, v := range values {
		list = append(list, appendValue(nil, v))
	}
	if len(list) > 1 {
		slices.SortFunc(list, bytes.Compare)
		list = slices.CompactFunc(list, bytes.Equal)
	}
	return list, many
}

// entryID reads the document's id from an entry.
func entryID(key, value []byte) (OID, error) {
	if len(value) == len(OID{}) {
		return OID(value), nil
	}
	if len(value) != 0 || len(key) < len(OID{}) {
		return OID{}, errEntry
	}
	return OID(key[len(key)-len(OID{}):]), nil
}

var errEntry = errs.E(errs.Internal, "an index entry is damaged")
