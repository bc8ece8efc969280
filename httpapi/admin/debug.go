package admin

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/gorilla/mux"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// mountDebug mounts what helps to find faults of this node: the level of its
// log, and Go's profiles. Each node answers for itself.
func (a *api) mountDebug(routes *mux.Router, plumbing *web.API) {
	routes.Path("/cluster/log-level").Handler(plumbing.Handler(a.operator(a.serve(verbs{
		http.MethodGet: (*call).showLogLevel, http.MethodPut: (*call).setLogLevel,
	}))))
	for _, p := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"", pprof.Index}, {"profile", pprof.Profile}, {"trace", pprof.Trace}, {"symbol", pprof.Symbol}, {"cmdline", pprof.Cmdline},
		{"{profile}", pprof.Index}, // all others: it takes the name from the path
	} {
		routes.Path("/debug/pprof/" + p.name).Handler(plumbing.Handler(a.operator(profile(p.h))))
	}
}

// profile serves one of Go's profiles. It ends with the request's time limit.
func profile(h http.HandlerFunc) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodGet, http.MethodPost, http.MethodHead:
		default:
			return web.WrongMethod("GET, HEAD, POST")
		}
		w.Header().Set("Cache-Control", "no-store")
		h(w, r)
		return nil
	}
}

// logLevel is the document of /cluster/log-level.
type logLevel struct {
	Level string `json:"level"`
}

// levels are those that can be set; slog itself would take INFO+3 and others.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

var errNoLevel = errs.E(errs.NotFound, "the level of this node's log cannot be changed")

func (c *call) showLogLevel() (any, error) {
	if c.LogLevel == nil {
		return nil, errNoLevel
	}
	return logLevel{strings.ToLower(c.LogLevel.Level().String())}, nil
}

// setLogLevel changes the level of this node's log, until the node ends or reads
// its settings again.
func (c *call) setLogLevel() (any, error) {
	if c.LogLevel == nil {
		return nil, errNoLevel
	}
	var doc logLevel
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	level, ok := levels[strings.ToLower(doc.Level)]
	if !ok {
		return nil, errs.E(errs.Invalid, "level is none of debug, info, warn, error")
	}
	before := c.LogLevel.Level()
	tell := func() {
		c.Log.Warn("an operator changes the level of the log", "from", before.String(), "to", level.String())
	}
	if level > before {
		tell() // while it is still heard
	}
	c.LogLevel.Set(level)
	if level < before {
		tell()
	}
	return logLevel{strings.ToLower(level.String())}, nil
}

// templateWords are the words in the templates of all routes: what may be logged
// of a path.
func templateWords(routes *mux.Router) map[string]bool {
	var paths []string
	// The function returns no error, so neither does the walk.
	_ = routes.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		if template, err := route.GetPathTemplate(); err == nil {
			paths = append(paths, template)
		}
		return nil
	})
	return web.Words(paths...)
}
