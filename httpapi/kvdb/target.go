package kvdb

import (
	"net/url"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// place says what a path names.
type place uint8

const (
	atRoot   place = iota // /
	atBucket              // /BUCKET or /BUCKET/
	atKey                 // /BUCKET/KEY
)

// target is a path, parsed once.
type target struct {
	place  place
	bucket string
	key    []byte
	tokens bool // the path is /BUCKET/tokens/: for POST the tokens of the bucket, for others a key
}

// tokensPath is the rest of the path under which tokens are minted, exactly
// so: with its slash, without escapes.
const tokensPath = "tokens/"

// parseTarget reads an escaped path. The key is all that follows the bucket's
// slash, decoded once: further slashes, dots and plus signs are ordinary bytes.
func parseTarget(escaped string) (target, error) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	if first == "" && len(escaped) < 2 {
		return target{}, nil
	}
	id, err := url.PathUnescape(first)
	if err != nil {
		return target{}, errs.E(errs.Invalid, "the path holds an escape that is not %% and two hexadecimal digits")
	}
	if rest == "" {
		return target{place: atBucket, bucket: id}, nil
	}
	key, err := url.PathUnescape(rest)
	if err != nil {
		return target{}, errs.E(errs.Invalid, "the path holds an escape that is not %% and two hexadecimal digits")
	}
	return target{place: atKey, bucket: id, key: []byte(key), tokens: rest == tokensPath}, nil
}
