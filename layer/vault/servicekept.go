package vault

import (
	"errors"
	"fmt"
)

// servicePlace is what the text of a service token is bound to.
func servicePlace(o *organizationRow, id uint64) []byte {
	return fmt.Appendf(nil, "vault/service-token/%x/%d", o.UID, id)
}

// SealServiceToken seals the text of a new service token, to be kept for repeats of
// the request that has made it and for nothing else. It does so with the data key of
// the token's organization: what is kept for repeats is never sealed anew, and has
// to open when the master key of its day is gone.
func (s *Session) SealServiceToken(id uint64, text string) ([]byte, error) {
	o, err := s.sealsServiceToken(id)
	if err != nil {
		return nil, err
	}
	return s.sealAt(o, []byte(text), servicePlace(o, id))
}

// OpenServiceToken opens what SealServiceToken has sealed.
func (s *Session) OpenServiceToken(id uint64, sealed []byte) (string, error) {
	o, err := s.sealsServiceToken(id)
	if err != nil {
		return "", err
	}
	text, err := s.openAt(o, sealed, servicePlace(o, id))
	return string(text), err
}

// sealsServiceToken returns the organization of a service token.
func (s *Session) sealsServiceToken(id uint64) (*organizationRow, error) {
	if err := errors.Join(s.needUser(), s.store.needKeyring()); err != nil {
		return nil, err
	}
	row, err := s.store.serviceToken(s.tx, id)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, errNotFound()
	}
	o, err := recall(&s.store.rows.organizations, s.tx, byID(organizationByte, row.Organization))
	if err == nil && o == nil {
		err = errNotFound()
	}
	return o, err
}
