package fleet

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/kv/sealed"
)

// world is a Store over a state in memory.
type world struct {
	*Store
	t     *testing.T
	state *kvtest.Store
	ring  *seal.Keyring
	path  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, state: kvtest.New(t), path: filepath.Join(t.TempDir(), "keyring.json")}
	var err error
	if w.ring, err = seal.Create(w.path); err != nil {
		t.Fatal(err)
	}
	w.Store = New(w.ring)
	return w
}

// update runs fn, which is made to run twice: its first commit meets a conflict.
func (w *world) update(fn func(*kv.Tx) error) error {
	w.t.Helper()
	w.state.ConflictNext(1)
	_, err := w.state.DB.Update(w.t.Context(), fn)
	w.state.ConflictNext(0)
	return err
}

func (w *world) must(fn func(*kv.Tx) error) {
	w.t.Helper()
	if err := w.update(fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.state.DB.View(w.t.Context(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// refused fails unless err is of a kind and says something.
func refused(t *testing.T, what string, err error, kind errs.Kind, says string) {
	t.Helper()
	if !errs.Is(err, kind) || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want a %v that says %q", what, err, kind, says)
	}
}

var seed = seal.Seed{1}

func TestAutopilotIsKeptAndBounded(t *testing.T) {
	w := newWorld(t)
	var got Autopilot
	read := func(tx *kv.Tx) (err error) { got, err = ReadAutopilot(tx); return err }
	w.view(read)
	if got != (Autopilot{}) {
		t.Errorf("nothing was set, got %+v", got)
	}
	want := Autopilot{Cleanup: true, MinQuorum: 3, DeadSeconds: 60}
	w.must(func(tx *kv.Tx) error { return WriteAutopilot(tx, want) })
	for name, a := range map[string]Autopilot{
		"a single voter": {Cleanup: true, MinQuorum: 1}, "below none": {MinQuorum: -1}, "too many": {MinQuorum: 10},
		"too soon": {Cleanup: true, DeadSeconds: 9}, "too late": {DeadSeconds: MaxDeadSeconds + 1}, "before it died": {DeadSeconds: -1},
	} {
		refused(t, name, w.update(func(tx *kv.Tx) error { return WriteAutopilot(tx, a) }), errs.Invalid, "")
	}
	if w.view(read); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWishesAreKeptUntilTheyAreTakenAway(t *testing.T) {
	w := newWorld(t)
	w.must(func(tx *kv.Tx) error {
		_ = SetWish(tx, "n1", WishRemoved)
		_ = SetWish(tx, "n2", WishNonVoter)
		return SetWish(tx, "n3", WishRemoved)
	})
	w.must(func(tx *kv.Tx) error { return SetWish(tx, "n3", WishNone) })
	var got map[string]Wish
	w.view(func(tx *kv.Tx) (err error) { got, err = Wishes(tx); return err })
	if diff := cmp.Diff(map[string]Wish{"n1": WishRemoved, "n2": WishNonVoter}, got); diff != "" {
		t.Error(diff)
	}
	refused(t, "a wish that is none", w.update(func(tx *kv.Tx) error { return SetWish(tx, "n1", "king") }), errs.Invalid, "king")
	refused(t, "no node", w.update(func(tx *kv.Tx) error { return SetWish(tx, "", WishRemoved) }), errs.Invalid, "node id")
}

func TestTheAuthoritysKeyIsSealed(t *testing.T) {
	w := newWorld(t)
	a := Authority{Cert: []byte("cert"), Key: []byte("the key of the CA"), Life: time.Hour}
	w.must(func(tx *kv.Tx) error { return w.SetAuthority(tx, a, seed) })
	w.view(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(Prefix()) {
			if err != nil {
				return err
			}
			if bytes.Contains(rec.Value, a.Key) {
				t.Error("the key is in the state in clear text")
			}
		}
		got, err := w.Authority(tx)
		if diff := cmp.Diff(&Authority{Cert: a.Cert, Key: a.Key, Life: time.Hour, Set: kvtest.Start}, got); diff != "" {
			t.Error(diff)
		}
		return err
	})
	without := New(nil)
	refused(t, "without a keyring", w.update(func(tx *kv.Tx) error { return without.SetAuthority(tx, a, seed) }), errs.Invalid, "keyring")
	refused(t, "a life too short", w.update(func(tx *kv.Tx) error {
		return w.SetAuthority(tx, Authority{Cert: a.Cert, Key: a.Key, Life: time.Second}, seed)
	}), errs.Invalid, "live")
	w.view(func(tx *kv.Tx) error {
		_, err := without.Authority(tx)
		refused(t, "to read it without a keyring", err, errs.Unavailable, "")
		shown, err := AuthorityCert(tx)
		if err != nil || shown == nil || shown.Key != nil || !bytes.Equal(shown.Cert, a.Cert) {
			t.Errorf("%+v, %v", shown, err)
		}
		return err
	})
	w.must(RemoveAuthority)
	refused(t, "to remove it twice", w.update(RemoveAuthority), errs.NotFound, "no CA")
}

func gossipKey(c byte) GossipKey {
	return GossipKey{Print: strings.Repeat(string(c), 16), Secret: bytes.Repeat([]byte{c}, 32)}
}

// gossips returns the first letters of the keys, in order.
func (w *world) gossips(cluster string) (names string) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) error {
		g, err := w.GossipKeys(tx, cluster)
		if err != nil || g == nil {
			names = "none"
			return err
		}
		names = ""
		for _, k := range g.Keys {
			if !bytes.Equal(k.Secret, gossipKey(k.Print[0]).Secret) {
				w.t.Errorf("key %s has another secret", k.Print)
			}
			names += k.Print[:1]
		}
		return nil
	})
	return names
}

func TestAGossipKeyIsAddedUsedAndTheOldOneRemoved(t *testing.T) {
	w := newWorld(t)
	e := GossipEdit{Cluster: "c1", Held: []GossipKey{gossipKey('a')}, Seed: seed}
	step := func(want string, fn func(tx *kv.Tx) (*GossipKeys, error)) {
		t.Helper()
		w.must(func(tx *kv.Tx) error { _, err := fn(tx); return err })
		if got := w.gossips("c1"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	fail := func(what string, kind errs.Kind, fn func(tx *kv.Tx) (*GossipKeys, error)) {
		t.Helper()
		refused(t, what, w.update(func(tx *kv.Tx) error { _, err := fn(tx); return err }), kind, "")
	}
	b := gossipKey('b')
	fail("use what is not there", errs.NotFound, func(tx *kv.Tx) (*GossipKeys, error) { return w.UseGossipKey(tx, e, b.Print) })
	fail("without a keyring", errs.Invalid, func(tx *kv.Tx) (*GossipKeys, error) { return New(nil).AddGossipKey(tx, e, b) })
	fail("in clear text", errs.Conflict, func(tx *kv.Tx) (*GossipKeys, error) {
		return w.AddGossipKey(tx, GossipEdit{Cluster: "c1", Seed: seed}, b)
	})
	step("ab", func(tx *kv.Tx) (*GossipKeys, error) { return w.AddGossipKey(tx, e, b) })
	fail("remove the one to send with", errs.Conflict, func(tx *kv.Tx) (*GossipKeys, error) {
		return w.RemoveGossipKey(tx, e, gossipKey('a').Print)
	})
	step("ba", func(tx *kv.Tx) (*GossipKeys, error) { return w.UseGossipKey(tx, e, b.Print) })
	step("b", func(tx *kv.Tx) (*GossipKeys, error) { return w.RemoveGossipKey(tx, e, gossipKey('a').Print) })
	for _, c := range "cde" {
		step("bcde"[:strings.IndexRune("bcde", c)+1], func(tx *kv.Tx) (*GossipKeys, error) { return w.AddGossipKey(tx, e, gossipKey(byte(c))) })
	}
	fail("one too many", errs.Conflict, func(tx *kv.Tx) (*GossipKeys, error) { return w.AddGossipKey(tx, e, gossipKey('f')) })
	w.view(func(tx *kv.Tx) error {
		g, err := ReadGossipPrints(tx, "c1")
		if err != nil || g.Generation != 6 || g.Keys[1].Created != kvtest.Start || g.Keys[0].Secret != nil {
			t.Errorf("%+v, %v", g, err)
		}
		return err
	})
	// A backup that was restored into another cluster brings its keys nowhere.
	if got := w.gossips("c2"); got != "none" {
		t.Errorf("cluster c2 has the keys %q of c1", got)
	}
	e.Cluster, e.Held = "c2", []GossipKey{gossipKey('x')}
	w.must(func(tx *kv.Tx) error { _, err := w.AddGossipKey(tx, e, gossipKey('y')); return err })
	if got := w.gossips("c2"); got != "xy" {
		t.Errorf("cluster c2: got %q, want xy", got)
	}
}

func TestSealedRowsAreSealedAnewWithTheRest(t *testing.T) {
	w := newWorld(t)
	w.must(func(tx *kv.Tx) error { return w.SetAuthority(tx, Authority{Cert: []byte("c"), Key: []byte("k")}, seed) })
	e := GossipEdit{Cluster: "c1", Held: []GossipKey{gossipKey('a')}, Seed: seed}
	w.must(func(tx *kv.Tx) error { _, err := w.AddGossipKey(tx, e, gossipKey('b')); return err })
	old := w.ring.Primary()
	next, err := seal.Rotate(w.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring.Reload(); err != nil {
		t.Fatal(err)
	}
	in := &sealed.Inventory{Keyring: w.ring, Rows: w.Sealed()}
	tally := func(key string) (n int64) {
		w.view(func(tx *kv.Tx) error {
			tallies, err := in.Count(t.Context(), tx)
			for _, a := range tallies {
				if a.Key == key {
					n += a.Count
				}
			}
			return err
		})
		return n
	}
	if n := tally(old); n != 2 {
		t.Fatalf("%d things are under the old key, want 2", n)
	}
	if _, err := w.state.DB.Update(t.Context(), func(tx *kv.Tx) error { _, err := in.Start(tx, 2); return err }); err != nil {
		t.Fatal(err)
	}
	r := sealed.Rewrapper{DB: w.state.DB, Inventory: in, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
	for range 20 {
		if _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := tally(old), tally(next); a != 0 || b != 2 {
		t.Errorf("%d things are under the old key and %d under the new one, want 0 and 2", a, b)
	}
	if got := w.gossips("c1"); got != "ab" {
		t.Errorf("the gossip keys are %q", got)
	}
	w.view(func(tx *kv.Tx) error {
		a, err := w.Authority(tx)
		if err != nil || string(a.Key) != "k" {
			t.Errorf("%+v, %v", a, err)
		}
		return err
	})
}

func TestRootKeysAreAddedAndDropped(t *testing.T) {
	w := newWorld(t)
	n1, n2 := auth.NewRootKeys("the key of the file"), auth.NewRootKeys("the key of the file")
	old := auth.Credential{Value: "the key of the file"}
	add := func(id, text string) {
		t.Helper()
		hash := auth.NewSalted(text)
		w.must(func(tx *kv.Tx) error { _, err := AddRootKey(tx, id, hash); return err })
	}
	follow := func() {
		t.Helper()
		var set auth.RootSet
		w.view(func(tx *kv.Tx) (err error) { set, err = ReadRootKeys(tx); return err })
		n1.Follow(set)
		n2.Follow(set)
	}
	drop := func(d RootDrop) error {
		t.Helper()
		return w.update(func(tx *kv.Tx) error { return DropRootKey(tx, d) })
	}
	add("k1", "a new key")
	follow()
	fresh := auth.Credential{Value: "a new key"}
	for _, n := range []*auth.RootKey{n1, n2} {
		if !n.Match(old) || !n.Match(fresh) {
			t.Error("both keys must be good")
		}
	}
	file, _ := n1.File()
	refused(t, "the key that the request was made with", drop(RootDrop{ID: auth.FileKey, By: auth.FileKey, File: &file}), errs.Conflict, "locked out")
	refused(t, "a key that is not there", drop(RootDrop{ID: "k9", By: "k1"}), errs.NotFound, "k9")
	refused(t, "a file that is none", drop(RootDrop{ID: auth.FileKey, By: "k1"}), errs.NotFound, "no root key of a file")
	if err := drop(RootDrop{ID: auth.FileKey, By: "k1", File: &file}); err != nil {
		t.Fatal(err)
	}
	follow()
	late := auth.NewRootKeys("the key of the file") // a node that is started with the file later
	var set auth.RootSet
	w.view(func(tx *kv.Tx) (err error) { set, err = ReadRootKeys(tx); return err })
	late.Follow(set)
	for name, n := range map[string]*auth.RootKey{"n1": n1, "n2": n2, "a node started later": late} {
		if n.Match(old) || !n.Match(fresh) {
			t.Errorf("%s takes the dropped key, or not the new one", name)
		}
	}
	add("k2", "another key")
	if err := drop(RootDrop{ID: "k1", By: "k2"}); err != nil {
		t.Fatal(err)
	}
	if follow(); n1.Match(fresh) || !n2.Match(auth.Credential{Value: "another key"}) {
		t.Error("k1 must be refused and k2 be good")
	}
	refused(t, "the name of the file's", w.update(func(tx *kv.Tx) error {
		_, err := AddRootKey(tx, auth.FileKey, auth.Salted{})
		return err
	}), errs.Invalid, "file")
	for i := range MaxRootKeys - 1 {
		add("m"+string(rune('a'+i)), "x")
	}
	refused(t, "one too many", w.update(func(tx *kv.Tx) error {
		_, err := AddRootKey(tx, "z", auth.Salted{})
		return err
	}), errs.Conflict, "root keys already")
}
