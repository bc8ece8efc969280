package collection

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// An OID is the id of a document: four bytes of its second of creation, five
// that a process has drawn, and three of its counter, all big endian. So what
// one node creates in one second is in the order of its creation.
type OID [12]byte

// secondLen is how much of an id is its second.
const secondLen = 4

// idAt is an id that has its second and nothing else yet.
func idAt(at time.Time) (id OID) {
	binary.BigEndian.PutUint32(id[:secondLen], uint32(at.Unix()))
	return id
}

// begun reports whether an id has nothing but its second.
func (id OID) begun() bool {
	return [len(id) - secondLen]byte(id[secondLen:]) == [len(id) - secondLen]byte{}
}

// An idSource completes ids, each one differently. Safe for concurrent use.
type idSource struct {
	process [5]byte
	count   atomic.Uint32 // its lower three bytes are used
}

// newIDs draws what tells this process from others. The counter begins in the
// lower half: it does not come to its end, where the order breaks, within the
// first seconds.
func newIDs() *idSource {
	var p [9]byte
	_, _ = rand.Read(p[:]) // documented never to return an error
	s := &idSource{process: [5]byte(p[4:])}
	s.count.Store(binary.BigEndian.Uint32(p[:4]) >> 9) // 23 bits
	return s
}

// complete returns the next id of id's second.
func (s *idSource) complete(id OID) OID {
	var count [4]byte
	binary.BigEndian.PutUint32(count[:], s.count.Add(1))
	copy(id[secondLen:], s.process[:])
	copy(id[secondLen+len(s.process):], count[1:])
	return id
}

// ParseOID reads 24 lower-case hexadecimal digits.
func ParseOID(text string) (id OID, ok bool) {
	if len(text) != hex.EncodedLen(len(id)) {
		return OID{}, false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return OID{}, false
		}
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}

// String returns 24 lower-case hexadecimal digits.
func (id OID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id OID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *OID) UnmarshalText(p []byte) error {
	v, ok := ParseOID(string(p))
	if !ok {
		return errs.E(errs.Invalid, "%q is no id", p)
	}
	*id = v
	return nil
}
