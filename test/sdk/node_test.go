package sdk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/test/cluster"
)

const (
	nodeFolder = "../../sdk/node"
	nodeLimit  = 5 * time.Minute // of one program, which should take seconds
)

// nodeJS finds Node.js of a version that the SDK supports, or skips.
func nodeJS(t *testing.T) string {
	t.Helper()
	node := interpreter(t, "node")
	out, err := exec.Command(node, "-p", "process.versions.node.split('.')[0]").Output()
	var major int
	if _, scanned := fmt.Sscan(string(out), &major); err != nil || scanned != nil || major < 18 {
		t.Skipf("this machine's node is %q (%v), the SDK needs 18", bytes.TrimSpace(out), err)
	}
	return node
}

// The tests that need no server.
func TestTheNodeSDKByItself(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), nodeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, nodeJS(t), "--test")
	cmd.Dir = nodeFolder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ran := regexp.MustCompile(`(?m)^\S+ tests (\d+)$`).FindSubmatch(out)
	if ran == nil || len(ran[1]) < 3 {
		t.Errorf("fewer than 100 tests ran:\n%s", out)
	}
}

// nodeProgram runs programs that import the package.
type nodeProgram struct {
	node, dir string
	variables []string
}

// newNodeProgram returns a folder in which the package is installed, and what
// programs in it are told of c and of a user with an environment.
func newNodeProgram(t *testing.T, c *cluster.Cluster) nodeProgram {
	t.Helper()
	p := nodeProgram{node: nodeJS(t), dir: t.TempDir()}
	token, _, _, environment := account(t, c.Nodes[0].URL(), "ada")
	p.variables = append(os.Environ(), "KEYNEST_TOKEN="+token, "KEYNEST_BASE_URL="+strings.Join(c.URLs(), ","),
		fmt.Sprint("ENVIRONMENT=", environment), "RESTDB_KEY="+cluster.RestKey)
	sdk, err := filepath.Abs(nodeFolder)
	if err != nil {
		t.Fatal(err)
	}
	scope := filepath.Join(p.dir, "node_modules", "@keynest")
	if err := os.MkdirAll(scope, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sdk, filepath.Join(scope, "sdk")); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a program, which must end by itself and well, and returns what it
// printed.
func (p nodeProgram) run(t *testing.T, name, text string, variables ...string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.node, name)
	cmd.Dir = p.dir
	cmd.Env = append(p.variables[:len(p.variables):len(p.variables)], variables...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s%s", name, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// script is run with a program of the SDK's folder e2e.
func (p nodeProgram) script(t *testing.T, name string, variables ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nodeFolder, "e2e", name))
	if err != nil {
		t.Fatal(err)
	}
	return p.run(t, name, string(text), variables...)
}

// The examples of the README print what it says, and every call does on a
// cluster what the unit tests say it sends.
func TestTheNodeSDKOnAClusterOfThree(t *testing.T) {
	t.Parallel()
	nodeJS(t)
	c := cluster.Start(t, binary, 3)
	p := newNodeProgram(t, c)
	text, err := os.ReadFile(filepath.Join(nodeFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	for _, block := range regexp.MustCompile("(?s)```js\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		program.WriteString(block[1])
	}
	var want strings.Builder
	for _, says := range regexp.MustCompile(`// → (.*)`).FindAllStringSubmatch(program.String(), -1) {
		want.WriteString(says[1] + "\n")
	}
	if lines := strings.Count(want.String(), "\n"); lines < 15 {
		t.Fatalf("the README says only %d lines", lines)
	}
	if got := p.run(t, "readme.mjs", program.String()); got != want.String() {
		t.Errorf("the README's examples print\n%s\nand it says\n%s", got, want.String())
	}
	p.script(t, "features.mjs")
	for _, n := range c.Nodes {
		for _, secret := range []string{"svc_", "secret_value", "another_value", "whsec_", "s3cret", cluster.RestKey} {
			if strings.Contains(n.Log(), secret) {
				t.Errorf("%s logs what begins with %s", n.ID, secret)
			}
		}
	}
}

// Counters, variables and documents are written once each, whatever leader dies.
func TestTheNodeSDKWhileLeadersAreKilled(t *testing.T) {
	t.Parallel()
	nodeJS(t)
	c := cluster.Start(t, binary, 3)
	p := newNodeProgram(t, c)
	stop := c.KillLeaders(t, 5*time.Second)
	said := p.script(t, "once.mjs", fmt.Sprint("SECONDS=", size(8, 120)))
	kills := stop()
	t.Logf("%d leaders were killed: %s", kills, strings.TrimSpace(said))
	if kills < 2 {
		t.Errorf("%d leaders were killed, want at least 2", kills)
	}
}

// A follower that has lost the others refuses writes, and says so.
func TestTheNodeSDKWithoutAQuorum(t *testing.T) {
	if !*full {
		t.Skip("a node waits 10 seconds for a leader; run with -full")
	}
	t.Parallel()
	nodeJS(t)
	c := cluster.Start(t, binary, 3)
	p := newNodeProgram(t, c)
	leader := c.Leader()
	if leader == nil {
		t.Fatal("there is no leader")
	}
	left := c.Nodes[0]
	if left == leader {
		left = c.Nodes[1]
	}
	for _, n := range c.Nodes {
		if n != left {
			n.Kill()
		}
	}
	p.script(t, "alone.mjs")
}

// A leader that hangs, with its connections open, is given up for another node.
func TestTheNodeSDKWhenTheLeaderHangs(t *testing.T) {
	if !*full {
		t.Skip("the SDK waits 15 seconds for a node to answer; run with -full")
	}
	t.Parallel()
	nodeJS(t)
	c := cluster.Start(t, binary, 3)
	p := newNodeProgram(t, c)
	leader := c.Leader()
	if leader == nil {
		t.Fatal("there is no leader")
	}
	urls := leader.URL()
	for _, n := range c.Nodes {
		if n != leader {
			urls += "," + n.URL()
		}
	}
	leader.Pause()
	defer leader.Resume()
	p.script(t, "hang.mjs", "KEYNEST_BASE_URL="+urls)
}
