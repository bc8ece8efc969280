package vault

import (
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestIDsHaveNoGaps(t *testing.T) {
	w := newWorld(t)
	take := func(what string) (id uint64, err error) {
		_, err = w.DB.Update(t.Context(), func(tx *kv.Tx) error {
			if id, err = nextID(tx, what); err != nil {
				return err
			}
			if id == 3 && what == "project" {
				return errs.E(errs.Invalid, "thought better of it")
			}
			return nil
		})
		return id, err
	}
	for want := range uint64(2) {
		w.ConflictNext(1)
		if id, err := take("project"); err != nil || id != want+1 {
			t.Errorf("%d, %v, want %d", id, err, want+1)
		}
	}
	for range 2 { // what was not committed was not taken
		if id, err := take("project"); err == nil || id != 3 {
			t.Errorf("%d, %v", id, err)
		}
	}
	if id, err := take("environment"); err != nil || id != 1 {
		t.Errorf("%d, %v", id, err)
	}
}

func TestDamagedRowsAreOurFault(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		key []byte
		do  func(*Session) error
	}{
		"organization": {byID(organizationByte, o.organization), func(s *Session) error { _, err := s.Organization(o.organization); return err }},
		"membership":   {byIDs(membershipByte, o.organization, o.viewer), func(s *Session) error { _, err := s.Organization(o.organization); return err }},
		"project":      {byID(projectByte, o.project), func(s *Session) error { _, err := s.Project(o.project); return err }},
		"environment":  {byID(environmentByte, o.environment), func(s *Session) error { _, err := s.Environment(o.environment); return err }},
		"counter":      {countKey(countProjects, o.organization), func(s *Session) error { _, err := s.Organization(o.organization); return err }},
		"last id":      {byText(idByte, "project"), func(s *Session) error { _, err := nextID(s.tx, "project"); return err }},
		"name": {byIDText(nameByte, o.project, "production"), func(s *Session) error {
			return s.claimName(o.project, "production", 9)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := o.as(o.viewer, func(s *Session) error {
				s.tx.Set(c.key, []byte("?"), 0)
				return c.do(s)
			})
			wantKind(t, err, errs.Internal)
		})
	}
}
