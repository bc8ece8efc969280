// Command covey is the whole of Covey: the node, the tools around it and a
// client.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/coveydb/covey/cmd/covey/cli"
)

// version is set by the linker, see the Makefile.
var version string

// sameSignal is how long signals count as one.
const sameSignal = 500 * time.Millisecond

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Some time after the first signal the default comes back, so that a second
	// one ends the process at once. Not immediately: some senders, timeout(1)
	// for one, signal the process and then its whole group.
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })
	return cli.Main(ctx, cli.Args(os.Args), cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		StdinTerminal: terminal(os.Stdin), StdoutTerminal: terminal(os.Stdout), StderrTerminal: terminal(os.Stderr),
		Version: release(), Program: cli.Program(os.Args), Exec: again, Hush: hush,
		Become: func(path string, argv, environ []string) (int, error) {
			stop() // gives the command the signals as this process got them, ignored ones too
			return become(path, argv, environ)
		},
	})
}

func terminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }

// release names this build: what the linker was told, else what Go recorded,
// else "dev".
func release() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
