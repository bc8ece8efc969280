package keynest

import (
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

// environment is an environment as clients see it.
type environment struct {
	ID          uint64  `json:"id"`
	Name        string  `json:"name"`
	Project     uint64  `json:"project"`
	ProjectName string  `json:"project_name"`
	Type        string  `json:"environment_type"`
	Description *string `json:"description"`
	Created     string  `json:"created_at"`
	Updated     string  `json:"updated_at"`
	CreatorName string  `json:"created_by_name"`
	Variables   int     `json:"variable_count"`
	Versions    uint64  `json:"max_versions"`
}

func showEnvironment(e vault.Environment) environment {
	return environment{
		ID: e.ID, Name: e.Name, Project: e.Project, ProjectName: e.ProjectName, Type: e.Type, Description: e.Description,
		Created: stamp(e.Created), Updated: stamp(e.Updated), CreatorName: e.CreatorName, Variables: e.Variables,
		Versions: e.Versions,
	}
}

// environmentNow is an environment for an answer, as it is now.
func environmentNow(s *vault.Session, id uint64) (any, error) {
	e, err := s.Environment(id)
	return showEnvironment(e), err
}

func (q *request) listEnvironments() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	filter := vault.EnvironmentFilter{Type: q.query.Value("environment_type")}
	filter.Project = q.filterNumber("project")
	var page vault.Page[vault.Environment]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Environments(filter, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showEnvironment)
}

// environmentFields reads what a body says of an environment.
func (q *request) environmentFields(whole bool) vault.EnvironmentFields {
	f := &q.fields
	return vault.EnvironmentFields{
		Whole: whole, Name: f.text("name"), Project: f.id("project"), Type: f.text("environment_type"),
		Description: f.description("description"), Versions: f.number("max_versions"),
	}
}

func (q *request) createEnvironment() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.environmentFields(true)
	return q.create(func(s *vault.Session) (uint64, any, error) {
		e, err := s.CreateEnvironment(fields)
		return e.ID, showEnvironment(e), err
	}, environmentNow)
}

func (q *request) environment() error {
	return q.one(environmentNow)
}

func (q *request) updateEnvironment() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.environmentFields(q.whole())
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		e, err := s.UpdateEnvironment(q.id, fields)
		return q.id, showEnvironment(e), err
	}, environmentNow)
}

func (q *request) deleteEnvironment() error {
	return q.remove(func(s *vault.Session) error { return s.DeleteEnvironment(q.id) })
}

// environmentVariables serves the variables of an environment: all of them as
// one page, unless the request asks for pages. With the parameter at they are
// what they were then.
func (q *request) environmentVariables() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	if text, ok := q.query.Lookup("at"); ok {
		return q.environmentAt(text, paging)
	}
	resolve := q.resolving()
	var page vault.Page[vault.Variable]
	err = q.view(func(s *vault.Session) error {
		resolve(s)
		if !q.paged() {
			all, err := s.EnvironmentVariables(q.id)
			page = wholePage(all)
			return err
		}
		if _, err := s.Environment(q.id); err != nil {
			return err
		}
		page, err = s.Variables(vault.VariableFilter{Environment: q.id}, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showVariable)
}
