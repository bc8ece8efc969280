package vault

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// User is an account as its owner sees it.
type User struct {
	ID        uint64
	Username  string
	Email     string
	First     string
	Last      string
	Joined    int64 // unix seconds
	LastLogin int64 // 0 = never
	Active    bool
}

// FullName is how a user is called: first and last name, else the username.
func (u User) FullName() string {
	if name := u.Names(); name != "" {
		return name
	}
	return u.Username
}

// Names is the user's first and last name, "" if there is neither.
func (u User) Names() string { return strings.TrimSpace(u.First + " " + u.Last) }

// names is User.Names.
func (r *userRow) names() string { return r.show(0).Names() }

// show returns the user whose row this is.
func (r *userRow) show(id uint64) User {
	return User{
		ID: id, Username: r.Username, Email: r.Email, First: r.First, Last: r.Last,
		Joined: r.Joined, LastLogin: r.LastLogin, Active: !r.Disabled,
	}
}

// User returns the user that the Session stands for, the zero User for a
// service token.
func (s *Session) User() User { return s.row.show(s.user) }

// Registration is what somebody says to get an account.
type Registration struct {
	Username string
	Email    string
	Password string
	Confirm  *string // nil: not given
	First    string
	Last     string
}

// A Newcomer is a Registration that was found good, with the password hashed.
type Newcomer struct {
	row userRow
}

const (
	minUsername  = 3
	maxUsername  = 150
	maxFirstLast = 150
)

var usernames = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)

// Prepare checks a registration and hashes its password. It takes some 20 ms,
// so call it before the transaction. Errors are FieldErrors, and those of
// seal.Passwords.Hash.
func (s *Store) Prepare(ctx context.Context, r Registration) (Newcomer, error) {
	row, err := r.check()
	if err != nil {
		return Newcomer{}, err
	}
	if row.Password, err = s.passwords.Hash(ctx, r.Password); err != nil {
		return Newcomer{}, err
	}
	return Newcomer{row: row}, nil
}

// check returns the row as it is stored, but for the password.
func (r Registration) check() (userRow, error) {
	f := FieldErrors{}
	row := userRow{Username: strings.TrimSpace(r.Username), Email: checkEmail(f, r.Email)}
	switch n := utf8.RuneCountInString(row.Username); {
	case n == 0:
		f.Add("username", textBlank)
	case n < minUsername:
		f.Add("username", textTooShort(minUsername))
	case n > maxUsername:
		f.Add("username", textTooLong(maxUsername))
	case !usernames.MatchString(row.Username):
		f.Add("username", "Username can only contain letters, numbers, and underscores.")
	}
	checkPassword(f, "password", r.Password)
	row.First = checkPersonal(f, "first_name", r.First)
	row.Last = checkPersonal(f, "last_name", r.Last)
	if len(f) == 0 && r.Confirm != nil && *r.Confirm != r.Password {
		f.Add("non_field_errors", "Passwords do not match.")
	}
	return row, f.Err()
}

// checkEmail returns an address as it is stored: in lower case. It judges the
// one that was given, since of some letters only the lower case is a plain one.
func checkEmail(f FieldErrors, email string) string {
	email = strings.TrimSpace(email)
	switch {
	case email == "":
		f.Add("email", textBlank)
	case utf8.RuneCountInString(email) > maxEmail:
		f.Add("email", textTooLong(maxEmail))
	case !ValidEmail(email):
		f.Add("email", "Enter a valid email address.")
	}
	return strings.ToLower(email)
}

// ValidEmail reports whether email is an address that an account can have: one
// without a name, quotes or comments, whose domain has a dot in it.
func ValidEmail(email string) bool { return len(email) <= 4*maxEmail && emails.MatchString(email) }

// checkPersonal returns a first or last name as it is stored.
func checkPersonal(f FieldErrors, field, name string) string {
	name = strings.TrimSpace(name)
	switch {
	case utf8.RuneCountInString(name) > maxFirstLast:
		f.Add(field, textTooLong(maxFirstLast))
	case strings.ContainsFunc(name, unprintable):
		f.Add(field, textControl)
	}
	return name
}

// Register makes an account with a token and a personal organization. An
// e-mail address or a username that is taken is errs.Exists with FieldErrors
// inside; closed registration is errs.Forbidden; without the master key it is
// errs.Unavailable.
//
// It all comes to be in one commit. A registration has no identity to be tried
// under again (see Request.OnceID): one whose outcome is errs.Unknown is simply
// tried again, and errs.Exists then says that the account is there, whole; its
// owner gets the token by a login.
func (s *Store) Register(tx *kv.Tx, n Newcomer, who Client) (*Session, Organization, string, error) {
	if err := s.MayRegister(); err != nil {
		return nil, Organization{}, "", err
	}
	return s.enroll(tx, n, who, false)
}

// MayRegister is errs.Forbidden where registration is closed. Ask it before
// Prepare, which costs more.
func (s *Store) MayRegister() error {
	if s.cfg.ClosedRegistration {
		return errs.E(errs.Forbidden, "Registration is closed.")
	}
	return nil
}

// enroll makes the account of a registration, or one that the operator makes.
func (s *Store) enroll(tx *kv.Tx, n Newcomer, who Client, byOp bool) (*Session, Organization, string, error) {
	if err := checkFree(tx, n.row); err != nil {
		return nil, Organization{}, "", err
	}
	id, err := nextID(tx, "user")
	if err != nil {
		return nil, Organization{}, "", err
	}
	row := n.row
	e := s.session(tx, id, &row, who)
	e.byOp = byOp
	row.Joined = e.now()
	if row.UID, err = e.newUID(); err != nil {
		return nil, Organization{}, "", err
	}
	token, err := e.giveToken(&row)
	if err != nil {
		return nil, Organization{}, "", err
	}
	tx.Set(byID(userByte, id), encode(row), 0)
	tx.Set(byText(emailByte, row.Email), encodeID(id), 0)
	tx.Set(byText(usernameByte, strings.ToLower(row.Username)), encodeID(id), 0)
	org, err := e.personalOrganization()
	if err != nil {
		return nil, Organization{}, "", err
	}
	err = e.audit(event{Verb: verbCreate, Target: targetUser, ID: id,
		Details: details{"registration": !byOp, "organization_created": org.ID}})
	return e, org, token, err
}

// checkFree refuses an address or a username that is taken.
func checkFree(tx *kv.Tx, row userRow) error {
	f := FieldErrors{}
	var text string
	for _, unique := range []struct {
		key         []byte
		field, text string
	}{
		{byText(usernameByte, strings.ToLower(row.Username)), "username", "Username already exists."},
		{byText(emailByte, row.Email), "email", "User with this email already exists."},
	} {
		_, taken, err := tx.Get(unique.key)
		if err != nil {
			return err
		}
		if taken {
			f.Add(unique.field, unique.text)
			text = unique.text
		}
	}
	if len(f) > 0 {
		return &errs.Error{Kind: errs.Exists, Msg: text, Err: f}
	}
	return nil
}

// personalOrganization makes the organization that every account begins with.
func (s *Session) personalOrganization() (Organization, error) {
	name := s.row.First
	if name == "" {
		name = s.row.Username
	}
	name += "'s Organization"
	text := "Personal organization"
	return s.CreateOrganization(OrganizationFields{Name: &name, Description: Description{Given: true, Text: &text}})
}
