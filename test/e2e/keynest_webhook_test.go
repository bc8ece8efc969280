package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newNestTarget is newTarget for webhooks of KeyNest, whose own signature it
// verifies too.
func newNestTarget(t *testing.T) *target {
	g := &target{t: t, bodies: make(map[string]string)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed
		}
		g.mu.Lock()
		mac := hmac.New(sha256.New, []byte(g.secret))
		g.mu.Unlock()
		var at, digest string
		if at, digest, _ = strings.Cut(r.Header.Get("X-KeyNest-Signature"), ",v1="); strings.HasPrefix(at, "t=") {
			fmt.Fprintf(mac, "%s.%s", at[2:], body)
		}
		if digest != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q of %s", r.Header.Get("X-KeyNest-Signature"), body)
		}
		w.WriteHeader(g.take(r, body))
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// addNest makes a webhook for the target and returns its path.
func (g *target) addNest(a *account, s *server, organization int, events ...string) string {
	g.t.Helper()
	made := a.want(s, 201, "POST", "/api/webhooks/", fields{"url": g.url, "events": events, "organization": organization})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secret = made.string("secret")
	return "/api/webhooks/" + made.string("id") + "/"
}

// insist makes one change until it is acknowledged, through one server after the
// other, under one Idempotency-Key.
func (a *account) insist(servers []*server, first int, key, method, path string, body fields) answer {
	for try := first; ; try++ {
		p, err := json.Marshal(body)
		if err != nil {
			a.t.Error(err)
			return answer{}
		}
		code, text, err := servers[try%len(servers)].do(method, path, string(p), map[string]string{
			"Authorization": "Token " + a.token, "Content-Type": "application/json", "Idempotency-Key": key,
		})
		r := answer{status: code, text: text}
		switch {
		case a.t.Context().Err() != nil:
			return r
		case err != nil || code >= 500:
			continue
		case code >= 300:
			a.t.Errorf("%s %s: %d %s", method, path, code, text)
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &r.object); err != nil {
				a.t.Errorf("%s %s: %s: %v", method, path, text, err)
			}
		}
		return r
	}
}

// changed is what was done to a variable, as messages and the audit log both
// tell it.
type changed struct {
	what string
	id   int
}

// recorded returns the changes of variables in an organization, in the order of
// its audit chain, which is that of the commits.
func (a *account) recorded(s *server) (all []changed) {
	a.t.Helper()
	for line := range strings.Lines(a.want(s, 200, "GET", "/api/audit-logs/export/?format=jsonl", nil).text) {
		var e struct {
			Action string
			Target int `json:"target_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			a.t.Fatalf("%s: %v", line, err)
		}
		switch what := strings.Replace(e.Action, "_", ".", 1); what {
		case "variable.created", "variable.updated", "variable.deleted":
			all = append(all, changed{what, e.Target})
		}
	}
	return all
}

// toldOf is what a message tells.
func toldOf(t *testing.T, m delivered) changed {
	t.Helper()
	var body struct {
		Event, Timestamp string
		Data             struct {
			Variable struct {
				ID  int
				Key string
			}
		}
	}
	if err := json.Unmarshal([]byte(m.body), &body); err != nil || body.Timestamp == "" || body.Data.Variable.Key == "" {
		t.Errorf("message %s: %s: %v", m.id, m.body, err)
	}
	return changed{body.Event, body.Data.Variable.ID}
}

// Each change of a variable is told to a webhook, in the order of the commits as
// the audit log has it, while the target fails for a time and the leader is
// killed; what comes twice has the id of the first time. No value is told.
func TestKeyNestWebhooksAreToldOfAllChangesInOrder(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3, "--webhook-allow-private")
	ada := register(t, servers[0], "ada")
	organization, environment := ada.environment(servers[0], "acme")
	g := newNestTarget(t)
	hook := g.addNest(ada, servers[1], organization, "variable.*")

	const lanes = 4
	each := size(30, 300)
	var wrote atomic.Int64
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			path := ""
			for n := range each {
				key, value := fmt.Sprintf("nest-webhook-%d-%d", lane, n), fmt.Sprintf("untold-%d-%d", lane, n)
				switch n {
				case 0:
					made := ada.insist(servers, lane, key, "POST", "/api/variables/", fields{"key": fmt.Sprint("LANE_", lane), "value": value, "environment": environment})
					path = fmt.Sprintf("/api/variables/%d/", made.number("id"))
				case each - 1:
					ada.insist(servers, lane+n, key, "DELETE", path, nil)
				default:
					ada.insist(servers, lane+n, key, "PATCH", path, fields{"value": value})
				}
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
	servers[2].hurry(ada, hook)
	taken := g.wait(servers[0], int(all), 90*time.Second)
	want := ada.recorded(servers[1])
	if len(taken) != int(all) || len(want) != int(all) {
		t.Errorf("%d different messages and %d entries in the audit log of %d changes", len(taken), len(want), all)
	}
	for i, m := range taken {
		if strings.Contains(m.body, "untold") {
			t.Errorf("message %s tells a value: %s", m.id, m.body)
		}
		if got := toldOf(t, m); i < len(want) && got != want[i] {
			t.Fatalf("message %d is %s of variable %d, change %d was %s of %d", i, got.what, got.id, i, want[i].what, want[i].id)
		}
	}
	t.Logf("%d changes told, %d times again, %d refused while the target was down", len(taken), g.repeats, g.refused)
	if g.refused == 0 {
		t.Error("nothing was sent while the target was down")
	}
	g.again(t, ada, servers, hook)
}

// hurry makes what waits for a webhook be tried at once.
func (s *server) hurry(a *account, hook string) {
	s.t.Helper()
	list := a.want(s, 200, "GET", hook+"deliveries/?page=last", nil)
	for _, d := range list.object["results"].([]any) {
		d := d.(map[string]any)
		if d["status"] == "pending" {
			a.want(s, 202, "POST", fmt.Sprintf("%sdeliveries/%.0f/redeliver/", hook, d["id"]), nil)
			return
		}
	}
}

// again has the last message delivered again, through another node.
func (g *target) again(t *testing.T, a *account, servers []*server, hook string) {
	t.Helper()
	var last answer
	servers[0].waitFor("the log of the last message", patience, func() error {
		newest := a.want(servers[0], 200, "GET", hook+"deliveries/?page_size=1", nil).object["results"].([]any)[0].(map[string]any)
		if newest["status"] != "delivered" {
			return fmt.Errorf("it is %v", newest)
		}
		last = a.want(servers[1], 200, "GET", fmt.Sprintf("%sdeliveries/%.0f/", hook, newest["id"]), nil)
		return nil
	})
	g.mu.Lock()
	repeats, known := g.repeats, g.bodies[last.string("message_id")]
	g.mu.Unlock()
	payload, err := json.Marshal(last.object["payload"])
	if err != nil || len(payload) != len(known) || last.number("response_status") != 200 || last.number("attempts") < 1 {
		t.Errorf("the log has %s, posted was %s", last.text, known)
	}
	d := a.want(servers[2], 202, "POST", fmt.Sprintf("%sdeliveries/%d/redeliver/", hook, last.number("id")), nil)
	if d.number("id") != last.number("id")+1 || d.string("message_id") != last.string("message_id") {
		t.Errorf("delivered again: %s", d.text)
	}
	servers[0].waitFor("the message to come again", patience, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.repeats == repeats {
			return fmt.Errorf("%d repeats", repeats)
		}
		return nil
	})
}

// Where a target sends to is not followed, and where private addresses are not
// allowed, a webhook cannot lead there.
func TestKeyNestWebhooksGoNowhereElse(t *testing.T) {
	t.Parallel()
	s := newKeyNestCluster(t, 1, "--webhook-allow-private")[0]
	ada := register(t, s, "ada")
	organization, _ := ada.environment(s, "acme")
	var led atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Add(1) }))
	t.Cleanup(elsewhere.Close)
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirect.Close)
	made := ada.want(s, 201, "POST", "/api/webhooks/", fields{"url": redirect.URL, "events": []string{"*"}, "organization": organization})
	hook := "/api/webhooks/" + made.string("id") + "/"
	ada.want(s, 202, "POST", hook+"test/", nil)
	s.waitFor("the redirect to be logged", patience, func() error {
		d := ada.want(s, 200, "GET", hook+"deliveries/1/", nil)
		if d.string("status") != "pending" || d.number("response_status") != 307 || !strings.Contains(d.string("error"), "redirects are not followed") {
			return fmt.Errorf("%s", d.text)
		}
		return nil
	})
	if led.Load() != 0 {
		t.Error("the redirect was followed")
	}

	guarded := newKeyNestCluster(t, 1)[0]
	eve := register(t, guarded, "eve")
	organization, _ = eve.environment(guarded, "acme")
	for _, url := range []string{redirect.URL, "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/", "https://10.0.0.1/", "http://example.com/"} {
		if r := eve.want(guarded, 400, "POST", "/api/webhooks/", fields{"url": url, "events": []string{"*"}, "organization": organization}); r.at([]string{"details", "url"}) == nil {
			t.Errorf("%s: %s", url, r.text)
		}
	}
}
