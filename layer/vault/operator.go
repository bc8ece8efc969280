package vault

import (
	"context"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// The operator of the cluster, who holds its root key, is no user: no role
// bounds what is in this file, and the audit log has it without an id and an
// address.

// operator is the operator as an actor.
func operator(ip string) actor { return actor{Name: "operator", IP: ip} }

// Account is a user as the operator sees it.
type Account struct {
	User
	Memberships []Membership // in the order of the organizations' ids
}

// Membership is a user's part in an organization.
type Membership struct {
	Organization uint64
	Name         string
	Role         Role
	Joined       int64
}

// Account returns the user who has an e-mail address. None is errs.NotFound.
func (s *Store) Account(tx *kv.Tx, email string) (Account, error) {
	id, row, err := s.accountOf(tx, email)
	if err != nil {
		return Account{}, err
	}
	a := Account{User: row.show(id)}
	ids, err := appendIDs(tx, nil, memberOfByte, id)
	if err != nil {
		return Account{}, err
	}
	for _, org := range ids {
		m, err := readRow[membershipRow](tx, byIDs(membershipByte, org, id))
		if err != nil {
			return Account{}, err
		}
		o, err := readRow[organizationRow](tx, byID(organizationByte, org))
		if err != nil {
			return Account{}, err
		}
		if m == nil || o == nil {
			return Account{}, errs.E(errs.Internal, "user %d is a member of organization %d, which is not there", id, org)
		}
		a.Memberships = append(a.Memberships, Membership{org, o.Name, m.Role, m.Joined})
	}
	return a, nil
}

// accountOf returns the row of the user who has an e-mail address.
func (s *Store) accountOf(tx *kv.Tx, email string) (uint64, *userRow, error) {
	missing := errs.E(errs.NotFound, "user %q: not found", email)
	email = strings.ToLower(strings.TrimSpace(email))
	if email == "" || len(email) > 4*maxEmail {
		return 0, nil, missing
	}
	id, row, err := s.userByEmail(tx, email)
	if err == nil && row == nil {
		return 0, nil, missing
	}
	return id, row, err
}

// CreateAccount makes an account as Register does, also where registration is
// closed. Errors are those of Register.
func (s *Store) CreateAccount(tx *kv.Tx, n Newcomer, who Client) (User, error) {
	e, _, _, err := s.enroll(tx, n, who, true)
	if err != nil {
		return User{}, err
	}
	return e.User(), nil
}

// PrepareReset checks a password that the operator gives somebody, and hashes
// it. It takes some 20 ms, so call it before the transaction. Errors are
// FieldErrors, and those of seal.Passwords.Hash.
func (s *Store) PrepareReset(ctx context.Context, password string) (NewPassword, error) {
	f := FieldErrors{}
	checkPassword(f, "password", password)
	if err := f.Err(); err != nil {
		return NewPassword{}, err
	}
	hash, err := s.passwords.Hash(ctx, password)
	return NewPassword{hash: hash}, err
}

// ResetPassword gives the user who has an e-mail address another password and
// revokes its token; a disabled account stays disabled. No such user is
// errs.NotFound.
func (s *Store) ResetPassword(tx *kv.Tx, email string, p NewPassword, who Client) error {
	if p.hash == "" {
		return errs.E(errs.Internal, "a password was to be reset to none")
	}
	id, row, err := s.accountOf(tx, email)
	if err != nil {
		return err
	}
	takeToken(tx, row)
	row.Password = p.hash
	s.putUser(tx, id, row)
	return record(tx, operator(who.IP), event{Verb: verbUpdate, Target: targetUser, ID: id, Details: details{"password_changed": true}})
}

// SetActive disables the account of the user who has an e-mail address, which
// revokes its token, or enables it again. No such user is errs.NotFound.
func (s *Store) SetActive(tx *kv.Tx, email string, active bool, who Client) (User, error) {
	id, row, err := s.accountOf(tx, email)
	if err != nil {
		return User{}, err
	}
	if row.Disabled == !active {
		return row.show(id), nil
	}
	row.Disabled = !active
	if !active {
		takeToken(tx, row)
	}
	s.putUser(tx, id, row)
	return row.show(id), record(tx, operator(who.IP), event{Verb: verbUpdate, Target: targetUser, ID: id, Details: details{"is_active": active}})
}
