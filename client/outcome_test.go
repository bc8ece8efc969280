package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// lose breaks the connection in place of an answer.
func lose(w http.ResponseWriter, _ *http.Request) {
	panic(http.ErrAbortHandler)
}

// What a change needed may be gone because it was applied: only the answer of a
// node that judged the change anew ends the doubt about an earlier try.
func TestDoubtEndsWhenAChangeIsJudged(t *testing.T) {
	t.Parallel() // it waits
	for status, unknown := range map[int]bool{400: false, 401: true, 403: true, 404: true, 409: false, 412: false, 429: true, 502: true, 503: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			n, called := nest(t, lose, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(status)
			})
			n.c.cfg.Timeout = time.Second
			err := n.DeleteVariable(t.Context(), 1)
			if err == nil || errors.Is(err, ErrUnknown) != unknown || len(called()) < 2 {
				t.Errorf("after a lost answer: %v, unknown must be %v", err, unknown)
			}
		})
	}
}

func TestDoubtOutlastsALimit(t *testing.T) {
	t.Parallel() // it waits
	n, _ := nest(t, lose, says(429, `{}`), func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "60"); w.WriteHeader(429) })
	if err := n.DeleteVariable(t.Context(), 1); !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrLimited) {
		t.Error(err)
	}
}

func TestABadGatewayMayHaveHandedAChangeOn(t *testing.T) {
	n, _ := nest(t, says(502, `<html>`))
	n.c.cfg.Timeout = 100 * time.Millisecond
	if err := n.DeleteVariable(t.Context(), 1); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := n.Variable(t.Context(), 1, false); !errors.Is(err, ErrUnavailable) {
		t.Error("a read:", err)
	}
}

func TestALogoutWhoseAnswerWasLostIsDone(t *testing.T) {
	n, _ := nest(t, lose, says(401, `{"error":"Invalid token.","code":"INVALID_TOKEN"}`))
	if err := n.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	n, _ = nest(t, says(401, `{"error":"Invalid token.","code":"INVALID_TOKEN"}`))
	if err := n.Logout(t.Context()); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}

// A node dies with a change that came over a connection that was kept: net/http
// sends it again, and that cannot be delivered, but the first one was.
func TestAChangeOverAConnectionThatBrokeIsUnknown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		if r, err := http.ReadRequest(in); err == nil {
			r.Body.Close()
			conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
		}
		if r, err := http.ReadRequest(in); err == nil {
			r.Body.Close()
			l.Close()
		}
	}()
	n := open(t, Config{Endpoints: []string{l.Addr().String()}, Timeout: 2 * time.Second, Unreachable: time.Nanosecond}).Nest("tok")
	if _, err := n.Variable(t.Context(), 1, false); err != nil {
		t.Fatal(err)
	}
	if err := n.DeleteVariable(t.Context(), 1); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}
