package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// script answers the calls of a watch one after the other, and keeps where they
// wanted to begin. The last answer is repeated.
type script struct {
	mu      sync.Mutex
	answers []func(w http.ResponseWriter)
	since   []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.since = append(s.since, r.URL.Query().Get("since"))
	answer := s.answers[min(len(s.since), len(s.answers))-1]
	s.mu.Unlock()
	answer(w)
}

func streams(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, text)
	}
}

func breaks(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		io.WriteString(w, text)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func answers(status int, reason string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Covey-Reason", reason)
		w.WriteHeader(status)
	}
}

func (s *script) watch(t *testing.T, q WatchQuery, cfg Config) (got []string, err error) {
	t.Helper()
	cfg.Endpoints = append(cfg.Endpoints, serve(t, s.ServeHTTP))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e, err := range open(t, cfg).Bucket("b", "").Watch(ctx, q) {
		if err != nil {
			return got, err
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s%s", e.ID, e.Kind, e.Key, e.Value, e.Reason)))
	}
	return got, nil
}

func TestWatchGoesOnAfterALostConnection(t *testing.T) {
	s := &script{answers: []func(http.ResponseWriter){
		breaks("retry: 1000\n\nid: 5\nevent: ready\ndata: {\"version\":5}\n\n" +
			"id: 6.0\nevent: set\ndata: {\"key\":\"a\",\"version\":6,\"value\":1,\"created\":true}\n\n" +
			"id: 6.1\nevent: set\ndata: {\"key\":\"half\""), // no end: it has not come
		answers(503, "no leader"),
		streams("id: 6.0\nevent: ready\ndata: {\"version\":6}\n\n" +
			"id: 6.1\nevent: delete\ndata: {\"key\":\"b\",\"version\":6}\n\n: ping\n\nid: 9\n\n" +
			"event: end\ndata: {\"reason\":\"this node stops\"}\n\n"),
		streams("id: 12\nevent: reset\ndata: {\"version\":12,\"reason\":\"too late\"}\n\n"),
		answers(404, "gone"),
	}}
	got, err := s.watch(t, WatchQuery{Since: "5", Values: true}, Config{Endpoints: []string{refusing(t)}})
	if want := "5 ready|6.0 set a 1|6.1 delete b|12 reset  too late"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "watch bucket b") {
		t.Errorf("ended with %v", err)
	}
	if want := "5 6.0 6.0 9 12"; strings.Join(s.since, " ") != want {
		t.Errorf("asked for %q, want %q", s.since, want)
	}
}

func TestWatchEndsWith(t *testing.T) {
	t.Parallel() // it waits
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		want   error
	}{
		"a wrong credential":    {answers(401, "wrong"), ErrDenied},
		"a bad parameter":       {answers(400, "bad"), ErrInvalid},
		"too many streams":      {answers(429, "close some"), ErrLimited},
		"a node without leader": {answers(503, "no leader"), ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []func(http.ResponseWriter){tt.answer}}
			got, err := s.watch(t, WatchQuery{}, Config{Timeout: time.Second})
			if len(got) > 0 || !errors.Is(err, tt.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	t.Run("what is no event", func(t *testing.T) {
		s := &script{answers: []func(http.ResponseWriter){streams("event: set\ndata: <html>\n\n")}}
		if _, err := s.watch(t, WatchQuery{}, Config{}); err == nil || !strings.Contains(err.Error(), "no event") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cluster that is away for too long", func(t *testing.T) {
		t.Parallel()
		s := &script{answers: []func(http.ResponseWriter){streams("id: 5\nevent: ready\ndata: {\"version\":5}\n\n"), answers(503, "no leader")}}
		got, err := s.watch(t, WatchQuery{}, Config{Timeout: time.Second})
		if len(got) != 1 || !errors.Is(err, ErrUnavailable) || len(s.since) < 3 {
			t.Errorf("got %q, %v after %d calls", got, err, len(s.since))
		}
	})
}

func TestWatchEndsWithItsContextAndItsLoop(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "id: 5\nevent: ready\ndata: {\"version\":5}\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	b := open(t, Config{Endpoints: []string{url}}).Bucket("b", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range b.Watch(ctx, WatchQuery{}) {
		switch n++; n {
		case 1:
			cancel()
		case 2:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d steps, want ready and the end", n)
	}
	for _, err := range b.Watch(t.Context(), WatchQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

func TestEventReader(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, tt := range map[string]struct {
		text, want string
		err        error
	}{
		"a block":          {"id: 1\nevent: e\ndata: a\ndata:  b\ndata:c\n\n", "1 e a\n b\nc", nil},
		"carriage returns": {"id: 1\r\ndata: a\r\n\r\n", "1  a", nil},
		"a long line":      {"data: " + long + "\n\n", "  " + long, nil},
		"unfinished":       {"id: 1\ndata: a\n", "", io.EOF},
		"too long a line":  {"data: " + long + long + "\n\n", "", errLongEvent},
		"too many lines":   {strings.Repeat("data: "+long[:900]+"\n", 20) + "\n", "", errLongEvent},
	} {
		t.Run(name, func(t *testing.T) {
			s := &eventReader{r: bufio.NewReaderSize(iotest.HalfReader(strings.NewReader(tt.text)), 64), limit: 15_000}
			b, err := s.next()
			got := fmt.Sprintf("%s %s %s", b.id, b.name, b.data)
			if err != nil {
				got = ""
			}
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Errorf("got %.50q, %v", got, err)
			}
		})
	}
}

func FuzzEventReaderNeverPanics(f *testing.F) {
	f.Add([]byte("id: 1\nevent: set\ndata: {\"key\":\"a\"}\n\n: ping\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &eventReader{r: bufio.NewReaderSize(strings.NewReader(string(text)), 16), limit: 1000}
		for {
			b, err := s.next()
			if err != nil {
				return
			}
			if len(b.data) > 1000 {
				t.Fatalf("a block of %d bytes", len(b.data))
			}
			_, _ = b.event()
		}
	})
}
