package kot

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv/kvtest"
)

// paths are all that the API serves, and some that it does not.
func paths() []string {
	list := []string{"/", "/controller", "/controller/", "/controller/nothing", "/database/", "/informations/", "/..", "//"}
	for _, e := range endpoints {
		list = append(list, e.path)
	}
	return list
}

func TestWithoutAPasswordThereIsNoAPI(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Password = nil })
	for _, path := range paths() {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, header := range []string{admitted, "Authorization: Basic Og==", "X-Nothing: 1"} {
				a := w.do(method, path, "", header)
				w.fails(404, a)
				if len(a.body) != 207 {
					t.Errorf("%s %s: a page of %d bytes, want 207", method, path, len(a.body))
				}
			}
		}
	}
	if n := w.store.Commits(); n != 0 {
		t.Errorf("%d commits by an API that is off", n)
	}
}

func TestThePasswordComesFirst(t *testing.T) {
	w := newWorld(t, restricted(t, "set"), limited(t, "1 per day"))
	const want = "Could not verify your access level for that URL.\nYou have to login with proper credentials"
	if len(want) != 90 {
		t.Fatalf("the text has %d bytes", len(want))
	}
	for _, path := range paths() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"} {
			for _, header := range []string{
				"X-None: 1",
				"Authorization: Basic Og==",              // ":"
				"Authorization: Basic YWRtaW46MDEyMw==",  // "admin:0123"
				"Authorization: Basic MDEyMzo=",          // "0123:"
				"Authorization: Basic OjEyMw==",          // ":123"
				"Authorization: Basic OjAxMjM0",          // ":01234"
				"Authorization: Basic !!!",               // no base64
				"Authorization: Bearer 0123",             // another scheme
				"Authorization: Basic OjAxMjM= trailing", // no base64
				"Proxy-Authorization: Basic OjAxMjM=",    // another header
			} {
				a := w.do(method, path, "", header)
				body := want
				if method == "HEAD" {
					body = ""
				}
				w.is(401, "text/html; charset=utf-8", body, a)
				if got := a.header.Get("WWW-Authenticate"); got != `Basic realm="Login Required"` {
					t.Errorf("%s %s: challenge %q", method, path, got)
				}
				if a.header.Get("Content-Length") != "90" {
					t.Errorf("%s %s: Content-Length %q", method, path, a.header.Get("Content-Length"))
				}
			}
		}
	}
	if n := w.store.Commits(); n != 0 {
		t.Errorf("%d commits by strangers", n)
	}
}

func TestPathsAreExact(t *testing.T) {
	w := newWorld(t)
	w.set("d", "k", "v")
	for _, path := range []string{
		"/", "/controller", "/controller/", "/controller/set/", "//controller/set", "/controller//set", "/controller/SET",
		"/controller/./set", "/x/../controller/set", "/controller/se%74", "/controller%2Fset", "/controller/rename", "/database",
		"/database/set", "/database/list/", "/execute/", "/execute/x", "/informations/", "/information", "/database/pop_all/",
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			a := w.do(method, path, form("database_name", "d", "key", "k", "value", "x"), admitted, formType)
			w.fails(404, a)
			if len(a.body) != 207 {
				t.Errorf("%s %s: a page of %d bytes, want 207", method, path, len(a.body))
			}
		}
	}
	w.read(`"v"`, "d", "k")
}

// allowed are the Allow headers of the contract.
func allowed(path string) string {
	switch path {
	case "/database/list", "/informations":
		return "OPTIONS, GET, HEAD"
	case "/database/pop_all", "/database/delete_all":
		return "POST, OPTIONS, GET, HEAD"
	}
	return "POST, OPTIONS"
}

func TestMethods(t *testing.T) {
	w := newWorld(t, restricted(t, strings.Join(endpointNames(), ","))) // which these checks come before
	for _, e := range endpoints {
		allow := allowed(e.path)
		a := w.do("OPTIONS", e.path, "", admitted)
		if a.code != 200 || a.body != "" || a.header.Get("Allow") != allow || a.header.Get("Content-Length") != "0" {
			t.Errorf("OPTIONS %s: %d %q, Allow %q", e.path, a.code, a.body, a.header.Get("Allow"))
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			a := w.do(method, e.path, "", admitted)
			w.fails(405, a)
			if len(a.body) != 153 || a.header.Get("Allow") != allow {
				t.Errorf("%s %s: a page of %d bytes, Allow %q", method, e.path, len(a.body), a.header.Get("Allow"))
			}
		}
		if !strings.Contains(allow, "HEAD") {
			if a := w.do("HEAD", e.path, "", admitted); a.code != 405 || a.body != "" {
				t.Errorf("HEAD %s: %d", e.path, a.code)
			}
		}
	}
}

func TestRestricted(t *testing.T) {
	const want = "Access to this URL is restricted.\nYou do not have the necessary permissions"
	if len(want) != 75 {
		t.Fatalf("the text has %d bytes", len(want))
	}
	refused := func(w *world, a response) {
		t.Helper()
		w.is(403, "text/html; charset=utf-8", want, a)
		if got := a.header.Get("WWW-Authenticate"); got != `Basic realm="Access Required"` {
			t.Errorf("challenge %q", got)
		}
	}
	for _, e := range endpoints {
		if e.name == "" {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t, restricted(t, e.name))
			for _, method := range e.methods {
				switch method {
				case "OPTIONS":
				case "HEAD":
					if a := w.do("HEAD", e.path, "", admitted); a.code != 403 {
						t.Errorf("HEAD: %d", a.code)
					}
				default:
					refused(w, w.do(method, e.path, form("database_name", "d", "key", "k", "query", "SET d k v"), admitted, formType))
				}
			}
			if n := w.store.Commits(); n != 0 {
				t.Errorf("%d commits through a restricted endpoint", n)
			}
			w.get("/informations") // cannot be restricted
			other := "/controller/set"
			if e.name == "set" {
				other = "/controller/delete"
			}
			if a := w.post(other, "database_name", "d", "key", "k"); a.code != 200 {
				t.Errorf("%s is closed too: %d", other, a.code)
			}
		})
	}
}

func TestRateLimitIsByEndpointAndClient(t *testing.T) {
	now := time.Unix(kvtest.Start/1000, 0)
	proxies, err := web.ParseProxies("127.0.0.1,::1")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, limited(t, "3/hour; 2 per minute"), restricted(t, "database_pop"), func(c *Config) {
		c.Proxies, c.Now = proxies, func() time.Time { return now }
	})
	from := func(client, method, path, body string) response {
		t.Helper()
		return w.do(method, path, body, admitted, formType, "X-Forwarded-For: "+client)
	}
	refused := func(text, retry string, a response) {
		t.Helper()
		w.is(429, "text/html; charset=utf-8", "<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n<h1>Too Many Requests</h1>\n<p>"+text+"</p>\n", a)
		if got := a.header.Get("Retry-After"); got != retry {
			t.Errorf("Retry-After %q, want %q", got, retry)
		}
		for name := range a.header {
			if strings.HasPrefix(name, "X-Ratelimit") {
				t.Errorf("header %s", name)
			}
		}
	}
	const list, pop, get = "/database/list", "/database/pop", "/controller/get"
	for range 5 { // none of these counts
		from("192.0.2.1", "OPTIONS", list, "")
		from("192.0.2.1", "POST", list, "")
		w.do("GET", list, "", "X-Forwarded-For: 192.0.2.1")
		w.is(403, "text/html; charset=utf-8", accessText, from("192.0.2.1", "POST", "/execute", "query=DATABASE_POP+x"))
		from("192.0.2.1", "POST", pop, "database_name=x")
	}
	w.data("{}", from("192.0.2.1", "GET", list, ""))
	if a := from("192.0.2.1", "HEAD", list, ""); a.code != 200 {
		t.Errorf("HEAD: %d", a.code)
	}
	refused("2 per 1 minute", "60", from("192.0.2.1", "GET", list, ""))
	now = now.Add(20 * time.Second)
	refused("2 per 1 minute", "40", from("192.0.2.1", "GET", list, ""))
	w.data("{}", from("192.0.2.2", "GET", list, ""))
	w.data("true", from("192.0.2.1", "POST", "/execute", "query=SET+d+k+v"))
	w.data(`"v"`, from("192.0.2.1", "POST", get, "database_name=d&key=k"))
	w.fails(500, from("192.0.2.1", "POST", get, "")) // counted
	refused("2 per 1 minute", "60", from("192.0.2.1", "POST", get, "database_name=d&key=k"))
	now = now.Add(40 * time.Second)
	from("192.0.2.1", "GET", list, "")
	refused("3 per 1 hour", "3540", from("192.0.2.1", "GET", list, ""))
	w.fails(400, w.do("POST", get, "{", admitted, objType, "X-Forwarded-For: 192.0.2.9"))
	w.fails(400, w.do("POST", get, "{", admitted, objType, "X-Forwarded-For: 192.0.2.9"))
	refused("2 per 1 minute", "60", w.do("POST", get, "{", admitted, objType, "X-Forwarded-For: 192.0.2.9"))
	for range 2 {
		from("192.0.2.3", "GET", "/informations", "")
	}
	refused("2 per 1 minute", "60", from("192.0.2.3", "GET", "/informations", ""))
}

func TestPopAllByGetAndByPostCountAsOne(t *testing.T) {
	w := newWorld(t, limited(t, "1 per day"))
	w.says("All database popped successfully", w.post("/database/pop_all"))
	if a := w.get("/database/pop_all"); a.code != 429 {
		t.Errorf("got %d", a.code)
	}
}

func TestInformations(t *testing.T) {
	w := newWorld(t)
	w.data(`{"database_name_lenght":null,"key_lenght":null,"rate_limit":[],"restricted":[],"value_lenght":null}`, w.get("/informations"))
	w = newWorld(t, restricted(t, " set,get , set"), limited(t, " 5 per hour;1/Minute "))
	w.data(`{"database_name_lenght":null,"key_lenght":null,"rate_limit":["5 per hour","1/Minute"],"restricted":["set","get"],"value_lenght":null}`, w.get("/informations"))
	w = newWorld(t, limited(t, "Document"))
	w.data(`{"database_name_lenght":null,"key_lenght":null,"rate_limit":["5 per hour","1 per minute"],"restricted":[],"value_lenght":null}`, w.get("/informations"))
}

func TestParseRestricted(t *testing.T) {
	if list, err := ParseRestricted(" , "); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
	if list, err := ParseRestricted(strings.Join(endpointNames(), ", ")); err != nil || len(list) != 16 {
		t.Errorf("got %v, %v", list, err)
	}
	for _, bad := range []string{"sett", "Set", "set get", "set, nothing", "/controller/set", "informations"} {
		_, err := ParseRestricted(bad)
		if err == nil || !strings.Contains(err.Error(), "database_delete_all, execute") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseRateLimit(t *testing.T) {
	for _, off := range []string{"", "off", " OFF "} {
		if got, err := ParseRateLimit(off); err != nil || len(got.Limits) != 0 || len(got.Items) != 0 {
			t.Errorf("%q: %+v, %v", off, got, err)
		}
	}
	got, err := ParseRateLimit("document")
	if err != nil || got.Limits.String() != DocumentRateLimit || strings.Join(got.Items, ", ") != DocumentRateLimit {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"5", "5 per hour,", "often"} {
		if got, err := ParseRateLimit(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestNoForeignOriginIsInvited(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"OPTIONS", "GET"} {
		a := w.do(method, "/database/list", "", admitted, "Origin: http://x.example", "Access-Control-Request-Method: POST")
		for name := range a.header {
			if strings.HasPrefix(http.CanonicalHeaderKey(name), "Access-Control") {
				t.Errorf("%s: header %s", method, name)
			}
		}
	}
}
