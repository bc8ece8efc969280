package keynest

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// enter passes the door, and keeps that a service token was let in for tell.
func (q *request) enter(tx *kv.Tx, who vault.Client) (*vault.Session, error) {
	s, err := q.Store.As(tx, q.cred, who)
	if err != nil {
		return nil, err
	}
	q.use = s.Use()
	return s, nil
}

// tell records the use of a service token, or that one was not let in. The
// refusal stands also if that cannot be recorded.
func (q *request) tell(err error) {
	q.Recorder.Used(q.use)
	var refused *vault.Refused
	if !errors.As(err, &refused) {
		return
	}
	ctx, cancel := q.patience()
	defer cancel()
	_ = q.Recorder.Refused(ctx, refused)
}

// serviceToken is a service token as those who manage it see it.
type serviceToken struct {
	ID           uint64   `json:"id"`
	Name         string   `json:"name"`
	Organization uint64   `json:"organization"`
	Project      *uint64  `json:"project"`
	Environment  *uint64  `json:"environment"`
	ReadOnly     bool     `json:"read_only"`
	Created      string   `json:"created_at"`
	Creator      uint64   `json:"created_by"`
	CreatorName  string   `json:"created_by_name"`
	Expires      *string  `json:"expires_at"`
	Networks     []string `json:"allowed_networks"`
	LastUsed     *string  `json:"last_used_at"`
	Active       bool     `json:"is_active"`
}

func showServiceToken(t vault.ServiceToken) serviceToken {
	return serviceToken{
		ID: t.ID, Name: t.Name, Organization: t.Organization, Project: idOrNull(t.Project), Environment: idOrNull(t.Environment),
		ReadOnly: t.ReadOnly, Created: stamp(t.Created), Creator: t.Creator, CreatorName: t.CreatorName,
		Expires: orNull(t.Expires), Networks: append([]string{}, t.Networks...), LastUsed: orNull(t.LastUsed), Active: t.Active,
	}
}

// idOrNull returns nil for 0, which is the id of nothing.
func idOrNull(id uint64) *uint64 {
	if id == 0 {
		return nil
	}
	return &id
}

// newServiceToken is the one answer that has the text of a token.
type newServiceToken struct {
	serviceToken
	Token string `json:"token"`
}

// ownProfile is what a service token is told of itself.
type ownProfile struct {
	Type string `json:"type"`
	serviceToken
}

// serviceTokenNow is a service token for an answer, as it is now.
func serviceTokenNow(s *vault.Session, id uint64) (any, error) {
	t, err := s.ServiceToken(id)
	return showServiceToken(t), err
}

func (q *request) listServiceTokens() error {
	paging, err := q.paging()
	if err != nil {
		return q.refuse(err)
	}
	filter := vault.ServiceTokenFilter{
		Organization: q.filterNumber("organization"), Project: q.filterNumber("project"), Environment: q.filterNumber("environment"),
	}
	var page vault.Page[vault.ServiceToken]
	err = q.view(func(s *vault.Session) (err error) {
		page, err = s.ServiceTokens(filter, paging)
		return err
	})
	if err != nil {
		return err
	}
	return replyList(q, page, showServiceToken)
}

// createServiceToken answers with the text of a token, which is stored nowhere.
// For repeats of the request it is kept with the token's id, sealed.
func (q *request) createServiceToken() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	f := &q.fields
	if text, ok := f.values["allowed_networks"].(string); ok && strings.TrimSpace(text) == "" {
		// Of a variable that is not set, as like as not: that is not to let everybody in.
		f.bad.Add("allowed_networks", textBlank)
	}
	fields := vault.ServiceTokenFields{
		Name: f.text("name"), Project: f.orNull("project").id("project"), Environment: f.orNull("environment").id("environment"),
		Write: !f.truth("read_only", true), Expires: f.orNull("expires_at").text("expires_at"),
		ExpiresIn: f.orNull("expires_in").text("expires_in"), Networks: f.texts("allowed_networks"),
	}
	var made newServiceToken
	res, err := q.update(func(s *vault.Session) error {
		t, text, err := s.CreateServiceToken(fields)
		if err != nil {
			return err
		}
		made = newServiceToken{showServiceToken(t), text}
		if !q.kept {
			return nil
		}
		sealed, err := s.SealServiceToken(t.ID, text)
		if err == nil {
			q.keep(s, append(binary.BigEndian.AppendUint64(nil, t.ID), sealed...))
		}
		return err
	})
	if err == nil && res.Duplicate {
		made, err = q.madeBefore(res.Reply)
	}
	if err != nil {
		return err
	}
	return q.reply(http.StatusCreated, made)
}

// madeBefore is the answer to a repeat of the request that has made a token.
func (q *request) madeBefore(reply []byte) (made newServiceToken, err error) {
	if len(reply) <= 8 {
		return made, errs.E(errs.Internal, "the first try of a request left %d bytes", len(reply))
	}
	id := binary.BigEndian.Uint64(reply)
	err = q.view(func(s *vault.Session) error {
		t, err := s.ServiceToken(id)
		if err != nil {
			return err
		}
		text, err := s.OpenServiceToken(id, reply[8:])
		made = newServiceToken{showServiceToken(t), text}
		return err
	})
	return made, err
}

func (q *request) serviceToken() error { return q.one(serviceTokenNow) }

// fixed are the fields of a service token that it has for ever.
var fixed = []string{"project", "environment", "read_only", "expires_at", "expires_in", "allowed_networks"}

func (q *request) renameServiceToken() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	name := q.fields.text("name")
	for _, field := range fixed {
		if q.fields.has(field) {
			q.fields.bad.Add(field, "This cannot be changed. Make another token.")
		}
	}
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		t, err := s.RenameServiceToken(q.id, name)
		return q.id, showServiceToken(t), err
	}, serviceTokenNow)
}

func (q *request) revokeServiceToken() error {
	return q.remove(func(s *vault.Session) error { return s.RevokeServiceToken(q.id) })
}
