package cli

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// watching runs a watch until its context ends and gives its lines as they come.
type watching struct {
	t     *testing.T
	lines *bufio.Scanner
	stop  context.CancelFunc
	code  chan int
	err   strings.Builder
}

func (w *world) watch(terminal bool, args ...string) *watching {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	r, out := io.Pipe()
	g := &watching{t: w.t, lines: bufio.NewScanner(r), stop: cancel, code: make(chan int, 1)}
	go func() {
		g.code <- Main(ctx, append([]string{"key", "watch"}, args...), Env{
			Stdin: strings.NewReader(""), Stdout: out, Stderr: &g.err, StdoutTerminal: terminal,
			Environ: []string{"COVEY_ENDPOINT=" + w.url, "COVEY_TIMEOUT=2s", "NO_COLOR=1"},
		})
		out.Close()
	}()
	w.t.Cleanup(cancel)
	return g
}

func (g *watching) want(prefixes ...string) {
	g.t.Helper()
	for _, want := range prefixes {
		if !g.lines.Scan() || !strings.HasPrefix(g.lines.Text(), want) {
			g.stop()
			g.t.Fatalf("got %q, want %q; %s", g.lines.Text(), want, g.ended())
		}
	}
}

func (g *watching) ended() string {
	for g.lines.Scan() {
	}
	code := <-g.code
	g.code <- code
	return g.err.String()
}

func (g *watching) exits(want int, says string) {
	g.t.Helper()
	text := g.ended()
	if code := <-g.code; code != want || !strings.Contains(text, says) {
		g.t.Errorf("exit code %d, %q, want %d and %q", code, text, want, says)
	}
}

func TestKeyWatchPrintsChangesAsTheyCome(t *testing.T) {
	w := newWorld(t)
	id := strings.TrimSpace(w.must("bucket", "create"))
	lines := w.watch(false, id, "a", "--values", "-o", "jsonl")
	lines.want(`{"event":"ready","id":"`)
	table := w.watch(true, id, "--values")
	table.want("EVENT    VERSION       KEY")
	w.must("key", "set", id, "a1", "x\ty")
	w.must("key", "set", id, "b", "1")
	w.must("key", "del", id, "a1", "--yes")
	lines.want(`{"event":"set","id":"`, `{"event":"delete","id":"`)
	table.want("set      ", "set      ", "delete   ")
	lines.stop()
	lines.exits(exitInterrupted, "interrupted")
	w.must("bucket", "delete", id, "--yes")
	table.exits(exitNotFound, "does not exist")
}

func TestKeyWatchBeginsWhereItIsTold(t *testing.T) {
	w := newWorld(t)
	id := strings.TrimSpace(w.must("bucket", "create"))
	w.must("key", "set", id, "a", "1")
	_, version, _ := strings.Cut(strings.TrimSpace(w.must("key", "set", id, "b", "x\ty", "-o", "plain")), "\t")
	w.must("key", "set", id, "c", "3")
	plain := w.watch(false, id, "--values", "--since", version)
	plain.want("set\t")
	if got := plain.lines.Text(); !strings.HasSuffix(got, "\tc\t3") {
		t.Errorf("got %q", got)
	}
	plain.stop()
	plain.exits(exitInterrupted, "")
	ahead := w.watch(false, id, "--since", "1000000")
	ahead.want("reset\t")
	ahead.stop()
	ahead.exits(exitInterrupted, "were missed")
}

func TestKeyWatchRefuses(t *testing.T) {
	w := newWorld(t)
	id := strings.TrimSpace(w.must("bucket", "create"))
	for _, tt := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{id, "-o", "json"}},
		{exitUsage, []string{id, "-o", "yaml"}},
		{exitUsage, []string{id, "-o", "raw"}},
		{exitUsage, []string{id, "a", "b"}},
		{exitFailed, []string{id, "--since", "x"}},
		{exitNotFound, []string{"nobucket1"}},
	} {
		w.watch(false, tt.args...).exits(tt.code, "covey: ")
	}
}
