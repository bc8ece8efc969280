package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/node/recovery"
)

// offline runs a command line that needs no node.
func offline(t *testing.T, environ []string, args ...string) outcome {
	t.Helper()
	return (&world{t: t, url: "http://127.0.0.1:1"}).runIn("", environ, args...)
}

func survivor(id string, last uint64) recovery.Survivor {
	return recovery.Survivor{
		Format: recovery.Format, NodeID: id, ClusterID: cluster.ID{1}, At: time.Unix(1_700_000_000, 0).UTC(),
		Term: 9, LastTerm: 7, Last: last, Known: last - 2, Applied: last - 3, Version: 70, Chain: strings.Repeat("ab", 32),
		Voters: []string{"n1", "n2", "n3"},
		Tail:   recovery.Tail{First: last - 1, Last: last, Commands: 3, Pieces: 2, Changes: 1, Ops: map[string]uint64{"set": 4, "delete span": 1}},
	}
}

func TestTheLossReport(t *testing.T) {
	as, err := recovery.Assess(survivor("n1", 100), []recovery.Survivor{survivor("n2", 110)})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lossReport(&as), "\n")
	for _, want := range []string{
		"node n1 of cluster 01000000000000000000000000000000: log up to entry 100 of term 7, in term 9",
		"voters: n1, n2, n3; 2 of them survive, a quorum takes 2",
		"kept: everything up to entry 98 is known to be committed",
		"newly committed: entries 99 to 100, which may or may not have been acknowledged: 3 commands (delete span 1, set 4), 2 pieces of large commands, 1 changes of the membership",
		"lost: entries 101 to 110, which node n2 has and this one has not (8 of 10 are known to be committed)",
		"unknown: what n3 committed",
		"danger: n3 must be destroyed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
}

func TestRecoverOnWhatIsNoDataFolder(t *testing.T) {
	for _, args := range [][]string{
		{"cluster", "recover"}, {"cluster", "recover", "inspect"}, {"cluster", "recover", "rejoin"}, {"cluster", "recover", "everything"},
	} {
		if r := offline(t, nil, args...); r.code != exitUsage {
			t.Errorf("%v: exit code %d\n%s", args, r.code, r.errOut)
		}
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"cluster", "recover", "--yes"}, {"cluster", "recover", "inspect"}, {"cluster", "recover", "rejoin", "--yes"}} {
		r := offline(t, nil, append(args, "--data-dir", dir)...)
		if r.code != exitFailed || !strings.Contains(r.errOut, "--data-dir of a node?") && !strings.Contains(r.errOut, "is it the --data-dir?") {
			t.Errorf("%v: exit code %d\n%s", args, r.code, r.errOut)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the folder holds %v now, %v", left, err)
	}
}

func TestBackupsInAFolderAreListedAndFetched(t *testing.T) {
	dir := t.TempDir()
	name := backup.Name{Cluster: "0123abcd", Created: time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC), Version: 42, Encrypted: true}.String()
	for file, text := range map[string]string{name: "sealed", name + ".sha256": "sum", "notes": "x"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url := "file://" + dir
	if r := offline(t, nil, "backup", "list", url); r.code != 0 || r.out != name+"\t2026-01-31T23:59:59Z\t0123abcd\t42\t6 B\tyes\tyes\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errOut)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if r := offline(t, nil, "backup", "fetch", url+"/"+name, to); r.code != 0 {
		t.Fatalf("exit code %d\n%s", r.code, r.errOut)
	}
	if p, err := os.ReadFile(to); err != nil || string(p) != "sealed" {
		t.Errorf("fetched %q, %v", p, err)
	}
	for want, args := range map[int][]string{
		exitUsage:  {"backup", "fetch", url + "/" + name, to}, // it is there
		exitFailed: {"backup", "fetch", url + "/none.covey", to + "2"},
	} {
		if r := offline(t, nil, args...); r.code != want {
			t.Errorf("%v: exit code %d\n%s", args, r.code, r.errOut)
		}
	}
	if _, err := os.Stat(to + "2"); err == nil {
		t.Error("a fetch that failed leaves a file")
	}
	if r := offline(t, []string{"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=planted"}, "backup", "list", "s3://a:planted@bucket/x"); r.code != exitUsage || strings.Contains(r.errOut, "planted") {
		t.Errorf("keys in a URL: exit code %d\n%s", r.code, r.errOut)
	}
}
