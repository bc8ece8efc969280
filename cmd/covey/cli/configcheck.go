package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Find what is wrong with a file of settings", Args: takes(1, 1),
		Long: `Find everything that is wrong with a file of settings and the variables of this
environment: names that no command has, values of the wrong type, files that are
not there, and what "covey serve" would refuse. Each is shown with the line or the
variable that it comes from. Nothing is opened but the files that are named. The
exit code is 1 when something is wrong.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return usagef("%w", err)
			}
			found := a.checkFile(args[0])
			r := output.Result{Columns: []string{"FROM", "SETTING", "WHAT IS WRONG"}}
			for _, p := range found {
				r.Rows = append(r.Rows, output.Row{Cells: []string{cmp.Or(p.From, "-"), p.Name, p.Text}, Doc: p})
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

// checkFile returns what is wrong with a file and the environment.
func (a *app) checkFile(path string) []config.Problem {
	var f serveFlags
	flags, known := serveFlagSet(&f), a.settings()
	src := config.Sources{Environ: a.env.Environ, File: path}
	found := config.Check(flags, known, src)
	settings, err := config.Explain(flags, func(string) bool { return false }, src)
	if err != nil {
		return found // it cannot be read at all
	}
	c := checker{app: *a, flags: flags, serve: &f, settings: settings}
	c.wrong(found, known)
	found = append(found, c.files()...)
	found = append(found, c.all()...)
	slices.SortStableFunc(found, func(x, y config.Problem) int {
		return cmp.Compare(cmp.Or(x.Line, behind), cmp.Or(y.Line, behind))
	})
	return found
}

const behind = 1 << 30 // all lines of a file

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

// checker finds everything that serve would refuse, which itself stops at the
// first: it takes what is refused out of the settings and asks again.
type checker struct {
	app      app // whose environment is changed
	flags    *pflag.FlagSet
	serve    *serveFlags
	settings []config.Setting
	told     []string // flags that something wrong was said of
}

// wrong takes note of settings that are known to be wrong. The name that an
// unknown one is near to counts as wrong too, if it is not set: it was meant.
func (c *checker) wrong(problems []config.Problem, known []string) {
	for _, p := range problems {
		name := strings.ReplaceAll(p.Name, "_", "-")
		if !slices.Contains(known, name) {
			if name = config.Nearest(name, known); c.setting(name).From != config.FromDefault {
				continue
			}
		}
		c.told = append(c.told, name)
	}
}

// files finds the files that are named and cannot be read.
func (c *checker) files() (found []config.Problem) {
	for _, s := range c.settings {
		if text := missing(s); text != "" {
			found = append(found, config.Problem{From: s.From, Line: lineOf(s.From), Name: s.Name, Text: text})
			c.drop(strings.ReplaceAll(s.Name, "_", "-"))
		}
	}
	return found
}

// mostRefusals is how often serve is asked; it has fewer settings.
const mostRefusals = 200

// all asks serve until it has nothing more to say. What it says only because
// something was wrong, and so is not set, is left out.
func (c *checker) all() (found []config.Problem) {
	for range mostRefusals {
		conf := *c.serve // a check writes into it
		err := c.app.checkServe(&conf)
		if err == nil {
			break
		}
		text := strings.TrimSuffix(err.Error(), ".")
		var names []string
		for _, m := range flagName.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		follows := slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.told, n) })
		i := slices.IndexFunc(names, c.isOpen)
		if i < 0 {
			if !follows {
				found = append(found, config.Problem{Text: text})
			}
			break
		}
		if s := c.setting(names[i]); !follows {
			found = append(found, config.Problem{From: s.From, Line: lineOf(s.From), Name: s.Name, Text: text})
		}
		c.drop(names[i])
	}
	return found
}

// flagName finds the flags in what is said of them.
var flagName = regexp.MustCompile(`--([a-z][a-z0-9-]*[a-z0-9])`)

// setting returns the setting of a flag, with the variable of its secret where
// that is what counts.
func (c *checker) setting(flag string) config.Setting {
	name := config.FileName(flag)
	if c.secretIsSet(flag) {
		variable := secretVariables[flag]
		return config.Setting{Name: strings.ToLower(strings.TrimPrefix(variable, config.Prefix)), From: variable}
	}
	i := slices.IndexFunc(c.settings, func(s config.Setting) bool { return s.Name == name })
	if i < 0 {
		return config.Setting{Name: name}
	}
	return c.settings[i]
}

// isOpen reports whether a flag is not at its default and was not dropped yet.
func (c *checker) isOpen(flag string) bool {
	f := c.flags.Lookup(flag)
	return f != nil && !slices.Contains(c.told, flag) && (f.Value.String() != f.DefValue || c.secretIsSet(flag))
}

func (c *checker) secretIsSet(flag string) bool {
	variable := secretVariables[flag]
	return variable != "" && c.flags.Lookup(flag).Value.String() == "" && config.Lookup(c.app.env.Environ, variable) != ""
}

// together are settings that make sense only together: if one is dropped, so are
// the others.
var together = [][]string{{"peer-ca", "peer-cert", "peer-key"}, {"tls-cert", "tls-key", "tls-client-ca"}, {"s3-access-key-file", "s3-secret-key-file"}}

// drop takes a flag, and those that go with it, out of the settings.
func (c *checker) drop(flag string) {
	names := []string{flag}
	for _, group := range together {
		if slices.Contains(group, flag) {
			names = group
		}
	}
	c.told = append(c.told, names...)
	for _, name := range names {
		if c.secretIsSet(name) {
			c.app.env.Environ = append(slices.Clone(c.app.env.Environ), secretVariables[name]+"=")
		}
		f := c.flags.Lookup(name)
		config.Reset(f)
		if addr := f.Value.String(); strings.HasPrefix(addr, "127.0.0.1:") {
			_ = f.Value.Set("127.0.0.1:0") // that it is also another's port is not to be said
		}
	}
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
