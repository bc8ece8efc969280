package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/freeport"
)

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// gossip starts a node on loopback; edit may change the Config.
func gossip(t *testing.T, id string, edit func(*Config)) *Gossip {
	t.Helper()
	cfg := Config{
		NodeID: id, BindAddr: "127.0.0.1:0", probe: 100 * time.Millisecond, Keys: [][]byte{bytes.Repeat([]byte("k"), 32)},
		Meta: Meta{PeerAddr: id + ".example:8701", HTTPAddr: id + ".example:8700", Release: "v1"},
	}
	if edit != nil {
		edit(&cfg)
	}
	g, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func seeds(addrs ...string) func(*Config) { return func(c *Config) { c.Seeds = addrs } }

// until waits for cond to hold, looking again at each update and now and then.
func until(t *testing.T, g *Gossip, what string, cond func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-g.Updated():
		case <-time.After(20 * time.Millisecond):
		case <-end:
			t.Fatalf("%s: did not come true in 20 s; members: %+v", what, g.Members())
		}
	}
}

// view is what g sees of whom, such as "n1 n2 -n3".
func view(g *Gossip) string {
	var words []string
	for _, s := range g.Members() {
		words = append(words, map[bool]string{false: "-"}[s.Alive]+s.NodeID)
	}
	return strings.Join(words, " ")
}

func sees(t *testing.T, g *Gossip, want string) {
	t.Helper()
	until(t, g, "to see "+want, func() bool { return view(g) == want })
}

func TestNodesFindEachOtherAndTheirMetas(t *testing.T) {
	n1 := gossip(t, "n1", nil)
	n2 := gossip(t, "n2", seeds(n1.Addr()))
	n3 := gossip(t, "n3", func(c *Config) {
		c.Seeds = []string{n2.Addr()}
		c.Meta.NonVoter, c.Meta.Formats = true, Formats{2, 3}
	})
	for _, g := range []*Gossip{n1, n2, n3} {
		sees(t, g, "n1 n2 n3")
	}
	want := Seen{
		Meta:       Meta{NodeID: "n3", PeerAddr: "n3.example:8701", HTTPAddr: "n3.example:8700", NonVoter: true, Formats: Formats{2, 3}, Release: "v1", Keys: [MaxKeys]KeyPrint{PrintOf(bytes.Repeat([]byte("k"), 32))}},
		GossipAddr: n3.Addr(), Alive: true,
	}
	got := n1.Members()[2]
	if since := got.Since; since.IsZero() || time.Since(since) > time.Minute {
		t.Errorf("seen since %v", since)
	}
	got.Since = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("n1 sees n3 as (-want +got):\n%s", diff)
	}
	meta := n3.Self().Meta
	meta.NonVoter, meta.ClusterID = false, ID{7}
	if err := n3.SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	until(t, n1, "n1 sees the new meta", func() bool { return n1.Members()[2].Meta == meta })
}

func TestASeedMayComeLate(t *testing.T) {
	log := &lines{}
	addr := freeport.Addr(t)
	n1 := gossip(t, "n1", func(c *Config) { c.Seeds = []string{addr, "no.such.host.invalid:1"}; c.Logger = log.logger() })
	until(t, n1, "both seeds were tried", func() bool { return log.count("nobody answers gossip there") == 2 })
	gossip(t, "n2", func(c *Config) { c.BindAddr = addr })
	sees(t, n1, "n1 n2")
	if n := log.count("nobody answers gossip there"); n != 2 {
		t.Errorf("the log says %d times that a seed does not answer, want once for each", n)
	}
}

func TestADeadNodeIsSeenAndMayComeBackElsewhere(t *testing.T) {
	n1 := gossip(t, "n1", nil)
	n2 := gossip(t, "n2", seeds(n1.Addr()))
	n3 := gossip(t, "n3", seeds(n1.Addr()))
	sees(t, n1, "n1 n2 n3")
	sees(t, n2, "n1 n2 n3")
	old := n3.Addr()
	n3.Close() // no farewell, as after kill -9
	again := gossip(t, "n3", seeds(n1.Addr(), n2.Addr()))
	if again.Addr() == old {
		t.Fatalf("it has the same address again: %s", old)
	}
	for _, g := range []*Gossip{n1, n2} {
		until(t, g, "n3 is seen at its new address", func() bool {
			s := g.Members()[2]
			return s.Alive && s.GossipAddr == again.Addr()
		})
	}
	again.Close()
	sees(t, n1, "n1 n2 -n3")
	if s := n1.Members()[2]; s.GossipAddr != again.Addr() || s.PeerAddr != "n3.example:8701" {
		t.Errorf("a dead node is remembered as %+v", s)
	}
}

func TestANodeThatLeavesIsGoneAtOnce(t *testing.T) {
	n1 := gossip(t, "n1", func(c *Config) { c.probe = time.Hour }) // finds nobody dead by itself
	n2 := gossip(t, "n2", seeds(n1.Addr()))
	sees(t, n1, "n1 n2")
	sees(t, n2, "n1 n2")
	if err := n2.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	n2.Close()
	sees(t, n1, "n1 -n2")
	if err := n2.Leave(context.Background()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Leave after Close: got %v, want unavailable", err)
	}
}

func TestAnIDThatIsUsedTwiceIsReported(t *testing.T) {
	log := &lines{}
	g := gossip(t, "n1", func(c *Config) { c.Logger = log.logger() })
	g.mu.Lock()
	g.noteDouble("10.0.0.9:1") // maybe it was restarted
	g.double["10.0.0.9:1"] = move{addr: "10.0.0.9:1", since: time.Now().Add(-2 * moveLast)}
	g.noteDouble("10.0.0.9:1") // no, that would be over by now
	g.noteDouble("10.0.0.9:1")
	g.mu.Unlock()
	if old, twice := log.count("still know this node at its old address"), log.count("another node uses the id"); old != 1 || twice != 1 {
		t.Errorf("reported %d times as an old address and %d times as used twice, want once each", old, twice)
	}
}

func TestAllNodesMayComeBackAtNewAddresses(t *testing.T) {
	a1 := freeport.Addr(t)
	start := func(id, bind string) *Gossip {
		return gossip(t, id, func(c *Config) { c.BindAddr = bind; c.Seeds = []string{a1} })
	}
	first := []*Gossip{start("n1", a1), start("n2", "127.0.0.1:0"), start("n3", "127.0.0.1:0")}
	for _, g := range first {
		sees(t, g, "n1 n2 n3")
	}
	for _, g := range first {
		g.Close()
	}
	a1 = freeport.Addr(t)
	for _, g := range []*Gossip{start("n3", "127.0.0.1:0"), start("n2", a1), start("n1", "127.0.0.1:0")} {
		sees(t, g, "n1 n2 n3")
	}
}

func TestALostPeerIsLookedForWhereverItMayBe(t *testing.T) {
	n2 := gossip(t, "n2", nil)
	n1 := gossip(t, "n1", func(c *Config) { c.Peers = func() []string { return []string{n2.Addr()} } })
	sees(t, n1, "n1 n2") // without any seed
}

func TestNodesOfAnotherClusterAreKeptOut(t *testing.T) {
	log := &lines{}
	of := func(c byte, more ...string) func(*Config) {
		return func(cfg *Config) { cfg.Meta.ClusterID, cfg.Seeds, cfg.Logger = ID{c}, more, log.logger() }
	}
	n1 := gossip(t, "n1", of(1))
	n2 := gossip(t, "n2", of(1, n1.Addr()))
	x1 := gossip(t, "x1", of(2, n1.Addr(), n2.Addr()))
	until(t, x1, "x1 meets the others", func() bool { return len(x1.Foreign()) == 2 })
	until(t, n1, "n1 meets x1", func() bool { return len(n1.Foreign()) == 1 })
	if got, want := n1.Foreign()[0], (Foreign{NodeID: "x1", ClusterID: ID{2}, GossipAddr: x1.Addr(), Reason: n1.Foreign()[0].Reason}); got != want || got.Reason == "" {
		t.Errorf("foreign: got %+v, want %+v", got, want)
	}
	sees(t, n1, "n1 n2")
	sees(t, x1, "x1")
	if n := log.count("met a node of another cluster"); n < 3 || n > 4 { // x1 two; n1, n2 one each, if n2 met it yet
		t.Errorf("the log tells of foreign nodes %d times", n)
	}
}

func TestANodeThatLearnsItsClusterParts(t *testing.T) {
	n1 := gossip(t, "n1", func(c *Config) { c.Meta.ClusterID = ID{1} })
	n0 := gossip(t, "n0", seeds(n1.Addr()))
	sees(t, n0, "n0 n1") // of no cluster yet, it sees all
	meta := n0.Self().Meta
	meta.ClusterID = ID{2}
	if err := n0.SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	sees(t, n0, "n0")
	if got := n0.Foreign(); len(got) != 1 || got[0].NodeID != "n1" {
		t.Errorf("foreign: %+v, want n1", got)
	}
}

func TestAWrongKeyKeepsOut(t *testing.T) {
	log := &lines{}
	n1 := gossip(t, "n1", func(c *Config) { c.Logger = log.logger() })
	n2 := gossip(t, "n2", func(c *Config) {
		c.Keys = [][]byte{bytes.Repeat([]byte("x"), 32)}
		c.Seeds = []string{n1.Addr()}
		c.Logger = log.logger()
	})
	until(t, n2, "n2 was turned away", func() bool { return log.count("nobody answers gossip there") > 0 })
	if view(n1) != "n1" || view(n2) != "n2" {
		t.Errorf("n1 sees %q, n2 sees %q", view(n1), view(n2))
	}
	if log.count("kkkk")+log.count("xxxx") > 0 {
		t.Error("a key is in the log")
	}
}

func TestExpectedNodesChooseTheSame(t *testing.T) {
	expect := func(n int, s ...string) func(*Config) {
		return func(c *Config) { c.Meta.BootstrapExpect, c.Seeds = n, s }
	}
	n1 := gossip(t, "n1", expect(3))
	n2 := gossip(t, "n2", expect(3, n1.Addr()))
	n3 := gossip(t, "n3", expect(3, n1.Addr()))
	until(t, n1, "n1 may form the cluster", func() bool {
		servers, ok := Bootstrap(n1.Self(), n1.Members(), 3)
		return ok && fmt.Sprint(servers[0].ID, servers[1].ID, servers[2].ID) == "n1n2n3"
	})
	meta := n1.Self().Meta
	meta.ClusterID, meta.HasState = ID{5}, true
	if err := n1.SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Gossip{n2, n3} {
		until(t, g, "the others adopt it", func() bool {
			id, ok := Adopt(g.Self(), g.Members())
			return ok && id == ID{5}
		})
		if _, ok := Bootstrap(g.Self(), g.Members(), 3); ok {
			t.Error("two nodes may form a cluster")
		}
	}
}

func TestWhoExpectsOnlyItselfAsksItsSeedsFirst(t *testing.T) {
	n1 := gossip(t, "n1", func(c *Config) { c.Meta.ClusterID, c.Meta.HasState = ID{1}, true })
	n0 := gossip(t, "n0", func(c *Config) { c.Meta.BootstrapExpect, c.Seeds = 1, []string{n1.Addr()} })
	until(t, n0, "n0 adopts the cluster of n1", func() bool {
		if _, ok := Bootstrap(n0.Self(), n0.Members(), 1); ok {
			t.Fatal("n0 would form a cluster of its own")
		}
		_, ok := Adopt(n0.Self(), n0.Members())
		return ok
	})
	alone := gossip(t, "n9", func(c *Config) { c.Meta.BootstrapExpect, c.Seeds = 1, []string{freeport.Addr(t)} })
	until(t, alone, "n9 forms one, nobody answers", func() bool {
		_, ok := Bootstrap(alone.Self(), alone.Members(), 1)
		return ok
	})
}

func TestConfigIsRefusedWithASentence(t *testing.T) {
	used := gossip(t, "n1", nil)
	cases := map[string]struct {
		edit func(*Config)
		kind errs.Kind
		want string
	}{
		"no node id":               {func(c *Config) { c.NodeID = "" }, errs.Invalid, "node id"},
		"every address":            {func(c *Config) { c.BindAddr = "0.0.0.0:0" }, errs.Invalid, "gossip address 0.0.0.0:1 cannot be advertised"},
		"no host":                  {func(c *Config) { c.BindAddr = ":0" }, errs.Invalid, "--advertise"},
		"every IPv6 address":       {func(c *Config) { c.AdvertiseAddr = "[::]:7" }, errs.Invalid, "--advertise"},
		"peers at every address":   {func(c *Config) { c.Meta.PeerAddr = "0.0.0.0:8701" }, errs.Invalid, "peer address 0.0.0.0:8701"},
		"clients at every address": {func(c *Config) { c.Meta.HTTPAddr = ":8700" }, errs.Invalid, "http address :8700"},
		"no port":                  {func(c *Config) { c.BindAddr = "127.0.0.1" }, errs.Invalid, "host:port"},
		"a port that is none":      {func(c *Config) { c.BindAddr = "127.0.0.1:70000" }, errs.Invalid, "65535"},
		"an unknown name":          {func(c *Config) { c.AdvertiseAddr = "no.such.host.invalid:1" }, errs.Invalid, "no.such.host.invalid"},
		"a short key":              {func(c *Config) { c.Keys = [][]byte{[]byte("short")} }, errs.Invalid, "gossip key: 5 bytes"},
		"too long for gossip":      {func(c *Config) { c.Meta.Release = strings.Repeat("v", 256) }, errs.Invalid, "gossiped"},
		"port in use":              {func(c *Config) { c.BindAddr = used.Addr() }, errs.Unavailable, "--gossip-addr"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := Config{NodeID: "n2", BindAddr: "127.0.0.1:0"}
			c.edit(&cfg)
			g, err := Start(cfg)
			if err == nil {
				g.Close()
			}
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want kind %v, naming %q", err, c.kind, c.want)
			}
		})
	}
	if err := used.SetMeta(Meta{PeerAddr: "0.0.0.0:1"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("SetMeta: got %v, want invalid", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	g := gossip(t, "n1", seeds(freeport.Addr(t)))
	gossip(t, "n2", seeds(g.Addr())).Close()
	g.Close()
	g.Close()
	buf := make([]byte, 1<<20)
	var left string
	for range 500 {
		left = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(left, "cluster.(*Gossip)") {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("goroutines left:\n%s", left)
}
