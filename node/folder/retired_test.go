package folder

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

func TestTheFolderOfARemovedNodeIsRefused(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(dir, "n1")
	if err != nil {
		t.Fatal(err)
	}
	id := cluster.NewID()
	if err := f.Join(id); err != nil {
		t.Fatal(err)
	}
	if err := f.Retire(time.Unix(1_800_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, "n1")
	for _, want := range []string{"node n1 was removed from cluster " + id.String(), "2027-01-15", "start with an empty one"} {
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if f, err := Read(dir); err != nil || f.NodeID() != "n1" {
		t.Errorf("who looks only is refused: %v", err)
	}
}

func TestALogOfAnotherPastIsTold(t *testing.T) {
	s := &raft.SnapshotMeta{Index: 10, Term: 5}
	for name, tt := range map[string]struct {
		first, last uint64
		term        uint64 // of all entries
		want        bool
	}{
		"the same past, with the snapshot's entry":   {5, 15, 5, false},
		"the same past, behind the snapshot":         {11, 15, 5, false},
		"a later term behind the snapshot":           {11, 15, 7, false},
		"the snapshot's entry is the last":           {5, 10, 5, false},
		"another past, with the snapshot's entry":    {5, 15, 4, true},
		"another past, cut off behind the snapshot":  {11, 15, 4, true},
		"another past, cut off farther behind":       {13, 15, 4, true},
		"an entry of the same index is the last one": {5, 10, 4, true},
		"a log that ends before the snapshot":        {5, 9, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			logs := raft.NewInmemStore()
			for i := tt.first; i <= tt.last; i++ {
				if err := logs.StoreLog(&raft.Log{Index: i, Term: tt.term}); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := contradicts(logs, s, tt.first, tt.last); err != nil || got != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
