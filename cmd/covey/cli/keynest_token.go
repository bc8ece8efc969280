package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newNestTokens() *cobra.Command {
	cmd := newGroup("tokens", "List, create and revoke service tokens", a.newServiceTokenList(), a.newServiceTokenCreate(), a.newServiceTokenRevoke())
	cmd.Aliases = []string{"token"}
	return cmd
}

func serviceTokens(all ...client.NestServiceToken) output.Result {
	r := output.Result{Columns: []string{"ID", "NAME", "FOR", "RIGHTS", "NETWORKS", "EXPIRES", "LAST USED"}}
	for _, t := range all {
		scope, rights := "", "read-write"
		switch {
		case t.Project != nil:
			scope = "project " + number(*t.Project)
		case t.Environment != nil:
			scope = "environment " + number(*t.Environment)
		}
		if t.ReadOnly {
			rights = "read-only"
		}
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{number(t.ID), t.Name, scope, rights, listed(t.Networks), stamped(t.Expires, "never"), stamped(t.LastUsed, "never")}, Doc: t,
		})
	}
	if len(all) == 1 {
		r.Doc = all[0]
	}
	return r
}

// nestScope are the flags that name a project or an environment.
type nestScope struct {
	project projectFlag
	env     envFlag
}

func (f *nestScope) add(a *app, v *nestVerb, cmd *cobra.Command) {
	f.project.add(a, v, cmd, "")
	f.env.add(a, v, cmd)
	cmd.Flags().Lookup("env").Usage = "`environment`: its id or PROJECT/ENVIRONMENT"
}

// ids returns what was named, 0 for what was not.
func (f *nestScope) ids(cmd *cobra.Command, s *nestSession) (project, env uint64, err error) {
	if f.project.text != "" && f.env.text != "" {
		return 0, 0, usagef("--project and --env exclude each other")
	}
	if f.env.text != "" {
		env, err = f.env.id(cmd, s)
		return 0, env, err
	}
	project, err = f.project.id(cmd, s)
	return project, 0, err
}

func (a *app) newServiceTokenList() *cobra.Command {
	var v nestVerb
	var scope nestScope
	var org orgFlag
	cmd := &cobra.Command{Use: "list", Short: "List service tokens", Args: takes(0, 0)}
	scope.add(a, &v, cmd)
	org.add(a, &v, cmd, " (default all)")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		project, env, err := scope.ids(cmd, s)
		if err != nil {
			return err
		}
		in, err := org.id(cmd, s)
		if err != nil {
			return err
		}
		all := s.ServiceTokens(cmd.Context(), in, project, env)
		return writeAll(a, serviceTokens(), all, func(t client.NestServiceToken) output.Row { return serviceTokens(t).Rows[0] })
	})
}

func (a *app) newServiceTokenCreate() *cobra.Command {
	var v nestVerb
	var scope nestScope
	var t client.NewServiceToken
	var readWrite bool
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a service token and print it", Args: takes(1, 1),
		Long: `Create a service token, for a project with all its environments or for one
environment, and print it with its id. It cannot be read again: only its hash is kept.`,
		Example: "  " + a.keynest() + " tokens create ci --env Web/production --expires 30d --network 10.0.0.0/8 > token.txt",
	}
	scope.add(a, &v, cmd)
	fs := cmd.Flags()
	fs.BoolVar(&readWrite, "read-write", false, "it may also change variables (default only read them)")
	fs.StringVar(&t.ExpiresIn, "expires", "", "`time` after which it is useless: 90m, 12h, 30d, 1y (default never)")
	fs.StringSliceVar(&t.Networks, "network", nil, "`addresses` or networks that it is good from, comma-separated (default all)")
	config.CallOnly(fs, "read-write", "expires", "network")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		project, env, err := scope.ids(cmd, s)
		if err == nil && project == 0 && env == 0 {
			err = usagef("what it is for is missing: give --project or --env")
		}
		if err != nil {
			return err
		}
		t.Name, t.Project, t.Environment, t.ReadOnly = args[0], project, env, !readWrite
		made, err := s.CreateServiceToken(cmd.Context(), t)
		if err != nil {
			return err
		}
		return a.showMade(made)
	})
}

// showMade prints a token that was made. Piped, it is alone on its line, so that a
// file that it goes to can be used as it is.
func (a *app) showMade(made client.MadeServiceToken) error {
	if f, err := a.outputFormat(); err == nil && f == output.Plain {
		_, err := fmt.Fprintln(a.env.Stdout, made.Token)
		return err
	}
	return a.write(output.Result{
		Columns: []string{"TOKEN", "ID"}, Rows: []output.Row{{Cells: []string{made.Token, number(made.ID)}}}, Doc: made,
	})
}

func (a *app) newServiceTokenRevoke() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "revoke ID...", Short: "Make service tokens useless, at once and on all nodes", Args: takes(1, -1)}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		ids, err := numbers(args)
		if err != nil {
			return err
		}
		if err := a.confirm(cmd.Context(), yes, "Revoke "+counted(len(ids), "service token", "service tokens")); err != nil {
			return err
		}
		return each(len(ids), func(i int) error { return s.RevokeServiceToken(cmd.Context(), ids[i]) })
	})
}

// numbers reads ids.
func numbers(args []string) ([]uint64, error) {
	ids := make([]uint64, len(args))
	for i, arg := range args {
		if _, err := fmt.Sscan(arg, &ids[i]); err != nil || number(ids[i]) != arg || ids[i] == 0 {
			return nil, usagef("%q is no id", arg)
		}
	}
	return ids, nil
}

func (a *app) newNestAuditList() *cobra.Command {
	var v nestVerb
	var q client.NestAuditQuery
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List what was done, with the newest first, as far as you may see it", Args: takes(0, 0)}
	fs := cmd.Flags()
	fs.Uint64Var(&q.User, "user", 0, "only what the user of this `id` did")
	fs.StringVar(&q.Action, "action", "", "only this `action`: variable_created, or create")
	fs.StringVar(&q.TargetType, "target-type", "", "only with this `kind` of thing, such as variable")
	fs.StringVar(&q.DateFrom, "from", "", "first `day`, as 2026-01-31")
	fs.StringVar(&q.DateTo, "to", "", "last `day`")
	fs.IntVar(&limit, "limit", 100, "at most so many; 0 = all")
	config.CallOnly(fs, "user", "action", "target-type", "from", "to", "limit")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		r := output.Result{Columns: []string{"TIME", "BY", "FROM", "ACTION", "ID", "DETAILS"}}
		for e, err := range s.AuditLog(cmd.Context(), q) {
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, auditRow(e))
			if limit > 0 && len(r.Rows) == limit {
				break
			}
		}
		return a.write(r)
	})
}

func auditRow(e client.NestAuditEntry) output.Row {
	by := e.UserEmail
	if by == "" {
		by = e.UserName
	}
	details, _ := json.Marshal(e.Details) // it came as JSON
	return output.Row{
		Cells: []string{e.Time.UTC().Format(time.DateTime), by, e.IPAddress, e.Action, number(e.TargetID), string(details)}, Doc: e,
	}
}
