package sdk

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/coveydb/covey/test/cluster"
)

const pythonPackage = "../../sdk/python"

// python runs an interpreter in the package's folder, and returns what it prints.
func python(t *testing.T, env []string, args ...string) string {
	t.Helper()
	watch(t, pythonPackage)
	cmd := exec.Command(interpreter(t, "python3"), args...)
	cmd.Dir = pythonPackage
	cmd.Env = append(os.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=src")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("python3 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pythonEnvironment is what the tests of the package want to know of a cluster.
func pythonEnvironment(t *testing.T, c *cluster.Cluster, name string) []string {
	t.Helper()
	token, organization, _, environment := account(t, c.Nodes[0].URL(), name)
	return []string{
		"KEYNEST_BASE_URL=" + strings.Join(c.URLs(), ","), "KEYNEST_TOKEN=" + token, "RESTDB_KEY=" + cluster.RestKey,
		fmt.Sprint("TEST_ENVIRONMENT=", environment), fmt.Sprint("TEST_ORGANIZATION=", organization),
	}
}

// The suite needs no cluster for most of its tests; these are part of every run.
func TestPythonAlone(t *testing.T) {
	t.Parallel()
	python(t, []string{"KEYNEST_BASE_URL=", "KEYNEST_TOKEN="}, "-W", "error", "-m", "unittest")
}

// All resources through three nodes, and the examples of the README as printed.
func TestPython(t *testing.T) {
	t.Parallel()
	interpreter(t, "python3")
	c := cluster.Start(t, binary, 3)
	env := pythonEnvironment(t, c, "python") // the first account: the examples name environment 1
	t.Run("the examples of the README run", func(t *testing.T) {
		t.Log(python(t, env, "-W", "error", "-m", "tests.readme", "README.md"))
	})
	t.Run("all resources work", func(t *testing.T) {
		python(t, env, "-W", "error", "-m", "unittest", "tests.test_cluster.Calm")
	})
}

// A counter, variables and documents are written exactly once while the leader
// is killed every five seconds.
func TestPythonWhileLeadersDie(t *testing.T) {
	t.Parallel()
	interpreter(t, "python3")
	c := cluster.Start(t, binary, 3)
	env := pythonEnvironment(t, c, "python")
	stop := c.KillLeaders(t, 5*time.Second)
	out := python(t, append(env, "TEST_SECONDS="+strconv.Itoa(size(8, 60))), "-m", "unittest", "tests.test_cluster.Storm")
	kills := stop()
	if least := size(2, 10); kills < least {
		t.Errorf("%d leaders were killed, want at least %d", kills, least)
	}
	t.Logf("%d leaders were killed; written: %s", kills, strings.SplitN(out, "\n", 2)[0])
}

// A leader that hangs costs half of a call's time, and nothing twice; without a
// quorum the client says so, and that nothing was done.
func TestPythonWhenNodesHangOrAreGone(t *testing.T) {
	t.Parallel()
	interpreter(t, "python3")
	c := cluster.Start(t, binary, 3)
	leader := c.Leader()
	urls := []string{leader.URL()}
	for _, n := range c.Nodes {
		if n != leader {
			urls = append(urls, n.URL())
		}
	}
	env := append(pythonEnvironment(t, c, "python"), "KEYNEST_BASE_URL="+strings.Join(urls, ","))
	bucket := strings.TrimSpace(python(t, env, "-c", `import keynest
b = keynest.KeyNestClient().buckets.create()
b.add("n")
print(b.id)`))
	leader.Pause()
	out := python(t, env, "-c", `import sys, keynest
b = keynest.KeyNestClient(timeout=10).buckets(sys.argv[1])
print(b.add("n"), b.add("n"))`, bucket)
	leader.Resume()
	leader.WaitReady()
	if out != "2 3\n" {
		t.Errorf("added to the counter while the leader hung: %q, want 2 3", out)
	}

	leader = c.Leader()
	leader.Kill()
	for _, n := range c.Nodes {
		if n != leader {
			n.Kill()
			break
		}
	}
	out = python(t, env, "-c", `import keynest
try:
    keynest.KeyNestClient(timeout=25, max_retries=0).variables.create(key="A", value="1", environment_id=1)
except keynest.Unavailable as e:
    print(e.status, e.code, e.outcome_unknown)`)
	if out != "503 UNAVAILABLE False\n" {
		t.Errorf("without a quorum: %q", out)
	}
}

// A message that an independent library has signed passes, and one that it has
// not does not.
func TestPythonVerifiesWhatTheStandardLibrarySigns(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
	signer, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body, now := []byte(`{"event":"webhook.test"}`), time.Now()
	signature, err := signer.Sign("msg_1", now, body)
	if err != nil {
		t.Fatal(err)
	}
	check := `import sys, keynest
b, s, i, t, g = sys.argv[1:]
print(keynest.verify_webhook(b.encode(), {"webhook-id": i, "webhook-timestamp": t, "webhook-signature": g}, s)["event"])`
	at := strconv.FormatInt(now.Unix(), 10)
	if out := python(t, nil, "-c", check, string(body), secret, "msg_1", at, signature); out != "webhook.test\n" {
		t.Errorf("verified: %q", out)
	}
	cmd := exec.Command(interpreter(t, "python3"), "-c", check, string(body), secret, "msg_2", at, signature)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+pythonPackage+"/src", "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("WebhookVerificationError")) {
		t.Errorf("another id was verified: %v\n%s", err, out)
	}
}

// The package is installed from its folder without any other.
func TestPythonPackage(t *testing.T) {
	t.Parallel()
	interpreter(t, "python3")
	text, err := os.ReadFile(filepath.Join(pythonPackage, "pyproject.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dependencies = []", `requires-python = ">=3.9"`, `keynest = ["py.typed"]`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("pyproject.toml lacks %s", want)
		}
	}
	if _, err := os.Stat(filepath.Join(pythonPackage, "src/keynest/py.typed")); err != nil {
		t.Error(err)
	}
	version := python(t, nil, "-c", "import keynest; print(keynest.__version__)")
	if want := `version = "` + strings.TrimSpace(version) + `"`; !bytes.Contains(text, []byte(want)) {
		t.Errorf("pyproject.toml has not the package's %s", want)
	}
}
