package monitoring

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of Prometheus' rules.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func (f ruleFile) all() []rule {
	var all []rule
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func readRules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	d := yaml.NewDecoder(strings.NewReader(file(t, "deploy/prometheus/rules.yml")))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

// world is all that an expression may name.
type world struct {
	exported exported
	records  map[string][]string // recorded series and their labels
}

// labels that Prometheus and deploy/prometheus/prometheus.yml put on every series.
var target = []string{"job", "instance", "cluster"}

func newWorld(t *testing.T, have exported) world {
	w := world{exported: have, records: make(map[string][]string)}
	for _, r := range readRules(t).all() {
		if r.Record == "" {
			continue
		}
		e, err := parse(r.Expr)
		if err != nil {
			t.Fatalf("%s: %v", r.Record, err)
		}
		w.records[r.Record] = append(slices.Clone(target), e.grouped...)
	}
	return w
}

// check reports what e names that is not there, and returns the labels that its
// result may have.
func (w world) check(t *testing.T, where, expr string) (labels []string) {
	t.Helper()
	e, err := parse(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return nil
	}
	labels = slices.Clone(target)
	for _, s := range e.selectors {
		labels = append(labels, w.selector(t, where, s)...)
	}
	for _, l := range e.grouped {
		if !slices.Contains(labels, l) {
			t.Errorf("%s groups by %s, which none of its series has", where, l)
		}
	}
	return labels
}

func (w world) selector(t *testing.T, where string, s selector) (labels []string) {
	t.Helper()
	if s.name == "up" || s.name == "ALERTS" { // Prometheus' own
		return []string{"alertname", "alertstate"}
	}
	known := slices.Clone(target)
	f := w.exported.family(s.name)
	switch recorded, ok := w.records[s.name]; {
	case ok:
		known = append(known, recorded...)
	case f == nil:
		t.Errorf("%s asks for %s, which no node exports", where, s.name)
		return known
	default:
		known = append(known, slices.Collect(maps.Keys(f.values))...)
	}
	for _, l := range append(slices.Collect(maps.Keys(s.equal)), s.labels...) {
		if !slices.Contains(known, l) {
			t.Errorf("%s asks for the label %s, which %s has not", where, l, s.name)
		}
	}
	for l, v := range s.equal {
		if f != nil && l != "code" && !slices.Contains(target, l) && !f.values[l][v] {
			t.Errorf("%s asks for %s=%q, which %s never has", where, l, v, s.name)
		}
	}
	return known
}

var named = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// checkRules compares the rules with what nodes export.
func checkRules(t *testing.T, have exported) {
	w := newWorld(t, have)
	seen := make(map[string]bool)
	for _, r := range readRules(t).all() {
		name := r.Alert + r.Record
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		labels := w.check(t, name, r.Expr)
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, r.Labels["severity"])
		}
		for _, a := range []string{"summary", "description", "action"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no %s", name, a)
			}
			for _, m := range named.FindAllStringSubmatch(r.Annotations[a], -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("%s tells of the label %s, which it has not", name, m[1])
				}
			}
		}
	}
}

// promtool runs it, or skips the test where it is not installed.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("promtool is not installed: Debian has it in the package prometheus")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolAcceptsTheFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "deploy/prometheus")
	t.Run("rules", func(t *testing.T) { promtool(t, "check", "rules", filepath.Join(dir, "rules.yml")) })
	t.Run("configuration", func(t *testing.T) { promtool(t, "check", "config", filepath.Join(dir, "prometheus.yml")) })
	t.Run("tests of the rules", func(t *testing.T) {
		promtool(t, append([]string{"test", "rules"}, ruleTests(t)...)...)
	})
	t.Run("expressions of the dashboards", func(t *testing.T) {
		var all []rule
		for _, p := range panels(t) {
			for _, e := range p.expressions {
				all = append(all, rule{Record: "panel", Expr: e})
			}
		}
		path := filepath.Join(t.TempDir(), "panels.yml")
		write(t, path, map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": all}}})
		promtool(t, "check", "rules", "--lint=none", path)
	})
}

// ruleTests are the files with promtool's tests of the rules.
func ruleTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy/prometheus/*_test.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of the rules: %v", err)
	}
	return files
}

func TestEveryAlertIsTried(t *testing.T) {
	var tests string
	for _, path := range ruleTests(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tests += string(text)
	}
	for _, r := range readRules(t).all() {
		if r.Alert != "" && !strings.Contains(tests, `alertname="`+r.Alert+`"`) && !strings.Contains(tests, "alertname: "+r.Alert+"\n        exp_alerts") {
			t.Errorf("%s is never expected to fire", r.Alert)
		}
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	p, err := yaml.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, p, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
