package collection

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// An OID is the id of a document: four bytes of its second of creation, big
// endian, and eight random bytes.
type OID [12]byte

// NewOID draws an id. Call it before a transaction.
func NewOID(at time.Time) (id OID) {
	binary.BigEndian.PutUint32(id[:4], uint32(at.Unix()))
	_, _ = rand.Read(id[4:]) // documented never to return an error
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
