package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestFolderBytesCountsEachFileOnce(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	table := write("state/000004.sst", 256<<10)
	write("raft/wal/1.wal", 64<<10)
	write("node.json", 10<<10)
	if err := os.MkdirAll(filepath.Join(dir, "snapshots/1/data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(table, filepath.Join(dir, "snapshots/1/data/000004.sst")); err != nil {
		t.Skip("no hard links here:", err)
	}
	gone := write("snapshots/1/data/000003.sst", 128<<10)
	// Blocks are what counts: a file takes its size, and up to one block more.
	near := func(got, want int64) bool { return got >= want && got < want+16<<10 }
	for i, want := range map[int]int64{0: 256 << 10, 1: 64 << 10, 2: 128 << 10, 3: 10 << 10} {
		if got := folderBytes(dir)[i]; !near(got, want) {
			t.Errorf("%s takes %d bytes, want %d", parts[i], got, want)
		}
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if got := folderBytes(dir)[2]; got >= 128<<10 {
		t.Errorf("snapshots take %d bytes, of which the state has all", got)
	}
}

func TestTheOldestEntryTellsItsTime(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	for name, tt := range map[string]struct {
		logs  []*raft.Log
		first uint64
		want  time.Time
	}{
		"an empty log":              {nil, 0, time.Time{}},
		"the first entry":           {[]*raft.Log{{Index: 7, AppendedAt: at}, {Index: 8, AppendedAt: time.Now()}}, 7, at},
		"the first does not tell":   {[]*raft.Log{{Index: 1}, {Index: 2, AppendedAt: at}}, 1, at},
		"none tells":                {[]*raft.Log{{Index: 1}}, 1, time.Time{}},
		"none of the first so many": {append(silent(oldestLooked), &raft.Log{Index: oldestLooked + 1, AppendedAt: at}), 1, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			log := raft.NewInmemStore()
			if err := log.StoreLogs(tt.logs); err != nil {
				t.Fatal(err)
			}
			if first, got := oldestEntry(log); first != tt.first || !got.Equal(tt.want) {
				t.Errorf("got %d, %v; want %d, %v", first, got, tt.first, tt.want)
			}
		})
	}
}

func silent(n int) []*raft.Log {
	logs := make([]*raft.Log, n)
	for i := range logs {
		logs[i] = &raft.Log{Index: uint64(i + 1)}
	}
	return logs
}
