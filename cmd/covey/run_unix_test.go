//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	aToken = "0123456789abcdef0123456789abcdef01234567"
	aValue = "hunter2 hunter2"
)

// keynest returns the program of this name as it runs a command with what a
// server has. All files that it could make are in its folder.
func keynest(t *testing.T, args ...string) (cmd *exec.Cmd, folder string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+aToken || r.URL.Path != "/api/environments/1/export/" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"SECRET":%q}`, aValue)
	}))
	t.Cleanup(s.Close)
	folder = t.TempDir()
	cmd = &exec.Cmd{
		Path: exe, Args: append([]string{"keynest", "run", "--env", "1", "--"}, args...), Dir: folder, Stderr: os.Stderr,
		Env: []string{
			asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder,
			"KEYNEST_BASE_URL=" + s.URL, "KEYNEST_TOKEN=" + aToken,
		},
	}
	return cmd, folder
}

func TestACommandGetsTheVariablesAndItsExitCodePasses(t *testing.T) {
	cmd, _ := keynest(t, "sh", "-c", `cat; echo "$$ $SECRET ${KEYNEST_TOKEN-none}"; exit 7`)
	cmd.Stdin = strings.NewReader("input ")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("it ended with %v", err)
	}
	if want := fmt.Sprintf("input %d %s none\n", cmd.Process.Pid, aValue); string(out) != want {
		t.Errorf("it printed %q, want %q", out, want)
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		sent         []syscall.Signal
		code         int
		signal       syscall.Signal
	}{
		{"it catches one", `trap "exit 9" TERM; echo ready; while :; do sleep 0.02; done`, []syscall.Signal{syscall.SIGTERM}, 9, 0},
		{"it ignores one", `trap "" TERM INT; echo ready; while :; do sleep 0.02; done`, []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL}, -1, syscall.SIGKILL},
		{"it dies of one", `echo ready; while :; do sleep 0.02; done`, []syscall.Signal{syscall.SIGINT}, -1, syscall.SIGINT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, _ := keynest(t, "sh", "-c", tt.script)
			out := started(t, cmd)
			for _, s := range tt.sent {
				if err := cmd.Process.Signal(s); err != nil {
					t.Error(err)
				}
			}
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait() // the state says more
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if cmd.ProcessState.ExitCode() != tt.code || tt.signal != 0 && status.Signal() != tt.signal {
				t.Errorf("it ended with %v", cmd.ProcessState)
			}
		})
	}
}

// A shell's background commands have interrupts ignored, and so has what they run.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	cmd, _ := keynest(t, "sh", "-c", `kill -INT $$; echo alive`)
	inner := cmd.Args
	cmd.Args = append([]string{"sh", "-c", `trap "" INT; exec "$0" "$@"`, cmd.Path}, inner[1:]...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "keynest") // the name makes the program
	if err := os.Symlink(cmd.Path, link); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args[3] = sh, link
	out, err := cmd.Output()
	if err != nil || string(out) != "alive\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestValuesAreInNoFileAndInNoArgument(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	cmd, folder := keynest(t, "sh", "-c", `echo ready; read line`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := started(t, cmd)
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cmdline"))
	if err != nil || bytes.Contains(line, []byte("hunter2")) || bytes.Contains(line, []byte(aToken)) || !bytes.HasPrefix(line, []byte("sh\x00-c\x00echo ready")) {
		t.Errorf("the process list shows %q, %v", line, err)
	}
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if path != folder {
			t.Errorf("there is a file %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // read fails at the end of its input
}

// started starts a command and waits until it says that it is ready.
func started(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended by then, unless the test failed
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	return out
}
