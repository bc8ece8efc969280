package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

func TestEnvironmentIsCreatedOnceDespiteConflicts(t *testing.T) {
	o := newOffice(t)
	var got Environment
	o.ConflictNext(2)
	o.must(o.editor, func(s *Session) (err error) {
		got, err = s.CreateEnvironment(EnvironmentFields{Name: ptr("Staging-EU"), Project: &o.project, Type: ptr("staging")})
		return err
	})
	want := Environment{
		ID: 2, Name: "staging-eu", Type: "staging", Project: o.project, ProjectName: "Web", Created: startSeconds, Updated: startSeconds,
		Versions: DefaultVersions,
	}
	if diff := cmp.Diff(want, got); diff != "" || o.keys(environmentByte) != 2 || o.keys(nameByte) != 2 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.must(o.viewer, func(s *Session) error {
		p, err := s.Project(o.project)
		if p.Environments != 2 {
			t.Errorf("%d environments", p.Environments)
		}
		return err
	})
}

func TestEnvironmentFields(t *testing.T) {
	const letters = "Environment name can only contain letters, numbers, hyphens, and underscores."
	o := newOffice(t)
	for _, c := range []struct {
		fields EnvironmentFields
		want   FieldErrors
	}{
		{EnvironmentFields{}, FieldErrors{"name": {textRequired}, "project": {textRequired}}},
		{EnvironmentFields{Name: ptr(""), Project: &o.project}, FieldErrors{"name": {textBlank}}},
		{EnvironmentFields{Name: ptr("x"), Project: &o.project}, FieldErrors{"name": {"Environment name must be at least 2 characters long."}}},
		{EnvironmentFields{Name: ptr(strings.Repeat("x", 101)), Project: &o.project}, FieldErrors{"name": {"Ensure this field has no more than 100 characters."}}},
		{EnvironmentFields{Name: ptr("a b"), Project: &o.project}, FieldErrors{"name": {letters}}},
		{EnvironmentFields{Name: ptr("qa"), Project: &o.project, Type: ptr("qa")}, FieldErrors{"environment_type": {`"qa" is not a valid choice.`}}},
		{EnvironmentFields{Name: ptr("qa"), Project: ptr(uint64(99))}, FieldErrors{"project": {`Invalid pk "99" - object does not exist.`}}},
		{EnvironmentFields{Name: ptr("PRODUCTION"), Project: &o.project}, FieldErrors{"name": {"An environment with this name already exists in this project."}}},
		{EnvironmentFields{Name: ptr("Q_a-1"), Project: &o.project}, nil},
	} {
		err := o.as(o.editor, func(s *Session) error { _, err := s.CreateEnvironment(c.fields); return err })
		if (err == nil) != (c.want == nil) {
			t.Error(err)
		}
		wantFields(t, err, c.want)
	}
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countEnvironments, o.project, MaxEnvironments); return nil })
	err := o.as(o.admin, o.createEnvironment)
	wantFields(t, err, FieldErrors{"non_field_errors": {"Project has reached the maximum number of environments."}})
}

func TestNameOfEnvironmentIsTakenOnce(t *testing.T) {
	o := newOffice(t)
	create := func(s *Session) error {
		_, err := s.CreateEnvironment(EnvironmentFields{Name: ptr("staging"), Project: &o.project})
		return err
	}
	raced := false
	err := o.as(o.editor, func(s *Session) error {
		err := create(s)
		if !raced {
			raced = true
			o.must(o.admin, create)
		}
		return err
	})
	wantError(t, err, errs.Exists, "An environment with this name already exists in this project.")
	if got := o.keys(environmentByte); got != 2 {
		t.Errorf("%d environments, want 2", got)
	}
	o.world.environment(o.admin, o.world.project(o.admin, o.organization, "Other"), "staging") // another project may
}

func TestEnvironmentUpdate(t *testing.T) {
	o := newOffice(t)
	o.variable(o.admin, o.environment, "KEY", "v")
	second := o.world.project(o.admin, o.organization, "Second")
	o.world.environment(o.admin, o.project, "staging")
	update := func(f EnvironmentFields) (got Environment, err error) {
		err = o.as(o.editor, func(s *Session) (err error) { got, err = s.UpdateEnvironment(o.environment, f); return err })
		return got, err
	}
	o.Advance(time.Second)
	o.ConflictNext(1)
	got, err := update(EnvironmentFields{Name: ptr("LIVE"), Type: ptr("production"), Project: &o.project})
	if err != nil {
		t.Fatal(err)
	}
	want := Environment{
		ID: o.environment, Name: "live", Type: "production", Project: o.project, ProjectName: "Web",
		Created: startSeconds, Updated: startSeconds + 1, Variables: 1, Versions: DefaultVersions,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := o.value(o.admin, o.environment, "KEY"); got != "v" {
		t.Errorf("the value is %q", got)
	}
	o.world.environment(o.admin, o.project, "production") // the old name is free
	for _, c := range []struct {
		fields EnvironmentFields
		want   FieldErrors
	}{
		{EnvironmentFields{Name: ptr("Staging")}, FieldErrors{"name": {"An environment with this name already exists in this project."}}},
		{EnvironmentFields{Whole: true}, FieldErrors{"name": {textRequired}, "project": {textRequired}}},
		{EnvironmentFields{Project: &second}, FieldErrors{"project": {"An environment cannot be moved to another project."}}},
		{EnvironmentFields{Project: ptr(uint64(99))}, FieldErrors{"project": {`Invalid pk "99" - object does not exist.`}}},
		{EnvironmentFields{Name: ptr("live")}, nil},
	} {
		_, err := update(c.fields)
		wantFields(t, err, c.want)
	}
}

func TestEnvironmentList(t *testing.T) {
	o := newOffice(t)
	second := o.world.project(o.admin, o.world.organization(o.admin, "Second"), "Second")
	foreign := o.world.project(o.guest, o.world.organization(o.guest, "Foreign"), "Foreign")
	o.world.environment(o.admin, second, "live")
	o.world.environment(o.guest, foreign, "live")
	o.must(o.admin, func(s *Session) error {
		_, err := s.CreateEnvironment(EnvironmentFields{Name: ptr("qa"), Project: &o.project, Type: ptr("testing")})
		return err
	})
	for _, c := range []struct {
		user uint64
		f    EnvironmentFilter
		want []uint64
	}{
		{o.admin, EnvironmentFilter{}, []uint64{1, 2, 4}},
		{o.viewer, EnvironmentFilter{}, []uint64{1, 4}},
		{o.admin, EnvironmentFilter{Project: o.project}, []uint64{1, 4}},
		{o.admin, EnvironmentFilter{Project: foreign}, nil},
		{o.admin, EnvironmentFilter{Project: 999}, nil},
		{o.admin, EnvironmentFilter{Type: "testing"}, []uint64{4}},
		{o.admin, EnvironmentFilter{Type: "development", Project: o.project}, []uint64{1}},
	} {
		o.must(c.user, func(s *Session) error {
			p, err := s.Environments(c.f, Paging{})
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
	err := o.as(o.admin, func(s *Session) error { _, err := s.Environments(EnvironmentFilter{Type: "x"}, Paging{}); return err })
	wantFields(t, err, FieldErrors{"environment_type": {`"x" is not a valid choice.`}})
	o.must(o.viewer, func(s *Session) error {
		all, err := s.ProjectEnvironments(o.project)
		if len(all) != 2 || all[0].ID != 1 || all[1].ID != 4 {
			t.Errorf("%+v", all)
		}
		return err
	})
}

func TestEnvironmentIsDeletedWithItsVariables(t *testing.T) {
	o := newOffice(t)
	o.variable(o.admin, o.environment, "A", "1")
	kept := o.world.environment(o.admin, o.project, "staging")
	o.variable(o.admin, kept, "A", "2")
	o.ConflictNext(1)
	o.must(o.admin, func(s *Session) error { return s.DeleteEnvironment(o.environment) })
	for kind, want := range map[byte]int{environmentByte: 1, environmentsByte: 1, nameByte: 1, variableByte: 1, variableIDByte: 1, variablesByte: 1} {
		if got := o.keys(kind); got != want {
			t.Errorf("%d keys of kind %c are left, want %d", got, kind, want)
		}
	}
	if id := o.world.environment(o.admin, o.project, "production"); id != 3 {
		t.Errorf("an id was given again, or the name is still taken: %d", id)
	}
}

// A variable that is created while its environment is deleted does not outlive it.
func TestVariableCreatedDuringDeletion(t *testing.T) {
	o := newOffice(t)
	raced := false
	o.must(o.admin, func(s *Session) error {
		err := s.DeleteProject(o.project)
		if !raced {
			raced = true
			o.variable(o.admin, o.environment, "LATE", "v")
		}
		return err
	})
	if o.keys(variableByte) != 0 || o.keys(variableIDByte) != 0 || o.keys(variablesByte) != 0 {
		t.Error("the variable is still there")
	}
}
