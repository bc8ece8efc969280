package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
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

	// What the binary is built from: otherwise a result would be taken from the
	// cache although that has changed.
	_ "github.com/coveydb/covey/cmd/covey/cli"
	"github.com/coveydb/covey/internal/freeport"
)

var (
	full   = flag.Bool("full", false, "run in the sizes that releases are held to")
	binary string
)

const (
	rootKey = "e2e-root-key-0123456789abcdef"

	// patience is how long a test waits for what has to come, on a machine that is
	// busy with other tests. It costs time only where a test fails.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Processes of clusters mostly wait for each other: more tests than there are
	// processors at once take no longer each.
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		if err := n.Value.Set(fmt.Sprint(size(6, 4))); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

// beside lets a test run beside others, except in the sizes of releases: in these
// it loads the whole machine.
func beside(t *testing.T) {
	if !*full {
		t.Parallel()
	}
}

// breathe paces a client that loads a cluster for as long as something else
// takes: it never stops, and leaves other tests their share of the machine.
func breathe() {
	if !*full {
		time.Sleep(10 * time.Millisecond)
	}
}

// pauses are the times to wait between two looks at the same thing: short at
// first, and longer for what takes its time anyway, since each look takes some
// from what is waited for.
func pauses() func() time.Duration {
	next := 10 * time.Millisecond
	return func() time.Duration {
		next = min(next+next/8, 100*time.Millisecond)
		return next
	}
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "covey-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "covey")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", binary, "github.com/coveydb/covey/cmd/covey").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build covey: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is one process of `covey serve`.
type server struct {
	t                        testing.TB
	id, dir                  string
	http, peer, gossip, join string
	expect                   int
	extra                    []string
	env                      []string // beside that of the tests

	cmd    *exec.Cmd
	exited chan struct{}
	log    lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newServer(t testing.TB, id string, expect int) *server {
	t.Helper()
	return &server{t: t, id: id, dir: filepath.Join(t.TempDir(), id), expect: expect,
		http: freeport.Addr(t), peer: freeport.Addr(t), gossip: freeport.Addr(t)}
}

// newCluster starts size processes and waits until all are ready.
func newCluster(t testing.TB, size int) []*server {
	t.Helper()
	servers := make([]*server, size)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), size)
		servers[i].join = servers[0].gossip
	}
	for _, s := range servers {
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

func (s *server) start() {
	s.t.Helper()
	keyFile := filepath.Join(s.t.TempDir(), "root.key")
	if err := os.WriteFile(keyFile, []byte(rootKey+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := []string{"serve", "--id", s.id, "--data-dir", s.dir, "--http-addr", s.http, "--peer-addr", s.peer,
		"--gossip-addr", s.gossip, "--root-key-file", keyFile, "--log-level", "info", "--log-format", "text", "--drain-time", "0s"}
	if s.join != "" {
		args = append(args, "--join", s.join)
	}
	if s.expect > 0 {
		args = append(args, "--bootstrap-expect", fmt.Sprint(s.expect))
	}
	cmd := exec.Command(binary, append(args, s.extra...)...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", s.id, err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	s.cmd, s.exited = cmd, exited
	s.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGCONT)
		cmd.Process.Kill()
		<-exited
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", s.id, tail(s.log.String(), 40))
		}
	})
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// kill ends the process as a power cut would.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// terminate asks the process to stop and waits for it.
func (s *server) terminate() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Fatalf("%s does not stop", s.id)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("%s stopped with code %d", s.id, code)
	}
}

func (s *server) waitReady(limit time.Duration) {
	s.t.Helper()
	s.waitFor("ready", limit, func() error {
		code, body, err := s.do("GET", "/readyz?verbose", "", nil)
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
}

func (s *server) waitFor(what string, limit time.Duration, ok func() error) {
	s.t.Helper()
	deadline, pause := time.Now().Add(limit), pauses()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s was not %s within %v: %v", s.id, what, limit, err)
		}
		time.Sleep(pause())
	}
}

var web = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 200},
}

// do sends one request. err is a failure of the connection.
func (s *server) do(method, path, body string, header map[string]string) (code int, answer string, err error) {
	req, err := http.NewRequest(method, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := web.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	return res.StatusCode, string(p), err
}

// must sends a request that must be answered 200, and returns the body.
func (s *server) must(method, path, body string) string {
	s.t.Helper()
	code, answer, err := s.do(method, path, body, nil)
	if err != nil || code != 200 {
		s.t.Fatalf("%s %s through %s: %d %q %v", method, path, s.id, code, answer, err)
	}
	return answer
}

type status struct {
	Leader  string `json:"leader"`
	Term    uint64 `json:"term"`
	Version uint64 `json:"version"`
	Members []struct {
		ID   string `json:"id"`
		Role string `json:"role"`
	} `json:"members"`
}

func (s *server) status() (st status, err error) {
	code, body, err := s.do("GET", "/cluster/status", "", map[string]string{"Authorization": "Bearer " + rootKey})
	if err != nil {
		return st, err
	}
	if code != 200 {
		return st, errors.New(body)
	}
	return st, json.Unmarshal([]byte(body), &st)
}

// leaderOf returns the server that leads.
func leaderOf(t testing.TB, servers []*server) *server {
	t.Helper()
	var found *server
	servers[0].waitFor("led", patience, func() error {
		for _, s := range servers {
			st, err := s.status()
			if err != nil {
				continue
			}
			for _, x := range servers {
				if x.id == st.Leader {
					found = x
					return nil
				}
			}
		}
		return errors.New("no leader")
	})
	return found
}
