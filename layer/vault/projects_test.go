package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

func TestProjectIsCreatedOnceDespiteConflicts(t *testing.T) {
	o := newOffice(t)
	var got Project
	o.ConflictNext(2)
	o.must(o.editor, func(s *Session) (err error) {
		got, err = s.CreateProject(ProjectFields{Name: ptr(" Web "), Organization: &o.organization}) // a name that another has
		return err
	})
	want := Project{
		ID: 2, Name: "Web", Organization: o.organization, OrganizationName: "Acme", Created: startSeconds, Updated: startSeconds,
	}
	if diff := cmp.Diff(want, got); diff != "" || o.keys(projectByte) != 2 || o.keys(projectsByte) != 2 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.must(o.viewer, func(s *Session) error {
		shown, err := s.Organization(o.organization)
		if shown.Projects != 2 {
			t.Errorf("%d projects", shown.Projects)
		}
		return err
	})
}

func TestProjectFields(t *testing.T) {
	const letters = "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots."
	o := newOffice(t)
	for _, c := range []struct {
		fields ProjectFields
		want   FieldErrors
	}{
		{ProjectFields{}, FieldErrors{"name": {textRequired}, "organization": {textRequired}}},
		{ProjectFields{Name: ptr("  "), Organization: &o.organization}, FieldErrors{"name": {textBlank}}},
		{ProjectFields{Name: ptr("x"), Organization: &o.organization}, FieldErrors{"name": {"Project name must be at least 2 characters long."}}},
		{ProjectFields{Name: ptr(strings.Repeat("x", 256)), Organization: &o.organization}, FieldErrors{"name": {"Ensure this field has no more than 255 characters."}}},
		{ProjectFields{Name: ptr("a\tb"), Organization: &o.organization}, FieldErrors{"name": {letters}}},
		{ProjectFields{Name: ptr("Café"), Organization: &o.organization}, FieldErrors{"name": {letters}}},
		{ProjectFields{Name: ptr("a/b"), Organization: ptr(uint64(999))}, FieldErrors{"name": {letters}, "organization": {`Invalid pk "999" - object does not exist.`}}},
		{ProjectFields{Name: ptr("A-b_c.d 9"), Organization: &o.organization}, nil},
	} {
		err := o.as(o.editor, func(s *Session) error { _, err := s.CreateProject(c.fields); return err })
		if (err == nil) != (c.want == nil) {
			t.Error(err)
		}
		wantFields(t, err, c.want)
	}
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countProjects, o.organization, MaxProjects); return nil })
	err := o.as(o.admin, o.createProject)
	wantFields(t, err, FieldErrors{"non_field_errors": {"Organization has reached the maximum number of projects."}})
}

func TestProjectList(t *testing.T) {
	o := newOffice(t)
	second := o.world.organization(o.admin, "Second")
	foreign := o.world.organization(o.guest, "Foreign")
	o.world.project(o.guest, foreign, "Secret web")
	o.world.project(o.admin, second, "webshop")
	o.world.project(o.admin, o.organization, "Other")
	o.must(o.admin, func(s *Session) error {
		_, err := s.UpdateProject(4, ProjectFields{Description: Description{true, ptr("our WEB presence")}})
		return err
	})
	for _, c := range []struct {
		user uint64
		f    ProjectFilter
		want []uint64
	}{
		{o.admin, ProjectFilter{}, []uint64{1, 3, 4}},
		{o.viewer, ProjectFilter{}, []uint64{1, 4}},
		{o.guest, ProjectFilter{}, []uint64{2}},
		{o.admin, ProjectFilter{Organization: second}, []uint64{3}},
		{o.admin, ProjectFilter{Organization: foreign}, nil},
		{o.admin, ProjectFilter{Organization: 999}, nil},
		{o.admin, ProjectFilter{Search: "Web"}, []uint64{1, 3, 4}},
		{o.admin, ProjectFilter{Search: "SHOP"}, []uint64{3}},
		{o.admin, ProjectFilter{Search: "web", Organization: o.organization}, []uint64{1, 4}},
		{o.admin, ProjectFilter{Search: "nothing"}, nil},
	} {
		o.must(c.user, func(s *Session) error {
			p, err := s.Projects(c.f, Paging{})
			var ids []uint64
			for _, item := range p.Items {
				ids = append(ids, item.ID)
			}
			if diff := cmp.Diff(c.want, ids); diff != "" || p.Count != len(c.want) {
				t.Errorf("user %d, %+v: count %d (-want +got):\n%s", c.user, c.f, p.Count, diff)
			}
			return err
		})
	}
}

func TestCreatorName(t *testing.T) {
	o := newOffice(t)
	o.must(o.admin, func(s *Session) error {
		row := *s.row
		row.First, row.Last = "Ada", "Lovelace"
		s.tx.Set(byID(userByte, s.user), encode(row), 0)
		return nil
	})
	o.must(o.viewer, func(s *Session) error {
		p, err := s.Project(o.project)
		if p.CreatorName != "Ada Lovelace" || p.Environments != 1 {
			t.Errorf("%+v", p)
		}
		return err
	})
}

func TestMovedProject(t *testing.T) {
	o := newOffice(t)
	second := o.world.organization(o.admin, "Second")
	foreign := o.world.organization(o.guest, "Foreign")
	o.variable(o.admin, o.environment, "KEY", "secret")
	o.variable(o.admin, o.environment, "EMPTY", "")
	moveTo := func(user, organization uint64) error {
		return o.as(user, func(s *Session) error {
			_, err := s.UpdateProject(o.project, ProjectFields{Organization: &organization})
			return err
		})
	}
	wantFields(t, moveTo(o.editor, second), FieldErrors{"organization": {`Invalid pk "2" - object does not exist.`}})
	wantFields(t, moveTo(o.admin, foreign), FieldErrors{"organization": {`Invalid pk "3" - object does not exist.`}})
	wantError(t, moveTo(o.viewer, second), errs.Forbidden, textForbidden)
	o.must(o.admin, func(s *Session) error { _, err := s.Invite(second, "ed@example.com", "viewer"); return err })
	wantError(t, moveTo(o.editor, second), errs.Forbidden, "You don't have permission to create projects in this organization.")

	o.Advance(time.Minute)
	o.ConflictNext(2)
	if err := moveTo(o.admin, second); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"KEY": "secret", "EMPTY": ""} {
		if got := o.value(o.admin, o.environment, name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	o.must(o.admin, func(s *Session) error {
		p, err := s.Project(o.project)
		if p.OrganizationName != "Second" || p.Updated != startSeconds+60 || p.Environments != 1 {
			t.Errorf("%+v", p)
		}
		for id, want := range map[uint64]int{o.organization: 0, second: 1} {
			if shown, err := s.Organization(id); err != nil || shown.Projects != want {
				t.Errorf("%+v, %v", shown, err)
			}
			if p, err := s.Projects(ProjectFilter{Organization: id}, Paging{}); err != nil || p.Count != want {
				t.Errorf("%+v, %v", p, err)
			}
		}
		return err
	})
	wantKind(t, o.as(o.target, func(s *Session) error { _, err := s.Environment(o.environment); return err }), errs.NotFound)
}

// Without its values sealed anew a moved project would not open any more.
func TestValuesAreBoundToTheirOrganization(t *testing.T) {
	o := newOffice(t)
	second := o.world.organization(o.admin, "Second")
	o.variable(o.admin, o.environment, "KEY", "secret")
	o.must(o.admin, func(s *Session) error {
		row, err := readRow[projectRow](s.tx, byID(projectByte, o.project))
		row.Organization = second
		s.tx.Set(byID(projectByte, o.project), encode(row), 0)
		return err
	})
	err := o.as(o.admin, func(s *Session) error {
		at, err := s.environment(o.environment, ReadValue)
		if err != nil {
			return err
		}
		row, err := readVariable(s.tx, byIDText(variableByte, o.environment, "KEY"))
		if err != nil {
			return err
		}
		_, err = s.openValue(at.organization, at.environment, "KEY", row.Value)
		return err
	})
	wantKind(t, err, errs.Internal)
}

func TestTooMuchIsNotMoved(t *testing.T) {
	o := newOffice(t)
	second := o.world.organization(o.admin, "Second")
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countVariables, o.environment, maxCascade+1); return nil })
	err := o.as(o.admin, func(s *Session) error {
		_, err := s.UpdateProject(o.project, ProjectFields{Organization: &second})
		return err
	})
	wantKind(t, err, errs.TooLarge)
}

func TestProjectIsDeletedWithAllThatIsInIt(t *testing.T) {
	o := newOffice(t)
	o.world.environment(o.admin, o.project, "staging")
	o.variable(o.admin, o.environment, "A", "1")
	o.variable(o.admin, o.environment, "B", "2")
	kept := o.world.environment(o.admin, o.world.project(o.admin, o.organization, "Kept"), "production")
	o.variable(o.admin, kept, "A", "3")
	o.ConflictNext(1)
	o.must(o.admin, func(s *Session) error { return s.DeleteProject(o.project) })
	for kind, want := range map[byte]int{
		projectByte: 1, projectsByte: 1, environmentByte: 1, environmentsByte: 1, nameByte: 1, variableByte: 1, variableIDByte: 1, variablesByte: 1,
	} {
		if got := o.keys(kind); got != want {
			t.Errorf("%d keys of kind %c are left, want %d", got, kind, want)
		}
	}
	if got := o.value(o.admin, kept, "A"); got != "3" {
		t.Errorf("what is elsewhere is %q", got)
	}
	o.must(o.admin, func(s *Session) error {
		shown, err := s.Organization(o.organization)
		if shown.Projects != 1 {
			t.Errorf("%d projects", shown.Projects)
		}
		return err
	})
}
