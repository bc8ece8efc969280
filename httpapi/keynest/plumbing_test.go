package keynest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	in := `{"email":"ann@example.com","password":"` + password + `"}`
	for _, good := range []string{"Token " + token, "token " + token, "BEARER\t" + token, " Token   " + token + " ", "Token " + strings.ToUpper(token)} {
		if a := w.do("GET", "/api/auth/profile/", "", "Authorization: "+good); a.code != 200 {
			t.Errorf("%q: %d %s", good, a.code, a.body)
		}
		if a := w.do("POST", "/api/auth/login/", in, asJSON, "Authorization: "+good); a.code != 200 {
			t.Errorf("login with %q: %d %s", good, a.code, a.body)
		}
	}
	const (
		none    = "Authentication credentials were not provided."
		scheme  = "Invalid token header. No credentials provided."
		blank   = "Invalid token header. Token string should not contain spaces."
		unknown = "Invalid token."
	)
	for _, tt := range []struct{ header, name, text string }{
		{"", "AUTHENTICATION_REQUIRED", none},
		{"Basic YTpi", "AUTHENTICATION_REQUIRED", none},
		{token, "AUTHENTICATION_REQUIRED", none},
		{"Tokens " + token, "AUTHENTICATION_REQUIRED", none},
		{"Token", "INVALID_TOKEN", scheme},
		{"Bearer ", "INVALID_TOKEN", scheme},
		{"Token " + token + " " + token, "INVALID_TOKEN", blank},
		{"Token a\tb", "INVALID_TOKEN", blank},
		{"Token " + token[:39], "INVALID_TOKEN", unknown},
		{"Token " + token + "00", "INVALID_TOKEN", unknown},
		{"Token " + strings.Repeat("0", 40), "INVALID_TOKEN", unknown},
		{"Token \xff", "INVALID_TOKEN", unknown},
	} {
		header := "Authorization: " + tt.header
		if tt.header == "" {
			header = "X-Nothing: 1"
		}
		for _, a := range []response{
			w.do("GET", "/api/auth/profile/", "", header),
			w.do("POST", "/api/organizations/", `{`, asJSON, header), // the door comes before the body
			w.do("PUT", "/api/organizations/", `{}`, asJSON, header), // and before the method
			w.do("GET", "/api/organizations/abc/", "", header),       // and before the object
		} {
			w.fails(401, tt.name, tt.text, a)
			if got := a.header.Get("Www-Authenticate"); got != "Token" {
				t.Errorf("%q: WWW-Authenticate %q", tt.header, got)
			}
		}
		a := w.do("POST", "/api/auth/login/", in, asJSON, header)
		if tt.name == "INVALID_TOKEN" {
			w.fails(401, tt.name, tt.text, a)
		} else if a.code != 200 {
			t.Errorf("login with %q: %d %s", tt.header, a.code, a.body)
		}
		for _, path := range []string{"/health/", "/api/"} {
			if a := w.do("GET", path, "", header); a.code != 200 {
				t.Errorf("%s with %q: %d %s", path, tt.header, a.code, a.body)
			}
		}
	}
}

// lagging is a node that has seen nothing of what others have done.
type lagging struct {
	*kvtest.Store
	behind *kvtest.Store
}

func (l *lagging) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	if c.Stale {
		return l.behind.View(ctx, c)
	}
	return l.Store.View(ctx, c)
}

// A token that was given by another node a moment ago is good here: web clients
// log out on a 401.
func TestANewTokenIsKnownToANodeBehind(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	w.serve(func(s *settings) {
		s.api.DB = kv.New(&lagging{w.store, kvtest.New(t)})
		s.api.RateLimits = rateLimits(t, "1000 per hour", "off")
	})
	for _, a := range []response{
		w.get(token, "/api/auth/profile/"),
		w.get(token, "/api/organizations/?consistency=stale"),
		w.send(token, "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`),
		w.send(token, "PATCH", "/api/auth/profile/", `{"first_name":"Ann"}`),
	} {
		if a.code != 200 {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
	w.fails(405, "METHOD_NOT_ALLOWED", `Method "PUT" not allowed.`, w.send(token, "PUT", "/api/organizations/", `{}`))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(strings.Repeat("0", 40), "/api/organizations/?consistency=stale"))
}

func TestConsistency(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	for query, want := range map[string]string{"": "linearizable", "?consistency=linearizable": "linearizable", "?consistency=": "linearizable"} {
		a := w.get(token, "/api/organizations/"+query)
		if got := a.header.Get("Covey-Consistency"); got != want || a.header.Get("Covey-Version") == "" {
			t.Errorf("%q: Covey-Consistency %q, Covey-Version %q", query, got, a.header.Get("Covey-Version"))
		}
	}
	w.counts(1, 1, w.get(token, "/api/organizations/?consistency=stale"))
	w.fails(400, "VALIDATION_ERROR", "consistency is neither linearizable nor stale", w.get(token, "/api/organizations/?consistency=x"))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get("00", "/api/organizations/?consistency=x"))
}

func TestHealthAndRoot(t *testing.T) {
	w := newWorld(t)
	const health = `{"status":"healthy","service":"KeyNest API","version":"1.0.0"}`
	const root = `{"message":"Welcome to KeyNest API","version":"1.0.0","endpoints":{"authentication":"/api/auth/","projects":"/api/projects/","health":"/health/","admin":"/admin/"}}`
	for path, want := range map[string]string{"/health/": health, "/health": health, "/api/": root, "/api": root} {
		if a := w.is(200, want, w.do("GET", path, "", "Accept: text/plain")); a.body != want {
			t.Errorf("%s: %s", path, a.body)
		}
		if a := w.do("HEAD", path, ""); a.code != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("HEAD %s: %d, %s bytes", path, a.code, a.header.Get("Content-Length"))
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			a := w.fails(405, "METHOD_NOT_ALLOWED", fmt.Sprintf("Method %q not allowed.", method), w.do(method, path, `{}`, asJSON))
			if got := a.header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: Allow %q", method, path, got)
			}
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	for _, path := range []string{
		"/admin/", "/admin", "/api/nothing/", "/api//", "/api/organizations//", "/api/organizations/1/members/x/", "/api/organizations/1//members/",
		"/health/x", "/health//", "/api/Organizations/", "/api/%6Frganizations/", "/api/auth/", "/api/organizations/%7Bid%7D/x/", "/api/audit-logs/1/",
		"/api/v1/organizations/", "/api/variables/1/x/", "/api/auth/login/x/",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			w.notFound(w.send(token, method, path, ""))
			w.notFound(w.send("", method, path, ""))
		}
	}
	w.notFound(w.get(token, "/api/organizations/{id}/"))
}

// One form of a path is as good as the other, and none redirects.
func TestTheSlashAtTheEndMayBeMissing(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	for _, path := range []string{"/api/auth/profile", "/api/organizations/1", "/api/organizations/1/members"} {
		without, with := w.get(token, path), w.get(token, path+"/")
		if without.code != 200 {
			t.Errorf("%s: %d %s", path, without.code, without.body)
		}
		w.is(200, with.body, without)
	}
	if a := w.send(token, "POST", "/api/organizations", `{"name":"Acme"}`); a.code != 201 {
		t.Errorf("POST: %d %s", a.code, a.body)
	}
}

// Every place refuses every method that it does not serve, names those that it
// does, and answers OPTIONS without a token.
func TestMethods(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	routes := newRoutes()
	for pattern, p := range places {
		to, path := routes[p], "/api/"+strings.ReplaceAll(pattern, idPart, "1")+"/"
		if to == nil {
			t.Errorf("nothing serves %s", pattern)
			continue
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} {
			if to.work[method] != nil {
				continue
			}
			a := w.fails(405, "METHOD_NOT_ALLOWED", fmt.Sprintf("Method %q not allowed.", method), w.send(token, method, path, ""))
			allow := a.header.Get("Allow")
			if strings.Contains(allow, method) || !strings.Contains(allow, "OPTIONS") || strings.Contains(allow, "GET") != strings.Contains(allow, "HEAD") {
				t.Errorf("%s %s: Allow %q", method, path, allow)
			}
		}
		if to.work["GET"] == nil {
			if a := w.send(token, "HEAD", path, ""); a.code != 405 {
				t.Errorf("HEAD %s: %d", path, a.code)
			}
		}
		for _, header := range []string{"X-Nothing: 1", "Authorization: Token 00"} {
			if a := w.do("OPTIONS", path, "", header); a.code != 200 || a.body != "" || a.header.Get("Allow") != to.allowed[0] {
				t.Errorf("OPTIONS %s: %d %s, Allow %q", path, a.code, a.body, a.header.Get("Allow"))
			}
		}
	}
	if got := w.get(token, "/api/organizations/1/").header.Get("Allow"); got != "DELETE, GET, HEAD, OPTIONS, PATCH, PUT" {
		t.Errorf("Allow %q", got)
	}
}

func TestHead(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	for _, path := range []string{"/api/organizations/", "/api/organizations/1/", "/api/auth/profile/", "/api/organizations/77/"} {
		got, want := w.send(token, "HEAD", path, ""), w.get(token, path)
		if got.code != want.code || got.header.Get("Content-Length") != fmt.Sprint(len(want.body)) || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %d, %s bytes of %s; GET: %d, %d bytes", path, got.code, got.header.Get("Content-Length"), got.header.Get("Content-Type"), want.code, len(want.body))
		}
	}
	if a := w.do("HEAD", "/api/organizations/", ""); a.code != 401 {
		t.Errorf("HEAD without a token: %d", a.code)
	}
}

func TestOrigins(t *testing.T) {
	origins, err := ParseOrigins(DefaultOrigins)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *settings) { s.api.Origins = origins })
	token := w.register("ann")
	const allowed = "http://localhost:3000"
	for _, tt := range []struct {
		method, path, origin string
		code                 int
	}{
		{"GET", "/api/organizations/", allowed, 200},
		{"GET", "/api/organizations/77/", "http://127.0.0.1:3001", 404},
		{"GET", "/api/nothing/", allowed, 404},
		{"PUT", "/api/organizations/", allowed, 405},
		{"GET", "/health/", allowed, 200},
		{"OPTIONS", "/api/auth/login/", "http://LOCALHOST:3000", 200},
	} {
		a := w.send(token, tt.method, tt.path, "", "Origin: "+tt.origin)
		h := a.header
		if a.code != tt.code || h.Get("Access-Control-Allow-Origin") != tt.origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
			!strings.Contains(h.Get("Access-Control-Expose-Headers"), "Content-Disposition") {
			t.Errorf("%s %s from %s: %d %v", tt.method, tt.path, tt.origin, a.code, h)
		}
		if preflight := h.Get("Access-Control-Allow-Methods") != ""; preflight != (tt.method == "OPTIONS") {
			t.Errorf("%s %s: Access-Control-Allow-Methods %q", tt.method, tt.path, h.Get("Access-Control-Allow-Methods"))
		}
	}
	h := w.do("OPTIONS", "/api/organizations/", "", "Origin: "+allowed, "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization").header
	if got := h.Get("Access-Control-Allow-Methods"); got != "DELETE, GET, OPTIONS, PATCH, POST, PUT" {
		t.Errorf("methods %q", got)
	}
	for _, name := range strings.Split("accept, accept-encoding, authorization, content-type, dnt, origin, user-agent, x-csrftoken, x-requested-with", ", ") {
		if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	if got := h.Get("Access-Control-Max-Age"); got != "86400" {
		t.Errorf("max age %q", got)
	}
	for _, origin := range []string{"http://localhost:3002", "https://localhost:3000", "null", "http://localhost:3000.evil.example", ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			for name := range w.send(token, method, "/api/organizations/", "", "Origin: "+origin).header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s from %q: %s", method, origin, name)
				}
			}
		}
	}
}

func TestAllOrigins(t *testing.T) {
	all, err := ParseOrigins("https://app.example.com, *")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *settings) { s.api.Origins = all })
	for origin, want := range map[string][2]string{"https://app.example.com": {"https://app.example.com", "true"}, "https://other.example": {"*", ""}} {
		h := w.do("GET", "/health/", "", "Origin: "+origin).header
		if got := [2]string{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials")}; got != want {
			t.Errorf("%s: %v, want %v", origin, got, want)
		}
	}
}

func TestParseOrigins(t *testing.T) {
	for _, good := range []string{"", "off", " off ", "*", "http://a", "https://a.example:8443,http://[::1]:3000", "HTTP://A.example, ", DefaultOrigins} {
		if _, err := ParseOrigins(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"a.example", "ftp://a", "https://a/", "https://a/b", "https://", "https://u@a", "https://a?b", "https://a#b", "null", "http://a http://b", "off, http://a"} {
		if o, err := ParseOrigins(bad); err == nil {
			t.Errorf("%q is %v", bad, o)
		}
	}
}

// What the plumbing answers is never kept by a cache, and no browser takes it
// for a page.
func TestErrorsAreJSON(t *testing.T) {
	w := newWorld(t)
	for _, a := range []response{
		w.get("", "/api/nothing/?<script>"), w.get("", "/api/projects/"), w.send("", "PUT", "/health/", ""),
		w.do("POST", "/api/auth/login/", "<a>", "Content-Type: text/<b>"),
	} {
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) || a.header.Get("Covey-Reason") == "" {
			t.Errorf("%d %s %v", a.code, a.body, a.header)
		}
	}
	var rec http.Header = w.get("", "/api/projects/").header
	if rec.Get("Covey-Request-Id") == "" {
		t.Error("no Covey-Request-Id")
	}
}
