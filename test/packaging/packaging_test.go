package packaging

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coveydb/covey/test/cluster"
)

var full = flag.Bool("full", false, "build and run the packages with their tools")

const root = "../.."

// binary is covey, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "packaging-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if *full { // the image and the packages hold a static one
		if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if binary, err = cluster.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settings are the names of all settings of serve, as in a file.
func settings(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(binary, "config", "print", "--sources", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Name string }
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	if len(names) < 30 {
		t.Fatalf("serve has only the settings %q", names)
	}
	return names
}

// plain are variables that hold a secret themselves, and those that the compose
// file reads on the host.
var plain = []string{
	"COVEY_ROOT_KEY", "COVEY_KEYRING", "COVEY_KOT_PASSWORD",
	"COVEY_UID", "COVEY_TARGET", "COVEY_IMAGE", "COVEY_SECRETS", "COVEY_PORT_N1", "COVEY_PORT_N2", "COVEY_PORT_N3",
}

var variable = regexp.MustCompile(`COVEY_[A-Z0-9_]+`)

func TestVariablesThatAreNamedExist(t *testing.T) {
	known := slices.Clone(plain)
	for _, s := range settings(t) {
		known = append(known, "COVEY_"+strings.ToUpper(s))
	}
	for _, file := range []string{
		"Dockerfile", "docker-compose.yml", "deploy/systemd/covey.service", "deploy/packages/nfpm.yaml",
		"deploy/helm/covey/templates/statefulset.yaml", "deploy/helm/covey/values.yaml", "scripts/compose-smoke.sh",
	} {
		for _, name := range variable.FindAllString(read(t, file), -1) {
			if !slices.Contains(known, name) && name != "COVEY_" {
				t.Errorf("%s names %s, which is no setting", file, name)
			}
		}
	}
}

func TestChartWritesSettingsThatExist(t *testing.T) {
	known := settings(t)
	_, block, ok := strings.Cut(read(t, "deploy/helm/covey/templates/configmap.yaml"), "covey.yaml: |\n")
	if !ok {
		t.Fatal("there is no covey.yaml in it")
	}
	found := 0
	for line := range strings.Lines(block) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(name, "{{") {
			continue
		}
		if found++; !slices.Contains(known, name) {
			t.Errorf("%q is no setting", name)
		}
	}
	if found < 10 {
		t.Errorf("only %d settings were found", found)
	}
}

// commandWords finds what is run of covey: words behind its path.
var commandWords = regexp.MustCompile(`(?:/covey|"/covey",|"\$covey"|"\$BINARY"|/usr/bin/covey"?)[ ,]+((?:"?[a-z]+"?[ ,]+)*)`)

func TestVerbsThatAreRunExist(t *testing.T) {
	checked := 0
	for _, file := range []string{
		"Dockerfile", "docker-compose.yml", "deploy/systemd/covey.service", "scripts/secrets.sh", "scripts/compose-smoke.sh",
		"scripts/package-smoke.sh", "scripts/rolling-restart.sh", "deploy/helm/covey/templates/statefulset.yaml", "deploy/helm/covey/templates/NOTES.txt",
	} {
		for _, m := range commandWords.FindAllStringSubmatch(read(t, file), -1) {
			words := strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune(` ,"`, r) })
			if len(words) == 0 || words[0] == "bin" {
				continue
			}
			checked++
			out, err := exec.Command(binary, append(words[:min(len(words), 3)], "--help")...).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("Usage:")) {
				t.Errorf("%s runs covey %q: %v %s", file, words, err, out)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d commands were found", checked)
	}
}

type compose struct {
	Services map[string]struct {
		Image       string
		User        string
		ReadOnly    bool `yaml:"read_only"`
		Profiles    []string
		Environment map[string]string
		Volumes     []string
		Secrets     []string
		Healthcheck struct{ Test []string }
		CapDrop     []string `yaml:"cap_drop"`
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

func TestComposeFileIsSound(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &c); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if path, ok := strings.CutPrefix(from, "./"); ok {
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("%s mounts %s: %v", name, from, err)
				}
			} else if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s uses the volume %q, which is not named below volumes", name, from)
			} else if made[from] {
				t.Errorf("the volume %q has two users", from)
			} else {
				made[from] = true
			}
		}
		if strings.HasPrefix(name, "n") {
			env := s.Environment
			if env["COVEY_ID"] != name || env["COVEY_ADVERTISE"] != name || !strings.Contains(env["COVEY_JOIN"], name+":8702") {
				t.Errorf("%s has the environment %v", name, env)
			}
			if !s.ReadOnly || s.User == "" || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.Healthcheck.Test) < 3 || len(s.Profiles) > 0 {
				t.Errorf("%s: %+v", name, s)
			}
			for _, secret := range s.Secrets {
				if c.Secrets[secret].File == "" || !strings.Contains(fmt.Sprint(env), "/run/secrets/"+secret) {
					t.Errorf("%s: the secret %s is not there or not used", name, secret)
				}
			}
		} else if !slices.Equal(s.Profiles, []string{"monitoring"}) || strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":") {
			t.Errorf("%s has profiles %q and image %s", name, s.Profiles, s.Image)
		}
	}
	if len(c.Services) != 5 {
		t.Errorf("%d services", len(c.Services))
	}
}

func TestFilesInYAMLParse(t *testing.T) {
	for _, pattern := range []string{"deploy/*.yaml", "deploy/packages/*.yaml", "deploy/helm/covey/*.yaml", "deploy/docker/grafana/*/*.yml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			var doc any
			if text, err := os.ReadFile(f); err != nil {
				t.Error(err)
			} else if err := yaml.Unmarshal(text, &doc); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

func TestUserIsTheSameEverywhere(t *testing.T) {
	const id = "65532"
	for _, file := range []string{"Dockerfile", "docker-compose.yml", "deploy/docker/passwd", "deploy/helm/covey/templates/statefulset.yaml"} {
		if !strings.Contains(read(t, file), id) {
			t.Errorf("%s does not name the user %s", file, id)
		}
	}
}

func TestPackagesHoldWhatTheUnitNeeds(t *testing.T) {
	var p struct {
		Contents []struct{ Src, Dst, Type string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/packages/nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, c := range p.Contents {
		targets = append(targets, c.Dst)
		if strings.Contains(c.Src, "$") || c.Type == "symlink" {
			continue
		}
		if files, err := filepath.Glob(filepath.Join(root, c.Src)); err != nil || len(files) == 0 {
			t.Errorf("%s is not there", c.Src)
		}
	}
	for what, path := range p.Scripts {
		if out, err := exec.Command("sh", "-n", filepath.Join(root, path)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
	unit := read(t, "deploy/systemd/covey.service")
	for _, path := range []string{"/usr/bin/covey", "/etc/covey/covey.yaml"} {
		if !strings.Contains(unit, path) || !slices.Contains(targets, path) {
			t.Errorf("%s is not in both the unit and the packages", path)
		}
	}
	// The settings that are installed keep the data where the unit lets them.
	if !strings.Contains(read(t, "deploy/covey.yaml"), "\ndata_dir: /var/lib/covey\n") || !strings.Contains(unit, "StateDirectory=covey\n") {
		t.Error("the data folder is not that of the unit")
	}
}

// ofTheSource are paths that the documents name for those who build packages.
var ofTheSource = []string{
	"scripts/chart.sh", "scripts/compose-smoke.sh", "scripts/package.sh", "scripts/package-smoke.sh", "deploy/helm/covey", "deploy/systemd",
}

var sourcePath = regexp.MustCompile(`\b(?:deploy|scripts)/[a-zA-Z0-9_/-]+(?:\.[a-z]+)?`)

func TestPackagesHoldWhatTheirDocumentsName(t *testing.T) {
	var p struct{ Contents []struct{ Src, Dst string } }
	if err := yaml.Unmarshal([]byte(read(t, "deploy/packages/nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	installed := func(path string) bool {
		for _, c := range p.Contents {
			if match, _ := filepath.Match(c.Src, path); !match && !strings.HasPrefix(c.Src, path+"/") {
				continue
			}
			if path == "deploy/covey.yaml" || strings.HasPrefix(c.Dst, "/usr/share/covey/"+filepath.Dir(path)+"/") {
				return true
			}
		}
		return false
	}
	docs, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, d := range docs {
		for _, path := range sourcePath.FindAllString(read(t, "docs/"+filepath.Base(d)), -1) {
			if slices.Contains(ofTheSource, path) {
				continue
			}
			if named++; !installed(path) {
				t.Errorf("%s names %s, which is not in the packages", filepath.Base(d), path)
			}
		}
	}
	if named < 5 {
		t.Errorf("only %d paths were found", named)
	}
}

func TestScriptsHaveNoFaultsThatShellcheckKnows(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed")
	}
	for _, pattern := range []string{"scripts/*.sh", "deploy/packages/*.sh"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		if out, err := exec.Command("shellcheck", files...).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
}

func TestScriptsExplainThemselves(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(root, "scripts", "*.sh"))
	if err != nil || len(scripts) < 5 {
		t.Fatalf("%q, %v", scripts, err)
	}
	for _, s := range scripts {
		text := read(t, filepath.Join("scripts", filepath.Base(s)))
		if info, err := os.Stat(s); err != nil || info.Mode()&0o100 == 0 || !strings.HasPrefix(text, "#!/usr/bin/env bash\n") || !strings.Contains(text, "set -euo pipefail") {
			t.Errorf("%s is no script that stops at errors: %v", s, err)
		}
		if out, err := exec.Command("bash", "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", s, err, out)
		}
		out, err := exec.Command("bash", s, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), filepath.Base(s)) {
			t.Errorf("%s --help: %v %s", s, err, out)
		}
	}
}
