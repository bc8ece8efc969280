package restdb

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

const foreign = "https://app.example.com"

// cors returns what an answer says to browsers.
func cors(a response) string {
	h := a.header
	return h.Get("Access-Control-Allow-Origin") + " " + h.Get("Access-Control-Allow-Credentials") + " " + h.Get("Access-Control-Expose-Headers") + " " + h.Get("Vary")
}

const (
	readable   = foreign + " true X-Pagination Origin"
	unreadable = "   Origin"
)

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	w.insert("items", `{"_id":"000000000000000000000001"}`)
	other := w.key(collection.KeySpec{})
	wrong := strings.Repeat("f", 37)
	for name, tt := range map[string]struct {
		query   string
		headers []string
		code    int
	}{
		"x-apikey":                    {"", []string{withKey}, 200},
		"bare Authorization":          {"", []string{"Authorization: " + fullKey}, 200},
		"query":                       {"?apikey=" + fullKey, nil, 200},
		"a key of its own":            {"?apikey=" + other, nil, 200},
		"x-apikey before query":       {"?apikey=" + wrong, []string{withKey}, 200},
		"wrong x-apikey before query": {"?apikey=" + fullKey, []string{"x-apikey: " + wrong}, 401},
		"query before Authorization":  {"?apikey=" + wrong, []string{"Authorization: " + fullKey}, 401},
		"x-apikey before a token":     {"", []string{withKey, "Authorization: Bearer a.b.c"}, 200},
		"empty ones do not count":     {"?apikey=", []string{"x-apikey:  ", "Authorization: " + fullKey}, 200},
		"none":                        {"", nil, 401},
		"wrong":                       {"", []string{"x-apikey: " + wrong}, 401},
		"short":                       {"", []string{"x-apikey: " + fullKey[:36]}, 401},
		"long":                        {"", []string{"x-apikey: " + fullKey + "0"}, 401},
		"Basic":                       {"", []string{"Authorization: Basic " + fullKey}, 401},
		"Bearer with a key":           {"", []string{"Authorization: Bearer " + fullKey}, 401},
		"Bearer of nothing":           {"", []string{"Authorization: Bearer"}, 401},
		"Bearer none":                 {"", []string{"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImEifQ."}, 401},
	} {
		a := w.do("GET", "/rest/items"+tt.query, "", tt.headers...)
		if a.code != tt.code {
			t.Errorf("%s: %d %s, want %d", name, a.code, a.body, tt.code)
		}
		if a.code == 401 {
			w.fails(401, "Unauthorized", a)
		}
		if a.header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: WWW-Authenticate would open a dialog", name)
		}
	}
}

// Strangers learn nothing but that they are strangers.
func TestTheDoorComesFirst(t *testing.T) {
	w := newWorld(t)
	w.insert("items", `{"_id":"000000000000000000000001"}`)
	for _, r := range [][3]string{
		{"GET", "/rest/items?q=x", ""}, {"GET", "/rest/none", ""}, {"GET", "/rest/_meta", ""}, {"PUT", "/rest/items", ""}, {"BREW", "/rest/items", ""},
		{"POST", "/rest/items", "{"}, {"PUT", "/rest/items/x", "{"}, {"DELETE", "/rest/items/*", ""}, {"POST", "/rest/items", strings.Repeat("x", 17<<20)},
		{"GET", "/rest/items/000000000000000000000001/children", ""}, {"POST", "/auth/jwt", "{"}, {"POST", "/auth/token", "{}"}, {"GET", "/auth/userinfo", ""},
	} {
		a := w.do(r[0], r[1], r[2], "Origin: "+foreign)
		if w.fails(401, "Unauthorized", a); cors(a) != readable {
			t.Errorf("%s %s: %s", r[0], r[1], cors(a))
		}
	}
}

func TestWebKeys(t *testing.T) {
	w := newWorld(t)
	id := w.insert("items", `{"n":1}`)
	w.insert("other", `{}`)
	key := "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: []string{"items"}, Methods: []string{"GET", "POST", "PUT"}, Origins: []string{foreign}})
	star := "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: []string{"items/*"}, Methods: []string{"GET"}, Origins: []string{"*.example.com"}})
	full := "x-apikey: " + w.key(collection.KeySpec{Origins: []string{foreign}})
	readOnly := "x-apikey: " + w.key(collection.KeySpec{ReadOnly: true})
	page := "Origin: " + foreign
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		cors               string
	}{
		"read":                           {"GET", "/rest/items", "", []string{key, page}, 200, readable},
		"read without an origin":         {"GET", "/rest/items", "", []string{key}, 200, unreadable},
		"head":                           {"HEAD", "/rest/items/" + id, "", []string{key, page}, 200, readable},
		"create":                         {"POST", "/rest/items", "{}", []string{key, page}, 201, readable},
		"change":                         {"PUT", "/rest/items/" + id, "{}", []string{key, page}, 200, readable},
		"bad request":                    {"GET", "/rest/items?q=x", "", []string{key, page}, 400, readable},
		"not there":                      {"GET", "/rest/items/x", "", []string{key, page}, 404, readable},
		"wrong method of the path":       {"PUT", "/rest/items", "{}", []string{key, page}, 405, readable},
		"no such path":                   {"GET", "/rest/items/1/2/3/4/5", "", []string{key, page}, 404, readable},
		"foreign origin":                 {"GET", "/rest/items", "", []string{key, "Origin: https://evil.example.org"}, 403, unreadable},
		"origin's other scheme":          {"GET", "/rest/items", "", []string{key, "Origin: http://app.example.com"}, 403, unreadable},
		"null origin":                    {"GET", "/rest/items", "", []string{key, "Origin: null"}, 403, unreadable},
		"foreign path":                   {"GET", "/rest/other", "", []string{key, page}, 403, readable},
		"path with an escaped slash":     {"GET", "/rest/items%2F..%2Fother", "", []string{key, page}, 403, readable},
		"foreign method":                 {"DELETE", "/rest/items/" + id, "", []string{key, page}, 403, readable},
		"override to a foreign method":   {"POST", "/rest/items/" + id, "", []string{key, page, "X-HTTP-Method-Override: DELETE"}, 403, readable},
		"override to a method":           {"POST", "/rest/items/" + id, "{}", []string{key, page, "X-HTTP-Method-Override: put"}, 200, readable},
		"no override of GET":             {"GET", "/rest/items", "", []string{key, page, "X-HTTP-Method-Override: DELETE"}, 200, readable},
		"override to nothing":            {"POST", "/rest/items", "{}", []string{key, page, "X-HTTP-Method-Override: GET"}, 405, readable},
		"creates no collection":          {"POST", "/rest/new", "{}", []string{key, page}, 403, readable},
		"glob":                           {"GET", "/rest/items/" + id, "", []string{star, page}, 200, readable},
		"not the glob":                   {"GET", "/rest/items", "", []string{star, page}, 403, readable},
		"wild origin":                    {"GET", "/rest/items/" + id, "", []string{star, "Origin: https://example.org"}, 403, unreadable},
		"full key in a page":             {"GET", "/rest/items", "", []string{withKey, page}, 200, unreadable},
		"full key with an origin":        {"GET", "/rest/items", "", []string{full, page}, 200, readable},
		"full key with a foreign origin": {"GET", "/rest/items", "", []string{full, "Origin: https://evil.example.org"}, 403, unreadable},
		"read-only key reads":            {"GET", "/rest/items", "", []string{readOnly}, 200, unreadable},
		"read-only key writes":           {"POST", "/rest/items", "{}", []string{readOnly}, 403, unreadable},
		"tokens":                         {"POST", "/auth/jwt", `{"secret":"a.b"}`, []string{key, page}, 403, readable},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(tt.method, tt.path, tt.body, append(tt.headers, asJSON)...)
			if a.code != tt.code || cors(a) != tt.cors {
				t.Errorf("%d %s\n%s, want %d %s", a.code, a.body, cors(a), tt.code, tt.cors)
			}
			if a.code == 403 {
				w.fails(403, "Forbidden", a)
			}
		})
	}
	if n := strings.Count(w.get("/rest/items").body, "_id"); n != 2 {
		t.Errorf("%d items, want 2", n)
	}
}

func TestPreflight(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.RateLimits = limits(t, "1 per hour") })
	for _, path := range []string{"/rest/items", "/rest/items/x/y/z", "/rest/_meta", "/media", "/auth/jwt", "/realtime"} {
		a := w.do("OPTIONS", path, "", "Origin: "+foreign, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-apikey,content-type,cache-control")
		h := a.header
		got := strings.Join([]string{
			h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Methods"), h.Get("Access-Control-Allow-Headers"), h.Get("Access-Control-Max-Age"), h.Get("Access-Control-Allow-Credentials"),
		}, " ")
		if want := foreign + " GET,POST,PUT,PATCH,DELETE,OPTIONS x-apikey,content-type,cache-control 86400 true"; a.code != 204 || a.body != "" || got != want {
			t.Errorf("%s: %d %q %s", path, a.code, a.body, got)
		}
	}
	if a := w.do("OPTIONS", "/rest/items", ""); a.code != 204 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS without an origin: %d %v", a.code, a.header)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	w := newWorld(t)
	id := w.insert("items", "{}")
	for path, allow := range map[string]string{
		"/rest/items":                    "GET, HEAD, POST, OPTIONS",
		"/rest/items/":                   "GET, HEAD, POST, OPTIONS",
		"/rest/items/*":                  "DELETE, OPTIONS",
		"/rest/items/" + id:              "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
		"/rest/items/" + id + "/f":       "GET, HEAD, POST, OPTIONS",
		"/rest/items/" + id + "/f/" + id: "GET, HEAD, OPTIONS",
		"/auth/jwt":                      "POST, OPTIONS",
		"/auth/token":                    "POST, OPTIONS",
		"/auth/userinfo":                 "GET, HEAD, OPTIONS",
		"/rest/_meta":                    "GET, HEAD, OPTIONS",
		"/rest/items/_meta":              "GET, HEAD, OPTIONS",
		"/rest/_swagger.json":            "GET, HEAD, OPTIONS",
		"/rest/_jsapi.js":                "GET, HEAD, OPTIONS",
		"/rest/_jsapi.doc":               "GET, HEAD, OPTIONS",
		"/media":                         "POST, OPTIONS",
		"/media/" + id:                   "GET, HEAD, DELETE, OPTIONS",
		"/media/" + id + "/meta":         "GET, HEAD, OPTIONS",
		"/mail":                          "POST, OPTIONS",
		"/mail/unsubscribe/" + id:        "GET, HEAD, POST, OPTIONS",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
			a := w.send(method, path, "")
			if strings.Contains(allow, method) {
				if a.code == 405 {
					t.Errorf("%s %s: %d", method, path, a.code)
				}
				continue
			}
			if a.code != 405 || a.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, a.code, a.header.Get("Allow"), allow)
			}
			if method != "HEAD" {
				w.fails(405, "MethodNotAllowed", a)
			}
		}
	}
	for _, override := range []string{"GET", "POST", "OPTIONS", "FROB", ""} {
		w.fails(405, "MethodNotAllowed", w.send("POST", "/rest/items", "{}", "X-HTTP-Method-Override: "+override))
	}
	for _, path := range []string{
		"/rest", "/rest/", "/rest/_none", "/rest/_meta/x", "/rest/_jsapi", "/rest//items", "/rest/items//x", "/rest/a b", "/rest/" + strings.Repeat("a", 65),
		"/rest/items/1/2/3/4", "/rest/%2e%2e/items", "/rest/items%2Fx", "/auth", "/auth/x", "/auth/jwt/x",
		"/media/x/y", "/media/x/meta/y", "/mail/x", "/realtime/x",
	} {
		path = strings.ReplaceAll(path, " ", "%20")
		w.fails(404, "NotFound", w.get(path))
	}
	for _, path := range []string{"/media/x", "/assets/a", "/appdeploy", "/static/x", "/views"} {
		w.fails(404, "NotFound", w.do("GET", path, ""))
	}
}

func TestDatabasesByHost(t *testing.T) {
	w := newWorld(t)
	w.set("host_suffix", "db.example.com")
	w.update(func(tx *kv.Tx) error { return w.layer.CreateDatabase(tx, "shop-1a2b") })
	key := collection.DrawKey(false)
	w.update(func(tx *kv.Tx) error {
		_, err := w.layer.CreateKey(tx, "shop-1a2b", key, collection.KeySpec{})
		return err
	})
	host := "Host: shop-1a2b.db.example.com:8080"
	if a := w.do("POST", "/rest/items", `{"in":"shop"}`, host, "x-apikey: "+key); a.code != 201 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	w.fails(401, "Unauthorized", w.do("GET", "/rest/items", "", host, withKey))
	w.fails(401, "Unauthorized", w.do("GET", "/rest/items", "", "x-apikey: "+key))
	w.fails(404, "NotFound", w.get("/rest/items"))
	a := w.do("GET", "/rest/items", "", "Host: none.db.example.com", withKey)
	if got := w.fails(503, "ServiceUnavailable", a); got != "Database not found" || a.header.Get("Retry-After") == "" {
		t.Errorf("message %q", got)
	}
}

// Users with a token are let in by their document, and what the roles say.
func TestUsers(t *testing.T) {
	w := newWorld(t)
	const secret = "a-secret-of-the-identity-provider-1234"
	w.set("jwt.client_id", "client")
	w.set("jwt.client_secret", secret)
	w.insert("users", `{"_id":"00000000000000000000000a","email":"ann@example.com","name":"Ann","roles":["reader"],"active":true}`)
	w.insert("users", `{"email":"out@example.com","roles":["reader"],"active":false}`)
	w.people()
	w.update(func(tx *kv.Tx) error {
		return w.layer.SetRoles(tx, collection.DefaultDatabase, "people", &collection.Roles{Read: []string{"reader"}, Create: []string{"reader"}})
	})
	w.set("properties.app.key", secret)
	token := func(email string) string {
		t.Helper()
		a := w.send("POST", "/auth/jwt", `{"secret":"app.key","audience":"client","payload":{"email":"`+email+`"}}`)
		if a.code != 201 || !strings.HasPrefix(a.body, `{"jwt":"`) {
			t.Fatalf("POST /auth/jwt: %d %s", a.code, a.body)
		}
		jwt, _, _ := strings.Cut(a.body[len(`{"jwt":"`):], `"`)
		return "Authorization: Bearer " + jwt
	}
	ann := token("ann@example.com")
	page := "Origin: " + foreign
	a := w.is(200, `{"_id":"00000000000000000000000a","email":"ann@example.com","name":"Ann","roles":["reader"],"active":true}`, w.do("GET", "/auth/userinfo", "", ann, page))
	if cors(a) != readable {
		t.Errorf("userinfo: %s", cors(a))
	}
	if got := w.names(w.do("GET", "/rest/people", "", ann)); got != "ann bob cid dee" {
		t.Errorf("people: %q", got)
	}
	if a := w.do("POST", "/rest/people", `{"name":"eve"}`, ann); a.code != 201 || !strings.Contains(a.body, `"_createdby":"ann@example.com"`) {
		t.Errorf("POST by a user: %d %s", a.code, a.body)
	}
	w.fails(403, "Forbidden", w.do("DELETE", "/rest/people/*?q={}", "", ann))
	w.fails(403, "Forbidden", w.do("GET", "/rest/people?explain=true", "", ann)) // it would count what is private
	w.fails(403, "Forbidden", w.do("GET", "/rest/users", "", ann))
	w.fails(403, "Forbidden", w.do("POST", "/auth/jwt", `{"secret":"app.key"}`, ann))
	w.fails(403, "Forbidden", w.do("GET", "/rest/people", "", token("out@example.com")))
	w.fails(403, "Forbidden", w.do("GET", "/auth/userinfo", "", token("none@example.com")))
	w.fails(401, "Unauthorized", w.get("/auth/userinfo"))
	w.fails(401, "Unauthorized", w.do("GET", "/rest/people", "", ann+"x"))
	w.fails(400, "BadRequest", w.send("POST", "/auth/jwt", `{"secret":"no.such"}`))
	w.fails(400, "BadRequest", w.send("POST", "/auth/jwt", `[]`))
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	w.set("properties.app.key", "a-secret-of-the-identity-provider-1234")
	refresh := func(a response) string {
		t.Helper()
		_, text, ok := strings.Cut(a.body, `"refresh":"`)
		if a.code != 201 || !ok || len(text) < 64 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		return text[:64]
	}
	first := refresh(w.send("POST", "/auth/jwt", `{"secret":"app.key"}`))
	if second := refresh(w.send("POST", "/auth/token", `{"refresh":"`+first+`"}`)); second == first {
		t.Error("the refresh token stays")
	}
	for _, body := range []string{`{"refresh":"` + first + `"}`, `{"code":"x"}`, `{}`, "", "["} {
		w.fails(400, "BadRequest", w.send("POST", "/auth/token", body))
	}
}

func TestRateLimits(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.RateLimits = limits(t, "2 per minute") })
	w.insert("items", "{}")
	w.get("/rest/items")
	a := w.get("/rest/items")
	if w.fails(429, "TooManyRequests", a); a.header.Get("Retry-After") != "60" || a.header.Get("X-Ratelimit-Limit") != "" {
		t.Errorf("headers %v", a.header)
	}
	w.store.Advance(61e9)
	if a := w.get("/rest/items"); a.code != http.StatusOK {
		t.Errorf("after the window: %d", a.code)
	}
}
