package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// MaxServiceTokens is how many service tokens an organization may have, those
// that have expired included.
const MaxServiceTokens = 500

const (
	maxServiceName = 100
	// keptRevoked is how long it is known that a token was revoked, so that the
	// audit log can tell of those who still use it.
	keptRevoked = 30 * 24 * time.Hour
)

// serviceTokenRow is a service token. It belongs to an organization, and not to
// the user who has made it: it works until it is revoked, or its scope is
// deleted or moved away.
type serviceTokenRow struct {
	Organization uint64   `json:"organization"`
	Project      uint64   `json:"project"`
	Environment  uint64   `json:"environment,omitempty"` // 0: the scope is the whole project
	Name         string   `json:"name"`
	Write        bool     `json:"write,omitempty"`
	Created      int64    `json:"created"`
	Creator      uint64   `json:"creator"`
	Expires      int64    `json:"expires,omitempty"`  // 0: never
	Networks     []string `json:"networks,omitempty"` // from where it may be used; none: from anywhere
	Hash         []byte   `json:"hash"`
	Revoked      int64    `json:"revoked,omitempty"` // when it was; such a row is kept for a while
}

// ServiceToken is a service token as those who manage it see it, without its
// text.
type ServiceToken struct {
	ID           uint64
	Name         string
	Organization uint64
	Project      uint64 // the scope, 0 if that is an environment
	Environment  uint64 // the scope, 0 if that is a project
	ReadOnly     bool
	Created      int64 // unix seconds, as all times here
	Creator      uint64
	CreatorName  string   // "First Last", "" if the creator has no names
	Expires      int64    // 0 = never
	Networks     []string // from where it may be used; none = from anywhere
	LastUsed     int64    // 0 = never; up to a minute and a half old
	Active       bool     // it has not expired
}

// ServiceTokenFields is what a request says of a new service token. What is nil
// the request does not have.
type ServiceTokenFields struct {
	Name        *string
	Project     *uint64 // the scope: this or Environment
	Environment *uint64
	Write       bool
	Expires     *string  // RFC 3339
	ExpiresIn   *string  // such as 90m, 12h, 30d or 1y
	Networks    []string // addresses, and networks such as 10.0.0.0/8; none: from anywhere
}

// ServiceTokenFilter narrows a list of service tokens down. What is zero does
// not. A project is that of the scope, also of tokens for one environment.
type ServiceTokenFilter struct{ Organization, Project, Environment uint64 }

func (f ServiceTokenFilter) match(r *serviceTokenRow) bool {
	return (f.Project == 0 || f.Project == r.Project) && (f.Environment == 0 || f.Environment == r.Environment)
}

// CreateServiceToken makes a service token and returns its text, which is
// stored nowhere: only its hash is.
func (s *Session) CreateServiceToken(fields ServiceTokenFields) (ServiceToken, string, error) {
	if err := s.needUser(); err != nil {
		return ServiceToken{}, "", err
	}
	f := FieldErrors{}
	row := &serviceTokenRow{Write: fields.Write, Created: s.now(), Creator: s.user}
	checkGiven(f, fields.Name, true, &row.Name, checkServiceName)
	row.Expires = fields.expiry(f, s.now())
	row.Networks = parseNetworks(f, fields.Networks)
	names, err := s.serviceScope(f, fields, row)
	if err == nil {
		err = f.Err()
	}
	if err != nil {
		return ServiceToken{}, "", err
	}
	if err := s.room(countServiceTokens, row.Organization, 1); err != nil {
		return ServiceToken{}, "", err
	}
	id, err := nextID(s.tx, "service token")
	if err != nil {
		return ServiceToken{}, "", err
	}
	p, err := s.random()
	if err != nil {
		return ServiceToken{}, "", err
	}
	p = p[:tokenSize]
	hash := sha256.Sum256(p)
	row.Hash = hash[:]
	s.tx.Set(byID(serviceTokenByte, id), encode(row), 0)
	s.tx.Set(serviceHashKey(row.Hash), encodeID(id), 0)
	s.tx.Set(byIDs(serviceTokensByte, row.Organization, id), nil, 0)
	addCount(s.tx, countServiceTokens, row.Organization, 1)
	if err := s.audit(event{row.Organization, verbCreate, targetServiceToken, id, row.told(names)}); err != nil {
		return ServiceToken{}, "", err
	}
	shown, err := s.showServiceToken(id, row)
	return shown, ServicePrefix + hex.EncodeToString(p), err
}

// scopeNames are how a token's project and environment are called.
type scopeNames struct{ project, environment string }

// serviceScope sets the scope that a request names, in which the caller must be
// allowed to make tokens.
func (s *Session) serviceScope(f FieldErrors, fields ServiceTokenFields, row *serviceTokenRow) (names scopeNames, err error) {
	switch {
	case fields.Project == nil && fields.Environment == nil, fields.Project != nil && fields.Environment != nil:
		f.Add("non_field_errors", "Exactly one of project and environment must be given.")
	case fields.Project != nil:
		row.Project = *fields.Project
		var p *projectRow
		if p, _, err = s.project(row.Project, ManageServiceTokens); err == nil {
			row.Organization, names.project = p.Organization, p.Name
		}
		err = f.unknown("project", row.Project, err)
	default:
		row.Environment = *fields.Environment
		var at *place
		if at, err = s.environment(row.Environment, ManageServiceTokens); err == nil {
			row.Organization, row.Project = at.project.Organization, at.environment.Project
			names = scopeNames{at.project.Name, at.environment.Name}
		}
		err = f.unknown("environment", row.Environment, err)
	}
	return names, err
}

// told is what the audit log tells of a new token.
func (r *serviceTokenRow) told(names scopeNames) details {
	told := details{"name": r.Name, "project": names.project, "read_only": !r.Write}
	if r.Environment != 0 {
		told["environment"] = names.environment
	}
	if r.Expires != 0 {
		told["expires_at"] = time.Unix(r.Expires, 0).UTC().Format(time.RFC3339)
	}
	if len(r.Networks) > 0 {
		told["allowed_networks"] = r.Networks
	}
	return told
}

// ServiceTokens lists the service tokens that the caller may manage: as an admin
// all of an organization, as an editor its own. It never lists those that were
// revoked.
func (s *Session) ServiceTokens(filter ServiceTokenFilter, p Paging) (Page[ServiceToken], error) {
	if err := s.needUser(); err != nil {
		return Page[ServiceToken]{}, err
	}
	organizations, err := appendIDs(s.tx, nil, memberOfByte, s.user)
	if err != nil {
		return Page[ServiceToken]{}, err
	}
	var ids []uint64
	for _, o := range organizations {
		if filter.Organization != 0 && filter.Organization != o {
			continue
		}
		role, err := s.role(o)
		if err != nil {
			return Page[ServiceToken]{}, err
		}
		if !s.store.grants(role, ManageServiceTokens) {
			continue
		}
		if ids, err = appendIDs(s.tx, ids, serviceTokensByte, o); err != nil {
			return Page[ServiceToken]{}, err
		}
	}
	ids, err = keep(ids, func(id uint64) (bool, error) {
		row, err := s.store.serviceToken(s.tx, id)
		if err != nil || row == nil || !filter.match(row) {
			return false, err
		}
		return s.manages(row)
	})
	if err != nil {
		return Page[ServiceToken]{}, err
	}
	return page(p, ids, s.ServiceToken)
}

// manages reports whether the caller, a member who may manage service tokens,
// may manage this one.
func (s *Session) manages(row *serviceTokenRow) (bool, error) {
	if row.Creator == s.user {
		return true, nil
	}
	role, err := s.role(row.Organization)
	return role == Admin, err
}

// ServiceToken returns a service token that the caller may manage. Another's,
// to who is no admin, is errs.NotFound.
func (s *Session) ServiceToken(id uint64) (ServiceToken, error) {
	row, err := s.managed(id)
	if err != nil {
		return ServiceToken{}, err
	}
	return s.showServiceToken(id, row)
}

// Itself returns the service token that the Session stands for; false for a user.
func (s *Session) Itself() (ServiceToken, bool, error) {
	if s.service == nil {
		return ServiceToken{}, false, nil
	}
	shown, err := s.showServiceToken(s.service.id, s.service.row)
	return shown, true, err
}

// managed opens a service token for who may manage it. The row is the caller's
// to change.
func (s *Session) managed(id uint64) (*serviceTokenRow, error) {
	if err := s.needUser(); err != nil {
		return nil, err
	}
	row, err := s.store.serviceToken(s.tx, id)
	if err != nil {
		return nil, err
	}
	if row == nil || row.Revoked != 0 {
		return nil, errNotFound()
	}
	if _, _, err := s.organization(row.Organization, ManageServiceTokens); err != nil {
		return nil, err
	}
	ok, err := s.manages(row)
	if err == nil && !ok {
		err = errNotFound()
	}
	return row, err
}

func (s *Session) showServiceToken(id uint64, r *serviceTokenRow) (ServiceToken, error) {
	creator, err := s.creatorName(r.Creator)
	if err != nil {
		return ServiceToken{}, err
	}
	uses, err := readUses(s.tx, id)
	if err != nil {
		return ServiceToken{}, err
	}
	shown := ServiceToken{
		ID: id, Name: r.Name, Organization: r.Organization, Environment: r.Environment, ReadOnly: !r.Write, Created: r.Created,
		Creator: r.Creator, CreatorName: creator, Expires: r.Expires, Networks: slices.Clone(r.Networks), LastUsed: uses.Used,
		Active: !r.expired(s.now()),
	}
	if r.Environment == 0 {
		shown.Project = r.Project
	}
	return shown, nil
}

// RenameServiceToken gives a service token another name, and nil none. Nothing
// else of one can change: who has its text should not come to have more by it.
func (s *Session) RenameServiceToken(id uint64, name *string) (ServiceToken, error) {
	row, err := s.managed(id)
	if err != nil {
		return ServiceToken{}, err
	}
	f, before := FieldErrors{}, row.Name
	checkGiven(f, name, false, &row.Name, checkServiceName)
	if err := f.Err(); err != nil {
		return ServiceToken{}, err
	}
	if row.Name != before {
		s.tx.Set(byID(serviceTokenByte, id), encode(row), 0)
		told := details{"name": row.Name, "old_name": before}
		if err := s.audit(event{row.Organization, verbUpdate, targetServiceToken, id, told}); err != nil {
			return ServiceToken{}, err
		}
	}
	return s.showServiceToken(id, row)
}

// RevokeServiceToken makes a service token worthless.
func (s *Session) RevokeServiceToken(id uint64) error {
	row, err := s.managed(id)
	if err != nil {
		return err
	}
	return s.revoke(id, row)
}

// revoke revokes a token and records it.
func (s *Session) revoke(id uint64, row *serviceTokenRow) error {
	row.Revoked = s.now()
	s.tx.Set(byID(serviceTokenByte, id), encode(row), keptRevoked)
	s.tx.Set(serviceHashKey(row.Hash), encodeID(id), keptRevoked)
	s.tx.Delete(byID(serviceUsesByte, id))
	s.tx.Delete(byIDs(serviceTokensByte, row.Organization, id))
	addCount(s.tx, countServiceTokens, row.Organization, -1)
	return s.audit(event{row.Organization, verbDelete, targetServiceToken, id, details{"name": row.Name}})
}

// revokeIn revokes the service tokens of an organization whose scope is, or is in, a
// project, or with environment that environment: they are about to go.
func (s *Session) revokeIn(organization, project, environment uint64) error {
	ids, err := appendIDs(s.tx, nil, serviceTokensByte, organization)
	if err != nil {
		return err
	}
	filter := ServiceTokenFilter{Project: project, Environment: environment}
	for _, id := range ids {
		row, err := s.store.serviceToken(s.tx, id)
		if err != nil {
			return err
		}
		if row == nil || !filter.match(row) {
			continue
		}
		if err := s.revoke(id, row); err != nil {
			return err
		}
	}
	return nil
}

// tokens gathers all that there is of an organization's service tokens.
func (c *cascade) tokens(organization uint64) error {
	ids, err := appendIDs(c.tx, nil, serviceTokensByte, organization)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row, err := readRow[serviceTokenRow](c.tx, byID(serviceTokenByte, id))
		if err != nil {
			return err
		}
		if row != nil {
			c.gather(serviceHashKey(row.Hash))
		}
		c.gather(byID(serviceTokenByte, id), byID(serviceUsesByte, id), byIDs(serviceTokensByte, organization, id))
	}
	c.gather(countKey(countServiceTokens, organization))
	return nil
}

func checkServiceName(f FieldErrors, name string) string {
	return checkName(f, "Service token", name, maxServiceName, func(s string) bool { return !strings.ContainsFunc(s, unprintable) }, textControl)
}
