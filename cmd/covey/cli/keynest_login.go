package cli

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/nest"
	"github.com/coveydb/covey/cmd/covey/output"
)

// writes is a writer of bytes, for writeFile.
func writes(p []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	}
}

// entrance makes cmd a verb that gives its user a token, which is kept.
func (v *nestVerb) entrance(a *app, cmd *cobra.Command, password passwordFlag, in func(cmd *cobra.Command, s *nestSession, email, password string) (client.NestLogin, error)) *cobra.Command {
	v.reach(cmd)
	password.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		text, err := password.read(cmd.Context(), a)
		if err != nil {
			return err
		}
		s, err := v.openAs(a, "")
		if err != nil {
			return a.nestAdvice(err)
		}
		defer s.client.Close()
		got, err := in(cmd, s, args[0], text)
		if errors.Is(err, client.ErrDenied) {
			return &adviceError{err: err}
		}
		if err != nil {
			return a.nestAdvice(err)
		}
		if err := a.keep(func(p *nest.Profile) { p.Token, p.BaseURL = got.Token, s.client.Endpoints() }); err != nil {
			return a.nestAdvice(err)
		}
		return a.changed(got.User.ID, got.User.Email, got.User) // without the token: not for the terminal, nor for a log
	}
	return cmd
}

func (a *app) newNestRegister() *cobra.Command {
	var v nestVerb
	var u client.NewUser
	cmd := &cobra.Command{
		Use: "register EMAIL", Short: "Make an account with an organization of its own, and log in", Args: takes(1, 1),
		Long: `Make an account with an organization of its own, and keep its token and the server's
URL for later calls, as "login" does. The password, of 8 to 128 characters, is asked for
on a terminal; elsewhere it is one line of standard input, or of --password-file.`,
		Example: "  " + a.keynest() + " register ann@example.com --username ann",
	}
	fs := cmd.Flags()
	fs.StringVar(&u.Username, "username", "", "`name`, 3 to 150 letters, digits and underscores (required)")
	fs.StringVar(&u.FirstName, "first-name", "", "first `name`")
	fs.StringVar(&u.LastName, "last-name", "", "last `name`")
	config.CallOnly(fs, "username", "first-name", "last-name")
	v.entrance(a, cmd, passwordFlag{twice: true}, func(cmd *cobra.Command, s *nestSession, email, password string) (client.NestLogin, error) {
		u.Email, u.Password = email, password
		return s.Register(cmd.Context(), u)
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if u.Username == "" {
			return usagef("--username is missing")
		}
		return nil
	}
	return cmd
}

func (a *app) newNestLogin() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{
		Use: "login EMAIL", Short: "Log in, and keep the token for later calls", Args: takes(1, 1),
		Long: `Log in, and keep the token and the server's URL for later calls, in a file that
nobody else can read. The password is asked for on a terminal; elsewhere it is one line
of standard input, or of --password-file. For a service token use "config set-token".

  ` + a.keynest() + ` login ann@example.com --password-file pw.txt`,
	}
	return v.entrance(a, cmd, passwordFlag{}, func(cmd *cobra.Command, s *nestSession, email, password string) (client.NestLogin, error) {
		return s.Login(cmd.Context(), email, password)
	})
}

func (a *app) newNestLogout() *cobra.Command {
	var v nestVerb
	var local bool
	cmd := &cobra.Command{
		Use: "logout", Short: "End the token, and forget it", Args: takes(0, 0),
		Long: `End the user's token, wherever it is in use, as there is one for all sessions, and
forget it here. A service token is only forgotten: "tokens revoke" ends one.`,
	}
	cmd.Flags().BoolVar(&local, "local", false, "only forget it here")
	config.CallOnly(cmd.Flags(), "local")
	v.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !local {
			s, err := v.open(a)
			if err != nil {
				return a.nestAdvice(err)
			}
			defer s.client.Close()
			// One that has ended already is as it should be.
			if err := s.Logout(cmd.Context()); err != nil && !errors.Is(err, client.ErrDenied) {
				return a.nestAdvice(err)
			}
		}
		return a.nestAdvice(a.keep(func(p *nest.Profile) { p.Token = "" }))
	}
	return cmd
}

func (a *app) newNestWhoami() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "whoami", Short: "Show whose token it is", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		p, err := s.Profile(cmd.Context())
		if err != nil {
			return err
		}
		if t := p.ServiceToken; t != nil {
			return a.write(serviceTokens(*t))
		}
		u := p.User
		return a.write(output.Result{
			Columns: []string{"ID", "EMAIL", "USERNAME", "NAME"},
			Rows:    []output.Row{{Cells: []string{number(u.ID), u.Email, u.Username, u.FullName}}}, Doc: u,
		})
	})
}

func (a *app) newNestConfig() *cobra.Command {
	cmd := newGroup("config", "Keep a token and the server's URL for later calls", a.newNestSetToken(), a.newNestSetURL(), a.newNestConfigShow())
	cmd.Long = `Keep a token and the server's URL for later calls. They are in keynest/config.json
below XDG_CONFIG_HOME or ~/.config, which nobody else can read: one that others could
read is refused. ` + nest.EnvToken + `, ` + nest.EnvTokenFile + ` and ` + nest.EnvBaseURL + ` win over
it, and flags over those.`
	return cmd
}

func (a *app) newNestSetToken() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "set-token [TOKEN]", Short: "Keep a token, that of a user or a service token", Args: takes(0, 1),
		Long: `Keep a token, that of a user or a service token. Without TOKEN, or with -, it is
read from standard input, or from --token-file; an argument can be seen by every user
of the machine for a moment, and stays in the history of the shell.`,
		Example: "  " + a.keynest() + " config set-token < token.txt",
	}
	cmd.Flags().StringVar(&file, "token-file", "-", "`file` with the token; - is standard input")
	config.CallOnly(cmd.Flags(), "token-file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var token string
		var err error
		switch {
		case len(args) == 1 && args[0] != "-":
			if file != "-" {
				return usagef("a token as an argument and --token-file exclude each other")
			}
			if token, err = nest.CheckToken(args[0]); err == nil {
				a.note("a token among the arguments can be seen by others and stays in the shell's history: better pipe it in")
			}
		case file == "-" && a.env.StdinTerminal && a.env.Hush == nil:
			return usagef("a terminal would show the token: pipe it in, or give it with --token-file")
		case file == "-" && a.env.StdinTerminal:
			if token, err = a.ask(cmd.Context(), "Token"); err == nil {
				token, err = nest.CheckToken(token)
			}
		default:
			token, err = nest.ReadToken(file, a.env.Stdin)
		}
		if err == nil {
			err = a.keep(func(p *nest.Profile) { p.Token = token })
		}
		return a.nestAdvice(err)
	}
	return cmd
}

func (a *app) newNestSetURL() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set-base-url URL...", Short: "Keep where the server is", Args: takes(1, -1),
		Long: "Keep where the server is: the URLs of some or all of its nodes. The next is tried\nwhen one does not answer.",
		RunE: func(_ *cobra.Command, args []string) error {
			urls := nest.SplitURLs(strings.Join(args, ","))
			c, err := client.New(client.Config{Endpoints: urls})
			if err != nil {
				return &usageError{err}
			}
			defer c.Close()
			return a.nestAdvice(a.keep(func(p *nest.Profile) { p.BaseURL = c.Endpoints() }))
		},
	}
	return cmd
}

func (a *app) newNestConfigShow() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "show", Short: "Show where the server is, and whether there is a token", Args: takes(0, 0)}
	v.flags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		urls, err := v.urls(a)
		if err != nil {
			return a.nestAdvice(err)
		}
		token, err := v.findToken(a)
		if err != nil {
			return a.nestAdvice(err)
		}
		path, err := nest.ProfilePath(a.env.Environ)
		if err != nil {
			return err
		}
		set := "none"
		if token != "" {
			set = "set, not shown"
		}
		doc := map[string]any{"base_url": urls, "token_set": token != "", "profile": path}
		r := output.Result{Columns: []string{"NAME", "VALUE"}, Doc: doc}
		for _, row := range [][]string{{"base_url", listed(urls)}, {"token", set}, {"profile", path}} {
			r.Rows = append(r.Rows, output.Row{Cells: row})
		}
		return a.write(r)
	}
	return cmd
}
