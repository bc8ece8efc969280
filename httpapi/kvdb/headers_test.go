package kvdb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv/kvtest"
)

// Sections 5 to 7 of the contract: headers, CORS, rate limits.

func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret")
	for _, req := range [][3]string{
		{"POST", "/", ""}, {"GET", "/", ""}, {"PUT", "/" + id + "/k", "v"}, {"GET", "/" + id + "/k", ""}, {"HEAD", "/" + id + "/k", ""}, {"PATCH", "/" + id + "/n", "1"},
		{"DELETE", "/" + id + "/k", ""}, {"GET", "/" + id + "/k", ""}, {"GET", "/" + id, ""}, {"BREW", "/" + id, ""}, {"GET", "/nobucket", ""}, {"OPTIONS", "/", ""}, {"PUT", "/" + id + "/k?ttl=x", ""},
	} {
		a := w.do(req[0], req[1], req[2])
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      "*",
			"Access-Control-Allow-Methods":     "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
			"Access-Control-Allow-Credentials": "",
			"Cache-Control":                    "no-store",
			"X-Content-Type-Options":           "nosniff",
			"X-Ratelimit-Limit":                "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s %s (%d): %s is %q, want %q", req[0], req[1], a.code, name, got, want)
			}
		}
		for name, parts := range map[string][]string{
			"Access-Control-Allow-Headers":  {"Authorization", "Content-Type", "Accept", "Cache-Control", "Last-Event-ID", "Idempotency-Key", "If-Match", "If-None-Match"},
			"Access-Control-Expose-Headers": {"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "ETag", "Covey-Version", "Covey-Reason"},
		} {
			for _, part := range parts {
				if !strings.Contains(a.header.Get(name), part) {
					t.Errorf("%s %s: %s lacks %s", req[0], req[1], name, part)
				}
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "read_key", "x", "write_key", "y")
	for _, path := range []string{"/", "/" + id, "/" + id + "/k", "/nobucket/k", "/%2e%2e/%ff"} {
		w.want(204, "", "OPTIONS", path, "", "Origin: https://example.com", "Access-Control-Request-Method: PUT")
	}
}

func TestRateLimit(t *testing.T) {
	limits, err := web.ParseLimits("document", "3 per hour, 2 per minute")
	if err != nil {
		t.Fatal(err)
	}
	var store *kvtest.Store
	proxies, _ := web.ParseProxies("127.0.0.1, ::1")
	w := newWorld(t, func(s *settings) {
		s.api.RateLimits, s.api.Proxies = limits, proxies
		s.api.Now = func() time.Time { return time.UnixMilli(store.Now()) }
	})
	store = w.store
	check := func(a response, limit, remaining, reset int) {
		t.Helper()
		for name, want := range map[string]int{"X-Ratelimit-Limit": limit, "X-Ratelimit-Remaining": remaining, "X-Ratelimit-Reset": kvtest.Start/1000 + reset} {
			if got := a.header.Get(name); got != fmt.Sprint(want) {
				t.Errorf("%s is %q, want %d", name, got, want)
			}
		}
	}
	check(w.do("POST", "/", ""), 2, 1, 60)
	check(w.refused(404, "GET", "/nobucket/k", ""), 2, 0, 60)
	a := w.refused(429, "BREW", "/nobucket/k", "")
	check(a, 2, 0, 60)
	if a.header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	check(w.want(204, "", "OPTIONS", "/x", ""), 2, 0, 60) // shown, not counted, not limited
	w.refused(404, "GET", "/nobucket/k", "", "X-Forwarded-For: 203.0.113.9")
	w.store.Advance(time.Minute)
	check(w.refused(405, "PUT", "/", ""), 3, 0, 3600)
	check(w.refused(429, "GET", "/", ""), 3, 0, 3600)
	w.store.Advance(time.Hour)
	w.refused(405, "PUT", "/", "")
}
