package vault

import (
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Organization is an organization as one of its members sees it.
type Organization struct {
	ID          uint64
	Name        string
	Description *string
	Created     int64 // unix seconds, as all times here
	Updated     int64
	Members     int
	Projects    int
	Role        Role // the caller's
}

// Description is a description in a request. The zero value is one that the
// request does not have; a nil Text takes a description away.
type Description struct {
	Given bool
	Text  *string
}

// set changes what is stored, if the request says so.
func (d Description) set(f FieldErrors, stored **string) {
	if d.Given {
		checkDescription(f, d.Text)
		*stored = d.Text
	}
}

// OrganizationFields is what a request says of an organization. A nil Name is
// one that the request does not have.
type OrganizationFields struct {
	Whole       bool // a POST or PUT: what is required must be there
	Name        *string
	Description Description
}

func (o OrganizationFields) apply(row *organizationRow) error {
	f := FieldErrors{}
	checkGiven(f, o.Name, o.Whole, &row.Name, checkOrganizationName)
	o.Description.set(f, &row.Description)
	return f.Err()
}

// MaxOrganizations is of how many organizations a user may be a member.
const MaxOrganizations = 1000

// Organizations lists the organizations that the caller is a member of.
func (s *Session) Organizations(p Paging) (Page[Organization], error) {
	if err := s.needUser(); err != nil {
		return Page[Organization]{}, err
	}
	ids, err := appendIDs(s.tx, nil, memberOfByte, s.user)
	if err != nil {
		return Page[Organization]{}, err
	}
	return page(p, ids, s.Organization)
}

// Organization returns one that the caller is a member of.
func (s *Session) Organization(id uint64) (Organization, error) {
	row, role, err := s.organization(id, ReadOrganization)
	if err != nil {
		return Organization{}, err
	}
	return s.showOrganization(id, row, role)
}

func (s *Session) showOrganization(id uint64, row *organizationRow, role Role) (Organization, error) {
	members, err := readCount(s.tx, countMembers, id)
	if err != nil {
		return Organization{}, err
	}
	projects, err := readCount(s.tx, countProjects, id)
	if err != nil {
		return Organization{}, err
	}
	return Organization{
		ID: id, Name: row.Name, Description: row.Description, Created: row.Created, Updated: row.Updated,
		Members: members, Projects: projects, Role: role,
	}, nil
}

// CreateOrganization makes an organization with the caller as its admin. A name
// that another organization of the caller has is errs.Exists.
func (s *Session) CreateOrganization(fields OrganizationFields) (Organization, error) {
	if err := s.needUser(); err != nil {
		return Organization{}, err
	}
	fields.Whole = true
	uid, err := s.newUID()
	if err != nil {
		return Organization{}, err
	}
	row := &organizationRow{Created: s.now(), Updated: s.now(), UID: uid}
	if err := fields.apply(row); err != nil {
		return Organization{}, err
	}
	if err := s.checkOwnNames(row.Name, 0); err != nil {
		return Organization{}, err
	}
	if err := s.addDataKey(row); err != nil {
		return Organization{}, err
	}
	id, err := nextID(s.tx, "organization")
	if err != nil {
		return Organization{}, err
	}
	s.tx.Set(byID(organizationByte, id), encode(row), 0)
	s.join(id, s.user, Admin)
	if err := s.audit(event{id, verbCreate, targetOrganization, id, details{"name": row.Name}}); err != nil {
		return Organization{}, err
	}
	return s.showOrganization(id, row, Admin)
}

// checkOwnNames refuses a name that an organization of the caller has, but for
// one of them.
func (s *Session) checkOwnNames(name string, but uint64) error {
	ids, err := appendIDs(s.tx, nil, memberOfByte, s.user)
	if err != nil {
		return err
	}
	if but == 0 && len(ids) >= MaxOrganizations {
		return FieldErrors{"non_field_errors": {"You have reached the maximum number of organizations."}}
	}
	for _, id := range ids {
		row, err := recall(&s.store.rows.organizations, s.tx, byID(organizationByte, id))
		if err != nil {
			return err
		}
		if row != nil && id != but && strings.EqualFold(row.Name, name) {
			return duplicate("name", "You already have an organization with this name.")
		}
	}
	return nil
}

// UpdateOrganization changes what fields has.
func (s *Session) UpdateOrganization(id uint64, fields OrganizationFields) (Organization, error) {
	row, role, err := s.organization(id, UpdateOrganization)
	if err != nil {
		return Organization{}, err
	}
	before := row.Name
	if err := fields.apply(row); err != nil {
		return Organization{}, err
	}
	if row.Name != before {
		if err := s.checkOwnNames(row.Name, id); err != nil {
			return Organization{}, err
		}
	}
	row.Updated = s.now()
	s.tx.Set(byID(organizationByte, id), encode(row), 0)
	told := details{"name": row.Name}
	if row.Name != before {
		told["old_name"] = before
	}
	if err := s.audit(event{id, verbUpdate, targetOrganization, id, told}); err != nil {
		return Organization{}, err
	}
	return s.showOrganization(id, row, role)
}

// DeleteOrganization removes an organization with everything in it, at once.
// Its audit log stays. One that holds more than maxCascade things is
// errs.TooLarge.
func (s *Session) DeleteOrganization(id uint64) error {
	row, _, err := s.organization(id, DeleteOrganization)
	if err != nil {
		return err
	}
	c := cascade{tx: s.tx}
	if err := c.organization(id); err != nil {
		return err
	}
	c.delete()
	return s.audit(event{id, verbDelete, targetOrganization, id, details{"name": row.Name}})
}

// organization opens an organization for an action. One that the caller is no
// member of is errs.NotFound, an action that its role does not allow
// errs.Forbidden. The row is the caller's to change.
func (s *Session) organization(id uint64, a Action) (*organizationRow, Role, error) {
	if s.service != nil {
		return nil, "", s.serviceOrganization(id)
	}
	role, err := s.role(id)
	if err != nil {
		return nil, "", err
	}
	if role == "" {
		return nil, "", errNotFound()
	}
	row, err := recall(&s.store.rows.organizations, s.tx, byID(organizationByte, id))
	if err != nil {
		return nil, "", err
	}
	if row == nil {
		return nil, "", errNotFound()
	}
	if !s.store.grants(role, a) {
		return nil, role, refusal(a)
	}
	return row, role, nil
}

// role returns what the caller is in an organization, "" for no member.
func (s *Session) role(organization uint64) (Role, error) {
	if s.service != nil {
		return "", nil
	}
	m, err := recall(&s.store.rows.memberships, s.tx, byIDs(membershipByte, organization, s.user))
	if err != nil || m == nil {
		return "", err
	}
	return m.Role, nil
}

func errNotFound() error { return errs.E(errs.NotFound, "Not found.") }

// join makes a user a member.
func (s *Session) join(organization, user uint64, r Role) {
	s.tx.Set(byIDs(membershipByte, organization, user), encode(membershipRow{Role: r, Joined: s.now()}), 0)
	s.tx.Set(byIDs(memberOfByte, user, organization), nil, 0)
	addCount(s.tx, countMembers, organization, 1)
}

// leave undoes join.
func (s *Session) leave(organization, user uint64) {
	s.tx.Delete(byIDs(membershipByte, organization, user))
	s.tx.Delete(byIDs(memberOfByte, user, organization))
	addCount(s.tx, countMembers, organization, -1)
}
