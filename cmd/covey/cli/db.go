package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newDB() *cobra.Command {
	cmd := newGroup("db", "Read and write databases of the KOT API",
		a.newDBList(), a.newDBGet(), a.newDBSet(), a.newDBDelete(), a.newDBPop(), a.newDBRename(), a.newDBDump(), a.newDBLoad())
	cmd.Long = `Read and write databases of the KOT API. The password is the one that the nodes
were started with: give --password-file, or the password itself in
` + envKOTPassword + `.

As the API has it, to read or write a key of a database that does not exist
creates the database.`
	return cmd
}

// databaseVerb holds the flags of a verb on databases.
type databaseVerb struct {
	conn              connection
	passwordFile      string
	encryptionKeyFile string
	encryptionKey     string
}

// on makes cmd a verb that works on databases: run gets the open handle.
func (v *databaseVerb) on(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, d *client.Databases, args []string) error) *cobra.Command {
	v.conn.reach(cmd.Flags())
	cmd.Flags().StringVar(&v.passwordFile, "password-file", "", "`file` with the password of the KOT API; or the password itself in "+envKOTPassword)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		password, err := a.secret("password-file", v.passwordFile, envKOTPassword)
		if err != nil {
			return err
		}
		if cmd.Flags().Lookup("encryption-key-file") != nil {
			if v.encryptionKey, err = a.secret("encryption-key-file", v.encryptionKeyFile, envEncryptionKey); err != nil {
				return err
			}
		}
		c, err := v.conn.open(a)
		if err != nil {
			return err
		}
		defer c.Close()
		return databaseAdvice(run(cmd, c.Databases(password), args))
	}
	return cmd
}

// encrypted adds the flag for the key of values.
func (v *databaseVerb) encrypted(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.encryptionKeyFile, "encryption-key-file", "", "`file` with the key that values are encrypted with; or the key itself in "+envEncryptionKey)
}

// databaseAdvice says what to do about refusals that have another remedy here
// than elsewhere.
func databaseAdvice(err error) error {
	var e *client.Error
	switch {
	case !errors.As(err, &e):
		return err
	case errors.Is(e, client.ErrOff):
		return &adviceError{err, "Start the node with --kot-password-file"}
	case e.Status == http.StatusUnauthorized:
		return &adviceError{err, "Give the password with --password-file or " + envKOTPassword}
	case e.Status == http.StatusForbidden:
		return &adviceError{err: err}
	}
	return err
}

func (a *app) newDBList() *cobra.Command {
	var v databaseVerb
	cmd := &cobra.Command{Use: "list", Short: "List all databases", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, _ []string) error {
		names, err := d.List(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"DATABASE"}}
		for _, name := range names {
			r.Rows = append(r.Rows, output.Row{Cells: []string{name}, Doc: name})
		}
		return a.write(r)
	})
}

func (a *app) newDBGet() *cobra.Command {
	var v databaseVerb
	cmd := &cobra.Command{
		Use: "get DATABASE KEY", Short: "Print the value of a key", Args: takes(2, 2),
		Long: "Print the value of a key. Piped, and with -o raw, exactly the stored text is written; a log record is JSON.",
	}
	v.encrypted(cmd)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		item, err := d.Database(args[0]).Get(cmd.Context(), args[1], v.encryptionKey)
		if err != nil {
			return err
		}
		text := item.Text()
		switch f, err := a.outputFormat(); {
		case err != nil:
			return err
		case f == output.Plain || f == output.Raw:
			_, err := a.env.Stdout.Write([]byte(text))
			return err
		case f == output.Table && a.format == "":
			_, err := fmt.Fprintln(a.env.Stdout, output.Clean(text))
			return err
		}
		return a.write(output.Result{
			Columns: []string{"KEY", "VALUE"}, Rows: []output.Row{{Cells: []string{item.Key, text}}},
			Doc: map[string]any{"key": item.Key, "value": item.Value},
		})
	})
}

func (a *app) newDBSet() *cobra.Command {
	var v databaseVerb
	var o client.SetOptions
	cmd := &cobra.Command{
		Use: "set DATABASE KEY [VALUE]", Short: "Write a key; without VALUE, or with -, the value is read from standard input", Args: takes(2, 3),
	}
	v.encrypted(cmd)
	compressFlag(cmd, &o)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		var value string
		if dash := len(args) == 3 && args[2] == "-"; len(args) == 3 && !dash {
			value = args[2]
		} else {
			text, err := a.readStdin(dash)
			if err != nil {
				return err
			}
			value = string(text)
		}
		if !utf8.ValidString(value) {
			return usagef("the value is not text in UTF-8, and this API keeps nothing else; to keep bytes: covey key set")
		}
		o.EncryptionKey = v.encryptionKey
		if err := d.Database(args[0]).Set(cmd.Context(), args[1], value, o); err != nil {
			return err
		}
		return a.done(output.Row{
			Cells: []string{args[0], args[1]}, Doc: map[string]any{"database": args[0], "key": args[1]},
		}, "DATABASE", "KEY")
	})
}

func compressFlag(cmd *cobra.Command, o *client.SetOptions) {
	cmd.Flags().BoolVar(&o.Compress, "compress", false, "keep values compressed")
	config.CallOnly(cmd.Flags(), "compress")
}

func (a *app) newDBDelete() *cobra.Command {
	var v databaseVerb
	var yes bool
	cmd := &cobra.Command{
		Use: "delete DATABASE [KEY...]", Short: "Delete keys, or without keys a whole database", Args: takes(1, -1),
	}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		db, keys := d.Database(args[0]), args[1:]
		var what string
		switch len(keys) {
		case 0:
			if !yes {
				what = "Delete " + contents(cmd.Context(), d, db)
			}
		case 1:
			what = fmt.Sprintf("Delete key %s of database %s", output.Clean(keys[0]), output.Clean(args[0]))
		default:
			what = fmt.Sprintf("Delete %d keys of database %s", len(keys), output.Clean(args[0]))
		}
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		if len(keys) == 0 {
			return db.Drop(cmd.Context())
		}
		return each(len(keys), func(i int) error { return db.Delete(cmd.Context(), keys[i]) })
	})
}

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
	config.CallOnly(cmd.Flags(), "yes")
}

func (a *app) newDBPop() *cobra.Command {
	var v databaseVerb
	var yes bool
	cmd := &cobra.Command{
		Use: "pop DATABASE", Short: "Delete all keys of a database and keep its name", Args: takes(1, 1),
	}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		db := d.Database(args[0])
		if !yes {
			if err := a.confirm(cmd.Context(), yes, "Delete all keys of "+contents(cmd.Context(), d, db)); err != nil {
				return err
			}
		}
		if err := exists(cmd.Context(), d, args[0]); err != nil {
			return err
		}
		return db.Pop(cmd.Context())
	})
}

// What counting before a question may cost.
const (
	maxCounted      = 10_000
	maxCountedBytes = 32 << 20
)

// contents says which database it is and how much is in it, as far as the
// caller may know.
func contents(ctx context.Context, d *client.Databases, db *client.Database) string {
	what := "database " + output.Clean(db.Name())
	if err := exists(ctx, d, db.Name()); errors.Is(err, client.ErrNotFound) {
		return what + " (not found)" // and is not created by counting
	} else if err != nil {
		return what + " (keys unknown)"
	}
	keys, size := 0, 0
	for item, err := range db.Dump(ctx, "") {
		if err != nil {
			return what + " (keys unknown)"
		}
		keys++
		if size += len(item.Value); keys == maxCounted || size >= maxCountedBytes {
			return fmt.Sprintf("%s (%d keys or more)", what, keys)
		}
	}
	return fmt.Sprintf("%s (%d keys, and those that are encrypted)", what, keys)
}

// exists returns ErrNotFound when the list lacks the database. A closed list
// lacks nothing.
func exists(ctx context.Context, d *client.Databases, name string) error {
	names, err := d.List(ctx)
	var e *client.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusForbidden:
		return nil
	case err != nil:
		return err
	case !slices.Contains(names, name):
		return noDatabase(name)
	}
	return nil
}

func noDatabase(name string) error {
	return &foundError{"there is no database " + output.Clean(name), client.ErrNotFound}
}

func (a *app) newDBRename() *cobra.Command {
	var v databaseVerb
	cmd := &cobra.Command{
		Use: "rename OLD NEW", Short: "Give a database another name", Args: takes(2, 2),
		Long: "Give a database another name. Nothing happens when there is a database NEW already.",
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.Databases, args []string) error {
		// The API itself answers all of these with its sentence of success.
		names, err := d.List(cmd.Context())
		var e *client.Error
		switch {
		case errors.As(err, &e) && e.Status == http.StatusForbidden:
			a.note("the list of databases is closed, so nobody knows whether %s is there and %s is not", output.Clean(args[0]), output.Clean(args[1]))
		case err != nil:
			return err
		case !slices.Contains(names, args[0]):
			return noDatabase(args[0])
		case slices.Contains(names, args[1]):
			return &foundError{"there is a database " + output.Clean(args[1]) + " already", client.ErrConflict}
		}
		if err := d.Database(args[0]).Rename(cmd.Context(), args[1]); err != nil {
			return err
		}
		return a.done(output.Row{Cells: args, Doc: map[string]any{"from": args[0], "to": args[1]}}, "FROM", "TO")
	})
}
