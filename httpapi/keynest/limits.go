package keynest

import (
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// The presets: what the hosted service's document says, and the limit on ways
// to get a token that is in force unless the operator says otherwise.
const (
	documentUser      = "1000 per hour, 50 per minute"
	documentAnonymous = "100 per hour, 50 per minute"
	DefaultEntryLimit = "5 per minute"
)

// RateLimits are the limits on requests. The zero value limits nothing.
type RateLimits struct {
	User      web.Limits // for each user and each service token
	Anonymous web.Limits // for each client address of requests without a token
	Entry     web.Limits // for each client address: login, registration and change of password together
}

// ParseRateLimit reads what an operator gives for all requests: off, document,
// or limits, which then are the same for users and for others.
func ParseRateLimit(text string) (user, anonymous web.Limits, err error) {
	if user, err = web.ParseLimits(text, documentUser); err != nil {
		return nil, nil, err
	}
	anonymous, err = web.ParseLimits(text, documentAnonymous)
	return user, anonymous, err
}

type limiters struct{ user, anonymous, entry *web.Limiter }

func newLimiters(l RateLimits) limiters {
	return limiters{
		user:      web.NewLimiter(l.User, web.DefaultClients),
		anonymous: web.NewLimiter(l.Anonymous, web.DefaultClients),
		entry:     web.NewLimiter(l.Entry, web.DefaultClients),
	}
}

// limit counts the request and writes the headers of the tightest limit that
// covers it. Who is no user counts by address, also with a token that is wrong.
func (q *request) limit() error {
	now := q.Now()
	var verdicts []web.Verdict
	switch l := q.limiters; {
	case q.caller != 0 && l.user != nil:
		verdicts = append(verdicts, l.user.TakeUser(q.caller, now))
	case q.caller == 0 && l.anonymous != nil:
		verdicts = append(verdicts, l.anonymous.Take(q.client, now))
	}
	if l := q.limiters.entry; l != nil && q.entry {
		verdicts = append(verdicts, l.Take(q.client, now))
	}
	if len(verdicts) == 0 {
		return nil
	}
	v := tightest(verdicts)
	v.SetExactHeaders(q.w.Header(), now)
	if !v.OK {
		return &limited{wait: v.RetryAfter(now)}
	}
	return nil
}

// tightest is the verdict that refuses, else the one with the fewest requests
// left.
func tightest(verdicts []web.Verdict) web.Verdict {
	v := verdicts[0]
	for _, other := range verdicts[1:] {
		if v.OK && (!other.OK || other.Remaining < v.Remaining) || !v.OK && !other.OK && other.Reset.After(v.Reset) {
			v = other
		}
	}
	return v
}

// limited is a request over a limit.
type limited struct{ wait string } // in seconds

func (l *limited) Error() string { return "Rate limit exceeded" }

func (l *limited) Unwrap() error { return errs.E(errs.Limited, "Rate limit exceeded") }

// stamp is a time as answers show it: UTC, whole seconds.
func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
