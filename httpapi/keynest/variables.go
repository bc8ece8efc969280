package keynest

import (
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

// variable is a variable as clients see it: the value is decrypted, or one of
// the masks stands in its place.
type variable struct {
	ID              uint64 `json:"id"`
	Key             string `json:"key"`
	Value           string `json:"decrypted_value"`
	Unresolved      string `json:"unresolved,omitempty"` // why its references cannot be resolved
	Environment     uint64 `json:"environment"`
	EnvironmentName string `json:"environment_name"`
	Created         string `json:"created_at"`
	Updated         string `json:"updated_at"`
	CreatorName     string `json:"created_by_name"`
	Version         uint64 `json:"version"`
}

func showVariable(v vault.Variable) variable {
	return variable{
		ID: v.ID, Key: v.Key, Value: v.Value, Environment: v.Environment, EnvironmentName: v.EnvironmentName,
		Created: stamp(v.Created), Updated: stamp(v.Updated), CreatorName: v.CreatorName, Version: v.Version,
		Unresolved: string(v.Unresolved),
	}
}

// variableNow is a variable for an answer, as it is now.
func variableNow(s *vault.Session, id uint64) (any, error) {
	v, err := s.Variable(id)
	return showVariable(v), err
}

func (q *request) listVariables() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	filter := vault.VariableFilter{Key: q.query.Value("key")}
	filter.Environment = q.filterNumber("environment")
	resolve := q.resolving()
	var page vault.Page[vault.Variable]
	err = q.view(func(s *vault.Session) (err error) {
		resolve(s)
		page, err = s.Variables(filter, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showVariable)
}

// variableFields reads what a body says of a variable.
func (q *request) variableFields(whole bool) vault.VariableFields {
	f := &q.fields
	return vault.VariableFields{Whole: whole, Key: f.text("key"), Value: f.text("value"), Environment: f.id("environment")}
}

func (q *request) createVariable() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.variableFields(true)
	return q.create(func(s *vault.Session) (uint64, any, error) {
		v, err := s.CreateVariable(fields)
		return v.ID, showVariable(v), err
	}, variableNow)
}

func (q *request) variable() error {
	resolve := q.resolving()
	return q.one(func(s *vault.Session, id uint64) (any, error) {
		resolve(s)
		return variableNow(s, id)
	})
}

func (q *request) updateVariable() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.variableFields(q.whole())
	fields.Version = q.fields.number("version")
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		v, err := s.UpdateVariable(q.id, fields)
		return q.id, showVariable(v), err
	}, variableNow)
}

func (q *request) deleteVariable() error {
	return q.remove(func(s *vault.Session) error { return s.DeleteVariable(q.id) })
}
