package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/backup/schedule"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/cmd/covey/server"
)

// Variables with the keys of an S3-compatible store, as everybody calls them.
const (
	envS3Access  = "AWS_ACCESS_KEY_ID"
	envS3Secret  = "AWS_SECRET_ACCESS_KEY"
	envS3Session = "AWS_SESSION_TOKEN"
)

// s3Files are the files with the keys of an S3-compatible store.
type s3Files struct{ access, secret string }

func (f *s3Files) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.access, "s3-access-key-file", "", "`file` with the access key of an S3-compatible store; or the key itself in "+envS3Access)
	fs.StringVar(&f.secret, "s3-secret-key-file", "", "`file` with the secret key of an S3-compatible store; or the key itself in "+envS3Secret)
}

// s3Keys reads the keys; they may be empty where no store is used.
func (a *app) s3Keys(f *s3Files) (k depot.Keys, err error) {
	if k.Access, err = a.secret("s3-access-key-file", f.access, envS3Access); err != nil {
		return k, err
	}
	if k.Secret, err = a.secret("s3-secret-key-file", f.secret, envS3Secret); err != nil {
		return k, err
	}
	if f.access == "" { // temporary keys come by the environment only
		k.Session = config.Lookup(a.env.Environ, envS3Session)
	}
	return k, nil
}

// addBackups adds serve's flags of scheduled backups.
func addBackups(fs *pflag.FlagSet, b *server.Backups, keys *s3Files) {
	d := server.DefaultBackups
	fs.StringVar(&b.To, "backup-to", "", "`URL` of the place for scheduled backups: file:///folder or s3://bucket/prefix?endpoint=https://host&region=R (default none)")
	fs.DurationVar(&b.Every, "backup-every", d.Every, "time between two scheduled backups")
	fs.IntVar(&b.Keep, "backup-keep", d.Keep, "how many scheduled backups are kept, the newest verified ones")
	fs.StringVar(&b.Recipients, "backup-age-recipients", "", "`file` with age recipients that scheduled backups are encrypted for (default not encrypted)")
	keys.flags(fs)
}

func (a *app) newBackupList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list URL", Short: "List the backups in a folder or a bucket, the newest first", Args: takes(1, 1),
		Long: `List the backups in a folder or a bucket, the newest first:

  covey backup list file:///backups
  covey backup list 's3://bucket/prefix?endpoint=https://minio.example.org:9000'

VERIFIED says that a schedule has made the backup and read it back whole. Names of
files that are no backups are left out.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := a.s3Keys(&a.s3)
			if err != nil {
				return err
			}
			d, err := depot.Open(args[0], depot.Options{Keys: keys})
			if err != nil {
				return &usageError{err}
			}
			all, err := schedule.List(cmd.Context(), d)
			if err != nil {
				return err
			}
			return a.write(keptResult(all))
		},
	}
	return cmd
}

// keptDoc is a backup in a depot, for programs.
type keptDoc struct {
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
	Cluster   string    `json:"cluster"`
	Version   uint64    `json:"version"`
	Size      int64     `json:"size"`
	Encrypted bool      `json:"encrypted"`
	Verified  bool      `json:"verified"`
}

func keptResult(all []schedule.Kept) output.Result {
	r := output.Result{Columns: []string{"NAME", "CREATED", "CLUSTER", "VERSION", "SIZE", "ENCRYPTED", "VERIFIED"}}
	yes := map[bool]string{true: "yes", false: "no"}
	for _, k := range all {
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{
				k.File, k.Created.Format(time.RFC3339), k.Cluster, strconv.FormatUint(k.Version, 10), byteText(k.Size), yes[k.Encrypted], yes[k.Verified],
			},
			Doc: keptDoc{k.File, k.Created, k.Cluster, k.Version, k.Size, k.Encrypted, k.Verified},
		})
	}
	return r
}

func (a *app) newBackupFetch() *cobra.Command {
	return &cobra.Command{
		Use: "fetch URL FILE", Short: "Copy a backup from a folder or a bucket to a new file", Args: takes(2, 2),
		Long: `Copy a backup from a folder or a bucket to a new file, as it is there; check it with
covey backup verify. verify, show and restore also take the URL itself.

  covey backup fetch 's3://bucket/prefix/NAME?endpoint=https://host:9000' latest.covey`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[1]); err == nil {
				return usagef("%s exists already, and nothing is overwritten", args[1])
			}
			f, size, err := a.openDepotFile(args[0])
			if err != nil {
				return err
			}
			m := a.meter("bytes", size)
			err = writeFile(args[1], func(w io.Writer) error {
				n, err := io.Copy(io.MultiWriter(w, sized{m}), f)
				if err == nil && n != size {
					err = fmt.Errorf("%d bytes of %d came", n, size)
				}
				return err
			})
			m.stop()
			return errors.Join(err, f.Close())
		},
	}
}

// openDepotFile opens a file in a depot by its URL. The caller closes it.
func (a *app) openDepotFile(url string) (io.ReadCloser, int64, error) {
	keys, err := a.s3Keys(&a.s3)
	if err != nil {
		return nil, 0, err
	}
	d, name, err := depot.OpenFile(url, depot.Options{Keys: keys})
	if err != nil {
		return nil, 0, &usageError{err}
	}
	return d.Get(a.root.Context(), name)
}
