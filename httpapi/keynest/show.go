package keynest

import "github.com/coveydb/covey/layer/vault"

// Shapes of what answers hold. Fields are in the order of the document.

type user struct {
	ID        uint64  `json:"id"`
	Username  string  `json:"username"`
	Email     string  `json:"email"`
	First     string  `json:"first_name"`
	Last      string  `json:"last_name"`
	FullName  string  `json:"full_name"`
	Joined    string  `json:"date_joined"`
	LastLogin *string `json:"last_login"`
	Active    bool    `json:"is_active"`
}

func showUser(u vault.User) user {
	return user{
		ID: u.ID, Username: u.Username, Email: u.Email, First: u.First, Last: u.Last, FullName: u.FullName(),
		Joined: stamp(u.Joined), LastLogin: orNull(u.LastLogin), Active: u.Active,
	}
}

type organization struct {
	ID          uint64     `json:"id"`
	Name        string     `json:"name"`
	Description *string    `json:"description"`
	Created     string     `json:"created_at"`
	Updated     string     `json:"updated_at"`
	Members     int        `json:"member_count"`
	Projects    int        `json:"project_count"`
	Role        vault.Role `json:"user_role"`
}

func showOrganization(o vault.Organization) organization {
	return organization{
		ID: o.ID, Name: o.Name, Description: o.Description, Created: stamp(o.Created), Updated: stamp(o.Updated),
		Members: o.Members, Projects: o.Projects, Role: o.Role,
	}
}

// member is somebody in an organization. Calls show more or less of one.
type member struct {
	ID       uint64     `json:"id"`
	Email    string     `json:"email"`
	Username string     `json:"username"`
	Role     vault.Role `json:"role"`
	Joined   string     `json:"joined_at,omitempty"`
	*account
}

// account is what admins may know of a member.
type account struct {
	LastLogin *string `json:"last_login"`
	Active    bool    `json:"is_active"`
}

func showMember(m vault.Member) member {
	return member{ID: m.ID, Email: m.Email, Username: m.Username, Role: m.Role}
}

// showJoined is showMember with the time when the member became one.
func showJoined(m vault.Member) member {
	shown := showMember(m)
	shown.Joined = stamp(m.Joined)
	return shown
}
