package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

const goodPassword = "fox trot 42 hedges"

// register makes an account as the API does and returns its token.
func (w *world) register(name string) (User, string) {
	w.t.Helper()
	u, token, err := w.tryRegister(name, name+"@example.com")
	if err != nil {
		w.t.Fatal(err)
	}
	return u, token
}

func (w *world) tryRegister(name, email string) (u User, token string, err error) {
	w.t.Helper()
	n, err := w.s.Prepare(w.t.Context(), Registration{Username: name, Email: email, Password: goodPassword, First: "Ann"})
	if err != nil {
		w.t.Fatal(err)
	}
	who := Client{IP: "192.0.2.1", Draw: NewDraw()}
	_, err = w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		s, _, text, err := w.s.Register(tx, n, who)
		if err == nil {
			u, token = s.User(), text
		}
		return err
	})
	return u, token, err
}

// login is what the API does.
func (w *world) login(email, password string) (token string, err error) {
	w.t.Helper()
	var c Candidate
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		c, err = w.s.FindUser(tx, email)
		return err
	}); err != nil {
		return "", err
	}
	if err := w.s.Verify(w.t.Context(), c, password); err != nil {
		return "", err
	}
	return w.enter(c)
}

func (w *world) enter(c Candidate) (token string, err error) {
	who := Client{Draw: NewDraw()}
	_, err = w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		_, token, err = w.s.Login(tx, c, who)
		return err
	})
	return token, err
}

// with runs fn as whoever has the token.
func (w *world) with(token string, fn func(*Session) error) error {
	who := Client{Draw: NewDraw()}
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		s, err := w.s.As(tx, auth.Credential{Value: token}, who)
		if err != nil {
			return err
		}
		return fn(s)
	})
	return err
}

// stored returns every key and value.
func (w *world) stored() (all string) {
	w.t.Helper()
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		var b strings.Builder
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			b.Write(rec.Key)
			b.Write(rec.Value)
			b.WriteByte('\n')
		}
		all = b.String()
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

func none(*Session) error { return nil }

func TestRegistrationMakesAnAccountWithAnOrganization(t *testing.T) {
	w := newWorld(t)
	w.ConflictNext(2)
	u, token := w.register("Ann_1")
	want := User{ID: 1, Username: "Ann_1", Email: "ann_1@example.com", First: "Ann", Joined: w.Now() / 1000, Active: true}
	if d := cmp.Diff(want, u); d != "" {
		t.Error(d)
	}
	err := w.with(token, func(s *Session) error {
		if s.User() != u {
			t.Errorf("the token is that of %+v", s.User())
		}
		page, err := s.Organizations(Paging{})
		if err != nil {
			return err
		}
		if len(page.Items) != 1 || page.Items[0].Name != "Ann's Organization" || page.Items[0].Role != Admin || page.Items[0].Members != 1 {
			t.Errorf("organizations %+v", page.Items)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := hashToken(token)
	for _, secret := range []string{token, goodPassword} {
		if strings.Contains(w.stored(), secret) {
			t.Errorf("%q is stored in clear", secret)
		}
	}
	if len(raw) != 32 || len(token) != 40 {
		t.Errorf("token %q", token)
	}
}

func TestNamesAndAddressesAreTakenInAnyCase(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	for _, c := range []struct {
		name, email string
		fields      []string
	}{
		{"ANN", "other@example.com", []string{"username"}},
		{"bob", "ANN@Example.COM", []string{"email"}},
		{"Ann", "ann@example.com", []string{"email", "username"}},
	} {
		_, _, err := w.tryRegister(c.name, c.email)
		var f FieldErrors
		if !errs.Is(err, errs.Exists) || !errors.As(err, &f) || len(f) != len(c.fields) {
			t.Errorf("%s %s: %v with fields %v", c.name, c.email, err, f)
		}
		for _, field := range c.fields {
			if f[field] == nil {
				t.Errorf("%s %s: nothing on %s in %v", c.name, c.email, field, f)
			}
		}
	}
	if u, _ := w.register("bob"); u.ID != 2 {
		t.Errorf("after refusals the next id is %d, want 2", u.ID)
	}
}

func TestRegistrationIsChecked(t *testing.T) {
	other := "another one"
	for _, c := range []struct {
		what   string
		change func(*Registration)
		want   FieldErrors
	}{
		{"nothing wrong", func(*Registration) {}, nil},
		{"short username", func(r *Registration) { r.Username = "ab" }, FieldErrors{"username": {"Ensure this field has at least 3 characters."}}},
		{"long username", func(r *Registration) { r.Username = strings.Repeat("a", 151) }, FieldErrors{"username": {"Ensure this field has no more than 150 characters."}}},
		{"signs in the username", func(r *Registration) { r.Username = "a-b" }, FieldErrors{"username": {"Username can only contain letters, numbers, and underscores."}}},
		{"no e-mail", func(r *Registration) { r.Email = " " }, FieldErrors{"email": {"This field may not be blank."}}},
		{"bad e-mail", func(r *Registration) { r.Email = "a@b" }, FieldErrors{"email": {"Enter a valid email address."}}},
		{"e-mail with a kelvin sign", func(r *Registration) { r.Email = "\u212aim@example.com" }, FieldErrors{"email": {"Enter a valid email address."}}},
		{"long e-mail", func(r *Registration) { r.Email = strings.Repeat("a", 250) + "@b.cc" }, FieldErrors{"email": {"Ensure this field has no more than 254 characters."}}},
		{"short password", func(r *Registration) { r.Password = "a b c" }, FieldErrors{"password": {"Ensure this field has at least 8 characters."}}},
		{"long password", func(r *Registration) { r.Password = strings.Repeat("é", 129) }, FieldErrors{"password": {"Ensure this field has no more than 128 characters."}}},
		{"common password", func(r *Registration) { r.Password = "PassWord1" }, FieldErrors{"password": {"This password is too common."}}},
		{"numeric password", func(r *Registration) { r.Password = "8372910463" }, FieldErrors{"password": {"This password is entirely numeric."}}},
		{"common numeric password", func(r *Registration) { r.Password = "12345678" }, FieldErrors{"password": {"This password is too common.", "This password is entirely numeric."}}},
		{"another confirmation", func(r *Registration) { r.Confirm = &other }, FieldErrors{"non_field_errors": {"Passwords do not match."}}},
		{"long first name", func(r *Registration) { r.First = strings.Repeat("a", 151) }, FieldErrors{"first_name": {"Ensure this field has no more than 150 characters."}}},
		{"a line break in a name", func(r *Registration) { r.Last = "a\nb" }, FieldErrors{"last_name": {"Control characters are not allowed."}}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := Registration{Username: "ann", Email: "ann@example.com", Password: goodPassword}
			c.change(&r)
			_, err := r.check()
			var f FieldErrors
			errors.As(err, &f)
			if d := cmp.Diff(c.want, f); d != "" || (err != nil) != (c.want != nil) {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
}

// Somebody whose answer was lost registers again, and is told that the account
// is there; it is whole, and there once.
func TestRegistrationThatIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.LoseNext(1)
	if _, _, err := w.tryRegister("ann", "ann@example.com"); !errs.Is(err, errs.Unknown) {
		t.Fatalf("got %v, want errs.Unknown", err)
	}
	_, _, err := w.tryRegister("ann", "ann@example.com")
	if !errs.Is(err, errs.Exists) {
		t.Errorf("got %v, want errs.Exists", err)
	}
	wantFields(t, err, FieldErrors{"username": {"Username already exists."}, "email": {"User with this email already exists."}})
	for kind, want := range map[byte]int{
		userByte: 1, emailByte: 1, usernameByte: 1, tokenByte: 1, organizationByte: 1, membershipByte: 1, memberOfByte: 1, auditByte: 2,
	} {
		if got := w.keys(kind); got != want {
			t.Errorf("%d keys of kind %c, want %d", got, kind, want)
		}
	}
	token, err := w.login("ann@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.with(token, func(s *Session) error {
		p, err := s.Organizations(Paging{})
		if p.Count != 1 || p.Items[0].Role != Admin {
			t.Errorf("organizations %+v", p)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestClosedRegistration(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ClosedRegistration = true })
	if _, _, err := w.tryRegister("ann", "ann@example.com"); !errs.Is(err, errs.Forbidden) {
		t.Errorf("got %v", err)
	}
}

func TestCommonPasswords(t *testing.T) {
	if n := len(common().passwords) + len(common().words); n < 20_000 {
		t.Errorf("only %d words are known", n)
	}
	for password, want := range map[string]bool{
		"password": true, "PASSWORD": true, "password1": true, "qwertyuiop": true, "iloveyou!": true, "admin123": true, "elizabeth": true, "telephone": true,
		"": false, "correct horse": false, "kX9-vQ2_tB": false, "telephone7": false, "password\n": false,
	} {
		if got := commonPassword(password); got != want {
			t.Errorf("commonPassword(%q) = %v", password, got)
		}
	}
}
