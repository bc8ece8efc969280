package monitoring

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the project's folder.
const root = "../.."

func file(t *testing.T, path string) string {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

var (
	row    = regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9_]+)` \\| (counter|gauge|histogram|summary) \\|(.*)\\|$")
	alert  = regexp.MustCompile("`(Covey[A-Za-z]+)`")
	quoted = regexp.MustCompile("`([^`]+)`")
)

// checkDocument compares docs/metrics.md with what nodes export, both ways.
func checkDocument(t *testing.T, have exported) {
	text := file(t, "docs/metrics.md")
	documented := make(map[string]bool)
	for _, d := range describedIn(text) {
		name, kind := d.name, d.kind
		if documented[name] {
			t.Errorf("%s is described twice", name)
		}
		documented[name] = true
		f := have[name]
		if f == nil {
			t.Errorf("%s is described and not exported", name)
			continue
		}
		if f.kind != kind {
			t.Errorf("%s is a %s, described as a %s", name, f.kind, kind)
		}
		if strings.HasPrefix(name, "covey_") {
			checkLabels(t, name, f, d.labels)
		}
	}
	for name, f := range have {
		if !strings.HasPrefix(name, "covey_") {
			continue
		}
		if !documented[name] {
			t.Errorf("%s is exported and not described", name)
		}
		if !f.help {
			t.Errorf("%s has no help text", name)
		}
	}
	checkAlerts(t, text)
}

// described is a series in a table of the document.
type described struct{ name, kind, labels string }

func describedIn(text string) (all []described) {
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		labels, _, _ := strings.Cut(m[3], "|")
		all = append(all, described{m[1], m[2], labels})
	}
	return all
}

// checkAlerts compares the alerts that the document names with those there are.
func checkAlerts(t *testing.T, text string) {
	alerts := make(map[string]bool)
	for _, m := range alert.FindAllStringSubmatch(text, -1) {
		alerts[m[1]] = true
	}
	for _, r := range readRules(t).all() {
		if r.Alert != "" && !alerts[r.Alert] && r.Alert != "CoveyNodeLost" { // that one asks no series of ours
			t.Errorf("no series says that %s is its alert", r.Alert)
		}
		delete(alerts, r.Alert)
	}
	for a := range alerts {
		t.Errorf("there is no alert %s", a)
	}
}

// checkLabels compares the labels of a series with a cell that quotes them.
func checkLabels(t *testing.T, name string, f *family, cell string) {
	t.Helper()
	var want []string
	for _, l := range quoted.FindAllStringSubmatch(cell, -1) {
		want = append(want, l[1])
	}
	got := slices.DeleteFunc(slices.Sorted(maps.Keys(f.values)), func(l string) bool { return l == "le" })
	if !slices.Equal(got, want) {
		t.Errorf("%s has the labels %v, described are %v", name, got, want)
	}
}
