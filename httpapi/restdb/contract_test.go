package restdb

import (
	"bufio"
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/collection"
)

// newFollowed is a world with realtime.
func newFollowed(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.serve(func(s *settings) { s.api.Feed = feed.New(w.store) })
	return w
}

// line is one line of the contract: a call, and what comes back.
type line struct {
	name         string
	method, path string // {x} stands for what an earlier line has kept under x
	body         string
	headers      []string // but for the key, and JSON
	open         bool     // it needs no key
	code         int
	shape        string   // a pattern for the whole body; its group is kept under keep
	keep         string   // "" = nothing
	has          []string // "Name: pattern" of headers
}

const (
	oid  = `"[0-9a-f]{24}"`
	when = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`
	// tail is what answers to writes end with.
	tail = `"_created":` + when + `,"_changed":` + when + `,"_createdby":"api","_changedby":"api","_keywords":\[.*\],"_tags":".*","_version":`
	// parent is what makes a child of it.
	parent = `"_parent_id":"{author}","_parent_def":"authors","_parent_field":"letters"`
)

// contract is all that clients of the hosted service rely on, call by call.
var contract = []line{
	{name: "POST of an object", method: "POST", path: "/rest/authors", body: `{"name":"Ann"}`, code: 201, shape: `{"_id":"([0-9a-f]{24})","name":"Ann",` + tail + `0}`, keep: "author"},
	{name: "POST with a lookup", method: "POST", path: "/rest/books", body: `{"title":"Emma","author":"{author}"}`, code: 201, shape: `{"_id":"([0-9a-f]{24})",.*"_version":0}`, keep: "book"},
	{name: "POST of an array", method: "POST", path: "/rest/things", body: `[{"n":1},{"n":2}]`, code: 201, shape: `\[{"_id":` + oid + `,"n":1,.*},{"_id":` + oid + `,"n":2,.*}\]`},
	{name: "POST that a schema refuses", method: "POST", path: "/rest/books", body: `{}`, code: 400, shape: `{"name":"ValidationError","message":"Validation failed","status":400,"list":\[{"field":"title","message":\[".+","REQUIRED"\]}\]}`},
	{name: "POST without the check", method: "POST", path: "/rest/books?validate=false", body: `{"_id":"00000000000000000000000b"}`, code: 201, shape: `{"_id":"00000000000000000000000b",.*}`},
	{name: "POST of an id that is taken", method: "POST", path: "/rest/books", body: `{"_id":"{book}","title":"x"}`, code: 409, shape: `{"message":".+","name":"Conflict","status":409}`},
	{name: "GET of a list", method: "GET", path: "/rest/things?q={\"n\":{\"$gt\":1}}&h={\"$orderby\":{\"n\":1}}", code: 200, shape: `\[{"_id":"([0-9a-f]{24})","n":2}\]`, keep: "thing", has: []string{`X-Pagination: {"total":1,"count":1,"skip":0,"max":1000}`}},
	{name: "GET with totals", method: "GET", path: "/rest/things?totals=true&max=1", code: 200, shape: `{"data":\[{"_id":` + oid + `,"n":1}\],"totals":{"total":2,"count":1,"skip":0,"max":1}}`},
	{name: "GET of a count", method: "GET", path: "/rest/things?totals=true&count=true", code: 200, shape: `{"data":\[\],"totals":{"total":2,"count":2,"skip":0,"max":1000}}`},
	{name: "GET of aggregates", method: "GET", path: `/rest/things?h={"$aggregate":["SUM:n","COUNT:"]}`, code: 200, shape: `{"SUM n":3,"COUNT ":2}`},
	{name: "GET of distinct values", method: "GET", path: `/rest/things?q={"$distinct":"n"}`, code: 200, shape: `\[1,2\]`},
	{name: "GET as a page", method: "GET", path: "/rest/things.html", code: 200, shape: `<!doctype html>[\s\S]*`, has: []string{"Content-Type: text/html; charset=utf-8", "Content-Security-Policy: .*sandbox.*"}},
	{name: "GET as a script", method: "GET", path: "/rest/things.js?max=0", code: 200, shape: `globalThis\["things"\]=\[\];\n`, has: []string{"Content-Type: text/javascript; charset=utf-8"}},
	{name: "GET of a document with its lookup", method: "GET", path: "/rest/books/{book}", code: 200, shape: `{"_id":"{book}","title":"Emma","author":\[{"_id":"{author}","name":"Ann"}\],"number":1}`},
	{name: "GET with a slash at the end", method: "GET", path: "/rest/things/{thing}/", code: 200, shape: `{"_id":"{thing}","n":2}`},
	{name: "GET of what is not there", method: "GET", path: "/rest/books/no-id", code: 404, shape: `{"message":".+","name":"NotFound","status":404}`},
	{name: "PUT merges", method: "PUT", path: "/rest/things/{thing}", body: `{"m":1}`, code: 200, shape: `{"_id":"{thing}","n":2,"m":1,` + tail + `1}`},
	{name: "PATCH with an operator", method: "PATCH", path: "/rest/things/{thing}", body: `{"$inc":{"n":5}}`, code: 200, shape: `{"_id":"{thing}","n":7,"m":1,` + tail + `2}`},
	{name: "PUT by a header", method: "POST", path: "/rest/things/{thing}", body: `{"m":2}`, headers: []string{"X-HTTP-Method-Override: put"}, code: 200, shape: `{"_id":"{thing}","n":7,"m":2,` + tail + `3}`},
	{name: "POST of a child", method: "POST", path: "/rest/authors/{author}/letters", body: `{"to":"Bob"}`, code: 201, shape: `{"_id":"([0-9a-f]{24})","to":"Bob",` + parent + `,` + tail + `0}`, keep: "letter"},
	{name: "GET of children", method: "GET", path: "/rest/authors/{author}/letters", code: 200, shape: `\[{"_id":"{letter}","to":"Bob",` + parent + `}\]`, has: []string{`X-Pagination: {"total":1,.*}`}},
	{name: "GET of a child", method: "GET", path: "/rest/authors/{author}/letters/{letter}", code: 200, shape: `{"_id":"{letter}","to":"Bob",` + parent + `}`},
	{name: "GET with children", method: "GET", path: "/rest/authors/{author}?fetchchildren=true", code: 200, shape: `{"_id":"{author}","name":"Ann","letters":\[{"_id":"{letter}".*}\]}`},
	{name: "DELETE of a document", method: "DELETE", path: "/rest/things/{thing}", code: 200, shape: `{"result":\["{thing}"\]}`},
	{name: "DELETE by ids", method: "DELETE", path: "/rest/books/*", body: `["00000000000000000000000b","ffffffffffffffffffffffff"]`, code: 200, shape: `{"result":\["00000000000000000000000b"\]}`},
	{name: "DELETE by query", method: "DELETE", path: `/rest/things/*?q={"n":1}`, code: 200, shape: `{"result":\[` + oid + `\]}`},
	{name: "DELETE of what is not said", method: "DELETE", path: "/rest/things/*", code: 400, shape: `{"message":".+","name":"BadRequest","status":400}`},
	{name: "no key", method: "GET", path: "/rest/things", open: true, code: 401, shape: `{"message":".+","name":"Unauthorized","status":401}`},
	{name: "a method that is not served", method: "PUT", path: "/rest/things", body: `{}`, code: 405, shape: `{"message":".+","name":"MethodNotAllowed","status":405}`, has: []string{"Allow: GET, HEAD, POST, OPTIONS"}},
	{name: "no JSON", method: "GET", path: "/rest/things", headers: []string{"Accept: image/png"}, code: 406, shape: `{"message":".+","name":"NotAcceptable","status":406}`},
	{name: "what is reserved", method: "GET", path: "/views/x", code: 404, shape: `{"message":".+","name":"NotFound","status":404}`},

	{name: "POST of /auth/jwt", method: "POST", path: "/auth/jwt", body: `{"secret":"login","audience":"app","expiresIn":"1h","payload":{"email":"ann@example.com"}}`, code: 201, shape: `{"jwt":"[^"]+","refresh":"([0-9a-f]{64})"}`, keep: "refresh"},
	{name: "POST of /auth/token", method: "POST", path: "/auth/token", body: `{"refresh":"{refresh}"}`, code: 201, shape: `{"jwt":"([^"]+)","refresh":"[0-9a-f]{64}"}`, keep: "jwt"},
	{name: "POST of /auth/token without one", method: "POST", path: "/auth/token", body: `{"code":"x"}`, code: 400, shape: `{"message":".+","name":"BadRequest","status":400}`},
	{name: "a user", method: "POST", path: "/rest/users", body: `{"email":"ann@example.com","active":true,"roles":["r"]}`, code: 201, shape: `{"_id":` + oid + `.*}`},
	{name: "GET of /auth/userinfo", method: "GET", path: "/auth/userinfo", open: true, headers: []string{"Authorization: Bearer {jwt}"}, code: 200, shape: `{"_id":` + oid + `,"email":"ann@example.com","active":true,"roles":\["r"\]}`},

	{name: "POST of files", method: "POST", path: "/media", body: "{picture}", headers: []string{"Content-Type: multipart/form-data; boundary=B"}, code: 201, shape: `{"msg":"OK","uploadid":"[0-9a-f]{32}","ids":\["([0-9a-f]{24})"\]}`, keep: "media"},
	{name: "GET of what is known of a file", method: "GET", path: "/media/{media}/meta", code: 200, shape: `\[{"_id":"{media}","_created":` + when + `,"_createdby":"api","app":"default","origname":"a\.png","file":"([0-9a-f]{32}a\.png)","filesize":\d+,"mediatype":"image/png".*}\]`, keep: "file"},
	{name: "the same without a key", method: "GET", path: "/media/{media}/meta", open: true, code: 401, shape: `{"message":".+","name":"Unauthorized","status":401}`},
	{name: "GET of a file", method: "GET", path: "/media/{media}", open: true, code: 200, shape: `[\s\S]PNG[\s\S]*`, has: []string{"Content-Type: image/png", "X-Content-Type-Options: nosniff", "Content-Security-Policy: .*sandbox.*", "Content-Disposition: inline.*", "ETag: .+"}},
	{name: "GET of a file by its name", method: "GET", path: "/media/{file}", open: true, code: 200, shape: `[\s\S]PNG[\s\S]*`},
	{name: "GET of a thumbnail", method: "GET", path: "/media/{media}?s=t", open: true, code: 200, shape: `[\s\S]+`, has: []string{"Content-Type: image/(png|jpeg)"}},
	{name: "GET of the original", method: "GET", path: "/media/{media}?s=o&key=x", open: true, code: 200, shape: `[\s\S]PNG[\s\S]*`},
	{name: "GET of a part", method: "GET", path: "/media/{media}", open: true, headers: []string{"Range: bytes=1-3"}, code: 206, shape: `PNG`, has: []string{`Content-Range: bytes 1-3/\d+`}},
	{name: "DELETE of a file", method: "DELETE", path: "/media/{media}", code: 200, shape: `{"result":\["{media}"\]}`},
	{name: "GET of a file that is gone", method: "GET", path: "/media/{media}", open: true, code: 404, shape: `{"message":".+","name":"NotFound","status":404}`},

	{name: "POST of a mail", method: "POST", path: "/mail", body: `{"to":"bob@example.com","subject":"Hi","html":"<p>x</p>","company":"C","sendername":"S"}`, code: 201, shape: `{"result":\[{"email_outbound_id":"([0-9a-f]{24})"}\],"warning":".+"}`, keep: "mail"},
	{name: "POST of mails as JSON", method: "POST", path: "/mail", body: `[{"to":"bob@example.com","html":"x"},{"to":"cid@example.com","html":"y"}]`, code: 201, shape: `{"result":\[{"email_outbound_id":` + oid + `},{"email_outbound_id":` + oid + `}\].*}`},
	{name: "POST of a mail as a form", method: "POST", path: "/mail", body: "to=bob%40example.com&subject=s&html=x", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, code: 201, shape: `{"result":\[{"email_outbound_id":` + oid + `}\].*}`},
	{name: "POST of a mail to nobody", method: "POST", path: "/mail", body: `{"to":"nobody","html":"x"}`, code: 400, shape: `{"name":"ValidationError","message":"Validation failed","status":400,"list":\[{"field":"to","message":\[".+",".+".*\].*}\]}`},
	{name: "GET of the mail", method: "GET", path: "/rest/email_outbound/{mail}", code: 200, shape: `{"_id":"{mail}",.*"unsubscribelink":"http://[^"]+/mail/unsubscribe/([^"]+)".*}`, keep: "leave"},
	{name: "GET of the mails", method: "GET", path: `/rest/email_outbound?q={"to":"cid@example.com"}`, code: 200, shape: `\[{"_id":.*"status":"queued".*}\]`},
	{name: "GET of the link", method: "GET", path: "/mail/unsubscribe/{leave}", open: true, code: 200, shape: `<!doctype html>[\s\S]*<form method="post">[\s\S]*`, has: []string{"Content-Type: text/html; charset=utf-8"}},
	{name: "POST of the link", method: "POST", path: "/mail/unsubscribe/{leave}", open: true, body: "List-Unsubscribe=One-Click", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, code: 200, shape: `<!doctype html>[\s\S]*`},
	{name: "GET of who wants no mail", method: "GET", path: "/rest/email_unsubscribed", code: 200, shape: `\[{"_id":` + oid + `,"to":"bob@example.com".*}\]`},
	{name: "GET of a link that leads nowhere", method: "GET", path: "/mail/unsubscribe/x", open: true, code: 404, shape: `<!doctype html>[\s\S]*`},

	{name: "POST of an event", method: "POST", path: "/realtime", body: `{"event":"news","data":{"a":1}}`, code: 201, shape: `{"event":"news","data":{"a":1}}`},
	{name: "POST of no event", method: "POST", path: "/realtime", body: `{"data":1}`, code: 400, shape: `{"message":".+","name":"BadRequest","status":400}`},
	{name: "realtime without a key", method: "GET", path: "/realtime", open: true, code: 401, shape: `{"message":".+","name":"Unauthorized","status":401}`},

	{name: "GET of all collections", method: "GET", path: "/rest/_meta", code: 200, shape: `{"collections":\[{"name":"authors","description":"who writes","count":1,"fields":\[{"name":"name","fieldtype":"text","required":true,"unique":false},.*{"name":"email_inbound",.*{"name":"email_outbound",.*{"name":"email_unsubscribed",.*{"name":"system_jobs",.*{"name":"system_log",.*{"name":"users".*\]}`},
	{name: "GET of one of them", method: "GET", path: "/rest/books/_meta", code: 200, shape: `{"name":"books","description":"","count":1,"fields":\[{"name":"title","fieldtype":"text","required":true,"unique":false},.*\]}`},
	{name: "GET of the system's", method: "GET", path: "/rest/system_log/_meta", code: 200, shape: `{"name":"system_log","description":".+","count":0,"fields":\[\]}`},
	{name: "GET of none", method: "GET", path: "/rest/none/_meta", code: 404, shape: `{"message":".+","name":"NotFound","status":404}`},
	{name: "GET of the OpenAPI document", method: "GET", path: "/rest/_swagger.json", code: 200, shape: `{"openapi":"3\.1\.\d+",.*"/rest/books/{id}".*}`},
	{name: "GET of the script", method: "GET", path: "/rest/_jsapi.js?plainjs=true", open: true, code: 200, shape: `[\s\S]*restdb[\s\S]*`, has: []string{"Content-Type: application/javascript; charset=utf-8"}},
	{name: "GET of its help", method: "GET", path: "/rest/_jsapi.doc", code: 200, shape: `<!doctype html>[\s\S]*`, has: []string{"Content-Security-Policy: .*sandbox.*"}},
}

// shelves makes what the contract's lines stand on.
func (w *world) shelves() {
	w.t.Helper()
	w.schema("authors", `{"description":"who writes","fields":[{"name":"name","fieldtype":"text","required":true},
		{"name":"letters","fieldtype":"collection","collection":"letters","relation":"child"}]}`)
	w.schema("letters", `{"fields":[]}`)
	w.schema("books", `{"fields":[{"name":"title","fieldtype":"text","required":true},{"name":"number","fieldtype":"number","autoincrement":true},
		{"name":"author","fieldtype":"collection","collection":"authors","relation":"one"}]}`)
	secret := strings.Repeat("s", 40)
	w.set("jwt.client_id", "app")
	w.set("jwt.client_secret", secret)
	w.set("properties.login", secret)
}

// pictureForm is a form with a picture, whose boundary is B.
func pictureForm(t *testing.T) string {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.SetBoundary("B"); err != nil {
		t.Fatal(err)
	}
	part, err := form.CreateFormFile("any", "a.png")
	if err == nil {
		err = png.Encode(part, image.NewGray(image.Rect(0, 0, 300, 200)))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func TestTheContract(t *testing.T) {
	w := newFollowed(t)
	w.shelves()
	kept := []string{"{picture}", pictureForm(t)}
	for _, l := range contract {
		fill := strings.NewReplacer(kept...)
		headers := []string{}
		for _, h := range l.headers {
			headers = append(headers, fill.Replace(h))
		}
		if !l.open {
			headers = append(headers, withKey)
		}
		if l.body != "" && !strings.Contains(strings.Join(headers, "\n"), "Content-Type: ") {
			headers = append(headers, asJSON)
		}
		a := w.do(l.method, fill.Replace(l.path), fill.Replace(l.body), headers...)
		// What was kept is no pattern.
		shape := regexp.MustCompile(`\A` + fill.Replace(l.shape) + `\z`)
		got := shape.FindStringSubmatch(a.body)
		if a.code != l.code || got == nil {
			t.Fatalf("%s: %s %s: %d %.1000s\nwant %d %s", l.name, l.method, l.path, a.code, a.body, l.code, shape)
		}
		if l.keep != "" {
			kept = append(kept, "{"+l.keep+"}", got[1])
		}
		for _, h := range append(l.has, "X-Content-Type-Options: nosniff", "Covey-Request-Id: .+") {
			name, pattern, _ := strings.Cut(h, ": ")
			if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(a.header.Get(name)) {
				t.Errorf("%s: %s %q, want %s", l.name, name, a.header.Get(name), pattern)
			}
		}
		if strings.HasPrefix(a.body, "{") || strings.HasPrefix(a.body, "[") {
			if kind := a.header.Get("Content-Type"); kind != "application/json; charset=utf-8" || !json.Valid([]byte(a.body)) {
				t.Errorf("%s: JSON of type %q", l.name, kind)
			}
		}
	}
}

// Each place of the API is in the contract's table with each of its methods,
// but for the stream of events, which has a test of its own.
func TestTheContractIsWhole(t *testing.T) {
	seen := map[place]map[string]bool{}
	for _, l := range contract {
		path, _, _ := strings.Cut(strings.NewReplacer("{", "", "}", "").Replace(l.path), "?")
		at, _ := parseTarget(path)
		if seen[at.place] == nil {
			seen[at.place] = map[string]bool{}
		}
		if l.code < 400 {
			seen[at.place][l.method] = true
		}
	}
	seen[atRealtime][http.MethodGet] = true
	for at, to := range routes {
		for method := range to.work {
			if !seen[at][method] {
				t.Errorf("place %d: no line for %s", at, method)
			}
		}
	}
}

// The answers are as the document says that is made for this very database.
func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	w := newFollowed(t)
	w.shelves()
	ann := w.insert("authors", `{"name":"Ann"}`)
	w.insert("books", `{"title":"Emma","author":"`+ann+`"}`)
	served, err := newConformity([]byte(w.get("/rest/_swagger.json").body))
	if err != nil {
		t.Fatal(err)
	}
	judge := func(method, path, body string) []string {
		req, err := http.NewRequest(method, w.srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := w.send(method, path, body)
		return served.judge(req, a.code, a.header, []byte(a.body))
	}
	for _, call := range [][3]string{
		{"GET", "/rest/books", ""}, {"GET", "/rest/books?metafields=true&totals=true", ""}, {"POST", "/rest/books", `[{"title":"x"},{"title":"y"}]`},
		{"POST", "/rest/books", `{}`}, {"GET", "/rest/authors/" + ann + "?fetchchildren=true", ""}, {"POST", "/rest/authors/" + ann + "/letters", `{"to":"Bob"}`},
		{"GET", "/rest/authors/" + ann + "/letters", ""}, {"PUT", "/rest/authors/" + ann, `{}`}, {"GET", "/rest/authors/_meta", ""}, {"GET", "/rest/_meta", ""},
		{"DELETE", "/rest/books/*?q={}", ""}, {"GET", "/rest/books/none", ""},
	} {
		if problems := judge(call[0], call[1], call[2]); len(problems) > 0 {
			t.Errorf("%s %s: %s", call[0], call[1], problems)
		}
	}
	// It is not that anything will do.
	json := http.Header{"Content-Type": jsonType}
	for _, bad := range []struct{ method, path, body string }{
		{"GET", "/rest/books/" + ann, `{"_id":"short"}`}, {"GET", "/rest/books/" + ann, `{"title":7}`}, {"GET", "/rest/books/" + ann, `[]`},
		{"POST", "/rest/none", `7`}, {"GET", "/rest/_meta", `{"collections":[{"name":"x"}]}`}, {"DELETE", "/rest/books/" + ann, `{"result":"x"}`},
	} {
		req, err := http.NewRequest(bad.method, w.srv.URL+bad.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		code := http.StatusOK
		if bad.method == http.MethodPost {
			code = http.StatusCreated
		}
		if len(served.judge(req, code, json, []byte(bad.body))) == 0 {
			t.Errorf("%s %s may answer %s", bad.method, bad.path, bad.body)
		}
	}
}

// The stream of events, as clients read it.
func TestTheContractOfTheStream(t *testing.T) {
	w := newFollowed(t)
	req, err := http.NewRequest("GET", w.srv.URL+"/realtime?apikey="+fullKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("%d %s", resp.StatusCode, got)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func() (name, data string) {
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case field == "event":
				name = value
			case field == "data":
				data = value
			case field == "" && name != "":
				return name, data
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return "", ""
	}
	if name, data := next(); name != "ping" || !regexp.MustCompile(`^`+strings.Trim(when, `"`)+`$`).MatchString(data) {
		t.Fatalf("first %s %s, want a ping", name, data)
	}
	id := w.insert("items", `{"n":1}`)
	w.send("PATCH", "/rest/items/"+id, `{"n":2}`)
	w.send("POST", "/realtime", `{"event":"news","data":[1]}`)
	w.send("DELETE", "/rest/items/"+id, "")
	for _, want := range [][2]string{
		{"post", `{"event":"post","collection":"items","data":{"_id":"` + id + `","n":1}}`},
		{"put", `{"event":"put","collection":"items","data":"` + id + `"}`},
		{"publish", `{"event":"news","data":[1]}`},
		{"delete", `{"event":"delete","collection":"items","data":["` + id + `"]}`},
	} {
		name, data := next()
		for name == "ping" {
			name, data = next()
		}
		if name != want[0] || data != want[1] {
			t.Errorf("%s %s\nwant %s %s", name, data, want[0], want[1])
		}
	}
}

// Who sees what of the descriptions.
func TestDescriptionsShowWhatTheCallerMayRead(t *testing.T) {
	w := newWorld(t)
	w.shelves()
	w.insert("things", `{}`)
	w.insert("users", `{"email":"ann@example.com","active":true,"roles":["r"]}`)
	names := func(a response) string {
		t.Helper()
		var all catalog
		if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.code != 200 {
			t.Fatalf("%d %s (%v)", a.code, a.body, err)
		}
		var list []string
		for _, c := range all.Collections {
			list = append(list, c.Name)
		}
		return strings.Join(list, " ")
	}
	web := func(paths ...string) string {
		return "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: paths, Methods: []string{"GET"}, Origins: []string{"*"}})
	}
	for _, tt := range []struct{ key, want string }{
		{withKey, "authors books email_inbound email_outbound email_unsubscribed letters system_jobs system_log things users"},
		{web("_meta", "books", "system_log", "things/*"), "books system_log"},
		{web("_meta"), ""},
	} {
		if got := names(w.do("GET", "/rest/_meta", "", tt.key)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	w.fails(403, "Forbidden", w.do("GET", "/rest/_meta", "", web("books")))
	w.fails(403, "Forbidden", w.do("GET", "/rest/things/_meta", "", web("books", "_meta")))
	if a := w.do("GET", "/rest/books/_meta", "", web("books")); a.code != 200 {
		t.Errorf("a key for the collection: %d %s", a.code, a.body)
	}
	if a := w.do("GET", "/rest/_swagger.json", "", web("_swagger", "authors")); strings.Contains(a.body, "books") || !strings.Contains(a.body, "/rest/authors") {
		t.Errorf("the document for a key of authors: %d %.300s", a.code, a.body)
	}
}
