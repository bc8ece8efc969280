package collection

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updatePlans = flag.Bool("update-plans", false, "write what the planner says into the scripts")

// The scripts of testdata/plan*.txt. A line that begins with "> " is a step; the
// lines after it are what the planner says.
//
//	> index NAME PATH,PATH [unique] [many] [building]
//	> plan [sort=a,-b] [max=N] [any] QUERY
func TestPlanScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/plan*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := runPlans(t, string(text))
		if *updatePlans {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := strings.Split(string(text), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(want) || line != want[i] {
				t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, line, strings.Join(want[min(i, len(want)-1):min(i+1, len(want))], ""))
			}
		}
	}
}

func runPlans(t *testing.T, script string) string {
	var out strings.Builder
	var indexes []*Index
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		step, ok := strings.CutPrefix(line, "> ")
		if !ok {
			if line == "" || line[0] == '#' {
				fmt.Fprintln(&out, line)
			}
			continue
		}
		fmt.Fprintln(&out, line)
		verb, rest, _ := strings.Cut(step, " ")
		switch verb {
		case "new":
			indexes = nil
		case "index":
			indexes = append(indexes, indexOfWords(t, strings.Fields(rest)))
		case "plan":
			p := makePlan(indexes, wantedOfWords(t, rest))
			fmt.Fprintf(&out, "%s, cost %.0f\n", p.String(), p.cost)
			for i, s := range p.spans {
				if i == 4 {
					fmt.Fprintf(&out, "  and %d more\n", len(p.spans)-i)
					break
				}
				show := showKey
				if p.way == byDocuments {
					if s.lo == nil && s.hi == nil {
						continue
					}
					show = func(p []byte) string { return fmt.Sprintf("%x", p) }
				}
				fmt.Fprintf(&out, "  [%s .. %s)\n", show(s.lo), show(s.hi))
			}
		default:
			t.Fatalf("unknown step %q", line)
		}
	}
	return out.String()
}

func indexOfWords(t *testing.T, words []string) *Index {
	ix := &Index{Name: words[0], Paths: strings.Split(words[1], ","), State: Ready}
	for _, w := range words[2:] {
		switch w {
		case "unique":
			ix.Unique = true
		case "many":
			ix.Many = true
		case "building":
			ix.State = Building
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	if err := ix.prepare(); err != nil {
		t.Fatal(err)
	}
	return ix
}

func wantedOfWords(t *testing.T, text string) wanted {
	most, sort, anyOrder := -1, "", false
	for {
		word, rest, _ := strings.Cut(text, " ")
		if v, ok := strings.CutPrefix(word, "sort="); ok {
			sort = strings.ReplaceAll(v, ",", " ")
		} else if v, ok := strings.CutPrefix(word, "max="); ok {
			if _, err := fmt.Sscan(v, &most); err != nil {
				t.Fatal(err)
			}
		} else if word == "any" {
			anyOrder = true
		} else {
			break
		}
		text = rest
	}
	c := &Collection{row: &row{}}
	s, err := c.Select(t.Context(), specOf(t, text, sort, 0, most))
	if err != nil {
		t.Fatal(err)
	}
	s.want.any, s.want.limit = anyOrder, s.limit() // any: as aggregates ask
	return s.want
}

// showKey writes an encoded key for people.
func showKey(p []byte) string {
	var parts []string
	for len(p) > 0 {
		n, exact, ok := valueLen(p)
		if !ok || exact < n {
			parts = append(parts, fmt.Sprintf("%x..", p[:min(len(p), 12)]))
			break
		}
		switch p[0] {
		case tagNull:
			parts = append(parts, "null")
		case tagNumber:
			bits := binary.BigEndian.Uint64(p[1:])
			if bits>>63 != 0 {
				bits ^= 1 << 63
			} else {
				bits = ^bits
			}
			parts = append(parts, fmt.Sprint(math.Float64frombits(bits)))
		case tagText:
			parts = append(parts, fmt.Sprintf("%q", p[1:n-2]))
		default:
			parts = append(parts, fmt.Sprintf("%x", p[:n]))
		}
		p = p[n:]
	}
	return strings.Join(parts, ", ")
}
