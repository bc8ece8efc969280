package kvdb

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
)

// An idle client's place moves on, so that it does not fall out of the history.
func TestWatchPings(t *testing.T) {
	w := watching(t, kvtest.New(t), func(s *settings) { s.api.Ping = 10 * time.Millisecond })
	id, other := w.bucket(), w.bucket()
	s := w.watch("/" + id + "/?watch=true")
	s.want("ready *")
	version := w.set("/"+other+"/x", "1")
	pings := 0
	for s.lastID != version {
		if !s.lines.Scan() {
			t.Fatalf("the stream ended at %s after %d pings", s.lastID, pings)
		}
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case field == "id":
			s.lastID = value
		case field == "" && value == "ping":
			pings++
		}
	}
	if pings == 0 {
		t.Error("no ping came along")
	}
}

// Changes that a client does not want are no reason to be silent.
func TestWatchPingsWhileOthersWrite(t *testing.T) {
	w := watching(t, kvtest.New(t), func(s *settings) { s.api.Ping = 300 * time.Millisecond })
	id := w.bucket()
	s := w.watch("/" + id + "/?watch=true&regex=never")
	pinged := make(chan bool, 1)
	go func() {
		for s.lines.Scan() {
			if s.lines.Text() == ": ping" {
				pinged <- true
				return
			}
		}
		pinged <- false
	}()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		w.set("/"+id+"/x", "1")
		select {
		case ok := <-pinged:
			if !ok {
				t.Error("the stream ended without a ping")
			}
			return
		default:
		}
	}
	t.Error("no ping comes while others write")
}

func TestWatchesAreBoundedAndEndWithTheServer(t *testing.T) {
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	store := kvtest.New(t)
	w := &world{t: t, store: store}
	w.srv = httptest.NewUnstartedServer(newHandler(t, store, func(s *settings) {
		s.api.Feed, s.api.Streams = feed.New(store), web.NewStreams(web.StreamLimits{PerClient: 2}, nil)
	}))
	w.srv.Config.BaseContext = func(net.Listener) context.Context { return web.WithStopping(context.Background(), serving) }
	w.srv.Start()
	t.Cleanup(w.srv.Close)
	id := w.bucket()
	path := "/" + id + "/?watch=true"
	a, b := w.watch(path), w.watch(path)
	w.refused(429, "GET", path, "")
	a.resp.Body.Close()
	w.want(200, "", "HEAD", path, "") // is no stream
	stop()
	b.want("ready *", `end {"reason":"this node stops, connect to another one"}`)
	b.ended()
}

func TestNoWatchesWithoutAFeed(t *testing.T) {
	w := newWorld(t)
	w.refused(503, "GET", "/"+w.bucket()+"/?watch=true", "")
}

// A client that does not read is cut off, its goroutine ends, and it can go on.
func TestWatchCutsOffAClientThatNeverReads(t *testing.T) {
	streams := web.NewStreams(web.StreamLimits{PerClient: 1}, nil)
	w := watching(t, kvtest.New(t), func(s *settings) {
		s.api.Streams, s.api.PieceTime, s.layer.MaxValue = streams, 100*time.Millisecond, 8<<20
	})
	id := w.bucket()
	c, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /%s/?watch=true&values=true HTTP/1.1\r\nHost: x\r\n\r\n", id)
	r := bufio.NewReader(c)
	last := ""
	for line := ""; !strings.HasPrefix(line, "data: "); {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = strings.TrimSpace(id)
		}
	}
	big := strings.Repeat("x", 8<<20)
	first := w.set("/"+id+"/k", big)
	for range 5 {
		w.set("/"+id+"/k", big)
	}
	w.set("/"+id+"/z", "1")
	for end := time.Now().Add(15 * time.Second); ; {
		release, err := streams.Take("kvdb", netip.MustParseAddr("127.0.0.1"))
		if err == nil {
			release()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the client is still waited for")
		}
		w.do("GET", "/"+id+"/z", "")
	}
	s := w.watch("/"+id+"/?watch=true", "Last-Event-ID: "+last)
	s.want("ready *", `set {"key":"k","version":`+first+`,*`)
	for range 5 {
		s.want(`set {"key":"k"*`)
	}
	s.want(`set {"key":"z"*`)
}

func TestWatchesTakeTurnsWithLongValues(t *testing.T) {
	a := &api{Config: Config{Wait: 10 * time.Millisecond}, long: make(chan struct{}, 1)}
	w := &watcher{request: &request{api: a}}
	leave, err := w.enter(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(context.Background()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("without room: %v", err)
	}
	gone, cancel := context.WithCancelCause(context.Background())
	cancel(errDue)
	if _, err := w.enter(gone); err != error(errDue) {
		t.Errorf("without a client: %v", err)
	}
	leave()
	if leave, err = w.enter(context.Background()); err != nil {
		t.Fatal(err)
	}
	leave()
}
