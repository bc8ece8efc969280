package cluster

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A script in testdata is a list of cases:
//
//	case what it shows
//	self n1                            the node that decides
//	cluster A                          its cluster; none without this line
//	stable 10s                         Policy.StableFor
//	formats log=2 stream=1             Policy.Formats
//	expect 3                           --bootstrap-expect
//	wish ID removed|non-voter          what an operator wants
//	cleanup [min=N] [after=D]          Autopilot, turned on
//	have ID ADDR [voter] [caughtup] [stable=D] [answers] [silent=D]
//	seen ID ADDR [cluster=A] [dead] [since=D] [nonvoter] [expect=N] [state]
//	         [draining] [choice=ID,ID,..] [log=N] [stream=N] [release=R]
//	without ID                         what is left without a server
//	plan, quorum, bootstrap or adopt   what to run
//	> a line of its result
//
// "-" as ADDR is no address.
type script struct {
	t    *testing.T
	name string
	self string
	p    Policy
	n    int
	have []Server
	seen []Seen
	less []string
}

// scriptNow is the time of all scripts.
var scriptNow = time.Unix(1_000_000, 0)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(text), "\ncase ")[1:] {
			name, body, _ := strings.Cut(c, "\n")
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				(&script{t: t, name: name, p: Policy{Now: scriptNow}}).run(strings.Split(body, "\n"))
			})
		}
	}
}

func (s *script) run(lines []string) {
	var verb string
	var want []string
	for _, line := range lines {
		w := strings.Fields(line)
		switch {
		case len(w) == 0 || strings.HasPrefix(line, "#"):
		case w[0] == ">":
			want = append(want, strings.TrimPrefix(line, "> "))
		case len(w) == 1:
			verb = w[0]
		default:
			s.set(w)
		}
	}
	var got []string
	switch verb {
	case "plan":
		for _, c := range Plan(s.have, s.seen, s.p) {
			vote := map[bool]string{true: " voter"}[c.Voter]
			got = append(got, fmt.Sprintf("%s %s %s%s: %s", c.Kind, c.ID, c.Addr, vote, c.Reason))
		}
	case "quorum":
		v := Quorum(s.have)
		got = append(got, v.String())
		for _, id := range s.less {
			for _, h := range s.have {
				if h.ID == id {
					v = v.Without(h)
					got = append(got, fmt.Sprintf("without %s: %v, lost %v", id, v, v.Lost()))
				}
			}
		}
	case "bootstrap":
		got = s.bootstrap()
	case "adopt":
		id, ok := Adopt(s.me(), s.seen)
		got = append(got, map[bool]string{true: fmt.Sprintf("%c", id[0]), false: "none"}[ok])
	default:
		s.t.Fatalf("what shall be run? %q", verb)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("(-want +got):\n%s", diff)
	}
}

func (s *script) bootstrap() (got []string) {
	servers, ok := Bootstrap(s.me(), s.seen, s.n)
	if wait := Waiting(s.me(), s.seen, s.n); !ok {
		return []string{wait}
	} else if wait != "" {
		s.t.Errorf("Bootstrap says yes, Waiting says %q", wait)
	}
	for _, v := range servers {
		got = append(got, fmt.Sprintf("%s %s %v", v.ID, v.Addr, v.Voter))
	}
	return got
}

func (s *script) me() Seen {
	for _, n := range s.seen {
		if n.NodeID == s.self {
			return n
		}
	}
	s.t.Fatalf("self %q is not among the seen", s.self)
	return Seen{}
}

func (s *script) set(w []string) {
	switch w[0] {
	case "self":
		s.self, s.p.Self = w[1], w[1]
	case "cluster":
		s.p.ClusterID = scriptID(w[1])
	case "stable":
		s.p.StableFor = s.duration(w[1])
	case "formats":
		o := s.options(w[1:])
		s.p.Formats = Formats{Log: o.small("log"), Stream: o.small("stream")}
	case "expect":
		s.n = s.number(w[1])
	case "wish":
		if s.p.Wishes.Nodes == nil {
			s.p.Wishes.Nodes = map[string]Wish{}
		}
		s.p.Wishes.Nodes[w[1]] = ParseWish(w[2])
	case "cleanup":
		o := s.options(w[1:])
		s.p.Wishes.Autopilot = Autopilot{Cleanup: true, MinQuorum: s.number(o.text("min", "0")), DeadAfter: s.duration(o.text("after", "0"))}
	case "without":
		s.less = append(s.less, w[1])
	case "have":
		o := s.options(w[3:])
		s.have = append(s.have, Server{ID: w[1], Addr: w[2], Voter: o.has("voter"), CaughtUp: o.has("caughtup"), Answers: o.has("answers"),
			StableFor: s.duration(o.text("stable", "0")), Silent: s.duration(o.text("silent", "0"))})
	case "seen":
		s.seen = append(s.seen, s.node(w))
	default:
		s.t.Fatalf("no such line: %q", w)
	}
}

func (s *script) node(w []string) Seen {
	o := s.options(w[3:])
	m := Meta{
		NodeID: w[1], PeerAddr: strings.TrimPrefix(w[2], "-"), NonVoter: o.has("nonvoter"), HasState: o.has("state"),
		BootstrapExpect: s.number(o.text("expect", "0")), Formats: Formats{Log: o.small("log"), Stream: o.small("stream")},
		Draining: o.has("draining"), Release: o.text("release", ""), ClusterID: scriptID(o.text("cluster", "")),
	}
	if ids := o.text("choice", ""); ids != "" {
		m.Choice = digestOf(strings.Split(ids, ","))
	}
	return Seen{Meta: m, Alive: !o.has("dead"), Since: scriptNow.Add(-s.duration(o.text("since", "0")))}
}

func scriptID(name string) (id ID) { copy(id[:], name); return id }

func digestOf(ids []string) uint64 {
	var nodes []Seen
	for _, id := range ids {
		nodes = append(nodes, Seen{Meta: Meta{NodeID: id}})
	}
	return digest(nodes)
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

type options struct {
	s *script
	m map[string]string
}

func (s *script) options(words []string) options {
	o := options{s, map[string]string{}}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		o.m[k] = v
	}
	return o
}

func (o options) has(k string) bool { _, ok := o.m[k]; return ok }

func (o options) text(k, def string) string {
	if v, ok := o.m[k]; ok {
		return v
	}
	return def
}

func (o options) small(k string) uint8 { return uint8(o.s.number(o.text(k, "0"))) }

func TestDigestTellsSetsApart(t *testing.T) {
	seen := map[uint64]string{}
	for _, ids := range []string{"a,b", "ab", "a", "b", "a,b,c", "a,bc", "ab,c"} {
		d := digestOf(strings.Split(ids, ","))
		if other, ok := seen[d]; ok || d == 0 {
			t.Errorf("%q has the digest %d of %q", ids, d, other)
		}
		seen[d] = ids
	}
	sum := sha256.Sum256([]byte("1:a1:b"))
	if got, want := digestOf([]string{"a", "b"}), sum[7]|1; byte(got) != want {
		t.Errorf("the digest changed: nodes of two releases would not agree")
	}
}
