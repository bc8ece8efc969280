package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/node/raftlog"
)

// A follower whose log holds entries that were never committed, up to behind the
// leader's snapshot, gets that snapshot and refuses what follows it: Raft keeps
// those entries, or believes to have them, and asks for the snapshot again, for
// ever (hashicorp/raft issue 697).
func TestAFollowerWithAnotherPastCatchesUpBySnapshot(t *testing.T) {
	for _, kind := range []raftlog.Kind{raftlog.WAL, raftlog.Bolt} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel() // they wait for the disk most of the time
			members := newCluster(t, 3, manySnapshots, func(c *node.Config) { c.RaftLog = kind })
			members[0].set("k", "old")
			x := follower(t, members)
			rest := others(members, x)
			st, err := leaderOf(t, rest).Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			x.stop()
			from := appendNoops(t, x, st.Term, 3000)
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if _, err := leaderOf(t, rest).StepDown(ctx); err != nil { // the next term's entries differ
				t.Fatal(err)
			}
			lead := leaderOf(t, rest)
			for i := range 400 {
				lead.set(fmt.Sprint("k", i%40), fmt.Sprint(i))
			}
			lead.waitFor("beyond the other past", func() error { return snapshotBehind(lead, from+10) })
			x.start()
			x.waitReady()
			if got := x.get("k39"); got != "399" {
				t.Errorf("it reads %q, want 399", got)
			}
			x.waitFor("equal", func() error { return sameState(t, members) })
		})
	}
}

// appendNoops appends n entries of a term to the log of a node that is stopped,
// and returns the index of the first.
func appendNoops(t *testing.T, m *member, term uint64, n int) uint64 {
	t.Helper()
	s, err := raftlog.Open(raftlog.Options{Dir: filepath.Join(m.config.DataDir, "raft"), Kind: m.config.RaftLog, Logger: quiet(), Fatal: func(err error) { t.Error(err) }, Stall: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.Log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	logs := make([]*raft.Log, n)
	for i := range logs {
		logs[i] = &raft.Log{Index: last + 1 + uint64(i), Term: term, Type: raft.LogNoop}
	}
	if err := s.Log.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return last + 1
}

// snapshotBehind reports whether a node has a snapshot behind index, by its
// name.
func snapshotBehind(m *member, index uint64) error {
	m.set("more", "x")
	entries, err := os.ReadDir(filepath.Join(m.config.DataDir, "snapshots"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		var term, at uint64
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d", &term, &at); n == 2 && at > index {
			return nil
		}
	}
	return fmt.Errorf("snapshots %v", entries)
}
