package packaging

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// script runs one of scripts/ with the test's binary, and skips the test when
// the tools that it needs are not there.
func script(t *testing.T, environ []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command("bash", append([]string{"scripts/" + name}, args...)...)
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "COVEY="+binary, "BINARY="+binary), environ...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	if !*full {
		t.Skip("only with -full")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(p + " is not installed")
		}
	}
}

func TestPackagesAreBuiltAndInstalled(t *testing.T) {
	needs(t, "dpkg-deb", "rpm", "chroot")
	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	dir := t.TempDir()
	script(t, nil, "package.sh", "--version", "1.2.3", dir)
	script(t, nil, "package-smoke.sh", dir)
}

func TestChartIsLintedAndRendered(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	script(t, nil, "chart.sh", dir)
	for name, kinds := range map[string][]string{
		"secure": {"StatefulSet", "Service", "PodDisruptionBudget", "ConfigMap", "ServiceAccount"},
		"full":   {"ServiceMonitor"},
	} {
		text, err := os.ReadFile(dir + "/" + name + ".yaml")
		if err != nil {
			t.Error(err)
		}
		for _, kind := range kinds {
			if !strings.Contains(string(text), "\nkind: "+kind+"\n") {
				t.Errorf("%s: there is no %s", name, kind)
			}
		}
	}
	files, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { checkObjects(t, f) })
	}
}

// checkObjects looks at what the chart rendered: as many nodes are named as there
// are pods, and a node would start with the settings, were their files there.
func checkObjects(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var settings string
	replicas := 0
	objects := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var object struct {
			Kind string
			Data map[string]string
			Spec struct{ Replicas int }
		}
		if err := objects.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		settings += object.Data["covey.yaml"]
		replicas += object.Spec.Replicas
	}
	if hosts := strings.Count(settings, ".svc:8702"); hosts == 0 || hosts != replicas {
		t.Errorf("%d pods, but %d addresses to join", replicas, hosts)
	}
	file := filepath.Join(t.TempDir(), "covey.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	check := exec.Command(binary, "config", "check", file)
	check.Env = append(os.Environ(), "COVEY_ID=covey-0", "COVEY_ADVERTISE=covey-0.covey-headless.default.svc") // a pod's own
	out, _ := check.Output()                                                                                   // it ends with 1: the files are not there
	for line := range strings.Lines(string(out)) {
		if !strings.HasSuffix(line, " does not exist\n") {
			t.Errorf("a node would not start: %s", line)
		}
	}
}

func TestComposeFileSurvivesTheLossOfANode(t *testing.T) {
	needs(t, "docker", "curl")
	if err := exec.Command("docker", "info").Run(); err != nil {
		t.Skip("no Docker engine answers")
	}
	script(t, nil, "compose-smoke.sh")
}
