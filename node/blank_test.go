package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
)

// wipedVoter is a cluster of three of which a minority holds what was
// acknowledged: lead, which is down. behind was down then, and wiped, which was
// up, has lost its folder. Neither of the two runs.
func wipedVoter(t *testing.T) (lead, behind, wiped *member) {
	t.Helper()
	members := newCluster(t, 3)
	lead = leaderOf(t, members)
	var others []*member
	for _, m := range members {
		if m != lead {
			others = append(others, m)
		}
	}
	behind, wiped = others[0], others[1]
	behind.stop()
	lead.set("k", "acknowledged")
	lead.stop()
	wiped.stop()
	if err := os.RemoveAll(wiped.config.DataDir); err != nil {
		t.Fatal(err)
	}
	wiped.config.Join = []string{behind.config.GossipAddr}
	return lead, behind, wiped
}

// electNobody fails if one of them leads within some election time-outs.
func electNobody(t *testing.T, members ...*member) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, m := range members {
			if m.IsLeader() {
				t.Fatalf("%s leads without what was acknowledged", m.config.ID)
			}
		}
	}
}

// A voter that lost its folder does not help one to lead that was down when
// others, and it, acknowledged writes.
func TestAWipedVoterElectsNobodyWhoLacksWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	lead, behind, wiped := wipedVoter(t)
	behind.start()
	wiped.start()
	electNobody(t, behind, wiped)
	lead.start()
	wiped.waitReady()
	if got := wiped.get("k"); got != "acknowledged" {
		t.Errorf("k is %q", got)
	}
}

// Nor does it when it was stopped after it had got a part of the log.
func TestAWipedVoterThatIsStoppedHalfWayStillElectsNobody(t *testing.T) {
	t.Parallel()
	lead, behind, wiped := wipedVoter(t)
	behind.start()
	wiped.start()
	wiped.waitFor("a node of its cluster", func() error {
		if f, err := folder.Read(wiped.config.DataDir); err != nil || f.ClusterID().IsZero() {
			return errors.Join(err, errors.New("it has not found it"))
		}
		return nil
	})
	behind.stop()
	wiped.stop()
	copyFirstEntries(t, behind.config.DataDir, wiped.config.DataDir)
	behind.start()
	wiped.start()
	electNobody(t, behind, wiped)
	lead.start()
	wiped.waitReady()
	if got := wiped.get("k"); got != "acknowledged" {
		t.Errorf("k is %q", got)
	}
	wiped.waitFor("one that votes", func() error {
		if f, err := folder.Read(wiped.config.DataDir); err != nil || f.Blank() {
			return errors.Join(err, errors.New("its folder says that it has not caught up"))
		}
		return nil
	})
	lead.stop() // now the two are a quorum
	behind.waitReady()
	wiped.stop()
	wiped.start()
	wiped.set("k", "after")
}

// copyFirstEntries does what a leader does first: it brings the configuration and
// the first entry of a term.
func copyFirstEntries(t *testing.T, from, to string) {
	t.Helper()
	open := func(dir string) *raftlog.Stores {
		s, err := raftlog.Open(raftlog.Options{Dir: filepath.Join(dir, folder.Raft), Logger: quiet(), Fatal: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	source, sink := open(from), open(to)
	entries := make([]*raft.Log, 2)
	for i := range entries {
		entries[i] = new(raft.Log)
		if err := source.Log.GetLog(uint64(i+1), entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(sink.Log.StoreLogs(entries), sink.Stable.SetUint64([]byte("CurrentTerm"), entries[1].Term))
	if err = errors.Join(err, source.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
}

// What a blank voter has forgotten may be that it elected another: it is no
// witness that the one who asks still leads, and is not asked to lead itself.
func TestABlankVoterConfirmsNobody(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3)
	lead := leaderOf(t, members)
	lead.set("k", "v")
	var others []*member
	for _, m := range members {
		if m != lead {
			others = append(others, m)
		}
	}
	blank := others[0]
	blank.stop()
	blank.start()
	blank.waitReady()
	if blank.Blank() {
		t.Fatal("a voter with a log is blank")
	}
	others[1].stop()
	blank.SetBlank(true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := lead.db.View(ctx, kv.Consistency{}, func(*kv.Tx) error { return nil }); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read with one voter and a blank one: %v, want unavailable", err)
	}
	if _, err := lead.Transfer(ctx, blank.config.ID); err == nil {
		t.Error("a blank voter was made the leader")
	}
	blank.SetBlank(false)
	if got := lead.get("k"); got != "v" {
		t.Errorf("k is %q", got)
	}
}

// A blank member that becomes a voter would be one without a vote: a leader that
// restarts then finds no quorum, though nothing is lost and all nodes run.
func TestABlankMemberIsMadeNoVoter(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	lead, x := leaderOf(t, members), follower(t, members)
	id := x.config.ID
	if _, err := lead.change(cluster.DoDemote, id); err != nil {
		t.Fatal(err)
	}
	x.stop()
	x.start() // not to catch up once more
	x.KeepWishes(wishes{x.db})
	x.waitReady()
	x.SetBlank(true)
	lead.waitFor("one that refuses a blank voter", func() error {
		if _, err := lead.change(cluster.DoPromote, id); err == nil || !strings.Contains(err.Error(), "has not caught up") {
			return fmt.Errorf("to promote it gives %v", err)
		}
		return nil
	})
	if err := (wishes{lead.db}).Keep(context.Background(), id, cluster.WishNone); err != nil { // the leader promotes by itself now
		t.Fatal(err)
	}
	time.Sleep(3 * lead.config.StableFor)
	if got := roles(t, lead)[id]; got != cluster.RoleNonVoter {
		t.Errorf("a blank member is a %s", got)
	}
	x.SetBlank(false)
	lead.waitRole(id, cluster.RoleVoter)
}
