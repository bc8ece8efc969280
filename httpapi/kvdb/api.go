package kvdb

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/bucket"
)

// DocumentRateLimit is the rate limit of the hosted service's document.
const DocumentRateLimit = "1000 per hour"

const (
	defaultWait    = 10 * time.Second
	defaultMaxBody = 16 << 20
	// A list pins a snapshot until its client has received it.
	defaultPieceTime = 30 * time.Second
)

// Config is what the API needs. DB and Buckets are required; zero values of
// the others are the defaults.
type Config struct {
	DB         *kv.DB
	Buckets    *bucket.Buckets
	Feed       *feed.Feed       // what watches follow; nil = there are none
	RateLimits web.Limits       // for each client address; none by default
	Proxies    web.Proxies      // trusted to name their clients
	Wait       time.Duration    // how long a request waits for a leader and a quorum; 0 = 10 s
	MaxBody    int              // bytes of a transaction or form; 0 = 16 MiB
	PieceTime  time.Duration    // how long a client may take to receive 1 MiB of a long list or a watch; 0 = 30 s
	Ping       time.Duration    // how often a watch tells its client that nothing happens; 0 = 15 s
	Metrics    *web.Metrics     // nil = none
	Uploads    *web.Uploads     // bounds large bodies; nil = nothing does
	Streams    *web.Streams     // bounds open watches; nil = nothing does
	Access     web.Access       // which requests are logged
	Log        *slog.Logger     // nil = slog.Default()
	Now        func() time.Time // for rate limits; nil = time.Now
}

// api is the handler.
type api struct {
	Config
	limiter *web.Limiter
	ended   context.Context // always
	long    chan struct{}   // taken by watches that send a long value
}

// New returns the API's handler. It serves every path that it is given, and is
// safe for concurrent use.
func New(c Config) http.Handler {
	if c.Wait <= 0 {
		c.Wait = defaultWait
	}
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.PieceTime <= 0 {
		c.PieceTime = defaultPieceTime
	}
	if c.Ping <= 0 {
		c.Ping = defaultPing
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	ended, end := context.WithCancel(context.Background())
	end()
	a := &api{
		Config: c, limiter: web.NewLimiter(c.RateLimits, web.DefaultClients),
		ended: ended, long: make(chan struct{}, longValues),
	}
	plumbing := &web.API{Name: "kvdb", Answer: answer, Log: c.Log, Metrics: c.Metrics, Proxies: c.Proxies, Uploads: c.Uploads, Access: c.Access}
	return plumbing.Handler(a.serve)
}

// serve makes the checks that need no data and hands on to the route.
func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	setCommonHeaders(w.Header())
	preflight := r.Method == http.MethodOptions
	if err := a.limit(w, r, !preflight); err != nil {
		return err
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	t, err := parseTarget(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	query := web.SplitPairs(r.URL.RawQuery)
	q := &request{api: a, w: w, r: r, target: t, query: query, cred: web.Credential(r, query)}
	return q.route()
}

// limit counts the request and writes the X-Ratelimit headers.
func (a *api) limit(w http.ResponseWriter, r *http.Request, count bool) error {
	if a.limiter == nil {
		return nil
	}
	client, now := a.Proxies.Client(r), a.Now()
	if !count {
		v := a.limiter.Peek(client, now)
		v.OK = true
		v.SetHeaders(w.Header(), now)
		return nil
	}
	v := a.limiter.Take(client, now)
	v.SetHeaders(w.Header(), now)
	if !v.OK {
		return errs.E(errs.Limited, "over the limit of %d requests, see X-Ratelimit-Reset", v.Limit)
	}
	return nil
}

// Headers that are the same on every answer. Answers share the slices: nobody
// writes to them.
var (
	allOrigins    = []string{"*"}
	allMethods    = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	allowHeaders  = []string{"Authorization, Content-Type, Accept, Cache-Control, Last-Event-ID, Idempotency-Key, If-Match, If-None-Match, Covey-Version"}
	exposeHeaders = []string{"X-Ratelimit-Limit, X-Ratelimit-Remaining, X-Ratelimit-Reset, Retry-After, ETag, " +
		"Covey-Version, Covey-Consistency, Covey-Staleness-Ms, Covey-Reason, Covey-Outcome, Covey-Replayed, Covey-Request-Id"}
	noStore       = []string{"no-store"}
	noSniff       = []string{"nosniff"}
	bytesType     = []string{"application/octet-stream"}
	retryAfter    = []string{"1"}
	unknown       = []string{"unknown"}
	noContentSize = []string{"0"}
)

func setCommonHeaders(h http.Header) {
	h["Access-Control-Allow-Origin"] = allOrigins
	h["Access-Control-Allow-Methods"] = allMethods
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Expose-Headers"] = exposeHeaders
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
}

// answer writes an error: the reason phrase alone as the body, whatever Accept
// says, and the detail in a header. There is never a WWW-Authenticate, which
// would make browsers open a dialog.
func answer(w http.ResponseWriter, _ *http.Request, f web.Failure) {
	h := w.Header()
	status := f.Status
	switch status {
	case http.StatusRequestEntityTooLarge: // not among the document's statuses
		status = http.StatusBadRequest
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{f.Allow}
	case http.StatusServiceUnavailable:
		h["Retry-After"] = retryAfter
	case http.StatusGatewayTimeout:
		h["Covey-Outcome"] = unknown
	}
	body := http.StatusText(status)
	h["Covey-Reason"] = []string{web.HeaderText(f.Reason)}
	h["Content-Type"] = contentTypes[formatText]
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	delete(h, "Etag")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
