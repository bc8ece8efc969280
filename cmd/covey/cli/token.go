package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// fleetVerb holds the flags of a verb about the keys of the cluster itself.
type fleetVerb struct {
	conn connection
	yes  bool
}

// on makes cmd such a verb.
func (v *fleetVerb) on(a *app, cmd *cobra.Command, run func(ctx context.Context, f *client.Fleet, args []string) error) *cobra.Command {
	v.conn.flags(cmd.Flags(), false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		c, err := v.conn.open(a)
		if err != nil {
			return err
		}
		defer c.Close()
		return rootKeyAdvice(run(cmd.Context(), c.Fleet(), args))
	}
	return cmd
}

func (a *app) newClusterToken() *cobra.Command {
	group := newGroup("token", "Make and revoke tokens with which new nodes join", a.newTokenCreate(), a.newTokenList(), a.newTokenRevoke())
	group.Long = `Make and revoke tokens with which new nodes join. A token is good once and for a
short time; it gives the new node a certificate of the cluster's CA (covey cluster
ca), that CA, and the gossip keys:

  covey cluster token create --id n4 > n4.token     bring the file to the new machine; there:
  covey serve --id n4 --data-dir d4 --join-token-file n4.token ...and its addresses

The node renews its certificate by itself. It keeps what it got in its data folder
and needs the token no more.`
	return group
}

func (a *app) newTokenCreate() *cobra.Command {
	var v fleetVerb
	var t client.NewToken
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print it", Args: takes(0, 0),
		Long: `Make a join token and print it. It cannot be read again: only its hash is kept.
Whoever has it may join as one node until it expires, so give --id where you know
it. A node that lost its data folder and is still a member needs a token with its
own --id.

The new node says itself by which names and addresses it is reached, and gets a
certificate for those. They may not be where another member is reached, unless
--host names them. With --host it gets one for these and its own loopback only.`,
	}
	fs := cmd.Flags()
	fs.DurationVar(&ttl, "ttl", time.Hour, "how long the token is good")
	fs.StringVar(&t.Node, "id", "", "the only `node` that may use it (default any that is no member)")
	fs.BoolVar(&t.NonVoter, "non-voter", false, "the node serves clients, but takes no part in elections and quorums")
	fs.StringSliceVar(&t.Hosts, "host", nil, "a `name` or address by which the node is reached; repeat it for more (default what the node says)")
	fs.StringSliceVar(&t.Endpoints, "through", nil, "`URLs` of nodes that the new one asks, comma-separated (default the members that are up)")
	config.CallOnly(fs, "ttl", "id", "non-voter", "host", "through")
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		if ttl < time.Second {
			return usagef("--ttl %v: a second or more is needed", ttl)
		}
		t.TTLSeconds = int64(ttl / time.Second)
		if v.conn.caFile != "" {
			pem, err := os.ReadFile(v.conn.caFile)
			if err != nil {
				return fmt.Errorf("--ca-file: %w", err)
			}
			t.CA = string(pem)
		}
		made, err := f.CreateToken(ctx, t)
		if err != nil {
			return err
		}
		// The token alone goes to standard output, so that it can be a file's content.
		if err := a.write(output.Result{Columns: []string{"TOKEN"}, Rows: []output.Row{{Cells: []string{made.Token}}}, Doc: made}); err != nil {
			return err
		}
		a.note("join token %s for %s is good once, until %s", made.ID, tokenNode(made), made.Expires.Format(time.DateTime))
		return nil
	})
}

func tokenNode(t client.JoinToken) string {
	if t.Node == "" {
		return "any new node"
	}
	return "node " + t.Node
}

func (a *app) newTokenList() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{
		Use: "list", Short: "Show the tokens, also those that are of no use any more", Args: takes(0, 0),
		Long: "Show the join tokens by their ids. One that was used, revoked or has expired is shown for some days.",
	}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		tokens, err := f.Tokens(ctx)
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"ID", "STATE", "FOR", "HOSTS", "EXPIRES", "USED BY", "USED"}}
		for _, t := range tokens {
			used := ""
			if t.UsedAt != nil {
				used = t.UsedAt.Format(time.DateTime)
			}
			r.Rows = append(r.Rows, output.Row{Cells: []string{t.ID, t.State, t.Node, strings.Join(t.Hosts, ","), t.Expires.Format(time.DateTime), t.UsedBy, used}, Doc: t})
		}
		return a.write(r)
	})
}

func (a *app) newTokenRevoke() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "revoke ID", Short: "Make a token useless", Args: takes(1, 1),
		Long: "Make a join token useless. A node that has joined with it stays: covey cluster remove removes nodes."}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, args []string) error { return f.RevokeToken(ctx, args[0]) })
}
