package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newKeyringRoot() *cobra.Command {
	group := newGroup("root", "Make and drop root keys, the operator's credential", a.newRootList(), a.newRootNew(), a.newRootDrop())
	group.Long = `Make and drop root keys, the operator's credential. Any number of them are good at
the same time, on all nodes, so one can be replaced while it is in use:

  covey keyring root new > new.key                                prints the key, once
  ...give new.key to everybody who used the old one...
  covey keyring root drop file --root-key-file new.key            the one of serve's --root-key-file

Only salted hashes are kept. A key that was dropped stays dropped, also where it
still stands in a file that a node is started with.`
	return group
}

func (a *app) newRootList() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "list", Short: "Show the root keys by their ids", Args: takes(0, 0),
		Long: `Show the root keys by their ids. "file" is the one that the node which answers was
started with.`}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		keys, err := f.RootKeys(ctx)
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"ID", "CREATED", "THIS CALL'S"}}
		for _, k := range keys {
			created, current := "", ""
			if k.Created != nil {
				created = k.Created.Format(time.DateTime)
			}
			if k.Current {
				current = "yes"
			}
			r.Rows = append(r.Rows, output.Row{Cells: []string{k.ID, created, current}, Doc: k})
		}
		return a.write(r)
	})
}

func (a *app) newRootNew() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "new", Short: "Make a root key and print it", Args: takes(0, 0),
		Long: "Make a root key that is good on all nodes, beside those that there are, and print it. It cannot be read again: only its hash is kept."}
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, _ []string) error {
		made, err := f.AddRootKey(ctx)
		if err != nil {
			return err
		}
		// The key alone goes to standard output, so that it can be a file's content.
		if err := a.write(output.Result{Columns: []string{"KEY"}, Rows: []output.Row{{Cells: []string{made.Key}}}, Doc: made}); err != nil {
			return err
		}
		a.note("this is root key %s", made.ID)
		return nil
	})
}

func (a *app) newRootDrop() *cobra.Command {
	var v fleetVerb
	cmd := &cobra.Command{Use: "drop ID", Short: "Make a root key useless", Args: takes(1, 1),
		Long: `Make a root key useless on all nodes, within a second. "file" is the one that the
node which is asked was started with. The key that the call is made with cannot be
dropped.`}
	yesFlag(cmd, &v.yes)
	return v.on(a, cmd, func(ctx context.Context, f *client.Fleet, args []string) error {
		if err := a.confirm(ctx, v.yes, fmt.Sprintf("Drop root key %s: whoever uses it is refused", output.Clean(args[0]))); err != nil {
			return err
		}
		return f.DropRootKey(ctx, args[0])
	})
}
