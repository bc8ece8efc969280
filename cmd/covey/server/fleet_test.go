package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/fleet"
)

// mate is a follower of a node n1 whose only peer is n2, which has the keyring.
type mate struct {
	*follower
	t     *testing.T
	state *kvtest.Store
	other *follower // n2's
	log   *text
	alone bool // it is of no cluster, and nobody answers it
	found bool // it is of no cluster, and n2 answers it

	mu   sync.Mutex
	keys [][]byte
}

func (m *mate) ClusterID() cluster.ID {
	if m.alone || m.found {
		return cluster.ID{}
	}
	return cluster.ID{1}
}

func (m *mate) GossipKeys() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys
}

func (m *mate) SetGossipKeys(keys [][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = keys
	return nil
}

func (m *mate) Status(context.Context) (cluster.Status, error) {
	return cluster.Status{ID: "n1", Members: []cluster.Member{{ID: "n1", Role: cluster.RoleVoter, Alive: true}, {ID: "n2", Role: cluster.RoleVoter, Leader: true, Alive: m.found}, {ID: "n9", Role: cluster.RoleNone}}}, nil
}

// CallAdmin asks n2.
func (m *mate) CallAdmin(ctx context.Context, to, op string, in, out any) error {
	if to != "n2" {
		return errs.E(errs.Unavailable, "there is no %s", to)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var answer any
	switch op {
	case opGossipKeys:
		answer, err = m.other.giveGossipKeys(ctx, "n1", body)
	case opRenew:
		answer, err = m.other.renew(ctx, "n1", body)
	}
	if err != nil {
		return err
	}
	if body, err = json.Marshal(answer); err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}

// newMate makes one with a keyring or without.
func newMate(t *testing.T, has bool) *mate {
	t.Helper()
	dir := t.TempDir()
	ring, err := seal.Create(filepath.Join(dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewAuthority("test", 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &mate{t: t, state: kvtest.New(t), log: &text{}, keys: [][]byte{bytes.Repeat([]byte("a"), 32)}}
	trusted := func() ([]byte, error) { return ca.CertPEM(), nil }
	build := func(id string, ring *seal.Keyring) *follower {
		return &follower{
			id: id, node: m, db: m.state.DB, store: fleet.New(ring), ring: ring, root: auth.NewRootKeys("a root key in a file"),
			path: filepath.Join(dir, id, "gossip.json"), trusted: trusted, log: slog.New(slog.NewTextHandler(m.log, nil)),
		}
	}
	m.other = build("n2", ring)
	if has {
		m.follower = build("n1", ring)
	} else {
		m.follower = build("n1", nil)
	}
	pair, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	m.update(func(tx *kv.Tx) error {
		return m.other.store.SetAuthority(tx, fleet.Authority{Cert: pair.Cert, Key: pair.Key}, seal.Seed{1})
	})
	return m
}

func (m *mate) update(fn func(*kv.Tx) error) {
	m.t.Helper()
	if _, err := m.state.DB.Update(m.t.Context(), fn); err != nil {
		m.t.Fatal(err)
	}
}

// add has the cluster agree on a second key.
func (m *mate) add() {
	m.t.Helper()
	e := fleet.GossipEdit{Cluster: m.ClusterID().String(), Seed: seal.Seed{2}}
	for _, k := range m.GossipKeys() {
		e.Held = append(e.Held, fleet.GossipKey{Print: cluster.PrintOf(k).String(), Secret: k})
	}
	secret := bytes.Repeat([]byte("b"), 32)
	m.update(func(tx *kv.Tx) error {
		_, err := m.other.store.AddGossipKey(tx, e, fleet.GossipKey{Print: cluster.PrintOf(secret).String(), Secret: secret})
		return err
	})
}

func TestANodeFollowsTheGossipKeys(t *testing.T) {
	for name, has := range map[string]bool{"with a keyring": true, "without one, from a peer": false} {
		t.Run(name, func(t *testing.T) {
			m := newMate(t, has)
			m.follow(t.Context())
			if len(m.GossipKeys()) != 1 || hasFile(m.path) {
				t.Error("it changed something though the cluster has agreed on nothing")
			}
			m.add()
			m.follow(t.Context())
			if k := m.GossipKeys(); len(k) != 2 || k[0][0] != 'a' || k[1][0] != 'b' {
				t.Errorf("the keys are %q", k)
			}
			if k, err := readKept(m.path, m.ring); err != nil || k.Generation != 1 || len(k.Keys) != 2 {
				t.Errorf("kept: %+v, %v", k, err)
			}
			if said := m.log.take(); !strings.Contains(said, "the gossip keys are those of the cluster") || strings.Contains(said, "bbbb") {
				t.Errorf("the log says\n%s", said)
			}
			m.follow(t.Context())
			if said := m.log.take(); said != "" {
				t.Errorf("it did it again: %s", said)
			}
		})
	}
}

// The data folder was part of a cluster that was lost, and of which another one
// has taken the place.
func TestKeysOfASupersededClusterAreNotTakenForThoseOfItsHeir(t *testing.T) {
	m := newMate(t, true)
	m.cluster, m.generation = strings.Repeat("cd", 16), 1
	m.follow(t.Context())
	m.add() // their first generation here
	m.follow(t.Context())
	if k := m.GossipKeys(); len(k) != 2 || m.cluster != m.ClusterID().String() {
		t.Errorf("the keys are %q, of cluster %s", k, m.cluster)
	}
}

func TestANodeOfNoClusterSeeksItWithEachKeyThatItHas(t *testing.T) {
	m := newMate(t, true)
	m.alone = true
	m.keys = append(m.keys, bytes.Repeat([]byte("b"), 32), bytes.Repeat([]byte("c"), 32))
	now := time.Unix(1000, 0)
	for _, want := range []string{"abc", "bca", "cab", "abc"} {
		m.seek(t.Context(), now)
		m.seek(t.Context(), now.Add(seekEvery/2))
		if got := string([]byte{m.keys[0][0], m.keys[1][0], m.keys[2][0]}); got != want {
			t.Errorf("the keys are in the order %s, want %s", got, want)
		}
		now = now.Add(seekEvery)
	}
	if said := m.log.take(); strings.Count(said, "another key is tried") != 3 || strings.Contains(said, "bbbb") {
		t.Errorf("the log says\n%s", said)
	}
	m.alone, m.found = false, true
	m.seek(t.Context(), now)
	if m.keys[0][0] != 'a' {
		t.Error("it gives up the key with which it was found")
	}
	m.found, m.sought = false, time.Time{}
	m.follow(t.Context()) // of a cluster it does what that says
	if !m.sought.IsZero() || m.keys[0][0] != 'a' {
		t.Error("a member seeks on")
	}
}

func TestKeysAreHandedToMembersUnderTLSOnly(t *testing.T) {
	m := newMate(t, false)
	m.add()
	ctx := t.Context()
	if _, err := m.other.giveGossipKeys(ctx, "n9", nil); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a node that is no member: %v", err)
	}
	csr, _, err := pki.NewRequest("n1")
	if err != nil {
		t.Fatal(err)
	}
	ask := renewal{CSR: csr}
	var got renewed
	if err := m.askAny(ctx, opRenew, ask, &got); !errs.Is(err, errs.NotFound) {
		t.Errorf("a node that did not join by a token: %v", err)
	}
	m.update(func(tx *kv.Tx) error {
		if _, err := fleet.CreateToken(tx, fleet.Token{ID: "t", Secret: fleet.HashToken("s")}, fleet.MaxTokenLife); err != nil {
			return err
		}
		_, err := fleet.RedeemToken(tx, fleet.Redemption{ID: "t", Secret: "s", Node: "n1", Hosts: []string{"h1"}})
		return err
	})
	if err := m.askAny(ctx, opRenew, ask, &got); err != nil {
		t.Fatal(err)
	}
	certs, err := pki.ParseCertificates(got.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if role, id, err := pki.Identify(certs[0]); err != nil || role != pki.RoleNode || id != "n1" || certs[0].VerifyHostname("h1") != nil {
		t.Errorf("%v %v %v %+v", role, id, err, pki.Describe(certs[0]))
	}
	m.other.trusted = nil // nodes that talk in clear text
	for op, in := range map[string]any{opGossipKeys: nil, opRenew: ask} {
		if err := m.CallAdmin(ctx, "n2", op, in, &got); !errs.Is(err, errs.Forbidden) {
			t.Errorf("%s without TLS: %v", op, err)
		}
	}
	m.trusted = nil
	m.follow(ctx)
	m.follow(ctx)
	if said := m.log.take(); strings.Count(said, "cannot open them") != 1 || len(m.GossipKeys()) != 1 {
		t.Errorf("the log says\n%s", said)
	}
}

func TestANodeFollowsTheRootKeys(t *testing.T) {
	m := newMate(t, true)
	next, old := auth.Credential{Value: "another root key"}, auth.Credential{Value: "a root key in a file"}
	file, _ := m.root.File()
	m.update(func(tx *kv.Tx) error {
		if _, err := fleet.AddRootKey(tx, "k1", auth.NewSalted(next.Value)); err != nil {
			return err
		}
		return fleet.DropRootKey(tx, fleet.RootDrop{ID: auth.FileKey, By: "k1", File: &file})
	})
	if !m.root.Match(old) {
		t.Error("it knows of the change before it followed")
	}
	m.follow(t.Context())
	m.other.follow(t.Context())
	for _, f := range []*follower{m.follower, m.other} {
		if f.root.Match(old) || !f.root.Match(next) {
			t.Errorf("%s takes the dropped key, or not the new one", f.id)
		}
	}
}
