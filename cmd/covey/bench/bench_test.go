package bench

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func target(t *testing.T, h http.HandlerFunc) (Target, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Target{Addr: s.Listener.Addr().String()}, s
}

func TestCountedRunDoesExactlyThatMany(t *testing.T) {
	var mu sync.Mutex
	paths, bad := map[string]int{}, 0
	h := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		paths[r.URL.Path]++
		if r.Method != "PUT" || len(body) != 128 || r.Header.Get("Authorization") != "Bearer secret" {
			bad++
		}
	}
	one, _ := target(t, h)
	two, _ := target(t, h)
	var cpu float64
	res, err := Run(t.Context(), Config{
		Op: Set, Targets: []Target{one, two}, Bucket: "b", Key: "secret", Clients: 8, Count: 500, ValueSize: 128, Keys: 50,
		CPU: func(context.Context) (float64, error) { cpu += 0.5; return cpu, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Ops != 500 || len(res.Errors) != 0 || bad != 0 {
		t.Errorf("%d operations, errors %v, %d bad requests", res.Ops, res.Errors, bad)
	}
	if len(paths) < 40 || len(paths) > 50 {
		t.Errorf("%d different keys were used, want about 50", len(paths))
	}
	if res.ServerCPU == nil || *res.ServerCPU != 1000 {
		t.Errorf("server CPU an operation = %v, want 1000 us", res.ServerCPU)
	}
	if res.P50 <= 0 || res.P50 > res.P90 || res.P90 > res.P99 || res.P99 > res.P999 || res.P999 > res.Max || res.PerSecond <= 0 {
		t.Errorf("percentiles are out of order: %+v", res)
	}
}

func TestConnectionIsKept(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("v", 5000)) // longer than net/http buffers: chunked
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	res, err := Run(t.Context(), Config{
		Op: Get, Targets: []Target{{Addr: s.Listener.Addr().String()}}, Bucket: "b", Clients: 3, Count: 90, Keys: 1, Consistency: "stale",
	})
	if err != nil || res.Ops != 90 || conns.Load() != 3 {
		t.Errorf("%d connections for 3 clients (%+v, %v)", conns.Load(), res, err)
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	var n atomic.Int64
	one, s := target(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			panic(http.ErrAbortHandler)
		}
	})
	res, err := Run(t.Context(), Config{Op: Get, Targets: []Target{one}, Bucket: "b", Clients: 2, Count: 100, Keys: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res.Errors["status 503"] == 0 || res.Errors["connection lost"] == 0 {
		t.Errorf("errors = %v", res.Errors)
	}
	if total := res.Ops + res.Errors["status 503"] + res.Errors["connection lost"]; total != 100 {
		t.Errorf("%d operations and errors, want 100", total)
	}
	s.Close()
	res, err = Run(t.Context(), Config{Op: Get, Targets: []Target{one}, Bucket: "b", Clients: 1, Duration: 50 * time.Millisecond, Keys: 1})
	if err != nil || res.Ops != 0 || res.Errors["unreachable"] == 0 {
		t.Errorf("without a server: %+v, %v", res, err)
	}
}

func TestCanceledRunReportsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	one, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 50 {
			cancel()
		}
	})
	res, err := Run(ctx, Config{Op: Incr, Targets: []Target{one}, Bucket: "b", Clients: 1, Duration: time.Hour, Keys: 1})
	if !errors.Is(err, context.Canceled) || res == nil || res.Ops == 0 || res.Ops > 50 {
		t.Errorf("res = %+v, err = %v", res, err)
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	good := Config{Op: Set, Targets: []Target{{}}, Clients: 1, Keys: 1, Count: 1}
	for name, change := range map[string]func(*Config){
		"operation": func(c *Config) { c.Op = "scan" },
		"targets":   func(c *Config) { c.Targets = nil },
		"clients":   func(c *Config) { c.Clients = 0 },
		"keys":      func(c *Config) { c.Keys = 0 },
		"size":      func(c *Config) { c.ValueSize = -1 },
		"end":       func(c *Config) { c.Count = 0 },
	} {
		c := good
		change(&c)
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
}

func TestAnswersAreReadToTheirEnd(t *testing.T) {
	tests := []struct {
		name, text string
		status     int
		keep, ok   bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, true, true},
		{"empty", "HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", 404, true, true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, true, true},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, false, true},
		{"until the end", "HTTP/1.0 200 OK\r\n\r\nabc", 200, false, true},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", 200, true, false},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", 0, false, false},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, true, false},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", 0, false, false},
		{"too many headers", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n", 0, false, false},
		{"nothing", "", 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const next = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
			text := tt.text
			if tt.ok && tt.keep {
				text += next
			}
			w := &wire{r: bufio.NewReader(strings.NewReader(text))}
			status, keep, err := w.readAnswer()
			if status != tt.status || keep != tt.keep || (err == nil) != tt.ok {
				t.Errorf("got %d, %v, %v", status, keep, err)
			}
			if tt.ok && tt.keep {
				if status, _, err := w.readAnswer(); status != 201 || err != nil {
					t.Errorf("the next answer reads as %d, %v", status, err)
				}
			}
		})
	}
}

func TestCPUSecondsReadsTheMetrics(t *testing.T) {
	got, err := CPUSeconds([]byte("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.25e+01\nx 1\n"))
	if got != 12.5 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "process_cpu_seconds_total x\n", "# process_cpu_seconds_total 1\n"} {
		if _, err := CPUSeconds([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestValueIsTextOfTheSize(t *testing.T) {
	for _, n := range []int{0, 1, 128} {
		if v := Value(n); len(v) != n || n > 0 && v[0] != 'v' {
			t.Errorf("Value(%d) = %q", n, v)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		w := &wire{r: bufio.NewReader(strings.NewReader(text))}
		if status, _, err := w.readAnswer(); err == nil && (status < 200 || status > 599) {
			t.Errorf("%q has status %d", text, status)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer s.Close()
	w, err := dial(b.Context(), Target{Addr: s.Listener.Addr().String()}, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	defer w.close()
	q := &request{method: "PUT", path: "/b/k", host: "h", body: Value(128)}
	b.ReportAllocs()
	for b.Loop() {
		if status, _, err := w.roundTrip(q); status != 200 || err != nil {
			b.Fatal(status, err)
		}
	}
}
