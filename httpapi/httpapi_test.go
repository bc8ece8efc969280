package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/kot"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
	"github.com/prometheus/client_golang/prometheus"
)

type fakeCluster struct{}

func (fakeCluster) Status(context.Context) (cluster.Status, error) {
	return cluster.Status{ID: "n1"}, nil
}
func (fakeCluster) Checks(context.Context) []cluster.Check { return nil }

func newHandler(t testing.TB) *APIs {
	t.Helper()
	return newAPIs(t, KOT{})
}

func newAPIs(t testing.TB, k KOT) *APIs {
	t.Helper()
	root := auth.NewRootKey("root")
	buckets, err := bucket.New(bucket.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	store := kvtest.New(t)
	readings := vault.NewRecorder(store.DB)
	t.Cleanup(readings.Close)
	return New(Config{
		Cluster: fakeCluster{}, DB: store.DB, Buckets: buckets, Collections: collection.New(collection.Config{}), Root: root,
		Vault: vault.New(vault.Config{}), Readings: readings,
		KOT: k, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
}

func TestTheFirstSegmentChoosesTheAPI(t *testing.T) {
	h := newHandler(t)
	const kvdb, operator, html = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
	const document = "application/json; charset=utf-8"
	type row struct {
		path, contentType string
		code              int
	}
	rows := []row{
		{"/", kvdb, 200}, {"//", kvdb, 404}, {"//cluster/status", kvdb, 404}, {"/unknown/k", kvdb, 404}, {"/unknown", kvdb, 404},
		{"/%63luster/status", kvdb, 404}, {"/clusters", kvdb, 404}, {"/Metrics", kvdb, 404}, {"/metricsx/k", kvdb, 404}, {"/./metrics", kvdb, 404},
		{"/livez", kvdb, 200}, {"/readyz", kvdb, 200}, {"/cluster/status", operator, 401}, {"/cluster", operator, 404}, {"/cluster/../livez", operator, 404},
		{"/metrics/", operator, 404}, {"/metrics/x", operator, 404},
	}
	for segment := range reservedSegments {
		rows = append(rows, row{"/" + segment, operator, 404}, row{"/" + segment + "/", operator, 404}, row{"/" + segment + "/x/y", operator, 404})
	}
	for _, segment := range []string{"assets", "appdeploy", "static", "views"} {
		rows = append(rows, row{"/" + segment + "/x/y", document, 404})
	}
	for _, segment := range []string{"media", "mail", "realtime"} { // strangers learn nothing of what is there
		rows = append(rows, row{"/" + segment + "/x/y", document, 401})
	}
	rows = append(rows, row{"/health", operator, 200}, row{"/health/", operator, 200}, row{"/api", operator, 200}, row{"/api/projects", operator, 401},
		row{"/api/x", operator, 404}, row{"/admin/", operator, 404}, row{"/apis", kvdb, 404})
	rows = append(rows, row{"/rest/items", document, 401}, row{"/rest/items/", document, 401}, row{"/rest", document, 401}, row{"/auth/x/y", document, 401}, row{"/restx", kvdb, 404})
	for segment := range kotSegments { // off, and so nowhere
		rows = append(rows, row{"/" + segment, html, 404}, row{"/" + segment + "/", html, 404}, row{"/" + segment + "/list", html, 404})
	}
	for _, tt := range rows {
		r := httptest.NewRequest("GET", "http://covey.test"+tt.path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.code || w.Header().Get("Content-Type") != tt.contentType {
			t.Errorf("%s: got %d of %q, want %d of %q", tt.path, w.Code, w.Header().Get("Content-Type"), tt.code, tt.contentType)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: without nosniff", tt.path)
		}
	}
}

func TestNoRedirects(t *testing.T) {
	h := newHandler(t)
	for _, path := range []string{"//a", "/a//b", "/a/../b", "/a/./b/", "/cluster//status", "/livez/", "/metrics//", "/rest//x"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "http://covey.test"+path, nil))
			if w.Code >= 300 && w.Code < 400 || w.Header().Get("Location") != "" {
				t.Errorf("%s %s: redirected with %d", method, path, w.Code)
			}
		}
	}
}

func TestReservedWordsAreNoBuckets(t *testing.T) {
	for _, set := range []map[string]bool{adminSegments, metricsSegments, kotSegments, restSegments, keynestSegments, reservedSegments} {
		for word := range set {
			if bucket.ValidName(word) {
				t.Errorf("a bucket could be called %s, and nobody would reach it", word)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	h := newHandler(t)
	do := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	do("GET", "/secret-bucket-name/k")
	w := do("GET", "/metrics")
	for _, want := range []string{`covey_http_requests_total{api="kvdb",code="404",method="GET"} 1`, `covey_http_request_seconds_count{api="kvdb",class="read"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(w.Body.String(), "secret-bucket-name") {
		t.Error("metrics name a bucket")
	}
	if w := do("POST", "/metrics"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestKOTIsServedAmongTheOthersAndAlone(t *testing.T) {
	apis := newAPIs(t, KOT{Password: auth.NewRootKey("p"), RateLimit: kot.RateLimit{Limits: web.Limits{{N: 2, Window: time.Hour}}, Items: []string{"2 per hour"}}})
	do := func(h http.Handler, method, path, password string) int {
		r := httptest.NewRequest(method, path, strings.NewReader("database_name=d&key=k&value=v"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("", password)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, tt := range []struct {
		what         string
		method, path string
		password     string
		among, alone int
	}{
		{"another API's path", "GET", "/livez", "p", 200, 404},
		{"a bucket's path", "GET", "/", "p", 200, 404},
		{"without the password", "GET", "/database/list", "", 401, 401},
		{"without the password elsewhere", "GET", "/livez", "", 200, 401},
		{"unknown path", "GET", "/database/lists", "p", 404, 404},
		{"both ports count for one rate limit", "POST", "/controller/set", "p", 200, 200},
		{"and the limit is reached", "POST", "/controller/set", "p", 429, 429},
	} {
		if shared, single := do(apis, tt.method, tt.path, tt.password), do(apis.KOT(), tt.method, tt.path, tt.password); shared != tt.among || single != tt.alone {
			t.Errorf("%s: among the others %d, alone %d; want %d and %d", tt.what, shared, single, tt.among, tt.alone)
		}
	}
	w := httptest.NewRecorder()
	apis.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if want := `covey_http_requests_total{api="kot",code="200",method="POST"} 2`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("metrics lack %s", want)
	}
}

// running is a Server on loopback with short limits.
type running struct {
	t    *testing.T
	addr string
	stop func() error
}

func run(t *testing.T, h http.Handler) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const short = 150 * time.Millisecond
	s := NewServer(h, Timeouts{Header: short, Read: 2 * short, Write: 2 * short, Idle: short, Drain: 2 * time.Second}, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stopped := false
	r := &running{t: t, addr: l.Addr().String()}
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (r *running) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a failing test must end
	return c
}

func TestSlowAndBrokenClientsLeaveNothingBehind(t *testing.T) {
	h := newHandler(t)
	r := run(t, h)
	create := r.dial()
	fmt.Fprintf(create, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(create), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	id := string(body)
	before := runtime.NumGoroutine()
	for name, send := range map[string]string{
		"a header that never ends": "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"a body that never ends":   "PUT /" + id + "/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		"chunks that never end":    "PUT /" + id + "/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"an idle connection":       "",
		"idle after a request":     "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			io.WriteString(c, send)
			if _, err := io.Copy(io.Discard, c); err != nil { // ends when the server hangs up
				t.Errorf("the server did not end the connection: %v", err)
			}
		})
	}
	t.Run("a body that is cut off", func(t *testing.T) {
		c := r.dial()
		fmt.Fprintf(c, "PUT /%s/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", id)
		c.(*net.TCPConn).CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 400 {
			t.Errorf("got %v, %v, want 400", resp, err)
		}
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/"+id+"/k", nil))
	if w.Code != 404 {
		t.Errorf("half a body was stored: %d %q", w.Code, w.Body)
	}
	noMoreGoroutines(t, before)
}

// noMoreGoroutines waits until there are at most n.
func noMoreGoroutines(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > n {
		select {
		case <-tick.C:
		case <-deadline:
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), n, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestTooLongHeaders(t *testing.T) {
	r := run(t, newHandler(t))
	c := r.dial()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", maxHeader+8<<10))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestOptionsStarIsAnswered(t *testing.T) {
	r := run(t, newHandler(t))
	c := r.dial()
	fmt.Fprintf(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestStoppingLetsRequestsFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := run(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "done")
	}))
	c := r.dial()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for { // until the listener is closed
		probe, err := net.Dial("tcp", r.addr)
		if err != nil {
			break
		}
		probe.Close()
	}
	close(leave)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "done" || err != nil {
		t.Errorf("the request under way got %q, %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func BenchmarkDispatch(b *testing.B) {
	h := newHandler(b)
	r := httptest.NewRequest("GET", "/no-such-bucket!/k", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestStoppingEndsStreams(t *testing.T) {
	r := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := web.NewEventStream(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := web.WhileServing(r.Context())
		defer cancel()
		<-ctx.Done()
		s.Event("", "end", []byte(context.Cause(ctx).Error()))
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
	}))
	res, err := http.Get("http://" + r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body) // broken off it would be an error
	if want := "event: end\ndata: this node stops, connect to another one\n\n"; err != nil || string(body) != want {
		t.Errorf("got %q, %v, want %q", body, err, want)
	}
}
