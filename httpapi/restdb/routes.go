package restdb

import (
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
)

// route is what a place serves: its functions by method, and the Allow header.
type route struct {
	allow string
	work  map[string]func(*request) error
}

// routes is the whole API. HEAD is GET without a body.
var routes = map[place]route{
	atCollection: {"GET, HEAD, POST, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).list, http.MethodPost: (*request).insert,
	}},
	atAll: {"DELETE, OPTIONS", map[string]func(*request) error{
		http.MethodDelete: (*request).removeMany,
	}},
	atDocument: {"GET, HEAD, PUT, PATCH, DELETE, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).get, http.MethodPut: (*request).change, http.MethodPatch: (*request).change,
		http.MethodDelete: (*request).remove,
	}},
	atChildren: {"GET, HEAD, POST, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).listChildren, http.MethodPost: (*request).insertChild,
	}},
	atChild: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).getChild,
	}},
	atJWT: {"POST, OPTIONS", map[string]func(*request) error{
		http.MethodPost: (*request).issueJWT,
	}},
	atToken: {"POST, OPTIONS", map[string]func(*request) error{
		http.MethodPost: (*request).refreshJWT,
	}},
	atUserinfo: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).userinfo,
	}},
	atUploads: {"POST, OPTIONS", map[string]func(*request) error{
		http.MethodPost: (*request).upload,
	}},
	atMedia: {"GET, HEAD, DELETE, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).download, http.MethodDelete: (*request).removeMedia,
	}},
	atMediaMeta: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).mediaMeta,
	}},
	atMail: {"POST, OPTIONS", map[string]func(*request) error{
		http.MethodPost: (*request).sendMail,
	}},
	atUnsubscribe: {"GET, HEAD, POST, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).askUnsubscribe, http.MethodPost: (*request).unsubscribe,
	}},
	atRealtime: {"GET, POST, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).listen, http.MethodPost: (*request).publish,
	}},
	atMeta: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).meta,
	}},
	atCollectionMeta: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).collectionMeta,
	}},
	atOpenAPI: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).openAPI,
	}},
	atScript: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).script,
	}},
	atScriptDoc: {"GET, HEAD, OPTIONS", map[string]func(*request) error{
		http.MethodGet: (*request).scriptDoc,
	}},
}

// route calls the one function that serves the request's path and method.
func (q *request) route() error {
	to, ok := routes[q.place]
	if !ok {
		return q.refuse(errNowhere)
	}
	method := q.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	work, ok := to.work[method]
	if !ok || q.strange {
		return q.refuse(web.WrongMethod(to.allow))
	}
	return work(q)
}
