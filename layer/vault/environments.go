package vault

import (
	"fmt"

	"github.com/coveydb/covey/internal/errs"
)

// Environment is an environment as a member of its organization sees it.
type Environment struct {
	ID          uint64
	Name        string // lower case
	Type        string // one of EnvironmentTypes
	Description *string
	Project     uint64
	ProjectName string
	Created     int64
	Updated     int64
	CreatorName string // "First Last", "" if the creator has no names
	Variables   int
	Versions    uint64 // how many of each variable are kept
}

// EnvironmentFields is what a request says of an environment. What is nil the
// request does not have.
type EnvironmentFields struct {
	Whole       bool // a POST or PUT: what is required must be there
	Name        *string
	Project     *uint64
	Type        *string
	Description Description
	Versions    *uint64 // of each variable that are kept, 1 to MaxVersions
}

func (e EnvironmentFields) apply(f FieldErrors, row *environmentRow) {
	checkGiven(f, e.Name, e.Whole, &row.Name, checkEnvironmentName)
	if e.Project == nil && e.Whole {
		f.Add("project", textRequired)
	}
	if e.Type != nil {
		row.Type = *e.Type
		checkEnvironmentType(f, row.Type)
	}
	e.Description.set(f, &row.Description)
	if e.Versions != nil {
		if row.Versions = *e.Versions; row.Versions < 1 || row.Versions > MaxVersions {
			f.Add("max_versions", fmt.Sprintf("Ensure this value is from 1 to %d.", MaxVersions))
		}
	}
}

// EnvironmentFilter narrows a list of environments down. What is zero does not.
type EnvironmentFilter struct {
	Project uint64
	Type    string
}

// MaxEnvironments is how many environments a project may have.
const MaxEnvironments = 1000

// Environments lists the environments of the caller's organizations. Of a
// project that is not for the caller it lists none. A type that there is not is
// errs.Invalid.
func (s *Session) Environments(filter EnvironmentFilter, p Paging) (Page[Environment], error) {
	f := FieldErrors{}
	if filter.Type != "" {
		if checkEnvironmentType(f, filter.Type); len(f) > 0 {
			return Page[Environment]{}, f
		}
	}
	ids, err := s.environmentIDs(filter.Project)
	if err != nil {
		return Page[Environment]{}, err
	}
	if filter.Type != "" {
		ids, err = keep(ids, func(id uint64) (bool, error) {
			row, err := recall(&s.store.rows.environments, s.tx, byID(environmentByte, id))
			return row != nil && row.Type == filter.Type, err
		})
		if err != nil {
			return Page[Environment]{}, err
		}
	}
	return page(p, ids, s.Environment)
}

// ProjectEnvironments returns all environments of a project, ids ascending.
func (s *Session) ProjectEnvironments(project uint64) ([]Environment, error) {
	if _, _, err := s.project(project, ReadOrganization); err != nil {
		return nil, err
	}
	ids, err := appendIDs(s.tx, nil, environmentsByte, project)
	if err != nil {
		return nil, err
	}
	shown := make([]Environment, 0, len(ids))
	for _, id := range ids {
		e, err := s.Environment(id)
		if err != nil {
			return nil, err
		}
		shown = append(shown, e)
	}
	return shown, nil
}

// environmentIDs returns the environments of one project, or of all projects of
// the caller's organizations.
func (s *Session) environmentIDs(project uint64) (ids []uint64, err error) {
	if s.service != nil {
		return s.serviceEnvironments(project)
	}
	projects := []uint64{project}
	if project != 0 {
		_, _, err := s.project(project, ReadOrganization)
		if errs.Is(err, errs.NotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	} else if projects, err = s.projectIDs(0); err != nil {
		return nil, err
	}
	for _, p := range projects {
		if ids, err = appendIDs(s.tx, ids, environmentsByte, p); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// Environment returns an environment.
func (s *Session) Environment(id uint64) (Environment, error) {
	at, err := s.environment(id, ReadOrganization)
	if err != nil {
		return Environment{}, err
	}
	return s.showEnvironment(at)
}

func (s *Session) showEnvironment(at *place) (Environment, error) {
	n, err := readCount(s.tx, countVariables, at.environmentID)
	if err != nil {
		return Environment{}, err
	}
	row := at.environment
	creator, err := s.creatorName(row.Creator)
	if err != nil {
		return Environment{}, err
	}
	return Environment{
		ID: at.environmentID, Name: row.Name, Type: row.Type, Description: row.Description, Project: row.Project,
		ProjectName: at.project.Name, Created: row.Created, Updated: row.Updated, CreatorName: creator, Variables: n,
		Versions: row.versions(),
	}, nil
}

// CreateEnvironment makes an environment, without a type one for development. A
// name that the project has already is errs.Exists.
func (s *Session) CreateEnvironment(fields EnvironmentFields) (Environment, error) {
	if err := s.needUser(); err != nil {
		return Environment{}, err
	}
	fields.Whole = true
	f := FieldErrors{}
	row := &environmentRow{Type: EnvironmentTypes()[0], Created: s.now(), Updated: s.now(), Creator: s.user}
	fields.apply(f, row)
	at := &place{environment: row}
	if fields.Project != nil {
		var err error
		row.Project = *fields.Project
		at.project, at.organization, err = s.project(row.Project, CreateEnvironment)
		if err := f.unknown("project", row.Project, err); err != nil {
			return Environment{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Environment{}, err
	}
	if err := s.room(countEnvironments, row.Project, 1); err != nil {
		return Environment{}, err
	}
	id, err := nextID(s.tx, "environment")
	if err != nil {
		return Environment{}, err
	}
	at.environmentID = id
	if row.UID, err = s.newUID(); err != nil {
		return Environment{}, err
	}
	if err := s.claimName(row.Project, row.Name, id); err != nil {
		return Environment{}, err
	}
	s.tx.Set(byID(environmentByte, id), encode(row), 0)
	s.tx.Set(byIDs(environmentsByte, row.Project, id), nil, 0)
	addCount(s.tx, countEnvironments, row.Project, 1)
	if err := s.auditEnvironment(verbCreate, at, nil); err != nil {
		return Environment{}, err
	}
	return s.showEnvironment(at)
}

// claimName gives a name in a project to an environment.
func (s *Session) claimName(project uint64, name string, id uint64) error {
	k := byIDText(nameByte, project, name)
	owner, err := readNumber(s.tx, k)
	if err != nil {
		return err
	}
	if owner != 0 && owner != id {
		return duplicate("name", "An environment with this name already exists in this project.")
	}
	s.tx.Set(k, encodeID(id), 0)
	return nil
}

// UpdateEnvironment changes what fields has. An environment stays in its
// project: another one is errs.Invalid.
func (s *Session) UpdateEnvironment(id uint64, fields EnvironmentFields) (Environment, error) {
	at, err := s.environment(id, UpdateEnvironment)
	if err != nil {
		return Environment{}, err
	}
	f, row, before := FieldErrors{}, at.environment, *at.environment
	fields.apply(f, row)
	if fields.Project != nil && *fields.Project != row.Project {
		_, _, err := s.project(*fields.Project, ReadOrganization)
		if err := f.immovable("project", *fields.Project, err, "An environment cannot be moved to another project."); err != nil {
			return Environment{}, err
		}
	}
	if err := f.Err(); err != nil {
		return Environment{}, err
	}
	if row.Name != before.Name {
		if err := s.claimName(row.Project, row.Name, id); err != nil {
			return Environment{}, err
		}
		s.tx.Delete(byIDText(nameByte, row.Project, before.Name))
	}
	row.Updated = s.now()
	s.tx.Set(byID(environmentByte, id), encode(row), 0)
	if err := s.auditEnvironment(verbUpdate, at, &before); err != nil {
		return Environment{}, err
	}
	return s.showEnvironment(at)
}

// DeleteEnvironment removes an environment with its variables, at once. One
// that holds more than maxCascade things is errs.TooLarge.
func (s *Session) DeleteEnvironment(id uint64) error {
	at, err := s.environment(id, DeleteEnvironment)
	if err != nil {
		return err
	}
	c := cascade{tx: s.tx}
	if err := c.environment(id); err != nil {
		return err
	}
	row := at.environment
	if err := s.revokeIn(at.project.Organization, row.Project, id); err != nil {
		return err
	}
	c.delete()
	s.tx.Delete(byIDs(environmentsByte, row.Project, id))
	s.tx.Delete(byIDText(nameByte, row.Project, row.Name))
	addCount(s.tx, countEnvironments, row.Project, -1)
	return s.auditEnvironment(verbDelete, at, nil)
}

// auditEnvironment records what was done to an environment, and tells webhooks.
// A name that it had before is told too, and how many versions it keeps if that
// was another number: with fewer, old values go.
func (s *Session) auditEnvironment(v verb, at *place, before *environmentRow) error {
	told, oldName := details{"name": at.environment.Name, "project": at.project.Name, "type": at.environment.Type}, ""
	if before != nil {
		if oldName = before.Name; oldName != at.environment.Name {
			told["old_name"] = oldName
		}
		if n := at.environment.versions(); n != before.versions() {
			told["max_versions"] = n
		}
	}
	if err := s.tellEnvironment(at, v, oldName); err != nil {
		return err
	}
	return s.audit(event{at.project.Organization, v, targetEnvironment, at.environmentID, told})
}

// Allowed returns the error that an action on an environment would begin with:
// nil if the caller may do it.
func (s *Session) Allowed(environment uint64, a Action) error {
	_, err := s.environment(environment, a)
	return err
}

// place is an environment with what it is in. The rows are the caller's to
// change.
type place struct {
	environmentID uint64
	environment   *environmentRow
	project       *projectRow
	organization  *organizationRow
}

// environment opens an environment for an action, as organization does.
func (s *Session) environment(id uint64, a Action) (*place, error) {
	row, err := recall(&s.store.rows.environments, s.tx, byID(environmentByte, id))
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, errNotFound()
	}
	if s.service != nil {
		return s.serviceEnvironment(id, row, a)
	}
	p, o, err := s.project(row.Project, a)
	if err != nil {
		return nil, err
	}
	return &place{id, row, p, o}, nil
}
