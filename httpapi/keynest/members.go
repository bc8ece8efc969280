package keynest

import (
	"encoding/json"
	"net/http"

	"github.com/coveydb/covey/layer/vault"
)

func (q *request) members() error {
	var list vault.MemberList
	err := q.view(func(s *vault.Session) (err error) {
		list, err = s.Members(q.id)
		return err
	})
	if err != nil {
		return err
	}
	answer := struct {
		Members []member `json:"members"`
		Count   int      `json:"total_count"`
	}{make([]member, len(list.Members)), len(list.Members)}
	for i, m := range list.Members {
		answer.Members[i] = showJoined(m)
		if list.Whole {
			answer.Members[i].account = &account{LastLogin: orNull(m.LastLogin), Active: m.Active}
		}
	}
	return q.reply(http.StatusOK, answer)
}

// memberAnswer says what has become of a member.
type memberAnswer struct {
	Message string `json:"message"`
	Member  member `json:"member"`
}

func (q *request) invite() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	email, role := q.fields.word("email"), q.fields.word("role")
	return q.change(http.StatusCreated, func(s *vault.Session) (any, error) {
		in, err := s.Invite(q.id, email, role)
		m := in.Member
		return memberAnswer{"User has been added to " + in.Organization + " as " + string(m.Role), showJoined(m)}, err
	})
}

func (q *request) changeRole() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	user, role := q.fields.word("user_id"), q.fields.word("role")
	return q.change(http.StatusOK, func(s *vault.Session) (any, error) {
		m, changed, err := s.ChangeRole(q.id, user, role)
		message := "Role updated successfully"
		if !changed {
			message = "Role is already set to the specified value"
		}
		return memberAnswer{message, showMember(m)}, err
	})
}

func (q *request) removeMember() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	user := q.fields.word("user_id")
	return q.change(http.StatusOK, func(s *vault.Session) (any, error) {
		out, err := s.RemoveMember(q.id, user)
		var answer struct {
			Message string `json:"message"`
			Removed struct {
				Email    string     `json:"email"`
				Username string     `json:"username"`
				Role     vault.Role `json:"role"`
			} `json:"removed_member"`
		}
		answer.Message = "User has been removed from " + out.Organization
		answer.Removed.Email, answer.Removed.Username, answer.Removed.Role = out.Member.Email, out.Member.Username, out.Member.Role
		return answer, err
	})
}

// word returns a field of the calls on members, whose one text for an error
// does not tell a wrong type from a wrong value: what is no text is its JSON,
// and null is nothing.
func (f *fields) word(name string) string {
	switch v := f.values[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case file:
		return v.name
	default:
		return string(encode(v))
	}
}
