package keynest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
)

// rateLimits are limits as an operator writes them: on all requests, and on
// login, registration and change of password.
func rateLimits(t testing.TB, all, entry string) (l RateLimits) {
	t.Helper()
	var err error
	if l.User, l.Anonymous, err = ParseRateLimit(all); err != nil {
		t.Fatal(err)
	}
	if l.Entry, err = web.ParseLimits(entry, DefaultEntryLimit); err != nil {
		t.Fatal(err)
	}
	return l
}

func limitedWorld(t *testing.T, all, entry string) *world {
	t.Helper()
	return newWorld(t, func(s *settings) { s.api.RateLimits = rateLimits(t, all, entry) })
}

// state is what the headers tell of a limit: limit, remaining, reset in seconds
// from now, and Retry-After.
func (w *world) state(a response) string {
	h := a.header
	if h.Get("X-Ratelimit-Limit") == "" {
		return "none"
	}
	var reset int64
	_, _ = fmt.Sscan(h.Get("X-Ratelimit-Reset"), &reset)
	text := fmt.Sprintf("%s %s %d", h.Get("X-Ratelimit-Limit"), h.Get("X-Ratelimit-Remaining"), reset-w.store.Now()/1000)
	if retry := h.Get("Retry-After"); retry != "" {
		text += " retry " + retry
	}
	return text
}

func (w *world) over(seconds int, a response) {
	w.t.Helper()
	w.faulty(429, "RATE_LIMITED", "Rate limit exceeded", fmt.Sprintf(`"Too many requests. Try again in %d seconds."`, seconds), a)
	if got := a.header.Get("Retry-After"); got != fmt.Sprint(seconds) {
		w.t.Errorf("Retry-After %q, want %d", got, seconds)
	}
}

func TestEntryLimit(t *testing.T) {
	w := limitedWorld(t, "off", DefaultEntryLimit)
	token := w.register("ann")
	wrong := `{"email":"ann@example.com","password":"wrong-horse-7"}`
	for i, a := range []response{
		w.send("", "POST", "/api/auth/login/", wrong), w.send("", "POST", "/api/auth/register/", `{`),
		w.send("00", "POST", "/api/auth/login", wrong), w.send("", "POST", "/api/auth/login/", wrong),
	} {
		if got, want := w.state(a), fmt.Sprintf("5 %d 60", 3-i); got != want || a.code >= 402 {
			t.Errorf("%d: %d, %s, want %s", i, a.code, got, want)
		}
	}
	before := w.store.Commits()
	w.over(60, w.send("", "POST", "/api/auth/login/", fmt.Sprintf(`{"email":"ann@example.com","password":%q}`, password)))
	w.over(60, w.send("", "POST", "/api/auth/register/", `{}`))
	w.over(60, w.send(token, "POST", "/api/auth/password/", `{"current_password":"a guess"}`))
	if w.store.Commits() != before {
		t.Error("what is refused commits")
	}
	for _, a := range []response{w.get(token, "/api/auth/profile/"), w.get("", "/health/"), w.do("OPTIONS", "/api/auth/login/", "")} {
		if got := w.state(a); a.code != 200 || got != "none" {
			t.Errorf("what is not limited: %d, %s", a.code, got)
		}
	}
	w.store.Advance(59500 * time.Millisecond)
	w.over(1, w.send("", "POST", "/api/auth/login/", wrong))
	w.store.Advance(500 * time.Millisecond)
	if a := w.send("", "POST", "/api/auth/login/", wrong); w.state(a) != "5 4 60" || a.code != 401 {
		t.Errorf("the next minute: %d, %s", a.code, w.state(a))
	}
}

// The document's preset: users and strangers, and a minute and an hour, each
// with a count of its own.
func TestDocumentLimits(t *testing.T) {
	w := limitedWorld(t, "document", "off")
	token := w.register("ann") // a stranger's first request
	for i := range 50 {
		if a := w.get(token, "/api/auth/profile/"); w.state(a) != fmt.Sprintf("50 %d 60", 49-i) || a.code != 200 {
			t.Fatalf("%d: %d, %s", i, a.code, w.state(a))
		}
	}
	w.over(60, w.get(token, "/api/auth/profile/"))
	w.over(60, w.send(token, "POST", "/api/auth/login/", `{`)) // he is known there too
	w.over(60, w.send(token, "BREW", "/api/organizations/", ``))
	if a := w.get("", "/api/auth/profile/"); a.code != 401 || w.state(a) != "50 48 60" {
		t.Errorf("a stranger: %d, %s", a.code, w.state(a))
	}
	if a := w.get("00", "/api/auth/profile/"); a.code != 401 || w.state(a) != "50 47 60" { // nobody's token
		t.Errorf("nobody's token: %d, %s", a.code, w.state(a))
	}
	if a := w.do("GET", "/api/auth/profile/", "", "Authorization: Token"); a.code != 401 || w.state(a) != "50 46 60" {
		t.Errorf("no token: %d, %s", a.code, w.state(a))
	}
	if a := w.get("", "/health/"); a.code != 200 || w.state(a) != "none" {
		t.Errorf("health: %d, %s", a.code, w.state(a))
	}
	w.store.Advance(time.Minute)
	if a := w.get(token, "/api/auth/profile/"); a.code != 200 || w.state(a) != "50 49 60" {
		t.Errorf("the next minute: %d, %s", a.code, w.state(a))
	}
}

func TestSeveralWindows(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	l := rateLimits(t, "3 per hour, 2 per minute", "1 per 10 seconds")
	w.serve(func(s *settings) { s.api.RateLimits = l })
	expect := func(want string, a response) {
		t.Helper()
		if got := w.state(a); got != want {
			t.Errorf("%d: %s, want %s", a.code, got, want)
		}
	}
	expect("2 1 60", w.get(token, "/api/auth/profile/"))
	expect("2 0 60", w.get(token, "/api/auth/profile/"))
	expect("2 0 60 retry 60", w.get(token, "/api/auth/profile/"))
	w.store.Advance(time.Minute)
	expect("3 0 3540", w.get(token, "/api/auth/profile/"))
	expect("3 0 3540 retry 3540", w.get(token, "/api/auth/profile/"))

	expect("1 0 10", w.send("", "POST", "/api/auth/login/", `{`)) // the tightest of all
	expect("1 0 10 retry 10", w.send("", "POST", "/api/auth/login/", `{`))
	expect("2 0 60 retry 60", w.send("", "POST", "/api/auth/login/", `{`)) // what lasts longest
	w.store.Advance(11 * time.Second)
	expect("2 0 49 retry 49", w.send("", "POST", "/api/auth/login/", `{`))
}

// A client is its own address, or the one that a proxy of ours gives it. What
// others write into the header is nobody's address.
func TestLimitsBehindProxies(t *testing.T) {
	proxies, err := web.ParseProxies("127.0.0.0/8, ::1, 10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l := rateLimits(t, "off", "1 per minute")
	w := newWorld(t, func(s *settings) { s.api.RateLimits, s.api.Proxies = l, proxies })
	login := func(headers ...string) int { return w.send("", "POST", "/api/auth/login/", `{`, headers...).code }
	for _, tt := range []struct {
		header string
		code   int
	}{
		{"X-Forwarded-For: 192.0.2.1", 400}, {"X-Forwarded-For: 192.0.2.1", 429}, {"X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.0.0.1", 429},
		{"X-Forwarded-For: 192.0.2.2", 400}, {"X-Real-Ip: 192.0.2.3", 400}, {"X-Real-Ip: 192.0.2.3", 429},
		{"X-Forwarded-For: 2001:db8::1", 400}, {"X-Forwarded-For: 2001:db8::2", 429}, // one site
	} {
		if got := login(tt.header); got != tt.code {
			t.Errorf("%s: %d, want %d", tt.header, got, tt.code)
		}
	}
	w.serve(func(s *settings) { s.api.RateLimits = l })
	for i, code := range []int{400, 429, 429} {
		if got := login(fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i)); got != code {
			t.Errorf("a client that calls itself a proxy: %d, want %d", got, code)
		}
	}
}

func TestTheAuditLogKnowsTheClientsAddress(t *testing.T) {
	proxies, err := web.ParseProxies("127.0.0.0/8, ::1")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *settings) { s.api.Proxies = proxies })
	token := w.register("ann")
	w.send(token, "POST", "/api/organizations/", `{"name":"Acme"}`, "X-Forwarded-For: 192.0.2.1")
	w.serve()
	w.send(token, "POST", "/api/organizations/", `{"name":"Other"}`, "X-Forwarded-For: 192.0.2.2")
	var v struct {
		Results []struct {
			IP string `json:"ip_address"`
		}
	}
	w.read(200, w.get(token, "/api/audit-logs/?action=organization_created"), &v)
	if len(v.Results) != 3 || v.Results[0].IP != "127.0.0.1" && v.Results[0].IP != "::1" || v.Results[1].IP != "192.0.2.1" {
		t.Errorf("%v", v.Results)
	}
}

// The headers are spelled to the letter as the document has them.
func TestSpellingOfLimitHeaders(t *testing.T) {
	w := limitedWorld(t, "document", "off")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /api/organizations/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\r\nX-RateLimit-Limit: 50\r\n", "\r\nX-RateLimit-Remaining: 49\r\n", "\r\nX-RateLimit-Reset: 1700000060\r\n"} {
		if !strings.Contains(string(answer), line) {
			t.Errorf("no %q in %q", line, answer)
		}
	}
}

func TestParseRateLimit(t *testing.T) {
	for text, want := range map[string][2]string{
		"document": {documentUser, documentAnonymous}, "off": {"off", "off"}, "": {"off", "off"}, "5/hour, 1 per minute": {"5 per hour, 1 per minute", "5 per hour, 1 per minute"},
	} {
		user, anonymous, err := ParseRateLimit(text)
		if got := [2]string{user.String(), anonymous.String()}; err != nil || got != want {
			t.Errorf("%q: %v, want %v (%v)", text, got, want, err)
		}
	}
	for _, bad := range []string{"many", "0 per minute", "1 per fortnight"} {
		if user, _, err := ParseRateLimit(bad); err == nil {
			t.Errorf("%q is %v", bad, user)
		}
	}
	if l := rateLimits(t, "off", "document").Entry; l.String() != DefaultEntryLimit {
		t.Errorf("login and registration: %v", l)
	}
}
