package kvdb

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/kv/kvtest"
)

func TestAClientThatStopsReadingALongListIsDropped(t *testing.T) {
	inner := newHandler(t, kvtest.New(t), func(s *settings) { s.layer.MaxValue, s.api.PieceTime = 1<<20, 100*time.Millisecond })
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
	w := &world{t: t, srv: srv}
	id := w.bucket()
	<-ended
	value := strings.Repeat("v", 1<<20)
	for i := range 24 { // more than two sockets' buffers hold
		w.want(200, "", "PUT", fmt.Sprintf("/%s/k%d", id, i), value)
		<-ended
	}
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /%s?values=true HTTP/1.1\r\nHost: x\r\n\r\n", id)
	select {
	case p := <-ended:
		if p != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v; the client could take half a list for a whole one", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the handler still waits for its client")
	}
}

func TestRequestsWaitOnlySoLong(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	impatient := httptest.NewServer(newHandler(t, w.store, func(s *settings) { s.api.Wait = time.Nanosecond }))
	defer impatient.Close()
	w.srv = impatient
	for _, op := range [][3]string{{"GET", "/" + id + "/k", ""}, {"GET", "/" + id, ""}, {"PUT", "/" + id + "/k", "v"}, {"POST", "/", ""}, {"BREW", "/" + id, ""}} {
		if a := w.refused(503, op[0], op[1], op[2]); a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: 503 without Retry-After", op[0], op[1])
		}
	}
}
