package restdb

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/collection"
)

const (
	defaultWait    = 10 * time.Second
	defaultMaxBody = 16 << 20
	// A list pins a snapshot until its client has received it.
	defaultPieceTime = 30 * time.Second
	// workTime bounds the work for one list or one deletion by query, once
	// there is a state to work on, and with it how long it pins a snapshot.
	workTime = 5 * time.Minute
	// A commit holds 100,000 operations and as many reads: a document is one of
	// each, and one operation more for each index entry.
	defaultRemoval = 90_000
)

// Config is what the API needs. DB and Store are required; zero values of the
// others are the defaults.
type Config struct {
	DB         *kv.DB
	Store      *collection.Store
	Feed       *feed.Feed       // what realtime follows; nil = there is no realtime
	MailFrom   string           // whom the relay says mails are from; "" = there is no relay
	RateLimits web.Limits       // for each client address; none by default
	Proxies    web.Proxies      // trusted to name their clients
	Wait       time.Duration    // how long a request waits for a leader and a quorum; 0 = 10 s
	MaxBody    int              // bytes of a body; 0 = 16 MiB
	PieceTime  time.Duration    // how long a client may take to receive 1 MiB of a long list; 0 = 30 s
	Metrics    *web.Metrics     // nil = none
	Uploads    *web.Uploads     // bounds large bodies; nil = nothing does
	Streams    *web.Streams     // bounds open streams of events; nil = nothing does
	Access     web.Access       // which requests are logged
	Log        *slog.Logger     // nil = slog.Default()
	Now        func() time.Time // for ids, times and rate limits; nil = time.Now

	removal int           // documents that one commit of a deletion by query deletes at first; 0 = 90,000
	pings   time.Duration // between two pings of a stream; 0 = 9 s
	slow    time.Duration // how long a client may take to receive 1 MiB of a stream; 0 = 30 s
	pace    time.Duration // how long a client may take for 256 KiB of a media file; 0 = 60 s
}

// api is the handler.
type api struct {
	Config
	limiter *web.Limiter
	media   *mediaRooms
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
	if c.removal <= 0 {
		c.removal = defaultRemoval
	}
	if c.pings <= 0 {
		c.pings = pingTime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.pace <= 0 {
		c.pace = defaultPace
	}
	a := &api{Config: c, limiter: web.NewLimiter(c.RateLimits, web.DefaultClients), media: newMediaRooms()}
	plumbing := &web.API{Name: "restdb", Answer: answer, Log: c.Log, Metrics: c.Metrics, Proxies: c.Proxies, Uploads: c.Uploads, Access: c.Access, Words: pathWords()}
	return plumbing.Handler(a.serve)
}

var errNowhere = errs.E(errs.NotFound, "nothing is served under this path")

// serve makes the checks that need no data and hands on to the route.
func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	setCommonHeaders(w.Header())
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return nil
	}
	admit(w, r, true)
	if err := a.limit(w, r); err != nil {
		return err
	}
	t, ok := parseTarget(r.URL.EscapedPath())
	if !ok {
		return errNowhere
	}
	query := web.SplitPairs(r.URL.RawQuery)
	q := &request{api: a, w: w, r: r, target: t, query: query, method: r.Method, at: a.Now()}
	q.override()
	q.idempotency()
	q.identify()
	if !q.public() {
		if err := q.verify(); err != nil {
			return err
		}
	}
	return q.route()
}

// limit counts the request.
func (a *api) limit(w http.ResponseWriter, r *http.Request) error {
	if a.limiter == nil {
		return nil
	}
	now := a.Now()
	v := a.limiter.Take(a.Proxies.Client(r), now)
	if v.OK {
		return nil
	}
	w.Header()["Retry-After"] = []string{v.RetryAfter(now)}
	return errs.E(errs.Limited, "over the limit of %s", web.Limit{N: v.Limit, Window: v.Window})
}
