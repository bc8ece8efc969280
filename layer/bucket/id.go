package bucket

import (
	"crypto/rand"
	"math/big"
)

// base58 is the Bitcoin alphabet.
const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

const (
	minName = 8
	maxName = 80
)

// reserved are the first path segments that belong to other APIs, now or
// later. No bucket may have such an id, or it could not be reached.
var reserved = map[string]bool{
	"controller": true, "database": true, "execute": true, "informations": true,
	"rest": true, "media": true, "mail": true, "auth": true, "realtime": true,
	"assets": true, "appdeploy": true, "static": true, "views": true,
	"api": true, "health": true, "admin": true,
	"cluster": true, "console": true, "metrics": true, "livez": true, "readyz": true, "debug": true,
	"-": true, "docs": true,
}

// NewID draws the id of a bucket: a random UUID (version 4) in Base58, 21 or
// 22 characters. Draw it before the transaction.
func NewID() string {
	for {
		var u [16]byte
		_, _ = rand.Read(u[:]) // documented never to return an error
		u[6] = u[6]&0x0f | 0x40
		u[8] = u[8]&0x3f | 0x80
		// A UUID that begins with zeros can be shorter; about one in 3,000 is.
		if id := encodeBase58(u[:]); len(id) >= 21 {
			return id
		}
	}
}

func encodeBase58(p []byte) string {
	n, base, digit := new(big.Int).SetBytes(p), big.NewInt(58), new(big.Int)
	buf := make([]byte, len(p)*2)
	i := len(buf)
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		i--
		buf[i] = base58[digit.Int64()]
	}
	for _, b := range p {
		if b != 0 {
			break
		}
		i--
		buf[i] = base58[0]
	}
	return string(buf[i:])
}

// ValidName reports whether id may be a bucket's id: 8 to 80 letters, digits,
// '-' and '_', and not the first path segment of another API.
func ValidName(id string) bool {
	if len(id) < minName || len(id) > maxName {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return !reserved[id]
}
