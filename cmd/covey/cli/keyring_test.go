package cli

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/sealed"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
)

// safe is a world of the nodes n1 and n2 that keep their keyrings as the file is.
type safe struct {
	*world
	path    string
	ring    *seal.Keyring
	beating sync.Mutex
	behind  bool // n2 reads the file no more
}

func newSafe(t *testing.T) *safe {
	t.Helper()
	s := &safe{world: newWorld(t), path: filepath.Join(t.TempDir(), "keyring.json")}
	if o := s.run("keyring", "master", "new", s.path); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	var err error
	if s.ring, err = seal.Load(s.path); err != nil {
		t.Fatal(err)
	}
	root := auth.NewRootKey(rootKey)
	buckets, err := bucket.New(bucket.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	docs := collection.New(collection.Config{Keyring: s.ring})
	in := &sealed.Inventory{Keyring: s.ring, Rows: docs.Sealed()}
	reads := vault.NewRecorder(s.store.DB)
	t.Cleanup(reads.Close)
	h := httptest.NewServer(httpapi.New(httpapi.Config{
		Cluster: s, DB: s.store.DB, Buckets: buckets, Collections: docs, Vault: vault.New(vault.Config{}), Readings: reads, Sealed: in,
		Feed: feed.New(s.store), Registry: prometheus.NewRegistry(), Root: root, Wait: 10 * time.Second,
	}))
	t.Cleanup(h.Close)
	s.url = h.URL
	s.status.Members = []cluster.Member{{ID: "n1"}, {ID: "n2"}}
	other, err := seal.Load(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.live(in, other)
	return s
}

// live does what nodes do all the time.
func (s *safe) live(in *sealed.Inventory, other *seal.Keyring) {
	r := sealed.Rewrapper{DB: s.store.DB, Inventory: in, Log: slog.New(slog.DiscardHandler)}
	stop, done := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { close(stop); <-done })
	ctx := s.t.Context()
	beat := func() error {
		_, err := in.Keyring.Reload()
		s.beating.Lock()
		defer s.beating.Unlock()
		if !s.behind {
			_, err2 := other.Reload()
			err = errors.Join(err, err2)
		}
		err = errors.Join(err, in.Announce(ctx, s.store.DB, "n1"), (&sealed.Inventory{Keyring: other}).Announce(ctx, s.store.DB, "n2"))
		_, stepping := r.Step(ctx)
		return errors.Join(err, stepping)
	}
	if err := beat(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := beat(); err != nil && ctx.Err() == nil {
				s.t.Error(err)
			}
		}
	}()
}

// master runs a verb on master keys with the root key, and returns what it printed
// without the last newline.
func (s *safe) master(code int, args ...string) string {
	s.t.Helper()
	o := s.asRoot(append([]string{"keyring", "master"}, args...)...)
	if o.code != code {
		s.t.Fatalf("%q: %+v, want %d", args, o, code)
	}
	return strings.TrimSuffix(o.out+o.errOut, "\n")
}

func TestAMasterKeyIsRotatedRewrappedAndDropped(t *testing.T) {
	s := newSafe(t)
	old := s.ring.Primary()
	for _, args := range [][]string{{"set", "properties.a", "one secret"}, {"set", "jwt.client_secret", "another, longer secret"}} {
		if o := s.asRoot(append([]string{"restdb", "settings"}, args...)...); o.code != 0 {
			t.Fatalf("%+v", o)
		}
	}
	if got, want := s.master(0, "status"), old+"\tn1,n2\t\t2: 2 RestDB settings\tno: it seals on n1, n2"; got != want {
		t.Errorf("status:\n%s, want\n%s", got, want)
	}
	next := s.master(0, "rotate", s.path)
	if infos, err := seal.Describe(s.path); err != nil || len(infos) != 2 || infos[1].ID != next || !infos[1].Primary {
		t.Fatalf("%+v, %v", infos, err)
	}
	if got := s.master(5, "drop", s.path, old, "--yes"); !strings.Contains(got, "key "+old+" is needed: 2 secrets are sealed with it") {
		t.Error(got)
	}
	if got := s.master(0, "rewrap", "--wait"); !strings.HasPrefix(got, next+"\tdone 2023-") || !strings.HasSuffix(got, "\t2 of 2\t2\t0") {
		t.Error(got)
	}
	got := s.master(0, "status")
	for _, part := range []string{old + "\t\t\t0\tyes\n", next + "\tn1,n2\t\t2: 2 RestDB settings\tno: it seals on n1, n2\n", "the latest re-wrapping, to " + next + ": done", "2 of 2 gone over, 2 sealed anew, 0 failed"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	var doc client.KeyringStatus
	if o := s.asRoot("keyring", "master", "status", "-o", "json"); json.Unmarshal([]byte(o.out), &doc) != nil || len(doc.Keys) != 2 || doc.Rewrap == nil || doc.Rewrap.Changed != 2 {
		t.Errorf("%+v", o)
	}
	if got := s.master(2, "drop", s.path, old); !strings.Contains(got, "Drop key "+old) || !strings.Contains(got, "needs --yes") {
		t.Error(got)
	}
	if got := s.master(5, "drop", s.path, next, "--yes"); !strings.Contains(got, "it seals on") {
		t.Error(got)
	}
	s.master(0, "drop", s.path, old, "--yes")
	if infos, err := seal.Describe(s.path); err != nil || len(infos) != 1 || infos[0].ID != next {
		t.Errorf("%+v, %v", infos, err)
	}
}

// A node with a file of its own gets the key late.
func TestAKeyIsAddedDistributedAndPromoted(t *testing.T) {
	s := newSafe(t)
	s.fallBehind(true)
	got := s.master(6, "rotate", s.path, "--within", "1ms")
	infos, err := seal.Describe(s.path)
	if err != nil || len(infos) != 2 || infos[1].Primary {
		t.Fatalf("%+v, %v", infos, err)
	}
	if id := infos[1].ID; !strings.Contains(got, "n2") || !strings.Contains(got, "covey keyring master promote "+s.path+" "+id) {
		t.Error(got)
	}
	id := infos[1].ID
	s.master(6, "rotate", s.path, "--within", "1ms")
	if again, err := seal.Describe(s.path); err != nil || len(again) != 2 {
		t.Errorf("called again it does not go on with the key that it has added: %+v, %v", again, err)
	}
	s.settled(id, 1)
	if got := s.master(5, "promote", s.path, id); !strings.Contains(got, "node n2 does not hold") {
		t.Error(got)
	}
	if got := s.master(3, "promote", s.path, "nokey"); !strings.Contains(got, `has no key "nokey"`) {
		t.Error(got)
	}
	stranger := filepath.Join(t.TempDir(), "keyring.json")
	if _, err := seal.Create(stranger); err != nil {
		t.Fatal(err)
	}
	if got := s.master(5, "rotate", stranger); !strings.Contains(got, "is not the cluster's keyring file") || !strings.Contains(got, s.ring.Primary()) {
		t.Error(got)
	}
	if keys, err := seal.Describe(stranger); err != nil || len(keys) != 1 {
		t.Errorf("a file that was refused has another key: %+v, %v", keys, err)
	}
	s.fallBehind(false)
	s.settled(id, 2)
	s.master(0, "promote", s.path, id)
	s.fallBehind(true)
	other := s.master(0, "add", s.path)
	s.master(0, "promote", s.path, other, "--offline")
	s.settled(other, 1)
	if got := s.master(5, "rewrap"); !strings.Contains(got, "node n2") {
		t.Error(got)
	}
	s.master(0, "rewrap", "--force")
}

// fallBehind says whether n2 reads the file no more, from this moment on.
func (s *safe) fallBehind(yes bool) {
	s.beating.Lock()
	defer s.beating.Unlock()
	s.behind = yes
}

// settled waits until so many nodes have a key.
func (s *safe) settled(id string, nodes int) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		var doc client.KeyringStatus
		if err := json.Unmarshal([]byte(s.master(0, "status", "-o", "json")), &doc); err == nil {
			if k, _ := doc.Key(id); len(k.Nodes) == nodes {
				return
			}
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s is not on %d nodes: %+v", id, nodes, doc)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWhatCannotBeSealedAnewIsAPartialFailure(t *testing.T) {
	s := newSafe(t)
	if o := s.asRoot("restdb", "settings", "set", "properties.a", "one secret"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	if _, err := s.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
		for rec, err := range tx.Scan([]byte("cs"), []byte("ct")) {
			if err != nil {
				return err
			}
			tx.Set(rec.Key, []byte("rubbish"), 0)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := s.master(8, "rewrap", "--wait"); !strings.Contains(got, "0 of 1 done, the first failure is: RestDB settings, database default, properties.a: sealed bytes are damaged") {
		t.Error(got)
	}
	if got := s.master(0, "status"); !strings.Contains(got, "1 secrets are damaged") || !strings.Contains(got, "not sealed anew: RestDB settings, database default, properties.a") {
		t.Error(got)
	}
}

func TestKeyringFilesAreMadeAndShownOffline(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "keyring.json")
	first := strings.TrimSpace(w.must("keyring", "master", "new", path))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	added := strings.TrimSpace(w.must("keyring", "master", "add", path))
	w.must("keyring", "master", "promote", path, added, "--offline")
	rotated := strings.TrimSpace(w.must("keyring", "master", "rotate", path, "--offline"))
	w.must("keyring", "master", "drop", path, first, "--offline", "--yes")
	var keys []struct {
		ID      string
		Created time.Time
		Primary bool
	}
	shown := w.must("keyring", "master", "status", path, "-o", "json")
	if err := json.Unmarshal([]byte(shown), &keys); err != nil || len(keys) != 2 || keys[0].ID != added || keys[1].ID != rotated || keys[0].Primary || !keys[1].Primary || time.Since(keys[1].Created) > time.Hour {
		t.Errorf("%s: %v", shown, err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var content struct{ Keys []struct{ Key string } }
	if err := json.Unmarshal(file, &content); err != nil || len(content.Keys) != 2 {
		t.Fatalf("%v", err)
	}
	for _, k := range content.Keys {
		if strings.Contains(shown, k.Key) {
			t.Error("a key is shown")
		}
	}
	open := filepath.Join(t.TempDir(), "open.json")
	if err := os.WriteFile(open, file, 0o644); err != nil {
		t.Fatal(err)
	}
	w.walk([]step{
		{5, "exists already", []string{"keyring", "master", "new", path}},
		{3, "does not exist", []string{"keyring", "master", "add", path + "x"}},
		{3, "does not exist", []string{"keyring", "master", "status", path + "x"}},
		{3, "has no key", []string{"keyring", "master", "promote", path, "nokey", "--offline"}},
		{1, "primary", []string{"keyring", "master", "drop", path, rotated, "--offline", "--yes"}},
		{1, "chmod 600", []string{"keyring", "master", "status", open}},
		{2, "too few", []string{"keyring", "master", "rotate"}},
		{2, "needs --yes", []string{"keyring", "master", "drop", path, added, "--offline"}},
	})
	if o := w.run("keyring", "master", "rotate", path); o.code != exitDenied || !strings.Contains(o.errOut, "--offline") {
		t.Errorf("without the root key: %+v", o)
	}
	if infos, err := seal.Describe(path); err != nil || len(infos) != 2 {
		t.Errorf("a verb that failed has changed the file: %+v, %v", infos, err)
	}
}
