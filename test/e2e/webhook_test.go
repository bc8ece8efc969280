package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/coveydb/covey/internal/seal"
)

// newHookCluster is newRestCluster with a keyring, and calls to private
// addresses allowed.
func newHookCluster(t *testing.T, size int) []*server {
	t.Helper()
	dir := t.TempDir()
	key, ring := filepath.Join(dir, "restdb.key"), filepath.Join(dir, "keyring.json")
	if err := os.WriteFile(key, []byte(restKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Create(ring); err != nil {
		t.Fatal(err)
	}
	servers := make([]*server, size)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), size)
		servers[i].join = servers[0].gossip
		servers[i].extra = []string{"--restdb-key-file", key, "--keyring-file", ring, "--webhook-allow-private"}
		servers[i].start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

// target is the receiver of a webhook. It verifies signatures and keeps what it
// took.
type target struct {
	t    *testing.T
	url  string
	down atomic.Bool   // answer 500
	hold chan struct{} // unless nil, no answer before it is closed, though the message is taken

	mu      sync.Mutex
	secret  string
	taken   []delivered // without repeats, in the order of arrival
	bodies  map[string]string
	repeats int
	refused int
}

type delivered struct{ id, body string }

func newTarget(t *testing.T) *target {
	g := &target{t: t, bodies: make(map[string]string)}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func (g *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed
	}
	if code := g.take(r, body); code != http.StatusOK {
		w.WriteHeader(code)
	} else if g.hold != nil {
		select {
		case <-g.hold:
		case <-r.Context().Done():
		}
	}
}

// take keeps a message, and returns the status of the answer.
func (g *target) take(r *http.Request, body []byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	verifier, err := standardwebhooks.NewWebhook(g.secret)
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
		g.t.Errorf("%s with %v: %v", r.Method, r.Header, err)
	}
	id := r.Header.Get("webhook-id")
	if g.down.Load() {
		g.refused++
		return http.StatusInternalServerError
	}
	if before, again := g.bodies[id]; again {
		g.repeats++
		if before != string(body) {
			g.t.Errorf("message %s came with another body: %s, then %s", id, before, body)
		}
		return http.StatusOK
	}
	g.bodies[id] = string(body)
	g.taken = append(g.taken, delivered{id, string(body)})
	return http.StatusOK
}

// add makes a webhook for the target and returns its id.
func (g *target) add(s *server, args ...string) string {
	g.t.Helper()
	out := s.covey(g.t, "", append([]string{"restdb", "webhook", "add", g.url}, args...)...)
	secret, id, _ := strings.Cut(strings.TrimSpace(out), "\t")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secret = secret
	return id
}

// wait waits until the target has taken n messages and returns them.
func (g *target) wait(s *server, n int, limit time.Duration) []delivered {
	g.t.Helper()
	s.waitFor("done with the webhooks", limit, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.taken) < n {
			return fmt.Errorf("%d of %d messages", len(g.taken), n)
		}
		return nil
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]delivered(nil), g.taken...)
}

// write makes one change until it is acknowledged, through one server after the
// other, and returns the version that it was committed as; 0 if an earlier try
// took effect.
func write(t *testing.T, servers []*server, first int, method, path, body, key string) (uint64, string) {
	for try := first; ; try++ {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+servers[try%len(servers)].http+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		for k, v := range restHeader {
			req.Header.Set(k, v)
		}
		req.Header.Set("Idempotency-Key", key)
		res, err := web.Do(req)
		if err != nil {
			if t.Context().Err() != nil {
				return 0, ""
			}
			continue
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case err != nil || res.StatusCode >= 500:
			continue
		case res.StatusCode >= 300:
			t.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
			return 0, ""
		case res.Header.Get("Covey-Replayed") != "":
			return 0, string(answer)
		}
		version, err := strconv.ParseUint(res.Header.Get("Covey-Version"), 10, 64)
		if err != nil {
			t.Errorf("%s %s: Covey-Version: %v", method, path, err)
		}
		return version, string(answer)
	}
}

// keywords are in answers to writes, but not in what webhooks are told.
var keywords = regexp.MustCompile(`,"_keywords":\[[^]]*\],"_tags":"[^"]*"`)

// Each change is told to a webhook, in the order of the commits, whichever node
// it was made through, while the target fails for a time and the leader is
// killed; what comes twice has the id of the first time.
func TestWebhooksAreToldOfAllChangesInOrder(t *testing.T) {
	t.Parallel()
	servers := newHookCluster(t, 3)
	g := newTarget(t)
	hook := g.add(servers[1], "--collections", "orders")

	_, answer := write(t, servers, 0, "POST", "/rest/orders", `{"item":"tea","count":2}`, "the-first-of-all-writes")
	document := keywords.ReplaceAllString(answer, "")
	want := `{"0":` + document + `,"event":{"db":"default","collection":"orders","method":"POST","payload":[` + document + `]}}`
	if got := g.wait(servers[0], 1, patience)[0]; got.body != want || !strings.HasPrefix(got.id, "msg_") {
		t.Errorf("message %s:\n%s\nwant\n%s", got.id, got.body, want)
	}

	const lanes = 6
	each := size(50, 500)
	versions := new(sync.Map) // by what a message tells: the version it was committed as
	var wrote atomic.Int64
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			id := fmt.Sprintf("%024x", lane+1)
			for n := range each {
				method, path, body := "PATCH", "/rest/orders/"+id, fmt.Sprintf(`{"n":%d}`, n)
				what := fmt.Sprintf("%s %d", id, n)
				switch n {
				case 0:
					method, path, body = "POST", "/rest/orders", fmt.Sprintf(`{"_id":%q,"n":0}`, id)
				case each - 1:
					method, body, what = "DELETE", "", id+" gone"
				}
				version, _ := write(t, servers, lane+n, method, path, body, fmt.Sprintf("webhook-write-%d-%d", lane, n))
				versions.Store(what, version)
				wrote.Add(1)
			}
		})
	}
	all := int64(lanes * each)
	more(t, &wrote, all/5)
	g.down.Store(true)
	more(t, &wrote, all/5)
	leader := leaderOf(t, servers)
	leader.kill()
	more(t, &wrote, all/5)
	g.down.Store(false)
	leader.start()
	leader.waitReady(patience)
	wg.Wait()
	servers[2].covey(t, "", "restdb", "webhook", "retry", hook)
	taken := g.wait(servers[0], 1+int(all), 90*time.Second)
	if len(taken) != 1+int(all) {
		t.Errorf("%d different messages of %d changes", len(taken), 1+all)
	}
	checkOrder(t, taken[1:], versions, each)
	t.Logf("%d changes told, %d times again, %d refused while the target was down", len(taken), g.repeats, g.refused)
	if g.refused == 0 {
		t.Error("nothing was sent while the target was down")
	}
}

// checkOrder holds messages against the versions that their changes were
// committed as.
func checkOrder(t *testing.T, taken []delivered, versions *sync.Map, each int) {
	t.Helper()
	last := uint64(0)
	next := map[string]int{}
	for _, m := range taken {
		var body struct {
			Zero  json.RawMessage `json:"0"`
			Event struct {
				DB, Collection, Method string
				Payload                []json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(m.body), &body); err != nil || len(body.Event.Payload) != 1 || string(body.Event.Payload[0]) != string(body.Zero) ||
			body.Event.DB != "default" || body.Event.Collection != "orders" {
			t.Errorf("message %s: %s: %v", m.id, m.body, err)
			continue
		}
		var doc struct {
			ID      string `json:"_id"`
			N       int
			Version int `json:"_version"`
		}
		method, what := "PUT", ""
		if json.Unmarshal(body.Zero, &doc.ID) == nil {
			what, doc.N, method = doc.ID+" gone", each-1, "DELETE"
		} else if err := json.Unmarshal(body.Zero, &doc); err != nil || doc.Version != doc.N {
			t.Errorf("message %s: %s: %v", m.id, body.Zero, err)
			continue
		} else {
			what = fmt.Sprintf("%s %d", doc.ID, doc.N)
		}
		if doc.N == 0 {
			method = "POST"
		}
		if body.Event.Method != method || doc.N != next[doc.ID] {
			t.Errorf("%s of change %d of %s came where %d was due", body.Event.Method, doc.N, doc.ID, next[doc.ID])
		}
		next[doc.ID] = doc.N + 1
		v, ok := versions.Load(what)
		if !ok {
			t.Errorf("told of %s, which was not written", what)
		} else if version := v.(uint64); version != 0 {
			if version <= last {
				t.Errorf("%s, of version %d, came after version %d", what, version, last)
			}
			last = version
		}
	}
}

// What a target has taken, but the leader did not live to hear of, comes again
// from the next one as the same message, before what follows it.
func TestAWebhookWhoseAnswerWasLostIsToldAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	servers := newHookCluster(t, 3)
	g := newTarget(t)
	g.hold = make(chan struct{})
	g.add(servers[0])
	const changes = 5
	for n := range changes {
		write(t, servers, n, "POST", "/rest/orders", fmt.Sprintf(`{"n":%d}`, n), fmt.Sprintf("a-write-told-twice-%d", n))
	}
	leader := leaderOf(t, servers)
	if got := g.wait(leader, 1, patience); len(got) != 1 {
		t.Errorf("%d messages before the first is answered", len(got))
	}
	leader.kill()
	close(g.hold)
	others := slices.DeleteFunc(servers, func(s *server) bool { return s == leader })
	for n, m := range g.wait(others[0], changes, patience) {
		if !strings.Contains(m.body, fmt.Sprintf(`"n":%d,`, n)) {
			t.Errorf("message %d tells %s", n, m.body)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.repeats == 0 {
		t.Error("the message whose answer was lost has not come again")
	}
}

// A target that answers 410 is told nothing more, and its operator why.
func TestAWebhookThatIsGoneIsDisabled(t *testing.T) {
	t.Parallel()
	servers := newHookCluster(t, 1)
	s := servers[0]
	var calls atomic.Int64
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusGone)
	}))
	t.Cleanup(gone.Close)
	s.covey(t, "", "restdb", "webhook", "add", gone.URL)
	for i := range 2 {
		write(t, servers, 0, "POST", "/rest/orders", `{}`, fmt.Sprintf("a-write-to-be-told-%d", i))
	}
	s.waitFor("disabling the webhook", patience, func() error {
		if list := s.covey(t, "", "restdb", "webhook", "list"); !strings.Contains(list, "\tdisabled ") || !strings.Contains(list, "410 Gone") {
			return fmt.Errorf("list: %s", list)
		}
		return nil
	})
	write(t, servers, 0, "POST", "/rest/orders", `{}`, "a-write-that-nobody-hears")
	if list := s.covey(t, "", "restdb", "webhook", "list"); !strings.Contains(list, "\t0\t") {
		t.Errorf("something waits for it: %s", list)
	}
	if n := calls.Load(); n == 0 || n > 2 {
		t.Errorf("%d calls", n)
	}
}
