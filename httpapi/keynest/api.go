package keynest

import (
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

const (
	defaultWait      = 10 * time.Second
	defaultPieceTime = 30 * time.Second
)

// Config is what the API needs. DB, Store and Recorder are required; zero
// values of the others are the defaults.
type Config struct {
	DB         *kv.DB
	Store      *vault.Store
	Recorder   *vault.Recorder  // of reads of clear values
	RateLimits RateLimits       // none by default
	Origins    Origins          // pages that may call the API; none by default
	Proxies    web.Proxies      // trusted to name their clients
	Wait       time.Duration    // how long a request waits for a leader and a quorum; 0 = 10 s
	PieceTime  time.Duration    // how long a client may take to receive 1 MiB of a long export; 0 = 30 s
	Metrics    *web.Metrics     // nil = none
	Uploads    *web.Uploads     // bounds large bodies; nil = nothing does
	Access     web.Access       // which requests are logged
	Log        *slog.Logger     // nil = slog.Default()
	Now        func() time.Time // for rate limits and errors; nil = time.Now

	large *semaphore.Weighted // bytes of clear values, see admit; nil = largeReads
}

// api is the handler.
type api struct {
	Config
	routes   map[place]*route
	limiters limiters
}

// New returns the API's handler. It serves every path that it is given, and is
// safe for concurrent use.
func New(c Config) http.Handler {
	if c.Wait <= 0 {
		c.Wait = defaultWait
	}
	if c.PieceTime <= 0 {
		c.PieceTime = defaultPieceTime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.large == nil {
		c.large = semaphore.NewWeighted(largeReads)
	}
	a := &api{Config: c, routes: newRoutes(), limiters: newLimiters(c.RateLimits)}
	plumbing := &web.API{Name: "keynest", Answer: a.answer, Log: c.Log, Metrics: c.Metrics, Proxies: c.Proxies, Uploads: c.Uploads, Access: c.Access, Words: pathWords()}
	return plumbing.Handler(a.serve)
}

// serve makes the checks that need no body, in the order of the service that
// clients know: path, credential, limits, method.
func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	setCommonHeaders(h)
	a.Origins.admit(h, r)
	t := parseTarget(r.URL.EscapedPath())
	to, ok := a.routes[t.place]
	if !ok {
		return errNotFound
	}
	h["Allow"] = to.allowed
	if to.private {
		h["Cache-Control"] = privateCache
	}
	if r.Method == http.MethodOptions {
		return preflight(w, r)
	}
	q := &request{api: a, target: t, route: to, w: w, r: r, query: web.SplitPairs(r.URL.RawQuery), client: a.Proxies.Client(r)}
	defer q.release()
	if to.exempt {
		return q.run()
	}
	refused := q.identify()
	if err := q.limit(); err != nil {
		return err
	}
	if refused == nil {
		refused = q.run()
	}
	q.tell(refused)
	return refused
}
