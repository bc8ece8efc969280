package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// StopWithStdin is the flag that makes `covey serve` stop when its standard
// input ends. Run gives it to its children.
const StopWithStdin = "stop-with-stdin"

// grace is how long a child may take to stop before it is killed.
const grace = 20 * time.Second

// child is one node's process, and after a restart the next one.
type child struct {
	id      string
	at      addresses
	exe     string
	args    []string
	env     []string
	log     string // path
	restart time.Duration
}

// event is something that happened to a child.
type event struct {
	child *child
	pid   int   // the process's id; 0 when it could not be started
	ended bool  // false = started
	err   error // why it ended or could not be started; nil for a clean exit
}

// run keeps the process running until ctx ends and then stops it gracefully.
// It returns when no process is left.
func (c *child) run(ctx context.Context, events chan<- event) {
	// The kernel's signal at the parent's death is bound to the thread that
	// started the child; this goroutine keeps its thread for as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		c.once(ctx, events)
		t := time.NewTimer(c.restart)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// once runs one process from its start to its end.
func (c *child) once(ctx context.Context, events chan<- event) {
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		send(event{child: c, ended: true, err: err})
		return
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, c.exe, c.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, out, out
	cmd.SysProcAttr = procAttr()
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = grace
	stdin, err := cmd.StdinPipe() // its end tells the child that the parent is gone
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		send(event{child: c, ended: true, err: err})
		return
	}
	defer stdin.Close()
	pid := cmd.Process.Pid
	send(event{child: c, pid: pid})
	err = cmd.Wait()
	send(event{child: c, pid: pid, ended: true, err: err})
}

// terminate asks a process to stop; where signals cannot be sent it is ended.
func terminate(p *os.Process) error {
	err := p.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Kill()
}

// lastLines returns the end of the child's log.
func (c *child) lastLines(n int) string {
	f, err := os.Open(c.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 4 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(size-tail, 0), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(f, tail))
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(len(lines)-n, 0):], []byte("\n")))
}

// children describes the processes of a cluster over the given addresses.
func children(cfg *Config, dir string, at []addresses) []*child {
	seeds := make([]string, len(at))
	for i, a := range at {
		seeds[i] = a.gossip
	}
	var env []string
	for _, kv := range os.Environ() {
		// Settings for this process are not settings for its children.
		if !strings.HasPrefix(kv, "COVEY_") {
			env = append(env, kv)
		}
	}
	out := make([]*child, len(at))
	for i, a := range at {
		id := fmt.Sprintf("n%d", i+1)
		args := []string{
			"serve", "--id", id, "--data-dir", filepath.Join(dir, id),
			"--http-addr", a.http, "--peer-addr", a.peer, "--gossip-addr", a.gossip,
			"--bootstrap-expect", fmt.Sprint(len(at)), "--join", strings.Join(seeds, ","),
			"--root-key-file", filepath.Join(dir, rootKeyFile), "--keyring-file", filepath.Join(dir, keyringFile),
			"--restdb-key-file", filepath.Join(dir, restKeyFile),
			"--log-format", "text", "--" + StopWithStdin,
		}
		out[i] = &child{
			id: id, at: a, exe: cfg.Exe, args: append(args, cfg.Args...), env: env,
			log: filepath.Join(dir, id+".log"), restart: cfg.Restart,
		}
	}
	return out
}
