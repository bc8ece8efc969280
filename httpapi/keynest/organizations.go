package keynest

import (
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

func (q *request) listOrganizations() error {
	p, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	var page vault.Page[vault.Organization]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.Organizations(p)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showOrganization)
}

func (q *request) createOrganization() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.organizationFields()
	return q.create(func(s *vault.Session) (uint64, any, error) {
		o, err := s.CreateOrganization(fields)
		return o.ID, showOrganization(o), err
	}, showOrganizationAgain)
}

// showOrganizationAgain shows one to who repeats the request that made it.
func showOrganizationAgain(s *vault.Session, id uint64) (any, error) {
	o, err := s.Organization(id)
	return showOrganization(o), err
}

func (q *request) organization() error {
	var o vault.Organization
	err := q.view(func(s *vault.Session) (err error) {
		o, err = s.Organization(q.id)
		return err
	})
	if err != nil {
		return err
	}
	return q.reply(http.StatusOK, showOrganization(o))
}

// updateOrganization serves PUT and PATCH.
func (q *request) updateOrganization() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	fields := q.organizationFields()
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		o, err := s.UpdateOrganization(q.id, fields)
		return q.id, showOrganization(o), err
	}, showOrganizationAgain)
}

func (q *request) deleteOrganization() error {
	return q.remove(func(s *vault.Session) error { return s.DeleteOrganization(q.id) })
}

func (q *request) organizationFields() vault.OrganizationFields {
	return vault.OrganizationFields{
		Whole: q.r.Method != http.MethodPatch, Name: q.fields.text("name"), Description: q.fields.description("description"),
	}
}
