package cli

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/server"
)

func (a *app) newKOT() *cobra.Command {
	return newGroup("kot", "Serve the KOT API as its own program does", a.newKOTAPI())
}

// kotFlags are the flags of kot api: those of its own program, and those of
// serve.
type kotFlags struct {
	serveFlags
	host, folder, restricted, rateLimit string
	port                                uint16
}

const (
	kotHost = "localhost"
	kotPort = 5000
)

func (f *kotFlags) add(fs *pflag.FlagSet) {
	f.serveFlags.add(fs)
	fs.StringVar(&f.host, "host", kotHost, "`address` that serves the KOT API")
	fs.Uint16Var(&f.port, "port", kotPort, "`port` that serves the KOT API")
	fs.StringVar(&f.restricted, "restricted", "", "`endpoints` to close, comma-separated: \"set, delete\"")
	fs.StringVar(&f.rateLimit, "rate-limit", "off", "for each endpoint and client address: off, document, or `limits` such as \"5 per hour, 1 per minute\"")
	fs.StringVar(&f.folder, "folder", "kot-data", "`folder` for data")
	config.CallOnly(fs, "host", "port", "restricted", "rate-limit", "folder")
	fs.Lookup("id").Usage = "this node's `name`, for ever (default \"kot\")"
	fs.Lookup("bootstrap-expect").Usage = "form the first cluster as soon as `N` nodes with this flag see each other; 0 = never (default 1 without --join)"
	for _, twin := range []string{"kot-addr", "kot-restricted", "kot-rate-limit", "data-dir"} {
		if err := fs.MarkHidden(twin); err != nil {
			panic(err) // serve's flags are a few lines above
		}
	}
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
}

func (a *app) newKOTAPI() *cobra.Command {
	var f kotFlags
	cmd := &cobra.Command{
		Use: "api [PASSWORD]", Short: "Run one node whose KOT API has a port of its own", Args: takes(0, 1),
		Long: `Run one node whose KOT API has a port of its own, with the arguments of KOT's
own program; all flags and settings of "covey serve" work too. Unless --join says
otherwise the node is alone.

The password is that of Basic authentication, with an empty user name. An
argument can be seen by every user of the machine while the program starts, and
stays in the history of the shell: better give --kot-password-file, or
` + envKOTPassword + `. A link to this binary that is called KOT needs no "kot":
KOT api --port 5000`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := a.hidePassword(&f, args[0]); err != nil {
					return err
				}
			}
			if err := f.settle(cmd.Flags()); err != nil {
				return err
			}
			if f.kotPasswordFile == "" && config.Lookup(a.env.Environ, envKOTPassword) == "" {
				return usagef("you must give a password: as --kot-password-file, as %s or as the argument", envKOTPassword)
			}
			err := a.serve(cmd.Context(), &f.serveFlags, func(s *server.Server) {
				fmt.Fprintf(a.env.Stdout, "KOT serves on %s, data in %s.\n\n  %s\n\nCtrl-C stops it.\n", s.KOTURL(), f.DataDir, kotCurl(s.KOTURL(), f.kotPasswordFile))
			})
			if err != nil {
				return &kotError{err}
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// kotError is an error of serve that calls flags what KOT's program does.
type kotError struct{ err error }

var kotNames = strings.NewReplacer(
	"--kot-restricted", "--restricted", "--kot-rate-limit", "--rate_limit", "--kot-addr", "--host and --port:", "--data-dir", "--folder")

func (e *kotError) Error() string { return kotNames.Replace(e.err.Error()) }
func (e *kotError) Unwrap() error { return e.err }

// settle gives serve's flags the values that KOT's own name, or their defaults
// here.
func (f *kotFlags) settle(fs *pflag.FlagSet) error {
	if f.KOT.Addr == "" {
		f.KOT.Addr = net.JoinHostPort(kotHost, fmt.Sprint(kotPort))
	}
	host, port, err := net.SplitHostPort(f.KOT.Addr)
	if err != nil {
		return usagef("--kot-addr %q is no host:port", f.KOT.Addr)
	}
	if fs.Changed("host") {
		host = f.host
	}
	if fs.Changed("port") {
		port = fmt.Sprint(f.port)
	}
	f.KOT.Addr = net.JoinHostPort(host, port)
	for _, own := range []struct {
		name  string
		value string
		to    *string
	}{
		{"restricted", f.restricted, &f.KOT.Restricted}, {"rate-limit", f.rateLimit, &f.KOT.RateLimit}, {"folder", f.folder, &f.DataDir},
	} {
		if fs.Changed(own.name) {
			*own.to = own.value
		}
	}
	if f.DataDir == "" {
		f.DataDir = f.folder
	}
	if len(f.Join) > 0 {
		if f.ID == "" {
			return usagef("a node of a cluster needs a name of its own: give --id")
		}
		return nil
	}
	// A host's name would not do: it may change, the node's may not.
	if f.ID == "" {
		f.ID = "kot"
	}
	if !fs.Changed("bootstrap-expect") {
		f.BootstrapExpect = 1
	}
	return nil
}

// hidePassword takes the password out of the process list: it runs this binary
// again with the password in the environment, which other users cannot read.
// Where that is not possible, it returns and the password is taken as it is.
func (a *app) hidePassword(f *kotFlags, password string) error {
	if password == "" {
		return usagef("you must give a password: the argument is empty")
	}
	environ := slices.DeleteFunc(slices.Clone(a.env.Environ), func(kv string) bool {
		return strings.HasPrefix(kv, envKOTPassword+"=")
	})
	environ = append(environ, envKOTPassword+"="+password)
	a.note("a password among the arguments can be seen by others: better give --kot-password-file or %s", envKOTPassword)
	if rest, ok := a.without(password); ok && a.env.Exec != nil {
		// The empty flag wins over a file that another setting names. It comes
		// first, as a dash may end the flags.
		err := a.env.Exec(append([]string{"--kot-password-file="}, rest...), environ)
		a.note("the password stays in the process list: %v", err)
	}
	a.env.Environ, f.kotPasswordFile = environ, ""
	return nil
}

// without returns the command line without the password. That flags may have
// the same text as value is why it tries: only without the right one is there
// no argument left.
func (a *app) without(password string) ([]string, bool) {
	for i, arg := range a.args {
		if arg != password {
			continue
		}
		rest := slices.Delete(slices.Clone(a.args), i, i+1)
		cmd, flags, err := (&app{env: a.env}).newRoot().Find(rest)
		if err == nil && cmd.Name() == "api" && cmd.ParseFlags(flags) == nil && cmd.Flags().NArg() == 0 {
			return rest, true
		}
	}
	return nil, false
}

// kotCurl returns a call to paste that shows no password: curl asks for it
// where it cannot be read.
func kotCurl(url, passwordFile string) string {
	user := `""`
	if passwordFile != "" {
		user = `":$(cat '` + passwordFile + `')"`
	}
	return fmt.Sprintf("curl -u %s -d database_name=db1 -d key=hello -d value=world %s/controller/set", user, url)
}
