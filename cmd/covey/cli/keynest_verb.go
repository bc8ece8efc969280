package cli

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/nest"
	"github.com/coveydb/covey/cmd/covey/output"
)

// nestDefault is where KeyNest's own program looks for a server.
const nestDefault = "http://localhost:8000"

// keynest is how a user writes KeyNest's verbs.
func (a *app) keynest() string {
	if a.env.Program == programKeyNest {
		return "keynest"
	}
	return "covey keynest"
}

// nestVerb holds the flags of a verb of KeyNest's users.
type nestVerb struct {
	conn      connection
	tokenFile string
}

// nestSession is what such a verb works with.
type nestSession struct {
	*client.Nest
	client *client.Client
	find   nest.Finder
	token  string
}

// flags adds the flags that say where the server is and who asks.
func (v *nestVerb) flags(cmd *cobra.Command) {
	v.reach(cmd)
	cmd.Flags().StringVar(&v.tokenFile, "token-file", "", "`file` with the token, - is standard input; or the token itself in "+nest.EnvToken)
	config.CallOnly(cmd.Flags(), "token-file")
}

// reach adds the flags that say where the server is.
func (v *nestVerb) reach(cmd *cobra.Command) {
	fs := cmd.Flags()
	v.conn.reach(fs)
	endpoint := fs.Lookup("endpoint")
	endpoint.Usage = "`URLs` of the server's nodes, comma-separated; also --base-url and " + nest.EnvBaseURL
	endpoint.DefValue = "[]"
	fs.SetNormalizeFunc(nestFlag)
}

// nestFlag knows the other spellings of flags, those of the document among them.
func nestFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "base-url":
		name = "endpoint"
	case "environment", "environment-id":
		name = "env"
	case "project-id":
		name = "project"
	case "organization", "organization-id":
		name = "org"
	}
	return pflag.NormalizedName(name)
}

// on makes cmd a verb that needs a token: run gets the open session.
func (v *nestVerb) on(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, args []string) error) *cobra.Command {
	v.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		s, err := v.open(a)
		if err != nil {
			return a.nestAdvice(err)
		}
		defer s.client.Close()
		return a.nestAdvice(run(cmd, s, args))
	}
	return cmd
}

// open returns a session. The caller closes its client.
func (v *nestVerb) open(a *app) (*nestSession, error) {
	token, err := v.findToken(a)
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, &codeError{exitDenied, &adviceError{errors.New("nobody is logged in"), a.loginAdvice()}}
	}
	return v.openAs(a, token)
}

// openAs returns a session with a token, "" for nobody's.
func (v *nestVerb) openAs(a *app, token string) (*nestSession, error) {
	urls, err := v.urls(a)
	if err != nil {
		return nil, err
	}
	conn := v.conn
	conn.endpoints = urls
	c, err := conn.open(a)
	if err != nil {
		return nil, err
	}
	n := c.Nest(token)
	return &nestSession{Nest: n, client: c, find: nest.Finder{Nest: n}, token: token}, nil
}

// urls returns where the server is: the flag wins over KeyNest's variable, that
// over Covey's and the file of settings, those over the profile.
func (v *nestVerb) urls(a *app) ([]string, error) {
	if a.given["endpoint"] {
		return v.conn.endpoints, nil
	}
	if urls := nest.SplitURLs(config.Lookup(a.env.Environ, nest.EnvBaseURL)); len(urls) > 0 {
		return urls, nil
	}
	if !slices.Equal(v.conn.endpoints, []string{client.DefaultEndpoint}) {
		return v.conn.endpoints, nil
	}
	p, _, err := a.profile()
	switch {
	case err != nil:
		return nil, err
	case len(p.BaseURL) > 0:
		return p.BaseURL, nil
	case a.env.Program == programKeyNest:
		return []string{nestDefault}, nil
	}
	return []string{client.DefaultEndpoint}, nil
}

// findToken returns the token, "" if there is none.
func (v *nestVerb) findToken(a *app) (string, error) {
	path := v.tokenFile
	if path == "" {
		path = config.Lookup(a.env.Environ, nest.EnvTokenFile)
	}
	if path != "" {
		token, err := nest.ReadToken(path, a.env.Stdin)
		if path == "-" && !a.env.StdinTerminal {
			a.env.Stdin = spentInput{}
		}
		return token, err
	}
	if token := config.Lookup(a.env.Environ, nest.EnvToken); token != "" {
		token, err := nest.CheckToken(token)
		if err != nil {
			err = fmt.Errorf("%s: %w", nest.EnvToken, err)
		}
		return token, err
	}
	p, _, err := a.profile()
	return p.Token, err
}

// spentInput is a standard input that a token was read from. What else is read
// from there would be taken for empty.
type spentInput struct{}

func (spentInput) Read([]byte) (int, error) {
	return 0, usagef("standard input has given the token: give the rest with --file")
}

// profile returns what is kept between calls, and where.
func (a *app) profile() (nest.Profile, string, error) {
	path, err := nest.ProfilePath(a.env.Environ)
	if err != nil {
		return nest.Profile{}, "", err
	}
	p, err := nest.LoadProfile(path)
	return p, path, err
}

// keep changes the profile, whose file is its owner's alone.
func (a *app) keep(change func(*nest.Profile)) error {
	p, path, err := a.profile()
	if err != nil {
		return err
	}
	change(&p)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, writes(p.Encode()))
}

func (a *app) loginAdvice() string {
	return "Try: " + a.keynest() + " login EMAIL; or give a token with --token-file or " + nest.EnvToken
}

// nestAdvice adds to an error what KeyNest's user can do about it.
func (a *app) nestAdvice(err error) error {
	var e *client.Error
	var readable *nest.ReadableError
	var ambiguous *nest.AmbiguousError
	var advised *adviceError
	switch {
	case err == nil, errors.As(err, &advised):
		return err
	case errors.As(err, &readable):
		return &adviceError{err, "Try: " + readable.Mend()}
	case errors.As(err, &ambiguous):
		return &usageError{err}
	case !errors.As(err, &e):
		return err
	case e.Status == http.StatusUnauthorized:
		return &adviceError{err, a.loginAdvice()}
	case errors.Is(err, client.ErrDenied):
		return &adviceError{err: err}
	case e.Unreachable():
		return &adviceError{err, "Is the server up, and is this its URL? Try: " + a.keynest() + " config show"}
	case errors.Is(err, client.ErrUnavailable):
		return &adviceError{err, "Nothing was changed, try again"}
	}
	return err
}

// envFlag is the environment that a verb is about.
type envFlag struct{ text string }

func (e *envFlag) add(a *app, v *nestVerb, cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.text, "env", "", "`environment`: its id or PROJECT/ENVIRONMENT (required); also --environment-id")
	config.CallOnly(cmd.Flags(), "env")
	a.completeFlag(cmd, "env", v, environmentNames)
}

// id returns the environment's id.
func (e *envFlag) id(cmd *cobra.Command, s *nestSession) (uint64, error) {
	if e.text == "" {
		return 0, usagef("which environment is missing: give --env")
	}
	return s.find.Environment(cmd.Context(), e.text)
}

// textFlags are a name and a description to set.
type textFlags struct{ name, description string }

func (t *textFlags) add(fs *pflag.FlagSet, rename bool) {
	if rename {
		fs.StringVar(&t.name, "name", "", "another `name`")
		config.CallOnly(fs, "name")
	}
	fs.StringVar(&t.description, "description", "", "`text` for people")
	config.CallOnly(fs, "description")
}

// of returns what was given.
func (t *textFlags) of(fs *pflag.FlagSet) (out client.NestText) {
	if fs.Changed("name") {
		out.Name = &t.name
	}
	if fs.Changed("description") {
		out.Description = &t.description
	}
	return out
}

// created tells of a thing that was made: its id goes to standard output, piped
// too.
func (a *app) created(id uint64, name string, doc any) error {
	return a.write(output.Result{Columns: []string{"ID", "NAME"}, Rows: []output.Row{{Cells: []string{number(id), name}}}, Doc: doc})
}

// changed tells of a thing that was changed, to those who watch.
func (a *app) changed(id uint64, name string, doc any) error {
	return a.done(output.Row{Cells: []string{number(id), name}, Doc: doc}, "ID", "NAME")
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// stamped shows a time, and instead of none what.
func stamped(t *time.Time, what string) string {
	if t == nil {
		return what
	}
	return t.UTC().Format(time.DateTime)
}

func listed(texts []string) string { return strings.Join(texts, ",") }
