package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/folder"
)

// Where a quorum has no room for any entry a write is refused, deletes too,
// instead of waiting until nobody knows what became of it.
func TestNothingIsTakenThatAQuorumHasNoRoomFor(t *testing.T) {
	t.Parallel()
	// A leader that is elected among these could not take over at all.
	members := newCluster(t, 3, func(c *node.Config) { c.Heartbeat = 2 * time.Second })
	lead := leaderOf(t, members)
	lead.set("k", "v")
	crammed := others(members, lead)
	for _, m := range crammed {
		m.waitFor("equal", func() error { return sameState(t, members) })
		m.stop()
		cram(t, m, true)
		m.start()
		m.get("k") // it follows, so that the next one can be stopped
	}
	remove := func(m *member) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := m.db.Update(ctx, func(tx *kv.Tx) error { tx.Delete([]byte("k")); return nil })
		return err
	}
	lead.waitFor("one that refuses deletes", func() error {
		if err := remove(lead); !errs.Is(err, errs.NoSpace) {
			return errors.Join(err, errors.New("it does not know of the crammed quorum"))
		}
		return nil
	})
	if err := remove(crammed[0]); !errs.Is(err, errs.NoSpace) {
		t.Errorf("through a follower: %v", err)
	}
	cram(t, crammed[0], false) // with that one there is a quorum
	lead.waitFor("one that takes deletes", func() error { return remove(lead) })
	lead.set("after", "x")
	if got := crammed[0].get("after"); got != "x" {
		t.Errorf("the follower that has room again reads %q", got)
	}
	cram(t, crammed[1], false)
	lead.waitFor("equal", func() error { return sameState(t, members) })
}

// cram has a node find no room for its ballast, after which it takes no entries,
// or find it again.
func cram(t *testing.T, m *member, full bool) {
	t.Helper()
	dir := filepath.Join(m.config.DataDir, folder.Raft)
	err := os.RemoveAll(filepath.Join(dir, "ballast.tmp"))
	if full {
		err = errors.Join(err, os.Remove(filepath.Join(dir, "ballast")), os.Mkdir(filepath.Join(dir, "ballast.tmp"), 0o700),
			os.WriteFile(filepath.Join(dir, "ballast.tmp", "in the way"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}
