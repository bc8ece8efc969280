package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newNestOrgs() *cobra.Command {
	cmd := newGroup("orgs", "List, create, change and delete organizations",
		a.newOrgList(), a.newOrgShow(), a.newOrgCreate(), a.newOrgUpdate(), a.newOrgDelete())
	cmd.Aliases = []string{"org", "organizations", "organization"}
	return cmd
}

func organizations(all ...client.NestOrganization) output.Result {
	r := output.Result{Columns: []string{"ID", "NAME", "ROLE", "MEMBERS", "PROJECTS", "DESCRIPTION"}}
	for _, o := range all {
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{number(o.ID), o.Name, o.Role, fmt.Sprint(o.Members), fmt.Sprint(o.Projects), orEmpty(o.Description)}, Doc: o,
		})
	}
	if len(all) == 1 {
		r.Doc = all[0]
	}
	return r
}

func (a *app) newOrgList() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "list", Short: "List the organizations that you are a member of", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		return writeAll(a, organizations(), s.Organizations(cmd.Context()), func(o client.NestOrganization) output.Row { return organizations(o).Rows[0] })
	})
}

// orgVerb makes cmd a verb on one organization, its first argument.
func (v *nestVerb) orgVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, org uint64) error) *cobra.Command {
	a.completeArgs(cmd, v, organizationNames)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		org, err := s.find.Organization(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return run(cmd, s, org)
	})
}

func (a *app) newOrgShow() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "show ORGANIZATION", Short: "Show an organization, by its id or name", Args: takes(1, 1)}
	return v.orgVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64) error {
		o, err := s.Organization(cmd.Context(), org)
		if err != nil {
			return err
		}
		return a.write(organizations(o))
	})
}

func (a *app) newOrgCreate() *cobra.Command {
	var v nestVerb
	var t textFlags
	cmd := &cobra.Command{Use: "create NAME", Short: "Create an organization, and print its id", Args: takes(1, 1)}
	t.add(cmd.Flags(), false)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		text := t.of(cmd.Flags())
		text.Name = &args[0]
		o, err := s.CreateOrganization(cmd.Context(), text)
		if err != nil {
			return err
		}
		return a.created(o.ID, o.Name, o)
	})
}

func (a *app) newOrgUpdate() *cobra.Command {
	var v nestVerb
	var t textFlags
	cmd := &cobra.Command{Use: "update ORGANIZATION", Short: "Change the name or description of an organization", Args: takes(1, 1)}
	t.add(cmd.Flags(), true)
	return v.orgVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64) error {
		o, err := s.UpdateOrganization(cmd.Context(), org, t.of(cmd.Flags()))
		if err != nil {
			return err
		}
		return a.changed(o.ID, o.Name, o)
	})
}

func (a *app) newOrgDelete() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "delete ORGANIZATION", Short: "Delete an organization with all that is in it", Args: takes(1, 1)}
	yesFlag(cmd, &yes)
	return v.orgVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64) error {
		o, err := s.Organization(cmd.Context(), org)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("Delete organization %d (%s) with %s", o.ID, output.Clean(o.Name), counted(o.Projects, "project", "projects"))
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return s.DeleteOrganization(cmd.Context(), org)
	})
}

func (a *app) newNestMembers() *cobra.Command {
	cmd := newGroup("members", "List, invite and remove members of an organization, and change their roles",
		a.newMemberList(), a.newMemberInvite(), a.newMemberRole(), a.newMemberRemove())
	cmd.Aliases = []string{"member"}
	return cmd
}

// memberVerb makes cmd a verb on the organization that --org names.
func (v *nestVerb) memberVerb(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, s *nestSession, org uint64, args []string) error) *cobra.Command {
	var org string
	cmd.Flags().StringVar(&org, "org", "", "`organization`: its id or name (required)")
	config.CallOnly(cmd.Flags(), "org")
	a.completeFlag(cmd, "org", v, organizationNames)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		if org == "" {
			return usagef("which organization is missing: give --org")
		}
		id, err := s.find.Organization(cmd.Context(), org)
		if err != nil {
			return err
		}
		return run(cmd, s, id, args)
	})
}

func members(all ...client.NestMember) output.Result {
	r := output.Result{Columns: []string{"ID", "EMAIL", "USERNAME", "ROLE", "JOINED"}}
	for _, m := range all {
		r.Rows = append(r.Rows, output.Row{Cells: []string{number(m.ID), m.Email, m.Username, m.Role, stamped(m.Joined, "")}, Doc: m})
	}
	return r
}

func (a *app) newMemberList() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "list", Short: "List the members of an organization", Args: takes(0, 0)}
	return v.memberVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64, _ []string) error {
		all, err := s.Members(cmd.Context(), org)
		if err != nil {
			return err
		}
		return a.write(members(all...))
	})
}

// roles are what a member can be.
var roles = []string{"admin", "editor", "viewer"}

func checkRole(role string) error {
	if !slices.Contains(roles, role) {
		return usagef("the role %q is none of admin, editor, viewer", role)
	}
	return nil
}

func (a *app) newMemberInvite() *cobra.Command {
	var v nestVerb
	var role string
	cmd := &cobra.Command{Use: "invite EMAIL", Short: "Make a user who has an account a member", Args: takes(1, 1)}
	cmd.Flags().StringVar(&role, "role", "viewer", "admin, editor or viewer")
	config.CallOnly(cmd.Flags(), "role")
	completeFrom(cmd, "role", roles)
	return v.memberVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64, args []string) error {
		if err := checkRole(role); err != nil {
			return err
		}
		m, err := s.Invite(cmd.Context(), org, args[0], role)
		if err != nil {
			return err
		}
		return a.changed(m.ID, m.Email, m)
	})
}

func (a *app) newMemberRole() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{
		Use: "role MEMBER ROLE", Short: "Change what a member may do: admin, editor or viewer", Args: takes(2, 2),
		Long: "Change what a member may do: admin, editor or viewer. MEMBER is an e-mail address, a\nuser name or a user's id.",
	}
	return v.memberVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64, args []string) error {
		if err := checkRole(args[1]); err != nil {
			return err
		}
		user, err := s.find.Member(cmd.Context(), org, args[0])
		if err != nil {
			return err
		}
		m, err := s.SetRole(cmd.Context(), org, user, args[1])
		if err != nil {
			return err
		}
		return a.changed(m.ID, m.Email, m)
	})
}

func (a *app) newMemberRemove() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "remove MEMBER", Short: "End a membership; MEMBER is an e-mail address, a user name or a user's id", Args: takes(1, 1)}
	yesFlag(cmd, &yes)
	return v.memberVerb(a, cmd, func(cmd *cobra.Command, s *nestSession, org uint64, args []string) error {
		user, err := s.find.Member(cmd.Context(), org, args[0])
		if err != nil {
			return err
		}
		if err := a.confirm(cmd.Context(), yes, fmt.Sprintf("Remove %s from organization %d", output.Clean(args[0]), org)); err != nil {
			return err
		}
		return s.RemoveMember(cmd.Context(), org, user)
	})
}
