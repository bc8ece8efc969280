package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pageSays is what a page in a browser has seen.
type pageSays struct {
	Ready  bool   `json:"ready"`
	Image  string `json:"image"`
	Width  int    `json:"width"`
	Stream string `json:"stream"`
	State  string `json:"state"`
	Event  string `json:"event"`
	Data   string `json:"data"`
	ID     string `json:"id"`
}

// page is one page in a real browser.
type page struct {
	t    *testing.T
	in   io.WriteCloser
	says chan pageSays
}

func openPage(t *testing.T, url string) *page {
	t.Helper()
	dir, chromium := newBrowser(t)
	cmd := exec.Command("node", "page.mjs")
	cmd.Dir = dir
	var trouble lockedBuffer
	cmd.Stderr = &trouble
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, in: in, says: make(chan pageSays, 10_000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var s pageSays
			if err := json.Unmarshal(lines.Bytes(), &s); err == nil {
				p.says <- s
			}
		}
		close(p.says)
	}()
	t.Cleanup(func() {
		in.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser: %v\n%s", err, trouble.String())
		}
	})
	p.do(map[string]any{"browser": chromium, "page": url})
	p.until("the page is there", func(s pageSays) bool { return s.Ready })
	return p
}

// do makes the page do something.
func (p *page) do(what any) {
	p.t.Helper()
	line, err := json.Marshal(what)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// until takes what the page says until it says the right thing.
func (p *page) until(what string, ok func(pageSays) bool) {
	p.t.Helper()
	late := time.After(patience)
	for {
		select {
		case s, open := <-p.says:
			if !open {
				p.t.Fatalf("the browser ended before %s", what)
			}
			if ok(s) {
				return
			}
		case <-late:
			p.t.Fatalf("it was not seen that %s", what)
		}
	}
}

// switchboard is one address behind which now this server is and now that one,
// as behind a load balancer.
type switchboard struct {
	net.Listener
	to atomic.Pointer[string]
}

func newSwitchboard(t *testing.T, to string) *switchboard {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &switchboard{Listener: l}
	s.to.Store(&to)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.connect(c)
		}
	}()
	return s
}

func (s *switchboard) connect(c net.Conn) {
	defer c.Close()
	b, err := net.Dial("tcp", *s.to.Load())
	if err != nil {
		return
	}
	defer b.Close()
	go func() {
		io.Copy(b, c)
		b.Close()
	}()
	io.Copy(c, b)
}

// newHome serves an empty page, whose origin a web key can name.
func newHome(t *testing.T) string {
	t.Helper()
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>page</title><body></body>")
	}))
	t.Cleanup(home.Close)
	return home.URL
}

// writing is what one client does to the cluster, and what listeners hear of it.
type writing struct {
	s     *server
	lane  string
	heard []string
}

func (w *writing) call(method, path, body string, want int) (string, error) {
	for {
		code, answer, err := w.s.rest(method, path, body)
		if err == nil && code == 503 { // certainly not applied
			continue
		}
		if err == nil && code != want {
			err = fmt.Errorf("%s %s: %d %s", method, path, code, answer)
		}
		return answer, err
	}
}

// round writes one document in all ways.
func (w *writing) round(n int) error {
	id := fmt.Sprintf("%s%06d", w.lane, n)
	doc := fmt.Sprintf(`{"_id":%q,"n":%d}`, id, n)
	if _, err := w.call("POST", "/rest/items", doc, 201); err != nil {
		return err
	}
	w.heard = append(w.heard, fmt.Sprintf(`{"event":"post","collection":"items","data":%s}`, doc))
	if _, err := w.call("PUT", "/rest/items/"+id, `{"n":0}`, 200); err != nil {
		return err
	}
	w.heard = append(w.heard, fmt.Sprintf(`{"event":"put","collection":"items","data":%q}`, id))
	if n%3 == 0 {
		if _, err := w.call("DELETE", "/rest/items/"+id, "", 200); err != nil {
			return err
		}
		w.heard = append(w.heard, fmt.Sprintf(`{"event":"delete","collection":"items","data":[%q]}`, id))
	}
	message := fmt.Sprintf(`{"event":"news","data":%q}`, id)
	if n%4 == 0 {
		if _, err := w.call("POST", "/realtime", message, 201); err != nil {
			return err
		}
		w.heard = append(w.heard, message)
	}
	return nil
}

// A page hears each write through other nodes once and in order, also when the
// node that it is connected to dies: whether the browser connects again, to what
// is then behind the same address, or the page by itself to another node.
func TestAPageHearsEverything(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	servers := newRestCluster(t, 3)
	slices.SortFunc(servers, func(a, b *server) int { return strings.Compare(a.id, b.id) })
	leader := leaderOf(t, servers)
	var others []*server
	var victim *server
	for _, s := range servers {
		if s != leader && victim == nil {
			victim = s
		} else {
			others = append(others, s)
		}
	}
	if code, answer, err := leader.rest("POST", "/rest/items", `{}`); code != 201 || err != nil {
		t.Fatalf("%d %s %v", code, answer, err)
	}
	key := leader.webKey(t, "--path", "items", "--methods", "GET", "--origin", home,
		"--realtime", "POST:items,PUT:items,DELETE:items", "--channels", "news")
	board := newSwitchboard(t, victim.http)
	at := func(addr string) string { return "http://" + addr + "/realtime?apikey=" + key }
	p := openPage(t, home)
	streams := map[string]any{
		"browser": map[string]any{"listen": "browser", "urls": []string{at(board.Addr().String())}},
		"page":    map[string]any{"listen": "page", "urls": []string{at(victim.http), at(others[0].http)}, "manual": true},
	}
	heard := map[string][]string{}
	broken := map[string]int{}
	for name, what := range streams {
		p.do(what)
		p.until(name+" is connected", func(s pageSays) bool { return s.Stream == name && s.Event == "ping" })
	}
	note := func(s pageSays) {
		switch {
		case s.State == "broken":
			broken[s.Stream]++
		case s.Event != "" && s.Event != "ping":
			heard[s.Stream] = append(heard[s.Stream], s.Data)
			var inner struct{ Event string }
			if err := json.Unmarshal([]byte(s.Data), &inner); err != nil || s.Event != "publish" && inner.Event != s.Event {
				t.Errorf("event %s with %s", s.Event, s.Data)
			}
		}
	}

	rounds := size(60, 600)
	lanes := []*writing{{s: others[0], lane: "aaaaaaaaaaaaaaaaaa"}, {s: others[1], lane: "bbbbbbbbbbbbbbbbbb"}}
	failed := make([]error, len(lanes))
	var wg sync.WaitGroup
	var done atomic.Int64
	for i, w := range lanes {
		wg.Go(func() {
			for n := range rounds {
				if failed[i] = w.round(n); failed[i] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	victim.waitFor("the writers are half way", 60*time.Second, func() error {
		if done.Load() < int64(rounds) {
			return fmt.Errorf("%d rounds", done.Load())
		}
		return nil
	})
	other := others[1].http
	board.to.Store(&other)
	victim.kill()
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	if code, answer, err := others[1].rest("POST", "/realtime", `{"event":"news","data":"end"}`); code != 201 || err != nil {
		t.Fatalf("%d %s %v", code, answer, err)
	}
	const end = `{"event":"news","data":"end"}`
	ended := func(name string) bool { return slices.Contains(heard[name], end) }
	p.until("both streams heard the end", func(s pageSays) bool {
		note(s)
		return ended("browser") && ended("page")
	})
	for name := range streams {
		if broken[name] == 0 {
			t.Errorf("%s was never broken off", name)
		}
		checkHeard(t, name, heard[name], lanes)
	}
	if !slices.Equal(heard["browser"], heard["page"]) {
		t.Error("the two streams differ in their order")
	}
}

// checkHeard compares what a stream has heard with what writers have done.
func checkHeard(t *testing.T, name string, heard []string, lanes []*writing) {
	t.Helper()
	want := 1 // the end
	for _, w := range lanes {
		want += len(w.heard)
		var own []string
		for _, data := range heard {
			if strings.Contains(data, w.lane) {
				own = append(own, data)
			}
		}
		if !slices.Equal(own, w.heard) {
			t.Errorf("%s: of what went through %s %d events, want %d; the first that differs is %d", name, w.s.id, len(own), len(w.heard), differ(own, w.heard))
		}
	}
	if len(heard) != want {
		t.Errorf("%s heard %d events, want %d", name, len(heard), want)
	}
	t.Logf("%s heard %d events", name, len(heard))
}

func differ(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// An uploaded picture shows in a page, small and whole, without a key.
func TestAPageShowsAPicture(t *testing.T) {
	t.Parallel()
	s := newServer(t, "n1", 1)
	file := t.TempDir() + "/restdb.key"
	if err := os.WriteFile(file, []byte(restKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.extra = []string{"--restdb-key-file", file}
	s.start()
	s.waitReady(patience)
	picture := image.NewRGBA(image.Rect(0, 0, 800, 600))
	for x := range 800 {
		for y := range 600 {
			picture.Set(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("picture", "sea.png")
	if err == nil {
		err = errors.Join(png.Encode(part, picture), form.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	code, answer, err := s.do("POST", "/media", body.String(), map[string]string{"x-apikey": restKey, "Content-Type": form.FormDataContentType()})
	var uploaded struct{ IDs []string }
	if err != nil || code != 201 || json.Unmarshal([]byte(answer), &uploaded) != nil || len(uploaded.IDs) != 1 {
		t.Fatalf("upload: %d %s %v", code, answer, err)
	}
	p := openPage(t, newHome(t))
	for query, width := range map[string]int{"?s=t": 128, "?s=w": 640, "": 800} {
		p.do(map[string]string{"image": "http://" + s.http + "/media/" + uploaded.IDs[0] + query})
		p.until("the picture was tried", func(seen pageSays) bool {
			if seen.Image != "" && seen.Width != width {
				t.Errorf("%s is %d pixels wide, want %d", seen.Image, seen.Width, width)
			}
			return seen.Image != ""
		})
	}
}
