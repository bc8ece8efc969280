package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// memberVerb is a verb about the membership: its connection and what it asks.
type memberVerb struct {
	conn     connection
	yes      bool
	changing client.Changing
}

// on makes cmd such a verb. Verbs that take something away ask first.
func (v *memberVerb) on(a *app, cmd *cobra.Command, asks bool, run func(ctx context.Context, m *client.Membership, args []string) error) *cobra.Command {
	v.conn.flags(cmd.Flags(), false)
	cmd.Flags().BoolVar(&v.changing.DryRun, "dry-run", false, "only say what it would come to")
	config.CallOnly(cmd.Flags(), "dry-run")
	if asks {
		cmd.Flags().BoolVarP(&v.yes, "yes", "y", false, "do not ask")
		config.CallOnly(cmd.Flags(), "yes")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withMembership(cmd.Context(), &v.conn, func(c *client.Client) error {
			return run(cmd.Context(), c.Membership(), args)
		})
	}
	return cmd
}

// withMembership runs a verb on the cluster with the root key.
func (a *app) withMembership(_ context.Context, conn *connection, run func(c *client.Client) error) error {
	if _, err := a.outputFormat(); err != nil {
		return err // before anything is changed
	}
	c, err := conn.open(a)
	if err != nil {
		return err
	}
	defer c.Close()
	return rootKeyAdvice(run(c))
}

func (a *app) newClusterMembers() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "members", Short: "List the nodes, who votes, and what operators want of them", Args: takes(0, 0),
		Long: `List the nodes, who votes, and what operators want of them: "removed" and
"non-voter" stay in force until the node is promoted, or comes back without data.
Needs the root key.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withMembership(cmd.Context(), &conn, func(c *client.Client) error {
				s, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.write(membersResult(s))
			})
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

func membersResult(s client.Status) output.Result {
	all := statusResult(s)
	r := output.Result{Columns: []string{"NODE", "ROLE", "STATE", "WISH", "PEERS", "LAG"}, Doc: s.Members}
	for i, m := range s.Members {
		cells := all.Rows[i].Cells // the state is told in one way
		r.Rows = append(r.Rows, output.Row{Cells: []string{m.ID, m.Role, cells[2], m.Wish, m.PeerAddr, fmt.Sprint(m.AppliedLag)}, Doc: m})
	}
	return r
}

func (a *app) newClusterPromote() *cobra.Command {
	var v memberVerb
	return v.on(a, &cobra.Command{
		Use: "promote NODE", Short: "Let a non-voter vote", Args: takes(1, 1),
		Long: `Let a non-voter vote, without waiting until it has kept up for ten seconds. It
takes back what demote did. Needs the root key.`,
	}, false, func(ctx context.Context, m *client.Membership, args []string) error {
		return a.memberDone(m.Promote(ctx, args[0], v.changing))
	})
}

func (a *app) newClusterDemote() *cobra.Command {
	var v memberVerb
	return v.on(a, &cobra.Command{
		Use: "demote NODE", Short: "Take a member's vote; it goes on serving", Args: takes(1, 1),
		Long: `Take a member's vote. It keeps all data and goes on serving clients, and stays a
non-voter until it is promoted. If it leads, another member leads first. Refused
where the cluster could take no writes any more. Needs the root key.`,
	}, false, func(ctx context.Context, m *client.Membership, args []string) error {
		return a.memberDone(m.Demote(ctx, args[0], v.changing))
	})
}

func (a *app) newClusterRemove() *cobra.Command {
	var v memberVerb
	cmd := v.on(a, &cobra.Command{
		Use: "remove NODE", Short: "Remove a member that does not come back", Args: takes(1, 1),
		Long: `Remove a member for good. One that is alive is refused: let it go by itself with
"covey cluster leave", or say --force. Its process then ends, and its data folder
is refused from then on; the name may come back with an empty one. Refused where
the cluster could take no writes any more, with the arithmetic, also with --force.
Needs the root key.`,
	}, true, func(ctx context.Context, m *client.Membership, args []string) error {
		return a.takeAway(ctx, &v, "remove "+args[0], func(o client.Changing) (client.MemberChange, error) { return m.Remove(ctx, args[0], o) })
	})
	cmd.Flags().BoolVar(&v.changing.Force, "force", false, "also a node that is alive")
	config.CallOnly(cmd.Flags(), "force")
	return cmd
}

func (a *app) newClusterLeave() *cobra.Command {
	var v memberVerb
	cmd := &cobra.Command{
		Use: "leave", Short: "Take the node at --endpoint out of the cluster, gracefully", Args: takes(0, 0),
		Long: `Take the node at --endpoint out of the cluster for good: it stops being ready, its
clients get --drain-time to go elsewhere, the lead goes to another member, the
cluster forgets it, and its process ends with exit code 0. Its data folder is
refused from then on. Refused where the cluster could take no writes any more,
with the arithmetic. Needs the root key.`,
	}
	v.on(a, cmd, true, nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(v.conn.endpoints) != 1 {
			return usagef("one --endpoint is needed: that of the node that leaves")
		}
		return a.withMembership(cmd.Context(), &v.conn, func(c *client.Client) error {
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.takeAway(cmd.Context(), &v, s.ID+" leaves the cluster for good", func(o client.Changing) (client.MemberChange, error) {
				return c.Membership().Leave(cmd.Context(), s.ID, o)
			})
		})
	}
	return cmd
}

// takeAway says what a change comes to, asks, and does it.
func (a *app) takeAway(ctx context.Context, v *memberVerb, what string, do func(client.Changing) (client.MemberChange, error)) error {
	if !v.changing.DryRun && !v.yes {
		o := v.changing
		o.DryRun = true
		would, err := do(o)
		if err != nil {
			return err
		}
		if err := a.confirm(ctx, v.yes, fmt.Sprintf("%s (%s)", what, would.Text)); err != nil {
			return err
		}
	}
	return a.memberDone(do(v.changing))
}

// memberDone prints what became of a change.
func (a *app) memberDone(did client.MemberChange, err error) error {
	if err != nil {
		return err
	}
	state := "done"
	if !did.Done {
		state = "not done: dry run"
	}
	return a.write(output.Result{
		Columns: []string{"NODE", "CHANGE", "STATE", "VOTERS", "ANSWERING", "NEEDED"},
		Rows: []output.Row{{Cells: []string{
			did.Node, did.Change, state, fmt.Sprint(did.After.Voters), fmt.Sprint(did.After.Answers), fmt.Sprint(did.After.Needed),
		}, Doc: did}},
		Doc: did.Raw,
	})
}

func (a *app) newClusterTransfer() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "transfer [NODE]", Short: "Hand the lead to another voter", Args: takes(0, 1),
		Long: `Hand the lead to a voter, or without NODE to the one that has caught up best, and
print who leads then. Writes wait for milliseconds. Needs the root key.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) > 0 {
				to = args[0]
			}
			return a.withMembership(cmd.Context(), &conn, func(c *client.Client) error {
				return a.leads(c.Membership().Transfer(cmd.Context(), to))
			})
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

func (a *app) newClusterStepDown() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "step-down", Short: "Make the node at --endpoint hand the lead over", Args: takes(0, 0),
		Long: "Make the node at --endpoint hand the lead over, and print who leads then. The exit code is 5 if it does not lead. Needs the root key.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(conn.endpoints) != 1 {
				return usagef("one --endpoint is needed: that of the node that steps down")
			}
			return a.withMembership(cmd.Context(), &conn, func(c *client.Client) error {
				return a.leads(c.Membership().StepDown(cmd.Context()))
			})
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

// leads prints who leads.
func (a *app) leads(leader string, err error) error {
	if err != nil {
		return err
	}
	if leader == "" {
		return errors.New("the answer names no leader")
	}
	return a.write(output.Result{Columns: []string{"LEADER"}, Rows: []output.Row{{Cells: []string{leader}}}, Doc: map[string]string{"leader": leader}})
}
