package restdb

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
)

// sse is one event as it came over the wire.
type sse struct{ id, name, data, comment string }

// source reads a stream as a browser does.
type source struct {
	t     testing.TB
	resp  *http.Response
	lines *bufio.Scanner
}

// listen opens a stream, with a query and headers.
func (w *world) listen(query string, headers ...string) *source {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", w.srv.URL+"/realtime"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &source{t: w.t, resp: resp, lines: lines}
}

// next returns the next event or comment; ok is false at the end of the stream.
func (s *source) next() (e sse, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if value != "" {
				e.comment = value
			} else if e != (sse{}) {
				return e, true
			}
		}
	}
	return e, false
}

// event returns the next event that is no ping.
func (s *source) event() sse {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream has ended: %v", s.lines.Err())
		}
		if e.name != "ping" && e.name != "" {
			return e
		}
	}
}

func TestRealtime(t *testing.T) {
	w := newFollowed(t)
	web := w.key(collection.KeySpec{
		Web: true, Paths: []string{"items"}, Methods: []string{"GET", "POST"}, Origins: []string{foreign},
		Realtime: []string{"POST:*", "PUT:items", "DELETE:items"}, Channels: []string{"news"},
	})
	s := w.listen("?apikey="+web, "Origin: "+foreign)
	if s.resp.StatusCode != 200 {
		t.Fatal(s.resp.Status)
	}
	if got := cors(response{header: s.resp.Header}); got != readable {
		t.Errorf("CORS %q", got)
	}
	if got := s.resp.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Errorf("type %q", got)
	}
	first, _ := s.next()
	if at, err := time.Parse(time.RFC3339, first.data); first.name != "ping" || first.id == "" || err != nil || at.UnixMilli() != w.store.Now() {
		t.Errorf("it begins with %+v, %v", first, err)
	}

	id := w.insert("items", `{"name":"ann"}`)
	w.send("PUT", "/rest/items/"+id, `{"name":"bob"}`)
	w.send("PATCH", "/rest/items/"+id, `{"$inc":{"n":1}}`)
	if a := w.do("POST", "/realtime", `{"event":"news","data":{"a":"é"}}`, "x-apikey: "+web, asJSON); a.code != 201 || a.body != `{"event":"news","data":{"a":"é"}}` {
		t.Errorf("publish: %d %s", a.code, a.body)
	}
	w.insert("secrets", `{}`) // POST:* tells of it, but the key has not its path
	w.send("DELETE", "/rest/items/"+id, "")
	two := w.send("POST", "/rest/items", `[{"_id":"000000000000000000000001"},{"_id":"000000000000000000000002"}]`)
	if two.code != 201 {
		t.Fatal(two.body)
	}
	w.send("DELETE", "/rest/items/*", `["000000000000000000000002","000000000000000000000001"]`)
	want := []sse{
		{name: "post", data: `{"event":"post","collection":"items","data":{"_id":"` + id + `","name":"ann"}}`},
		{name: "put", data: `{"event":"put","collection":"items","data":"` + id + `"}`},
		{name: "put", data: `{"event":"put","collection":"items","data":"` + id + `"}`},
		{name: "publish", data: `{"event":"news","data":{"a":"é"}}`},
		{name: "delete", data: `{"event":"delete","collection":"items","data":["` + id + `"]}`},
		{name: "post", data: `{"event":"post","collection":"items","data":{"_id":"000000000000000000000001"}}`},
		{name: "post", data: `{"event":"post","collection":"items","data":{"_id":"000000000000000000000002"}}`},
		{name: "delete", data: `{"event":"delete","collection":"items","data":["000000000000000000000002","000000000000000000000001"]}`},
	}
	check := func(s *source, what string, from int) (ids []string) {
		t.Helper()
		var got []sse
		for range want[from:] {
			e := s.event()
			ids = append(ids, e.id)
			e.id = ""
			got = append(got, e)
		}
		if diff := cmp.Diff(want[from:], got, cmp.AllowUnexported(sse{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		return ids
	}
	ids := check(s, "as it happens", 0)
	check(w.listen("?apikey="+web, "Last-Event-ID: "+first.id), "behind the first ping", 0)
	for i, id := range ids[:len(ids)-1] {
		check(w.listen("?apikey="+web, "Last-Event-ID: "+id), "behind "+id, i+1)
		check(w.listen("?apikey="+web+"&lastEventId="+id), "behind ?lastEventId="+id, i+1)
	}
	if e := w.listen("?apikey="+web, "Last-Event-ID: 1000000.1").event(); e.name != "reset" || !strings.HasPrefix(e.data, `{"event":"reset","data":{"reason":"`) {
		t.Errorf("behind a place of the future: %+v", e)
	}
}

// Pings come all the time, each with a place to go on from.
func TestPings(t *testing.T) {
	w := newWorld(t)
	w.serve(func(s *settings) { s.api.Feed, s.api.pings = feed.New(w.store), 20*time.Millisecond })
	s := w.listen("?apikey=" + fullKey)
	begin, _ := s.next()
	w.update(func(tx *kv.Tx) error { tx.Set([]byte("something else"), nil, 0); return nil })
	for n := 0; ; n++ {
		e, ok := s.next()
		if !ok || e.name != "ping" || e.id == "" || e.data == "" {
			t.Fatalf("%+v", e)
		}
		if e.id != begin.id && n > 2 {
			return // it moved on, though there was no event
		}
	}
}

func TestWhoIsRefusedRealtime(t *testing.T) {
	w := newFollowed(t)
	w.set(collection.SettingClientID, "client-1")
	w.set(collection.SettingClientSecret, "the client secret, 32 bytes long")
	w.insert("users", `{"email":"ada@example.com","active":true,"realtime":{"sub":["POST:items"],"pub":["news"]}}`)
	sign := func(email string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"email": email, "aud": "client-1", "exp": kvtest.Start/1000 + 3600}).
			SignedString([]byte("the client secret, 32 bytes long"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	token, stranger := sign("ada@example.com"), sign("eve@example.com")
	page := w.key(collection.KeySpec{Web: true, Paths: []string{"items"}, Methods: []string{"GET"}, Origins: []string{foreign}})
	for what, tt := range map[string]struct {
		query   string
		headers []string
		code    int
	}{
		"no key":                    {"", nil, 401},
		"a wrong key":               {"?apikey=0123456789abcdef01234567", nil, 401},
		"a key in a header":         {"", []string{withKey}, 200},
		"a key without events":      {"?apikey=" + page, nil, 403},
		"a token and a key":         {"?jwt=" + token + "&rt-apikey=" + page, nil, 200},
		"a token in a header":       {"", []string{"Authorization: Bearer " + token}, 200},
		"a token alone":             {"?jwt=" + token, nil, 401},
		"the key of a token alone":  {"?rt-apikey=" + fullKey, nil, 401},
		"a token and a wrong key":   {"?jwt=" + token + "&rt-apikey=0123456789abcdef01234567", nil, 401},
		"a wrong token and a key":   {"?jwt=a.b.c&rt-apikey=" + page, nil, 401},
		"the token of a stranger":   {"?jwt=" + stranger + "&rt-apikey=" + page, nil, 403},
		"a token, another's origin": {"?jwt=" + token + "&rt-apikey=" + page, []string{"Origin: https://evil.example.com"}, 403},
		"a token, the key's origin": {"?jwt=" + token + "&rt-apikey=" + page, []string{"Origin: " + foreign}, 200},
	} {
		t.Run(what, func(t *testing.T) {
			s := w.listen(tt.query, tt.headers...)
			if s.resp.StatusCode != tt.code {
				t.Errorf("%s, want %d", s.resp.Status, tt.code)
			}
			if kind := s.resp.Header.Get("Content-Type"); (tt.code == 200) != strings.HasPrefix(kind, "text/event-stream") {
				t.Errorf("type %q", kind)
			}
			if evil := len(tt.headers) > 0 && strings.Contains(tt.headers[0], "evil"); evil && s.resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("the page of another origin can read the answer")
			}
			s.resp.Body.Close()
		})
	}
	// A page that publishes for its user.
	if a := w.do("POST", "/realtime?jwt="+token+"&rt-apikey="+page, `{"event":"news","data":1}`, asJSON); a.code != 201 {
		t.Errorf("publish as a user: %d %s", a.code, a.body)
	}
	w.fails(403, "Forbidden", w.do("POST", "/realtime?jwt="+token+"&rt-apikey="+page, `{"event":"other"}`, asJSON))
}

func TestPublish(t *testing.T) {
	w := newFollowed(t)
	s := w.listen("?apikey=" + fullKey)
	s.next()
	w.is(201, `{"event":"a","data":null}`, w.send("POST", "/realtime", ` {"event" : "a"} `))
	w.is(201, `{"event":"b","data":"1"}`, w.do("POST", "/realtime", "event=b&data=1", withKey, "Content-Type: application/x-www-form-urlencoded"))
	const once = "Idempotency-Key: 0123456789abcdef"
	for i := range 3 {
		a := w.is(201, `{"event":"c","data":[1]}`, w.send("POST", "/realtime", `{"event":"c","data":[1]}`, once))
		if got := a.header.Get("Covey-Replayed"); (got == "true") != (i > 0) {
			t.Errorf("try %d is a repeat: %q", i, got)
		}
	}
	for body, code := range map[string]int{
		``: 400, `[]`: 400, `{"data":1}`: 400, `{"event":""}`: 400, `{"event":7}`: 400, `{"event":"x\u0007"}`: 400, `{"event":"x","data":}`: 400,
		`{"event":"x","data":"` + strings.Repeat("y", 256<<10) + `"}`: 413,
	} {
		if a := w.send("POST", "/realtime", body); a.code != code {
			t.Errorf("%.30s: %d %s", body, a.code, a.body)
		}
	}
	w.fails(405, "MethodNotAllowed", w.send("PUT", "/realtime", `{}`))
	w.fails(404, "NotFound", w.send("GET", "/realtime/x", ""))
	w.is(201, `{"event":"end","data":null}`, w.send("POST", "/realtime", `{"event":"end"}`))
	var got []string
	for e := s.event(); !strings.Contains(e.data, "end"); e = s.event() {
		got = append(got, e.data)
	}
	want := []string{`{"event":"a","data":null}`, `{"event":"b","data":"1"}`, `{"event":"c","data":[1]}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A stream whose rights end says so, and is over.
func TestAStreamEndsWithItsKey(t *testing.T) {
	w := newFollowed(t)
	key := w.key(collection.KeySpec{})
	s := w.listen("?apikey=" + key)
	s.next()
	w.update(func(tx *kv.Tx) error {
		keys, err := w.layer.Keys(tx, collection.DefaultDatabase)
		if err != nil {
			return err
		}
		return w.layer.RevokeKey(tx, collection.DefaultDatabase, keys[0].ID)
	})
	w.insert("items", `{}`)
	if e, ok := s.next(); !ok || e.name != "" || !strings.Contains(e.comment, "the API key is wrong") {
		t.Errorf("it ends with %+v", e)
	}
	if e, ok := s.next(); ok || s.lines.Err() != nil {
		t.Errorf("then %+v, %v", e, s.lines.Err())
	}
	if a := w.do("GET", "/realtime?apikey="+key, ""); a.code != 401 {
		t.Errorf("whoever comes back gets %d", a.code)
	}
}

// A client that takes nothing is cut off; one that comes too many is refused.
func TestStreamsAreBounded(t *testing.T) {
	streams := web.NewStreams(web.StreamLimits{Total: 2, PerClient: 1}, nil)
	w := newWorld(t)
	w.serve(func(s *settings) {
		s.api.Feed, s.api.Streams, s.api.slow = feed.New(w.store), streams, 50*time.Millisecond
	})
	conn, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /realtime?apikey=%s HTTP/1.1\r\nHost: x\r\n\r\n", fullKey)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	w.fails(429, "TooManyRequests", w.get("/realtime"))
	local := netip.MustParseAddr("127.0.0.1")
	text := strings.Repeat("x", 200_000)
	for range 1000 { // more than all buffers hold
		w.send("POST", "/realtime", `{"event":"x","data":"`+text+`"}`)
		if release, err := streams.Take("test", local); err == nil {
			release()
			return
		}
	}
	t.Error("a client that never reads is still served")
}
