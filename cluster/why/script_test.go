package why_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/cluster/why"
)

var update = flag.Bool("update", false, "write what comes out into the scripts; read the difference")

// noon is the time of every view of the scripts.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// Each file of testdata holds cases, separated by lines of "---": what each node
// says, a question, and below "=>" what is found. See parse for the words.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		p, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, text := range strings.Split(string(p), "---\n") {
			in, want, _ := strings.Cut(text, "=>\n")
			name, _, _ := strings.Cut(strings.TrimPrefix(in, "# "), "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				got := render(why.Explain(parse(t, in)))
				out = append(out, in+"=>\n"+got)
				if diff := cmp.Diff(want, got); diff != "" && !*update {
					t.Error(diff)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(out, "---\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func render(findings []why.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s: %s\n", f.Severity, f.Subject, f.Text)
		if !f.Since.IsZero() {
			fmt.Fprintf(&b, "  since %v\n", f.Since.Sub(noon))
		}
		if f.Do != "" {
			fmt.Fprintf(&b, "  do: %s\n", f.Do)
		}
	}
	return b.String()
}

// parse reads a case:
//
//	node ID WORD..      a node that answers, with facts such as term=5, voters=n1,n2, sees=n2,-n3
//	event ID AGO KIND WORD..   that this node remembers, with node=, term=, count=, parts=queue,fsync,network,apply
//	missing ID REASON   a node that does not answer
//	ask ABOUT NODE      the question; the first node asks
func parse(t *testing.T, in string) (why.View, why.Question) {
	t.Helper()
	v := why.View{Now: noon, Nodes: map[string]why.Facts{}, Missing: map[string]string{}}
	var q why.Question
	for _, line := range strings.Split(in, "\n") {
		w := strings.Fields(line)
		if len(w) == 0 || w[0] == "#" {
			continue
		}
		switch w[0] {
		case "node":
			f := why.Facts{ID: w[1], Time: noon, State: "follower", StableFor: 10, Disk: why.Disk{Level: "plenty"}}
			for _, word := range w[2:] {
				name, value, _ := strings.Cut(word, "=")
				setFact(t, &f, name, value)
			}
			if v.Asked == "" {
				v.Asked = f.ID
			}
			v.Nodes[f.ID] = f
		case "event":
			f := v.Nodes[w[1]]
			f.Events = append(f.Events, parseEvent(t, w[2:]))
			v.Nodes[f.ID] = f
		case "missing":
			v.Missing[w[1]] = strings.Join(w[2:], " ")
		case "ask":
			q.About = w[1]
			if len(w) > 2 {
				q.Node = w[2]
			}
			if q.About == "all" {
				q.About = ""
			}
		default:
			t.Fatalf("line %q", line)
		}
	}
	return v, q
}

func setFact(t *testing.T, f *why.Facts, name, value string) {
	t.Helper()
	n, _ := strconv.ParseUint(value, 10, 64)
	switch name {
	case "state":
		f.State = value
	case "term":
		f.Term = n
	case "leader":
		f.Leader = value
	case "serves":
		f.Serves, f.State, f.Leader = true, "leader", f.ID
	case "reason":
		f.Reason = strings.ReplaceAll(value, "_", " ")
	case "last":
		f.Last = n
	case "applied":
		f.Applied = n
	case "voters":
		f.Voters = strings.Split(value, ",")
	case "nonvoters":
		f.NonVoters = strings.Split(value, ",")
	case "removed":
		f.Removed = strings.Split(value, ",")
	case "mute":
		f.Mute = strings.Split(value, ",")
	case "sees":
		for _, id := range strings.Split(value, ",") {
			bare := strings.TrimPrefix(id, "-")
			f.Seen = append(f.Seen, why.Seen{ID: bare, Alive: bare == id})
		}
	case "stalled":
		f.Disk.Stalled = true
	case "room":
		f.Disk = why.Disk{Stalled: f.Disk.Stalled, Level: value, Free: 100 << 20, Need: 204 << 20}
	case "kept":
		id, s, _ := strings.Cut(value, ":")
		seconds, _ := strconv.Atoi(s)
		f.Keeping = map[string]int{id: seconds}
	case "nonvoter":
		f.NonVoter = true
	case "blank":
		f.Blank = true
	case "draining":
		f.Draining = true
	default:
		t.Fatalf("fact %q", name)
	}
}

func parseEvent(t *testing.T, w []string) events.Event {
	t.Helper()
	ago, err := time.ParseDuration(w[0])
	if err != nil {
		t.Fatal(err)
	}
	e := events.Event{Time: noon.Add(ago), Kind: events.Kind(w[1])}
	for _, word := range w[2:] {
		name, value, ok := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch {
		case !ok:
			e.Text = strings.TrimSpace(e.Text + " " + word)
		case name == "node":
			e.Node = value
		case name == "term":
			e.Term = uint64(n)
		case name == "count":
			e.Count = n
		case name == "parts":
			var ms [4]float64
			for i, s := range strings.Split(value, ",") {
				ms[i], _ = strconv.ParseFloat(s, 64)
			}
			e.Parts = &events.Parts{Total: ms[0] + ms[1] + ms[2] + ms[3], Queue: ms[0], Fsync: ms[1], Network: ms[2], Apply: ms[3]}
		default:
			t.Fatalf("word %q", word)
		}
	}
	return e
}
