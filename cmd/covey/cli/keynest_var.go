package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newNestVars() *cobra.Command {
	cmd := newGroup("vars", "List, read, set and delete variables, and go back to old versions",
		a.newVarList(), a.newVarGet(), a.newVarSet(), a.newVarRename(), a.newVarDelete(), a.newNestVersions(), a.newNestRollback())
	cmd.Aliases = []string{"var", "variables", "variable", "secrets"}
	cmd.Long = `List, read, set and delete variables, and go back to old versions. A variable is its
key together with --env, or its id. Values are read from standard input or a file, never
from arguments, where other users of the machine could read them.`
	return cmd
}

// shownVariable is a variable with its value only if that is wanted.
type shownVariable struct {
	client.NestVariable
	Value *string `json:"decrypted_value,omitempty"`
}

func showVariable(v client.NestVariable, value bool) output.Row {
	row := output.Row{Cells: []string{number(v.ID), v.Key, number(v.Version), stamped(&v.Updated, "")}}
	doc := shownVariable{NestVariable: v}
	if value {
		doc.Value = &v.Value
		row.Cells = append(row.Cells, v.Value)
	}
	row.Doc = doc
	return row
}

func (a *app) newVarList() *cobra.Command {
	var v nestVerb
	var env envFlag
	var q client.NestVariableQuery
	var values bool
	cmd := &cobra.Command{Use: "list", Short: "List the variables of an environment", Args: takes(0, 0)}
	env.add(a, &v, cmd)
	fs := cmd.Flags()
	fs.BoolVar(&values, "values", false, "show the values too")
	fs.BoolVar(&q.Resolve, "resolve", false, "put in what ${KEY} and ${environment.KEY} stand for")
	fs.StringVar(&q.At, "at", "", "as of a `time`, as 2026-01-31T10:30:00Z, or of the end of a day")
	config.CallOnly(fs, "values", "resolve", "at")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		id, err := env.id(cmd, s)
		if err != nil {
			return err
		}
		all, unknown, err := s.Variables(cmd.Context(), id, q)
		if err != nil {
			return err
		}
		if len(unknown) > 0 {
			a.note("not listed, as it is not known what they were: %s", output.Clean(listed(unknown)))
		}
		r := output.Result{Columns: []string{"ID", "KEY", "VERSION", "UPDATED"}}
		if values {
			r.Columns = append(r.Columns, "VALUE")
		}
		for _, one := range all {
			r.Rows = append(r.Rows, showVariable(one, values))
		}
		return a.write(r)
	})
}

// varVerb makes cmd a verb on one variable, its first argument: a key together
// with --env, or an id.
func (v *nestVerb) varVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, id uint64, args []string) error) *cobra.Command {
	var env envFlag
	env.add(a, v, cmd)
	cmd.Flags().Lookup("env").Usage = "`environment` of KEY: its id or PROJECT/ENVIRONMENT; not needed with a variable's id"
	a.completeKeys(cmd, v, &env)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		id, err := variableID(cmd, s, &env, args[0])
		if err != nil {
			return err
		}
		return run(cmd, s, id, args)
	})
}

// variableID finds a variable. No key begins with a digit.
func variableID(cmd *cobra.Command, s *nestSession, env *envFlag, text string) (uint64, error) {
	if id, err := strconv.ParseUint(text, 10, 63); err == nil {
		return id, nil
	}
	in, err := env.id(cmd, s)
	if err != nil {
		return 0, err
	}
	found, err := s.find.Variable(cmd.Context(), in, text)
	return found.ID, err
}

func (a *app) newVarGet() *cobra.Command {
	var v nestVerb
	var resolve bool
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print the value of a variable", Args: takes(1, 1),
		Long: "Print the value of a variable. Piped, and with -o raw, exactly the value is written.",
	}
	cmd.Flags().BoolVar(&resolve, "resolve", false, "put in what ${KEY} and ${environment.KEY} stand for")
	config.CallOnly(cmd.Flags(), "resolve")
	return v.varVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64, _ []string) error {
		found, err := s.Variable(cmd.Context(), id, resolve)
		if err != nil {
			return err
		}
		if err := notShown(found); err != nil {
			return err
		}
		return a.writeValue(found.Value, showVariable(found, true))
	})
}

// notShown is why a value is not there: a script must not take the text in its
// place for the value.
func notShown(v client.NestVariable) error {
	switch {
	case v.Value == client.NestHidden, v.Value == client.NestNoAccess:
		return &foundError{"the value of " + v.Key + " is not shown to viewers", client.ErrDenied}
	case v.Value == client.NestBroken:
		return fmt.Errorf("the value of %s does not open on the server", v.Key)
	case v.Unresolved != "":
		return fmt.Errorf("a reference in %s cannot be resolved (%s)", v.Key, output.Clean(v.Unresolved))
	}
	return nil
}

// writeValue writes a value as it is where a program reads it.
func (a *app) writeValue(value string, row output.Row) error {
	f, err := a.outputFormat()
	switch {
	case err != nil:
		return err
	case f == output.Plain || f == output.Raw:
		_, err = io.WriteString(a.env.Stdout, value)
		return err
	case f == output.Table && a.format == "":
		_, err = fmt.Fprintln(a.env.Stdout, output.Clean(value))
		return err
	}
	return a.write(output.Result{Columns: []string{"ID", "KEY", "VERSION", "UPDATED", "VALUE"}, Rows: []output.Row{row}, Doc: row.Doc})
}

// maxValue bounds what is read for a value in bytes; the API's own limit is lower.
const maxValue = 1 << 20

// oneKey refuses a value among the arguments, and does not repeat it.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "=") {
		return usagef("a value among the arguments can be seen by others and stays in the shell's history: give the key alone, and the value on standard input or with --file")
	}
	return takes(1, 1)(cmd, args)
}

func (a *app) newVarSet() *cobra.Command {
	var v nestVerb
	var env envFlag
	var file string
	var exact bool
	var version uint64
	cmd := &cobra.Command{
		Use: "set KEY", Short: "Set a variable to what standard input or a file holds", Args: oneKey,
		Long: `Set a variable, new or not, to what standard input or --file holds; on a terminal it
is asked for. One line end at the very end is left out, unless --exact is given.`,
		Example: "  printf %s \"$PASSWORD\" | " + a.keynest() + " vars set DB_PASSWORD --env Web/production",
	}
	env.add(a, &v, cmd)
	fs := cmd.Flags()
	fs.StringVar(&file, "file", "-", "`file` with the value; - is standard input")
	fs.BoolVar(&exact, "exact", false, "keep a line end at the end")
	fs.Uint64Var(&version, "if-version", 0, "only if this is the variable's current `version`; 0 = whichever it is, and also if there is none")
	config.CallOnly(fs, "file", "exact", "if-version")
	a.completeKeys(cmd, &v, &env)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		id, err := env.id(cmd, s)
		if err != nil {
			return err
		}
		value, err := a.readValue(cmd.Context(), file, exact)
		if err != nil {
			return err
		}
		made, err := setVariable(cmd, s, client.NestVariable{Environment: id, Key: args[0], Value: value, Version: version})
		if err != nil {
			return err
		}
		row := showVariable(made, false)
		return a.done(row, "ID", "KEY", "VERSION", "UPDATED")
	})
}

func (a *app) readValue(ctx context.Context, file string, exact bool) (string, error) {
	switch {
	case file == "-" && a.env.StdinTerminal && a.env.Hush == nil:
		return "", usagef("a terminal would show the value: pipe it in, or give it with --file")
	case file == "-" && a.env.StdinTerminal:
		return a.ask(ctx, "Value")
	}
	text, err := a.readAll(file, maxValue)
	if err != nil {
		return "", err
	}
	value := string(text)
	if !exact {
		value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	}
	return value, nil
}

// setVariable creates or changes a variable. Version is the one that it must
// have, 0 if it need not be there.
func setVariable(cmd *cobra.Command, s *nestSession, v client.NestVariable) (client.NestVariable, error) {
	there, err := s.find.Variable(cmd.Context(), v.Environment, v.Key)
	if v.Version == 0 && errors.Is(err, client.ErrNotFound) {
		return s.CreateVariable(cmd.Context(), v.Environment, v.Key, v.Value)
	}
	if err != nil {
		return there, err
	}
	return s.UpdateVariable(cmd.Context(), there.ID, client.NestVariableChange{Value: &v.Value, Version: v.Version})
}

func (a *app) newVarRename() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "rename KEY NEW_KEY", Short: "Give a variable another key", Args: takes(2, 2)}
	return v.varVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64, args []string) error {
		made, err := s.UpdateVariable(cmd.Context(), id, client.NestVariableChange{Key: &args[1]})
		if err != nil {
			return err
		}
		return a.done(showVariable(made, false), "ID", "KEY", "VERSION", "UPDATED")
	})
}

func (a *app) newVarDelete() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "Delete a variable", Args: takes(1, 1),
		Long: "Delete a variable. Its versions are kept for 30 days.",
	}
	yesFlag(cmd, &yes)
	return v.varVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64, args []string) error {
		if err := a.confirm(cmd.Context(), yes, fmt.Sprintf("Delete variable %s (id %d)", output.Clean(args[0]), id)); err != nil {
			return err
		}
		return s.DeleteVariable(cmd.Context(), id)
	})
}

func (a *app) newNestVersions() *cobra.Command {
	var v nestVerb
	var values bool
	cmd := &cobra.Command{Use: "versions KEY", Short: "List the versions of a variable, the newest first", Args: takes(1, 1)}
	cmd.Flags().BoolVar(&values, "values", false, "show the values too")
	config.CallOnly(cmd.Flags(), "values")
	return v.varVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64, _ []string) error {
		r := output.Result{Columns: []string{"VERSION", "KEY", "CHANGE", "BY", "AT"}}
		if values {
			r.Columns = append(r.Columns, "VALUE")
		}
		return writeAll(a, r, s.Versions(cmd.Context(), id), func(one client.NestVersion) output.Row {
			row := output.Row{Cells: []string{number(one.Version), one.Key, one.Change, author(one), stamped(&one.Created, "")}}
			if values {
				row.Cells = append(row.Cells, orEmpty(one.Value))
			} else {
				one.Value = nil
			}
			row.Doc = one
			return row
		})
	})
}

// author names who made a version: by id a user who has told no name.
func author(v client.NestVersion) string {
	if v.CreatedBy == "" && v.CreatedByID != nil {
		return "user " + number(*v.CreatedByID)
	}
	return v.CreatedBy
}

func (a *app) newNestRollback() *cobra.Command {
	var v nestVerb
	var version uint64
	cmd := &cobra.Command{
		Use: "rollback KEY", Short: "Give a variable the value of an old version, as a new one", Args: takes(1, 1),
		Long: "Give a variable the value of an old version, as a new one. A whole environment goes\nback to a time with \"env rollback\".",
	}
	cmd.Flags().Uint64Var(&version, "version", 0, "the old `version` (required)")
	config.CallOnly(cmd.Flags(), "version")
	return v.varVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64, _ []string) error {
		if version == 0 {
			return usagef("which version is missing: give --version")
		}
		made, err := s.RollBack(cmd.Context(), id, version)
		if err != nil {
			return err
		}
		return a.done(showVariable(made, false), "ID", "KEY", "VERSION", "UPDATED")
	})
}
