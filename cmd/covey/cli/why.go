package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// newWhy returns the verb that explains the cluster.
func (a *app) newWhy() *cobra.Command {
	var conn connection
	var node string
	cmd := &cobra.Command{
		Use: "why [leader | writes | voter NODE | stop NODE]", Short: "Explain what is wrong with the cluster, and what to do", Args: takes(0, 2),
		Long: `Explain the cluster from what its nodes say of themselves and of each other:
why there is no leader, why writes are slow or refused, why a node does not vote,
what happens if a node stops. Needs the root key, and no leader.

Every node of --endpoint is asked, and each asks all others that it can reach.
The exit code is 6 when something has failed, as opposed to being only a warning.`,
		Example: `  covey why
  covey why leader --endpoint http://10.0.0.1:8700,http://10.0.0.2:8700
  covey why voter n4
  covey why stop n1`,
		ValidArgs: []string{"leader", "writes", "voter", "stop"},
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := whyQuestion(args, node)
			if err != nil {
				return err
			}
			if _, err := a.outputFormat(); err != nil {
				return err
			}
			findings, err := a.askWhy(cmd.Context(), conn, w)
			if err != nil {
				return rootKeyAdvice(err)
			}
			if err := a.write(whyResult(findings)); err != nil {
				return err
			}
			if len(findings) > 0 && findings[0].Severity == severities[0] {
				return &unavailableError{findings[0].Text}
			}
			return nil
		},
	}
	conn.flags(cmd.Flags(), false)
	cmd.Flags().StringVar(&node, "node", "", "add whether this `node` votes, and what happens if it stops")
	config.CallOnly(cmd.Flags(), "node")
	return cmd
}

// severities are those of findings, the worst first.
var severities = []string{"failure", "warning", "info", "ok"}

func whyQuestion(args []string, node string) (client.Why, error) {
	w := client.Why{Node: node}
	if len(args) == 0 {
		return w, nil
	}
	w.About = args[0]
	switch about := args[0]; {
	case about == "leader" || about == "writes":
		if len(args) > 1 || node != "" {
			return w, usagef("why %s takes no node", about)
		}
	case about != "voter" && about != "stop":
		return w, usagef("%q: it is leader, writes, voter NODE or stop NODE", about)
	case len(args) == 2 && node == "":
		w.Node = args[1]
	case len(args) == 2 || node == "":
		return w, usagef("why %s NODE needs one node", about)
	}
	return w, nil
}

// askWhy asks every endpoint on its own, because each may see another part of
// the cluster, and puts the answers together. One that does not answer is a
// finding, unless none does.
func (a *app) askWhy(ctx context.Context, conn connection, w client.Why) ([]client.Finding, error) {
	answers := make([][]client.Finding, len(conn.endpoints))
	failed := make([]error, len(conn.endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range conn.endpoints {
		one := conn
		one.endpoints = []string{endpoint}
		c, err := one.open(a)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		wg.Go(func() { answers[i], failed[i] = c.Why(ctx, w) })
	}
	wg.Wait()
	var all []client.Finding
	answered := false
	for i, err := range failed {
		switch {
		case err == nil:
			answered = true
			all = append(all, answers[i]...)
		default:
			all = append(all, client.Finding{Subject: "network", Severity: "warning", Text: err.Error(), Do: "is that node up? Its address may have changed: covey cluster members"})
		}
	}
	if !answered {
		return nil, errors.Join(failed...)
	}
	return oneOfEach(all), nil
}

// oneOfEach drops what was said before, and puts the worst first.
func oneOfEach(all []client.Finding) []client.Finding {
	said := make(map[string]bool)
	all = slices.DeleteFunc(all, func(f client.Finding) bool {
		key := f.Subject + "\x00" + f.Text
		before := said[key]
		said[key] = true
		return before
	})
	slices.SortStableFunc(all, func(x, y client.Finding) int {
		return cmp.Compare(slices.Index(severities, x.Severity), slices.Index(severities, y.Severity))
	})
	return all
}

func whyResult(findings []client.Finding) output.Result {
	r := output.Result{Columns: []string{"SEVERITY", "ABOUT", "SINCE", "FINDING", "WHAT TO DO"}, Doc: findings}
	for _, f := range findings {
		since := "-"
		if !f.Since.IsZero() {
			since = f.Since.Local().Format(time.TimeOnly)
			if time.Since(f.Since) > 12*time.Hour {
				since = f.Since.Local().Format(time.DateTime)
			}
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{f.Severity, f.Subject, since, f.Text, cmp.Or(f.Do, "-")}, Doc: f})
	}
	return r
}
