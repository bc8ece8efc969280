package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A service token is let in as a Session of no user: it is a member of nothing,
// so whatever asks for a role or a membership gives it nothing. What it may do
// is said here and nowhere else, as a list: what is not on it is refused.

// ServicePrefix begins the text of every service token, and of no user's.
const ServicePrefix = "svc_"

// Texts for callers with a service token.
const (
	textServiceCannot = "Service tokens cannot do this."
	textReadOnly      = "This service token is read-only."
	textExpired       = "Token has expired."
	textForeign       = "This token may not be used from this address."
)

// What a service token may do in an environment of its scope. Its project, if
// that is its scope, and the lists of both it may only look at.
var (
	serviceReads  = []Action{ReadOrganization, ReadValue, Export}
	serviceWrites = []Action{CreateVariable, UpdateVariable, DeleteVariable, Import, RollBack}
)

// service is the service token that a Session stands for.
type service struct {
	id  uint64
	row *serviceTokenRow // not to be changed
}

// hasProject reports whether a project is in the token's scope.
func (t *service) hasProject(id uint64) bool { return t.row.Environment == 0 && t.row.Project == id }

// hasEnvironment reports whether an environment of a project is in the token's
// scope.
func (t *service) hasEnvironment(project, id uint64) bool {
	return t.row.Project == project && (t.row.Environment == 0 || t.row.Environment == id)
}

// may returns the error for what the token may not do in an environment of its
// scope.
func (t *service) may(a Action) error {
	switch {
	case slices.Contains(serviceReads, a):
		return nil
	case !slices.Contains(serviceWrites, a):
		return errServiceCannot()
	case !t.row.Write:
		return errs.E(errs.Forbidden, textReadOnly)
	}
	return nil
}

func errServiceCannot() error { return errs.E(errs.Forbidden, textServiceCannot) }

// needUser returns errs.Forbidden for a service token. Whatever is about the
// caller's account or memberships, and so does not open an organization, a project
// or an environment for an Action, begins with it.
func (s *Session) needUser() error {
	if s.service != nil {
		return errServiceCannot()
	}
	return nil
}

// sees reports whether values may be shown to somebody who has a role in their
// organization, or to a service token that has opened their environment.
func (s *Session) sees(role Role) bool { return s.service != nil || s.store.grants(role, ReadValue) }

// serviceOrganization is organization for a service token: it may do nothing
// with one.
func (s *Session) serviceOrganization(id uint64) error {
	if s.service.row.Organization != id {
		return errNotFound()
	}
	return errServiceCannot()
}

// serviceProject is project for a service token.
func (s *Session) serviceProject(id uint64, row *projectRow, a Action) (*projectRow, *organizationRow, error) {
	if !s.service.hasProject(id) {
		return nil, nil, errNotFound()
	}
	if a != ReadOrganization {
		return nil, nil, errServiceCannot()
	}
	o, err := s.organizationOf(row)
	return row, o, err
}

// serviceEnvironment is environment for a service token.
func (s *Session) serviceEnvironment(id uint64, row *environmentRow, a Action) (*place, error) {
	if !s.service.hasEnvironment(row.Project, id) {
		return nil, errNotFound()
	}
	if err := s.service.may(a); err != nil {
		return nil, err
	}
	p, err := recall(&s.store.rows.projects, s.tx, byID(projectByte, row.Project))
	if err == nil && p == nil {
		err = errNotFound()
	}
	if err != nil {
		return nil, err
	}
	o, err := s.organizationOf(p)
	return &place{id, row, p, o}, err
}

// organizationOf returns what a project of the token's scope is in. The project is
// still where it was when the token was made: moving it revokes the token.
func (s *Session) organizationOf(p *projectRow) (*organizationRow, error) {
	if p.Organization != s.service.row.Organization {
		return nil, errNotFound()
	}
	o, err := recall(&s.store.rows.organizations, s.tx, byID(organizationByte, p.Organization))
	if err == nil && o == nil {
		err = errNotFound()
	}
	return o, err
}

// serviceProjects is projectIDs for a service token.
func (s *Session) serviceProjects(organization uint64) []uint64 {
	t := s.service.row
	if t.Environment != 0 || organization != 0 && organization != t.Organization {
		return nil
	}
	return []uint64{t.Project}
}

// serviceEnvironments is environmentIDs for a service token.
func (s *Session) serviceEnvironments(project uint64) ([]uint64, error) {
	t := s.service.row
	switch {
	case project != 0 && project != t.Project:
		return nil, nil
	case t.Environment != 0:
		return []uint64{t.Environment}, nil
	}
	return appendIDs(s.tx, nil, environmentsByte, t.Project)
}

// A Refused is the error of a service token that is known and was not let in:
// it has expired, was revoked, or came from an address that it may not be used
// from. Give it to Recorder.Refused before the answer goes out.
type Refused struct {
	err    *errs.Error
	token  uint64
	name   string
	chain  uint64 // the organization
	reason string
	ip     string
	at     int64 // unix seconds
}

func (r *Refused) Error() string { return r.err.Error() }

// Unwrap gives the error its kind and its text.
func (r *Refused) Unwrap() error { return r.err }

// Why a service token was not let in, as the audit log tells it.
const (
	reasonRevoked = "revoked"
	reasonExpired = "expired"
	reasonAddress = "address"
)

// asService is As for a service token. One whose project or environment is not
// there any more is as good as unknown.
func (s *Store) asService(tx *kv.Tx, text string, who Client) (*Session, error) {
	invalid := errs.E(errs.Unauthenticated, textInvalidToken)
	hash, ok := hashServiceToken(text)
	if !ok {
		return nil, invalid
	}
	rec, ok, err := tx.Get(serviceHashKey(hash))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalid
	}
	id, err := decodeID(rec.Value)
	if err != nil {
		return nil, err
	}
	row, err := s.serviceToken(tx, id)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, invalid
	}
	refused := func(kind errs.Kind, text, reason string) error {
		return &Refused{errs.E(kind, "%s", text), id, row.Name, row.Organization, reason, who.IP, tx.Now() / 1000}
	}
	switch {
	case row.Revoked != 0:
		return nil, refused(errs.Unauthenticated, textInvalidToken, reasonRevoked)
	case row.expired(tx.Now() / 1000):
		return nil, refused(errs.Unauthenticated, textExpired, reasonExpired)
	case !row.admits(who.IP):
		return nil, refused(errs.Forbidden, textForeign, reasonAddress)
	}
	e := s.session(tx, 0, &userRow{}, who)
	e.service = &service{id, row}
	return e, e.checkScope()
}

// checkScope returns errs.Unauthenticated for a token whose scope is gone.
func (s *Session) checkScope() (err error) {
	if t := s.service.row; t.Environment != 0 {
		_, err = s.environment(t.Environment, ReadOrganization)
	} else {
		_, _, err = s.project(t.Project, ReadOrganization)
	}
	if errs.Is(err, errs.NotFound) {
		return errs.E(errs.Unauthenticated, textInvalidToken)
	}
	return err
}

// hashServiceToken returns what a service token is looked up by, see hashToken.
func hashServiceToken(text string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(text, ServicePrefix)
	if !ok {
		return nil, false
	}
	p, err := hex.DecodeString(digits)
	if err != nil || len(p) != tokenSize {
		return nil, false
	}
	hash := sha256.Sum256(p)
	return hash[:], true
}

// serviceToken returns the row of a service token, which is the caller's, nil
// if there is none.
func (s *Store) serviceToken(tx *kv.Tx, id uint64) (*serviceTokenRow, error) {
	return recall(&s.rows.serviceTokens, tx, byID(serviceTokenByte, id))
}

// expired reports whether the token is good no more.
func (r *serviceTokenRow) expired(now int64) bool { return r.Expires != 0 && now >= r.Expires }

// admits reports whether the token may be used from an address.
func (r *serviceTokenRow) admits(ip string) bool {
	if len(r.Networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(r.Networks, func(text string) bool {
		network, err := netip.ParsePrefix(text)
		return err == nil && network.Contains(addr)
	})
}

// serviceAuthor marks the id of a service token where that of a user stands: in
// the rows of what it has made.
const serviceAuthor = 1 << 63

// Author names who the session stands for, unlike everybody else: the id of a
// user, or one of a service token, which no user has.
func (s *Session) Author() uint64 {
	if s.service != nil {
		return serviceAuthor | s.service.id
	}
	return s.user
}

// userOf returns the id of the user who is an author, 0 if that is a service
// token.
func userOf(author uint64) uint64 {
	if author&serviceAuthor != 0 {
		return 0
	}
	return author
}

// serviceName is how a service token is called where a user's name stands.
func serviceName(name string) string { return "service token " + name }

// serviceCreator is creatorName for a service token.
func (s *Session) serviceCreator(author uint64) (string, error) {
	row, err := s.store.serviceToken(s.tx, author&^serviceAuthor)
	if err != nil || row == nil {
		return "", err
	}
	return serviceName(row.Name), nil
}
