package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/prometheus/client_golang/prometheus"
)

func TestEventStreamWritesWhatBrowsersRead(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(*EventStream)
		want  string
	}{
		"event":           {func(s *EventStream) { s.Event("1.2", "set", []byte(`{"a":1}`)) }, "id: 1.2\nevent: set\ndata: {\"a\":1}\n\n"},
		"message":         {func(s *EventStream) { s.Event("", "", []byte("x")) }, "data: x\n\n"},
		"no data":         {func(s *EventStream) { s.Event("", "end", nil) }, "event: end\ndata: \n\n"},
		"line breaks":     {func(s *EventStream) { s.Event("", "", []byte("a\nb\r\nc\rd")) }, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		"ends in a break": {func(s *EventStream) { s.Event("", "", []byte("a\r\n")) }, "data: a\ndata: \n\n"},
		"place":           {func(s *EventStream) { s.Place("7") }, "id: 7\n\n"},
		"comment, retry":  {func(s *EventStream) { s.Comment("ping"); s.Retry(1000) }, ": ping\n\nretry: 1000\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			s, err := NewEventStream(rec, httptest.NewRequest("GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			tt.write(s)
			if got := rec.Body.String(); got != "" {
				t.Errorf("sent %q before the flush", got)
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := rec.Body.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if h := rec.Header(); h.Get("Content-Type") != "text/event-stream; charset=utf-8" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestEventStreamSendsLongGatheringsOnItsOwn(t *testing.T) {
	rec := httptest.NewRecorder()
	s, err := NewEventStream(rec, httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	s.Event("", "", make([]byte, streamPiece))
	if rec.Body.Len() < streamPiece || s.buf != nil {
		t.Errorf("%d bytes are sent, room for %d is kept", rec.Body.Len(), cap(s.buf))
	}
}

// streamServer serves h in the plumbing, with the time-outs of requests made
// short.
func streamServer(t *testing.T, serving context.Context, h Handler) *httptest.Server {
	t.Helper()
	api := &API{Name: "t", Answer: func(w http.ResponseWriter, _ *http.Request, f Failure) { w.WriteHeader(f.Status) }}
	srv := httptest.NewUnstartedServer(api.Handler(h))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	srv.Config.BaseContext = func(net.Listener) context.Context { return WithStopping(context.Background(), serving) }
	t.Cleanup(srv.Close)
	return srv
}

func TestEventStreamOutlastsTheTimeoutsOfRequests(t *testing.T) {
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			srv := streamServer(t, context.Background(), func(w http.ResponseWriter, r *http.Request) error {
				s, err := NewEventStream(w, r)
				if err != nil {
					return err
				}
				ticks := time.NewTicker(150 * time.Millisecond) // longer than the time-outs
				defer ticks.Stop()
				for range 3 {
					select {
					case <-ticks.C:
					case <-r.Context().Done():
						return r.Context().Err()
					}
					s.Event("", "", []byte("x"))
					if err := s.Flush(); err != nil {
						return err
					}
				}
				return nil
			})
			if got, want := readStream(t, srv, proto), strings.Repeat("data: x\n\n", 3); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// readStream gets / from srv in the given version of HTTP, to its end.
func readStream(t *testing.T, srv *httptest.Server, proto string) string {
	t.Helper()
	var res *http.Response
	switch proto {
	case "HTTP/1.0":
		srv.Start()
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if res, err = http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	default:
		srv.EnableHTTP2 = proto == "HTTP/2.0"
		srv.StartTLS()
		var err error
		if res, err = srv.Client().Get(srv.URL); err != nil {
			t.Fatal(err)
		}
		if res.Proto != proto {
			t.Fatalf("got %s", res.Proto)
		}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("the stream broke after %q: %v", body, err)
	}
	return string(body)
}

func TestEventStreamGivesHEADHeadersOnly(t *testing.T) {
	srv := streamServer(t, context.Background(), func(w http.ResponseWriter, r *http.Request) error {
		s, err := NewEventStream(w, r)
		if err != nil {
			return err
		}
		s.Event("", "", []byte("x"))
		return s.Flush()
	})
	srv.Start()
	res, err := srv.Client().Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Errorf("answered %d %v", res.StatusCode, res.Header)
	}
}

func TestEventStreamCutsOffAClientThatNeverReads(t *testing.T) {
	ended := make(chan error, 1)
	srv := streamServer(t, context.Background(), func(w http.ResponseWriter, r *http.Request) error {
		s, err := NewEventStream(w, r)
		if err != nil {
			return err
		}
		s.Patience = 50 * time.Millisecond
		for err == nil {
			s.Event("", "", make([]byte, 1<<20))
			err = s.Flush()
		}
		ended <- err
		return err
	})
	srv.Start()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stream still waits for its client")
	}
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	srv := streamServer(t, serving, func(w http.ResponseWriter, r *http.Request) error {
		s, err := NewEventStream(w, r)
		if err != nil {
			return err
		}
		ctx, cancel := WhileServing(r.Context())
		defer cancel()
		stop()
		<-ctx.Done()
		if cause := context.Cause(ctx); cause != error(ErrStopping) || r.Context().Err() != nil {
			t.Errorf("ended by %v, the request is %v", cause, r.Context().Err())
		}
		s.Event("", "end", nil)
		return s.Flush()
	})
	if got, want := readStream(t, srv, "HTTP/1.1"), "event: end\ndata: \n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// How long a client stays says nothing about how fast answers are.
func TestStreamsAreCountedButNotTimed(t *testing.T) {
	reg := prometheus.NewRegistry()
	api := &API{Name: "t", Metrics: NewMetrics(reg)}
	h := api.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/stream" {
			_, err := NewEventStream(w, r)
			return err
		}
		return nil
	})
	for _, path := range []string{"/stream", "/stream", "/"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "covey_http_request_seconds" {
			if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != 1 {
				t.Errorf("%d answers are timed, want 1", n)
			}
		}
	}
	if got := samples(t, reg)["t 200 GET"]; got != 3 {
		t.Errorf("%v answers are counted, want 3", got)
	}
}

func TestWhileServingEndsWithTheRequest(t *testing.T) {
	for name, base := range map[string]context.Context{
		"no server":  context.Background(),
		"one serves": WithStopping(context.Background(), context.Background()),
	} {
		t.Run(name, func(t *testing.T) {
			request, leave := context.WithCancel(base)
			ctx, cancel := WhileServing(request)
			defer cancel()
			if ctx.Err() != nil {
				t.Fatal("ended at once")
			}
			leave()
			<-ctx.Done()
			if cause := context.Cause(ctx); cause != context.Canceled {
				t.Errorf("ended by %v", cause)
			}
		})
	}
}

func gauge(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "covey_http_streams" {
		t.Fatalf("gathered %v, %v", families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

func TestStreamsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := NewStreams(StreamLimits{Total: 3, PerClient: 2}, reg)
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
	take := func(client netip.Addr, want errs.Kind) func() {
		t.Helper()
		release, err := s.Take("kvdb", client)
		if err == nil && want != 0 || err != nil && errs.KindOf(err) != want {
			t.Fatalf("got %v, want %v", err, want)
		}
		return release
	}
	first := take(a, 0)
	second := take(b, 0) // the same site
	take(a, errs.Limited)
	third := take(c, 0)
	take(c, errs.Unavailable)
	if got := gauge(t, reg); got != 3 {
		t.Errorf("%v are counted", got)
	}
	for _, release := range []func(){first, second, third} {
		release()
	}
	if got := gauge(t, reg); got != 0 || s.total != 0 || len(s.clients) != 0 {
		t.Errorf("after all ended %v, %d, %v are left", got, s.total, s.clients)
	}
	if release, err := (*Streams)(nil).Take("kvdb", a); err != nil {
		t.Error(err)
	} else {
		release()
	}
}
