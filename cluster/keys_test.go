package cluster

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

func gossipKey(c byte) []byte { return bytes.Repeat([]byte{c}, 32) }

// letters returns the first letters of the keys, in order.
func letters(keys [][]byte) (s string) {
	for _, k := range keys {
		s += string(k[:1])
	}
	return s
}

func TestKeysAreReplacedWhileNodesGossip(t *testing.T) {
	a, b := gossipKey('a'), gossipKey('b')
	with := func(keys ...[]byte) func(*Config) { return func(c *Config) { c.Keys = keys } }
	n1 := gossip(t, "n1", with(a))
	n2 := gossip(t, "n2", func(c *Config) { c.Keys, c.Seeds = [][]byte{a}, []string{n1.Addr()} })
	sees(t, n1, "n1 n2")
	sees(t, n2, "n1 n2")
	both := func(keys ...[]byte) {
		t.Helper()
		var names []string
		for _, k := range keys {
			names = append(names, PrintOf(k).String())
		}
		for _, g := range []*Gossip{n1, n2} {
			if err := g.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range []*Gossip{n1, n2} {
			until(t, g, "both announce "+strings.Join(names, " "), func() bool {
				for _, m := range g.Members() {
					if !m.Alive || !cmp.Equal(m.KeyNames(), names) {
						return false
					}
				}
				return len(g.Members()) == 2
			})
			if got := g.Keys(); letters(got) != letters(keys) {
				t.Errorf("the keys are %q, want %q", letters(got), letters(keys))
			}
		}
	}
	both(a, b) // add everywhere
	both(b, a) // use everywhere
	both(b)    // remove
	// What is known of the cluster now is of no use to who has the old key only.
	late := gossip(t, "n3", func(c *Config) { c.Keys, c.Seeds = [][]byte{a}, []string{n1.Addr()} })
	fresh := gossip(t, "n4", func(c *Config) { c.Keys, c.Seeds = [][]byte{b}, []string{n1.Addr()} })
	sees(t, fresh, "n1 n2 n4")
	if got := view(late); got != "n3" {
		t.Errorf("a node with the old key sees %q", got)
	}
	if err := late.SetKeys([][]byte{b}); err != nil {
		t.Fatal(err)
	}
	sees(t, late, "n1 n2 n3 n4")
}

func TestKeysThatCannotBeSet(t *testing.T) {
	g := gossip(t, "n1", func(c *Config) { c.Keys = [][]byte{gossipKey('a')} })
	open := gossip(t, "n2", func(c *Config) { c.Keys = nil })
	five := [][]byte{gossipKey('a'), gossipKey('b'), gossipKey('c'), gossipKey('d'), gossipKey('e')}
	for name, c := range map[string]struct {
		g    *Gossip
		keys [][]byte
	}{
		"none": {g, nil}, "a short one": {g, [][]byte{[]byte("short")}}, "one twice": {g, [][]byte{gossipKey('a'), gossipKey('a')}},
		"too many": {g, five}, "of a node that gossips in clear text": {open, five[:1]},
	} {
		if err := c.g.SetKeys(c.keys); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if got := letters(g.Keys()); got != "a" {
		t.Errorf("the keys are %q", got)
	}
	if open.Keys() != nil || open.Self().KeyNames() != nil {
		t.Error("a node that gossips in clear text has keys")
	}
}

// Any list of keys may follow any other, while others read them as memberlist
// does.
func TestAnyKeysMayFollowAny(t *testing.T) {
	g := gossip(t, "n1", func(c *Config) { c.Keys = [][]byte{gossipKey('a')}; c.probe = time.Hour })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, k := range g.keys.GetKeys() {
				if len(k) != 32 || k[0] != k[31] {
					t.Error("a key was read while it was written")
					return
				}
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Permutation([]byte("abcdef")).Draw(t, "keys")[:rapid.IntRange(1, MaxKeys).Draw(t, "n")]
		var keys [][]byte
		for _, c := range want {
			keys = append(keys, gossipKey(c))
		}
		if err := g.SetKeys(keys); err != nil {
			t.Fatal(err)
		}
		if got := letters(g.Keys()); got != string(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestMetaHasRoomForKeysThatComeLater(t *testing.T) {
	m := Meta{NodeID: "n1", PeerAddr: strings.Repeat("p", 200) + ":1", HTTPAddr: strings.Repeat("h", 200) + ":1"}
	if _, err := checkMeta(m); err != nil {
		t.Fatalf("it does not fit: %v", err)
	}
	for i := range m.Keys {
		m.Keys[i] = KeyPrint{1}
	}
	m.ClusterID, m.Choice, m.BootstrapExpect, m.HasState, m.Release = NewID(), 1, 3, true, "v1.2.3"
	if p, err := m.append(nil); err != nil || len(p) > metaLimit {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	m.Release = strings.Repeat("r", 40)
	m.Keys = [MaxKeys]KeyPrint{} // it has none yet
	if _, err := m.append(nil); err != nil {
		t.Fatalf("without keys it fits: %v", err)
	}
	if _, err := checkMeta(m); !errs.Is(err, errs.Invalid) {
		t.Errorf("what would not fit with keys: got %v, want invalid", err)
	}
}
