// Package cluster starts clusters of real processes of the real binary for tests
// of what talks to them from outside: the SDKs, in other languages.
//
// It guarantees that every process it started has ended when the test has, and
// that a cluster it returns answers all four APIs. It is for tests only, and
// measures nothing.
package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/internal/seal"
)

// The credentials of every cluster of this package. Nothing but loopback ever
// sees them.
const (
	RootKey = "cluster-test-root-key-0123456789"
	RestKey = "fedcba9876543210fedcba9876543210"
)

// patience is how long a node may take to start, to stop, or to lead.
const patience = time.Minute

// Build builds the binary into a folder and returns its path. It belongs into
// TestMain, so that one run of tests builds once.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "covey")
	out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", binary, "github.com/coveydb/covey/cmd/covey").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build covey: %w\n%s", err, out)
	}
	return binary, nil
}

// Cluster is a running cluster. Its methods may be called by several goroutines,
// but Kill and Start of one node by one at a time.
type Cluster struct {
	Nodes []*Node
}

// Start starts size nodes of a binary and waits until all are ready. They have a
// keyring, the full-access RestDB key RestKey and no limit for logins; outgoing
// calls may go to private addresses. args are further arguments of `covey serve`.
func Start(t testing.TB, binary string, size int, args ...string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"root.key": RootKey, "restdb.key": RestKey}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ring := filepath.Join(dir, "keyring.json")
	if _, err := seal.Create(ring); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{}
	for i := range size {
		n := &Node{ID: fmt.Sprintf("n%d", i+1), binary: binary, t: t, addr: freeport.Addr(t), gossip: freeport.Addr(t)}
		c.Nodes = append(c.Nodes, n)
		n.args = append([]string{
			"serve", "--id", n.ID, "--data-dir", filepath.Join(dir, n.ID), "--http-addr", n.addr,
			"--peer-addr", freeport.Addr(t), "--gossip-addr", n.gossip, "--join", c.Nodes[0].gossip,
			"--bootstrap-expect", fmt.Sprint(size), "--root-key-file", filepath.Join(dir, "root.key"),
			"--restdb-key-file", filepath.Join(dir, "restdb.key"), "--keyring-file", ring,
			"--keynest-auth-rate-limit", "off", "--webhook-allow-private", "--log-level", "info", "--log-format", "text",
		}, args...)
	}
	for _, n := range c.Nodes {
		n.Start()
		t.Cleanup(n.Kill)
	}
	for _, n := range c.Nodes {
		n.WaitReady()
	}
	return c
}

// URLs returns the nodes' base URLs, in the order of Nodes.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL()
	}
	return urls
}

// Leader waits for a leader and returns it, or nil if there was none in time.
func (c *Cluster) Leader() *Node {
	var found *Node
	poll(patience, func() error {
		for _, n := range c.Nodes {
			id, err := n.leader()
			if err != nil {
				continue
			}
			for _, m := range c.Nodes {
				if m.ID == id {
					found = m
					return nil
				}
			}
		}
		return fmt.Errorf("no node knows a leader")
	})
	return found
}

// KillLeaders kills the leader every interval, without notice, and starts it
// again, until stop is called: stop waits until all nodes are ready and returns
// how many leaders were killed. The first dies at once.
func (c *Cluster) KillLeaders(t testing.TB, interval time.Duration) (stop func() int) {
	done, kills := make(chan struct{}), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			leader := c.Leader()
			if leader == nil {
				t.Error("there is no leader to kill")
				return
			}
			leader.Kill()
			kills++
			leader.Start()
			select {
			case <-done:
				return
			case <-ticks.C:
			}
		}
	})
	var once sync.Once
	end := func() { once.Do(func() { close(done); wg.Wait() }) }
	t.Cleanup(end)
	return func() int {
		end()
		for _, n := range c.Nodes {
			n.WaitReady()
		}
		return kills
	}
}

// Node is one process of `covey serve`, which may be killed and started again.
type Node struct {
	ID string

	binary       string
	args         []string
	addr, gossip string
	t            testing.TB

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	log    bytes.Buffer
}

// URL returns the base URL of the node's APIs, without a slash at its end.
func (n *Node) URL() string { return "http://" + n.addr }

// Write takes what the process logs.
func (n *Node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

// Log returns all that the node's processes have logged.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// Start starts the process and returns at once.
func (n *Node) Start() {
	cmd := exec.Command(n.binary, n.args...)
	cmd.Stdout, cmd.Stderr = n, n
	if err := cmd.Start(); err != nil {
		n.t.Errorf("start %s: %v", n.ID, err)
		return
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed: how it ends says nothing
		close(exited)
	}()
	n.mu.Lock()
	n.cmd, n.exited = cmd, exited
	n.mu.Unlock()
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (n *Node) Kill() {
	n.signal(syscall.SIGKILL)
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

// Pause stops the process without ending it, as a machine that hangs: its
// connections stay open and nothing answers. Resume lets it go on.
func (n *Node) Pause() { n.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (n *Node) Resume() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) {
	n.mu.Lock()
	cmd := n.cmd
	n.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(s) // it may have ended
	}
}

// WaitReady waits until the node is ready, and fails the test if it is not in time.
func (n *Node) WaitReady() {
	n.t.Helper()
	err := poll(patience, func() error {
		_, err := n.get("/readyz")
		return err
	})
	if err != nil {
		log := strings.Split(n.Log(), "\n")
		n.t.Fatalf("%s is not ready: %v\n%s", n.ID, err, strings.Join(log[max(0, len(log)-30):], "\n"))
	}
}

// leader returns the id of the node that this one follows.
func (n *Node) leader() (string, error) {
	p, err := n.get("/cluster/status")
	if err != nil {
		return "", err
	}
	var status struct {
		Leader string `json:"leader"`
	}
	return status.Leader, json.Unmarshal(p, &status)
}

func (n *Node) get(path string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, n.URL()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+RootKey)
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, p)
	}
	return p, err
}

// poll calls ok until it returns nil, and returns its last error if that is not
// in time.
func poll(limit time.Duration, ok func() error) error {
	deadline := time.Now().Add(limit)
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for {
		err := ok()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-ticks.C
	}
}
