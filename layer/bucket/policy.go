package bucket

import (
	"encoding/binary"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
)

// keySet is a set of the keys that a bucket can have. The bits are stored.
type keySet uint8

const (
	secretKey keySet = 1 << iota
	writeKey
	readKey
	signingKey
	anyKey = secretKey | writeKey | readKey | signingKey
)

func (s keySet) has(k keySet) bool { return s&k != 0 }

// policy is a bucket's policy row. Every request decodes one, so decoding
// allocates nothing: the slices alias the row.
type policy struct {
	ttl     int64 // default TTL in seconds, 0 = never
	created int64 // Unix ms
	salt    auth.Salt
	secret  []byte // hash, nil = not set; likewise the others
	write   []byte
	read    []byte
	signing []byte // sealed
}

const (
	policyFormat1 = 1
	// maxSealed bounds a sealed signing key: its text and the envelope.
	maxSealed = maxKeyText + 128
)

// keys returns which keys the bucket has.
func (p *policy) keys() keySet {
	var s keySet
	if p.secret != nil {
		s |= secretKey
	}
	if p.write != nil {
		s |= writeKey
	}
	if p.read != nil {
		s |= readKey
	}
	if p.signing != nil {
		s |= signingKey
	}
	return s
}

// append appends the row: format, key set, default TTL, time of creation, salt,
// the hashes that are set (secret, write, read), and the sealed signing key to
// the end.
func (p *policy) append(dst []byte) []byte {
	dst = append(dst, policyFormat1, byte(p.keys()))
	dst = binary.AppendUvarint(dst, uint64(p.ttl))
	dst = binary.AppendUvarint(dst, uint64(p.created))
	dst = append(dst, p.salt[:]...)
	dst = append(dst, p.secret...)
	dst = append(dst, p.write...)
	dst = append(dst, p.read...)
	return append(dst, p.signing...)
}

// decode reads what append wrote, and nothing else. p aliases row.
func (p *policy) decode(row []byte) error {
	if len(row) < 2 {
		return errs.E(errs.Internal, "policy row of %d bytes is damaged", len(row))
	}
	if row[0] != policyFormat1 {
		return errs.E(errs.Internal, "policy row of format %d: this release knows only format %d", row[0], policyFormat1)
	}
	set, rest := keySet(row[1]), row[2:]
	ttl, rest, ok1 := cutUvarint(rest, MaxTTL)
	created, rest, ok2 := cutUvarint(rest, 1<<62)
	if set&^anyKey != 0 || !ok1 || !ok2 || len(rest) < len(p.salt) {
		return errs.E(errs.Internal, "policy row is damaged")
	}
	*p = policy{ttl: int64(ttl), created: int64(created)}
	rest = rest[copy(p.salt[:], rest):]
	ok := true
	cut := func(k keySet) []byte {
		if !set.has(k) {
			return nil
		}
		if len(rest) < auth.HashSize {
			ok = false
			return nil
		}
		h := rest[:auth.HashSize:auth.HashSize]
		rest = rest[auth.HashSize:]
		return h
	}
	p.secret, p.write, p.read = cut(secretKey), cut(writeKey), cut(readKey)
	if !ok || set.has(signingKey) != (len(rest) > 0) || len(rest) > maxSealed {
		return errs.E(errs.Internal, "policy row is damaged")
	}
	if len(rest) > 0 {
		p.signing = rest
	}
	return nil
}

// cutUvarint reads a number of at most limit in its shortest form.
func cutUvarint(p []byte, limit uint64) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(p)
	if n <= 0 || v > limit || n > 1 && p[n-1] == 0 {
		return 0, nil, false
	}
	return v, p[n:], true
}
