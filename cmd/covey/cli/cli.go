package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// Env is what a command line runs in.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // as os.Environ returns it
	StdinTerminal  bool
	StdoutTerminal bool
	StderrTerminal bool
	Version        string // of this binary
	Program        string // what Program returned

	// Exec runs this binary again in place of this process, with other arguments
	// and another environment. It returns only if it could not. nil = it cannot.
	Exec func(args, environ []string) error

	// Become runs a command in place of this process. It returns if it could not,
	// or, where no process can be replaced, the command's exit code.
	Become func(path string, argv, environ []string) (code int, err error)

	// Hush makes the terminal that Stdin is show nothing of what is typed, until
	// show is called. nil = it cannot.
	Hush func() (show func(), err error)
}

// app is one run of the command line.
type app struct {
	env    Env
	root   *cobra.Command
	args   []string
	format string          // --output
	file   string          // --config
	given  map[string]bool // flags on the command line itself
	s3     s3Files         // of a store that backups are in
}

// Variables that are read but are no flags.
const (
	envConfig  = config.Prefix + "CONFIG"
	envRootKey = config.Prefix + "ROOT_KEY"
	envKey     = config.Prefix + "KEY"

	envKeyring       = config.Prefix + "KEYRING"
	envKOTPassword   = config.Prefix + "KOT_PASSWORD"
	envEncryptionKey = config.Prefix + "ENCRYPTION_KEY"
	envRestDBKey     = config.Prefix + "RESTDB_KEY"
	envSMTPPassword  = config.Prefix + "SMTP_PASSWORD"
)

// Args returns the arguments of a process from its name and what follows. A
// program called KOT is this one with the command of that name.
func Args(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	if strings.EqualFold(called(argv), "KOT") {
		return append([]string{"kot"}, argv[1:]...)
	}
	return argv[1:]
}

// programKeyNest is a program that has KeyNest's verbs and no others.
const programKeyNest = "keynest"

// Program returns which program this is by the name of the process: keynest, or
// "" for covey.
func Program(argv []string) string {
	if strings.EqualFold(called(argv), programKeyNest) {
		return programKeyNest
	}
	return ""
}

// called returns the name that the process was started by.
func called(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	name := filepath.Base(argv[0])
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".exe") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// Main runs one command line (without the program's name) and returns its exit
// code. ctx ends at an interrupt.
func Main(ctx context.Context, args []string, env Env) int {
	a := &app{env: env, args: args}
	a.root = a.newRoot()
	a.root.SetArgs(args)
	cmd, err := a.root.ExecuteContextC(ctx)
	return a.exit(ctx, cmd, err)
}

func (a *app) newRoot() *cobra.Command {
	root := a.newCovey()
	if a.env.Program == programKeyNest {
		root = a.newKeyNest()
		root.AddCommand(a.newVersion())
	}
	root.SilenceErrors, root.SilenceUsage, root.PersistentPreRunE = true, true, a.configure
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.Version = a.env.Version
	p := root.PersistentFlags()
	p.StringVar(&a.file, "config", "", "a YAML `file` with settings")
	p.StringVarP(&a.format, "output", "o", "", "`format`: table, json, jsonl, yaml, raw or plain (default table on a terminal, else plain)")
	completeFrom(root, "output", output.Formats())
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args, cmd.RunE, cmd.SuggestionsMinimumDistance = cobra.ArbitraryArgs, group, 2
		}
	}
	return root
}

// newCovey returns the program with all verbs.
func (a *app) newCovey() *cobra.Command {
	root := &cobra.Command{
		Use:   "covey",
		Short: "A replicated backend for keys and documents in one binary",
		Long: `Covey keeps one ordered, transactional store on three or more nodes and serves
it over HTTP: any node answers any request.

Every flag of the form --some-name is also the variable COVEY_SOME_NAME and, in
the file given by --config or COVEY_CONFIG, the line "some_name: value". A flag
wins over a variable, a variable over the file.`,
		Args:                       cobra.ArbitraryArgs,
		RunE:                       group,
		SuggestionsMinimumDistance: 2,
	}
	for _, g := range []struct {
		title string
		verbs []*cobra.Command
	}{
		{"Run nodes:", []*cobra.Command{a.newDev(), a.newDemo(), a.newServe(), a.newKOT(), a.newConfig()}},
		{"Use the data:", []*cobra.Command{a.newBucket(), a.newKey(), a.newDB(), a.newCollection(), a.newKeyNest()}},
		{"Look after a cluster:", []*cobra.Command{a.newCluster(), a.newWhy(), a.newDoctor(), a.newHealth(), a.newBackup(), a.newRestore(), a.newKeyring(), a.newCert(), a.newRestDB(), a.newAudit()}},
		{"Other commands:", []*cobra.Command{a.newBench(), a.newVersion()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, verb := range g.verbs {
			verb.GroupID = g.title
		}
		root.AddCommand(g.verbs...)
		root.SetHelpCommandGroupID(g.title)
		root.SetCompletionCommandGroupID(g.title) // the last one counts
	}
	return root
}

// group is what a command does that only holds others.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	text := fmt.Sprintf("%q is no command of %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(", did you mean %q?", near[0])
	}
	return usagef("%s", text)
}

// flagError is a flag that cmd does not have. Behind a word that is no command,
// where every flag is unknown, the word is what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return group(cmd, words)
	}
	return &usageError{err}
}

// shortNames are the names of verbs that other programs have.
var shortNames = map[string]string{"list": "ls", "delete": "rm"}

func newGroup(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: group, SuggestionsMinimumDistance: 2}
	for _, verb := range verbs {
		if alias, ok := shortNames[verb.Name()]; ok {
			verb.Aliases = append(verb.Aliases, alias)
		}
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// takes checks the number of arguments; most < 0 means any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("too few arguments: %s", cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usagef("too many arguments, %q is not expected: %s", args[most], cmd.UseLine())
		}
		return nil
	}
}

// configure fills the flags of cmd from the environment and the file.
func (a *app) configure(cmd *cobra.Command, _ []string) error {
	for _, name := range config.UnknownVariables(a.env.Environ, a.settings(), plainVariables()) {
		a.note("the variable %s is not known and has no effect", name)
	}
	return a.fill(cmd.Flags())
}

func (a *app) fill(fs *pflag.FlagSet) error {
	a.given = map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { a.given[f.Name] = true })
	file := a.file
	if file == "" {
		file = config.Lookup(a.env.Environ, envConfig)
	}
	if err := config.Apply(fs, a.settings(), config.Sources{Environ: a.env.Environ, File: file}); err != nil {
		return &usageError{err}
	}
	return nil
}

// settings returns the names of the settings of all commands.
func (a *app) settings() []string {
	var names []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, fs := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			fs.VisitAll(func(f *pflag.Flag) {
				if config.IsSetting(f) {
					names = append(names, f.Name)
				}
			})
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	root := a.root
	if a.env.Program != "" {
		root = (&app{}).newRoot() // the file and the environment are for all
	}
	walk(root)
	slices.Sort(names)
	return slices.Compact(names)
}

// note writes a message.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.env.Stderr, a.root.Name()+": "+format+"\n", args...)
}

func (a *app) color() bool { return config.Lookup(a.env.Environ, "NO_COLOR") == "" }

// write renders r as the user asked.
func (a *app) write(r output.Result) error {
	f, err := a.outputFormat()
	if err != nil {
		return err
	}
	w := output.Writer{Out: a.env.Stdout, Format: f, Color: a.env.StdoutTerminal && a.color()}
	return w.Write(r)
}

func (a *app) outputFormat() (output.Format, error) {
	f, err := output.Parse(a.format, a.env.StdoutTerminal)
	if err != nil {
		return "", &usageError{err}
	}
	return f, nil
}

// secret reads a secret's file, or without one the variable that holds the
// secret itself.
func (a *app) secret(flag, path, variable string) (string, error) {
	if path == "" {
		return config.Lookup(a.env.Environ, variable), nil
	}
	return readSecret(flag, path)
}

// maxSecret bounds a file that holds one secret.
const maxSecret = 4 << 10

// readSecret returns the one line of a secret's file, "" when path is "".
func readSecret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxSecret:
		return "", fmt.Errorf("--%s: %s is larger than %d bytes", flag, path, maxSecret)
	case secret == "":
		return "", fmt.Errorf("--%s: %s is empty", flag, path)
	case strings.ContainsAny(secret, "\r\n"):
		return "", fmt.Errorf("--%s: %s holds more than one line", flag, path)
	}
	return secret, nil
}
