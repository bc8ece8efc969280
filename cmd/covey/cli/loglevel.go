package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/output"
)

// logLevels are those that a node's log can have.
var logLevels = []string{"debug", "info", "warn", "error"}

// newLogLevel returns the verb that shows or changes the level of nodes' logs.
func (a *app) newLogLevel() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "log-level [debug | info | warn | error]", Short: "Show or change the level of nodes' logs while they run", Args: takes(0, 1), ValidArgs: logLevels,
		Long: `Show or change the level of the logs of the nodes in --endpoint, each of them; needs
the root key, and no leader. It holds until the node ends or gets a SIGHUP: then
it is that of --log-level again.`,
		Example: `  covey cluster log-level
  covey cluster log-level debug --endpoint http://10.0.0.1:8700,http://10.0.0.2:8700`,
		RunE: func(cmd *cobra.Command, args []string) error {
			level := ""
			if len(args) == 1 {
				if level = strings.ToLower(args[0]); !slices.Contains(logLevels, level) {
					return usagef("%q is none of the levels %s", args[0], strings.Join(logLevels, ", "))
				}
			}
			if _, err := a.outputFormat(); err != nil {
				return err // before anything is changed
			}
			return a.logLevel(cmd.Context(), &conn, level)
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

// logLevel asks every node of conn for the level of its log, or changes it if
// level is not "", and shows what those say that answer.
func (a *app) logLevel(ctx context.Context, conn *connection, level string) error {
	levels, failed := make([]string, len(conn.endpoints)), make([]error, len(conn.endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range conn.endpoints {
		wg.Go(func() { levels[i], failed[i] = conn.logLevelAt(ctx, a, endpoint, level) })
	}
	wg.Wait()
	r := output.Result{Columns: []string{"ENDPOINT", "LEVEL"}}
	for i, endpoint := range conn.endpoints {
		if failed[i] != nil {
			continue
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{endpoint, levels[i]}, Doc: map[string]string{"endpoint": endpoint, "level": levels[i]}})
	}
	err := rootKeyAdvice(errors.Join(failed...))
	if len(r.Rows) == 0 {
		return err
	}
	if shown := a.write(r); shown != nil {
		return shown
	}
	if err != nil {
		return &partlyError{done: len(r.Rows), all: len(conn.endpoints), err: err}
	}
	return nil
}

// logLevelAt is the level at one node, after it was changed if level is not "".
func (c *connection) logLevelAt(ctx context.Context, a *app, endpoint, level string) (string, error) {
	one := *c
	one.endpoints = []string{endpoint}
	cl, err := one.open(a)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	if level != "" {
		return level, cl.SetLogLevel(ctx, level)
	}
	return cl.LogLevel(ctx)
}
