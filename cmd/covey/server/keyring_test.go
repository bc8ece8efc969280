package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/kv/sealed"
)

// kept is a keeper over a store in memory with records that each are one secret.
type kept struct {
	*keeper
	t    *testing.T
	ring *seal.Keyring
	log  *text
}

// text is a log that several goroutines use.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last time.
func (l *text) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

func newKept(t *testing.T, db *kv.DB) *kept {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	ring, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{t: t, ring: ring, log: &text{}}
	cfg := &Config{ID: "n1", KeyringFile: path, Log: slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	k.keeper = newKeeper(cfg, db, &sealed.Inventory{Keyring: ring, Rows: []sealed.Rows{{Name: "secrets", Lo: []byte("x"), Hi: []byte("y"),
		Each: func(rec kv.Record, visit sealed.Visit) ([]byte, error) {
			visit(sealed.Thing{Kind: "secrets", Sealed: &rec.Value})
			return nil, nil
		},
	}}}, func(context.Context) ([]string, error) { return []string{"n1", "n2", "n3"}, nil })
	k.watch(t.Context())
	return k
}

// put stores a secret that a keyring has sealed.
func (k *kept) put(key string, ring *seal.Keyring) {
	k.t.Helper()
	p, err := ring.Seal([]byte("p"), nil)
	if err == nil {
		_, err = k.db.Update(k.t.Context(), func(tx *kv.Tx) error { tx.Set([]byte(key), p, 0); return nil })
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) node(id string) (n sealed.Node) {
	k.t.Helper()
	if _, err := k.db.View(k.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		all, err := sealed.Nodes(tx)
		if i := slices.IndexFunc(all, func(n sealed.Node) bool { return n.ID == id }); i >= 0 {
			n = all[i]
		}
		return err
	}); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// said checks that what was logged since the last time holds all words, and none
// of the file's keys.
func (k *kept) said(words ...string) {
	k.t.Helper()
	log := k.log.take()
	for _, w := range words {
		if !strings.Contains(log, w) {
			k.t.Errorf("%q is not in the log: %q", w, log)
		}
	}
	if len(words) == 0 && log != "" {
		k.t.Errorf("the log has %q", log)
	}
	var file struct{ Keys []struct{ Key string } }
	if text, err := os.ReadFile(k.path); err == nil && json.Unmarshal(text, &file) == nil {
		for _, key := range file.Keys {
			if strings.Contains(log, key.Key) {
				k.t.Errorf("a key is in the log: %q", log)
			}
		}
	}
}

func create(t *testing.T) *seal.Keyring {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "other.json"))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestTheKeyringFollowsItsFile(t *testing.T) {
	k := newKept(t, kvtest.New(t).DB)
	k.said()
	old := k.ring.Primary()
	next, err := seal.Rotate(k.path)
	if err != nil {
		t.Fatal(err)
	}
	k.watch(t.Context())
	if k.ring.Primary() != next {
		t.Errorf("the primary key is %s, want %s", k.ring.Primary(), next)
	}
	k.said("INFO", "read again", "primary="+next, old)
	k.watch(t.Context())
	k.said()

	good, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(k.path, mode); err != nil {
			t.Fatal(err)
		}
	}
	strange := `{"primary":"` + next + `","keys":[{"id":"` + next + `","key":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `"}]}`
	for _, c := range []struct {
		text string
		mode os.FileMode
		why  string
	}{
		{string(good[:len(good)/2]), 0o600, "not a JSON object"}, {"", 0o600, "not a JSON object"}, {string(good), 0o644, "chmod 600"},
		{strange, 0o600, "key " + next + " is another"},
	} {
		write(c.text, c.mode)
		k.watch(t.Context())
		if k.ring.Primary() != next || !k.ring.Holds(old) {
			t.Errorf("%s: the keyring has changed", c.why)
		}
		k.said("ERROR", "the one in use stays", c.why)
		k.watch(t.Context())
		k.said() // once is enough
		if err := k.reload(); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("asked to read it: %v, want %s", err, c.why)
		}
	}
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	k.watch(t.Context())
	k.said("ERROR", "does not exist")
	k.watch(t.Context())
	k.said()
	write(string(good), 0o600)
	k.watch(t.Context())
	k.said() // it is what it was
	if err := seal.Drop(k.path, old); err != nil {
		t.Fatal(err)
	}
	if err := k.reload(); err != nil {
		t.Fatal(err)
	}
	k.said("WARN", "does not hold keys any more", old)
}

// A file that lacks a key that is needed is a mistake: it is another cluster's,
// or the key was dropped too early.
func TestKeysThatAreNeededStay(t *testing.T) {
	k := newKept(t, kvtest.New(t).DB)
	old := k.ring.Primary()
	k.put("x1", k.ring)
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	other, err := seal.Create(k.path)
	if err != nil {
		t.Fatal(err)
	}
	k.watch(t.Context())
	k.said("ERROR", "lacks keys that 1 secrets are sealed with ("+old+")")
	if k.ring.Primary() != old || len(k.ring.IDs()) != 1 {
		t.Errorf("the keyring seals with %s of %v", k.ring.Primary(), k.ring.IDs())
	}
	k.watch(t.Context())
	k.said() // once is enough
	k.put("x1", other)
	if err := k.reload(); err != nil {
		t.Fatal(err)
	}
	k.said("read again", "does not hold keys any more", old)
	if k.ring.Primary() != other.Primary() {
		t.Errorf("a keyring that lacks nothing is not taken: it seals with %s", k.ring.Primary())
	}

	// A store that cannot be asked decides nothing, and is asked again.
	k.put("x2", k.ring)
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Create(k.path); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := k.poll(gone); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "not known") {
			t.Errorf("without the store: %v", err)
		}
	}
}

func TestANodeTellsWhatItHoldsAndWhatItLacks(t *testing.T) {
	store := kvtest.New(t)
	k := newKept(t, store.DB)
	other := create(t)
	k.put("x1", k.ring)
	k.put("x2", other)
	k.put("x3", other)
	k.report(t.Context())
	k.said("WARN", "this node lacks", "keys=["+other.Primary()+"]", "secrets=2")
	if n := k.node("n1"); n.Primary != k.ring.Primary() {
		t.Errorf("announced: %+v", n)
	}
	k.report(t.Context())
	k.said()

	next, err := seal.Rotate(k.path)
	if err != nil {
		t.Fatal(err)
	}
	k.watch(t.Context())
	k.report(t.Context())
	k.said("read again", "secrets=2") // it may have been to mend that
	if n := k.node("n1"); n.Primary != next || len(n.Keys) != 2 {
		t.Errorf("announced: %+v", n)
	}

	if err := (&sealed.Inventory{Keyring: other}).Announce(t.Context(), store.DB, "n2"); err != nil {
		t.Fatal(err)
	}
	k.report(t.Context())
	k.said("WARN", "another node seals", "node=n2", "key="+other.Primary())
	k.report(t.Context())
	k.said()

	without := newKeeper(&Config{ID: "n3", Log: k.log.logger()}, store.DB, &sealed.Inventory{Rows: k.inventory.Rows}, k.members)
	without.watch(t.Context())
	if err := without.reload(); err != nil {
		t.Error(err)
	}
	without.report(t.Context())
	k.said("secrets=3", k.ring.IDs()[0])
}

func (l *text) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestTheKeeperRunsByItself(t *testing.T) {
	k := newKept(t, kvtest.New(t).DB)
	k.every = time.Millisecond
	done := make(chan struct{})
	ctx := t.Context()
	go func() { k.Run(ctx); close(done) }()
	t.Cleanup(func() { <-done })
	next, err := seal.Rotate(k.path)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(30 * time.Second)
	for k.node("n1").Primary != next {
		if time.Now().After(end) {
			t.Fatalf("after a long time the node is announced as %+v", k.node("n1"))
		}
		time.Sleep(time.Millisecond)
	}
}

func TestANodeDoesNotSealWithAKeyThatNoOtherMemberHolds(t *testing.T) {
	store := kvtest.New(t)
	k := newKept(t, store.DB)
	seals := func() bool {
		_, err := k.ring.Seal([]byte("p"), nil)
		if err != nil && (!errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), k.ring.Primary())) {
			t.Errorf("refused with: %v", err)
		}
		return err == nil
	}
	announce := func(id string, ring *seal.Keyring) {
		t.Helper()
		if err := (&sealed.Inventory{Keyring: ring}).Announce(t.Context(), store.DB, id); err != nil {
			t.Fatal(err)
		}
	}
	sealedBefore, err := k.ring.Seal([]byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	k.report(t.Context())
	if !seals() {
		t.Error("alone it seals nothing")
	}
	other, err := seal.Create(filepath.Join(t.TempDir(), "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	announce("n9", other) // has left
	k.report(t.Context())
	if !seals() {
		t.Error("a node that has left stops it")
	}
	announce("n2", other)
	k.log.take()
	k.report(t.Context())
	if seals() {
		t.Error("it seals what no other member can open")
	}
	k.said("seals nothing", k.ring.Primary(), "another node seals", other.Primary())
	if _, err := k.ring.Open(sealedBefore, nil); err != nil {
		t.Errorf("it opens no more: %v", err)
	}
	k.report(t.Context())
	k.said() // once is enough
	announce("n3", k.ring)
	k.report(t.Context())
	if !seals() {
		t.Error("it does not seal with a key that another member holds")
	}
}
