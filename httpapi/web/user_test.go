package web

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestUsersAreCountedWhereverTheyComeFrom(t *testing.T) {
	l := NewLimiter(Limits{{N: 2, Window: time.Minute}}, 10)
	now := time.Unix(1000, 0)
	for i, want := range []bool{true, true, false} {
		if v := l.TakeUser(7, now); v.OK != want {
			t.Errorf("request %d of user 7: passes: %v", i, v.OK)
		}
	}
	if !l.TakeUser(8, now).OK || !l.Take(netip.MustParseAddr("10.0.0.7"), now).OK || !l.Take(netip.Addr{}, now).OK {
		t.Error("one user's limit is another client's")
	}
}

func TestLimitHeadersInBothSpellings(t *testing.T) {
	l := NewLimiter(Limits{{N: 1, Window: time.Minute}}, 10)
	now := time.Unix(1000, 0)
	l.TakeUser(1, now)
	refused := l.TakeUser(1, now)
	common, exact := http.Header{}, http.Header{}
	refused.SetHeaders(common, now)
	refused.SetExactHeaders(exact, now)
	for name, want := range map[string]string{"imit-Limit": "1", "imit-Remaining": "0", "imit-Reset": "1060"} {
		if got := common["X-Ratel"+name]; len(got) != 1 || got[0] != want {
			t.Errorf("X-Ratel%s: %q, want %s", name, got, want)
		}
		if got := exact["X-RateL"+name]; len(got) != 1 || got[0] != want {
			t.Errorf("X-RateL%s: %q, want %s", name, got, want)
		}
	}
	if exact.Get("Retry-After") != "60" {
		t.Errorf("Retry-After: %q", exact.Get("Retry-After"))
	}
}

func TestBaseBelievesProxiesOnly(t *testing.T) {
	trusted, err := ParseProxies("10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, peer, proto string
		tls               bool
		want              string
	}{
		{"plain", "10.0.0.9:1", "", false, "http://covey.test"},
		{"TLS", "10.0.0.9:1", "", true, "https://covey.test"},
		{"a stranger's word", "10.0.0.9:1", "https", false, "http://covey.test"},
		{"a proxy's word", "10.0.0.1:1", "HTTPS", false, "https://covey.test"},
		{"a proxy without a word", "10.0.0.1:1", "", false, "http://covey.test"},
		{"no address", "@", "https", false, "http://covey.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://covey.test/x", nil)
			r.RemoteAddr = tt.peer
			r.Header.Set("X-Forwarded-Proto", tt.proto)
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := trusted.Base(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
