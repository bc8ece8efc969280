package vault

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/kvtest"
)

const startSeconds = kvtest.Start / 1000

func TestOrganizationIsCreatedOnceDespiteConflicts(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada")
	runs := 0
	var got Organization
	w.ConflictNext(2)
	w.must(ada, func(s *Session) (err error) {
		runs++
		got, err = s.CreateOrganization(OrganizationFields{Name: ptr("  Acme Corp "), Description: Description{true, ptr("d")}})
		return err
	})
	want := Organization{
		ID: 1, Name: "Acme Corp", Description: ptr("d"), Created: startSeconds, Updated: startSeconds, Members: 1, Role: Admin,
	}
	if diff := cmp.Diff(want, got); diff != "" || runs != 3 {
		t.Errorf("%d runs (-want +got):\n%s", runs, diff)
	}
	for kind, n := range map[byte]int{organizationByte: 1, membershipByte: 1, memberOfByte: 1, auditByte: 1} {
		if got := w.keys(kind); got != n {
			t.Errorf("%d keys of kind %c, want %d", got, kind, n)
		}
	}
}

func TestOrganizationNames(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"", textBlank},
		{"  ", textBlank},
		{" a ", "Organization name must be at least 2 characters long."},
		{strings.Repeat("ä", 256), "Ensure this field has no more than 255 characters."},
		{"Acme\nPATH=/evil", textControl},
		{"Acme\x00", textControl},
		{"Acme\u2028x", textControl},
		{"Acme\xff", textControl},
		{strings.Repeat("ä", 255), ""},
		{"Ada's Organization", ""},
	} {
		w := newWorld(t)
		err := w.as(w.user("ada"), func(s *Session) error {
			_, err := s.CreateOrganization(OrganizationFields{Name: &c.name})
			return err
		})
		var want FieldErrors
		if c.text != "" {
			want = FieldErrors{"name": {c.text}}
			wantKind(t, err, errs.Invalid)
		}
		wantFields(t, err, want)
	}
	w := newWorld(t)
	err := w.as(w.user("ada"), func(s *Session) error {
		_, err := s.CreateOrganization(OrganizationFields{Description: Description{true, ptr("a\x00")}})
		return err
	})
	wantFields(t, err, FieldErrors{"name": {textRequired}, "description": {textNUL}})
}

func TestOwnOrganizationsHaveDifferentNames(t *testing.T) {
	w := newWorld(t)
	ada, ben := w.user("ada"), w.user("ben")
	first := w.organization(ada, "Acme")
	second := w.organization(ada, "Other")
	w.organization(ben, "ACME") // somebody else's may
	create := func(s *Session) error {
		_, err := s.CreateOrganization(OrganizationFields{Name: ptr("aCME")})
		return err
	}
	rename := func(id uint64, name string) func(s *Session) error {
		return func(s *Session) error {
			_, err := s.UpdateOrganization(id, OrganizationFields{Name: &name})
			return err
		}
	}
	for _, fn := range []func(*Session) error{create, rename(second, "acme")} {
		err := w.as(ada, fn)
		wantError(t, err, errs.Exists, "You already have an organization with this name.")
		wantFields(t, err, FieldErrors{"name": {"You already have an organization with this name."}})
	}
	w.must(ada, rename(first, "ACME")) // itself
}

func TestOrganizationUpdateKeepsWhatItDoesNotName(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada")
	id := w.organization(ada, "Acme")
	update := func(f OrganizationFields) (got Organization, err error) {
		err = w.as(ada, func(s *Session) (err error) { got, err = s.UpdateOrganization(id, f); return err })
		return got, err
	}
	if got, err := update(OrganizationFields{Description: Description{true, ptr("about")}}); err != nil || got.Name != "Acme" || *got.Description != "about" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := update(OrganizationFields{Name: ptr("Acme 2")}); err != nil || got.Name != "Acme 2" || *got.Description != "about" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := update(OrganizationFields{Description: Description{Given: true}}); err != nil || got.Description != nil {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := update(OrganizationFields{Whole: true})
	wantFields(t, err, FieldErrors{"name": {textRequired}})
}

func TestOrganizationIsDeletedWithAllThatIsInIt(t *testing.T) {
	o := newOffice(t)
	other := o.organization1("Other")
	kept := o.world.project(o.admin, other, "Kept")
	o.variable(o.admin, o.environment, "KEY", "v")
	o.variable(o.admin, o.world.environment(o.admin, kept, "prod"), "KEY", "v")
	o.ConflictNext(1)
	o.must(o.admin, func(s *Session) error { return s.DeleteOrganization(o.organization) })
	for kind, want := range map[byte]int{
		organizationByte: 1, membershipByte: 1, memberOfByte: 1, projectByte: 1, projectsByte: 1,
		environmentByte: 1, environmentsByte: 1, nameByte: 1, variableByte: 1, variableIDByte: 1, variablesByte: 1, countByte: 4, headByte: 2,
	} {
		if got := o.keys(kind); got != want {
			t.Errorf("%d keys of kind %c are left, want %d", got, kind, want)
		}
	}
	if id := o.organization1("Third"); id != 3 {
		t.Errorf("an id was given again: %d", id)
	}
}

func (o *office) organization1(name string) uint64 { return o.world.organization(o.admin, name) }

func TestTooMuchIsNotDeletedAtOnce(t *testing.T) {
	o := newOffice(t)
	o.must(o.admin, func(s *Session) error { addCount(s.tx, countVariables, o.environment, maxCascade); return nil })
	for _, fn := range []func(*Session) error{
		func(s *Session) error { return s.DeleteEnvironment(o.environment) },
		func(s *Session) error { return s.DeleteProject(o.project) },
		func(s *Session) error { return s.DeleteOrganization(o.organization) },
	} {
		wantKind(t, o.as(o.admin, fn), errs.TooLarge)
	}
	if o.keys(environmentByte) != 1 {
		t.Error("the environment is gone")
	}
}

func TestUserHasOnlySoManyOrganizations(t *testing.T) {
	o := newOffice(t)
	o.must(o.guest, func(s *Session) error {
		for id := range uint64(MaxOrganizations) {
			s.tx.Set(byIDs(memberOfByte, o.guest, 1000+id), nil, 0)
		}
		return nil
	})
	err := o.as(o.guest, func(s *Session) error {
		_, err := s.CreateOrganization(OrganizationFields{Name: ptr("One more")})
		return err
	})
	wantFields(t, err, FieldErrors{"non_field_errors": {"You have reached the maximum number of organizations."}})
	err = o.as(o.admin, func(s *Session) error { _, err := s.Invite(o.organization, "gus@example.com", ""); return err })
	wantKind(t, err, errs.Invalid)
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada")
	for i := range 45 {
		w.organization(ada, "Org "+idText(uint64(100+i)))
	}
	for _, c := range []struct {
		p           Paging
		first, n    int
		number, siz int
	}{
		{Paging{}, 1, 20, 1, 20},
		{Paging{Number: 3}, 41, 5, 3, 20},
		{Paging{Last: true}, 41, 5, 3, 20},
		{Paging{Number: 2, Size: 40}, 41, 5, 2, 40},
		{Paging{Size: 100}, 1, 45, 1, 100},
		{Paging{Last: true, Size: 45}, 1, 45, 1, 45},
	} {
		var got Page[Organization]
		w.must(ada, func(s *Session) (err error) { got, err = s.Organizations(c.p); return err })
		if got.Count != 45 || len(got.Items) != c.n || got.Items[0].ID != uint64(c.first) || got.Number != c.number || got.Size != c.siz {
			t.Errorf("%+v: %d of %d from %d, page %d of size %d", c.p, len(got.Items), got.Count, got.Items[0].ID, got.Number, got.Size)
		}
	}
	for _, p := range []Paging{{Number: 4}, {Number: -1}, {Size: 101}, {Size: -1}} {
		err := w.as(ada, func(s *Session) error { _, err := s.Organizations(p); return err })
		wantError(t, err, errs.NotFound, "Invalid page.")
	}
	w.must(w.user("ben"), func(s *Session) error {
		got, err := s.Organizations(Paging{Last: true})
		if got.Count != 0 || len(got.Items) != 0 || got.Number != 1 {
			t.Errorf("%+v", got)
		}
		return err
	})
}
