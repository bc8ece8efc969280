package httpapi

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi/admin"
	"github.com/coveydb/covey/httpapi/keynest"
	"github.com/coveydb/covey/httpapi/kot"
	"github.com/coveydb/covey/httpapi/kvdb"
	"github.com/coveydb/covey/httpapi/restdb"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/database"
	"github.com/coveydb/covey/layer/vault"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what the APIs need. Cluster, DB, Buckets, Collections, Vault, Readings,
// Feed and Registry are required; zero values of the others are the defaults.
type Config struct {
	Cluster     admin.Cluster
	DB          *kv.DB
	Buckets     *bucket.Buckets
	Collections *collection.Store
	Vault       *vault.Store
	Readings    *vault.Recorder   // of clear values
	Sealed      *sealed.Inventory // of all layers; nil: the operator is not told
	Feed        *feed.Feed
	Registry    *prometheus.Registry // its series are served under /metrics, and HTTP's are added
	Root        *auth.RootKey        // the operator's key; nil: the operator API is refused
	Members     admin.Members        // nil: the membership is not managed
	Explain     admin.Explainer      // nil: nothing explains the cluster
	Backups     admin.Backups        // nil: none are made or restored
	Fleet       *admin.Fleet         // nil: join tokens, gossip and root keys are not managed

	KVdbRateLimits   web.Limits // for each client; none by default
	KOT              KOT        // the zero value keeps the KOT API off
	RestDBRateLimits web.Limits // for each client; none by default
	KeyNest          KeyNest
	RestDBMailFrom   string           // whom the relay says mails are from; "" = there is no relay
	Proxies          web.Proxies      // trusted to name their clients; none by default
	Streams          web.StreamLimits // of watches and of realtime
	Wait             time.Duration    // how long a request waits for a leader and a quorum; 0 = 10 s
	Access           web.Access       // which requests are logged
	LogLevel         *slog.LevelVar   // of Log, for the operator to change; nil: it cannot be changed
	Log              *slog.Logger     // nil = slog.Default()
}

// KOT is what the operator decides about the KOT API.
type KOT struct {
	Password   *auth.RootKey // nil = the API is off
	Restricted kot.Restricted
	RateLimit  kot.RateLimit
}

// KeyNest is what the operator decides about the KeyNest API on the wire. The zero
// value limits nothing and allows no pages of other origins.
type KeyNest struct {
	RateLimits keynest.RateLimits
	Origins    keynest.Origins
}

// The first segments of paths and whom they belong to; every other one is a
// bucket, or the root. None of these words can be a bucket's id.
var (
	adminSegments   = segments("cluster", "livez", "readyz", "debug")
	metricsSegments = segments("metrics")
	kotSegments     = segments("controller", "database", "execute", "informations")

	// The last four of these are kept free for later: they are not found, as
	// RestDB says it.
	restSegments = segments("rest", "auth", "media", "mail", "realtime", "assets", "appdeploy", "static", "views")

	// The last one is kept free for a console: it is not found, as KeyNest says it.
	keynestSegments = segments("api", "health", "admin")

	// Reserved words for Covey itself that this release does not serve.
	reservedSegments = segments("console", "-", "docs")
)

func segments(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// APIs is all APIs of a node as one handler, for the port that they share. Safe
// for concurrent use.
type APIs struct {
	http.Handler
	kot http.Handler
}

// KOT returns the KOT API alone, for a port of its own. It answers every path
// and shares its rate limits and metrics with the port of all APIs.
func (a *APIs) KOT() http.Handler { return a.kot }

// New mounts the APIs.
func New(c Config) *APIs {
	metrics, uploads, streams := web.NewMetrics(c.Registry), web.NewUploads(), web.NewStreams(c.Streams, c.Registry)
	own := func(name string, h web.Handler) http.Handler {
		plumbing := &web.API{Name: name, Answer: admin.Answer, Log: c.Log, Metrics: metrics, Proxies: c.Proxies, Access: c.Access, Words: metricsSegments}
		return plumbing.Handler(h)
	}
	databases := kot.New(kot.Config{
		DB: c.DB, Codec: database.NewCodec(), Password: c.KOT.Password, Restricted: c.KOT.Restricted, RateLimit: c.KOT.RateLimit,
		Proxies: c.Proxies, Wait: c.Wait, Metrics: metrics, Uploads: uploads, Access: c.Access, Log: c.Log,
	})
	// The routes match on whole segments with a look-up, not with patterns:
	// keys and values pass here, and a pattern would cost them microseconds.
	routes := mux.NewRouter().UseEncodedPath().SkipClean(true)
	routes.MatcherFunc(firstIn(adminSegments)).Handler(admin.New(admin.Config{
		Cluster: c.Cluster, DB: c.DB, Buckets: c.Buckets, Collections: c.Collections, Vault: c.Vault, Sealed: c.Sealed, Root: c.Root, Members: c.Members, Explain: c.Explain, Fleet: c.Fleet, Backups: c.Backups,
		Wait: c.Wait, Proxies: c.Proxies, Metrics: metrics, Uploads: uploads, Access: c.Access, LogLevel: c.LogLevel, Log: c.Log,
	}))
	routes.MatcherFunc(firstIn(metricsSegments)).Handler(own("metrics", serveMetrics(c.Registry)))
	routes.MatcherFunc(firstIn(kotSegments)).Handler(databases)
	routes.MatcherFunc(firstIn(restSegments)).Handler(restdb.New(restdb.Config{
		DB: c.DB, Store: c.Collections, Feed: c.Feed, MailFrom: c.RestDBMailFrom, RateLimits: c.RestDBRateLimits, Proxies: c.Proxies,
		Wait: c.Wait, Metrics: metrics, Uploads: uploads, Streams: streams, Access: c.Access, Log: c.Log,
	}))
	routes.MatcherFunc(firstIn(keynestSegments)).Handler(keynest.New(keynest.Config{
		DB: c.DB, Store: c.Vault, Recorder: c.Readings, RateLimits: c.KeyNest.RateLimits, Origins: c.KeyNest.Origins, Proxies: c.Proxies,
		Wait: c.Wait, Metrics: metrics, Uploads: uploads, Access: c.Access, Log: c.Log,
	}))
	routes.MatcherFunc(firstIn(reservedSegments)).Handler(own("reserved", admin.NotFound))
	routes.NewRoute().Handler(kvdb.New(kvdb.Config{
		DB: c.DB, Buckets: c.Buckets, Feed: c.Feed, RateLimits: c.KVdbRateLimits, Proxies: c.Proxies,
		Wait: c.Wait, Metrics: metrics, Uploads: uploads, Streams: streams, Access: c.Access, Log: c.Log,
	}))
	return &APIs{Handler: routes, kot: databases}
}

// firstIn matches paths whose first segment, as it was sent, is in set.
func firstIn(set map[string]bool) mux.MatcherFunc {
	return func(r *http.Request, _ *mux.RouteMatch) bool { return set[firstSegment(r.URL.EscapedPath())] }
}

func firstSegment(escaped string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	return first
}

// serveMetrics serves the registry under /metrics, to everybody: its series
// hold no names, keys or values. An operator who wants it closed does that
// where the port is opened.
func serveMetrics(reg *prometheus.Registry) web.Handler {
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.EscapedPath() != "/metrics" {
			return errs.E(errs.NotFound, "nothing is served under this path, try /metrics")
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return web.WrongMethod("GET, HEAD")
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
		return nil
	}
}
