package restdb

import "net/http"

// Headers that are the same on many answers. Answers share the slices: nobody
// writes to them.
var (
	allMethods      = []string{"GET,POST,PUT,PATCH,DELETE,OPTIONS"}
	usualHeaders    = []string{"x-apikey,content-type,cache-control,authorization"}
	maxAge          = []string{"86400"}
	isTrue          = []string{"true"}
	exposeHeaders   = []string{"X-Pagination"}
	varyOrigin      = []string{"Origin"}
	varyOnPreflight = []string{"Origin, Access-Control-Request-Headers"}
)

// preflight answers OPTIONS. A preflight carries no key, so it is answered for
// every origin; whether a page may have what it then asks for is decided with
// the request itself.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Vary"] = varyOnPreflight
	if origin := r.Header["Origin"]; len(origin) == 1 {
		h["Access-Control-Allow-Origin"] = origin
		h["Access-Control-Allow-Credentials"] = isTrue
		h["Access-Control-Allow-Methods"] = allMethods
		h["Access-Control-Allow-Headers"] = usualHeaders
		if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
			h["Access-Control-Allow-Headers"] = asked
		}
		h["Access-Control-Max-Age"] = maxAge
	} else {
		h["Allow"] = allMethods
	}
	w.WriteHeader(http.StatusNoContent)
}

// admit says whether the page that asked may read the answer. Until the door has
// judged the origin it may: what is answered before holds nothing but the
// reason why there is no answer, and a page has to know that.
func admit(w http.ResponseWriter, r *http.Request, readable bool) {
	h := w.Header()
	origin := r.Header["Origin"]
	if !readable || len(origin) != 1 {
		delete(h, "Access-Control-Allow-Origin")
		delete(h, "Access-Control-Allow-Credentials")
		delete(h, "Access-Control-Expose-Headers")
		return
	}
	h["Access-Control-Allow-Origin"] = origin
	h["Access-Control-Allow-Credentials"] = isTrue
	h["Access-Control-Expose-Headers"] = exposeHeaders
}
