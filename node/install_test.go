package node_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/checkpoint"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/store"
)

// A crash may come when the snapshot that a leader sent is on disk, and before
// the state machine and the log have taken it over. Raft then goes on behind
// the snapshot, so both must catch up with it at the start.
func TestACrashBetweenReceivingASnapshotAndInstallingIt(t *testing.T) {
	for _, kind := range []raftlog.Kind{raftlog.WAL, raftlog.Bolt} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			members := newCluster(t, 3, manySnapshots, func(c *node.Config) { c.RaftLog = kind })
			members[0].set("before", "x")
			keep := leaderOf(t, members)
			lost := members[0]
			if lost == keep {
				lost = members[1]
			}
			lost.waitFor("equal", func() error { return sameState(t, members) })
			lost.stop()
			for i := range 300 {
				keep.set(fmt.Sprint("k", i%40), fmt.Sprint(i))
			}
			keep.waitFor("snapshotted", func() error {
				entries, err := os.ReadDir(filepath.Join(keep.config.DataDir, "snapshots"))
				if err == nil && len(entries) == 0 {
					keep.set("more", "x")
					err = errors.New("no snapshot yet")
				}
				return err
			})
			keep.stop()
			receive(t, keep.config.DataDir, lost.config.DataDir)
			keep.start()
			lost.start()
			for range 2 {
				lost.waitReady()
				if got := lost.get("k39"); got != "279" {
					t.Errorf("it reads %q, want 279", got)
				}
				lost.set("after", "y")
				lost.waitFor("equal", func() error { return sameState(t, members) })
				lost.stop()
				lost.start()
			}
		})
	}
}

// receive puts the newest snapshot in one data folder into another, as Raft
// does before it lets the state machine restore it.
func receive(t *testing.T, from, to string) {
	t.Helper()
	open := func(dir string) *checkpoint.Store {
		s, err := checkpoint.Open(checkpoint.Options{
			Dir: filepath.Join(dir, "snapshots"),
			Produce: func(dir string, w io.Writer) error {
				db, err := store.Open(store.Options{Dir: dir, ReadOnly: true})
				if err != nil {
					return err
				}
				snap := db.Snapshot()
				return errors.Join(fsm.WriteStream(w, snap), snap.Close(), db.Close())
			},
			Verify: func(r io.Reader) error { _, err := fsm.VerifyStream(r); return err },
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	source := open(from)
	list, err := source.List()
	if err != nil || len(list) == 0 {
		t.Fatalf("%d snapshots, %v", len(list), err)
	}
	meta, stream, err := source.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := open(to).Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(sink, stream)
	if err = errors.Join(err, stream.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
}
