package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/fleet"
)

// lagging is the state as a node has it that is behind.
type lagging struct {
	*kvtest.Store
	own   *kvtest.Store // what the node has
	lag   time.Duration // and how old that is
	cut   bool          // it reaches no other node
	asked int           // the others, so often
	waits time.Duration // how long the last of them would have been waited for
}

func (l *lagging) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	if c.Stale && (c.MaxStale == 0 || l.lag <= c.MaxStale) {
		return l.own.View(ctx, c)
	}
	l.asked++
	if end, ok := ctx.Deadline(); ok {
		l.waits = time.Until(end)
	}
	if l.cut {
		return nil, kv.ReadInfo{}, errs.E(errs.Unavailable, "no leader is known")
	}
	return l.Store.View(ctx, c)
}

// newLagging makes n1 a node that has not heard yet that bob's key was dropped
// and eve's was made.
func newLagging(t *testing.T) (c *crew, l *lagging) {
	t.Helper()
	c = newCrew(t)
	l = &lagging{Store: c.store, own: kvtest.New(t)}
	bob, eve := auth.NewSalted("bob's key"), auth.NewSalted("eve's key")
	must := func(db *kv.DB, fn func(*kv.Tx) error) {
		t.Helper()
		if _, err := db.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	add := func(id string, hash auth.Salted) func(*kv.Tx) error {
		return func(tx *kv.Tx) error {
			_, err := fleet.AddRootKey(tx, id, hash)
			return err
		}
	}
	must(l.own.DB, add("bob", bob))
	must(c.store.DB, add("bob", bob)) // what comes now the node has not
	must(c.store.DB, add("eve", eve))
	must(c.store.DB, func(tx *kv.Tx) error { return fleet.DropRootKey(tx, fleet.RootDrop{ID: "bob", By: "eve"}) })
	c.root.Follow(auth.RootSet{Valid: []auth.NamedHash{{ID: "bob", Salted: bob}}})
	c.config.DB = kv.New(l)
	c.handler = New(c.config)
	return c, l
}

func TestANodeThatIsBehindAsksBeforeItJudgesARootKey(t *testing.T) {
	for _, path := range []string{"/cluster/status", "/cluster/tokens", "/cluster/gossip-keys", "/cluster/tokens?consistency=stale"} {
		c, l := newLagging(t)
		l.lag = 10 * time.Second
		says(t, c.call("GET", path, "", "bob's key"), 401, "not the cluster's root key")
		says(t, c.call("GET", path, "", "nobody's"), 401, "not the cluster's root key")
		for _, key := range []string{"eve's key", rootKey} {
			if rec := c.call("GET", path, "", key); rec.Code != 200 {
				t.Errorf("%s with %s: %d %s", path, key, rec.Code, rec.Body)
			}
		}
		if c.root.Match(auth.Credential{Value: "bob's key"}) || !c.root.Match(auth.Credential{Value: "eve's key"}) {
			t.Errorf("%s: the node does not follow what it has learned", path)
		}
	}
}

func TestANodeThatCannotAskSaysSo(t *testing.T) {
	c, l := newLagging(t)
	l.lag, l.cut = 10*time.Second, true
	for _, path := range []string{"/cluster/status", "/cluster/tokens", "/cluster/tokens?consistency=stale"} {
		says(t, c.call("GET", path, "", "eve's key"), 503, "cannot tell whether the credential is a root key")
	}
	for path, code := range map[string]int{
		"GET /cluster/status": 200, "GET /cluster/log-level": 404, "GET /cluster/tokens?consistency=stale": 200,
		"GET /cluster/tokens": 503, "GET /cluster/buckets": 503, "DELETE /cluster/tokens/x?consistency=stale": 503, "GET /cluster/ca": 503,
	} {
		method, path, _ := strings.Cut(path, " ")
		if rec := c.call(method, path, "", rootKey); rec.Code != code || code == 503 && rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s with a key that the node knows: %d %s, want %d", method, path, rec.Code, rec.Body, code)
		}
	}
}

func TestANodeThatIsFreshAsksNobodyAboutAKeyThatItKnows(t *testing.T) {
	c, l := newLagging(t)
	l.lag = rootAge
	for range 5 {
		if rec := c.call("GET", "/cluster/status", "", rootKey); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	if l.asked != 0 {
		t.Errorf("it asked the others %d times", l.asked)
	}
	// What was true a second ago lets a key in, and what is changed is judged by
	// what is true when it is.
	says(t, c.call("DELETE", "/cluster/root-keys/eve", "", "bob's key"), 401, "has been dropped")
	says(t, c.call("POST", "/cluster/root-keys", "", "bob's key"), 401, "has been dropped")
	if rec := c.call("GET", "/cluster/root-keys", "", "eve's key"); rec.Code != 200 {
		t.Errorf("a key that was made a moment ago: %d %s", rec.Code, rec.Body)
	}
}

// An election takes longer than a second: who has a key that the node knows waits
// as long as clients do, and only who is let in anyway, or is a stranger, does not.
func TestAKnownRootKeyWaitsForAnElection(t *testing.T) {
	c, l := newLagging(t)
	l.lag, l.cut = 10*time.Second, true
	for path, key := range map[string]string{
		"POST /cluster/tokens": rootKey, "GET /cluster/tokens": rootKey,
		"GET /cluster/status": "", "GET /cluster/tokens?consistency=stale": "", "GET /cluster/ca": "nobody's",
	} {
		long := key == rootKey
		if key == "" {
			key = rootKey
		}
		method, path, _ := strings.Cut(path, " ")
		c.call(method, path, "", key)
		if l.waits > rootWait != long {
			t.Errorf("%s %s with %q waits for %v", method, path, key, l.waits)
		}
	}
}
