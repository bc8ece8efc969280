package monitoring

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// source is where a panel or a variable gets its data.
type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// dashboard is what matters of one of Grafana's.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name       string  `json:"name"`
			Type       string  `json:"type"`
			Definition string  `json:"definition"`
			Source     *source `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Source source `json:"datasource"`
			Expr   string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Panels []struct {
		ID      int     `json:"id"`
		Type    string  `json:"type"`
		Title   string  `json:"title"`
		Source  *source `json:"datasource"`
		Targets []struct {
			Source source `json:"datasource"`
			Expr   string `json:"expr"`
			Legend string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
}

// The panels that come with Grafana, so that nothing need be installed.
var builtIn = []string{"row", "stat", "timeseries", "heatmap", "table"}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "deploy/grafana/*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards, %v", err)
	}
	found := make(map[string]dashboard)
	for _, path := range paths {
		var d dashboard
		if err := json.Unmarshal([]byte(file(t, filepath.Join("deploy/grafana", filepath.Base(path)))), &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found[filepath.Base(path)] = d
	}
	return found
}

// panel is one with its expressions, as Grafana sends them.
type panel struct {
	where       string
	expressions []string
	legends     []string
}

// panels are those of all dashboards. What Grafana puts in place of a variable
// is a duration or a text that matches every node.
func panels(t *testing.T) []panel {
	var all []panel
	replace := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$cluster", "covey")
	for name, d := range dashboards(t) {
		for _, p := range d.Panels {
			q := panel{where: name + ", " + p.Title}
			for _, e := range p.Targets {
				q.expressions = append(q.expressions, replace.Replace(e.Expr))
				q.legends = append(q.legends, e.Legend)
			}
			all = append(all, q)
		}
	}
	return all
}

func TestDashboardsNeedNothingButADataSource(t *testing.T) {
	uids, titles := make(map[string]bool), make(map[string]bool)
	for name, d := range dashboards(t) {
		if d.UID == "" || uids[d.UID] || d.Title == "" || titles[d.Title] {
			t.Errorf("%s: uid %q and title %q are not its own", name, d.UID, d.Title)
		}
		uids[d.UID], titles[d.Title] = true, true
		var variables []string
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
			if v.Type == "query" && (v.Source == nil || v.Source.UID != "${datasource}") {
				t.Errorf("%s: the variable %s has a data source of its own", name, v.Name)
			}
		}
		if !slices.Equal(variables, []string{"datasource", "cluster", "instance"}) {
			t.Errorf("%s: variables %v", name, variables)
		}
		ids := make(map[int]bool)
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", name, p.ID)
			}
			ids[p.ID] = true
			if !slices.Contains(builtIn, p.Type) {
				t.Errorf("%s, %s: a panel of type %s", name, p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			if p.Source == nil || *p.Source != (source{"prometheus", "${datasource}"}) || len(p.Targets) == 0 {
				t.Errorf("%s, %s: data source %v, %d expressions", name, p.Title, p.Source, len(p.Targets))
			}
			for _, e := range p.Targets {
				if e.Source != (source{"prometheus", "${datasource}"}) || !strings.Contains(e.Expr, `cluster="$cluster"`) {
					t.Errorf("%s, %s: %s does not go by the variables", name, p.Title, e.Expr)
				}
			}
		}
	}
}

var legend = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)

// checkDashboards compares the panels with what nodes export.
func checkDashboards(t *testing.T, have exported) {
	w := newWorld(t, have)
	for _, p := range panels(t) {
		for i, e := range p.expressions {
			labels := w.check(t, p.where, e)
			for _, m := range legend.FindAllStringSubmatch(p.legends[i], -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("%s has a legend of %s, a label that it has not", p.where, m[1])
				}
			}
		}
	}
	for name, d := range dashboards(t) {
		for _, a := range d.Annotations.List {
			if a.Source.UID != "${datasource}" {
				t.Errorf("%s: annotations of the data source %v", name, a.Source)
			}
			w.check(t, name+", annotations", a.Expr)
		}
		for _, v := range d.Templating.List {
			if q, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
				series, label, _ := strings.Cut(strings.TrimSuffix(q, ")"), ", ")
				if i := strings.LastIndex(q, ", "); i > 0 {
					series, label = q[:i], strings.TrimSuffix(q[i+2:], ")")
				}
				if labels := w.check(t, name+", variable "+v.Name, series); !slices.Contains(labels, label) {
					t.Errorf("%s: the variable %s lists %s, which %s has not", name, v.Name, label, series)
				}
			}
		}
	}
}
