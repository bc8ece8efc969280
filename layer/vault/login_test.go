package vault

import (
	"errors"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestLoginGivesTheSameTokenUntilLogout(t *testing.T) {
	w := newWorld(t)
	u, first := w.register("ann")
	w.ConflictNext(1)
	again, err := w.login(" ANN@example.com", goodPassword)
	if err != nil || again != first {
		t.Fatalf("login gave %q, %v, want the token of the registration", again, err)
	}
	if err := w.with(first, func(s *Session) error {
		if got := s.User().LastLogin; got != w.Now()/1000 {
			t.Errorf("last login of %d is %d", u.ID, got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.ConflictNext(1)
	if err := w.with(first, (*Session).Logout); err != nil {
		t.Fatal(err)
	}
	if err := w.with(first, none); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("after the logout the token is %v", err)
	}
	next, err := w.login("ann@example.com", goodPassword)
	if err != nil || next == first {
		t.Errorf("the next login gave %q, %v", next, err)
	}
	if err := w.with(next, none); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

func TestWrongCredentialsAreAlike(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	for _, c := range [][2]string{
		{"ann@example.com", "wrong"}, {"bob@example.com", goodPassword}, {"", ""}, {"ann@example.com", ""}, {"bob@example.com", ""},
	} {
		if _, err := w.login(c[0], c[1]); !errs.Is(err, errs.Unauthenticated) || err.Error() != "Invalid credentials" {
			t.Errorf("%q: %v", c, err)
		}
	}
	if _, err := w.enter(Candidate{}); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody came in: %v", err)
	}
}

func TestOnlyAToken(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	for _, bad := range []string{"", "x", token[:39], token + "0", token[:39] + "g", "0000000000000000000000000000000000000000"} {
		if err := w.with(bad, none); !errs.Is(err, errs.Unauthenticated) || err.Error() != "Invalid token." {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestADisabledAccount(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	set := func(email string, active bool) error {
		_, err := w.DB.Update(t.Context(), func(tx *kv.Tx) error {
			u, err := w.s.SetActive(tx, email, active, Client{})
			if err == nil && u.Active != active {
				t.Errorf("user %+v", u)
			}
			return err
		})
		return err
	}
	w.ConflictNext(1)
	if err := set("Ann@example.com", false); err != nil {
		t.Fatal(err)
	}
	if err := w.with(token, none); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("its token: %v", err)
	}
	if _, err := w.login("ann@example.com", goodPassword); !errs.Is(err, errs.Unauthenticated) || err.Error() != "Account is disabled" {
		t.Errorf("the right password: %v", err)
	}
	if _, err := w.login("ann@example.com", "wrong password"); !errs.Is(err, errs.Unauthenticated) || err.Error() != "Invalid credentials" {
		t.Errorf("a wrong password: %v", err)
	}
	if err := set("ann@example.com", true); err != nil {
		t.Fatal(err)
	}
	if next, err := w.login("ann@example.com", goodPassword); err != nil || next == token {
		t.Errorf("enabled again: %q, %v", next, err)
	}
	if err := set("bob@example.com", false); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// change does what the API does.
func (w *world) change(token string, p PasswordChange) (next string, err error) {
	w.t.Helper()
	var c Candidate
	if err := w.with(token, func(s *Session) (err error) { c, err = s.Candidate(); return err }); err != nil {
		w.t.Fatal(err)
	}
	n, err := w.s.PrepareChange(w.t.Context(), c, p)
	if err != nil {
		return "", err
	}
	w.ConflictNext(1)
	err = w.with(token, func(s *Session) (err error) {
		next, err = s.ChangePassword(c, n)
		return err
	})
	return next, err
}

func TestAPasswordChangeRevokesTheToken(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	for field, p := range map[string]PasswordChange{
		"current_password": {"wrong", "quite another 1", "quite another 1"},
		"new_password":     {goodPassword, "password", "password"},
		"non_field_errors": {goodPassword, "quite another 1", "quite another 2"},
	} {
		_, err := w.change(token, p)
		var f FieldErrors
		if !errors.As(err, &f) || len(f) != 1 || f[field] == nil {
			t.Errorf("%s: %v", field, err)
		}
	}
	next, err := w.change(token, PasswordChange{goodPassword, "quite another 1", "quite another 1"})
	if err != nil || next == token {
		t.Fatalf("got %q, %v", next, err)
	}
	if err := w.with(token, none); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old token: %v", err)
	}
	if err := w.with(next, none); err != nil {
		t.Errorf("the new token: %v", err)
	}
	if _, err := w.login("ann@example.com", goodPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if again, err := w.login("ann@example.com", "quite another 1"); err != nil || again != next {
		t.Errorf("the new password: %q, %v", again, err)
	}
}

// Who has verified an old password must not come in once it has changed.
func TestAPasswordThatChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	var old Candidate
	if err := w.with(token, func(s *Session) (err error) { old, err = s.Candidate(); return err }); err != nil {
		t.Fatal(err)
	}
	next, err := w.change(token, PasswordChange{goodPassword, "quite another 1", "quite another 1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(old); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("login: %v", err)
	}
	err = w.with(next, func(s *Session) error {
		_, err := s.ChangePassword(old, NewPassword{hash: "x"})
		return err
	})
	if !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("another change: %v", err)
	}
}

func TestUpdateProfile(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	name, long := " Bo ", string(make([]byte, 151))
	w.ConflictNext(1)
	if err := w.with(token, func(s *Session) error { _, err := s.UpdateProfile(nil, &name); return err }); err != nil {
		t.Fatal(err)
	}
	if err := w.with(token, func(s *Session) error {
		if got := s.User(); got.First != "Ann" || got.Last != "Bo" || got.FullName() != "Ann Bo" {
			t.Errorf("user %+v", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for what, fn := range map[string]func(*Session) error{
		"nothing":     func(s *Session) error { _, err := s.UpdateProfile(nil, nil); return err },
		"a long name": func(s *Session) error { _, err := s.UpdateProfile(&long, nil); return err },
	} {
		if err := w.with(token, fn); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
