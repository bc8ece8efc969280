package server

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/fleet"
	"github.com/coveydb/covey/node/room"
)

// noted keeps the last command.
type noted struct {
	*kvtest.Store
	last *command.Command
}

func (n *noted) Commit(ctx context.Context, c *command.Command) (command.Result, error) {
	n.last = c
	return n.Store.Commit(ctx, c)
}

func TestWhatGetsAClusterOutOfLackOfRoomIsWrittenUntilTheEnd(t *testing.T) {
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	store := fleet.New(ring)
	n := &noted{Store: kvtest.New(t)}
	db := kv.New(n)
	host := strings.Repeat("h", 250)
	hosts := slices.Repeat([]string{host}, fleet.MaxHosts)
	for _, c := range []struct {
		name string
		do   func(tx *kv.Tx) error
	}{
		{"a node is removed", func(tx *kv.Tx) error { return fleet.SetWish(tx, "n3", fleet.WishRemoved) }},
		{"the leader cleans up", func(tx *kv.Tx) error { return fleet.WriteAutopilot(tx, fleet.Autopilot{Cleanup: true}) }},
		{"a token is made", func(tx *kv.Tx) error {
			_, err := fleet.CreateToken(tx, fleet.Token{ID: "t", Secret: fleet.HashToken("s"), Hosts: hosts}, time.Hour)
			return err
		}},
		{"a node joins", func(tx *kv.Tx) error {
			_, err := fleet.RedeemToken(tx, fleet.Redemption{ID: "t", Secret: "s", Node: "n4", Key: []byte("k"), Hosts: hosts})
			return err
		}},
		{"a CA", func(tx *kv.Tx) error {
			return store.SetAuthority(tx, fleet.Authority{Cert: bytes.Repeat([]byte("c"), 2<<10), Key: []byte("k")}, seal.Seed{1})
		}},
		{"a gossip key", func(tx *kv.Tx) error {
			_, err := store.AddGossipKey(tx, fleet.GossipEdit{Cluster: "c", Held: []fleet.GossipKey{{Print: "a", Secret: []byte("a")}}, Seed: seal.Seed{2}}, fleet.GossipKey{Print: "b", Secret: []byte("b")})
			return err
		}},
		{"a root key is made", func(tx *kv.Tx) error { _, err := fleet.AddRootKey(tx, "k", auth.NewSalted("k")); return err }},
		{"that of a file is dropped", func(tx *kv.Tx) error {
			file := auth.NewSalted("f")
			return fleet.DropRootKey(tx, fleet.RootDrop{ID: auth.FileKey, By: "k", File: &file})
		}},
		{"a backup was made", func(tx *kv.Tx) error { return fleet.FinishBackup(tx, fleet.BackupRun{Slot: 1}) }},
	} {
		if _, err := db.Update(t.Context(), c.do); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !room.Scarce.Allows(n.last, vital) {
			t.Errorf("%s: it is refused where there is hardly any room", c.name)
		}
	}
	if _, err := db.Update(t.Context(), func(tx *kv.Tx) error {
		return store.SetAuthority(tx, fleet.Authority{Cert: bytes.Repeat([]byte("c"), 60<<10), Key: []byte("k")}, seal.Seed{1})
	}); err != nil || room.Low.Allows(n.last, vital) {
		t.Errorf("what is large is not refused, %v", err)
	}
	if vital([]byte("b\x00data")) {
		t.Error("a client's data is vital")
	}
}
