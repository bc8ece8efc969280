package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/internal/auth"
)

func (a *app) newBucket() *cobra.Command {
	return newGroup("bucket", "Create, list and delete buckets", a.newBucketCreate(), a.newBucketList(), a.newBucketDelete())
}

// bucketFlags describe a new bucket.
type bucketFlags struct {
	id, ttl                      string
	generate                     bool
	secret, write, read, signing string // paths
}

func (a *app) newBucketCreate() *cobra.Command {
	var conn connection
	var f bucketFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Create a bucket and print its id", Args: takes(0, 0),
		Long: "Create a bucket and print its id, and with --generate-secret its secret key, which cannot be read again.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := f.settings()
			if err != nil {
				return err
			}
			if _, err := a.outputFormat(); err != nil {
				return err
			}
			c, err := conn.open(a)
			if err != nil {
				return err
			}
			defer c.Close()
			id, err := c.CreateBucket(cmd.Context(), settings)
			if err != nil {
				return err
			}
			r := output.Result{Columns: []string{"BUCKET"}, Rows: []output.Row{{Cells: []string{id}}}}
			doc := map[string]any{"id": id}
			if f.generate {
				r.Columns = append(r.Columns, "SECRET KEY")
				r.Rows[0].Cells = append(r.Rows[0].Cells, settings.SecretKey)
				doc["secret_key"] = settings.SecretKey
			}
			r.Doc = doc
			return a.write(r)
		},
	}
	conn.flags(cmd.Flags(), false)
	fs := cmd.Flags()
	fs.StringVar(&f.id, "id", "", "a chosen `id`; needs the root key (default a random one)")
	fs.StringVar(&f.ttl, "default-ttl", "", "`time` that keys live unless told otherwise: seconds, or a duration; 0 = for ever (default a week)")
	fs.BoolVar(&f.generate, "generate-secret", false, "draw a secret key and print it")
	fs.StringVar(&f.secret, "secret-key-file", "", "`file` with the key that owns the bucket; it cannot be added later")
	fs.StringVar(&f.write, "write-key-file", "", "`file` with the key that is needed to write")
	fs.StringVar(&f.read, "read-key-file", "", "`file` with the key that is needed to read")
	fs.StringVar(&f.signing, "signing-key-file", "", "`file` with the key that signs access tokens")
	config.CallOnly(fs, "id", "default-ttl", "generate-secret", "secret-key-file", "write-key-file", "read-key-file", "signing-key-file")
	return cmd
}

func (f *bucketFlags) settings() (client.Settings, error) {
	s := client.Settings{ID: f.id}
	if f.ttl != "" {
		ttl, err := parseTTL(f.ttl)
		if err != nil {
			return s, err
		}
		s.DefaultTTL = &ttl
	}
	if f.generate && f.secret != "" {
		return s, usagef("--generate-secret and --secret-key-file exclude each other")
	}
	for _, k := range []struct {
		flag, path string
		to         *string
	}{
		{"secret-key-file", f.secret, &s.SecretKey}, {"write-key-file", f.write, &s.WriteKey},
		{"read-key-file", f.read, &s.ReadKey}, {"signing-key-file", f.signing, &s.SigningKey},
	} {
		var err error
		if *k.to, err = readSecret(k.flag, k.path); err != nil {
			return s, err
		}
	}
	if f.generate {
		s.SecretKey = auth.GenerateKey()
	}
	return s, nil
}

func (a *app) newBucketList() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: "list", Short: "List all buckets; needs the root key", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open(a)
			if err != nil {
				return err
			}
			defer c.Close()
			r := output.Result{Columns: []string{"BUCKET", "CREATED", "DEFAULT TTL", "PROTECTED BY"}}
			for after := ""; ; {
				page, next, err := c.Buckets(cmd.Context(), after, 0)
				if err != nil {
					return rootKeyAdvice(err)
				}
				for _, b := range page {
					r.Rows = append(r.Rows, bucketRow(b))
				}
				if next == "" || next == after {
					return a.write(r)
				}
				after = next
			}
		},
	}
	conn.flags(cmd.Flags(), false)
	return cmd
}

func bucketRow(b client.BucketInfo) output.Row {
	ttl := "never"
	if b.DefaultTTL > 0 {
		ttl = (time.Duration(b.DefaultTTL) * time.Second).String()
	}
	return output.Row{
		Cells: []string{b.ID, b.Created.Format(time.DateTime), ttl, strings.Join(b.Keys, ",")},
		Doc:   b,
	}
}

func (a *app) newBucketDelete() *cobra.Command {
	var conn connection
	var yes bool
	cmd := &cobra.Command{
		Use: "delete BUCKET...", Short: "Delete buckets with everything in them", Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := conn.open(a)
			if err != nil {
				return err
			}
			defer c.Close()
			key, err := conn.bucketKey(a)
			if err != nil {
				return err
			}
			if !yes {
				if err := a.confirm(cmd.Context(), yes, deletion(cmd.Context(), c, key, ids)); err != nil {
					return err
				}
			}
			return each(len(ids), func(i int) error { return c.Bucket(ids[i], key).Drop(cmd.Context()) })
		},
	}
	conn.flags(cmd.Flags(), true)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	config.CallOnly(cmd.Flags(), "yes")
	return cmd
}

// deletion says what would be deleted and how much that is, as far as the
// caller may know.
func deletion(ctx context.Context, c *client.Client, key string, ids []string) string {
	var parts []string
	for _, id := range ids {
		items, err := c.Bucket(id, key).List(ctx, client.ListQuery{})
		switch {
		case errors.Is(err, client.ErrNotFound):
			parts = append(parts, fmt.Sprintf("bucket %s (not found)", output.Clean(id)))
		case err != nil:
			parts = append(parts, fmt.Sprintf("bucket %s (keys unknown)", output.Clean(id)))
		case len(items) > 0 && len(items)%10_000 == 0:
			parts = append(parts, fmt.Sprintf("bucket %s (%d keys or more)", output.Clean(id), len(items)))
		default:
			parts = append(parts, fmt.Sprintf("bucket %s (%d keys)", output.Clean(id), len(items)))
		}
	}
	return "Delete " + strings.Join(parts, ", ")
}

// rootKeyAdvice says how to give the root key when err is that it is missing
// or wrong. A node that refuses for another reason has said it itself.
func rootKeyAdvice(err error) error {
	var e *client.Error
	if !errors.As(err, &e) || !errors.Is(err, client.ErrDenied) {
		return err
	}
	if e.Status != http.StatusUnauthorized {
		return &adviceError{err: err}
	}
	return &adviceError{err, "Give the cluster's root key with --root-key-file or " + envRootKey}
}
