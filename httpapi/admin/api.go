package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
	"github.com/gorilla/mux"
)

// Cluster is what the API asks a node. Both calls must be safe for concurrent
// use and end soon after ctx does.
type Cluster interface {
	Status(ctx context.Context) (cluster.Status, error)
	Checks(ctx context.Context) []cluster.Check
}

const (
	defaultWait = 10 * time.Second
	// checkTime is short, because load balancers give up on a probe soon.
	checkTime = 2 * time.Second
)

// Config is what the API needs. Cluster, DB, Buckets and Collections are
// required.
type Config struct {
	Cluster     Cluster
	DB          *kv.DB
	Buckets     *bucket.Buckets
	Collections *collection.Store
	Vault       *vault.Store      // nil: everything under /cluster/keynest is not found
	Sealed      *sealed.Inventory // nil: everything under /cluster/keyring is not found
	Backups     Backups           // nil: /cluster/backup and /cluster/restore are not found
	Root        *auth.RootKey     // nil: everything under /cluster is refused
	Members     Members           // nil: the membership is not managed
	Explain     Explainer         // nil: /cluster/why and /cluster/events are not found
	Fleet       *Fleet            // nil: everything about join tokens, gossip and root keys is not found
	Wait        time.Duration     // how long a request waits for a leader and a quorum; 0 = 10 s
	Proxies     web.Proxies
	Metrics     *web.Metrics   // nil = none
	Uploads     *web.Uploads   // bounds large bodies; nil = nothing does
	Access      web.Access     // which requests are logged
	LogLevel    *slog.LevelVar // of this node's log; nil: it cannot be changed
	Log         *slog.Logger   // nil = slog.Default()
}

type api struct {
	Config
	refusals throttle // of nodes that want to join
}

// New returns the API's handler, for the paths /livez, /readyz and /cluster. It
// is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Wait <= 0 {
		c.Wait = defaultWait
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	a := &api{Config: c}
	plumbing := &web.API{Name: "admin", Answer: Answer, Log: c.Log, Metrics: c.Metrics, Proxies: c.Proxies, Uploads: c.Uploads, Access: c.Access}
	routes := mux.NewRouter().UseEncodedPath().SkipClean(true)
	routes.Path("/livez").Handler(plumbing.Handler(reading(a.live)))
	routes.Path("/readyz").Handler(plumbing.Handler(reading(a.ready)))
	routes.Path("/cluster/status").Handler(plumbing.Handler(a.operator(reading(a.status))))
	routes.Path("/cluster/buckets").Handler(plumbing.Handler(a.operator(reading(a.buckets))))
	for path, v := range restPaths() {
		routes.Path(restBase + path).Handler(plumbing.Handler(a.operator(a.serve(v))))
	}
	a.mountKeyNest(routes, plumbing)
	a.mountFleet(routes, plumbing)
	a.mountBackups(routes, plumbing)
	if a.Members != nil {
		for path, v := range memberPaths() {
			routes.Path(path).Handler(plumbing.Handler(a.operator(a.serve(v))))
		}
	}
	for path, v := range keyringPaths() {
		routes.Path(keyringBase + path).Handler(plumbing.Handler(a.operator(a.serve(v))))
	}
	a.mountWhy(func(path string, h web.Handler) { routes.Path(path).Handler(plumbing.Handler(h)) })
	a.mountDebug(routes, plumbing)
	routes.NotFoundHandler = plumbing.Handler(NotFound)
	plumbing.Words = templateWords(routes)
	return routes
}

// restBase is before the paths of what manages documents.
const restBase = "/cluster/restdb"

// restPaths are the paths below restBase and what their methods do. None
// matches what another does.
func restPaths() map[string]verbs {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	const database = "/databases/{db}"
	const coll = database + "/collections/{coll}"
	const hook = database + "/webhooks/{hook}"
	return map[string]verbs{
		"/databases":                      {get: (*call).listDatabases, post: (*call).createDatabase},
		database:                          {del: (*call).dropDatabase},
		database + "/keys":                {get: (*call).listKeys, post: (*call).createKey},
		database + "/keys/{key}":          {del: (*call).revokeKey},
		database + "/keys/{key}/rotation": {post: (*call).rotateKey},
		database + "/settings":            {get: (*call).listSettings},
		database + "/settings/{name}":     {put: (*call).setSetting},
		database + "/webhooks":            {get: (*call).listWebhooks, post: (*call).addWebhook},
		hook:                              {del: (*call).removeWebhook},
		hook + "/enable":                  {post: (*call).enableWebhook},
		hook + "/retry":                   {post: (*call).retryWebhook},
		hook + "/test":                    {post: (*call).testWebhook},
		database + "/collections":         {get: (*call).listCollections, post: (*call).createCollection},
		coll:                              {get: (*call).showCollection, del: (*call).dropCollection},
		coll + "/schema":                  {get: (*call).showSchema, put: (*call).setSchema},
		coll + "/roles":                   {get: (*call).showRoles, put: (*call).setRoles},
		coll + "/indexes":                 {get: (*call).listIndexes, post: (*call).createIndex},
		coll + "/indexes/{index}":         {del: (*call).dropIndex},
		coll + "/documents":               {get: (*call).listDocuments, post: (*call).insertDocuments},
	}
}

// NotFound is the handler of paths that nothing serves.
func NotFound(http.ResponseWriter, *http.Request) error {
	return errs.E(errs.NotFound, "nothing is served under this path")
}

// Answer writes an error as JSON.
func Answer(w http.ResponseWriter, _ *http.Request, f web.Failure) {
	h := w.Header()
	switch f.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", f.Allow)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusGatewayTimeout:
		h.Set("Covey-Outcome", "unknown")
	}
	type failure struct {
		Code      string            `json:"code"`
		Message   string            `json:"message"`
		Fields    map[string]string `json:"fields,omitempty"`
		RequestID string            `json:"request_id"`
	}
	body := map[string]failure{"error": {strings.ReplaceAll(f.Kind.String(), " ", "_"), f.Reason, f.Fields, f.RequestID}}
	_ = writeJSON(w, f.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // documents leave as they came
	if err := enc.Encode(v); err != nil {
		return errs.E(errs.Internal, "encode an answer: %w", err)
	}
	write(w, status, "application/json", b.Bytes())
	return nil
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left needs no answer
}

const readMethods = "GET, HEAD, OPTIONS"

// reading lets only methods pass that change nothing.
func reading(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			return h(w, r)
		case http.MethodOptions:
			w.Header().Set("Allow", readMethods)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return web.WrongMethod(readMethods)
	}
}
