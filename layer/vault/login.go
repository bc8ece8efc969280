package vault

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A Candidate is somebody who says to be a user. Find one in a View, Verify the
// password, which takes long, and Login in an Update.
type Candidate struct {
	id   uint64 // 0: there is no such user
	hash string // of the password, "" if there is no such user
}

const textCredentials = "Invalid credentials"

// FindUser returns the candidate who has an e-mail address. That there is none
// shows in Verify only.
func (s *Store) FindUser(tx *kv.Tx, email string) (Candidate, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if email == "" || len(email) > 4*maxEmail {
		return Candidate{}, nil
	}
	id, row, err := s.userByEmail(tx, email)
	if err != nil || row == nil {
		return Candidate{}, err
	}
	return Candidate{id: id, hash: row.Password}, nil
}

// Candidate returns the user itself, whose password is to be verified again.
func (s *Session) Candidate() (Candidate, error) {
	return Candidate{id: s.user, hash: s.row.Password}, s.needUser()
}

// Busy is errs.Unavailable while so many passwords are being checked that another
// one would most likely be refused. Ask it before Verify and Prepare, and before
// what they need: a flood of logins should cost little.
func (s *Store) Busy() error { return s.passwords.Busy() }

// Verify checks a password. A wrong one and a user who is not there are the same
// errs.Unauthenticated, after the same time. It takes some 20 ms, so call it
// before the transaction; other errors are those of seal.Passwords.Match.
func (s *Store) Verify(ctx context.Context, c Candidate, password string) error {
	hash := c.hash
	if utf8.RuneCountInString(password) > maxPassword { // nobody's
		hash, password = "", ""
	}
	ok, err := s.passwords.Match(ctx, hash, password)
	if err == nil && !ok {
		err = errs.E(errs.Unauthenticated, textCredentials)
	}
	return err
}

// Login lets in a candidate whose password was verified, and returns the user's token:
// the one there is, until a logout. A password that has changed meanwhile, and
// a disabled account, are errs.Unauthenticated.
func (s *Store) Login(tx *kv.Tx, c Candidate, who Client) (*Session, string, error) {
	row, err := s.verified(tx, c)
	if err != nil {
		return nil, "", err
	}
	if row.Disabled {
		return nil, "", errs.E(errs.Unauthenticated, textDisabled)
	}
	e := s.session(tx, c.id, row, who)
	row.LastLogin = e.now()
	token, err := e.token(row)
	if err != nil {
		return nil, "", err
	}
	e.store.putUser(tx, c.id, row)
	return e, token, e.audit(event{Verb: verbView, Target: targetUser, ID: c.id, Details: details{"login": true}})
}

// verified returns the row of a candidate, if the password is still the one
// that was verified.
func (s *Store) verified(tx *kv.Tx, c Candidate) (*userRow, error) {
	if c.id == 0 || c.hash == "" {
		return nil, errs.E(errs.Unauthenticated, textCredentials)
	}
	row, err := s.userByID(tx, c.id)
	if err == nil && (row == nil || row.Password != c.hash) {
		err = errs.E(errs.Unauthenticated, textCredentials)
	}
	return row, err
}

func (s *Store) putUser(tx *kv.Tx, id uint64, row *userRow) {
	tx.Set(byID(userByte, id), encode(row), 0)
}

// Logout revokes the user's token, and so ends all sessions.
func (s *Session) Logout() error {
	if err := s.needUser(); err != nil {
		return err
	}
	row := *s.row
	takeToken(s.tx, &row)
	s.store.putUser(s.tx, s.user, &row)
	s.row = &row
	return s.audit(event{Verb: verbView, Target: targetUser, ID: s.user, Details: details{"logout": true}})
}

// UpdateProfile changes the names that are given. None is errs.Invalid.
func (s *Session) UpdateProfile(first, last *string) (User, error) {
	if err := s.needUser(); err != nil {
		return User{}, err
	}
	if first == nil && last == nil {
		return User{}, FieldErrors{"non_field_errors": {"At least one field must be provided for update."}}
	}
	f, row := FieldErrors{}, *s.row
	var fields []string
	if first != nil {
		row.First, fields = checkPersonal(f, "first_name", *first), append(fields, "first_name")
	}
	if last != nil {
		row.Last, fields = checkPersonal(f, "last_name", *last), append(fields, "last_name")
	}
	if err := f.Err(); err != nil {
		return User{}, err
	}
	s.store.putUser(s.tx, s.user, &row)
	s.row = &row
	return s.User(), s.audit(event{Verb: verbUpdate, Target: targetUser, ID: s.user, Details: details{"fields": fields}})
}

// A NewPassword is one that was found good, hashed.
type NewPassword struct{ hash string }

// PasswordChange is what a user says to get another password.
type PasswordChange struct{ Current, New, Confirm string }

// PrepareChange checks the current password of a user, and the new one, and hashes it.
// It takes some 40 ms, so call it before the transaction. What is wrong with
// the fields, a wrong current password included, is FieldErrors.
func (s *Store) PrepareChange(ctx context.Context, c Candidate, p PasswordChange) (NewPassword, error) {
	f := FieldErrors{}
	if p.Current == "" {
		f.Add("current_password", textBlank)
	}
	checkPassword(f, "new_password", p.New)
	if len(f) == 0 && p.New != p.Confirm {
		f.Add("non_field_errors", "New passwords do not match.")
	}
	if err := f.Err(); err != nil {
		return NewPassword{}, err
	}
	if err := s.Verify(ctx, c, p.Current); errs.Is(err, errs.Unauthenticated) {
		return NewPassword{}, FieldErrors{"current_password": {"Current password is incorrect."}}
	} else if err != nil {
		return NewPassword{}, err
	}
	hash, err := s.passwords.Hash(ctx, p.New)
	return NewPassword{hash: hash}, err
}

// ChangePassword gives the user a password, revokes the token and returns a
// new one. A password that has changed since c was verified is
// errs.Unauthenticated.
func (s *Session) ChangePassword(c Candidate, p NewPassword) (string, error) {
	if err := s.needUser(); err != nil {
		return "", err
	}
	if c.id != s.user || p.hash == "" {
		return "", errs.E(errs.Unauthenticated, textCredentials)
	}
	row, err := s.store.verified(s.tx, c)
	if err != nil {
		return "", err
	}
	takeToken(s.tx, row)
	row.Password = p.hash
	token, err := s.giveToken(row)
	if err != nil {
		return "", err
	}
	s.store.putUser(s.tx, s.user, row)
	s.row = row
	return token, s.audit(event{Verb: verbUpdate, Target: targetUser, ID: s.user, Details: details{"password_changed": true}})
}
