package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/folder"
	"github.com/coveydb/covey/node/raftlog"
)

func TestASurvivorIsAClusterOfItsOwn(t *testing.T) {
	for _, kind := range []raftlog.Kind{raftlog.WAL, raftlog.Bolt} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			members := newCluster(t, 3, kind)
			keep, lost := members[2], members[0]
			for _, m := range members {
				m.stop()
			}
			before := look(t, keep.config.DataDir)
			if len(before.Voters) != 3 || before.Version < 20 {
				t.Fatalf("it says %+v", before)
			}
			d := open(t, keep.config.DataDir)
			res, err := d.Recover(time.Now(), 0)
			if err != nil {
				t.Fatal(err)
			}
			shut(t, d)
			if res.Superseded != before.ClusterID || res.ClusterID == before.ClusterID {
				t.Errorf("cluster %v superseded %v, it was %v", res.ClusterID, res.Superseded, before.ClusterID)
			}
			after := look(t, keep.config.DataDir)
			if after.Version < before.Version+epochLeast || after.Term <= before.Term || fmt.Sprint(after.Voters) != "[n3]" || after.Last <= before.Last {
				t.Errorf("before %+v\nafter  %+v", before, after)
			}

			keep.config.BootstrapExpect = 0
			for range 2 {
				keep.start()
				keep.waitReady()
				for i := range 20 {
					if got, want := keep.get(fmt.Sprint("k", i)), fmt.Sprint("v", i); got != want {
						t.Errorf("k%d: got %q, want %q", i, got, want)
					}
				}
				keep.set("after", "x")
				keep.stop()
			}
			keep.start()
			keep.waitReady()
			newcomersJoin(t, keep)
			lostIsRefused(t, keep, lost)
		})
	}
}

// epochLeast is less than the versions that a new epoch skips.
const epochLeast = 1 << 29

// newcomersJoin adds a voter with the id of a lost one and an empty folder.
func newcomersJoin(t *testing.T, keep *member) {
	t.Helper()
	fresh := newMember(t, "n2", 0, keep.config.GossipAddr)
	fresh.config.RaftLog = keep.config.RaftLog
	fresh.start()
	fresh.waitReady()
	fresh.waitFor("a voter", func() error {
		s, err := fresh.node.Status(context.Background())
		if err != nil {
			return err
		}
		for _, m := range s.Members {
			if m.ID == "n2" && m.Role == "voter" {
				return nil
			}
		}
		return errors.New("not yet")
	})
	fresh.set("joined", "y")
	if got := keep.get("joined"); got != "y" {
		t.Errorf("the survivor reads %q", got)
	}
	if got := fresh.get("k7"); got != "v7" {
		t.Errorf("the newcomer reads %q", got)
	}
	fresh.waitFor("told what was superseded", func() error {
		if got := fresh.node.Superseded(); len(got) != 1 || got[0] != keep.node.Superseded()[0] {
			return fmt.Errorf("it knows %v", got)
		}
		return nil
	})
}

// lostIsRefused starts a node of the superseded cluster.
func lostIsRefused(t *testing.T, keep, lost *member) {
	t.Helper()
	lost.config.Join = []string{keep.config.GossipAddr}
	lost.start()
	defer lost.stop()
	deadline := time.Now().Add(3 * time.Second)
	for time.Now().Before(deadline) {
		s, err := keep.node.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Members {
			if m.ID == lost.config.ID {
				t.Fatalf("the survivor counts the lost node: %+v", m)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	if s, err := lost.node.Status(context.Background()); err != nil || s.Leader != "" {
		t.Errorf("the lost node has leader %q, %v", s.Leader, err)
	}
	keep.set("still", "there")
}

func TestARecoveryGoesOnAfterACrashAtAnyStep(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3, raftlog.WAL)
	keep := members[1]
	for _, m := range members {
		m.stop()
	}
	steps := []string{"begun", "state", "snapshot", "term", "log"}
	images := make(map[string]string)
	d := open(t, keep.config.DataDir)
	d.step = func(name string) error {
		images[name] = image(t, keep.config.DataDir)
		return nil
	}
	want, err := d.Recover(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	shut(t, d)
	whole := look(t, keep.config.DataDir)
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			crashed := newMember(t, keep.config.ID, 0)
			crashed.config.DataDir = images[step]
			if err := crashed.tryStart(); err == nil || !strings.Contains(err.Error(), "covey cluster recover") {
				t.Fatalf("a node starts on half a recovery: %v", err)
			}
			d := open(t, images[step])
			if !d.Pending() {
				t.Error("the recovery is not under way")
			}
			got, err := d.Recover(time.Now(), 0)
			if err != nil {
				t.Fatal(err)
			}
			shut(t, d)
			if got.ClusterID != want.ClusterID || got.Superseded != want.Superseded || got.Version != want.Version {
				t.Errorf("got %+v, want %+v", got, want)
			}
			after := look(t, images[step])
			after.At = whole.At
			if fmt.Sprint(after) != fmt.Sprint(whole) {
				t.Errorf("got  %+v\nwant %+v", after, whole)
			}
			crashed.start()
			crashed.waitReady()
			if got := crashed.get("k19"); got != "v19" {
				t.Errorf("it reads %q", got)
			}
			crashed.set("more", "x")
			crashed.stop()
		})
	}
}

func TestAnUnfinishedRecoveryIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 1, raftlog.WAL)
	members[0].stop()
	dir := members[0].config.DataDir
	d := open(t, dir)
	boom := errors.New("boom")
	d.step = func(name string) error {
		if name == "state" {
			return boom
		}
		return nil
	}
	if _, err := d.Recover(time.Now(), 0); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	first, _ := d.folder.Recovery()
	shut(t, d)
	d = open(t, dir)
	got, err := d.Recover(time.Now(), 0)
	if err != nil || got.ClusterID != first.ClusterID {
		t.Fatalf("got %+v, %v, want cluster %v", got, err, first.ClusterID)
	}
}

func TestAFolderInUseIsRefused(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 1, raftlog.WAL)
	dir := members[0].config.DataDir
	if _, err := Open(dir, quiet); !errs.Is(err, errs.Unavailable) {
		t.Errorf("open: got %v, want unavailable", err)
	}
	if _, err := Aside(dir, time.Now()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("aside: got %v, want unavailable", err)
	}
	members[0].set("k", "v")
}

func TestAFolderThatIsNoNodesIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.TempDir(), quiet); !errs.Is(err, errs.NotFound) {
		t.Errorf("open an empty folder: got %v", err)
	}
	if _, err := Aside(t.TempDir(), time.Now()); !errs.Is(err, errs.NotFound) {
		t.Errorf("aside of an empty folder: got %v", err)
	}
	alone := newMember(t, "n1", 0)
	alone.start()
	alone.stop()
	if _, err := Open(alone.config.DataDir, quiet); !errs.Is(err, errs.Invalid) {
		t.Errorf("open a node of no cluster: got %v", err)
	}
	removed, err := folder.Open(t.TempDir(), "n1")
	if err == nil {
		err = errors.Join(removed.Join(cluster.ID{1}), removed.Retire(time.Now()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(removed.Dir(), quiet); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("open a node that was removed: got %v", err)
	}
}

func TestANodeWhoseDataWasSetAsideStartsAnew(t *testing.T) {
	t.Parallel()
	members := newCluster(t, 3, raftlog.WAL)
	back := members[2]
	back.stop()
	to, err := Aside(back.config.DataDir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if o, err := OwnerOf(to); err != nil || o.NodeID != "n3" {
		t.Errorf("%s is of %+v, %v", to, o, err)
	}
	if o, err := OwnerOf(back.config.DataDir); err != nil || o != (Owner{}) {
		t.Errorf("the folder is of %+v, %v", o, err)
	}
	back.start()
	back.waitReady()
	if got := back.get("k19"); got != "v19" {
		t.Errorf("it reads %q", got)
	}
}
