package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Values of headers that answers share: nobody writes to them.
var (
	linearizable = []string{"linearizable"}
	stale        = []string{"stale"}
	isTrue       = []string{"true"}
)

// SetRead writes which state a read was given: its version, and for a stale one
// a bound on its age, which is negative when it is not known.
func SetRead(h http.Header, version uint64, isStale bool, age time.Duration) {
	h["Covey-Version"] = []string{strconv.FormatUint(version, 10)}
	if !isStale {
		h["Covey-Consistency"] = linearizable
		return
	}
	h["Covey-Consistency"] = stale
	if age >= 0 {
		h["Covey-Staleness-Ms"] = []string{strconv.FormatInt(age.Milliseconds(), 10)}
	}
}

// SetChange writes where a change took place in the order of all changes, 0 for
// one that had nothing to do, and whether an earlier try of it had taken effect.
func SetChange(h http.Header, version uint64, replayed bool) {
	if version > 0 {
		h["Covey-Version"] = []string{strconv.FormatUint(version, 10)}
	}
	if replayed {
		h["Covey-Replayed"] = isTrue
	}
}

// Send writes an answer with a body of known length, whose Content-Type is set
// already. To HEAD it leaves out the body.
func Send(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return ClientGone(err)
}

// Bounds of an Idempotency-Key. The lower one makes it unlikely that two
// clients choose the same.
const (
	minIdempotencyKey = 16
	maxIdempotencyKey = 128
)

// IdempotencyKey returns the request's Idempotency-Key, "" if it has none, and
// the version that the client says it knew before its first try, 0 if it says
// none. errs.Invalid if either is not what it should be.
func IdempotencyKey(r *http.Request) (key string, since uint64, err error) {
	given := r.Header["Idempotency-Key"]
	if len(given) == 0 {
		return "", 0, nil
	}
	key = given[0]
	if len(given) > 1 || len(key) < minIdempotencyKey || len(key) > maxIdempotencyKey || !visible(key) {
		return "", 0, errs.E(errs.Invalid, "Idempotency-Key is not one text of %d to %d visible ASCII characters", minIdempotencyKey, maxIdempotencyKey)
	}
	if text := r.Header.Get("Covey-Version"); text != "" {
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return "", 0, errs.E(errs.Invalid, "Covey-Version is not a version: a whole number")
		}
	}
	return key, since, nil
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
