package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newClusterAutopilot() *cobra.Command {
	show := a.newAutopilotGet()
	cmd := newGroup("autopilot", "Let the leader remove dead members by itself, or show whether it does", show, a.newAutopilotSet())
	cmd.Flags().AddFlagSet(show.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return group(cmd, args)
		}
		return show.RunE(cmd, nil)
	}
	cmd.Long = `Let the leader remove members by itself that are dead: that gossip has lost and
that have not answered it for long. It is off unless it is set. One is removed at
a time, never so that fewer than --min-quorum voters are left, and none at all
where more than (voters-1)/2 look dead. A member that was removed so and comes
back is taken in again. Without a verb this shows what is set, as get does.`
	return cmd
}

func (a *app) newAutopilotGet() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "get", Short: "Show what is set; needs the root key", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withMembership(cmd.Context(), &conn, func(c *client.Client) error {
				return a.autopilot(c.Membership().Autopilot(cmd.Context()))
			})
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

func (a *app) newAutopilotSet() *cobra.Command {
	var conn connection
	var cleanup string
	var least int
	var after time.Duration
	cmd := &cobra.Command{
		Use: "set", Short: "Set it; what is not given stays; needs the root key", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := cmd.Flags()
			if flags.Changed("cleanup") && cleanup != "on" && cleanup != "off" {
				return usagef("--cleanup %q: it is on or off", cleanup)
			}
			if after%time.Second != 0 {
				return usagef("--dead-after %v: whole seconds are needed", after)
			}
			return a.withMembership(cmd.Context(), &conn, func(c *client.Client) error {
				s, err := c.Membership().Autopilot(cmd.Context())
				if err != nil {
					return err
				}
				if flags.Changed("cleanup") {
					s.Cleanup = cleanup == "on"
				}
				if flags.Changed("min-quorum") {
					s.MinQuorum = least
				}
				if flags.Changed("dead-after") {
					s.DeadSeconds = int64(after / time.Second)
				}
				if err := c.Membership().SetAutopilot(cmd.Context(), s); err != nil {
					return err
				}
				return a.autopilot(s, nil)
			})
		},
	}
	conn.flags(cmd.Flags(), false)
	cmd.Flags().StringVar(&cleanup, "cleanup", "off", "remove dead members: on or off")
	cmd.Flags().IntVar(&least, "min-quorum", 0, "least `number` of voters that is left; 0 = 3")
	cmd.Flags().DurationVar(&after, "dead-after", 0, "how long nobody has heard of a dead member; 0 = a day")
	config.CallOnly(cmd.Flags(), "cleanup")
	config.CallOnly(cmd.Flags(), "min-quorum")
	config.CallOnly(cmd.Flags(), "dead-after")
	return cmd
}

func (a *app) autopilot(s client.Autopilot, err error) error {
	if err != nil {
		return err
	}
	cleanup, least, after := "off", "3", 24*time.Hour
	if s.Cleanup {
		cleanup = "on"
	}
	if s.MinQuorum > 0 {
		least = fmt.Sprint(s.MinQuorum)
	}
	if s.DeadSeconds > 0 {
		after = time.Duration(s.DeadSeconds) * time.Second
	}
	return a.write(output.Result{
		Columns: []string{"CLEANUP", "MIN QUORUM", "DEAD AFTER"},
		Rows:    []output.Row{{Cells: []string{cleanup, least, after.String()}}}, Doc: s,
	})
}
