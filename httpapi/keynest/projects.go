package keynest

import (
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

// project is a project as clients see it.
type project struct {
	ID               uint64  `json:"id"`
	Name             string  `json:"name"`
	Description      *string `json:"description"`
	Organization     uint64  `json:"organization"`
	OrganizationName string  `json:"organization_name"`
	Created          string  `json:"created_at"`
	Updated          string  `json:"updated_at"`
	CreatorName      string  `json:"created_by_name"`
	Environments     int     `json:"environment_count"`
}

func showProject(p vault.Project) project {
	return project{
		ID: p.ID, Name: p.Name, Description: p.Description, Organization: p.Organization, OrganizationName: p.OrganizationName,
		Created: stamp(p.Created), Updated: stamp(p.Updated), CreatorName: p.CreatorName, Environments: p.Environments,
	}
}

// projectNow is a project for an answer, as it is now.
func projectNow(s *vault.Session, id uint64) (any, error) {
	p, err := s.Project(id)
	return showProject(p), err
}

func (q *request) listProjects() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	filter := vault.ProjectFilter{Search: q.query.Value("search")}
	filter.Organization, _ = q.filterID("organization") // no number does not filter
	var page vault.Page[vault.Project]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Projects(filter, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showProject)
}

// projectFields reads what a body says of a project.
func (q *request) projectFields(whole bool) vault.ProjectFields {
	f := &q.fields
	return vault.ProjectFields{
		Whole: whole, Name: f.text("name"), Organization: f.id("organization"), Description: f.description("description"),
	}
}

func (q *request) createProject() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.projectFields(true)
	return q.create(func(s *vault.Session) (uint64, any, error) {
		p, err := s.CreateProject(fields)
		return p.ID, showProject(p), err
	}, projectNow)
}

func (q *request) project() error {
	return q.one(projectNow)
}

func (q *request) updateProject() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.projectFields(q.whole())
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		p, err := s.UpdateProject(q.id, fields)
		return q.id, showProject(p), err
	}, projectNow)
}

func (q *request) deleteProject() error {
	return q.remove(func(s *vault.Session) error { return s.DeleteProject(q.id) })
}

// projectEnvironments serves the environments of a project: all of them as one
// page, unless the request asks for pages.
func (q *request) projectEnvironments() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	var page vault.Page[vault.Environment]
	err = q.view(func(s *vault.Session) error {
		if !q.paged() {
			all, err := s.ProjectEnvironments(q.id)
			page = wholePage(all)
			return err
		}
		if _, err := s.Project(q.id); err != nil {
			return err
		}
		page, err = s.Environments(vault.EnvironmentFilter{Project: q.id}, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showEnvironment)
}
