package vault

import (
	"slices"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

// office is an organization with somebody of every role, and something in it.
type office struct {
	*world
	organization, project, environment   uint64
	admin, editor, viewer, guest, target uint64
}

func newOffice(t testing.TB, change ...func(*Config)) *office {
	t.Helper()
	w := newWorld(t, change...)
	o := &office{world: w, admin: w.user("ada"), guest: w.user("gus")}
	o.organization = w.organization(o.admin, "Acme")
	o.editor = w.member(o.admin, o.organization, Editor, "ed")
	o.viewer = w.member(o.admin, o.organization, Viewer, "vi")
	o.target = w.member(o.admin, o.organization, Viewer, "tom")
	o.project = w.project(o.admin, o.organization, "Web")
	o.environment = w.environment(o.admin, o.project, "production")
	return o
}

// tries is how each action of this part of the layer is done.
var tries = map[Action][]func(*office, *Session) error{
	ReadOrganization: {
		func(o *office, s *Session) error { _, err := s.Organization(o.organization); return err },
		func(o *office, s *Session) error { _, err := s.Project(o.project); return err },
		func(o *office, s *Session) error { _, err := s.Environment(o.environment); return err },
		func(o *office, s *Session) error { _, err := s.ProjectEnvironments(o.project); return err },
	},
	UpdateOrganization: {func(o *office, s *Session) error {
		_, err := s.UpdateOrganization(o.organization, OrganizationFields{Name: ptr("New")})
		return err
	}},
	UpdateProject: {func(o *office, s *Session) error {
		_, err := s.UpdateProject(o.project, ProjectFields{Name: ptr("New")})
		return err
	}},
	UpdateEnvironment: {func(o *office, s *Session) error {
		_, err := s.UpdateEnvironment(o.environment, EnvironmentFields{Name: ptr("new")})
		return err
	}},
	DeleteOrganization: {func(o *office, s *Session) error { return s.DeleteOrganization(o.organization) }},
	DeleteProject:      {func(o *office, s *Session) error { return s.DeleteProject(o.project) }},
	DeleteEnvironment:  {func(o *office, s *Session) error { return s.DeleteEnvironment(o.environment) }},
	ListMembers:        {func(o *office, s *Session) error { _, err := s.Members(o.organization); return err }},
	InviteMember: {func(o *office, s *Session) error {
		_, err := s.Invite(o.organization, "gus@example.com", "viewer")
		return err
	}},
	ChangeRole: {func(o *office, s *Session) error {
		_, _, err := s.ChangeRole(o.organization, idText(o.target), "editor")
		return err
	}},
	RemoveMember: {func(o *office, s *Session) error {
		_, err := s.RemoveMember(o.organization, idText(o.target))
		return err
	}},
	// What is created names its place in the body: see creations.
	CreateProject:     {func(o *office, s *Session) error { return o.createProject(s) }},
	CreateEnvironment: {func(o *office, s *Session) error { return o.createEnvironment(s) }},
}

func idText(id uint64) string { return string(encodeID(id)) }

func (o *office) createProject(s *Session) error {
	_, err := s.CreateProject(ProjectFields{Name: ptr("Another"), Organization: &o.organization})
	return err
}

func (o *office) createEnvironment(s *Session) error {
	_, err := s.CreateEnvironment(EnvironmentFields{Name: ptr("another"), Project: &o.project})
	return err
}

// opened is the actions of which this file tests that they can be asked about;
// their doing is tested where they are.
var opened = []Action{ReadValue, CreateVariable, UpdateVariable, DeleteVariable, Import, Export, RollBack, ReadAudit, ManageWebhooks, ManageServiceTokens}

func TestRoleMatrix(t *testing.T) {
	yes, edit, admin := []Role{Admin, Editor, Viewer}, []Role{Admin, Editor}, []Role{Admin}
	want := map[Action][]Role{
		ReadOrganization: yes, ReadValue: edit, CreateProject: edit, CreateEnvironment: edit, CreateVariable: edit,
		UpdateOrganization: edit, UpdateProject: edit, UpdateEnvironment: edit, UpdateVariable: edit,
		DeleteOrganization: admin, DeleteProject: admin, DeleteEnvironment: admin, DeleteVariable: edit,
		Import: edit, Export: edit, RollBack: edit, ListMembers: yes, InviteMember: admin, ChangeRole: admin, RemoveMember: admin,
		ReadAudit: edit, ManageWebhooks: admin, ManageServiceTokens: edit,
	}
	if len(want) != len(Actions()) {
		t.Errorf("%d actions, want %d", len(Actions()), len(want))
	}
	refusing := newOffice(t) // one does for all: what is refused changes nothing
	for _, a := range Actions() {
		attempts := tries[a]
		if attempts == nil {
			if !slices.Contains(opened, a) {
				t.Errorf("%s is not tried", a)
			}
			attempts = []func(*office, *Session) error{func(o *office, s *Session) error {
				_, err := s.environment(o.environment, a)
				return err
			}}
		}
		for _, r := range []Role{Admin, Editor, Viewer, ""} {
			t.Run(string(a)+" as "+string(r), func(t *testing.T) {
				for _, try := range attempts {
					if slices.Contains(want[a], r) {
						newOffice(t).allows(t, r, try)
					} else {
						refusing.refuses(t, a, r, try)
					}
				}
			})
		}
	}
}

// doAs does something as somebody of a role, or as a guest.
func (o *office) doAs(r Role, try func(*office, *Session) error) error {
	who := map[Role]uint64{Admin: o.admin, Editor: o.editor, Viewer: o.viewer, "": o.guest}[r]
	return o.as(who, func(s *Session) error { return try(o, s) })
}

func (o *office) allows(t *testing.T, r Role, try func(*office, *Session) error) {
	t.Helper()
	if err := o.doAs(r, try); err != nil {
		t.Error(err)
	}
}

func (o *office) refuses(t *testing.T, a Action, r Role, try func(*office, *Session) error) {
	t.Helper()
	before := o.Commits()
	err := o.doAs(r, try)
	switch {
	case r != "":
		text := refusals[a]
		if text == "" {
			text = textForbidden
		}
		wantError(t, err, errs.Forbidden, text)
	case a == CreateProject:
		wantFields(t, err, FieldErrors{"organization": {`Invalid pk "1" - object does not exist.`}})
	case a == CreateEnvironment:
		wantFields(t, err, FieldErrors{"project": {`Invalid pk "1" - object does not exist.`}})
	default:
		wantError(t, err, errs.NotFound, "Not found.")
	}
	if o.Commits() != before {
		t.Error("something was written")
	}
}

func TestViewersMayExportIfTheOperatorSaysSo(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.ViewerExport = true })
	for _, c := range []struct {
		user uint64
		a    Action
		ok   bool
	}{{o.viewer, Export, true}, {o.viewer, ReadValue, false}, {o.viewer, Import, false}, {o.guest, Export, false}} {
		err := o.as(c.user, func(s *Session) error { _, err := s.environment(o.environment, c.a); return err })
		if (err == nil) != c.ok {
			t.Errorf("user %d, %s: %v", c.user, c.a, err)
		}
	}
}

func TestGrantsNothingToNobody(t *testing.T) {
	for _, a := range Actions() {
		for _, r := range []Role{"", "owner", "ADMIN"} {
			if Grants(r, a) || ValidRole(r) {
				t.Errorf("%q may %s", r, a)
			}
		}
	}
}
