package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Signals reach the command, and the program does not stand in the way of one
// that ignores them.
func TestSignalsReachTheCommandThatRuns(t *testing.T) {
	t.Parallel()
	x := newStage(t)
	x.env = append(x.env, "KEYNEST_TOKEN="+x.ada.token)
	signals := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH,
	}
	var script strings.Builder
	for _, name := range slices.Sorted(maps.Keys(signals)) {
		fmt.Fprintf(&script, "trap 'echo got %s' %s; ", name, name)
	}
	script.WriteString("echo ready; while :; do sleep 0.02; done")

	t.Run("each is handled by the command", func(t *testing.T) {
		p := x.begin(t, script.String())
		for _, name := range slices.Sorted(maps.Keys(signals)) {
			if signal.Ignored(signals[name]) {
				t.Logf("%s is ignored by who runs the tests, and so by what they run", name)
				continue
			}
			p.signal(signals[name])
			p.line("got " + name)
		}
		p.signal(syscall.SIGKILL)
		p.ends(syscall.SIGKILL)
	})
	t.Run("one that is not handled ends the command", func(t *testing.T) {
		p := x.begin(t, "echo ready; while :; do sleep 0.02; done")
		p.signal(syscall.SIGTERM)
		p.ends(syscall.SIGTERM)
	})
	t.Run("a command that ignores TERM goes on until KILL", func(t *testing.T) {
		p := x.begin(t, "trap '' TERM INT HUP; trap 'echo alive' USR1; echo ready; while :; do sleep 0.02; done")
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM} {
			p.signal(s)
		}
		p.signal(syscall.SIGUSR1)
		p.line("alive")
		p.signal(syscall.SIGKILL)
		p.ends(syscall.SIGKILL)
	})
}

// running is a command that was begun by run.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // is closed at the end of the output
}

// begin runs a script of the shell until it has said that it is ready.
func (x *stage) begin(t *testing.T, script string) *running {
	t.Helper()
	p := &running{t: t, cmd: x.command("covey", x.run("--", "sh", "-c", script)...), lines: make(chan string, 100)}
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	p.line("ready")
	return p
}

func (p *running) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v: %v", s, err)
	}
}

// line waits for the next line.
func (p *running) line(want string) {
	p.t.Helper()
	select {
	case got, ok := <-p.lines:
		if got != want {
			p.t.Fatalf("the command printed %q (%v), want %q", got, ok, want)
		}
	case <-time.After(patience):
		p.t.Fatalf("the command does not print %q", want)
	}
}

// ends waits for the command to be ended by a signal.
func (p *running) ends(by syscall.Signal) {
	p.t.Helper()
	for range p.lines {
		continue
	}
	p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != by {
		p.t.Errorf("the command ended with %v, want signal %v", p.cmd.ProcessState, by)
	}
}
