package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newNestEnvs() *cobra.Command {
	cmd := newGroup("env", "List, create, change and delete environments; export and import variables",
		a.newEnvList(), a.newEnvShow(), a.newEnvCreate(), a.newEnvUpdate(), a.newEnvDelete(),
		a.newEnvExport(), a.newEnvImport(), a.newNestDiff(), a.newNestCopy(), a.newNestPromote(), a.newEnvRollback())
	cmd.Aliases = []string{"envs", "environment", "environments"}
	return cmd
}

func environments(all ...client.NestEnvironment) output.Result {
	r := output.Result{Columns: []string{"ID", "NAME", "PROJECT", "TYPE", "VARIABLES", "DESCRIPTION"}}
	for _, e := range all {
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{number(e.ID), e.Name, e.ProjectName, e.Type, fmt.Sprint(e.Variables), orEmpty(e.Description)}, Doc: e,
		})
	}
	if len(all) == 1 {
		r.Doc = all[0]
	}
	return r
}

// kinds are the types of environments.
var kinds = []string{"development", "staging", "production", "testing"}

// kindFlag is the type of an environment.
type kindFlag struct{ text string }

func (k *kindFlag) add(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&k.text, "type", "", "development, staging, production or testing"+usage)
	config.CallOnly(cmd.Flags(), "type")
	completeFrom(cmd, "type", kinds)
}

func (a *app) newEnvList() *cobra.Command {
	var v nestVerb
	var project projectFlag
	var kind kindFlag
	cmd := &cobra.Command{Use: "list", Short: "List environments", Args: takes(0, 0)}
	project.add(a, &v, cmd, " (default all)")
	kind.add(cmd, " (default all)")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		in, err := project.id(cmd, s)
		if err != nil {
			return err
		}
		all := s.Environments(cmd.Context(), in, kind.text)
		return writeAll(a, environments(), all, func(e client.NestEnvironment) output.Row { return environments(e).Rows[0] })
	})
}

// envVerb makes cmd a verb on one environment: its argument, or --env.
func (v *nestVerb) envVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, env uint64) error) *cobra.Command {
	var env envFlag
	env.add(a, v, cmd)
	a.completeArgs(cmd, v, environmentNames)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		if len(args) == 1 {
			if env.text != "" {
				return usagef("an environment as an argument and --env exclude each other")
			}
			env.text = args[0]
		}
		id, err := env.id(cmd, s)
		if err != nil {
			return err
		}
		return run(cmd, s, id)
	})
}

func (a *app) newEnvShow() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "show [ENVIRONMENT]", Short: "Show an environment, by its id or as PROJECT/ENVIRONMENT", Args: takes(0, 1)}
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		e, err := s.Environment(cmd.Context(), env)
		if err != nil {
			return err
		}
		return a.write(environments(e))
	})
}

func (a *app) newEnvCreate() *cobra.Command {
	var v nestVerb
	var project projectFlag
	var kind kindFlag
	var t textFlags
	var versions int
	cmd := &cobra.Command{Use: "create NAME", Short: "Create an environment, and print its id", Args: takes(1, 1)}
	project.add(a, &v, cmd, " (required)")
	kind.add(cmd, " (default development)")
	t.add(cmd.Flags(), false)
	versionsFlag(cmd, &versions)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		in, err := project.id(cmd, s)
		if err == nil && in == 0 {
			err = usagef("which project is missing: give --project")
		}
		if err != nil {
			return err
		}
		text := t.of(cmd.Flags())
		text.Name = &args[0]
		e, err := s.CreateEnvironment(cmd.Context(), in, client.NestEnvironmentFields{NestText: text, Type: kind.text, Versions: versions})
		if err != nil {
			return err
		}
		return a.created(e.ID, e.Name, e)
	})
}

func (a *app) newEnvUpdate() *cobra.Command {
	var v nestVerb
	var kind kindFlag
	var t textFlags
	var versions int
	cmd := &cobra.Command{Use: "update [ENVIRONMENT]", Short: "Change the name, type, description or number of versions of an environment", Args: takes(0, 1)}
	kind.add(cmd, "")
	t.add(cmd.Flags(), true)
	versionsFlag(cmd, &versions)
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		e, err := s.UpdateEnvironment(cmd.Context(), env,
			client.NestEnvironmentFields{NestText: t.of(cmd.Flags()), Type: kind.text, Versions: versions})
		if err != nil {
			return err
		}
		return a.changed(e.ID, e.Name, e)
	})
}

// versionsFlag adds the flag for how many versions of each variable are kept.
func versionsFlag(cmd *cobra.Command, versions *int) {
	cmd.Flags().IntVar(versions, "max-versions", 0, "how many versions of each variable to keep, 1 to 100 (10 at first)")
}

func (a *app) newEnvDelete() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "delete [ENVIRONMENT]", Short: "Delete an environment with its variables", Args: takes(0, 1)}
	yesFlag(cmd, &yes)
	return v.envVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, env uint64) error {
		e, err := s.Environment(cmd.Context(), env)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("Delete environment %d (%s/%s) with %s",
			e.ID, output.Clean(e.ProjectName), output.Clean(e.Name), counted(e.Variables, "variable", "variables"))
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return s.DeleteEnvironment(cmd.Context(), env)
	})
}
