package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newRestDB() *cobra.Command {
	cmd := newGroup("restdb", "Manage databases of the RestDB API: keys, settings, webhooks, roles",
		newGroup("database", "Create, list and drop databases", a.newRestDatabaseCreate(), a.newRestDatabaseList(), a.newRestDatabaseDrop()),
		newGroup("key", "Create, list, rotate and revoke access keys", a.newRestKeyCreate(), a.newRestKeyList(), a.newRestKeyRotate(), a.newRestKeyRevoke()),
		newGroup("settings", "Show and change the settings of a database", a.newRestSettingsGet(), a.newRestSettingsSet()),
		a.newRestWebhook(),
		newGroup("role", "Show and change what users with a JWT may do", a.newRestRoleGet(), a.newRestRoleSet()))
	cmd.Long = "Manage databases of the RestDB API. All verbs need the cluster's root key. What is\nin a database, its collections, is managed with \"covey collection\"."
	return cmd
}

// restVerb holds the flags of a verb on databases of documents.
type restVerb struct {
	conn     connection
	database string
}

// plain makes cmd a verb on all databases: run gets the open handle.
func (v *restVerb) plain(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, r *client.RestDB, args []string) error) *cobra.Command {
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
		return rootKeyAdvice(run(cmd, c.RestDB(), args))
	}
	return cmd
}

// on makes cmd a verb on one database, the default one unless --database names
// another.
func (v *restVerb) on(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, d *client.RestDatabase, args []string) error) *cobra.Command {
	cmd.Flags().StringVar(&v.database, "database", "default", "`name` of the database")
	return v.plain(a, cmd, func(cmd *cobra.Command, r *client.RestDB, args []string) error {
		return run(cmd, r.Database(v.database), args)
	})
}

func (a *app) newRestDatabaseCreate() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "create DATABASE", Short: "Create a database", Args: takes(1, 1),
		Long: `Create a database. Clients reach it by host name once the setting host_suffix is
set: DATABASE followed by that suffix. It has no key yet:
"covey restdb key create --database DATABASE" makes one.`,
	}
	return v.plain(a, cmd, func(cmd *cobra.Command, r *client.RestDB, args []string) error {
		if err := r.CreateDatabase(cmd.Context(), args[0]); err != nil {
			return err
		}
		return a.done(output.Row{Cells: args, Doc: map[string]any{"name": args[0]}}, "DATABASE")
	})
}

func (a *app) newRestDatabaseList() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "list", Short: "List all databases", Args: takes(0, 0)}
	return v.plain(a, cmd, func(cmd *cobra.Command, r *client.RestDB, _ []string) error {
		infos, err := r.Databases(cmd.Context())
		if err != nil {
			return err
		}
		res := output.Result{Columns: []string{"DATABASE", "CREATED"}}
		for _, i := range infos {
			created := "always there"
			switch {
			case i.Dropping:
				created = "being dropped: covey restdb database drop goes on"
			case i.Created != nil:
				created = i.Created.Format(time.DateTime)
			}
			res.Rows = append(res.Rows, output.Row{Cells: []string{i.Name, created}, Doc: i})
		}
		return a.write(res)
	})
}

func (a *app) newRestDatabaseDrop() *cobra.Command {
	var v restVerb
	var yes bool
	cmd := &cobra.Command{Use: "drop DATABASE", Short: "Delete a database with its keys, settings and documents", Args: takes(1, 1)}
	yesFlag(cmd, &yes)
	return v.plain(a, cmd, func(cmd *cobra.Command, r *client.RestDB, args []string) error {
		if !yes {
			if err := a.confirm(cmd.Context(), yes, "Drop "+collectionsOf(cmd.Context(), r.Database(args[0]))); err != nil {
				return err
			}
		}
		return r.DropDatabase(cmd.Context(), args[0])
	})
}

// collectionsOf says which database it is and how much is in it.
func collectionsOf(ctx context.Context, d *client.RestDatabase) string {
	what := "database " + output.Clean(d.Name())
	infos, err := d.Collections(ctx)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return what + " (not found)"
	case err != nil:
		return what + " (contents unknown)"
	}
	var documents int64
	for _, i := range infos {
		documents += i.Documents
	}
	return fmt.Sprintf("%s (%d collections, %d documents)", what, len(infos), documents)
}

// keyFlags describe a new key.
type keyFlags struct {
	scope   client.AccessScope
	expires string
}

func (a *app) newRestKeyCreate() *cobra.Command {
	var v restVerb
	var f keyFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Create an access key and print it", Args: takes(0, 0),
		Long: `Create an access key and print it with its id. It cannot be read again: only its
hash is kept. Without --web it is a full-access key, for servers only. A --web key
may stand in a page: it is good for the paths, methods and origins that are named.

A path is what follows /rest/: "items" is the collection, its documents and what
is below them; * stands for a part between slashes, ** for anything.`,
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.scope.Web, "web", false, "a key for pages, with --path, --methods and --origin")
	fs.StringSliceVar(&f.scope.Paths, "path", nil, "`globs` of paths, comma-separated")
	fs.StringSliceVar(&f.scope.Methods, "methods", nil, "`methods`, comma-separated: GET,POST,PUT,PATCH,DELETE")
	fs.StringSliceVar(&f.scope.Origins, "origin", nil, "`origins` of pages, comma-separated: https://shop.example, *.shop.example, *")
	fs.StringSliceVar(&f.scope.Realtime, "realtime", nil, "`events` that may be heard, comma-separated: POST:items")
	fs.StringSliceVar(&f.scope.Channels, "channels", nil, "`channels` that may be heard and published to, comma-separated")
	fs.BoolVar(&f.scope.ReadOnly, "read-only", false, "the key changes nothing")
	fs.StringVar(&f.scope.Note, "note", "", "`text` for people, shown in the list")
	fs.StringVar(&f.expires, "expires", "", "`time` after which the key is useless: 30d, 12h (default never)")
	config.CallOnly(fs, "web", "path", "methods", "origin", "realtime", "channels", "read-only", "note", "expires")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, _ []string) error {
		lifetime, err := f.check()
		if err != nil {
			return err
		}
		made, err := d.CreateKey(cmd.Context(), f.scope, lifetime)
		if err != nil {
			return err
		}
		return a.showKey(made)
	})
}

// showKey prints a key that was made. Piped, the key comes first: read KEY ID
func (a *app) showKey(made client.NewAccessKey) error {
	return a.write(output.Result{
		Columns: []string{"KEY", "ID"}, Rows: []output.Row{{Cells: []string{made.Key, made.ID}}}, Doc: made,
	})
}

// check refuses what would make another key than was meant.
func (f *keyFlags) check() (time.Duration, error) {
	s := &f.scope
	switch narrowed := len(s.Paths) + len(s.Methods) + len(s.Realtime) + len(s.Channels); {
	case !s.Web && narrowed > 0:
		return 0, usagef("--path, --methods, --realtime and --channels belong to a key for pages: give --web too")
	case s.Web && (len(s.Paths) == 0 || len(s.Methods) == 0 || len(s.Origins) == 0):
		return 0, usagef("a key for pages needs --path, --methods and --origin: what it is good for, and where")
	case f.expires == "":
		return 0, nil
	}
	return parseLifetime("expires", f.expires)
}

// parseLifetime reads the duration of a flag, which may be given in days.
func parseLifetime(flag, text string) (time.Duration, error) {
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); n < maxDays {
			d = time.Duration(n * float64(24*time.Hour))
		}
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d < time.Second || d > maxDays*24*time.Hour {
		return 0, usagef("--%s: %q is no time such as 30d or 12h", flag, text)
	}
	return d, nil
}

// maxDays bounds lifetimes: a century.
const maxDays = 36_600

func (a *app) newRestKeyList() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "list", Short: "List the access keys of a database, without their texts", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, _ []string) error {
		keys, err := d.Keys(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"ID", "KIND", "PATHS", "METHODS", "ORIGINS", "CREATED", "EXPIRES", "NOTE"}}
		for _, k := range keys {
			r.Rows = append(r.Rows, accessKeyRow(k))
		}
		return a.write(r)
	})
}

func accessKeyRow(k client.AccessKey) output.Row {
	kind, expires := "full", "never"
	if k.Web {
		kind = "web"
	}
	if k.ReadOnly {
		kind += ", read-only"
	}
	if k.Expires != nil {
		expires = k.Expires.Format(time.DateTime)
	}
	return output.Row{
		Cells: []string{
			k.ID, kind, strings.Join(k.Paths, ","), strings.Join(k.Methods, ","), strings.Join(k.Origins, ","),
			k.Created.Format(time.DateTime), expires, k.Note,
		},
		Doc: k,
	}
}

func (a *app) newRestKeyRotate() *cobra.Command {
	var v restVerb
	var keep string
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Replace an access key by a new one with the same rights, and print that", Args: takes(1, 1),
		Long: "Replace an access key by a new one with the same rights, and print that. The old\none is useless at once, or after the time that --keep gives its users.",
	}
	cmd.Flags().StringVar(&keep, "keep", "", "`time` for which the old key stays good: 1d, 12h")
	config.CallOnly(cmd.Flags(), "keep")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		var stay time.Duration
		if keep != "" {
			var err error
			if stay, err = parseLifetime("keep", keep); err != nil {
				return err
			}
		}
		made, err := d.RotateKey(cmd.Context(), args[0], stay)
		if err != nil {
			return err
		}
		return a.showKey(made)
	})
}

func (a *app) newRestKeyRevoke() *cobra.Command {
	var v restVerb
	var yes bool
	cmd := &cobra.Command{Use: "revoke ID...", Short: "Make access keys useless", Args: takes(1, -1)}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, ids []string) error {
		what := fmt.Sprintf("Revoke key %s of database %s", output.Clean(ids[0]), output.Clean(d.Name()))
		if len(ids) > 1 {
			what = fmt.Sprintf("Revoke %d keys of database %s", len(ids), output.Clean(d.Name()))
		}
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return each(len(ids), func(i int) error { return d.RevokeKey(cmd.Context(), ids[i]) })
	})
}
