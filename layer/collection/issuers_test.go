package collection

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"code.dny.dev/ssrf"

	"github.com/coveydb/covey/internal/dial"
	"github.com/coveydb/covey/internal/errs"
)

// issuerServer serves what answer says and counts the requests.
type issuerServer struct {
	*httptest.Server
	hits   atomic.Int32
	answer atomic.Pointer[http.HandlerFunc]
}

func newIssuerServer(t *testing.T, answer http.HandlerFunc) *issuerServer {
	s := &issuerServer{}
	s.answer.Store(&answer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func serve(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }
}

func TestTokensOfAnIssuerByURL(t *testing.T) {
	server := newIssuerServer(t, serve(jwks("k1", &rsaKey().PublicKey)))
	g := newGate(t)
	g.tokens(server.URL)
	for range 3 {
		if _, err := g.verify(rs256(t, "k1", good(nil))); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.hits.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
	for range 3 {
		_, err := g.verify(rs256(t, "invented", good(nil)))
		wantKind(t, err, errs.Unauthenticated)
	}
	if n := server.hits.Load(); n != 1 {
		t.Errorf("invented key ids made %d requests of 1", n)
	}
}

func TestKeysOfAnIssuer(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	key := &rsaKey().PublicKey
	server := newIssuerServer(t, serve(jwks("k1", key)))
	s := newIssuers(nil, true)
	find := func(id string, after time.Duration) (*rsa.PublicKey, errs.Kind) {
		t.Helper()
		k, err := s.find(t.Context(), server.URL, id, start.Add(after))
		if err == nil {
			return k, errs.Internal
		}
		return k, errs.KindOf(err)
	}
	want := func(id string, after time.Duration, kind errs.Kind, hits int32) {
		t.Helper()
		k, got := find(id, after)
		if got != kind || (k != nil) != (kind == errs.Internal) {
			t.Errorf("%s after %v: %v, want %v", id, after, got, kind)
		}
		if n := server.hits.Load(); n != hits {
			t.Errorf("%s after %v: %d requests, want %d", id, after, n, hits)
		}
	}
	const ok = errs.Internal
	want("k1", 0, ok, 1)
	want("", 0, ok, 1)
	want("k2", time.Second, errs.Unauthenticated, 1) // too soon to ask again
	second := serve(jwks("k2", key))
	server.answer.Store(&second)
	want("k2", askAgain, ok, 2) // rotated
	want("k1", askAgain+1, errs.Unauthenticated, 2)
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server.answer.Store(&broken)
	want("k2", askAgain+keepKeys, ok, 2)
	want("k2", askAgain+keepKeys+1, ok, 3) // asked again in vain: the old ones do
	want("k2", askAgain+keepKeys+2, ok, 3)
	want("k2", askAgain+outliveKeys, ok, 4)
	want("k2", 2*askAgain+outliveKeys+1, errs.Unavailable, 5) // but not for ever
	server.answer.Store(&second)
	want("k2", 2*askAgain+outliveKeys+2, errs.Unavailable, 5)
	want("k2", 3*askAgain+outliveKeys+1, ok, 6)
}

func TestAnswersOfIssuersThatAreRefused(t *testing.T) {
	key := &rsaKey().PublicKey
	for name, answer := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, jwks("k1", key), http.StatusNotFound) },
		"no JSON":    serve("<html>"),
		"a huge set": serve(strings.Replace(jwks("k1", key), "{", "{"+strings.Repeat(" ", maxKeySet), 1)),
		"no end":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) },
		"a file": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newIssuerServer(t, answer)
			_, err := newIssuers(nil, true).find(t.Context(), server.URL+"/", "k1", time.Unix(1, 0))
			wantKind(t, err, errs.Unavailable)
			if n := server.hits.Load(); n > maxRedirects+1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	server := newIssuerServer(t, serve(jwks("k1", &rsaKey().PublicKey)))
	guarded := newIssuers(dial.Guard(false), true) // plain, so that only the guard is in the way
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "169.254.169.254"} {
		_, err := guarded.find(t.Context(), "http://"+host+":"+port+"/", "k1", time.Unix(1, 0))
		wantKind(t, err, errs.Unavailable)
	}
	if n := server.hits.Load(); n != 0 {
		t.Errorf("%d requests reached a private address", n)
	}
	if _, err := newIssuers(dial.Guard(true), true).find(t.Context(), server.URL, "k1", time.Unix(1, 0)); err != nil {
		t.Errorf("allowed, and yet: %v", err)
	}
}

// A public issuer may redirect to a private address: the guard looks at that
// too. Here one loopback address plays the public one.
func TestARedirectToAPrivateAddress(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("there is no second loopback address:", err)
	}
	var reached atomic.Int32
	secret := &httptest.Server{Listener: inner, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		serve(jwks("k1", &rsaKey().PublicKey))(w, nil)
	})}}
	secret.Start()
	defer secret.Close()
	public := newIssuerServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secret.URL, http.StatusFound) })
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.1/32")))
	_, err = newIssuers(guard.Safe, true).find(t.Context(), public.URL, "k1", time.Unix(1, 0))
	wantKind(t, err, errs.Unavailable)
	if public.hits.Load() != 1 || reached.Load() != 0 {
		t.Errorf("%d requests to the public address, %d to the private one", public.hits.Load(), reached.Load())
	}
	// Without a guard it gets there: the test would notice.
	if _, err := newIssuers(nil, true).find(t.Context(), public.URL, "k1", time.Unix(1, 0)); err != nil || reached.Load() != 1 {
		t.Errorf("unguarded: %v, %d requests", err, reached.Load())
	}
}

func TestManyAskOneFetches(t *testing.T) {
	hold := make(chan struct{})
	server := newIssuerServer(t, func(w http.ResponseWriter, r *http.Request) {
		<-hold
		serve(jwks("k1", &rsaKey().PublicKey))(w, r)
	})
	s := newIssuers(nil, true)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	errors := make([]error, 8)
	for i := range errors {
		wg.Go(func() { _, errors[i] = s.find(t.Context(), server.URL, "k1", time.Unix(1, 0)) })
	}
	cancel()
	_, err := s.find(ctx, server.URL, "k1", time.Unix(1, 0))
	if err == nil {
		t.Error("a request that has ended got a key")
	}
	close(hold)
	wg.Wait()
	for _, err := range errors {
		if err != nil {
			t.Error(err)
		}
	}
	if n := server.hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestRememberedIssuersAreBounded(t *testing.T) {
	s := newIssuers(nil, true)
	for i := range 3 * maxIssuers {
		if _, err := s.issuer(fmt.Sprintf("https://%d.example/", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.known) > maxIssuers {
		t.Errorf("%d sets are remembered", len(s.known))
	}
}
