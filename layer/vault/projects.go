package vault

import (
	"strings"
)

// Project is a project as a member of its organization sees it.
type Project struct {
	ID               uint64
	Name             string
	Description      *string
	Organization     uint64
	OrganizationName string
	Created          int64
	Updated          int64
	CreatorName      string // "First Last", "" if the creator has no names
	Environments     int
}

// ProjectFields is what a request says of a project. What is nil the request
// does not have.
type ProjectFields struct {
	Whole        bool // a POST or PUT: what is required must be there
	Name         *string
	Organization *uint64
	Description  Description
}

func (p ProjectFields) apply(f FieldErrors, row *projectRow) {
	checkGiven(f, p.Name, p.Whole, &row.Name, checkProjectName)
	if p.Organization == nil && p.Whole {
		f.Add("organization", textRequired)
	}
	p.Description.set(f, &row.Description)
}

// ProjectFilter narrows a list of projects down. What is zero does not.
type ProjectFilter struct {
	Organization uint64
	Search       string // a part of the name or the description, whatever the case
}

// MaxProjects is how many projects an organization may have.
const MaxProjects = 10_000

// Projects lists the projects of the caller's organizations. Of an organization
// that the caller is no member of it lists none.
func (s *Session) Projects(filter ProjectFilter, p Paging) (Page[Project], error) {
	ids, err := s.projectIDs(filter.Organization)
	if err != nil {
		return Page[Project]{}, err
	}
	if part := strings.ToLower(filter.Search); part != "" {
		ids, err = keep(ids, func(id uint64) (bool, error) {
			row, err := recall(&s.store.rows.projects, s.tx, byID(projectByte, id))
			if err != nil || row == nil {
				return false, err
			}
			return contains(part, row.Name) || row.Description != nil && contains(part, *row.Description), nil
		})
		if err != nil {
			return Page[Project]{}, err
		}
	}
	return page(p, ids, s.Project)
}

// projectIDs returns the projects of one organization, or of all that the
// caller is a member of.
func (s *Session) projectIDs(organization uint64) (ids []uint64, err error) {
	if s.service != nil {
		return s.serviceProjects(organization), nil
	}
	organizations := []uint64{organization}
	if organization != 0 {
		if role, err := s.role(organization); err != nil || role == "" {
			return nil, err
		}
	} else if organizations, err = appendIDs(s.tx, nil, memberOfByte, s.user); err != nil {
		return nil, err
	}
	for _, o := range organizations {
		if ids, err = appendIDs(s.tx, ids, projectsByte, o); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// Project returns a project.
func (s *Session) Project(id uint64) (Project, error) {
	row, o, err := s.project(id, ReadOrganization)
	if err != nil {
		return Project{}, err
	}
	return s.showProject(id, row, o)
}

func (s *Session) showProject(id uint64, row *projectRow, o *organizationRow) (Project, error) {
	n, err := readCount(s.tx, countEnvironments, id)
	if err != nil {
		return Project{}, err
	}
	creator, err := s.creatorName(row.Creator)
	if err != nil {
		return Project{}, err
	}
	return Project{
		ID: id, Name: row.Name, Description: row.Description, Organization: row.Organization, OrganizationName: o.Name,
		Created: row.Created, Updated: row.Updated, CreatorName: creator, Environments: n,
	}, nil
}

// CreateProject makes a project. Names need not be unique.
func (s *Session) CreateProject(fields ProjectFields) (Project, error) {
	if err := s.needUser(); err != nil {
		return Project{}, err
	}
	fields.Whole = true
	f := FieldErrors{}
	row := &projectRow{Created: s.now(), Updated: s.now(), Creator: s.user}
	fields.apply(f, row)
	var o *organizationRow
	if fields.Organization != nil {
		var err error
		row.Organization = *fields.Organization
		o, _, err = s.organization(row.Organization, CreateProject)
		if err := f.unknown("organization", row.Organization, err); err != nil {
			return Project{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Project{}, err
	}
	if err := s.room(countProjects, row.Organization, 1); err != nil {
		return Project{}, err
	}
	id, err := nextID(s.tx, "project")
	if err != nil {
		return Project{}, err
	}
	s.tx.Set(byID(projectByte, id), encode(row), 0)
	s.tx.Set(byIDs(projectsByte, row.Organization, id), nil, 0)
	addCount(s.tx, countProjects, row.Organization, 1)
	if err := s.tellProject(verbCreate, id, row, row); err != nil {
		return Project{}, err
	}
	told := details{"name": row.Name, "organization": o.Name}
	if err := s.audit(event{row.Organization, verbCreate, targetProject, id, told}); err != nil {
		return Project{}, err
	}
	return s.showProject(id, row, o)
}

// UpdateProject changes what fields has. Another organization moves the
// project, with its values sealed anew: for that the caller's role must allow
// it to update projects here and to create them there.
func (s *Session) UpdateProject(id uint64, fields ProjectFields) (Project, error) {
	row, from, err := s.project(id, UpdateProject)
	if err != nil {
		return Project{}, err
	}
	f, before, to := FieldErrors{}, *row, from
	fields.apply(f, row)
	if fields.Organization != nil && *fields.Organization != row.Organization {
		row.Organization = *fields.Organization
		to, _, err = s.organization(row.Organization, CreateProject)
		if err := f.unknown("organization", row.Organization, err); err != nil {
			return Project{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Project{}, err
	}
	row.Updated = s.now()
	s.tx.Set(byID(projectByte, id), encode(row), 0)
	told := details{"name": row.Name, "organization": to.Name}
	if row.Name != before.Name {
		told["old_name"] = before.Name
	}
	if row.Organization != before.Organization {
		told["old_organization"], told["new_organization"] = from.Name, to.Name
		if err := s.moveProject(id, move{before.Organization, row.Organization, from, to}); err != nil {
			return Project{}, err
		}
		// Those whom it leaves are told as well as those to whom it comes.
		if err := s.audit(event{before.Organization, verbUpdate, targetProject, id, told}); err != nil {
			return Project{}, err
		}
	}
	if err := s.tellProject(verbUpdate, id, row, &before); err != nil {
		return Project{}, err
	}
	if err := s.audit(event{row.Organization, verbUpdate, targetProject, id, told}); err != nil {
		return Project{}, err
	}
	return s.showProject(id, row, to)
}

// DeleteProject removes a project with everything in it, at once. One that
// holds more than maxCascade things is errs.TooLarge.
func (s *Session) DeleteProject(id uint64) error {
	row, o, err := s.project(id, DeleteProject)
	if err != nil {
		return err
	}
	c := cascade{tx: s.tx}
	if err := c.project(id); err != nil {
		return err
	}
	if err := s.revokeIn(row.Organization, id, 0); err != nil {
		return err
	}
	c.delete()
	s.tx.Delete(byIDs(projectsByte, row.Organization, id))
	addCount(s.tx, countProjects, row.Organization, -1)
	if err := s.tellProject(verbDelete, id, row, row); err != nil {
		return err
	}
	told := details{"name": row.Name, "organization": o.Name}
	return s.audit(event{row.Organization, verbDelete, targetProject, id, told})
}

// project opens a project for an action, as organization does. The row is the
// caller's to change.
func (s *Session) project(id uint64, a Action) (*projectRow, *organizationRow, error) {
	row, err := recall(&s.store.rows.projects, s.tx, byID(projectByte, id))
	if err != nil {
		return nil, nil, err
	}
	if row == nil {
		return nil, nil, errNotFound()
	}
	if s.service != nil {
		return s.serviceProject(id, row, a)
	}
	o, _, err := s.organization(row.Organization, a)
	if err != nil {
		return nil, nil, err
	}
	return row, o, nil
}

// creatorName is the name of who made something, see Author; "" without names.
func (s *Session) creatorName(author uint64) (string, error) {
	if author&serviceAuthor != 0 {
		return s.serviceCreator(author)
	}
	u, err := s.store.userByID(s.tx, author)
	if err != nil || u == nil {
		return "", err
	}
	return u.names(), nil
}

// keep returns the ids that pass.
func keep(ids []uint64, pass func(id uint64) (bool, error)) ([]uint64, error) {
	kept := ids[:0]
	for _, id := range ids {
		ok, err := pass(id)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, id)
		}
	}
	return kept, nil
}
