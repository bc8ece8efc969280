package keynest

import (
	"net/http"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// None of the calls that give a token keeps an answer for a repeat under an
// Idempotency-Key: it would hold the token. A login may be repeated at will; a
// repeated registration finds the address taken, and a repeated change of
// password the token revoked.

// Titles of errors that clients read.
const (
	titleRegistration = "Invalid registration data"
	titleLogin        = "Invalid login data"
)

func (q *request) register() error {
	if err := q.Store.MayRegister(); err != nil {
		return err
	}
	if err := q.Store.Busy(); err != nil {
		return err
	}
	if err := q.read(maxBody); err != nil {
		return titled(err, titleRegistration)
	}
	f := &q.fields
	f.require("username", "email", "password")
	form := vault.Registration{
		Username: f.given("username"), Email: f.given("email"), Password: f.given("password"), Confirm: f.text("confirm_password"),
		First: f.plain("first_name"), Last: f.plain("last_name"),
	}
	ctx, cancel := q.patience()
	defer cancel()
	newcomer, err := q.Store.Prepare(ctx, form)
	if err := f.with(err); err != nil {
		return titled(err, titleRegistration)
	}
	var answer struct {
		Message      string `json:"message"`
		Token        string `json:"token"`
		User         user   `json:"user"`
		Organization struct {
			ID   uint64 `json:"id"`
			Name string `json:"name"`
		} `json:"organization"`
	}
	who := q.who()
	who.Draw = vault.NewDraw()
	res, err := q.Recorder.Update(ctx, func(tx *kv.Tx) error {
		s, org, token, err := q.Store.Register(tx, newcomer, who)
		if err != nil {
			return err
		}
		answer.Message, answer.Token, answer.User = "User registered successfully", token, showUser(s.User())
		answer.Organization.ID, answer.Organization.Name = org.ID, org.Name
		return nil
	})
	if err != nil {
		return err
	}
	web.SetChange(q.w.Header(), res.Version, false)
	return q.reply(http.StatusCreated, answer)
}

func (q *request) login() error {
	if err := q.Store.Busy(); err != nil {
		return err
	}
	if err := q.read(maxBody); err != nil {
		return titled(err, titleLogin)
	}
	email, password := q.credentials()
	if err := q.fields.with(nil); err != nil {
		return titled(err, titleLogin)
	}
	ctx, cancel := q.patience()
	defer cancel()
	var c vault.Candidate
	_, err := q.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		c, err = q.Store.FindUser(tx, email)
		return err
	})
	if err != nil {
		return err
	}
	if err := q.Store.Verify(ctx, c, password); err != nil {
		return err
	}
	who := q.who()
	who.Draw = vault.NewDraw()
	var answer loginAnswer
	res, err := q.Recorder.Update(ctx, func(tx *kv.Tx) error {
		s, token, err := q.Store.Login(tx, c, who)
		if err != nil {
			return err
		}
		of, err := memberships(s)
		answer = loginAnswer{"Login successful", token, showUser(s.User()), of}
		return err
	})
	if err != nil {
		return err
	}
	web.SetChange(q.w.Header(), res.Version, false)
	return q.reply(http.StatusOK, answer)
}

// credentials returns what a login says.
func (q *request) credentials() (email, password string) {
	f := &q.fields
	f.require("email", "password")
	email, password = strings.TrimSpace(f.given("email")), f.given("password")
	for name, value := range map[string]string{"email": email, "password": password} {
		if len(f.bad[name]) == 0 && value == "" {
			f.bad.Add(name, textBlank)
		}
	}
	if len(f.bad["email"]) == 0 && !vault.ValidEmail(email) {
		f.bad.Add("email", "Enter a valid email address.")
	}
	return email, password
}

type loginAnswer struct {
	Message       string       `json:"message"`
	Token         string       `json:"token"`
	User          user         `json:"user"`
	Organizations []membership `json:"organizations"`
}

// membership is an organization, as a login tells of it.
type membership struct {
	ID   uint64     `json:"id"`
	Name string     `json:"name"`
	Role vault.Role `json:"role"`
}

// memberships returns all organizations of the user.
func memberships(s *vault.Session) ([]membership, error) {
	list := []membership{}
	for number := 1; ; number++ {
		page, err := s.Organizations(vault.Paging{Number: number, Size: vault.MaxPageSize})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			list = append(list, membership{o.ID, o.Name, o.Role})
		}
		if len(list) >= page.Count {
			return list, nil
		}
	}
}

func (q *request) logout() error {
	return q.change(http.StatusOK, func(s *vault.Session) (any, error) {
		return map[string]string{"message": "Successfully logged out"}, s.Logout()
	})
}

func (q *request) profile() error {
	var answer any
	err := q.view(func(s *vault.Session) error {
		t, is, err := s.Itself()
		if is {
			answer = ownProfile{"service_token", showServiceToken(t)}
		} else {
			answer = showUser(s.User())
		}
		return err
	})
	if err != nil {
		return err
	}
	return q.reply(http.StatusOK, answer)
}

func (q *request) updateProfile() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	first, last := q.fields.text("first_name"), q.fields.text("last_name")
	return q.save(http.StatusOK, func(s *vault.Session) (uint64, any, error) {
		u, err := s.UpdateProfile(first, last)
		return u.ID, showUser(u), err
	}, func(s *vault.Session, _ uint64) (any, error) { return showUser(s.User()), nil })
}

// changePassword answers with the new token: the old one is revoked, and with
// it all other sessions of the user.
func (q *request) changePassword() error {
	if err := q.read(maxBody); err != nil {
		return q.refuse(err)
	}
	var c vault.Candidate
	err := q.view(func(s *vault.Session) (err error) {
		c, err = s.Candidate()
		return err
	})
	if err != nil {
		return err
	}
	f := &q.fields
	f.require("current_password", "new_password", "confirm_new_password")
	form := vault.PasswordChange{
		Current: f.given("current_password"), New: f.given("new_password"), Confirm: f.given("confirm_new_password"),
	}
	ctx, cancel := q.patience()
	defer cancel()
	hashed, err := q.Store.PrepareChange(ctx, c, form)
	if err := f.with(err); err != nil {
		return err
	}
	var answer struct {
		Message string `json:"message"`
		Token   string `json:"token"`
	}
	who := q.who()
	who.Draw = vault.NewDraw()
	res, err := q.Recorder.Update(ctx, func(tx *kv.Tx) error {
		s, err := q.enter(tx, who)
		if err != nil {
			return err
		}
		answer.Message = "Password changed successfully"
		answer.Token, err = s.ChangePassword(c, hashed)
		return err
	})
	if err != nil {
		return err
	}
	web.SetChange(q.w.Header(), res.Version, false)
	return q.reply(http.StatusOK, answer)
}
