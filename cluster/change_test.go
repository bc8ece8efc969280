package cluster

import (
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	have := []Server{
		{ID: "n1", Voter: true, Answers: true}, {ID: "n2", Voter: true, Answers: true}, {ID: "n3", Voter: true},
		{ID: "n4", Answers: true, CaughtUp: true}, {ID: "n5", Answers: true}, {ID: "n6", Answers: true, CaughtUp: true},
		{ID: "n7"}, {ID: "n8", Answers: true, CaughtUp: true},
	}
	alive := func(id string, nonVoter, draining bool) Seen {
		return Seen{Meta: Meta{NodeID: id, NonVoter: nonVoter, Draining: draining}, Alive: true}
	}
	seen := []Seen{
		alive("n1", false, false), alive("n2", false, false), {Meta: Meta{NodeID: "n3"}},
		alive("n4", false, false), alive("n5", false, false), alive("n6", true, false), alive("n8", false, true),
	}
	for name, tt := range map[string]struct {
		q    MemberChange
		kind errs.Kind // 0 = none
		want string
	}{
		"promote":                            {MemberChange{Change: DoPromote, Node: "n4"}, 0, "promoting n4 would leave 4 voters of which 3 answer; 3 are needed"},
		"promote a voter":                    {MemberChange{Change: DoPromote, Node: "n1"}, 0, "3 voters"},
		"promote one that lags":              {MemberChange{Change: DoPromote, Node: "n5"}, errs.Conflict, "has not caught up"},
		"promote one that wants none":        {MemberChange{Change: DoPromote, Node: "n6"}, errs.Conflict, "--non-voter"},
		"promote one that is down":           {MemberChange{Change: DoPromote, Node: "n7"}, errs.Conflict, "does not answer"},
		"promote one that stops":             {MemberChange{Change: DoPromote, Node: "n8"}, errs.Conflict, "about to stop"},
		"demote one too many":                {MemberChange{Change: DoDemote, Node: "n2"}, errs.Conflict, "demoting n2 would leave 2 voters of which 1 answers; 2 are needed"},
		"demote the dead one":                {MemberChange{Change: DoDemote, Node: "n3"}, 0, "2 voters of which 2 answer"},
		"demote a non-voter":                 {MemberChange{Change: DoDemote, Node: "n4"}, 0, "3 voters of which 2 answer"},
		"remove the dead one":                {MemberChange{Change: DoRemove, Node: "n3"}, 0, "removing n3 would leave 2 voters of which 2 answer; 2 are needed"},
		"remove a living one":                {MemberChange{Change: DoRemove, Node: "n4"}, errs.Conflict, "is alive"},
		"remove a living one by force":       {MemberChange{Change: DoRemove, Node: "n4", Force: true}, 0, "3 voters"},
		"remove one too many":                {MemberChange{Change: DoRemove, Node: "n1", Force: true}, errs.Conflict, "removing n1 would leave 2 voters of which 1 answers; 2 are needed"},
		"one too many leaves":                {MemberChange{Change: DoRemove, Node: "n1", Leaving: true}, errs.Conflict, "2 are needed"},
		"a non-voter leaves":                 {MemberChange{Change: DoRemove, Node: "n5", Leaving: true}, 0, "3 voters"},
		"a stranger":                         {MemberChange{Change: DoRemove, Node: "n9"}, errs.NotFound, "n9 is no member"},
		"nothing":                            {MemberChange{Change: "rename", Node: "n1"}, errs.Invalid, "rename"},
		"a dry run is refused like the deed": {MemberChange{Change: DoDemote, Node: "n1", DryRun: true}, errs.Conflict, "2 are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			text, _, err := Judge(have, seen, tt.q)
			if tt.kind == 0 && err != nil || tt.kind != 0 && !errs.Is(err, tt.kind) {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestTheLastVoterStays(t *testing.T) {
	have := []Server{{ID: "n1", Voter: true, Answers: true}, {ID: "n2", Answers: true}}
	for _, change := range []string{DoDemote, DoRemove} {
		if _, _, err := Judge(have, nil, MemberChange{Change: change, Node: "n1", Force: true}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "would leave no voter") {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// Whatever is asked for and planned in whatever order: a cluster that can commit
// still can after it, and there is nothing that both an operator and the plan
// take for good that is not.
func TestNoChangeLosesTheQuorum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var have []Server
		p := Policy{Self: "a", ClusterID: ID{1}, Now: scriptNow, Wishes: Wishes{Nodes: map[string]Wish{}, Autopilot: Autopilot{
			Cleanup: rapid.Bool().Draw(t, "cleanup"), MinQuorum: rapid.IntRange(0, 4).Draw(t, "min"), DeadAfter: 1,
		}}}
		for _, id := range []string{"a", "b", "c", "d", "e"}[:rapid.IntRange(1, 5).Draw(t, "servers")] {
			s := Server{ID: id, Addr: id + ":1", Voter: rapid.Bool().Draw(t, "voter"), Answers: rapid.Bool().Draw(t, "answers"), CaughtUp: true}
			if id == "a" {
				s.Voter, s.Answers = true, true
			}
			if !s.Answers {
				s.Silent = 2
			}
			p.Wishes.Nodes[id] = Wish(rapid.IntRange(0, 2).Draw(t, "wish"))
			have = append(have, s)
		}
		if Quorum(have).Lost() {
			t.Skip("nobody could change anything")
		}
		for _, c := range Plan(have, nil, p) {
			if c.Kind == Remove {
				if left := without(have, c.ID); Quorum(left).Lost() || c.ID == p.Self {
					t.Fatalf("the plan removes %s: %v is left of %v", c.ID, Quorum(left), Quorum(have))
				}
				break // the next round plans anew
			}
		}
		for _, s := range have {
			for _, change := range []string{DoDemote, DoRemove} {
				_, after, err := Judge(have, nil, MemberChange{Change: change, Node: s.ID, Force: true})
				if left := Quorum(without(have, s.ID)); err == nil && left.Lost() || after != left {
					t.Fatalf("%s %s: %v, %v, is %v", change, s.ID, err, after, left)
				}
			}
		}
	})
}

func without(have []Server, id string) (left []Server) {
	for _, s := range have {
		if s.ID != id {
			left = append(left, s)
		}
	}
	return left
}
