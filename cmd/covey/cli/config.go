package cli

import (
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
