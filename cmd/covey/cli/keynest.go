package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newKeyNest() *cobra.Command {
	cmd := newGroup("keynest", "Work with secrets of teams: projects, environments, variables; run commands with them",
		a.newNestRegister(), a.newNestLogin(), a.newNestLogout(), a.newNestWhoami(), a.newNestConfig(),
		a.newNestOrgs(), a.newNestMembers(), a.newNestProjects(), a.newNestEnvs(), a.newNestVars(), a.newNestTokens(), a.newNestHooks(),
		a.newNestRun(), a.newNestDiff(), a.newNestCopy(), a.newNestPromote(), a.newNestVersions(), a.newNestRollback(),
		a.newNestUser(),
		newGroup("audit", "List the audit log; as the operator export it and note how far it goes",
			a.newNestAuditList(), a.newAuditExport(), a.newAuditHeads()))
	cmd.Long = `Work with the secrets of teams that the KeyNest API keeps. "login" comes first, or
"register" for those who have no account, or a token from elsewhere with "config
set-token". "user", "audit export" and "audit heads" are the operator's, and need the
cluster's root key.`
	return cmd
}

func (a *app) newNestUser() *cobra.Command {
	cmd := newGroup("user", "As the operator create, show, disable and enable users, and reset their passwords",
		a.newUserCreate(), a.newUserShow(), a.newUserDisable(), a.newUserEnable(), a.newUserReset())
	cmd.Long = "Manage users. All verbs need the cluster's root key. Users are named by e-mail address."
	return cmd
}

// keynestVerb holds the flags of a verb of the operator.
type keynestVerb struct{ conn connection }

// on makes cmd such a verb: run gets the open handle.
func (v *keynestVerb) on(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, k *client.KeyNest, args []string) error) *cobra.Command {
	v.conn.flags(cmd.Flags(), false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is changed
		}
		c, err := v.conn.open(a)
		if err != nil {
			return err
		}
		defer c.Close()
		return rootKeyAdvice(run(cmd, c.KeyNest(), args))
	}
	return cmd
}

// passwordFlag is where a user's password comes from.
type passwordFlag struct {
	file  string
	twice bool // a terminal asks again, as the password is a new one
}

func (p *passwordFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "password-file", "-", "`file` with the password; - is standard input")
	config.CallOnly(cmd.Flags(), "password-file")
}

// read returns the password: one line, without its end, blanks included. On a
// terminal it is asked for.
func (p *passwordFlag) read(ctx context.Context, a *app) (password string, err error) {
	from := "--password-file"
	if p.file == "-" {
		from = "standard input"
	}
	switch {
	case p.file == "-" && a.env.StdinTerminal && a.env.Hush == nil:
		return "", usagef("a terminal would show the password: give it with --password-file, or through a pipe")
	case p.file == "-" && a.env.StdinTerminal:
		password, err = a.ask(ctx, "Password")
		if err == nil && p.twice {
			err = p.repeat(ctx, a, password)
		}
	default:
		var text []byte
		text, err = a.readAll(p.file, maxSecret)
		password = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", from, err)
	case password == "":
		return "", fmt.Errorf("%s: the password is empty", from)
	case strings.ContainsAny(password, "\r\n"):
		return "", fmt.Errorf("%s: the password is longer than one line", from)
	}
	return password, nil
}

func (p *passwordFlag) repeat(ctx context.Context, a *app, password string) error {
	again, err := a.ask(ctx, "The same again")
	if err == nil && again != password {
		err = errors.New("the two passwords are not the same")
	}
	return err
}

func (a *app) newUserCreate() *cobra.Command {
	var v keynestVerb
	var password passwordFlag
	var u client.NewUser
	cmd := &cobra.Command{
		Use: "create EMAIL", Short: "Create a user with an organization of its own", Args: takes(1, 1),
		Long: `Create a user with an organization of its own, also where registration is closed. The
password is one line of standard input, or of --password-file, of 8 to 128 characters
and none of the common ones; the user can change it.

  openssl rand -base64 18 | tee /dev/tty | covey keynest user create ann@example.com --username ann`,
	}
	fs := cmd.Flags()
	fs.StringVar(&u.Username, "username", "", "`name`, 3 to 150 letters, digits and underscores (required)")
	fs.StringVar(&u.FirstName, "first-name", "", "first `name`")
	fs.StringVar(&u.LastName, "last-name", "", "last `name`")
	config.CallOnly(fs, "username", "first-name", "last-name")
	password.add(cmd)
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, args []string) error {
		if u.Username == "" {
			return usagef("--username is missing")
		}
		var err error
		if u.Password, err = password.read(cmd.Context(), a); err != nil {
			return err
		}
		u.Email = args[0]
		made, err := k.CreateUser(cmd.Context(), u)
		if err != nil {
			return err
		}
		return a.done(output.Row{Cells: []string{strconv.FormatUint(made.ID, 10), made.Email}, Doc: made}, "ID", "EMAIL")
	})
}

func (a *app) newUserShow() *cobra.Command {
	var v keynestVerb
	cmd := &cobra.Command{Use: "show EMAIL...", Short: "Show users and the organizations they are members of", Args: takes(1, -1)}
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, emails []string) error {
		r := output.Result{Columns: []string{"ID", "EMAIL", "USERNAME", "NAME", "STATE", "JOINED", "LAST LOGIN", "ORGANIZATIONS"}}
		for _, email := range emails {
			u, err := k.User(cmd.Context(), email)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, userRow(u))
		}
		return a.write(r)
	})
}

func userRow(u client.User) output.Row {
	state, login := "active", "never"
	if !u.Active {
		state = "disabled"
	}
	if u.LastLogin != nil {
		login = u.LastLogin.Format(time.DateTime)
	}
	var of []string
	for _, o := range u.Organizations {
		of = append(of, fmt.Sprintf("%d %s (%s)", o.ID, o.Name, o.Role))
	}
	return output.Row{
		Cells: []string{
			strconv.FormatUint(u.ID, 10), u.Email, u.Username, strings.TrimSpace(u.FirstName + " " + u.LastName), state,
			u.Joined.Format(time.DateTime), login, strings.Join(of, ", "),
		},
		Doc: u,
	}
}

func (a *app) newUserDisable() *cobra.Command {
	var v keynestVerb
	cmd := &cobra.Command{
		Use: "disable EMAIL...", Short: "Close the accounts of users", Args: takes(1, -1),
		Long: `Close the accounts of users: their tokens are revoked at once and on all nodes, and
they cannot log in. What they made stays, and so do their memberships.`,
	}
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, emails []string) error {
		return each(len(emails), func(i int) error { return k.DisableUser(cmd.Context(), emails[i]) })
	})
}

func (a *app) newUserEnable() *cobra.Command {
	var v keynestVerb
	cmd := &cobra.Command{Use: "enable EMAIL...", Short: "Open accounts that were disabled", Args: takes(1, -1)}
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, emails []string) error {
		return each(len(emails), func(i int) error { return k.EnableUser(cmd.Context(), emails[i]) })
	})
}

func (a *app) newUserReset() *cobra.Command {
	var v keynestVerb
	var password passwordFlag
	cmd := &cobra.Command{
		Use: "reset-password EMAIL", Short: "Give a user another password", Args: takes(1, 1),
		Long: `Give a user another password, which is one line of standard input or of
--password-file. The user's token is revoked.`,
	}
	password.add(cmd)
	return v.on(a, cmd, func(cmd *cobra.Command, k *client.KeyNest, args []string) error {
		text, err := password.read(cmd.Context(), a)
		if err != nil {
			return err
		}
		return k.ResetPassword(cmd.Context(), args[0], text)
	})
}
