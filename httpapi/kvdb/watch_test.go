package kvdb

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
)

// watching gives a world a feed, and the changes of a test.
func watching(t *testing.T, store *kvtest.Store, change ...func(*settings)) *world {
	t.Helper()
	change = append([]func(*settings){func(s *settings) { s.api.Feed = feed.New(store) }}, change...)
	w := &world{t: t, store: store}
	w.srv = httptest.NewServer(newHandler(t, store, change...))
	t.Cleanup(w.srv.Close)
	return w
}

// sse is one event as a browser would dispatch it, or a block that moves the
// last id on.
type sse struct{ id, name, data string }

func (e sse) String() string { return e.name + " " + e.data }

// eventSource reads a stream.
type eventSource struct {
	t      testing.TB
	resp   *http.Response
	lines  *bufio.Scanner
	lastID string
}

// watch opens a stream, which must be one.
func (w *world) watch(path string, headers ...string) *eventSource {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", w.srv.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		w.t.Fatalf("GET %s: %d %s (%s)", path, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Covey-Reason"))
	}
	return &eventSource{t: w.t, resp: resp, lines: bufio.NewScanner(resp.Body)}
}

// next returns the next event; ok is false at the end of the stream.
func (s *eventSource) next() (e sse, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "id":
			e.id, s.lastID = value, value
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if e.name != "" || e.data != "" {
				return e, true
			}
			e = sse{}
		}
	}
	if err := s.lines.Err(); err != nil {
		s.t.Fatalf("the stream broke: %v", err)
	}
	return e, false
}

// want reads the next events, as "name data", where a * stands for anything.
func (s *eventSource) want(events ...string) {
	s.t.Helper()
	for _, want := range events {
		e, ok := s.next()
		got := e.String()
		if !ok {
			got = "the end"
		}
		if !like(got, want) {
			s.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func like(got, want string) bool {
	parts := strings.Split(want, "*")
	last := len(parts) - 1
	if last == 0 {
		return got == want
	}
	got, ok := strings.CutPrefix(got, parts[0])
	for _, p := range parts[1:last] {
		_, rest, found := strings.Cut(got, p)
		got, ok = rest, ok && found
	}
	return ok && strings.HasSuffix(got, parts[last])
}

func (s *eventSource) ended() {
	s.t.Helper()
	if e, ok := s.next(); ok {
		s.t.Errorf("got %v, want the end", e)
	}
}

func (w *world) set(path, value string, headers ...string) (version string) {
	w.t.Helper()
	return w.want(200, "", "PUT", path, value, headers...).header.Get("Covey-Version")
}

func TestWatchTellsEveryKindOfChange(t *testing.T) {
	w := watching(t, kvtest.New(t))
	id := w.bucket("default_ttl", "0")
	s := w.watch("/" + id + "/?watch=true&values=true")
	plain := w.watch("/" + id + "?watch=1")
	begin := s.resp.Header.Get("Covey-Version")
	if e, _ := s.next(); e != (sse{begin, "ready", `{"version":` + begin + `}`}) {
		t.Errorf("began with %+v, the version is %s", e, begin)
	}
	v := w.set("/"+id+"/a", "x\ny")
	w.want(200, "", "PUT", "/"+id+"/a", "7")
	w.want(200, "8", "PATCH", "/"+id+"/a", "+1")
	w.want(200, "", "PUT", "/"+id+"/b?ttl=60", "")
	w.want(200, "", "POST", "/"+id+"/", `{"txn":[{"set":"c","value":{"x":[1]}},{"delete":"a"},{"delete":"none"}]}`)
	w.want(200, "", "PUT", "/"+id+"/%ff%22", "\xfe")
	w.store.Advance(61 * time.Second)
	if err := w.store.Reap(); err != nil {
		t.Fatal(err)
	}
	expires := strconv.FormatInt(kvtest.Start+60_000, 10)
	s.want(
		`set {"key":"a","version":`+v+`,"value":"x\ny","created":true}`,
		`set {"key":"a","version":*,"value":7,"created":false}`,
		`set {"key":"a","version":*,"value":8,"created":false}`,
		`set {"key":"b","version":*,"value":"","created":true,"expires":`+expires+`}`,
		`set {"key":"c","version":*,"value":{"x":[1]},"created":true}`,
		`delete {"key":"a","version":*}`,
		"set {\"key\":\"\uFFFD\\\"\",\"version\":*,\"value\":\"\uFFFD\",\"created\":true}",
		`expire {"key":"b","version":*}`,
	)
	plain.want("ready *", `set {"key":"a","version":`+v+`,"created":true}`)
	w.want(200, "", "DELETE", "/"+id+"/", "")
	s.want(`end {"reason":"the bucket was deleted"}`)
	s.ended()
}

func TestWatchSelectsByPrefixAndRegex(t *testing.T) {
	w := watching(t, kvtest.New(t))
	id, other := w.bucket(), w.bucket()
	prefix := w.watch("/" + id + "/?watch=true&prefix=a/")
	regex := w.watch("/" + id + "/?watch=true&regex=%5Eb.*9$")
	none := w.watch("/" + id + "/?watch=true&prefix=a&regex=%5Eb.*9$")
	for _, k := range []string{"a", "a/1", "b1", "b9", "a/2"} {
		w.set("/"+id+"/"+k, "")
		w.set("/"+other+"/"+k, "")
	}
	prefix.want("ready *", `set {"key":"a/1"*`, `set {"key":"a/2"*`)
	regex.want("ready *", `set {"key":"b9"*`)
	w.want(200, "", "DELETE", "/"+id+"/", "")
	none.want("ready *", "end *")
}

func TestWatchGoesOnWhereItWas(t *testing.T) {
	w := watching(t, kvtest.New(t))
	id := w.bucket()
	list := w.want(200, "", "GET", "/"+id+"/", "")
	since := list.header.Get("Covey-Version")
	w.want(200, "", "POST", "/"+id+"/", `{"txn":[{"set":"a","value":1},{"set":"b","value":2},{"set":"c","value":3}]}`)
	first := w.watch("/" + id + "/?watch=true&since=" + since)
	first.want(`ready {"version":`+since+`}`, `set {"key":"a"*`, `set {"key":"b"*`)
	w.set("/"+id+"/d", "4")
	// The header is newer than the parameter, which a browser sends again.
	second := w.watch("/"+id+"/?watch=true&since="+since, "Last-Event-ID: "+first.lastID)
	second.want("ready *", `set {"key":"c"*`, `set {"key":"d"*`)
	// A place that was only announced counts too.
	w.set("/"+id+"/e", "5")
	third := w.watch("/"+id+"/?watch=true", "Last-Event-ID: "+second.lastID)
	third.want("ready *")
	w.watch("/"+id+"/?watch=true", "Last-Event-ID: "+third.lastID).want("ready *", `set {"key":"e"*`)
}

func TestWatchOfWhatIsNoLongerKeptIsReset(t *testing.T) {
	store := kvtest.NewShort(t, 64<<10)
	w := watching(t, store)
	id := w.bucket()
	since := w.set("/"+id+"/a", "1")
	for i := range 200 {
		w.set("/"+id+"/k", strconv.Itoa(i)+strings.Repeat("x", 1000))
	}
	s := w.watch("/" + id + "/?watch=true&since=" + since)
	s.want("ready *", `reset {"version":*,"reason":"the history no longer reaches back to the place to go on from"}`)
	w.set("/"+id+"/b", "2")
	s.want(`set {"key":"b"*`)
}

func TestWatchOfAnotherHistoryIsReset(t *testing.T) {
	w := watching(t, kvtest.New(t))
	id := w.bucket("secret_key", "s3cret")
	before := w.set("/"+id+"/a", "1")
	w.want(200, "", "PATCH", "/"+id, "write_key=w", "Content-Type: application/x-www-form-urlencoded", bearer("s3cret"))
	for query, why := range map[string]string{
		"since=1000000":                   "ahead",
		"since=1000000.3":                 "ahead",
		"since=1000000&consistency=stale": "ahead",
		"since=" + before:                 "policy",
	} {
		s := w.watch("/"+id+"/?watch=true&"+query, bearer("s3cret"))
		e, _ := s.next()
		now := s.resp.Header.Get("Covey-Version")
		if e.name != "reset" || e.id != now || !strings.HasPrefix(e.data, `{"version":`+now+`,"reason":"`) || !strings.Contains(e.data, why) {
			t.Errorf("%s: began with %+v at %s", query, e, now)
		}
	}
}

func TestWatchRefuses(t *testing.T) {
	w := watching(t, kvtest.New(t))
	open, closed := w.bucket(), w.bucket("secret_key", "s3cret", "read_key", "r3ad", "signing_key", "sign")
	token := strings.TrimPrefix(w.do("POST", "/"+closed+"/tokens/", "prefix=u:&permissions=enumerate", bearer("s3cret")).body, "access_token=")
	for _, tt := range []struct {
		code   int
		path   string
		header string
	}{
		{400, open + "/?watch=true&since=x", ""},
		{400, open + "/?watch=true", "Last-Event-ID: 1.2.3"},
		{400, open + "/?watch=true&limit=3", ""},
		{400, open + "/?watch=true&reverse=true", ""},
		{400, open + "/?watch=true&regex=(", ""},
		{400, open + "/?watch=true&consistency=later", ""},
		{400, open + "/?watch=true&prefix=" + strings.Repeat("p", bucket.MaxKey+1), ""},
		{404, "nobucket1/?watch=true", ""},
		{403, closed + "/?watch=true", ""},
		{403, closed + "/?watch=true&limit=3", ""},
		{401, closed + "/?watch=true", bearer("wrong")},
		{403, closed + "/?watch=true", bearer("r3ad")},
		{403, closed + "/?watch=true&prefix=v:", bearer(token)},
		{403, closed + "/?watch=true&values=true", bearer(token)},
	} {
		if tt.header == "" {
			tt.header = "X-Nothing: x"
		}
		w.refused(tt.code, "GET", "/"+tt.path, "", tt.header)
		w.refused(tt.code, "HEAD", "/"+tt.path, "", tt.header)
	}
	a := w.want(200, "", "HEAD", "/"+open+"/?watch=true", "")
	if a.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || a.header.Get("Covey-Version") == "" || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("HEAD: %v", a.header)
	}
	w.refused(405, "PUT", "/"+open+"/?watch=true", "")
	// Below its prefix the token watches.
	s := w.watch("/"+closed+"/?watch=true", bearer(token))
	w.set("/"+closed+"/v:1", "", bearer("s3cret"))
	w.set("/"+closed+"/u:1", "", bearer("s3cret"))
	s.want("ready *", `set {"key":"u:1"*`)
}

func TestWatchEndsWhenItsCallerMayNoMore(t *testing.T) {
	w := watching(t, kvtest.New(t), func(s *settings) { s.api.Ping = 10 * time.Millisecond })
	id := w.bucket("secret_key", "s3cret", "signing_key", "one", "read_key", "r1")
	mint := func(ttl string) string {
		return strings.TrimPrefix(w.do("POST", "/"+id+"/tokens/", "permissions=read,enumerate&ttl="+ttl, bearer("s3cret")).body, "access_token=")
	}
	patch := func(t *testing.T, form string) {
		t.Helper()
		w := &world{t: t, store: w.store, srv: w.srv}
		w.want(200, "", "PATCH", "/"+id, form, "Content-Type: application/x-www-form-urlencoded", bearer("s3cret"))
	}
	t.Run("a policy that still allows it", func(t *testing.T) {
		w := &world{t: t, store: w.store, srv: w.srv}
		s := w.watch("/"+id+"/?watch=true", bearer("s3cret"))
		patch(t, "default_ttl=0")
		w.set("/"+id+"/a", "1")
		s.want("ready *", `set {"key":"a"*`)
	})
	t.Run("a new signing key", func(t *testing.T) {
		w := &world{t: t, store: w.store, srv: w.srv}
		s := w.watch("/"+id+"/?watch=true", bearer(mint("3600")))
		w.set("/"+id+"/b", "1")
		patch(t, "signing_key=two")
		w.set("/"+id+"/c", "1")
		s.want("ready *", `set {"key":"b"*`, "end *access token*")
		s.ended()
	})
	t.Run("a token that ends", func(t *testing.T) {
		w := &world{t: t, store: w.store, srv: w.srv}
		s := w.watch("/"+id+"/?watch=true", bearer(mint("1")))
		s.want("ready *")
		w.store.Advance(time.Hour)
		s.want("end *expired*")
		s.ended()
	})
	t.Run("a new secret key", func(t *testing.T) {
		w := &world{t: t, store: w.store, srv: w.srv}
		s := w.watch("/"+id+"/?watch=true&values=true", bearer("s3cret"))
		patch(t, "secret_key=other")
		s.want("ready *", "end *credential*")
	})
}

func TestWatchReadsLongValuesFromTheStore(t *testing.T) {
	store := kvtest.New(t)
	w := watching(t, store, func(s *settings) { s.layer.MaxValue = 1 << 20 })
	id := w.bucket()
	since := w.set("/"+id+"/k", strings.Repeat("a", 20<<10))
	w.set("/"+id+"/k", strings.Repeat("b", 300<<10))
	w.set("/"+id+"/gone", strings.Repeat("c", 20<<10))
	w.want(200, "", "DELETE", "/"+id+"/gone", "")
	n, _ := strconv.Atoi(since)
	s := w.watch(fmt.Sprintf("/%s/?watch=true&values=true&since=%d", id, n-1))
	s.lines.Buffer(nil, 1<<20)
	s.want(
		"ready *",
		`set {"key":"k","version":`+since+`,"created":true,"expires":*}`, // overwritten meanwhile
		`set {"key":"k","version":*,"value":"`+strings.Repeat("b", 300<<10)+`","created":false,"expires":`+strconv.FormatInt(kvtest.Start+7*24*3600*1000, 10)+"}",
		`set {"key":"gone","version":*,"created":true,"expires":`+strconv.FormatInt(kvtest.Start+7*24*3600*1000, 10)+"}",
		`delete {"key":"gone","version":*}`,
	)
}
