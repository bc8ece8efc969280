package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Sizes of secrets in bytes, before they are written as text. The bounds are
// those of the specification.
const (
	secretPrefix = "whsec_"
	newSecret    = 32
	minSecret    = 24
	maxSecret    = 64
)

// NewSecret draws a secret, as the text that both sides are given: whsec_ and
// 32 random bytes in base64.
func NewSecret() string {
	var p [newSecret]byte
	_, _ = rand.Read(p[:]) // never fails, see its documentation
	return SecretText(p[:])
}

// SecretText is the text of the secret that random bytes make, 24 to 64 of
// them: for where they are drawn elsewhere.
func SecretText(p []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(p) }

// ParseSecret returns the bytes of a secret's text: whsec_ and 24 to 64 bytes in
// base64. The error is errs.Invalid, and does not hold the text.
func ParseSecret(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, secretPrefix)
	p, err := base64.StdEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(p) < minSecret || len(p) > maxSecret || strings.ContainsAny(rest, "\r\n") {
		return nil, errs.E(errs.Invalid, "webhook secret: it is %s and %d to %d bytes in base64", secretPrefix, minSecret, maxSecret)
	}
	return p, nil
}
