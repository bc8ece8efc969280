package kot

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/database"
)

const (
	defaultWait    = 10 * time.Second
	defaultMaxBody = 16 << 20
	// A list pins a snapshot until its client has received it.
	defaultPieceTime = 30 * time.Second
	// limitedClients is how many clients are remembered for each endpoint.
	limitedClients = 10_000
)

// Config is what the API needs. DB and Codec are required; zero values of the
// others are the defaults.
type Config struct {
	DB         *kv.DB
	Codec      *database.Codec
	Password   *auth.RootKey    // nil = the API is off: 404 for everybody
	Restricted Restricted       // endpoints that are closed; none by default
	RateLimit  RateLimit        // for each endpoint and client address; none by default
	Proxies    web.Proxies      // trusted to name their clients
	Wait       time.Duration    // how long a request waits for a leader and a quorum; 0 = 10 s
	MaxBody    int              // bytes of a form; 0 = 16 MiB
	PieceTime  time.Duration    // how long a client may take to receive 1 MiB of a long list; 0 = 30 s
	Metrics    *web.Metrics     // nil = none
	Uploads    *web.Uploads     // bounds large bodies; nil = nothing does
	Access     web.Access       // which requests are logged
	Log        *slog.Logger     // nil = slog.Default(); the log endpoints print here too
	Now        func() time.Time // for rate limits and log records; nil = time.Now
}

// api is the handler.
type api struct {
	Config
	routes     map[string]*route // by path
	restricted map[string]bool   // by name of endpoint
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
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &api{Config: c, routes: newRoutes(c.RateLimit.Limits), restricted: make(map[string]bool, len(c.Restricted))}
	for _, name := range c.Restricted {
		a.restricted[name] = true
	}
	plumbing := &web.API{Name: "kot", Answer: answer, Log: c.Log, Metrics: c.Metrics, Proxies: c.Proxies, Uploads: c.Uploads, Access: c.Access, Words: pathWords()}
	return plumbing.Handler(a.serve)
}

var (
	errOff        = errs.E(errs.NotFound, "the KOT API is off on this node: it has no password")
	errPassword   = errs.E(errs.Unauthenticated, "wants HTTP Basic authentication with an empty user name and the password")
	errNowhere    = errs.E(errs.NotFound, "nothing is served under this path")
	errRestricted = errs.E(errs.Forbidden, "the operator has restricted this endpoint")
)

// serve makes the checks that need no body and hands on to the route.
func (a *api) serve(w http.ResponseWriter, r *http.Request) error {
	setCommonHeaders(w.Header())
	if a.Password == nil {
		return errOff
	}
	if !a.admits(r) {
		return errPassword
	}
	to, ok := a.routes[r.URL.EscapedPath()]
	if !ok {
		return errNowhere
	}
	q := &request{api: a, route: to, w: w, r: r}
	switch {
	case r.Method == http.MethodOptions:
		return q.options()
	case !to.serves(r.Method):
		return web.WrongMethod(to.allow())
	case a.restricted[to.name]:
		return errRestricted
	}
	return q.run()
}

// admits reports whether the request carries the password. Other than with the
// other APIs the password is Basic's password, and the user name is empty.
func (a *api) admits(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return a.Password.Match(auth.Credential{Value: password}) && ok && user == ""
}
