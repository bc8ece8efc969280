package collection

import (
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// SetRoles sets what users with a JWT may do with a collection; nil closes it
// to them.
func (s *Store) SetRoles(tx *kv.Tx, db, name string, roles *Roles) error {
	old, err := s.operatorRow(tx, db, name)
	if err != nil {
		return err
	}
	if roles != nil {
		if err := roles.check(); err != nil {
			return err
		}
	}
	r := old.clone()
	r.Roles = roles
	tx.Set(collectionKey(db, name), r.encode(), 0)
	return nil
}

// Roles returns what users with a JWT may do with a collection, nil when it is
// closed to them. It must not be changed.
func (s *Store) Roles(tx *kv.Tx, db, name string) (*Roles, error) {
	r, err := s.operatorRow(tx, db, name)
	if err != nil {
		return nil, err
	}
	return r.Roles, nil
}

func (r *Roles) check() error {
	for _, list := range [][]string{r.Read, r.Create, r.Update, r.Delete} {
		if len(list) > maxScope {
			return errs.E(errs.Invalid, "%d roles, the limit is %d", len(list), maxScope)
		}
		for _, role := range list {
			if role == "" || len(role) > maxRole || !printable(role) || strings.TrimSpace(role) != role {
				return errs.E(errs.Invalid, "role %q: 1 to %d printable bytes, without blanks around it", role, maxRole)
			}
		}
	}
	return nil
}

const maxRole = 64

// of returns the roles that grant need.
func (r *Roles) of(need Need) []string {
	switch need {
	case Read:
		return r.Read
	case Create:
		return r.Create
	case Update:
		return r.Update
	case Delete:
		return r.Delete
	}
	return nil
}

// may reports whether a user has one of the roles that grant need. A nil
// member is a caller with a key, whom roles do not concern.
func (m *member) may(rules *Roles, need Need) bool {
	if m == nil {
		return true
	}
	return rules != nil && slices.ContainsFunc(rules.of(need), func(role string) bool { return slices.Contains(m.roles, role) })
}
