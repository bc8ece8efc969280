package cluster

import (
	"encoding/json"
	"strings"
	"testing"
)

var (
	oldID, newID = ID{1}, ID{2}
	turn         = Superseded{ClusterID: oldID, At: 1_700_000_000}
)

func TestWhatWasSupersededTravelsInTheMeta(t *testing.T) {
	want := Meta{ClusterID: newID, PeerAddr: "p:1", Supersedes: turn}
	p, err := want.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeMeta(p); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := decodeMeta([]byte{1, tagSupersedes, 3, 1, 2, 3}); err == nil {
		t.Error("a field that is too short is read")
	}
	full := want
	full.NodeID, full.HTTPAddr, full.Release = "n1", strings.Repeat("h", 120)+":1", strings.Repeat("r", 40)
	full.PeerAddr = strings.Repeat("p", 120) + ":1"
	if _, err := checkMeta(full); err != nil {
		t.Errorf("with long names: %v", err)
	}
}

func TestAdoptPassesOverASupersededCluster(t *testing.T) {
	lost := Seen{Meta: Meta{NodeID: "n2", ClusterID: oldID}, Alive: true}
	recovered := Seen{Meta: Meta{NodeID: "n1", ClusterID: newID, Supersedes: turn}, Alive: true}
	gone := recovered
	gone.Alive = false
	other := Seen{Meta: Meta{NodeID: "n5", ClusterID: ID{5}}, Alive: true}
	self := Seen{Meta: Meta{NodeID: "n9"}, Alive: true}
	for name, c := range map[string]struct {
		seen []Seen
		want ID
	}{
		"both are there":          {[]Seen{lost, recovered, self}, newID},
		"only the recovered one":  {[]Seen{recovered, self}, newID},
		"the recovered one died":  {[]Seen{lost, gone, self}, ID{}},
		"only a lost one":         {[]Seen{lost, self}, oldID},
		"a third one beside them": {[]Seen{lost, recovered, other, self}, ID{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Adopt(self, c.seen)
			if got != c.want || ok != !c.want.IsZero() {
				t.Errorf("got %v, %v, want %v", got, ok, c.want)
			}
		})
	}
	if got, ok := Adopt(lost, []Seen{lost, recovered}); got != oldID || !ok {
		t.Errorf("a node of the lost cluster adopts %v", got)
	}
}

func TestStrangersAreToldWhatTheyAreToEachOther(t *testing.T) {
	lost, recovered := Meta{NodeID: "n2", ClusterID: oldID}, Meta{NodeID: "n1", ClusterID: newID, Supersedes: turn}
	for _, c := range []struct {
		name         string
		ours, theirs Meta
		lost         bool
		want         string
	}{
		{"the lost one meets the recovered one", lost, recovered, true, "this node's cluster lost its quorum and was superseded by cluster " + newID.String() + " at 2023-11-14T22:13:20Z"},
		{"the recovered one meets the lost one", recovered, lost, true, "a node came back"},
		{"two that have nothing to do with each other", lost, Meta{ClusterID: ID{5}}, false, "another cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, isLost := strangers(c.ours, c.theirs)
			if isLost != c.lost || !strings.Contains(text, c.want) {
				t.Errorf("got %v, %q", isLost, text)
			}
		})
	}
}

func TestAnIDReadsAsItWasWritten(t *testing.T) {
	type doc struct {
		ID ID `json:"id,omitzero"`
	}
	for _, id := range []ID{{}, {1, 2, 3}, NewID()} {
		p, err := json.Marshal(doc{id})
		if err != nil {
			t.Fatal(err)
		}
		var got doc
		if err := json.Unmarshal(p, &got); err != nil || got.ID != id {
			t.Errorf("%s reads as %v, %v", p, got.ID, err)
		}
	}
	var got doc
	if err := json.Unmarshal([]byte(`{"id":"12"}`), &got); err == nil {
		t.Error("a short id is read")
	}
}
