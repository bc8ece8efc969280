package admin

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
)

// hold makes members announce gossip keys.
func (c *crew) hold(keys map[string][]string) {
	for i := range c.cluster.status.Members {
		m := &c.cluster.status.Members[i]
		if k, ok := keys[m.ID]; ok {
			m.GossipKeys = k
		}
	}
}

func (c *crew) gossipKeys() (s gossipStatus) {
	c.t.Helper()
	c.want(200, "GET", "/cluster/gossip-keys", "", &s)
	return s
}

func TestGossipKeysAreReplacedStepByStep(t *testing.T) {
	c := newCrew(t)
	old := cluster.PrintOf(c.gossip[0]).String()
	if s := c.gossipKeys(); !s.Encrypted || s.Generation != 0 || len(s.Keys) != 1 || s.Keys[0].ID != old || len(s.Keys[0].UsedBy) != 3 {
		t.Fatalf("%+v", s)
	}
	says(t, c.call("POST", "/cluster/gossip-keys/feed/use", "", rootKey), 404, "no gossip key feed")
	says(t, c.call("DELETE", "/cluster/gossip-keys/feed", "", rootKey), 404, "no gossip key feed")
	says(t, c.call("DELETE", "/cluster/gossip-keys/"+old, "", rootKey), 412, "n1, n2, n3 still send")
	var made struct{ ID string }
	c.store.ConflictNext(1)
	rec := c.want(201, "POST", "/cluster/gossip-keys", "", &made)
	if strings.Count(rec.Body.String(), ":") != 1 {
		t.Errorf("more than a name is shown: %s", rec.Body)
	}
	next := made.ID
	says(t, c.call("POST", "/cluster/gossip-keys/"+next+"/use", "", rootKey), 412, "is not on n1, n2, n3 yet")
	c.hold(map[string][]string{"n1": {old, next}, "n2": {old, next}})
	says(t, c.call("POST", "/cluster/gossip-keys/"+next+"/use", "", rootKey), 412, "is not on n3 yet")
	c.cluster.status.Members[2].Alive = false // it gets the keys when it is back
	c.want(204, "POST", "/cluster/gossip-keys/"+next+"/use", "", nil)
	says(t, c.call("DELETE", "/cluster/gossip-keys/"+old, "", rootKey), 412, "n1, n2 still send")
	c.hold(map[string][]string{"n1": {next, old}, "n2": {next, old}})
	says(t, c.call("DELETE", "/cluster/gossip-keys/"+next, "", rootKey), 412, "")
	c.want(204, "DELETE", "/cluster/gossip-keys/"+old, "", nil)
	s := c.gossipKeys()
	if s.Generation != 3 || len(s.Keys) != 1 || s.Keys[0].ID != next || len(s.Keys[0].HeldBy) != 2 || len(s.Dead) != 1 || s.Dead[0] != "n3" {
		t.Errorf("%+v", s)
	}
	forced := c.want(201, "POST", "/cluster/gossip-keys", "", &made)
	c.want(204, "POST", "/cluster/gossip-keys/"+made.ID+"/use", `{"force":true}`, nil)
	if strings.Contains(c.log.String()+forced.Body.String(), string(c.gossip[0])) {
		t.Error("a key is in the log or an answer")
	}
}

// The quorum was lost in the middle of a rotation, and n1 is the first node of the
// cluster that took the place: n2 came back with its old data, n3 was removed.
func TestGossipKeysAreReplacedAfterARecovery(t *testing.T) {
	c := newCrew(t)
	old := cluster.PrintOf(c.gossip[0]).String()
	var lost, made struct{ ID string }
	c.want(201, "POST", "/cluster/gossip-keys", "", &lost)
	c.cluster.status.ClusterID = strings.Repeat("cd", 16)
	for i := range c.cluster.status.Members[1:] {
		c.cluster.status.Members[1+i].Role = cluster.RoleNone
	}
	c.hold(map[string][]string{"n2": {lost.ID, old}, "n3": {lost.ID, old}})
	if s := c.gossipKeys(); s.Generation != 0 || len(s.Keys) != 1 || s.Keys[0].ID != old || len(s.Keys[0].HeldBy) != 1 {
		t.Errorf("what the lost cluster agreed on holds: %+v", s)
	}
	c.want(201, "POST", "/cluster/gossip-keys", "", &made)
	says(t, c.call("POST", "/cluster/gossip-keys/"+made.ID+"/use", "", rootKey), 412, "is not on n1 yet")
	c.hold(map[string][]string{"n1": {old, made.ID}})
	c.want(204, "POST", "/cluster/gossip-keys/"+made.ID+"/use", "", nil)
	says(t, c.call("DELETE", "/cluster/gossip-keys/"+old, "", rootKey), 412, "n1 still send")
	c.hold(map[string][]string{"n1": {made.ID, old}})
	c.want(204, "DELETE", "/cluster/gossip-keys/"+old, "", nil)
	s := c.gossipKeys()
	if s.Generation != 3 || len(s.Keys) != 1 || s.Keys[0].ID != made.ID || len(s.Keys[0].Missing) != 0 || len(s.Dead) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestGossipInClearTextHasNoKeys(t *testing.T) {
	c := newCrew(t)
	c.gossip = nil
	if s := c.gossipKeys(); s.Encrypted || len(s.Keys) != 0 {
		t.Errorf("%+v", s)
	}
	says(t, c.call("POST", "/cluster/gossip-keys", "", rootKey), 412, "does not encrypt its gossip")
}

func TestRootKeysAreReplaced(t *testing.T) {
	c := newCrew(t)
	list := func(cred string) (ids string) {
		t.Helper()
		rec := c.call("GET", "/cluster/root-keys", "", cred)
		if rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		return rec.Body.String()
	}
	if got, want := list(rootKey), `{"keys":[{"id":"file","current":true}]}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	says(t, c.call("DELETE", "/cluster/root-keys/file", "", rootKey), 412, "locked out")
	says(t, c.call("DELETE", "/cluster/root-keys/feed", "", rootKey), 404, "no root key feed")
	var made rootKeyInfo
	c.store.ConflictNext(1)
	c.want(201, "POST", "/cluster/root-keys", "", &made)
	if got := list(made.Key); !strings.Contains(got, `"id":"`+made.ID+`"`) || strings.Contains(got, made.Key) || !strings.Contains(got, `"id":"file"}`) {
		t.Errorf("got %s", got)
	}
	says(t, c.call("DELETE", "/cluster/root-keys/"+made.ID, "", made.Key), 412, "locked out")
	if rec := c.call("DELETE", "/cluster/root-keys/file", "", made.Key); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	says(t, c.call("GET", "/cluster/root-keys", "", rootKey), 401, "not the cluster's root key")
	says(t, c.call("DELETE", "/cluster/root-keys/file", "", made.Key), 404, "no root key of a file")
	if got := list(made.Key); strings.Contains(got, auth.FileKey) {
		t.Errorf("got %s", got)
	}
	if strings.Contains(c.log.String(), made.Key) || strings.Contains(c.log.String(), rootKey) {
		t.Error("a key is in the log")
	}
}
