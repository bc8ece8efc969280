package keynest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Headers that are the same on many answers. Answers share the slices: nobody
// writes to them.
var (
	deny          = []string{"DENY"}
	noSniff       = []string{"nosniff"}
	referrer      = []string{"strict-origin-when-cross-origin"}
	xssProtection = []string{"1; mode=block"}
	sameOrigin    = []string{"same-origin"}
	vary          = []string{"Cookie, Origin"}
	noStore       = []string{"no-store"}
	privateCache  = []string{"max-age=0, no-cache, no-store, must-revalidate, private"}
	jsonType      = []string{"application/json"}
	retryAfter    = []string{"1"}
	unknown       = []string{"unknown"}
	tokenScheme   = []string{"Token"}
	zero          = []string{"0"}

	isTrue        = []string{"true"}
	corsMethods   = []string{"DELETE, GET, OPTIONS, PATCH, POST, PUT"}
	corsHeaders   = []string{"accept, accept-encoding, authorization, content-type, dnt, origin, user-agent, x-csrftoken, x-requested-with, idempotency-key, covey-version"}
	corsMaxAge    = []string{"86400"}
	exposeHeaders = []string{"Content-Disposition, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, " +
		"Covey-Version, Covey-Consistency, Covey-Staleness-Ms, Covey-Reason, Covey-Outcome, Covey-Replayed, Covey-Request-Id"}
)

// setCommonHeaders writes what every answer has. Nothing here may be cached:
// almost every answer is about one user's rights, and many hold values.
func setCommonHeaders(h http.Header) {
	h["X-Frame-Options"] = deny
	h["X-Content-Type-Options"] = noSniff
	h["Referrer-Policy"] = referrer
	h["X-Xss-Protection"] = xssProtection
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Vary"] = vary
	h["Cache-Control"] = noStore
}

// Origins are the pages that may call the API from browsers. The zero value
// allows none.
type Origins struct {
	all    bool
	listed map[string]bool
}

// DefaultOrigins are those of the web client on a developer's machine.
const DefaultOrigins = "http://localhost:3000, http://localhost:3001, http://127.0.0.1:3000, http://127.0.0.1:3001"

// ParseOrigins reads a comma list of origins like https://app.example.com, or *
// for all. "" and "off" allow none.
func ParseOrigins(text string) (Origins, error) {
	o := Origins{listed: make(map[string]bool)}
	if strings.TrimSpace(text) == "off" {
		return o, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.ToLower(strings.TrimSpace(item))
		u, err := url.Parse(item)
		switch {
		case item == "":
		case item == "*":
			o.all = true
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || item != u.Scheme+"://"+u.Host:
			return Origins{}, errs.E(errs.Invalid, "origin %q is not of the form https://host or https://host:port", item)
		default:
			o.listed[item] = true
		}
	}
	return o, nil
}

// admit lets the page that made the request read the answer, if it may. Pages
// of all origins may never use a browser's own credentials.
func (o Origins) admit(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	switch listed := o.listed[strings.ToLower(origin)]; {
	case origin == "":
		return
	case listed:
		h["Access-Control-Allow-Origin"] = []string{origin}
		h["Access-Control-Allow-Credentials"] = isTrue
	case o.all:
		h["Access-Control-Allow-Origin"] = []string{"*"}
	default:
		return
	}
	h["Access-Control-Expose-Headers"] = exposeHeaders
	if r.Method == http.MethodOptions {
		h["Access-Control-Allow-Methods"] = corsMethods
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
}

// preflight answers OPTIONS, which needs no token and is not counted.
func preflight(w http.ResponseWriter, _ *http.Request) error {
	w.Header()["Content-Length"] = zero
	w.WriteHeader(http.StatusOK)
	return nil
}
