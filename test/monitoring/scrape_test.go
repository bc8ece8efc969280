package monitoring

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// family is a metric as nodes export it.
type family struct {
	kind   string                     // counter, gauge, histogram, summary
	help   bool                       // it has a help text
	values map[string]map[string]bool // of each label
	series int
}

// exported is what nodes export, by name.
type exported map[string]*family

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// read adds what one node serves in the text format.
func (e exported) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	var now string
	for lines.Scan() {
		line := lines.Text()
		if f := strings.Fields(line); len(f) > 2 && f[0] == "#" {
			now = f[2]
			if e[now] == nil {
				e[now] = &family{values: make(map[string]map[string]bool)}
			}
			switch f[1] {
			case "TYPE":
				e[now].kind = f[3]
			case "HELP":
				e[now].help = len(f) > 3
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], now) {
			return fmt.Errorf("%q is no sample of %s", line, now)
		}
		e[now].add(m[2])
	}
	return lines.Err()
}

func (f *family) add(labels string) {
	f.series++
	for _, l := range labelPair.FindAllStringSubmatch(labels, -1) {
		if f.values[l[1]] == nil {
			f.values[l[1]] = make(map[string]bool)
		}
		f.values[l[1]][l[2]] = true
	}
}

// family finds the metric that name is a series of: a histogram has some with
// endings.
func (e exported) family(name string) *family {
	if f := e[name]; f != nil && f.kind != "histogram" {
		return f
	}
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, end); ok && e[base] != nil && e[base].kind == "histogram" {
			return e[base]
		}
	}
	return nil
}

// scrape reads all these nodes.
func scrape(t *testing.T, urls []string) exported {
	t.Helper()
	found := make(exported)
	for _, u := range urls {
		res, err := http.Get(u + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
			t.Fatalf("%s: %s, %s", u, res.Status, res.Header.Get("Content-Type"))
		}
		if err := found.read(res.Body); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	return found
}
