package recovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

func sample(id string, lastTerm, last uint64) Survivor {
	return Survivor{
		Format: Format, NodeID: id, ClusterID: cluster.ID{1}, At: time.Unix(1_700_000_000, 0).UTC(),
		Term: 9, LastTerm: lastTerm, Last: last, Known: last - 2, Applied: last - 3, Version: 70, Chain: strings.Repeat("ab", 32),
		Voters: []string{"n1", "n2", "n3"}, NonVoters: []string{"n4"},
		Tail: Tail{First: last - 1, Last: last, Commands: 3, Changes: 1, Ops: map[string]uint64{"set": 4, "delete span": 1}},
	}
}

func encode(t testing.TB, s Survivor) []byte {
	t.Helper()
	p, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASurvivorsFileReadsAsItWasWritten(t *testing.T) {
	want := sample("n1", 7, 100)
	got, err := Parse(encode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	want.Sum = got.Sum
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASurvivorsFileThatWasChangedIsRefused(t *testing.T) {
	whole := encode(t, sample("n1", 7, 100))
	for i, b := range whole {
		for _, c := range []byte{b ^ 1, b ^ 0x20} {
			p := bytes.Clone(whole)
			p[i] = c
			// White space outside of strings says nothing, and may change.
			var a, z bytes.Buffer
			if json.Compact(&a, p) == nil && json.Compact(&z, whole) == nil && bytes.Equal(a.Bytes(), z.Bytes()) {
				continue
			}
			if _, err := Parse(p); !errs.Is(err, errs.Invalid) {
				t.Fatalf("byte %d from %q to %q: got %v", i, b, c, err)
			}
		}
		if _, err := Parse(whole[:i]); i < len(whole)-1 && !errs.Is(err, errs.Invalid) {
			t.Fatalf("cut after %d bytes: got %v", i, err)
		}
	}
}

func TestASurvivorsFileThatCannotBeTrueIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Survivor){
		"another format":           func(s *Survivor) { s.Format = "covey survivor 2" },
		"no node id":               func(s *Survivor) { s.NodeID = "" },
		"a path as node id":        func(s *Survivor) { s.NodeID = "../n1" },
		"no cluster":               func(s *Survivor) { s.ClusterID = cluster.ID{} },
		"a term from the future":   func(s *Survivor) { s.LastTerm = 10 },
		"no log":                   func(s *Survivor) { s.Last, s.Known, s.Applied, s.Tail = 0, 0, 0, Tail{} },
		"more applied than known":  func(s *Survivor) { s.Applied = 99 },
		"more known than there is": func(s *Survivor) { s.Known = 101 },
		"a short chain":            func(s *Survivor) { s.Chain = "ab" },
		"a chain of other digits":  func(s *Survivor) { s.Chain = strings.Repeat("xy", 32) },
		"no voters":                func(s *Survivor) { s.Voters = nil },
		"a voter twice":            func(s *Survivor) { s.Voters = []string{"n1", "n1"} },
		"a voter that is none":     func(s *Survivor) { s.NonVoters = []string{"n1"} },
		"a voter without a name":   func(s *Survivor) { s.Voters = []string{""} },
		"a tail elsewhere":         func(s *Survivor) { s.Tail.First = 5 },
		"a tail too long":          func(s *Survivor) { s.Tail.Last = 500 },
		"operations nobody knows":  func(s *Survivor) { s.Tail.Ops = map[string]uint64{"drop": 1} },
	} {
		t.Run(name, func(t *testing.T) {
			s := sample("n1", 7, 100)
			change(&s)
			if got, err := Parse(encode(t, s)); !errs.Is(err, errs.Invalid) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestFilesThatAreNoSurvivors(t *testing.T) {
	whole := string(encode(t, sample("n1", 7, 100)))
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "text": "n1 is fine", "two files": whole + whole,
		"a field more":    strings.Replace(whole, `"format"`, `"mood": 1, "format"`, 1),
		"a field twice":   strings.Replace(whole, `"node_id": "n1"`, `"node_id": "n2", "node_id": "n1"`, 1),
		"another case":    strings.Replace(whole, `"node_id"`, `"NODE_ID"`, 1),
		"a field less":    strings.Replace(whole, `"node_id": "n1",`, "", 1),
		"another number":  strings.Replace(whole, `"known_committed": 98`, `"known_committed": 98.0`, 1),
		"raft peers.json": `[{"id":"n1","address":"10.0.0.1:8701","non_voter":false}]`,
		"huge":            `{"format":"` + strings.Repeat("x", fileLimit) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadFile(path); !errs.Is(err, errs.Invalid) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none")); !errs.Is(err, errs.Invalid) {
		t.Errorf("a missing file: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	p, err := sample("n1", 7, 100).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte(`{"format":"covey survivor 1"}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Parse(p)
		if err != nil {
			return
		}
		again, err := Parse(encode(t, s))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Fatalf("%+v reads as %+v, %v", s, again, err)
		}
	})
}

func TestAssess(t *testing.T) {
	self := sample("n1", 7, 100)
	other := func(change func(*Survivor)) Survivor {
		o := sample("n2", 7, 100)
		change(&o)
		return o
	}
	for _, c := range []struct {
		name   string
		others []Survivor
		want   Assessment
	}{
		{"alone", nil, Assessment{Newest: "n1", Missing: []string{"n2", "n3"}, Survivors: 1, Needed: 2}},
		{"an equal one", []Survivor{other(func(*Survivor) {})}, Assessment{Newest: "n1", Missing: []string{"n3"}, Survivors: 2, Needed: 2}},
		{"one that began with an empty folder", []Survivor{other(func(o *Survivor) { o.Blank = true })}, Assessment{Newest: "n1", Missing: []string{"n2", "n3"}, Survivors: 1, Needed: 2}},
		{"an older one", []Survivor{sample("n2", 6, 90)}, Assessment{Newest: "n1", Missing: []string{"n3"}, Survivors: 2, Needed: 2}},
		{"a longer one", []Survivor{sample("n2", 7, 110)}, Assessment{
			Newest: "n2", Missing: []string{"n3"}, Survivors: 2, Needed: 2,
			Losses: []Loss{{NodeID: "n2", First: 101, Last: 110, Committed: 8}},
		}},
		{"a newer, shorter one", []Survivor{sample("n2", 8, 50)}, Assessment{
			Newest: "n2", Missing: []string{"n3"}, Survivors: 2, Needed: 2, Losses: []Loss{{NodeID: "n2", Replaced: true}},
		}},
		{"an older, longer one", []Survivor{sample("n2", 6, 103)}, Assessment{
			Newest: "n1", Missing: []string{"n3"}, Survivors: 2, Needed: 2, Losses: []Loss{{NodeID: "n2", First: 101, Last: 103, Committed: 1}},
		}},
		{"a non-voter", []Survivor{sample("n4", 7, 100)}, Assessment{Newest: "n1", Missing: []string{"n2", "n3"}, Survivors: 1, Needed: 2}},
		{"another state", []Survivor{other(func(s *Survivor) { s.Chain = strings.Repeat("cd", 32) })}, Assessment{
			Newest: "n1", Missing: []string{"n3"}, Survivors: 2, Needed: 2, Diverged: []string{"n2"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Assess(self, c.others)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Self = self
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Quorum() != (got.Survivors >= 2) {
				t.Errorf("quorum %v of %d", got.Quorum(), got.Survivors)
			}
		})
	}
	for name, o := range map[string]Survivor{
		"of another cluster": other(func(s *Survivor) { s.ClusterID = cluster.ID{2} }),
		"the node itself":    sample("n1", 7, 100),
	} {
		if _, err := Assess(self, []Survivor{o}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Assess(self, []Survivor{sample("n2", 7, 1), sample("n2", 7, 9)}); !errs.Is(err, errs.Invalid) {
		t.Errorf("one twice: got %v", err)
	}
}
