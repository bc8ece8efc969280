package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// A Credential is what a caller presents to prove who it is: a key or a
// token. The zero value is none. Printing or logging one shows only whether
// there is something.
type Credential struct {
	Value string // "" = none
}

const redacted = "[redacted]"

// None reports whether no credential was presented.
func (c Credential) None() bool { return c.Value == "" }

// String returns a placeholder, never the value.
func (c Credential) String() string {
	if c.None() {
		return ""
	}
	return redacted
}

// Format prints what String returns, whatever the verb.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue returns what String does, for log/slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns what String does: encoders print a credential like
// loggers do.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// SaltSize and HashSize are lengths in bytes.
const (
	SaltSize = 16
	HashSize = sha256.Size
)

// A Salt makes equal keys of different owners hash differently. Draw it with
// NewSalt, before any transaction.
type Salt [SaltSize]byte

// A Hash stands for a key in storage.
type Hash [HashSize]byte

// NewSalt draws a random salt.
func NewSalt() Salt {
	var s Salt
	_, _ = rand.Read(s[:]) // documented never to return an error
	return s
}

// Hash returns SHA-256(salt, key). It is deterministic and takes well under a
// microsecond, so a transaction's closure may call it.
func (s Salt) Hash(key string) Hash {
	// Keys are short: a fixed buffer keeps the hot path off the heap.
	var buf [SaltSize + 128]byte
	return sha256.Sum256(append(append(buf[:0], s[:]...), key...))
}

// Equal reports in constant time whether h is the hash whose bytes are stored.
func (h Hash) Equal(stored []byte) bool { return subtle.ConstantTimeCompare(h[:], stored) == 1 }

// GenerateKey draws a key with 256 random bits: 43 characters, safe in URLs,
// headers, shells and file names.
func GenerateKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // documented never to return an error
	return base64.RawURLEncoding.EncodeToString(b[:])
}
