package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

// asProgram is the variable that makes the test binary the program.
const asProgram = "RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// printed keeps what a program prints and tells when it has said a text.
type printed struct {
	all  bytes.Buffer // not embedded: exec would use its ReadFrom
	text string
	once sync.Once
	seen chan struct{}
}

func (p *printed) Write(b []byte) (int, error) {
	n, err := p.all.Write(b)
	if strings.Contains(p.all.String(), p.text) {
		p.once.Do(func() { close(p.seen) })
	}
	return n, err
}

func TestTheProcessListShowsNoPassword(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const password = "s3cret-0123"
	dir, addr := t.TempDir(), freeport.Addr(t)
	_, port, _ := strings.Cut(addr, ":")
	out := &printed{text: "Ctrl-C stops it.", seen: make(chan struct{})}
	cmd := &exec.Cmd{
		Path: exe, Args: []string{
			"KOT", "api", password, "--host", "127.0.0.1", "--port", port, "--restricted", "execute", "--rate_limit", "100 per minute",
			"--folder", filepath.Join(dir, "data"), "--heartbeat", "200ms",
			"--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0",
		},
		Env: append(os.Environ(), asProgram+"=1"), Stdout: out, Stderr: out, // one writer: exec takes turns
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended by then, unless the test failed
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if code := status(t, exited, "http://"+addr+"/database/list", password); code != http.StatusOK {
		t.Errorf("the password as it was given: %d", code)
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cmdline"))
	if err != nil || bytes.Contains(line, []byte(password)) || !bytes.Contains(line, []byte("api\x00")) {
		t.Errorf("the process list shows %q, %v", line, err)
	}
	if code := status(t, exited, "http://"+addr+"/execute", password); code != http.StatusMethodNotAllowed {
		t.Errorf("a GET of /execute: %d", code)
	}
	select {
	case <-out.seen:
	case err := <-exited:
		t.Fatalf("the program ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("it did not say that it serves")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err != nil {
		t.Errorf("stopped: %v\n%s", err, out.all.String())
	}
	text := out.all.String()
	if strings.Contains(text, password) || strings.Count(text, "among the arguments") != 1 || !strings.Contains(text, "KOT serves on http://"+addr) {
		t.Errorf("it printed:\n%s", text)
	}
}

// status asks until there is an answer.
func status(t *testing.T, exited <-chan error, url, password string) int {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for {
		code, err := once(url, password)
		if err == nil && code != http.StatusServiceUnavailable {
			return code
		}
		select {
		case <-tick.C:
		case err := <-exited:
			t.Fatalf("the program ended: %v", err)
		case <-end:
			t.Fatalf("no answer in time: %d, %v", code, err)
		}
	}
}

func once(url, password string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", url, err)
	}
	r.SetBasicAuth("", password)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
