package bucket

import (
	"strconv"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Default lifetimes in seconds, and the bound of all of them: 100 years of 365
// days, far below what a time.Duration holds.
const (
	DefaultTTL      = 604_800
	DefaultTokenTTL = 3_600
	MaxTTL          = 100 * 365 * 86_400
)

// A TTL is a lifetime in whole seconds as a request states it. The zero value
// is "not stated"; a stated 0 is "never expires".
type TTL struct {
	seconds int64
	stated  bool
}

// Seconds returns a stated TTL. Below 0 or above MaxTTL is errs.Invalid.
func Seconds(n int64) (TTL, error) {
	if n < 0 || n > MaxTTL {
		return TTL{}, errs.E(errs.Invalid, "ttl %d is not between 0 and %d seconds", n, int64(MaxTTL))
	}
	return TTL{seconds: n, stated: true}, nil
}

// ParseTTL reads a stated TTL: decimal digits, nothing else. Anything else,
// the empty text included, is errs.Invalid.
func ParseTTL(text string) (TTL, error) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return TTL{}, errs.E(errs.Invalid, "ttl is not a whole number of seconds, 0 or more")
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return TTL{}, errs.E(errs.Invalid, "ttl is not a whole number between 0 and %d seconds", int64(MaxTTL))
	}
	return Seconds(n)
}

// or returns the lifetime, taking def seconds when none is stated; 0 is never.
func (t TTL) or(def int64) time.Duration {
	if t.stated {
		def = t.seconds
	}
	return time.Duration(def) * time.Second
}
