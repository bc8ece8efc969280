package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/test/cluster"
)

const patience = 60 * time.Second

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus scrapes these nodes each second. It goes by the project's own
// rules, in a copy whose alerts wait for one second only.
func startPrometheus(t *testing.T, nodes []string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("prometheus is not installed: Debian has it in the package prometheus")
	}
	dir := t.TempDir()
	rules := readRules(t)
	for _, g := range rules.Groups {
		for i := range g.Rules {
			if g.Rules[i].For != "" {
				g.Rules[i].For = "1s"
			}
		}
	}
	groups := make([]any, len(rules.Groups))
	for i, g := range rules.Groups {
		groups[i] = map[string]any{"name": g.Name, "rules": g.Rules}
	}
	write(t, filepath.Join(dir, "rules.yml"), map[string]any{"groups": groups})
	var targets []string
	for _, n := range nodes {
		targets = append(targets, strings.TrimPrefix(n, "http://"))
	}
	write(t, filepath.Join(dir, "prometheus.yml"), map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{"rules.yml"},
		"scrape_configs": []any{map[string]any{
			"job_name":       "covey",
			"static_configs": []any{map[string]any{"targets": targets, "labels": map[string]string{"cluster": "covey"}}},
		}},
	})
	addr := freeport.Addr(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Prometheus:\n%s", text)
		}
	})
	return &prometheus{t: t, url: "http://" + addr}
}

// get asks the API; the answer's data goes into to.
func (p *prometheus) get(path string, to any) error {
	res, err := http.Get(p.url + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: to}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// eventually waits until ok returns nil.
func (p *prometheus) eventually(what string, ok func() error) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not so in time: %s: %v", what, err)
		}
		<-tick.C
	}
}

// healthy says what is wrong with the scrapes of so many nodes.
func (p *prometheus) healthy(nodes int) error {
	var got struct {
		ActiveTargets []struct{ ScrapeURL, LastError, Health string }
	}
	if err := p.get("targets", &got); err != nil {
		return err
	}
	up := 0
	for _, t := range got.ActiveTargets {
		if t.Health == "up" {
			up++
		} else if t.LastError != "" {
			return fmt.Errorf("%s: %s", t.ScrapeURL, t.LastError)
		}
	}
	if up != nodes {
		return fmt.Errorf("%d of %d nodes are scraped", up, nodes)
	}
	return nil
}

// firing are the alerts that fire, and the instances that they are about.
func (p *prometheus) firing() (map[string]string, error) {
	var got struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	err := p.get("alerts", &got)
	found := make(map[string]string)
	for _, a := range got.Alerts {
		if a.State == "firing" {
			found[a.Labels["alertname"]] = a.Labels["instance"]
		}
	}
	return found, err
}

// query returns how many series an expression gives.
func (p *prometheus) query(expr string) (int, error) {
	var got struct{ Result []any }
	err := p.get("query?query="+url.QueryEscape(expr), &got)
	return len(got.Result), err
}

// noRuleFails asks for the health of all rules.
func (p *prometheus) noRuleFails() error {
	var got struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.get("rules", &got); err != nil {
		return err
	}
	seen := 0
	for _, g := range got.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
			seen++
		}
	}
	if want := len(readRules(p.t).all()); seen != want {
		return fmt.Errorf("%d of %d rules", seen, want)
	}
	return nil
}

// checkPrometheus lets a real one watch the cluster while a node is killed.
func checkPrometheus(t *testing.T, c *cluster.Cluster) {
	p := startPrometheus(t, c.URLs())
	p.eventually("all nodes are scraped", func() error { return p.healthy(len(c.Nodes)) })
	p.eventually("all rules are evaluated", p.noRuleFails)
	p.checkPanels(c)
	p.quiet("CoveyNodeLost", "CoveyNoLeader", "CoveyNoRedundancy", "CoveyCutOff", "CoveyBehind")

	lost := c.Nodes[1]
	lost.Kill()
	p.eventually("alerts for the lost node fire", func() error {
		firing, err := p.firing()
		if about := firing["CoveyNodeLost"]; err == nil && about != strings.TrimPrefix(lost.URL(), "http://") {
			return fmt.Errorf("the lost node is %q; firing are %v", about, firing)
		}
		if _, ok := firing["CoveyNoRedundancy"]; err == nil && !ok {
			return fmt.Errorf("nobody is told that no more may be lost: %v", firing)
		}
		return err
	})
	lost.Start()
	lost.WaitReady()
	p.quiet("CoveyNodeLost", "CoveyNoLeader", "CoveyNoRedundancy", "CoveyCutOff")
}

// quiet waits until none of these fires.
func (p *prometheus) quiet(alerts ...string) {
	p.t.Helper()
	p.eventually("all is well", func() error {
		firing, err := p.firing()
		for _, a := range alerts {
			if about, ok := firing[a]; ok {
				return fmt.Errorf("%s fires for %q", a, about)
			}
		}
		return err
	})
}

// checkPanels sends every expression of the dashboards. Most must have data on a
// cluster that serves; the others tell of what has not happened.
func (p *prometheus) checkPanels(c *cluster.Cluster) {
	empty := map[string]bool{
		"covey-overview.json, Errors": true, // there were none
		"covey-http.json, Refused":    true,
	}
	for _, panel := range panels(p.t) {
		for _, e := range panel.expressions {
			p.eventually(panel.where, func() error {
				n, err := p.query(e)
				if err == nil && n == 0 && !empty[panel.where] {
					provokeOnce(p.t, c)
					err = fmt.Errorf("%s gives nothing", e)
				}
				return err
			})
		}
	}
}

// provokeOnce is a write and a read through every node, for what is counted by
// the second.
func provokeOnce(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, u := range c.URLs() {
		bucket := do(t, "POST", u+"/", "")
		do(t, "GET", u+"/"+bucket+"/", "")
	}
}
