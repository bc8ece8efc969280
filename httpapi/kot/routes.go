package kot

import (
	"net/http"
	"slices"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
)

// endpoint is one row of the API.
type endpoint struct {
	name    string // for --restricted; "" cannot be restricted
	path    string
	methods []string // in the order of the Allow header
	work    func(*request) error
}

// Methods of endpoints. All later clients send GET to the two that empty and
// remove everything.
var (
	byPost = []string{http.MethodPost, http.MethodOptions}
	byGet  = []string{http.MethodOptions, http.MethodGet, http.MethodHead}
	byBoth = []string{http.MethodPost, http.MethodOptions, http.MethodGet, http.MethodHead}
)

// endpoints is the whole API.
var endpoints = []endpoint{
	{"set", "/controller/set", byPost, (*request).serveSet},
	{"get", "/controller/get", byPost, (*request).serveGet},
	{"get_all", "/controller/get_all", byPost, (*request).serveGetAll},
	{"delete", "/controller/delete", byPost, (*request).serveDelete},
	{"debug", "/controller/debug", byPost, (*request).serveLog},
	{"info", "/controller/info", byPost, (*request).serveLog},
	{"warning", "/controller/warning", byPost, (*request).serveLog},
	{"error", "/controller/error", byPost, (*request).serveLog},
	{"exception", "/controller/exception", byPost, (*request).serveLog},
	{"database_list", "/database/list", byGet, (*request).serveList},
	{"database_pop", "/database/pop", byPost, (*request).servePop},
	{"database_pop_all", "/database/pop_all", byBoth, (*request).servePopAll},
	{"database_rename", "/database/rename", byPost, (*request).serveRename},
	{"database_delete", "/database/delete", byPost, (*request).serveDrop},
	{"database_delete_all", "/database/delete_all", byBoth, (*request).serveDropAll},
	{"execute", executePath, byPost, (*request).serveExecute},
	{"", "/informations", byGet, (*request).serveInformations},
}

const executePath = "/execute"

// endpointNames returns the names that can be restricted.
func endpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if e.name != "" {
			names = append(names, e.name)
		}
	}
	return names
}

func (e *endpoint) serves(method string) bool { return slices.Contains(e.methods, method) }

// allow is the value of the Allow header.
func (e *endpoint) allow() string { return strings.Join(e.methods, ", ") }

// route is an endpoint with its counters.
type route struct {
	endpoint
	limiter *web.Limiter
}

func newRoutes(limits web.Limits) map[string]*route {
	routes := make(map[string]*route, len(endpoints))
	for _, e := range endpoints {
		routes[e.path] = &route{endpoint: e, limiter: web.NewLimiter(limits, limitedClients)}
	}
	return routes
}

// pathWords are the parts of paths that may be logged: names of databases and
// keys are in none.
func pathWords() map[string]bool {
	var paths []string
	for _, e := range endpoints {
		paths = append(paths, e.path)
	}
	return web.Words(paths...)
}
