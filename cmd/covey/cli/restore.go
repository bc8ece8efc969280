package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// restoring is one restore.
type restoring struct {
	a      *app
	conn   connection
	keys   sealing
	yes    bool
	dryRun bool
	force  bool
}

func (a *app) newRestore() *cobra.Command {
	v := restoring{a: a}
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a backup the data of the whole cluster; needs the root key", Args: takes(1, 1),
		Long: `Make a backup the data of the whole cluster; needs the root key. An empty cluster
takes it without a question. One that holds data loses it: that is said and asked
before, or --yes is given.

The file is checked before it is sent, and again by the leader, byte by byte,
before anything changes. The cluster goes on with its old data until the last
moment; then all nodes change at one place among all writes. If that does not
come to pass, the old data stands.

Join tokens, root keys, gossip keys and the cluster's CA are the cluster's own:
they stay as they are. Secrets are sealed in the backup, and only a keyring that
holds the keys of the old cluster opens them; without it the restore is refused.`,
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args[0]) },
	}
	v.conn.flags(cmd.Flags(), false)
	v.keys.inward(cmd.Flags())
	a.s3.flags(cmd.Flags())
	cmd.Flags().BoolVar(&v.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&v.dryRun, "dry-run", false, "let the cluster check all of it, and change nothing")
	cmd.Flags().BoolVar(&v.force, "force", false, "restore also if secrets in the backup can never be opened here")
	config.CallOnly(cmd.Flags(), "yes", "dry-run", "force")
	return cmd
}

func (v *restoring) run(ctx context.Context, path string) error {
	if path == "-" {
		return usagef("a restore reads its backup more than once: save it to a file first")
	}
	s, _, err := v.a.verifyBackup(path, &v.keys)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	v.a.note("%s: version %d of cluster %s, made %s: %d records, %s", path, s.Header.Version, s.Header.Cluster,
		s.Header.Created.UTC().Format(time.RFC3339), s.Records, byteText(int64(s.Bytes)))
	c, err := v.conn.open(v.a)
	if err != nil {
		return err
	}
	defer c.Close()
	there, err := c.Restorable(ctx)
	if err != nil {
		return rootKeyAdvice(err)
	}
	o := client.RestoreOptions{Force: v.force, DryRun: v.dryRun}
	if there.Records > 0 {
		what := replaced(there, s)
		if v.dryRun {
			v.a.note("it would %s", what)
		} else if err := v.a.confirm(ctx, v.yes, what); err != nil {
			return err
		}
		o.Confirm = there.ClusterID
	}
	done, err := v.send(ctx, c, path, s, o)
	if err != nil {
		return rootKeyAdvice(err)
	}
	return v.report(done, there)
}

// replaced says what a restore destroys.
func replaced(there client.Restorable, s backup.Summary) string {
	records := fmt.Sprintf("%d records", there.Records)
	if there.More {
		records = fmt.Sprintf("more than %d records", there.Records)
	}
	text := fmt.Sprintf("replace all data of cluster %s, %s at version %d", there.ClusterID, records, there.Version)
	if s.Header.Cluster == there.ClusterID && there.Version > s.Header.Version {
		return text + fmt.Sprintf(", and lose its last %d versions", there.Version-s.Header.Version)
	}
	return text + fmt.Sprintf(", by %d records of another", s.Records)
}

// send sends the backup, in clear text inside the connection, to the leader.
func (v *restoring) send(ctx context.Context, c *client.Client, path string, s backup.Summary, o client.RestoreOptions) (client.Restored, error) {
	ids, err := v.keys.identities()
	if err != nil {
		return client.Restored{}, err
	}
	m := v.a.meter("backups", int64(s.Bytes))
	defer m.stop()
	return c.Restore(ctx, int64(s.Bytes), func() (io.ReadCloser, error) { return v.a.openPlain(path, ids, m) }, o)
}

// plainBackup is a backup without its encryption.
type plainBackup struct {
	io.Reader
	f io.Closer
}

// Close implements io.Closer.
func (p plainBackup) Close() error { return p.f.Close() }

func (a *app) openPlain(path string, ids []age.Identity, m *meter) (io.ReadCloser, error) {
	f, _, err := a.openBackup(path)
	if err != nil {
		return nil, err
	}
	plain, _, err := backup.Open(f, ids...)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return plainBackup{io.TeeReader(plain, sized{m}), f}, nil
}

func (v *restoring) report(done client.Restored, there client.Restorable) error {
	if v.dryRun {
		v.a.note("the cluster would take it; nothing was changed")
	} else {
		v.a.note("done: cluster %s holds %d records at version %d", there.ClusterID, done.Records, done.Version)
	}
	return v.a.write(output.Result{
		Columns: []string{"CLUSTER", "RECORDS", "VERSION"},
		Rows: []output.Row{{
			Cells: []string{there.ClusterID, fmt.Sprint(done.Records), fmt.Sprint(done.Version)},
			Doc: map[string]any{
				"cluster_id": there.ClusterID, "records": done.Records, "version": done.Version, "dry_run": v.dryRun, "backup": done.Backup,
			},
		}},
	})
}
