package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// NestUser is an account as the API shows it.
type NestUser struct {
	ID        uint64     `json:"id"`
	Username  string     `json:"username"`
	Email     string     `json:"email"`
	FirstName string     `json:"first_name"`
	LastName  string     `json:"last_name"`
	FullName  string     `json:"full_name"`
	Joined    time.Time  `json:"date_joined"`
	LastLogin *time.Time `json:"last_login"` // nil = never
	Active    bool       `json:"is_active"`
}

// NestLogin is what a login gives: the user's one token, which is good until a
// logout or a change of password.
type NestLogin struct {
	Token         string       `json:"token"`
	User          NestUser     `json:"user"`
	Organizations []NestRoleIn `json:"organizations"`
}

// NestRoleIn is an organization and what its member may do there.
type NestRoleIn struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"` // admin, editor or viewer
}

// Register makes an account with an organization of its own. A repeat whose first
// answer was lost is ErrConflict: log in then.
func (n *Nest) Register(ctx context.Context, u NewUser) (made NestLogin, err error) {
	call := nestCall{op: "register " + u.Email, method: http.MethodPost, path: "/auth/register/", body: u, open: true}
	err = n.do(ctx, call, &made)
	return made, err
}

// Login returns the user's token. A wrong password and an address without an
// account are the same ErrDenied.
func (n *Nest) Login(ctx context.Context, email, password string) (in NestLogin, err error) {
	body := map[string]string{"email": email, "password": password}
	err = n.do(ctx, nestCall{op: "log in " + email, method: http.MethodPost, path: "/auth/login/", body: body, open: true}, &in)
	return in, err
}

// Logout ends the user's token, everywhere it is used.
func (n *Nest) Logout(ctx context.Context) error {
	err := n.do(ctx, nestCall{op: "log out", method: http.MethodPost, path: "/auth/logout/"}, nil)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized && e.Unknown {
		return nil // a try before it has done it
	}
	return err
}

// NestProfile is who holds a token: one of the two is set.
type NestProfile struct {
	User         *NestUser
	ServiceToken *NestServiceToken
}

// Profile returns who holds the token.
func (n *Nest) Profile(ctx context.Context) (p NestProfile, err error) {
	var doc json.RawMessage
	if err := n.do(ctx, nestCall{op: "read the profile", path: "/auth/profile/"}, &doc); err != nil {
		return p, err
	}
	var kind struct {
		Type string `json:"type"`
	}
	err = json.Unmarshal(doc, &kind)
	if err == nil && kind.Type == "service_token" {
		p.ServiceToken = new(NestServiceToken)
		err = json.Unmarshal(doc, p.ServiceToken)
	} else if err == nil {
		p.User = new(NestUser)
		err = json.Unmarshal(doc, p.User)
	}
	if err != nil {
		return NestProfile{}, fmt.Errorf("read the profile: the answer is not what was asked for: %w", err)
	}
	return p, nil
}

// UpdateProfile changes the user's names; nil leaves one as it is.
func (n *Nest) UpdateProfile(ctx context.Context, first, last *string) (u NestUser, err error) {
	body := struct {
		First *string `json:"first_name,omitempty"`
		Last  *string `json:"last_name,omitempty"`
	}{first, last}
	err = n.do(ctx, nestCall{op: "change the profile", method: http.MethodPatch, path: "/auth/profile/", body: body}, &u)
	return u, err
}

// ChangePassword changes the user's password, ends the token and returns another.
func (n *Nest) ChangePassword(ctx context.Context, current, next string) (token string, err error) {
	var doc struct {
		Token string `json:"token"`
	}
	body := map[string]string{"current_password": current, "new_password": next, "confirm_new_password": next}
	err = n.do(ctx, nestCall{op: "change the password", method: http.MethodPost, path: "/auth/password/", body: body}, &doc)
	return doc.Token, err
}

// NestOrganization is a team.
type NestOrganization struct {
	ID          uint64    `json:"id"`
	Name        string    `json:"name"`
	Description *string   `json:"description"`
	Created     time.Time `json:"created_at"`
	Updated     time.Time `json:"updated_at"`
	Members     int       `json:"member_count"`
	Projects    int       `json:"project_count"`
	Role        string    `json:"user_role"` // the caller's: admin, editor or viewer
}

// Organizations returns those that the user is a member of.
func (n *Nest) Organizations(ctx context.Context) iter.Seq2[NestOrganization, error] {
	return nestPages[NestOrganization](ctx, n, nestCall{op: "list organizations", path: "/organizations/"})
}

// Organization returns one.
func (n *Nest) Organization(ctx context.Context, id uint64) (o NestOrganization, err error) {
	err = n.do(ctx, nestCall{op: fmt.Sprintf("read organization %d", id), path: nestPath("organizations", id)}, &o)
	return o, err
}

// NestText is a name and a description to set; nil leaves one as it is.
type NestText struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
}

// CreateOrganization makes one whose admin is the user.
func (n *Nest) CreateOrganization(ctx context.Context, t NestText) (o NestOrganization, err error) {
	err = n.do(ctx, nestCall{op: "create an organization", method: http.MethodPost, path: "/organizations/", body: t}, &o)
	return o, err
}

// UpdateOrganization changes one.
func (n *Nest) UpdateOrganization(ctx context.Context, id uint64, t NestText) (o NestOrganization, err error) {
	call := nestCall{op: fmt.Sprintf("change organization %d", id), method: http.MethodPatch, path: nestPath("organizations", id), body: t}
	err = n.do(ctx, call, &o)
	return o, err
}

// DeleteOrganization deletes one with all that is in it.
func (n *Nest) DeleteOrganization(ctx context.Context, id uint64) error {
	return n.do(ctx, nestCall{op: fmt.Sprintf("delete organization %d", id), method: http.MethodDelete, path: nestPath("organizations", id)}, nil)
}

// NestMember is somebody in an organization.
type NestMember struct {
	ID       uint64     `json:"id"` // the user's
	Email    string     `json:"email"`
	Username string     `json:"username"`
	Role     string     `json:"role"`
	Joined   *time.Time `json:"joined_at,omitempty"`

	LastLogin *time.Time `json:"last_login,omitempty"` // only admins see it; nil also = never
	Active    *bool      `json:"is_active,omitempty"`  // only admins see it
}

// Members returns the members of an organization, the oldest first.
func (n *Nest) Members(ctx context.Context, organization uint64) ([]NestMember, error) {
	var doc struct {
		Members []NestMember `json:"members"`
	}
	call := nestCall{op: fmt.Sprintf("list the members of organization %d", organization), path: nestPath("organizations", organization, "members")}
	err := n.do(ctx, call, &doc)
	return doc.Members, err
}

// Invite makes a user who has an account a member. The role is admin, editor or
// viewer.
func (n *Nest) Invite(ctx context.Context, organization uint64, email, role string) (NestMember, error) {
	return n.membership(ctx, nestCall{
		op: fmt.Sprintf("invite %s to organization %d", email, organization), method: http.MethodPost,
		path: nestPath("organizations", organization, "invite_member"), body: map[string]string{"email": email, "role": role},
	})
}

// SetRole changes what a member may do.
func (n *Nest) SetRole(ctx context.Context, organization, user uint64, role string) (NestMember, error) {
	return n.membership(ctx, nestCall{
		op: fmt.Sprintf("change the role of user %d in organization %d", user, organization), method: http.MethodPatch,
		path: nestPath("organizations", organization, "update_member_role"), body: map[string]any{"user_id": user, "role": role},
	})
}

func (n *Nest) membership(ctx context.Context, call nestCall) (NestMember, error) {
	var doc struct {
		Member NestMember `json:"member"`
	}
	err := n.do(ctx, call, &doc)
	return doc.Member, err
}

// RemoveMember ends a membership.
func (n *Nest) RemoveMember(ctx context.Context, organization, user uint64) error {
	return n.do(ctx, nestCall{
		op: fmt.Sprintf("remove user %d from organization %d", user, organization), method: http.MethodDelete,
		path: nestPath("organizations", organization, "remove_member"), body: map[string]uint64{"user_id": user},
	}, nil)
}
