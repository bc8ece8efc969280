package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newConfig() *cobra.Command {
	return newGroup("config", "Look at the settings of a node", a.newConfigPrint(), a.newConfigCheck(), a.newConfigExample())
}

// secretVariables are the variables that hold a secret of serve themselves, by
// the setting that names a file with it instead.
var secretVariables = map[string]string{
	"root-key-file": envRootKey, "keyring-file": envKeyring, "kot-password-file": envKOTPassword,
	"restdb-key-file": envRestDBKey, "smtp-password-file": envSMTPPassword,
	"s3-access-key-file": envS3Access, "s3-secret-key-file": envS3Secret,
}

func (a *app) newConfigPrint() *cobra.Command {
	var f serveFlags
	var sources bool
	cmd := &cobra.Command{
		Use: "print", Short: "Show every setting of serve with its value", Args: takes(0, 0),
		Long: `Show every setting of serve with the value that it has here: from the flags given,
the variables of this environment and the file of --config. With --sources also
where each value comes from. Of a secret in a variable it is told only that it is
set. Without --sources, -o yaml writes a file that --config reads.`,
	}
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&sources, "sources", false, "show where each value comes from")
	config.CallOnly(cmd.Flags(), "sources")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		own := serveFlagSet(new(serveFlags))
		own.VisitAll(func(f *pflag.Flag) { f.Value = cmd.Flags().Lookup(f.Name).Value })
		settings, err := config.Explain(own, func(flag string) bool { return a.given[flag] }, a.sources())
		if err != nil {
			return err
		}
		return a.write(settingsResult(a.withSecrets(settings), sources))
	}
	return cmd
}

// sources is where the settings of this call come from besides its flags.
func (a *app) sources() config.Sources {
	file := a.file
	if file == "" {
		file = config.Lookup(a.env.Environ, envConfig)
	}
	return config.Sources{Environ: a.env.Environ, File: file}
}

// withSecrets adds behind each setting for the file of a secret the variable
// that holds the secret itself, where it is set and counts.
func (a *app) withSecrets(settings []config.Setting) []config.Setting {
	var out []config.Setting
	for _, s := range settings {
		out = append(out, s)
		variable := secretVariables[strings.ReplaceAll(s.Name, "_", "-")]
		if variable != "" && s.Value == "" && config.Lookup(a.env.Environ, variable) != "" {
			out = append(out, config.Setting{Name: strings.TrimSuffix(s.Name, "_file"), Value: "(set)", From: variable})
		}
	}
	return out
}

func settingsResult(settings []config.Setting, sources bool) output.Result {
	r := output.Result{Columns: []string{"SETTING", "VALUE"}}
	if sources {
		r.Columns = append(r.Columns, "FROM")
	}
	doc := map[string]string{}
	for _, s := range settings {
		row := output.Row{Cells: []string{s.Name, s.Value}, Doc: s}
		if sources {
			row.Cells = append(row.Cells, s.From)
		}
		r.Rows = append(r.Rows, row)
		if s.Value != "" && s.Value != "(set)" {
			doc[s.Name] = s.Value
		}
	}
	if !sources {
		r.Doc = doc
	}
	return r
}

// serveFlagSet returns the flags of serve on their own.
func serveFlagSet(f *serveFlags) *pflag.FlagSet {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.add(fs)
	return fs
}

func (a *app) newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Find what is wrong with a file of settings", Args: takes(1, 1),
		Long: `Find what is wrong with a file of settings: names that no command has, values of
the wrong type, files that are not there, and what "covey serve" would refuse,
with the variables of this environment. Nothing is opened but the files that are
named. The exit code is 1 when something is wrong.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return usagef("%w", err)
			}
			found := a.checkFile(args[0])
			r := output.Result{Columns: []string{"LINE", "SETTING", "WHAT IS WRONG"}}
			for _, p := range found {
				line := "-"
				if p.Line > 0 {
					line = strconv.Itoa(p.Line)
				}
				r.Rows = append(r.Rows, output.Row{Cells: []string{line, p.Name, p.Text}, Doc: p})
			}
			if len(found) == 0 {
				a.note("%s is in order", args[0])
				return nil
			}
			if err := a.write(r); err != nil {
				return err
			}
			return &codeError{code: exitFailed, err: fmt.Errorf("%s: %d %s wrong", args[0], len(found), plural(len(found), "thing is", "things are"))}
		},
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// checkFile returns what is wrong with a file. What serve says of the whole is
// asked only when each line by itself is right.
func (a *app) checkFile(path string) []config.Problem {
	known := a.settings()
	if found := config.Check(serveFlagSet(new(serveFlags)), known, path); len(found) > 0 {
		return found
	}
	var f serveFlags
	fs := serveFlagSet(&f)
	if err := config.Apply(fs, known, config.Sources{Environ: a.env.Environ, File: path}); err != nil {
		return []config.Problem{{Text: err.Error()}}
	}
	settings, err := config.Explain(fs, func(string) bool { return false }, config.Sources{Environ: a.env.Environ, File: path})
	if err != nil {
		return []config.Problem{{Text: err.Error()}}
	}
	var found []config.Problem
	for _, s := range settings {
		if text := missing(s); text != "" {
			found = append(found, config.Problem{Line: lineOf(s.From), Name: s.Name, Text: text})
		}
	}
	if len(found) > 0 {
		return found
	}
	if err := a.checkServe(&f); err != nil {
		return []config.Problem{{Text: err.Error()}}
	}
	return nil
}

// checkServe returns what serve would say against its settings before it opens
// anything.
func (a *app) checkServe(f *serveFlags) error {
	if _, err := a.logger(f.logLevel, f.logFormat, new(slog.LevelVar)); err != nil {
		return err
	}
	if err := a.readSecrets(f); err != nil {
		return err
	}
	return f.Config.Check()
}

// missing says why the file that a setting names cannot be read, "" when it can,
// or when the setting names none.
func missing(s config.Setting) string {
	if s.Value == "" || !namesFile(s.Name) {
		return ""
	}
	file, err := os.Open(s.Value)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s does not exist", s.Value)
	case err != nil:
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return fmt.Sprintf("%s is a folder, not a file", s.Value)
	}
	return ""
}

// namesFile reports whether a setting is the path of a file that serve reads.
func namesFile(setting string) bool {
	for _, end := range []string{"_file", "_cert", "_key", "_ca", "_recipients"} {
		if strings.HasSuffix(setting, end) {
			return true
		}
	}
	return false
}

// lineOf returns the line of a place such as covey.yaml:12, 0 if it has none.
func lineOf(from string) int {
	n, err := strconv.Atoi(from[strings.LastIndexByte(from, ':')+1:])
	if err != nil {
		return 0
	}
	return n
}
