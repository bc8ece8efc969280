package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// maxImportFile bounds a file of variables in bytes; it is the API's own limit.
const maxImportFile = 10 << 20

// What an export can be.
var (
	exportFormats = []string{"env", "json", "yaml"}
	exportStyles  = []string{"default", "shell", "docker"}
)

func (a *app) newEnvExport() *cobra.Command {
	var v nestVerb
	var e client.NestExport
	var file string
	cmd := &cobra.Command{
		Use: "export [ENVIRONMENT]", Short: "Write the variables of an environment to a file, or to standard output", Args: takes(0, 1),
		Long: `Write the variables of an environment with their values to a file, or to standard
output. The file is its owner's alone, and appears when it is complete. --output is
the file here; --format says what is in it.`,
		Example: "  " + a.keynest() + " env export --environment-id=1 --output=.env\n  " + a.keynest() + " env export --env Web/production --style shell",
	}
	fs := cmd.Flags()
	fs.StringVarP(&file, "output", "o", "-", "`file` to write; - is standard output")
	fs.StringVar(&e.Format, "format", "env", "of the file: env, json or yaml")
	fs.StringVar(&e.Style, "style", "default", "of env: default, shell (safe to source) or docker (for --env-file)")
	fs.BoolVar(&e.Resolve, "resolve", false, "put in what ${KEY} and ${environment.KEY} stand for")
	config.CallOnly(fs, "output", "format", "style", "resolve")
	completeFrom(cmd, "format", exportFormats)
	completeFrom(cmd, "style", exportStyles)
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		if _, err := output.Parse(file, false); err == nil && file != "" && !fs.Changed("format") {
			return usagef("--output %s is a file here: give --format %s, or --output ./%s if a file of that name is meant", file, file, file)
		}
		switch {
		case slices.Contains(exportStyles, e.Format):
			return usagef("%s is a style of the format env: give --style %s", e.Format, e.Format)
		case !slices.Contains(exportFormats, e.Format):
			return usagef("the format %q is none of %s", e.Format, strings.Join(exportFormats, ", "))
		}
		text, err := s.Export(cmd.Context(), env, e)
		if err != nil {
			return err
		}
		if file == "-" || file == "" {
			_, err = a.env.Stdout.Write(text)
			return err
		}
		return writeFile(file, writes(text))
	})
}

func (a *app) newEnvImport() *cobra.Command {
	var v nestVerb
	var in client.NestImport
	var file string
	cmd := &cobra.Command{
		Use: "import [ENVIRONMENT]", Short: "Set the variables of a file, all at once", Args: takes(0, 1),
		Long: `Set the variables of a file, or of standard input, all at once. Keys that are there
get the new value, unless --keep refuses the whole. Lines that are no variables are
left out and told; the exit code is then 8.`,
		Example: "  " + a.keynest() + " env import --environment-id=1 --file=.env",
	}
	fs := cmd.Flags()
	fs.StringVar(&file, "file", "-", "`file` to read; - is standard input")
	fs.StringVar(&in.Format, "format", "", "of the file: env, json, yaml or auto (default by its name, else env)")
	fs.BoolVar(&in.Keep, "keep", false, "change nothing if one of the keys is there already")
	config.CallOnly(fs, "file", "format", "keep")
	completeFrom(cmd, "format", []string{"env", "json", "yaml", "auto"})
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		if file == "-" && a.env.StdinTerminal && !fs.Changed("file") {
			return usagef("no variables: give --file, or pipe them in")
		}
		text, err := a.readAll(file, maxImportFile)
		if err != nil {
			return err
		}
		if in.Data = text; in.Format == "" {
			in.Format = formatOf(file)
		}
		done, err := s.Import(cmd.Context(), env, in)
		if err != nil {
			return err
		}
		return a.imported(done)
	})
}

// formatOf tells what a file is by its name.
func formatOf(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return "json"
	case ".yaml", ".yml":
		return "yaml"
	}
	return "env"
}

func (a *app) imported(done client.NestImported) error {
	row := output.Row{Cells: []string{fmt.Sprint(done.Created), fmt.Sprint(done.Updated), fmt.Sprint(len(done.Failed))}, Doc: done}
	if err := a.done(row, "CREATED", "UPDATED", "FAILED"); err != nil {
		return err
	}
	if len(done.Failed) == 0 {
		return nil
	}
	for _, f := range done.Failed {
		a.note("line %d: %s", f.Line, output.Clean(strings.TrimPrefix(f.Key+": "+f.Error, ": ")))
	}
	n := done.Created + done.Updated
	return &partlyError{done: n, all: n + len(done.Failed), err: errors.New(output.Clean(done.Failed[0].Error))}
}

func (a *app) newNestDiff() *cobra.Command {
	var v nestVerb
	var values, tell bool
	cmd := &cobra.Command{
		Use: "diff ENVIRONMENT WITH", Short: "Compare two environments", Args: takes(2, 2),
		Long: `Compare two environments: + is only in the second, - only in the first, ~ in both with
other values. Environments are ids or PROJECT/ENVIRONMENT.`,
	}
	cmd.Flags().BoolVar(&values, "values", false, "show the values too")
	cmd.Flags().BoolVar(&tell, "exit-code", false, "end with 1 if they differ")
	config.CallOnly(cmd.Flags(), "values", "exit-code")
	return v.betweenVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, pair [2]uint64) error {
		d, err := s.Diff(cmd.Context(), pair[0], pair[1], values)
		if err != nil {
			return err
		}
		if err := a.write(differences(d, values)); err != nil {
			return err
		}
		if tell && len(d.Added)+len(d.Removed)+len(d.Changed) > 0 {
			return &codeError{code: exitFailed}
		}
		return nil
	})
}

func differences(d client.NestDiff, values bool) output.Result {
	r := output.Result{Columns: []string{"", "KEY"}, Doc: d}
	if values {
		r.Columns = append(r.Columns, "VALUE", "WITH")
	}
	for _, group := range []struct {
		sign string
		all  []client.NestChange
	}{{"-", d.Removed}, {"~", d.Changed}, {"+", d.Added}} {
		for _, c := range group.all {
			cells := []string{group.sign, c.Key}
			switch {
			case values && group.sign == "+":
				cells = append(cells, "", orEmpty(c.Value))
			case values:
				cells = append(cells, orEmpty(c.Value), orEmpty(c.WithValue))
			}
			r.Rows = append(r.Rows, output.Row{Cells: cells, Doc: c})
		}
	}
	return r
}

// betweenVerb makes cmd a verb on two environments, its arguments.
func (v *nestVerb) betweenVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, pair [2]uint64) error) *cobra.Command {
	a.completeArgs(cmd, v, environmentNames)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) (err error) {
		var pair [2]uint64
		for i := range pair {
			if pair[i], err = s.find.Environment(cmd.Context(), args[i]); err != nil {
				return err
			}
		}
		return run(cmd, s, pair)
	})
}

// copyFlags are those of copy and promote.
func copyFlags(cmd *cobra.Command, c *client.NestCopy) {
	fs := cmd.Flags()
	fs.StringSliceVar(&c.Keys, "keys", nil, "only these `keys`, comma-separated (default all)")
	fs.BoolVar(&c.DryRun, "dry-run", false, "only say what would be done")
	config.CallOnly(fs, "keys", "dry-run")
}

func (a *app) newNestCopy() *cobra.Command {
	var v nestVerb
	var c client.NestCopy
	cmd := &cobra.Command{
		Use: "copy FROM TO", Short: "Copy variables into another environment, all at once", Args: takes(2, 2),
		Long: "Copy variables into another environment, all at once. Keys that are there with other\nvalues refuse the whole, unless --overwrite is given.",
	}
	copyFlags(cmd, &c)
	cmd.Flags().BoolVar(&c.Overwrite, "overwrite", false, "replace values that are there")
	config.CallOnly(cmd.Flags(), "overwrite")
	return v.betweenVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, pair [2]uint64) error {
		c.To = pair[1]
		done, err := s.Copy(cmd.Context(), pair[0], c)
		if err != nil {
			return err
		}
		return a.copied(done)
	})
}

func (a *app) newNestPromote() *cobra.Command {
	var v nestVerb
	var c client.NestCopy
	var yes bool
	cmd := &cobra.Command{
		Use: "promote FROM TO", Short: "Make the variables of an environment those of another, all at once", Args: takes(2, 2),
		Long: `Give the environment TO the variables that FROM has, all at once: those that are there
get the new values, and keep their old versions. Others stay, unless --remove-missing
deletes them.`,
	}
	copyFlags(cmd, &c)
	cmd.Flags().BoolVar(&c.RemoveMissing, "remove-missing", false, "delete variables that FROM does not have")
	config.CallOnly(cmd.Flags(), "remove-missing")
	yesFlag(cmd, &yes)
	return v.betweenVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, pair [2]uint64) error {
		c.To = pair[1]
		if c.RemoveMissing && !c.DryRun && !yes {
			trial := c
			trial.DryRun = true
			would, err := s.Promote(cmd.Context(), pair[0], trial)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("Promote to environment %d, and delete %s there", c.To, counted(len(would.Deleted), "variable", "variables"))
			if err := a.confirm(cmd.Context(), len(would.Deleted) == 0, what); err != nil {
				return err
			}
		}
		done, err := s.Promote(cmd.Context(), pair[0], c)
		if err != nil {
			return err
		}
		return a.copied(done)
	})
}

// copied shows what a copy did: a line for each variable.
func (a *app) copied(done client.NestCopied) error {
	r := output.Result{Columns: []string{"", "KEY"}, Doc: done}
	add := func(sign string, keys []string) {
		for _, key := range slices.Sorted(slices.Values(keys)) {
			r.Rows = append(r.Rows, output.Row{Cells: []string{sign, key}})
		}
	}
	add("-", done.Deleted)
	add("~", done.Updated)
	add("+", done.Created)
	return a.write(r)
}

func (a *app) newEnvRollback() *cobra.Command {
	var v nestVerb
	var at string
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use: "rollback [ENVIRONMENT]", Short: "Make the variables what they were at a time, all at once", Args: takes(0, 1),
		Long: `Make the variables of an environment what they were at a time, all at once, as new
versions. Keys whose history does not reach back are left alone and told.`,
		Example: "  " + a.keynest() + " env rollback Web/production --at 2026-01-31T10:30:00Z --dry-run",
	}
	fs := cmd.Flags()
	fs.StringVar(&at, "at", "", "`time` as 2026-01-31T10:30:00Z, or a day, which means its end (required)")
	fs.BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	config.CallOnly(fs, "at", "dry-run")
	yesFlag(cmd, &yes)
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		if at == "" {
			return usagef("the time is missing: give --at")
		}
		if !dryRun && !yes {
			would, err := s.RollBackEnvironment(cmd.Context(), env, at, true)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("Roll back environment %d: restore %s and delete %d", env, counted(len(would.Restored), "variable", "variables"), len(would.Deleted))
			if err := a.confirm(cmd.Context(), len(would.Restored)+len(would.Deleted) == 0, what); err != nil {
				return err
			}
		}
		done, err := s.RollBackEnvironment(cmd.Context(), env, at, dryRun)
		if err != nil {
			return err
		}
		if len(done.Unknown) > 0 {
			a.note("left alone, as it is not known what they were: %s", output.Clean(listed(done.Unknown)))
		}
		r := output.Result{Columns: []string{"", "KEY"}, Doc: done}
		for _, key := range done.Deleted {
			r.Rows = append(r.Rows, output.Row{Cells: []string{"-", key}})
		}
		for _, key := range done.Restored {
			r.Rows = append(r.Rows, output.Row{Cells: []string{"~", key}})
		}
		return a.write(r)
	})
}
