package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// plain answers an error as "status reason".
func plain(w http.ResponseWriter, _ *http.Request, f Failure) {
	w.WriteHeader(f.Status)
	fmt.Fprintf(w, "%d %s", f.Status, f.Reason)
}

func TestEveryKindHasAStatus(t *testing.T) {
	seen := 0
	for k := errs.Internal; !strings.HasPrefix(k.String(), "kind "); k++ {
		seen++
		if statusOf[k] == 0 {
			t.Errorf("kind %v has no status", k)
		}
	}
	if seen != len(statusOf) {
		t.Errorf("%d kinds, %d statuses", seen, len(statusOf))
	}
}

func TestFailureOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		reason string
	}{
		{"a layer's error", errs.E(errs.NotFound, "bucket x is not there"), 404, "bucket x is not there"},
		{"a wrapped one", fmt.Errorf("list: %w", errs.E(errs.Forbidden, "no")), 403, "no"},
		{"a kind before its cause", errs.E(errs.Unknown, "lost: %w", context.DeadlineExceeded), 504, "lost: context deadline exceeded"},
		{"a foreign error shows nothing", errors.New("password is 1234"), 500, "internal error, see the log under request r7"},
		{"an internal error shows nothing", errs.E(errs.Internal, "disk /secret"), 500, "internal error, see the log under request r7"},
		{"a time-out", fmt.Errorf("x: %w", context.DeadlineExceeded), 503, "no answer in time"},
		{"a client that left", context.Canceled, statusClientGone, "the client left before the answer"},
		{"a status that a contract fixes", WithStatus(errs.E(errs.Invalid, "field key is missing"), 500), 500, "field key is missing"},
		{"the same, wrapped", fmt.Errorf("set: %w", WithStatus(errs.E(errs.NotFound, "no x"), 500)), 500, "no x"},
		{"the outer of two", WithStatus(WithStatus(errs.E(errs.Invalid, "x"), 500), 400), 400, "x"},
		{"none for an internal error", WithStatus(errs.E(errs.Internal, "disk /secret"), 400), 500, "internal error, see the log under request r7"},
		{"none for a foreign error", WithStatus(errors.New("password is 1234"), 400), 500, "internal error, see the log under request r7"},
		{"none for a client that left", WithStatus(context.Canceled, 500), statusClientGone, "the client left before the answer"},
		{"a wrong method", WrongMethod("GET, PUT"), 405, "this path serves only GET, PUT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := FailureOf(tt.err, "r7")
			if f.Status != tt.status || f.Reason != tt.reason {
				t.Errorf("got %d %q, want %d %q", f.Status, f.Reason, tt.status, tt.reason)
			}
		})
	}
}

func TestHandlerAnswersLogsAndCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	api := &API{
		Name: "test", Answer: plain, Metrics: NewMetrics(reg),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	h := api.Handler(func(w http.ResponseWriter, r *http.Request) error {
		switch r.URL.Path {
		case "/panic":
			panic("boom")
		case "/refuse":
			return errs.E(errs.Forbidden, "not you")
		case "/fixed":
			return WithStatus(errs.E(errs.Invalid, "no key, says the contract"), 500)
		case "/nothing":
			return nil
		}
		_, err := io.WriteString(w, "fine")
		return err
	})
	do := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path+"?key=hunter2", nil))
		return w
	}
	first := do("GET", "/fine")
	if first.Code != 200 || first.Body.String() != "fine" {
		t.Errorf("got %d %q", first.Code, first.Body)
	}
	if w := do("BREW", "/refuse"); w.Code != 403 || w.Body.String() != "403 not you" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	if w := do("GET", "/fixed"); w.Code != 500 || w.Body.String() != "500 no key, says the contract" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	if strings.Contains(log.String(), "request broke") {
		t.Errorf("a client's fault that a contract answers with 500 is logged as ours:\n%s", &log)
	}
	do("PUT", "/nothing")
	w := do("POST", "/panic")
	id := w.Header().Get("Covey-Request-Id")
	if w.Code != 500 || !strings.Contains(w.Body.String(), id) || id == first.Header().Get("Covey-Request-Id") {
		t.Errorf("a panic answered %d %q under id %q", w.Code, w.Body, id)
	}
	text := log.String()
	if !strings.Contains(text, "boom") || !strings.Contains(text, "request="+id) || !strings.Contains(text, "failed=forbidden") {
		t.Errorf("the log lacks the panic, its id or the access line:\n%s", text)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("the log holds a query string:\n%s", text)
	}
	want := map[string]float64{
		"test 200 GET": 1, "test 200 PUT": 1, "test 403 other": 1, "test 500 POST": 1, "test 500 GET": 1, "covey_http_requests_in_flight test": 0,
	}
	if diff := cmp.Diff(want, samples(t, reg)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// samples returns what reg holds of counters, by label values, and of gauges,
// by name and label values.
func samples(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			switch key := strings.Join(labels, " "); {
			case m.GetCounter() != nil:
				got[key] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				got[f.GetName()+" "+key] = m.GetGauge().GetValue()
			}
		}
	}
	return got
}

func TestAnErrorAfterTheFirstByteBreaksTheConnection(t *testing.T) {
	api := &API{Name: "test", Answer: plain, Log: slog.New(slog.DiscardHandler)}
	srv := httptest.NewServer(api.Handler(func(w http.ResponseWriter, r *http.Request) error {
		io.WriteString(w, "half")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush through the recorder: %v", err)
		}
		return errs.E(errs.Internal, "the other half is gone")
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half an answer %q passed for a whole one", body)
	}
}

func TestReadBody(t *testing.T) {
	type broken struct{ io.Reader }
	for _, tt := range []struct {
		name   string
		body   io.Reader
		length int64
		limit  int
		want   string
		kind   errs.Kind
	}{
		{"known length", strings.NewReader("abc"), 3, 3, "abc", 0},
		{"known length over the limit", strings.NewReader("abcd"), 4, 3, "", errs.TooLarge},
		{"known length cut short", strings.NewReader("ab"), 3, 9, "", errs.Invalid},
		{"empty", strings.NewReader(""), 0, 3, "", 0},
		{"unknown length", broken{strings.NewReader("abc")}, -1, 3, "abc", 0},
		{"unknown length over the limit", broken{strings.NewReader("abcd")}, -1, 3, "", errs.TooLarge},
		{"unknown length cut short", io.MultiReader(strings.NewReader("a"), errReader{}), -1, 3, "", errs.Invalid},
		{"long, unknown length", broken{strings.NewReader(strings.Repeat("x", 9<<10))}, -1, 9 << 10, strings.Repeat("x", 9<<10), 0},
		{"long, known length", strings.NewReader(strings.Repeat("x", 3<<20)), 3 << 20, 4 << 20, strings.Repeat("x", 3<<20), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", tt.body)
			r.ContentLength = tt.length
			got, err := ReadBody(r, tt.limit)
			if string(got) != tt.want || (err != nil) != (tt.kind != 0) || err != nil && !errs.Is(err, tt.kind) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestReadBodyReadsOneByteOverTheLimit(t *testing.T) {
	body := &countingReader{}
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = -1
	if _, err := ReadBody(r, 100); !errs.Is(err, errs.TooLarge) {
		t.Errorf("got %v", err)
	}
	if body.n != 101 {
		t.Errorf("%d bytes were read, want 101", body.n)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type countingReader struct{ n int }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

func TestHeaderText(t *testing.T) {
	for in, want := range map[string]string{
		"key is long": "key is long", "a\r\nSet-Cookie: x": "a??Set-Cookie: x", "schlüssel": "schl??ssel",
		strings.Repeat("x", 400): strings.Repeat("x", maxHeaderReason),
	} {
		if got := HeaderText(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	api := &API{Name: "test", Answer: plain, Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)}
	h := api.Handler(func(http.ResponseWriter, *http.Request) error { return nil })
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
