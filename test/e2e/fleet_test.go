package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coveydb/covey/internal/freeport"
)

// gossiping is what the cluster tells of its gossip keys.
type gossiping struct {
	Keys []struct {
		ID      string   `json:"id"`
		HeldBy  []string `json:"held_by"`
		Missing []string `json:"missing"`
		UsedBy  []string `json:"used_by"`
	} `json:"keys"`
	Dead []string `json:"dead"`
}

func (g *guarded) gossiping() (s gossiping, err error) {
	out, err := g.try("keyring", "gossip", "list", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	return s, err
}

// A fourth node joins with nothing but its name, its folder, its addresses and a
// token, votes, renews its certificate, and needs the token no more.
func TestANodeJoinsASecureClusterWithAToken(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	n4 := g.join("--id", "n4")
	token := read(t, g.path("n4.token"))
	if !strings.Contains(n4.log.String(), "the cluster takes this node in") {
		t.Error("n4 does not tell its log what it got")
	}
	g.await("n4 votes", func() error {
		var s struct {
			Members []struct{ ID, Role string } `json:"members"`
		}
		out, err := g.try("cluster", "status", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(s.Members, func(m struct{ ID, Role string }) bool { return m.ID == "n4" && m.Role == "voter" }); i < 0 {
			return fmt.Errorf("%+v", s.Members)
		}
		return nil
	})

	// The token was good once: neither a second n4 nor an n5 gets in by it.
	again := &fort{g: g, dir: g.path("again"), http: freeport.Addr(t), peer: freeport.Addr(t), gossip: freeport.Addr(t), args: n4.args}
	for id, want := range map[string]string{"n4": "was used by node n4", "n5": "is for node n4 and not for node n5"} {
		again.id = id
		again.start()
		<-again.exited
		if code := again.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(again.log.String(), want) {
			t.Errorf("%s ends with code %d and says\n%s", id, code, again.log.String())
		}
		if !slices.ContainsFunc(g.nodes, func(n *fort) bool {
			return strings.Contains(n.log.String(), "refused a node that wants to join") && strings.Contains(n.log.String(), want)
		}) {
			t.Errorf("no log tells why %s was refused", id)
		}
	}

	// It is started again without the token, and gets another certificate when the
	// cluster gets a CA.
	first := read(t, filepath.Join(n4.dir, "peer", "cert.pem"))
	n4.stop(syscall.SIGKILL)
	if err := os.Remove(g.path("n4.token")); err != nil {
		t.Fatal(err)
	}
	n4.args = nil
	n4.start()
	n4.waitReady()
	g.covey("cluster", "ca", "import", "certs/ca.pem", "certs/ca.key")
	g.await("the certificate is renewed", func() error {
		if read(t, filepath.Join(n4.dir, "peer", "cert.pem")) == first {
			return errors.New("it is the first one")
		}
		return nil
	})
	n4.stop(syscall.SIGTERM)
	n4.start()
	n4.waitReady()
	code, bucket, err := n4.do("POST", "/", "", "")
	if err != nil || code != 200 {
		t.Fatalf("%d %s %v", code, bucket, err)
	}
	if code, body, err := n4.do("PUT", "/"+bucket+"/k", "v", ""); err != nil || code != 200 {
		t.Errorf("%d %s %v", code, body, err)
	}
	secret, _, _ := strings.Cut(read(t, filepath.Join(n4.dir, "peer", "key.pem")), "-----END")
	g.noSecretIn(token, rootKey, read(t, g.path("gossip.key")), strings.Split(secret, "\n")[1])
}

// The gossip key and the root key are replaced while clients read and write and
// the operator calls: none notices. A node that has no keyring follows, and so
// does one that comes back from before all that.
func TestGossipAndRootKeysAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	n4 := g.join()
	// What n3 is like before: it will come back from there.
	n3, before := g.nodes[2], g.path("n3.before")
	n3.stop(syscall.SIGTERM)
	if err := os.CopyFS(before, os.DirFS(n3.dir)); err != nil {
		t.Fatal(err)
	}
	n3.start()
	n3.waitReady()
	began, err := g.gossiping()
	if err != nil || len(began.Keys) != 1 {
		t.Fatalf("%+v, %v", began, err)
	}
	old := began.Keys[0].ID

	load := newShower(t, g)
	end := load.start()
	load.more(200)
	id := g.covey("keyring", "gossip", "rotate")
	load.more(200)
	g.await("all nodes hold and use the new gossip key alone", func() error {
		s, err := g.gossiping()
		if err != nil || len(s.Keys) != 1 || s.Keys[0].ID != id || len(s.Keys[0].UsedBy) != 4 {
			return fmt.Errorf("%+v, %v", s, err)
		}
		return nil
	})
	if id == old {
		t.Error("the key is the old one")
	}

	next := g.covey("keyring", "root", "new")
	g.write("next.key", next+"\n")
	g.await("all nodes take the new root key", func() error { return g.roots(next, 200) })
	load.root.Store(&next)
	load.more(200)
	if out, err := g.try("keyring", "root", "drop", "file", "--yes"); err == nil || !strings.Contains(err.Error(), "locked out") {
		t.Errorf("a key drops itself: %s %v", out, err)
	}
	g.root = g.path("next.key")
	g.covey("keyring", "root", "drop", "file", "--yes")
	g.await("no node takes the old root key", func() error { return g.roots(rootKey, 401) })
	load.more(200)
	end()

	// n3 knows the old gossip key only, and nobody speaks that any more.
	n3.stop(syscall.SIGKILL)
	id2 := g.covey("keyring", "gossip", "rotate")
	if err := os.RemoveAll(n3.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, n3.dir); err != nil {
		t.Fatal(err)
	}
	n3.start()
	n3.waitReady()
	g.await("n3 is back in the gossip", func() error {
		s, err := g.gossiping()
		if err != nil || len(s.Keys) != 1 || s.Keys[0].ID != id2 || len(s.Keys[0].UsedBy) != 4 || len(s.Dead) > 0 {
			return fmt.Errorf("%+v, %v", s, err)
		}
		return nil
	})
	g.await("no node takes the old root key", func() error { return g.roots(rootKey, 401) })
	if code, _, err := n4.do("GET", "/cluster/status", "", next); code != 200 {
		t.Errorf("n4 answers %d to the new root key, %v", code, err)
	}
	g.noSecretIn(rootKey, next, read(t, g.path("gossip.key")))
	t.Logf("%d requests beside the rotations", load.count.Load())
}

// roots is an error unless every node answers a root key with a code. A node that
// was started without a key says 403 as long as it knows none.
func (g *guarded) roots(key string, want int) error {
	for _, n := range g.nodes {
		code, body, err := n.do("GET", "/cluster/root-keys", "", key)
		if err != nil || code != want {
			return fmt.Errorf("%s: %d %s %v", n.id, code, body, err)
		}
	}
	return nil
}

// shower is clients that read and write, and one operator, through n1 and n2.
type shower struct {
	t     *testing.T
	g     *guarded
	root  atomic.Pointer[string]
	count atomic.Int64
}

func newShower(t *testing.T, g *guarded) *shower {
	s := &shower{t: t, g: g}
	key := rootKey
	s.root.Store(&key)
	return s
}

// start begins the load; the returned function ends it.
func (s *shower) start() (end func()) {
	code, bucket, err := s.g.nodes[0].do("POST", "/", "", "")
	if err != nil || code != 200 {
		s.t.Fatalf("%d %s %v", code, bucket, err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	run := func(once func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(i); err != nil {
					s.t.Errorf("a request beside the rotations: %v", err)
					return
				}
				s.count.Add(1)
				breathe()
			}
		})
	}
	for c := range size(6, 24) {
		n, path := s.g.nodes[c%2], fmt.Sprintf("/%s/k%d", bucket, c)
		run(func(i int) error {
			want := fmt.Sprint(i)
			if code, body, err := n.do("PUT", path, want, ""); err != nil || code != 200 {
				return fmt.Errorf("write: %d %s %v", code, body, err)
			}
			if code, body, err := n.do("GET", path, "", ""); err != nil || code != 200 || body != want {
				return fmt.Errorf("read: %d %q, want %q, %v", code, body, want, err)
			}
			return nil
		})
	}
	run(func(i int) error {
		code, body, err := s.g.nodes[i%2].do("GET", "/cluster/buckets", "", *s.root.Load())
		if err != nil || code != 200 {
			return fmt.Errorf("operator: %d %s %v", code, body, err)
		}
		return nil
	})
	return sync.OnceFunc(func() { close(stop); wg.Wait() })
}

// more waits until n more requests have been answered.
func (s *shower) more(n int64) {
	s.t.Helper()
	want := s.count.Load() + n
	s.g.await("the load goes on", func() error {
		if s.t.Failed() {
			s.t.FailNow()
		}
		if got := s.count.Load(); got < want {
			return fmt.Errorf("%d of %d requests", got, want)
		}
		return nil
	})
}
