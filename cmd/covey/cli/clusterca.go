package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/internal/pki"
)

func (a *app) newClusterCA() *cobra.Command {
	group := newGroup("ca", "Manage the CA with which the cluster signs certificates of new nodes", a.newCAImport(), a.newCAShow(), a.newCARemove())
	group.Long = `Manage the CA with which the cluster signs the certificates of nodes that join with
a token. Its key is sealed with the master key, so nodes need a --keyring-file. It
is never shown again; keep your own copy, or remove the CA when no node is to join.`
	return group
}

func (a *app) newCAImport() *cobra.Command {
	var v fleetVerb
	var life time.Duration
	cmd := &cobra.Command{
		Use: "import CERT KEY", Short: "Give the cluster a CA: the files of its certificate and key", Args: takes(2, 2),
		Long: `Give the cluster a CA, from the files of its certificate and its key (covey cert
ca makes them), in place of the one it has. The nodes must trust it: its certificate
has to be in the file of --peer-ca on all of them first. To replace a CA put the
certificates of both into that file everywhere, then import the new one: nodes that
joined with a token get a certificate of it within seconds.`,
	}
	cmd.Flags().DurationVar(&life, "node-life", 0, "how long the certificates that it signs are good; they are renewed by themselves (default 90 days)")
	config.CallOnly(cmd.Flags(), "node-life")
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, args []string) error {
		// This refuses a key that others may read, before it goes anywhere.
		if _, err := pki.LoadAuthority(args[0], args[1]); err != nil {
			return keyringError(err)
		}
		cert, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		key, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		return f.SetAuthority(ctx, client.NewAuthority{Cert: string(cert), Key: string(key), NodeLife: int64(life / time.Second)})
	})
}

func (a *app) newCAShow() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "show", Short: "Show the cluster's CA, never its key", Args: takes(0, 0),
		Long: "Show the cluster's CA. With -o raw print its certificate as PEM."}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		ca, err := f.Authority(ctx)
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"CA", "UNTIL", "FINGERPRINT", "SIGNS FOR"}, Doc: ca, Raw: []byte(ca.Cert)}
		for i, c := range ca.CAs {
			life := ""
			if i == 0 {
				life = fmt.Sprint(time.Duration(ca.NodeLife) * time.Second)
			}
			r.Rows = append(r.Rows, output.Row{Cells: []string{c.Name, c.NotAfter.Format(time.DateOnly), c.Fingerprint, life}})
		}
		return a.write(r)
	})
}

func (a *app) newCARemove() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "remove", Short: "Make the cluster forget its CA", Args: takes(0, 0),
		Long: `Make the cluster forget its CA. The certificates that it has signed stay good, but
no node joins, and none that joined with a token gets its next certificate, until
the cluster has a CA again.`}
	yesFlag(cmd, &v.yes)
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		if err := a.confirm(ctx, v.yes, "Remove the cluster's CA (nodes that joined with tokens cannot renew their certificates)"); err != nil {
			return err
		}
		return f.RemoveAuthority(ctx)
	})
}
