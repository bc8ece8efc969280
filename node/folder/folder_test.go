package folder

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

func mustOpen(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir, "n1")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFolderRemembersWhoseItIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	f := mustOpen(t, dir)
	if f.NodeID() != "n1" || !f.ClusterID().IsZero() || len(f.Founders()) != 0 || f.Path(Raft) != filepath.Join(dir, "raft") {
		t.Errorf("a new folder: %q, %v, %v", f.NodeID(), f.ClusterID(), f.Founders())
	}
	id := cluster.NewID()
	founders := []Founder{{"n1", "a:1"}, {"n2", "b:1"}}
	if err := f.Join(id, founders...); err != nil {
		t.Fatal(err)
	}
	if f = mustOpen(t, dir); f.ClusterID() != id || !slices.Equal(f.Founders(), founders) {
		t.Errorf("read again: %v, %v", f.ClusterID(), f.Founders())
	}
	if err := f.Join(id); err != nil {
		t.Fatal(err)
	}
	if f = mustOpen(t, dir); f.ClusterID() != id || len(f.Founders()) != 0 {
		t.Errorf("after the founding: %v, %v", f.ClusterID(), f.Founders())
	}
	if _, err := Open(dir, "n2"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `belongs to node "n1"`) {
		t.Errorf("another node: %v", err)
	}
}

func TestABlankFolderStaysOneUntilItsNodeHasCaughtUp(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir)
	if f.Blank() {
		t.Error("a new folder is blank before its node has entered a cluster")
	}
	for _, blank := range []bool{true, true, false, true} {
		if err := f.SetBlank(blank); err != nil {
			t.Fatal(err)
		}
		if f = mustOpen(t, dir); f.Blank() != blank {
			t.Errorf("read again: %v, want %v", f.Blank(), blank)
		}
	}
	if err := f.Join(cluster.NewID()); err != nil || !mustOpen(t, dir).Blank() {
		t.Errorf("to enter the cluster ended it: %v", err)
	}
	// What a recovery makes a cluster of has nothing behind which it could be.
	if err := f.BeginRecovery(Recovery{ClusterID: cluster.NewID()}); err != nil {
		t.Fatal(err)
	}
	if err := f.FinishRecovery(); err != nil || mustOpen(t, dir).Blank() {
		t.Errorf("after a recovery it is still blank: %v", err)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a newer format": `{"format":99,"node_id":"n1"}`,
		"damage":         `{"format":1,"node_id":"n1`,
		"a bad cluster":  `{"format":1,"node_id":"n1","cluster_id":"12"}`,
		"huge":           `{"format":1,"node_id":"n1","x":"` + strings.Repeat("x", nodeLimit) + `"}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, NodeFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, "n1"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: open: %v", name, err)
		}
		if _, err := Read(dir); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
	if _, err := Read(t.TempDir()); !errs.Is(err, errs.NotFound) {
		t.Errorf("read what is no data folder: %v", err)
	}
}

func TestARecoveryUnderWayKeepsNodesOut(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir)
	old, next := cluster.NewID(), Recovery{ClusterID: cluster.NewID(), At: 1_700_000_000, Index: 7, Term: 3}
	if err := f.Join(old); err != nil {
		t.Fatal(err)
	}
	if err := f.BeginRecovery(next); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "n1"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "covey cluster recover --data-dir "+dir) {
		t.Errorf("open: %v", err)
	}
	f, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := f.Recovery(); !ok || r != next || f.ClusterID() != old {
		t.Errorf("under way: %+v, %v, cluster %v", r, ok, f.ClusterID())
	}
	for range 2 { // a second time does nothing
		if err := f.FinishRecovery(); err != nil {
			t.Fatal(err)
		}
		f = mustOpen(t, dir)
		if want := []cluster.Superseded{{ClusterID: old, At: next.At}}; f.ClusterID() != next.ClusterID || !slices.Equal(f.Superseded(), want) {
			t.Errorf("done: cluster %v, superseded %v", f.ClusterID(), f.Superseded())
		}
		if _, ok := f.Recovery(); ok {
			t.Error("it is still under way")
		}
	}
}

func TestWhatWasSupersededIsKeptNewestFirstAndOnce(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir)
	for _, i := range []byte{5, 9, 2, 9, 7} {
		if err := f.Supersede(cluster.Superseded{ClusterID: cluster.ID{i}, At: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Supersede(cluster.Superseded{}); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, s := range mustOpen(t, dir).Superseded() {
		got = append(got, s.ClusterID[0])
	}
	if !slices.Equal(got, []byte{9, 7, 5, 2}) {
		t.Errorf("got %v", got)
	}
	for i := range 2 * maxSuperseded {
		if err := f.Supersede(cluster.Superseded{ClusterID: cluster.ID{100, byte(i)}, At: int64(1000 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	if all := f.Superseded(); len(all) != maxSuperseded || all[0].At != 1000+2*maxSuperseded-1 {
		t.Errorf("%d are kept, the newest of %d", len(all), all[0].At)
	}
}

func TestAWriteThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir)
	if err := os.Mkdir(filepath.Join(dir, NodeFile+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Join(cluster.NewID()); !errs.Is(err, errs.Invalid) {
		t.Fatalf("got %v", err)
	}
	if !f.ClusterID().IsZero() {
		t.Error("it believes that it has joined")
	}
	if f = mustOpen(t, dir); !f.ClusterID().IsZero() {
		t.Error("it has joined")
	}
}
