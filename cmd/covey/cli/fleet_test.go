package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/httpapi/admin"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/fleet"
	"github.com/coveydb/covey/layer/vault"
)

// crew is a world of the nodes n1 and n2 that do at once what the cluster agreed
// on about keys.
type crew struct {
	*world
	dir    string
	gossip [][]byte
	stuck  bool // n2 learns of nothing
	root   *auth.RootKey
	twice  string // requests with this method are made by somebody else just before
}

// Status is that of nodes which hold what the state says.
func (c *crew) Status(ctx context.Context) (cluster.Status, error) {
	names := []string{cluster.PrintOf(c.gossip[0]).String()}
	_, err := c.store.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		keys, err := fleet.ReadGossipPrints(tx, c.status.ClusterID)
		if err != nil || keys == nil {
			return err
		}
		names = nil
		for _, k := range keys.Keys {
			names = append(names, k.Print)
		}
		return nil
	})
	s := c.status
	s.Members = []cluster.Member{
		{ID: "n1", Role: cluster.RoleVoter, Alive: true, HTTPAddr: "10.0.0.1:8700", GossipKeys: names},
		{ID: "n2", Role: cluster.RoleVoter, Alive: true, HTTPAddr: "10.0.0.2:8700", GossipKeys: names},
	}
	if c.stuck {
		s.Members[1].GossipKeys = []string{cluster.PrintOf(c.gossip[0]).String()}
	}
	return s, err
}

func newCrew(t *testing.T) *crew {
	t.Helper()
	c := &crew{world: newWorld(t), dir: t.TempDir(), gossip: [][]byte{bytes.Repeat([]byte("g"), 32)}, root: auth.NewRootKeys(rootKey)}
	ring, err := seal.Create(filepath.Join(c.dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	buckets, err := bucket.New(bucket.Config{Root: c.root})
	if err != nil {
		t.Fatal(err)
	}
	reads := vault.NewRecorder(c.store.DB)
	t.Cleanup(reads.Close)
	api := httpapi.New(httpapi.Config{
		Cluster: c, DB: c.store.DB, Buckets: buckets, Collections: c.docs, Vault: c.vault, Readings: reads,
		Feed: feed.New(c.store), Registry: prometheus.NewRegistry(), Root: c.root, Wait: 10 * time.Second,
		Fleet: &admin.Fleet{Store: fleet.New(ring), Gossip: func() [][]byte { return c.gossip }, Follow: func(ctx context.Context) {
			if _, err := c.store.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
				set, err := fleet.ReadRootKeys(tx)
				c.root.Follow(set)
				return err
			}); err != nil {
				t.Error(err)
			}
		}},
	})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == c.twice {
			other := r.Clone(r.Context())
			other.Header.Del("Idempotency-Key")
			api.ServeHTTP(httptest.NewRecorder(), other)
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	c.url, c.status.ClusterID = h.URL, strings.Repeat("ab", 16)
	return c
}

// verb runs a verb with the root key, which must end with a code, and returns
// what it printed without the last newline.
func (c *crew) verb(code int, args ...string) string {
	c.t.Helper()
	o := c.asRoot(args...)
	if o.code != code {
		c.t.Fatalf("%q: %+v, want %d", args, o, code)
	}
	return strings.TrimSuffix(o.out, "\n")
}

func TestJoinTokensAreMadeListedAndRevoked(t *testing.T) {
	c := newCrew(t)
	if o := c.asRoot("cluster", "token", "create"); o.code != 5 || !strings.Contains(o.errOut, "covey cluster ca import") {
		t.Errorf("without a CA: %+v", o)
	}
	certs := filepath.Join(c.dir, "certs")
	c.verb(0, "cert", "ca", "--dir", certs)
	key := filepath.Join(certs, "ca.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if o := c.asRoot("cluster", "ca", "import", filepath.Join(certs, "ca.pem"), key); o.code == 0 || !strings.Contains(o.errOut, "chmod 600") {
		t.Errorf("a key that everybody may read: %+v", o)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.verb(0, "cluster", "ca", "import", filepath.Join(certs, "ca.pem"), key)
	if got := c.verb(0, "cluster", "ca", "show"); !strings.HasPrefix(got, "Covey CA") || !strings.HasSuffix(got, "2160h0m0s") {
		t.Errorf("ca show: %s", got)
	}
	pem, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.verb(0, "cluster", "ca", "show", "-o", "raw"); strings.TrimSpace(got) != strings.TrimSpace(string(pem)) {
		t.Errorf("ca show -o raw: %s", got)
	}
	token := c.verb(0, "cluster", "token", "create", "--id", "n4", "--host", "n4.example", "--through", "https://a.example:8700")
	text, err := fleet.ParseToken(token)
	if err != nil || len(text.Endpoints) != 1 || text.Endpoints[0] != "https://a.example:8700" {
		t.Fatalf("%q: %+v, %v", token, text, err)
	}
	list := c.verb(0, "cluster", "token", "list")
	if !strings.HasPrefix(list, text.ID+"\topen\tn4\tn4.example\t") || strings.Contains(list, text.Secret) {
		t.Errorf("list: %s", list)
	}
	c.verb(0, "cluster", "token", "revoke", text.ID)
	if list := c.verb(0, "cluster", "token", "list"); !strings.HasPrefix(list, text.ID+"\trevoked\t") {
		t.Errorf("list: %s", list)
	}
	c.verb(3, "cluster", "token", "revoke", "feed")
	c.verb(2, "cluster", "token", "create", "--ttl", "1ms")
	c.verb(2, "cluster", "ca", "remove")
	c.verb(0, "cluster", "ca", "remove", "--yes")
	c.verb(3, "cluster", "ca", "show")
}

func TestTheGossipKeyIsRotated(t *testing.T) {
	c := newCrew(t)
	old := cluster.PrintOf(c.gossip[0]).String()
	if got, want := c.verb(0, "keyring", "gossip", "list"), old+"\tat the start\tn1,n2\tn1,n2\t"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.stuck = true
	if o := c.asRoot("keyring", "gossip", "rotate", "--within", "10ms"); o.code != 6 || !strings.Contains(o.errOut, "n2 do not hold the new key") {
		t.Errorf("with a node that learns of nothing: %+v", o)
	}
	c.stuck = false
	next := c.verb(0, "keyring", "gossip", "rotate") // it goes on with the key that is there
	if got := c.verb(0, "keyring", "gossip", "list"); !strings.HasPrefix(got, next+"\t2023-") || strings.Contains(got, "\n") || next == old {
		t.Errorf("list: %s", got)
	}
	c.twice = "DELETE"
	next = c.verb(0, "keyring", "gossip", "rotate")
	c.twice = ""
	third := c.verb(0, "keyring", "gossip", "new")
	c.verb(0, "keyring", "gossip", "use", third)
	c.verb(5, "keyring", "gossip", "remove", third, "--yes")
	c.verb(2, "keyring", "gossip", "remove", next)
	c.verb(0, "keyring", "gossip", "remove", next, "--yes")
	c.verb(3, "keyring", "gossip", "use", "feed")
}

func TestTheRootKeyIsReplaced(t *testing.T) {
	c := newCrew(t)
	var made client.RootKey
	if err := json.Unmarshal([]byte(c.verb(0, "keyring", "root", "new", "-o", "json")), &made); err != nil || made.Key == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	file := filepath.Join(c.dir, "new.key")
	if err := os.WriteFile(file, []byte(c.verb(0, "keyring", "root", "new")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.verb(0, "keyring", "root", "drop", made.ID, "--yes")
	c.verb(5, "keyring", "root", "drop", "file", "--yes")
	c.verb(2, "keyring", "root", "drop", "file")
	if o := c.run("keyring", "root", "drop", "file", "--yes", "--root-key-file", file, "--endpoint", c.url); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	c.verb(4, "keyring", "root", "list")
	o := c.run("keyring", "root", "list", "--root-key-file", file, "--endpoint", c.url)
	if o.code != 0 || strings.Count(o.out, "\n") != 1 || !strings.HasSuffix(o.out, "\tyes\n") {
		t.Errorf("%+v", o)
	}
}
