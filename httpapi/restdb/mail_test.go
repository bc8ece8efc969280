package restdb

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/layer/collection"
)

// withRelay is a world whose cluster has a mail relay.
func withRelay(s *settings) { s.api.MailFrom = "shop@example.com" }

// mail posts a mail, and returns the ids and the warning of the answer.
func (w *world) mail(body string, headers ...string) (ids []string, warning string) {
	w.t.Helper()
	a := w.send("POST", "/mail", body, headers...)
	var answer struct {
		Result []struct {
			ID string `json:"email_outbound_id"`
		}
		Warning string
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || a.code != 201 {
		w.t.Fatalf("POST /mail: %d %s (%v)", a.code, a.body, err)
	}
	for _, r := range answer.Result {
		ids = append(ids, r.ID)
	}
	return ids, answer.Warning
}

// waiting returns how many mails wait to be sent.
func (w *world) waiting() int {
	w.t.Helper()
	var q outbox.QueueInfo
	if _, err := w.store.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		q, err = outbox.Queue(tx, collection.MailQueue(collection.DefaultDatabase))
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return q.Pending
}

func TestAMailIsADocument(t *testing.T) {
	w := newWorld(t, withRelay)
	a := w.send("POST", "/mail", `{"to":"ann@x.org","subject":"Hi","html":"<p>1</p>","company":"Shop","sendername":"The Shop"}`)
	if a.code != 201 || !regexp.MustCompile(`^\{"result":\[\{"email_outbound_id":"[0-9a-f]{24}"\}\]\}$`).MatchString(a.body) || a.header.Get("Covey-Version") == "" {
		t.Fatalf("POST /mail: %d %s", a.code, a.body)
	}
	id := a.body[33:57]
	got := w.get("/rest/email_outbound/" + id)
	want := `{"_id":"` + id + `","to":"ann@x.org","status":"queued","transport":"restdb_mailer","from":"shop@example.com","subject":"Hi","company":"Shop",` +
		`"sendername":"The Shop","unsubscribelink":"LINK","_dbname":"default","track":false,"body":"<p>1</p>","tracking-status":"queued","tracking-date":"DATE"}`
	body := regexp.MustCompile(`"unsubscribelink":"[^"]*"`).ReplaceAllString(got.body, `"unsubscribelink":"LINK"`)
	body = regexp.MustCompile(`"tracking-date":"[^"]*Z"`).ReplaceAllString(body, `"tracking-date":"DATE"`)
	if got.code != 200 || body != want {
		t.Errorf("got  %d %s\nwant %s", got.code, body, want)
	}
	if n := w.waiting(); n != 1 {
		t.Errorf("%d mails wait", n)
	}
}

func TestMailsInBulkAndAsForms(t *testing.T) {
	w := newWorld(t)
	ids, warning := w.mail(`[{"to":["a@x.org","b@x.org"],"html":"1"},{"to":"c@x.org","html":{"body":"2"},"cc":"d@x.org"}]`)
	if len(ids) != 3 || warning != "left out: cc; queued: this cluster has no mail relay" {
		t.Errorf("%v, warning %q", ids, warning)
	}
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded": "to=e@x.org&subject=a+b&html=%3Cp%3E",
		"multipart/form-data; boundary=B": "--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\ne@x.org\r\n" +
			"--B\r\nContent-Disposition: form-data; name=\"html\"\r\n\r\n<p>\r\n--B--\r\n",
	} {
		if a := w.do("POST", "/mail/", body, withKey, "Content-Type: "+kind); a.code != 201 {
			t.Errorf("%s: %d %s", kind, a.code, a.body)
		}
	}
	list := w.get(`/rest/email_outbound?h={"$fields":{"to":1,"body":1,"_id":0}}`)
	if n := strings.Count(list.body, `"body"`); n != 5 || !strings.Contains(list.body, `{"to":"e@x.org","body":"<p>"}`) {
		t.Errorf("%d mails: %s", n, list.body)
	}
}

func TestABadMailIsTold(t *testing.T) {
	w := newWorld(t, withRelay)
	a := w.send("POST", "/mail", `[{"to":"a@x.org","html":"1"},{"to":"nobody","html":"1"}]`)
	w.fails(400, "ValidationError", a)
	want := `{"name":"ValidationError","message":"Validation failed","status":400,"list":[{"field":"to","message":["not an e-mail address: \"nobody\"","TYPE","email"],"index":1}]}`
	w.is(400, want, a)
	w.fails(400, "ValidationError", w.send("POST", "/mail", `{"to":"a@x.org\r\nBcc: b@x.org","html":"1"}`))
	w.fails(400, "ValidationError", w.send("POST", "/mail", `{"to":"a@x.org","subject":"x\nBcc: b@x.org","html":"1"}`))
	w.fails(400, "ValidationError", w.send("POST", "/mail", `{"to":"a@x.org","template":"none","html":{}}`))
	w.fails(400, "BadRequest", w.send("POST", "/mail", `"x"`))
	w.fails(400, "BadRequest", w.send("POST", "/mail", `{"html":"1","to":[`+strings.Repeat(`"a@x.org",`, 1000)+`"b@x.org"]}`))
	w.fails(400, "BadRequest", w.send("POST", "/mail", `{"to":"a@x.org","html":"1"}`, "If-Match: 1"))
	w.fails(413, "TooLarge", w.send("POST", "/mail", `{"to":"a@x.org","html":"`+strings.Repeat("x", 17<<20)+`"}`))
	w.fails(405, "MethodNotAllowed", w.get("/mail"))
	w.fails(404, "NotFound", w.get("/mail/other"))
	w.is(200, "[]", w.get("/rest/email_outbound"))
	if n := w.waiting(); n != 0 {
		t.Errorf("%d mails wait", n)
	}
}

func TestWhoMaySendMails(t *testing.T) {
	w := newWorld(t, withRelay)
	const body = `{"to":"a@x.org","html":"1"}`
	page := "Origin: https://app.example.com"
	key := func(change func(*collection.KeySpec)) string {
		spec := collection.KeySpec{Web: true, Paths: []string{"_mail"}, Methods: []string{"POST"}, Origins: []string{"app.example.com"}}
		change(&spec)
		return "x-apikey: " + w.key(spec)
	}
	for name, tt := range map[string]struct {
		header string
		code   int
	}{
		"a web key for mails":     {key(func(*collection.KeySpec) {}), 201},
		"for everything":          {key(func(s *collection.KeySpec) { s.Paths = []string{"**"} }), 201},
		"for another path":        {key(func(s *collection.KeySpec) { s.Paths = []string{"items", "email_outbound"} }), 403},
		"to read":                 {key(func(s *collection.KeySpec) { s.Methods = []string{"GET"} }), 403},
		"read-only, full":         {key(func(s *collection.KeySpec) { *s = collection.KeySpec{ReadOnly: true} }), 403},
		"a full key":              {key(func(s *collection.KeySpec) { *s = collection.KeySpec{} }), 201},
		"no key":                  {"X-Nothing: 1", 401},
		"a wrong key":             {"x-apikey: " + strings.Repeat("0", 24), 401},
		"the configured full key": {withKey, 201},
	} {
		if a := w.do("POST", "/mail", body, tt.header, page, asJSON); a.code != tt.code {
			t.Errorf("%s: %d %s, want %d", name, a.code, a.body, tt.code)
		}
	}
	// A key for mails reads none of them.
	w.fails(403, "Forbidden", w.do("GET", "/rest/email_outbound", "", key(func(*collection.KeySpec) {}), page))
}

func TestUsersSendMailsByTheirRole(t *testing.T) {
	w := newWorld(t, withRelay)
	const secret = "0123456789abcdef0123456789abcdef"
	w.set("jwt.client_id", "client")
	w.set("jwt.client_secret", secret)
	w.set("properties.app.key", secret)
	w.insert("users", `{"email":"ann@x.org","roles":["clerk"],"active":true}`)
	a := w.send("POST", "/auth/jwt", `{"secret":"app.key","audience":"client","payload":{"email":"ann@x.org"}}`)
	token, _, _ := strings.Cut(strings.TrimPrefix(a.body, `{"jwt":"`), `"`)
	ann := "Authorization: Bearer " + token
	const body = `{"to":"a@x.org","html":"1"}`
	w.fails(403, "Forbidden", w.do("POST", "/mail", body, ann, asJSON))
	w.mail(body) // makes the collection
	w.fails(403, "Forbidden", w.do("POST", "/mail", body, ann, asJSON))
	w.update(func(tx *kv.Tx) error {
		return w.layer.SetRoles(tx, collection.DefaultDatabase, collection.EmailOutbound, &collection.Roles{Create: []string{"clerk"}})
	})
	if a := w.do("POST", "/mail", body, ann, asJSON); a.code != 201 {
		t.Errorf("with the role: %d %s", a.code, a.body)
	}
	if list := w.get(`/rest/email_outbound?metafields=true&q={"_createdby":"ann@x.org"}`); strings.Count(list.body, `"status"`) != 1 {
		t.Errorf("hers: %s", list.body)
	}
}

func TestARepeatedMailIsSentOnce(t *testing.T) {
	w := newWorld(t, withRelay)
	const body = `{"to":["a@x.org","b@x.org"],"html":"1"}`
	first, _ := w.mail(body, sameKey)
	w.store.Advance(5e9)
	again, _ := w.mail(body, sameKey)
	if fmt.Sprint(first) != fmt.Sprint(again) || w.waiting() != 2 {
		t.Errorf("%v, then %v; %d mails wait", first, again, w.waiting())
	}
	w.store.LoseNext(1)
	lost := w.send("POST", "/mail", body, "Idempotency-Key: fedcba9876543210")
	w.fails(504, "UnknownOutcome", lost)
	if ids, _ := w.mail(body, "Idempotency-Key: fedcba9876543210"); len(ids) != 2 || w.waiting() != 4 {
		t.Errorf("%v; %d mails wait", ids, w.waiting())
	}
}

func TestMailCollectionsNeedNobodyToMakeThem(t *testing.T) {
	w := newWorld(t, withRelay, func(s *settings) { s.layer.NoAutoCreate = true })
	for _, name := range []string{"email_outbound", "email_inbound", "email_unsubscribed", "email_templates"} {
		w.is(200, "[]", w.get("/rest/"+name))
	}
	w.fails(404, "NotFound", w.send("POST", "/rest/items", `{}`))
	w.insert("email_unsubscribed", `{"to":"Ann@X.org"}`)
	if list := w.get("/rest/email_unsubscribed"); !strings.Contains(list.body, `"to":"ann@x.org"`) {
		t.Errorf("unsubscribed: %s", list.body)
	}
	w.insert("email_templates", `{"name":"hi","subject":"Hi {{name}}","html":"<p>{{name}}</p>"}`)
	w.mail(`{"to":"a@x.org","template":"hi","html":{"name":"<Bob>"}}`)
	if list := w.get("/rest/email_outbound"); !strings.Contains(list.body, `"subject":"Hi <Bob>"`) || !strings.Contains(list.body, `"body":"<p>&lt;Bob&gt;</p>"`) {
		t.Errorf("the mail: %s", list.body)
	}
}

func TestUnsubscribeByTheLinkOfAMail(t *testing.T) {
	w := newWorld(t, withRelay)
	w.mail(`{"to":"O'Neil&Co@x.org","html":"1"}`)
	var docs []struct{ Unsubscribelink string }
	if err := json.Unmarshal([]byte(w.get("/rest/email_outbound").body), &docs); err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(docs[0].Unsubscribelink)
	if err != nil || "http://"+link.Host != w.srv.URL || !regexp.MustCompile(`^/mail/unsubscribe/[0-9a-f]{64}$`).MatchString(link.Path) {
		t.Fatalf("link %s %v", docs[0].Unsubscribelink, err)
	}
	page := func(code int, text string, a response) {
		t.Helper()
		if a.code != code || !strings.Contains(a.body, text) || a.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("got %d %s %v, want %d with %s", a.code, a.body, a.header, code, text)
		}
	}
	for range 2 { // to look is not to leave
		page(200, "Shall <b>O&#39;Neil&amp;Co@x.org</b> get no more", w.do("GET", link.Path, ""))
	}
	if a := w.do("HEAD", link.Path, ""); a.code != 200 || a.body != "" {
		t.Errorf("HEAD: %d %s", a.code, a.body)
	}
	w.is(200, "[]", w.get("/rest/email_unsubscribed"))
	form := "Content-Type: application/x-www-form-urlencoded"
	for range 2 {
		page(200, "gets no more mails", w.do("POST", link.Path, "List-Unsubscribe=One-Click", form))
	}
	page(200, "gets no more mails", w.do("GET", link.Path, ""))
	if list := w.get("/rest/email_unsubscribed"); strings.Count(list.body, "_id") != 1 || !strings.Contains(list.body, `"to":"o'neil&co@x.org"`) {
		t.Errorf("unsubscribed: %s", list.body)
	}
	page(404, "not valid", w.do("GET", "/mail/unsubscribe/"+strings.Repeat("0", 64), ""))
	page(404, "not valid", w.do("POST", "/mail/unsubscribe/x", "List-Unsubscribe=One-Click", form))
	w.fails(405, "MethodNotAllowed", w.send("DELETE", link.Path, ""))
}

// A proxy that ends TLS says so, but only one that the operator trusts.
func TestLinksBehindAProxy(t *testing.T) {
	trusted, err := web.ParseProxies("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		proxies web.Proxies
		said    string
		want    string
	}{
		"trusted, with TLS":    {trusted, "https", "https://"},
		"trusted, without TLS": {trusted, "http", "http://"},
		"trusted, says a list": {trusted, "https, http", "http://"},
		"not trusted":          {nil, "https", "http://"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withRelay, func(s *settings) { s.api.Proxies = tt.proxies })
			w.mail(`{"to":"a@x.org","html":"1"}`, "X-Forwarded-Proto: "+tt.said)
			if a := w.get("/rest/email_outbound"); !strings.Contains(a.body, `"unsubscribelink":"`+tt.want) {
				t.Errorf("got %s", a.body)
			}
		})
	}
}
