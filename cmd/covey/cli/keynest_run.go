package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/nest"
	"github.com/coveydb/covey/cmd/covey/output"
)

// Exit codes of a command that could not be run, as shells have them.
const (
	exitNotRunnable = 126
	exitNoCommand   = 127
)

// runFlags are those of run.
type runFlags struct {
	env       envFlag
	injection nest.Injection
	override  bool
	resolve   bool
	fallback  string
}

func (a *app) newNestRun() *cobra.Command {
	var v nestVerb
	var f runFlags
	cmd := &cobra.Command{
		Use: "run --env ENVIRONMENT -- COMMAND [ARGUMENT...]", Short: "Run a command with the variables of an environment", Args: takes(1, -1),
		Long: `Run a command with the variables of an environment in its own. They are in no file and
in no argument. The command takes the place of this program: it gets its signals, its
terminal and its process id, and its exit code is the one that is seen; 127 is a command
that is not there, 126 one that cannot be run.

A variable wins over one of the same name in the caller's environment, unless
--override=false is given. The caller's ` + nest.EnvToken + ` is not passed on, unless
--keep-token is given.

Without a server the exit code is 6 and nothing is run. With --fallback the variables
are kept in a file, sealed with the token, each time that the server gives them, and
taken from there when it does not answer. The file does not open with another token.`,
		Example: "  " + a.keynest() + " run --env Web/production -- ./server --port 8080",
	}
	f.env.add(a, &v, cmd)
	fs := cmd.Flags()
	fs.SetInterspersed(false) // what follows the command is the command's
	fs.StringSliceVar(&f.injection.Only, "only", nil, "only these `keys`, comma-separated (default all)")
	fs.StringVar(&f.injection.Prefix, "prefix", "", "`text` to put before each name, such as TF_VAR_")
	fs.BoolVar(&f.override, "override", true, "variables win over the caller's own environment")
	fs.BoolVar(&f.injection.KeepToken, "keep-token", false, "pass "+nest.EnvToken+" on to the command")
	fs.BoolVar(&f.resolve, "resolve", false, "put in what ${KEY} and ${environment.KEY} stand for")
	fs.StringVar(&f.fallback, "fallback", "", "`file` for a sealed copy, to be used when no server answers")
	config.CallOnly(fs, "only", "prefix", "override", "keep-token", "resolve", "fallback")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		f.injection.Keep = !f.override
		path, err := exec.LookPath(args[0])
		if err != nil {
			return notRunnable(err) // before a value is asked for
		}
		variables, err := a.variablesFor(cmd, s, &f)
		if err != nil {
			return err
		}
		environ, err := f.injection.Environ(a.env.Environ, variables)
		if err != nil {
			return err
		}
		code, err := a.env.Become(path, args, environ)
		switch {
		case errors.Is(err, syscall.E2BIG):
			err = fmt.Errorf("%s: the variables are larger than this system allows the environment of a command to be", args[0])
			return &codeError{exitNotRunnable, err}
		case err != nil:
			return notRunnable(fmt.Errorf("%s: %w", args[0], err))
		}
		return &codeError{code: code}
	})
}

// notRunnable gives the reason why a command cannot be run its exit code.
func notRunnable(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &codeError{exitNoCommand, err}
	}
	return &codeError{exitNotRunnable, err}
}

// variablesFor returns what the server has, or if it does not answer and there
// may be a copy, what that has.
func (a *app) variablesFor(cmd *cobra.Command, s *nestSession, f *runFlags) (nest.Variables, error) {
	ctx := cmd.Context()
	c, err := a.fetch(cmd, s, f)
	switch {
	case err == nil && f.fallback != "":
		if err := a.keepCopy(ctx, c, s.token, f.fallback); err != nil {
			a.note("the copy for when no server answers was not written: %v", err)
		}
		return c.Variables, nil
	case err == nil:
		return c.Variables, nil
	case f.fallback == "" || ctx.Err() != nil || !errors.Is(err, client.ErrUnavailable):
		return nil, err
	}
	kept, kerr := nest.ReadCopy(ctx, f.fallback, s.token, f.env.text, f.resolve)
	if kerr != nil {
		return nil, fmt.Errorf("%w; and of the copy: %w", err, kerr)
	}
	a.note("%v; the variables are those of %s", err, kept.Taken.UTC().Format(time.RFC3339))
	return kept.Variables, nil
}

// fetch asks the server. An export is all or nothing: no text that stands in the
// place of a value can get into a deployment.
func (a *app) fetch(cmd *cobra.Command, s *nestSession, f *runFlags) (nest.Copy, error) {
	c := nest.Copy{Name: f.env.text, Resolved: f.resolve, Taken: time.Now()}
	id, err := f.env.id(cmd, s)
	if err != nil {
		return c, err
	}
	text, err := s.Export(cmd.Context(), id, client.NestExport{Format: "json", Resolve: f.resolve})
	if err != nil {
		return c, err
	}
	c.Environment = id
	if c.Variables, err = nest.ParseVariables(text); err != nil {
		return c, fmt.Errorf("environment %s: %w", output.Clean(f.env.text), err)
	}
	return c, nil
}

func (a *app) keepCopy(ctx context.Context, c nest.Copy, token, path string) error {
	if err := nest.CheckCopyPath(path); err != nil {
		return err
	}
	file, err := c.Seal(ctx, token)
	if err != nil {
		return err
	}
	return writeFile(path, writes(file))
}
