//go:build unix

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeNode in the environment makes the test binary a stand-in for a node.
const fakeNode = "DEMO_TEST_FAKE_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(fakeNode) != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(serveFake(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// serveFake behaves as far as the demo can see like `covey serve`.
func serveFake(args []string) int {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	id, addr, join := fs.String("id", "", ""), fs.String("http-addr", "", ""), fs.String("join", "", "")
	dir, key := fs.String("data-dir", "", ""), fs.String("root-key-file", "", "")
	for _, name := range []string{"peer-addr", "gossip-addr", "bootstrap-expect", "keyring-file", "restdb-key-file", "log-format"} {
		fs.String(name, "", "")
	}
	stdin, broken := fs.Bool(StopWithStdin, false, ""), fs.Bool("broken", false, "")
	if err := fs.Parse(args); err != nil || !*stdin {
		return 2
	}
	if *broken {
		fmt.Println("the moon is full")
		return 1
	}
	if os.Getenv("COVEY_ID") != "" || os.Mkdir(*dir, 0o700) != nil && *id == "" {
		return 3
	}
	root, _ := os.ReadFile(*key)
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/"+bucketID+"/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
	http.HandleFunc("/cluster/status", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+strings.TrimSpace(string(root)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var members []map[string]any
		for range strings.Split(*join, ",") {
			members = append(members, map[string]any{"alive": true})
		}
		json.NewEncoder(w).Encode(map[string]any{"leader": "n1", "term": 7, "version": 42, "members": members})
	})
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go http.Serve(l, nil)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	eof := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(eof)
	}()
	select {
	case <-stop:
	case <-eof:
	}
	return 0
}

// output collects what Run prints and lets a test wait for a part of it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) waitFor(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(20 * time.Second)
	for {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m
		}
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", pattern, o)
		}
	}
}

func start(t *testing.T, cfg Config) (out *output, stop func() error) {
	t.Helper()
	t.Setenv(fakeNode, "1")
	t.Setenv("COVEY_ID", "must not reach the children")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out = newOutput()
	cfg.Exe, cfg.Out = exe, out
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	t.Cleanup(func() { stop() })
	return out, stop
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

func TestDemoStartsHealsAndCleansUp(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out, stop := start(t, Config{Nodes: 3, Restart: 10 * time.Millisecond})
	out.waitFor(t, `leader n1 \(pid \d+\) \| term 7 \| version 42 \| 3 of 3 members alive \| 3/3 nodes run`)
	out.waitFor(t, `curl -w '\\n' -X PATCH -d \+1 http://127.0.0.1:\d+/demo-bucket/hits`)

	pid, _ := strconv.Atoi(out.waitFor(t, `kill -9 (\d+)`)[1])
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, fmt.Sprintf(`n1, pid %d, ended \(signal: killed\); it starts again`, pid))
	again, _ := strconv.Atoi(out.waitFor(t, `n1 started again, pid (\d+)`)[1])

	var pids []int
	for _, m := range regexp.MustCompile(`(?m)^  n\d .* (\d+)$`).FindAllStringSubmatch(out.String(), -1) {
		p, _ := strconv.Atoi(m[1])
		pids = append(pids, p)
	}
	if len(pids) != 3 {
		t.Fatalf("pids %v in:\n%s", pids, out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, p := range append(pids, again) {
		if !gone(p) {
			t.Errorf("process %d is still there", p)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "covey-demo-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDataFolderIsKeptAndUsedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var keys []string
	for range 2 {
		out, stop := start(t, Config{Nodes: 2, DataDir: dir})
		out.waitFor(t, `2/2 nodes run`)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		out.waitFor(t, `kept in `+regexp.QuoteMeta(dir))
		key, err := os.ReadFile(filepath.Join(dir, rootKeyFile))
		if err != nil || len(key) < 20 {
			t.Fatalf("root key %q, %v", key, err)
		}
		keys = append(keys, string(key))
		info, err := os.Stat(filepath.Join(dir, rootKeyFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the root key's file has mode %v (%v)", info.Mode(), err)
		}
	}
	if keys[0] != keys[1] {
		t.Error("the second start made another root key")
	}
	if err := Run(t.Context(), Config{Nodes: 1, DataDir: dir, Out: io.Discard}); err == nil || !strings.Contains(err.Error(), "more than 1 nodes") {
		t.Errorf("fewer nodes than before: %v", err)
	}
}

func TestNodeThatEndsAtTheStartIsReportedWithItsLog(t *testing.T) {
	t.Setenv(fakeNode, "1")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), Config{Nodes: 2, Args: []string{"--broken"}, DataDir: t.TempDir(), Exe: exe, Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "the moon is full") {
		t.Errorf("err = %v, want the child's last words", err)
	}
}

func TestChosenAddressesAreFreeAndDistinct(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	for _, first := range []int{0, taken, 65530} {
		at, err := chooseAddresses(3, first)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, a := range at {
			all = append(all, a.http, a.peer, a.gossip)
		}
		slices.Sort(all)
		if len(slices.Compact(slices.Clone(all))) != 9 || slices.Contains(all, addr(taken)) {
			t.Errorf("first %d: %v", first, all)
		}
	}
}

func TestStatusLineWhenPipedComesOnChangeOnly(t *testing.T) {
	var b strings.Builder
	s := screen{out: &b}
	now := time.Now()
	s.status("a 1", "a", now)
	s.status("a 2", "a", now.Add(time.Second))
	s.status("b 3", "b", now.Add(2*time.Second))
	s.status("b 4", "b", now.Add(2*time.Second+quietFor))
	if got, want := b.String(), "a 1\nb 3\nb 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatusLineOnATerminalIsRedrawnBelowMessages(t *testing.T) {
	var b strings.Builder
	s := screen{out: &b, terminal: true}
	s.status("one", "x", time.Time{})
	s.message("news")
	s.end()
	if got, want := b.String(), "\r\x1b[Kone\r\x1b[Knews\none\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestShellQuote(t *testing.T) {
	for text, want := range map[string]string{"/tmp/a-1.b": "/tmp/a-1.b", "/tmp/a b": "'/tmp/a b'", "it's": `'it'\''s'`} {
		if got := shellQuote(text); got != want {
			t.Errorf("shellQuote(%q) = %q, want %q", text, got, want)
		}
	}
}
