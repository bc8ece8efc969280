package kot

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

func TestAClientThatStopsReadingALongAnswerIsDropped(t *testing.T) {
	store := kvtest.New(t)
	inner := newHandler(store, func(c *Config) { c.PieceTime = 100 * time.Millisecond })
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
	w := &world{t: t, store: store, srv: srv}
	value := strings.Repeat("v", 1<<20)
	for i := range 24 { // more than two sockets' buffers hold
		w.set("d", fmt.Sprint("k", i), value)
		<-ended
	}
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := "database_name=d"
	fmt.Fprintf(c, "POST /controller/get_all HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", admitted, formType, len(body), body)
	select {
	case p := <-ended:
		if p != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v; the client could take half an object for a whole one", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the handler still waits for its client")
	}
}
