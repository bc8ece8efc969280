package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newCluster() *cobra.Command {
	return newGroup("cluster", "Look at the cluster and change who is in it", a.newClusterStatus(), a.newClusterMembers(),
		a.newClusterPromote(), a.newClusterDemote(), a.newClusterRemove(), a.newClusterLeave(), a.newClusterTransfer(), a.newClusterStepDown(), a.newClusterAutopilot(),
		a.newClusterToken(), a.newClusterCA(), a.newLogLevel(), a.newClusterRecover())
}

func (a *app) newClusterStatus() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "status", Short: "Show the members and who leads; needs the root key", Args: takes(0, 0),
		Long: "Show the members and who leads; needs the root key. The exit code is 6 when the cluster cannot take writes.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.outputFormat(); err != nil {
				return err
			}
			c, err := conn.open(a)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Status(cmd.Context())
			var e *client.Error
			if errors.As(err, &e) && e.Unreachable() {
				return &adviceError{err, "Is a node up? Try another with --endpoint, or start one: covey dev"}
			}
			if err != nil {
				return rootKeyAdvice(err)
			}
			if err := a.write(statusResult(s)); err != nil {
				return err
			}
			return a.judge(s)
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

// judge sums the status up in a message, or in an error when the cluster
// cannot take writes.
func (a *app) judge(s client.Status) error {
	if s.Leader == "" || !s.Quorum {
		reason := s.Reason
		if reason == "" {
			reason = "no quorum"
		}
		return &unavailableError{fmt.Sprintf("the cluster cannot take writes: %s (says node %s)", reason, s.ID)}
	}
	if a.env.StderrTerminal {
		a.note("%s leads in term %d, version %d (says node %s)", s.Leader, s.Term, s.Version, s.ID)
	}
	return nil
}

func statusResult(s client.Status) output.Result {
	r := output.Result{
		Columns: []string{"NODE", "ROLE", "STATE", "HTTP", "PEERS", "GOSSIP", "LAST CONTACT", "APPLIED", "LAG", "RELEASE"},
		Doc:     json.RawMessage(s.Raw),
	}
	for _, m := range s.Members {
		state := "up"
		switch {
		case m.Leader:
			state = "leader"
		case m.Draining:
			state = "draining"
		case !m.Alive:
			state = "down"
		}
		contact := "-"
		if m.LastContactMS >= 0 {
			contact = (time.Duration(m.LastContactMS) * time.Millisecond).String()
		}
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{
				m.ID, m.Role, state, m.HTTPAddr, m.PeerAddr, m.GossipAddr, contact,
				strconv.FormatUint(m.AppliedIndex, 10), strconv.FormatUint(m.AppliedLag, 10), m.Release,
			},
			Doc: m,
		})
	}
	return r
}
