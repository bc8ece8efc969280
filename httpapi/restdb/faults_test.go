package restdb

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

func limits(t testing.TB, text string) web.Limits {
	t.Helper()
	l, err := web.ParseLimits(text, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// writes are a request of each kind that changes something.
var writes = [][3]string{
	{"POST", "/rest/people", `{"_id":"0000000000000000000000a1","name":"new"}`},
	{"POST", "/rest/people", `[{"_id":"0000000000000000000000a2","name":"new"},{"_id":"0000000000000000000000a3","name":"newer"}]`},
	{"POST", "/rest/created", `{}`},
	{"PUT", "/rest/people/000000000000000000000001", `{"name":"new"}`},
	{"PATCH", "/rest/people/000000000000000000000001", `{"$inc":{"age":1}}`},
	{"DELETE", "/rest/people/000000000000000000000001", ""},
	{"DELETE", "/rest/people/*", `["000000000000000000000001"]`},
	{"DELETE", `/rest/people/*?q={"town":"oslo"}`, ""},
	{"DELETE", "/rest/people/*?q={}", ""},
}

func TestNoSuccessIsClaimedForWhatWasNotCommitted(t *testing.T) {
	for _, tt := range []struct {
		kind errs.Kind
		code int
		name string
	}{{errs.Unavailable, 503, "ServiceUnavailable"}, {errs.Unknown, 504, "UnknownOutcome"}, {errs.NoSpace, 507, "NoSpace"}, {errs.Internal, 500, "ServerError"}} {
		w := newWorld(t)
		w.people()
		for _, r := range writes {
			w.store.FailNext(errs.E(tt.kind, "the cause"))
			a := w.send(r[0], r[1], r[2])
			message := w.fails(tt.code, tt.name, a)
			if (message == "the cause") != (tt.kind != errs.Internal) || message != a.header.Get("Covey-Reason") {
				t.Errorf("%v: message %q", r, message)
			}
			if got := a.header.Get("Retry-After"); (got == "1") != (tt.code == 503) {
				t.Errorf("%v: Retry-After %q", r, got)
			}
			if got := a.header.Get("Covey-Outcome"); (got == "unknown") != (tt.code == 504) {
				t.Errorf("%v: Covey-Outcome %q", r, got)
			}
		}
		if got := w.left(); got != "ann bob cid dee" {
			t.Errorf("%v: left %q", tt.kind, got)
		}
		w.fails(404, "NotFound", w.get("/rest/created"))
	}
}

func TestConflicts(t *testing.T) {
	w, calm := newWorld(t), newWorld(t)
	w.people()
	calm.people()
	for _, r := range writes {
		w.store.ConflictNext(3)
		got, want := w.send(r[0], r[1], r[2]), calm.send(r[0], r[1], r[2])
		if got.code != want.code {
			t.Errorf("%v: %d %s, without conflicts %d", r, got.code, got.body, want.code)
		}
		if got, want := w.left(), calm.left(); got != want {
			t.Errorf("%v: left %q, without conflicts %q", r, got, want)
		}
	}
}

func TestRepeatedRequests(t *testing.T) {
	w := newWorld(t)
	w.people()
	once := "Idempotency-Key: 0123456789abcdef"
	first := w.send("POST", "/rest/items", `[{"n":1},{"_id":"00000000000000000000000a"},{"n":3}]`, once)
	w.store.Advance(5 * time.Second)
	again := w.send("POST", "/rest/items", `[{"n":1},{"_id":"00000000000000000000000a"},{"n":3}]`, once)
	if first.code != 201 || again.code != 201 || again.body != first.body || again.header.Get("Covey-Replayed") != "true" {
		t.Errorf("%d %s\n%d %s", first.code, first.body, again.code, again.body)
	}
	if n := strings.Count(w.get("/rest/items").body, "_id"); n != 3 {
		t.Errorf("%d documents, want 3", n)
	}
	for name, r := range map[string][3]string{
		"another body":       {"/rest/items", `{"n":4}`, once},
		"another collection": {"/rest/others", `[{"n":1}]`, once},
		"another key":        {"/rest/items", `{"n":4}`, "Idempotency-Key: 0123456789abcdeX"},
	} {
		if a := w.send("POST", r[0], r[1], r[2]); a.code != 201 || a.header.Get("Covey-Replayed") != "" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	w.store.LoseNext(1)
	w.fails(504, "UnknownOutcome", w.send("POST", "/rest/items", `{"lost":1}`, "Idempotency-Key: a-key-of-the-lost-one"))
	a := w.send("POST", "/rest/items", `{"lost":1}`, "Idempotency-Key: a-key-of-the-lost-one")
	if a.code != 201 || a.header.Get("Covey-Replayed") != "true" {
		t.Errorf("after a lost answer: %d %s", a.code, a.body)
	}
	w.is(200, `{"COUNT ":1}`, w.get(`/rest/items?q={"lost":1}&aggregate=COUNT:`))
	w.send("DELETE", `/rest/items/*?q={"lost":1}`, "")
	w.fails(404, "NotFound", w.send("POST", "/rest/items", `{"lost":1}`, "Idempotency-Key: a-key-of-the-lost-one"))
	for _, bad := range []string{"short", strings.Repeat("x", 129), "with a blank in its midst"} {
		w.fails(400, "BadRequest", w.send("POST", "/rest/items", `{}`, "Idempotency-Key: "+bad))
	}
}

func TestRequestsWaitOnlySoLong(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.serve(func(s *settings) { s.api.Wait = time.Nanosecond })
	for _, r := range append(writes, [3]string{"GET", "/rest/people", ""}, [3]string{"GET", "/rest/people/000000000000000000000001", ""}, [3]string{"PUT", "/rest/people", ""}) {
		if a := w.send(r[0], r[1], r[2]); a.header.Get("Retry-After") != "1" {
			w.fails(503, "ServiceUnavailable", a)
			t.Errorf("%v: 503 without Retry-After", r)
		}
	}
}

// book is a log that a test reads.
type book struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *book) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	var b book
	w := newWorld(t, func(s *settings) {
		s.api.Log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w.do("GET", `/rest/items?apikey=`+fullKey+`&q={"name":"SECRET"}`, "")
	w.send("POST", "/rest/items", `{"name":"SECRET"}`)
	w.do("GET", "/rest/items", "", "Authorization: Bearer "+fullKey+".b.c")
	w.store.FailNext(errors.New("disk on fire"))
	w.fails(500, "ServerError", w.send("POST", "/rest/items", `{"name":"SECRET"}`))
	if log := b.text(); strings.Contains(log, "SECRET") || strings.Contains(log, fullKey) || !strings.Contains(log, "disk on fire") || !strings.Contains(log, "/rest/{}") || strings.Contains(log, "items") {
		t.Errorf("the log: %s", log)
	}
}

func TestAClientThatStopsReadingALongListIsDropped(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.PieceTime = 100 * time.Millisecond })
	for range 24 { // more than two sockets' buffers hold
		w.insert("items", `{"fill":"`+strings.Repeat("x", 1<<20)+`"}`)
	}
	inner := w.srv.Config.Handler
	ended := make(chan any, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			ended <- p
			if p != nil {
				panic(p)
			}
		}()
		inner.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /rest/items HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", withKey)
	select {
	case p := <-ended:
		if p != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v; the client could take half a list for a whole one", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the handler still waits for its client")
	}
}
