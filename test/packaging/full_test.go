package packaging

import (
	"os"
	"os/exec"
	"strings"
	"testing"
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
}

func TestComposeFileSurvivesTheLossOfANode(t *testing.T) {
	needs(t, "docker", "curl")
	if err := exec.Command("docker", "info").Run(); err != nil {
		t.Skip("no Docker engine answers")
	}
	script(t, nil, "compose-smoke.sh")
}
