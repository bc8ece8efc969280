package node

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/node/room"
)

func stocks(levels string) map[string]stock {
	found := make(map[string]stock)
	for _, f := range strings.Fields(levels) {
		id, level, _ := strings.Cut(f, "=")
		found[id] = stock{level: map[string]room.Level{"plenty": room.Plenty, "low": room.Low, "scarce": room.Scarce, "full": room.Full, "none": room.None}[level], free: 1 << 20, need: 192 << 20}
	}
	return found
}

func TestWhatALeaderMayTake(t *testing.T) {
	for name, tc := range map[string]struct {
		stocks string
		voters int
		want   room.Level
		text   string // part of it
		better string
	}{
		"all have room":                                {"n1=plenty n2=plenty n3=plenty", 3, room.Plenty, "", ""},
		"one follower is full":                         {"n1=plenty n2=full n3=plenty", 3, room.Plenty, "", ""},
		"one follower is full and one is down":         {"n1=plenty n2=full", 3, room.Full, "voter n2 has 1.0 MiB free on the disk of its data folder and needs 192 MiB; a quorum of 2 with room is needed", ""},
		"two followers are short":                      {"n1=plenty n2=full n3=low", 3, room.Low, "voter n3 has", ""},
		"the leader is low":                            {"n1=low n2=plenty n3=plenty", 3, room.Low, "leader n1 has 1.0 MiB free", "n2"},
		"the leader is low and one follower too":       {"n1=low n2=low n3=plenty", 3, room.Low, "leader n1", ""},
		"the leader is full and a follower is low":     {"n1=full n2=low n3=plenty", 3, room.Full, "leader n1", "n3"},
		"a quorum takes no entries":                    {"n1=plenty n2=none n3=none", 3, room.None, "voter n2 has 1.0 MiB free", ""},
		"one follower takes no entries":                {"n1=plenty n2=none n3=full", 3, room.Full, "voter n3", ""},
		"a leader whose log ends takes what it can":    {"n1=none n2=full n3=none", 3, room.Full, "leader n1", ""},
		"a node alone whose log ends":                  {"n1=none", 1, room.Full, "leader n1", ""},
		"all are full":                                 {"n1=full n2=full n3=full", 3, room.Full, "leader n1", ""},
		"nobody else is heard of":                      {"n1=plenty", 3, room.Plenty, "", ""},
		"a node alone":                                 {"n1=low", 1, room.Low, "leader n1", ""},
		"a quorum of five":                             {"n1=plenty n2=plenty n3=scarce n4=full n5=full", 5, room.Scarce, "voter n3", ""},
		"a leader of two cannot escape":                {"n1=low n2=plenty", 2, room.Low, "leader n1", ""},
		"a follower of two counts":                     {"n1=plenty n2=low", 2, room.Low, "voter n2", ""},
		"the best of the others, and of two the first": {"n1=full n5=plenty n4=plenty n3=low n2=low", 5, room.Full, "leader n1", "n4"},
	} {
		t.Run(name, func(t *testing.T) {
			s := stocks(tc.stocks)
			got := rule("n1", s, tc.voters)
			if got.level != tc.want || got.level != room.Plenty && !strings.Contains(got.text, tc.text) {
				t.Errorf("got %s, %q; want %s, %q", got.level, got.text, tc.want, tc.text)
			}
			if to := better("n1", s, tc.voters); to != tc.better {
				t.Errorf("the lead should go to %q, want %q", to, tc.better)
			}
		})
	}
}

// Wherever the lead goes for want of room, it stays: the next leader knows nobody
// better.
func TestTheLeadDoesNotGoInCircles(t *testing.T) {
	levels := []string{"plenty", "low", "scarce", "full", "none"}
	for i := range 5 * 5 * 5 {
		s := stocks("n1=" + levels[i%5] + " n2=" + levels[i/5%5] + " n3=" + levels[i/25])
		for _, id := range []string{"n1", "n2", "n3"} {
			if to := better(id, s, 3); to != "" && better(to, s, 3) != "" {
				t.Errorf("%v: from %s to %s, from there to %s", s, id, to, better(to, s, 3))
			}
		}
	}
}

func TestTheWorstOfItsDisksCounts(t *testing.T) {
	spaces := map[string]room.Space{"state": {Free: 1 << 40, Total: 1 << 41}, "raft": {Free: 150 << 20, Total: 1 << 30}}
	s := space{dirs: []string{"state", "raft", "gone"}, ask: func(dir string) (room.Space, bool) { x, ok := spaces[dir]; return x, ok }}
	if got := s.look(); got.level != room.Scarce || got.free != 150<<20 || s.now() != got {
		t.Errorf("got %+v, kept %+v", got, s.now())
	}
	spaces["raft"] = room.Space{Free: 1 << 29, Total: 1 << 30}
	if got := s.look(); got.level != room.Plenty {
		t.Errorf("with room again: %+v", got)
	}
}

func TestWhatAVoterSaidCountsForAWhile(t *testing.T) {
	s := space{}
	s.hear("n2", stock{level: room.Low})
	s.hear("n3", stock{level: room.Full})
	s.heard["n4"] = heardStock{stock{level: room.Full}, time.Now().Add(-heardWithin - time.Second)}
	got := s.others("n1", []string{"n1", "n2", "n4"})
	if len(got) != 1 || got["n2"].level != room.Low {
		t.Errorf("got %v, want n2 alone: n3 does not vote, n4 was heard of long ago", got)
	}
}
