package vault

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
)

// MaxMembers is how many members an organization may have.
const MaxMembers = 100

const maxEmail = 254

// emails is what an address looks like that the HTML standard lets pass in a
// form, with a dot in its domain.
var emails = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)+$")

// Member is a member of an organization.
type Member struct {
	ID        uint64
	Email     string
	Username  string
	Role      Role
	Joined    int64
	LastLogin int64 // 0 = never; of no concern to whom MemberList.Whole is false
	Active    bool
}

// MemberList is the members of an organization, the first to join first.
type MemberList struct {
	Organization string
	Members      []Member
	Whole        bool // the caller may know LastLogin and Active
}

// Members lists the members of an organization. That they were looked at is
// among the Readings.
func (s *Session) Members(organization uint64) (MemberList, error) {
	o, role, err := s.organization(organization, ListMembers)
	if err != nil {
		return MemberList{}, err
	}
	list := MemberList{Organization: o.Name, Whole: role == Admin, Members: []Member{}}
	prefix := byID(membershipByte, organization)
	lo, hi := tuple.Span(prefix)
	for rec, err := range s.tx.Scan(lo, hi) { // MaxMembers bounds it
		if err != nil {
			return MemberList{}, err
		}
		user, _, err := tuple.Uint(rec.Key[len(prefix):])
		if err != nil {
			return MemberList{}, damaged(err)
		}
		m, err := decode[membershipRow](rec.Value)
		if err != nil {
			return MemberList{}, err
		}
		shown, err := s.showMember(user, m)
		if err != nil {
			return MemberList{}, err
		}
		list.Members = append(list.Members, shown)
	}
	slices.SortStableFunc(list.Members, func(a, b Member) int { return cmp.Compare(a.Joined, b.Joined) })
	s.reads(event{organization, verbView, targetMembership, organization, details{
		"organization_name": o.Name, "member_count": len(list.Members),
	}})
	return list, nil
}

func (s *Session) showMember(user uint64, m *membershipRow) (Member, error) {
	u, err := s.store.userByID(s.tx, user)
	if err != nil {
		return Member{}, err
	}
	if u == nil {
		return Member{}, errs.E(errs.Internal, "user %d is a member but not there", user)
	}
	return Member{
		ID: user, Email: u.Email, Username: u.Username, Role: m.Role, Joined: m.Joined,
		LastLogin: u.LastLogin, Active: !u.Disabled,
	}, nil
}

func invalid(text string) error { return errs.E(errs.Invalid, "%s", text) }

// Invited is a new member and where.
type Invited struct {
	Organization string
	Member       Member
}

// Invite makes the user with an e-mail address a member, as a viewer if role is
// "". Both texts are trimmed and lower-cased. An address without an account is
// errs.Invalid, as are all faults of the texts.
func (s *Session) Invite(organization uint64, email, role string) (Invited, error) {
	o, _, err := s.organization(organization, InviteMember)
	if err != nil {
		return Invited{}, err
	}
	email, r, err := parseInvitation(email, role)
	if err != nil {
		return Invited{}, err
	}
	n, err := readCount(s.tx, countMembers, organization)
	if err != nil {
		return Invited{}, err
	}
	if n >= MaxMembers {
		return Invited{}, invalid("Organization has reached the maximum number of members")
	}
	user, err := s.invitee(organization, email)
	if err != nil {
		return Invited{}, err
	}
	s.join(organization, user, r)
	err = s.audit(event{organization, verbCreate, targetMembership, organization, details{
		"invited_user_id": user, "invited_user_email": email, "role": string(r), "organization_id": organization,
		"organization_name": o.Name, "invitation_method": "admin_invite",
	}})
	if err != nil {
		return Invited{}, err
	}
	m, err := s.showMember(user, &membershipRow{Role: r, Joined: s.now()})
	if err != nil {
		return Invited{}, err
	}
	return Invited{o.Name, m}, s.tellMember(organization, verbCreate, m, "")
}

func parseInvitation(email, role string) (string, Role, error) {
	email = strings.TrimSpace(email)
	r := Role(strings.ToLower(strings.TrimSpace(role)))
	if r == "" {
		r = Viewer
	}
	switch {
	case email == "":
		return "", "", invalid("Email is required")
	case len(email) <= maxEmail && !emails.MatchString(email):
		return "", "", invalid("Invalid email format")
	case len(email) > maxEmail:
		return "", "", invalid("Email address too long")
	case !ValidRole(r):
		return "", "", invalid(textRole)
	}
	return strings.ToLower(email), r, nil
}

const textRole = "Invalid role. Must be admin, editor, or viewer"

// invitee finds the user to invite. Who has no account, or a disabled one, and
// who is in too many organizations already are told apart by nothing.
func (s *Session) invitee(organization uint64, email string) (uint64, error) {
	unable := invalid("Unable to invite user. Please ensure the email is correct and the user has an account.")
	user, row, err := s.store.userByEmail(s.tx, email)
	if err != nil {
		return 0, err
	}
	if row == nil || row.Disabled {
		return 0, unable
	}
	if user == s.user {
		// The caller is a member too; the more telling text of the two.
		return 0, invalid("You cannot invite yourself")
	}
	m, err := readRow[membershipRow](s.tx, byIDs(membershipByte, organization, user))
	if err != nil {
		return 0, err
	}
	if m != nil {
		return 0, invalid("User is already a member of this organization")
	}
	of, err := appendIDs(s.tx, nil, memberOfByte, user)
	if err != nil {
		return 0, err
	}
	if len(of) >= MaxOrganizations {
		return 0, unable
	}
	return user, nil
}

// member finds the member that a request names, by the text of an id.
func (s *Session) member(organization uint64, id string) (uint64, *membershipRow, error) {
	user, err := strconv.ParseUint(strings.TrimSpace(id), 10, 64)
	if err != nil {
		return 0, nil, invalid("Invalid user_id format")
	}
	m, err := readRow[membershipRow](s.tx, byIDs(membershipByte, organization, user))
	if err != nil {
		return 0, nil, err
	}
	if m == nil {
		return 0, nil, errs.E(errs.NotFound, "User is not a member of this organization")
	}
	return user, m, nil
}

// Nobody can take away its own role or membership, and who takes away another's
// is an admin. So the last admin stays one, and there is no text for it: of two
// admins who remove each other at once the second finds, in the transaction,
// that it is no member any more (errs.NotFound), or no admin (errs.Forbidden).

// ChangeRole gives another role to the member that user names, the text of an
// id; changed is false if the member has that role already.
func (s *Session) ChangeRole(organization uint64, user, role string) (shown Member, changed bool, err error) {
	o, _, err := s.organization(organization, ChangeRole)
	if err != nil {
		return Member{}, false, err
	}
	r := Role(strings.ToLower(strings.TrimSpace(role)))
	switch {
	case strings.TrimSpace(user) == "":
		return Member{}, false, invalid("user_id is required")
	case r == "":
		return Member{}, false, invalid("role is required")
	case !ValidRole(r):
		return Member{}, false, invalid(textRole)
	}
	id, m, err := s.member(organization, user)
	if err != nil {
		return Member{}, false, err
	}
	if id == s.user {
		return Member{}, false, invalid("You cannot change your own role")
	}
	old := m.Role
	m.Role = r
	if shown, err = s.showMember(id, m); err != nil || old == r {
		return shown, false, err
	}
	s.tx.Set(byIDs(membershipByte, organization, id), encode(m), 0)
	if err := s.tellMember(organization, verbUpdate, shown, old); err != nil {
		return Member{}, false, err
	}
	return shown, true, s.audit(event{organization, verbUpdate, targetMembership, organization, details{
		"updated_user_id": id, "updated_user_email": shown.Email, "old_role": string(old), "new_role": string(r),
		"organization_id": organization, "organization_name": o.Name,
	}})
}

// Removed is somebody who was a member, and where.
type Removed struct {
	Organization string
	Member       Member
}

// RemoveMember takes the membership from the member that user names, the text
// of an id.
func (s *Session) RemoveMember(organization uint64, user string) (Removed, error) {
	o, _, err := s.organization(organization, RemoveMember)
	if err != nil {
		return Removed{}, err
	}
	if strings.TrimSpace(user) == "" {
		return Removed{}, invalid("user_id is required")
	}
	id, m, err := s.member(organization, user)
	if err != nil {
		return Removed{}, err
	}
	if id == s.user {
		return Removed{}, invalid("You cannot remove yourself from the organization")
	}
	shown, err := s.showMember(id, m)
	if err != nil {
		return Removed{}, err
	}
	s.leave(organization, id)
	if err := s.tellMember(organization, verbDelete, shown, ""); err != nil {
		return Removed{}, err
	}
	return Removed{o.Name, shown}, s.audit(event{organization, verbDelete, targetMembership, organization, details{
		"removed_user_id": id, "removed_user_email": shown.Email, "removed_user_role": string(m.Role),
		"organization_id": organization, "organization_name": o.Name,
	}})
}
