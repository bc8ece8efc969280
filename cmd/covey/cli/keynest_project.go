package cli

import (
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

// writeAll adds a row for each thing of a list to r, and writes it.
func writeAll[T any](a *app, r output.Result, all iter.Seq2[T, error], row func(T) output.Row) error {
	for t, err := range all {
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, row(t))
	}
	return a.write(r)
}

func (a *app) newNestProjects() *cobra.Command {
	cmd := newGroup("projects", "List, create, change and delete projects",
		a.newProjectList(), a.newProjectShow(), a.newProjectCreate(), a.newProjectUpdate(), a.newProjectDelete())
	cmd.Aliases = []string{"project"}
	return cmd
}

func projects(all ...client.NestProject) output.Result {
	r := output.Result{Columns: []string{"ID", "NAME", "ORGANIZATION", "ENVIRONMENTS", "DESCRIPTION"}}
	for _, p := range all {
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{number(p.ID), p.Name, p.OrganizationName, fmt.Sprint(p.Environments), orEmpty(p.Description)}, Doc: p,
		})
	}
	if len(all) == 1 {
		r.Doc = all[0]
	}
	return r
}

// orgFlag is an organization that may be left out.
type orgFlag struct{ text string }

func (o *orgFlag) add(a *app, v *nestVerb, cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&o.text, "org", "", "`organization`: its id or name"+usage)
	config.CallOnly(cmd.Flags(), "org")
	a.completeFlag(cmd, "org", v, organizationNames)
}

// id returns the organization's id, 0 if it was left out.
func (o *orgFlag) id(cmd *cobra.Command, s *nestSession) (uint64, error) {
	if o.text == "" {
		return 0, nil
	}
	return s.find.Organization(cmd.Context(), o.text)
}

// projectFlag is the same for a project.
type projectFlag struct{ text string }

func (p *projectFlag) add(a *app, v *nestVerb, cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&p.text, "project", "", "`project`: its id or name"+usage)
	config.CallOnly(cmd.Flags(), "project")
	a.completeFlag(cmd, "project", v, projectNames)
}

func (p *projectFlag) id(cmd *cobra.Command, s *nestSession) (uint64, error) {
	if p.text == "" {
		return 0, nil
	}
	return s.find.Project(cmd.Context(), p.text)
}

func (a *app) newProjectList() *cobra.Command {
	var v nestVerb
	var org orgFlag
	var search string
	cmd := &cobra.Command{Use: "list", Short: "List projects", Args: takes(0, 0)}
	org.add(a, &v, cmd, " (default all)")
	cmd.Flags().StringVar(&search, "search", "", "only those with this `text` in name or description")
	config.CallOnly(cmd.Flags(), "search")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		in, err := org.id(cmd, s)
		if err != nil {
			return err
		}
		return writeAll(a, projects(), s.Projects(cmd.Context(), in, search), func(p client.NestProject) output.Row { return projects(p).Rows[0] })
	})
}

// projectVerb makes cmd a verb on one project, its argument.
func (v *nestVerb) projectVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, project uint64) error) *cobra.Command {
	a.completeArgs(cmd, v, projectNames)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		id, err := s.find.Project(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return run(cmd, s, id)
	})
}

func (a *app) newProjectShow() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "show PROJECT", Short: "Show a project, by its id or name", Args: takes(1, 1)}
	return v.projectVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64) error {
		p, err := s.Project(cmd.Context(), id)
		if err != nil {
			return err
		}
		return a.write(projects(p))
	})
}

func (a *app) newProjectCreate() *cobra.Command {
	var v nestVerb
	var org orgFlag
	var t textFlags
	cmd := &cobra.Command{Use: "create NAME", Short: "Create a project, and print its id", Args: takes(1, 1)}
	org.add(a, &v, cmd, " (required)")
	t.add(cmd.Flags(), false)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		in, err := org.id(cmd, s)
		if err == nil && in == 0 {
			err = usagef("which organization is missing: give --org")
		}
		if err != nil {
			return err
		}
		text := t.of(cmd.Flags())
		text.Name = &args[0]
		p, err := s.CreateProject(cmd.Context(), in, text)
		if err != nil {
			return err
		}
		return a.created(p.ID, p.Name, p)
	})
}

func (a *app) newProjectUpdate() *cobra.Command {
	var v nestVerb
	var org orgFlag
	var t textFlags
	cmd := &cobra.Command{Use: "update PROJECT", Short: "Change the name or description of a project, or move it", Args: takes(1, 1)}
	org.add(a, &v, cmd, " to move it to")
	t.add(cmd.Flags(), true)
	return v.projectVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64) error {
		to, err := org.id(cmd, s)
		if err != nil {
			return err
		}
		p, err := s.UpdateProject(cmd.Context(), id, to, t.of(cmd.Flags()))
		if err != nil {
			return err
		}
		return a.changed(p.ID, p.Name, p)
	})
}

func (a *app) newProjectDelete() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "delete PROJECT", Short: "Delete a project with all that is in it", Args: takes(1, 1)}
	yesFlag(cmd, &yes)
	return v.projectVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, id uint64) error {
		p, err := s.Project(cmd.Context(), id)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("Delete project %d (%s) with %s", p.ID, output.Clean(p.Name), counted(p.Environments, "environment", "environments"))
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return s.DeleteProject(cmd.Context(), id)
	})
}
