package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// refusing returns an address on which nothing listens. It is that of a
// connection's other end, so that nobody else gets it meanwhile.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return far.LocalAddr().String()
}

func TestNewRefusesWhatIsNoEndpoint(t *testing.T) {
	for _, bad := range []string{"", "ftp://h", "http://h/path", "http://u:p@h", "http://h?x=1", "http://"} {
		if _, err := New(Config{Endpoints: []string{bad}}); err == nil {
			t.Errorf("endpoint %q was accepted", bad)
		}
	}
	if _, err := New(Config{Consistency: "eventual"}); err == nil {
		t.Error("an unknown consistency was accepted")
	}
	c := open(t, Config{Endpoints: []string{"10.0.0.3:8700", "https://kv.example/"}})
	want := []string{"http://10.0.0.3:8700", "https://kv.example"}
	if diff := cmp.Diff(want, c.Endpoints()); diff != "" {
		t.Error(diff)
	}
}

func TestEndpointErrorHidesThePassword(t *testing.T) {
	_, err := New(Config{Endpoints: []string{"http://user:hunter2@h"}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v", err)
	}
}

func TestCallMovesToAnEndpointThatAnswers(t *testing.T) {
	var calls atomic.Int32
	good := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		io.WriteString(w, "v")
	})
	c := open(t, Config{Endpoints: []string{refusing(t), good}})
	for range 3 {
		v, err := c.Bucket("b", "").Get(t.Context(), "k")
		if err != nil || string(v.Data) != "v" {
			t.Fatalf("got %q, %v", v.Data, err)
		}
	}
	if calls.Load() != 3 || c.preferred.Load() != 1 {
		t.Errorf("%d calls, preferred %d: want 3, and to stay with the endpoint that answers", calls.Load(), c.preferred.Load())
	}
}

func TestWriteIsRepeatedUnderOneIdempotencyKey(t *testing.T) {
	var mu sync.Mutex
	var ids []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, r.Header.Get("Idempotency-Key"))
		switch len(ids) {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler) // sent, never answered
		default:
			io.WriteString(w, "7")
		}
	})
	c := open(t, Config{Endpoints: []string{url}})
	got, err := c.Bucket("b", "").Incr(t.Context(), "k", "+1", Write{})
	if err != nil || got != "7" {
		t.Fatalf("got %q, %v", got, err)
	}
	if len(ids) != 3 || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("ids = %q, want the same one three times", ids)
	}
	if _, err := c.Bucket("b", "").Incr(t.Context(), "k", "+1", Write{}); err != nil || ids[3] == ids[0] {
		t.Errorf("another call has the id %q again (%v)", ids[3], err)
	}
}

func TestStatusesBecomeTypedErrors(t *testing.T) {
	t.Parallel() // it waits
	all := []error{ErrInvalid, ErrDenied, ErrNotFound, ErrConflict, ErrLimited, ErrUnavailable, ErrUnknown}
	tests := []struct {
		status int
		want   error
	}{
		{400, ErrInvalid}, {401, ErrDenied}, {403, ErrDenied}, {404, ErrNotFound}, {406, ErrInvalid}, {409, ErrConflict},
		{412, ErrConflict}, {429, ErrLimited}, {503, ErrUnavailable}, {504, ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Covey-Reason", "because")
				w.WriteHeader(tt.status)
			})
			c := open(t, Config{Endpoints: []string{url}, Timeout: time.Second})
			_, err := c.Bucket("b", "").Set(t.Context(), "k", nil, Write{})
			for _, e := range all {
				if got, want := errors.Is(err, e), e == tt.want; got != want {
					t.Errorf("errors.Is(%q, %q) = %v", err, e, got)
				}
			}
			if !strings.Contains(err.Error(), "set key k in bucket b") || !strings.Contains(err.Error(), "because") {
				t.Errorf("%q does not say what failed and why", err)
			}
		})
	}
}

func TestRefusedWriteAfterAnUnansweredOneStaysUnknown(t *testing.T) {
	t.Parallel() // it waits
	var n atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	c := open(t, Config{Endpoints: []string{url}, Timeout: time.Second})
	_, err := c.Bucket("b", "").Set(t.Context(), "k", nil, Write{})
	if !errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnavailable) || n.Load() < 2 {
		t.Errorf("after %d tries: %v, want an unknown outcome", n.Load(), err)
	}
}

// A node waits for a leader before it refuses. Another try that time cuts short
// would make of "not applied" an outcome that nobody knows.
func TestRefusedWriteStaysRefusedWhenTimeRunsOut(t *testing.T) {
	t.Parallel() // it waits
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(600 * time.Millisecond):
		case <-r.Context().Done():
		}
		w.Header().Set("Covey-Reason", "no leader")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for name, endpoints := range map[string][]string{
		"alone":                   {slow},
		"before one that is down": {slow, refusing(t)},
		"after one that is down":  {refusing(t), slow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, Config{Endpoints: endpoints, Timeout: time.Second})
			_, err := c.Bucket("b", "").Set(t.Context(), "k", []byte("v"), Write{})
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknown) || !strings.Contains(fmt.Sprint(err), "no leader") {
				t.Errorf("err = %v, want what the node said", err)
			}
		})
	}
}

func TestUnreachableClusterIsReportedSoon(t *testing.T) {
	addr := refusing(t)
	c := open(t, Config{Endpoints: []string{addr}, Unreachable: time.Millisecond, Timeout: time.Hour})
	_, err := c.Bucket("b", "").Set(t.Context(), "k", nil, Write{})
	var e *Error
	if !errors.As(err, &e) || !e.Unreachable() || e.Unknown || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("err = %#v", err)
	}
	if want := "cannot reach " + addr + " (connection refused)"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q lacks %q", err, want)
	}
}

func TestCanceledCallEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c := open(t, Config{Endpoints: []string{url}})
	if _, err := c.Bucket("b", "").Get(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestRequestsAreWrittenAsTheServiceReadsThem(t *testing.T) {
	var got []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := r.Method + " " + r.RequestURI + " " + string(body)
		for _, h := range []string{"Authorization", "If-Match", "If-None-Match", "Covey-Version"} {
			if v := r.Header.Get(h); v != "" {
				line += " " + h + "=" + v
			}
		}
		got = append(got, line)
		w.Header().Set("Covey-Version", "41")
		if strings.Contains(r.RequestURI, "values=true") {
			io.WriteString(w, `[["a",1.5],["b","x\ny"],["c",{"d":[]}]]`)
		} else if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/") {
			io.WriteString(w, `["a","b"]`)
		}
	})
	c := open(t, Config{Endpoints: []string{url}, RootKey: "root", Consistency: "stale"})
	b, ctx := c.Bucket("bucket", "secret"), t.Context()
	week := 7 * 24 * time.Hour
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.CreateBucket(ctx, Settings{ID: "my-bucket", SecretKey: "s&=", DefaultTTL: &week})
	check(err)
	_, err = b.Set(ctx, "a/../b c%\xff", []byte("v"), Write{TTL: 1500 * time.Millisecond, IfMatch: `"v1"`})
	check(err)
	_, err = b.Set(ctx, "k", nil, Write{TTL: Forever, IfNoneMatch: "*"})
	check(err)
	check(b.Delete(ctx, "k", Write{TTL: time.Second}))
	_, err = b.Get(ctx, "k")
	check(err)
	keys, err := b.List(ctx, ListQuery{Prefix: "p;", Regex: "^a", Skip: 2, Limit: 3, Reverse: true})
	check(err)
	items, err := b.List(ctx, ListQuery{Values: true})
	check(err)
	check(b.Txn(ctx, []Op{{Key: "k<", Value: "v"}, {Key: "l", TTL: Forever}, {Key: "m", Delete: true}}))
	check(b.Drop(ctx))
	want := []string{
		"POST / default_ttl=604800&id=my-bucket&secret_key=s%26%3D Authorization=Bearer root",
		"PUT /bucket/a/%2E%2E/b%20c%25%FF?ttl=2 v Authorization=Bearer secret If-Match=\"v1\" Covey-Version=41",
		"PUT /bucket/k?ttl=0  Authorization=Bearer secret If-None-Match=* Covey-Version=41",
		"DELETE /bucket/k  Authorization=Bearer secret Covey-Version=41",
		"GET /bucket/k?consistency=stale  Authorization=Bearer secret",
		"GET /bucket/?consistency=stale&format=json&limit=3&prefix=p%3B&regex=%5Ea&reverse=true&skip=2  Authorization=Bearer secret",
		"GET /bucket/?consistency=stale&format=json&values=true  Authorization=Bearer secret",
		`POST /bucket/ {"txn":[{"set":"k\u003c","value":"v"},{"set":"l","value":"","ttl":0},{"delete":"m"}]} Authorization=Bearer secret Covey-Version=41`,
		"DELETE /bucket/  Authorization=Bearer secret Covey-Version=41",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(keys) != 2 || keys[1].Key != "b" || keys[1].Value != nil {
		t.Errorf("keys = %v", keys)
	}
	var texts []string
	for _, i := range items {
		texts = append(texts, i.Text())
	}
	if diff := cmp.Diff([]string{"1.5", "x\ny", `{"d":[]}`}, texts); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyNamesNeverReachTheService(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.URL) })
	c, ctx := open(t, Config{Endpoints: []string{url}}), t.Context()
	_, incr := c.Bucket("b", "").Incr(ctx, "", "+1", Write{})
	for _, err := range []error{c.Bucket("b", "").Delete(ctx, "", Write{}), c.Bucket("", "").Drop(ctx), incr} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestStatusAndBucketsReadTheAdminAPI(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer root" {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":{"message":"the root key is wrong"}}`)
			return
		}
		switch r.URL.Path {
		case "/cluster/status":
			io.WriteString(w, `{"id":"n1","leader":"n2","term":3,"members":[{"id":"n1","http_addr":"h:1","last_contact_ms":-1}]}`)
		case "/cluster/buckets":
			io.WriteString(w, `{"buckets":[{"id":"x"}],"next":"x"}`)
		}
	})
	c := open(t, Config{Endpoints: []string{url}, RootKey: "root"})
	s, err := c.Status(t.Context())
	if err != nil || s.Leader != "n2" || s.Term != 3 || len(s.Members) != 1 || s.Members[0].LastContactMS != -1 || len(s.Raw) == 0 {
		t.Errorf("status = %+v, %v", s, err)
	}
	page, next, err := c.Buckets(t.Context(), "", 1)
	if err != nil || len(page) != 1 || page[0].ID != "x" || next != "x" {
		t.Errorf("buckets = %v %q, %v", page, next, err)
	}
	_, err = open(t, Config{Endpoints: []string{url}, RootKey: "other"}).Status(t.Context())
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "the root key is wrong") || strings.Contains(err.Error(), "other") {
		t.Errorf("err = %v", err)
	}
}

func TestOldVersionIsNotSent(t *testing.T) {
	var l lastVersion
	l.note("9")
	l.note("7")
	l.note("rubbish")
	if got := l.fresh(time.Now()); got != 9 {
		t.Errorf("fresh = %d, want 9", got)
	}
	if got := l.fresh(time.Now().Add(freshFor + time.Second)); got != 0 {
		t.Errorf("an old version is still sent: %d", got)
	}
}
