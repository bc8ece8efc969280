package keynest

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

const ann = `{"id":1,"username":"ann","email":"ann@example.com","first_name":"Ann","last_name":"Bell","full_name":"Ann Bell",` +
	`"date_joined":"` + started + `","last_login":%s,"is_active":true}`

// annToken registers Ann, who has names.
func (w *world) annToken() string {
	w.t.Helper()
	a := w.send("", "POST", "/api/auth/register/", `{"username":"ann","email":" Ann@Example.com ","password":"`+password+
		`","confirm_password":"`+password+`","first_name":"Ann","last_name":"Bell","unknown":[1]}`)
	w.is(201, `{"message":"User registered successfully","token":"*","user":`+fmt.Sprintf(ann, "null")+`,"organization":{"id":1,"name":"Ann's Organization"}}`, a)
	var v struct{ Token string }
	w.read(201, a, &v)
	if len(v.Token) != 40 || strings.Trim(v.Token, "0123456789abcdef") != "" {
		w.t.Errorf("token %q", v.Token)
	}
	return v.Token
}

func TestRegisterLoginLogout(t *testing.T) {
	w := newWorld(t)
	token := w.annToken()
	w.is(200, fmt.Sprintf(ann, "null"), w.get(token, "/api/auth/profile/"))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"name":"Ann's Organization","description":"Personal organization",
		"created_at":"`+started+`","updated_at":"`+started+`","member_count":1,"project_count":0,"user_role":"admin"}]}`, w.get(token, "/api/organizations/"))

	w.store.Advance(time.Minute)
	const later = `"2023-11-14T22:14:20Z"`
	in := `{"message":"Login successful","token":"` + token + `","user":` + fmt.Sprintf(ann, later) + `,"organizations":[{"id":1,"name":"Ann's Organization","role":"admin"}]}`
	body := `{"email":"ANN@example.com ","password":"` + password + `"}`
	w.is(200, in, w.send("", "POST", "/api/auth/login/", body))
	w.is(200, in, w.send("", "POST", "/api/auth/login/", body, "Idempotency-Key: 0123456789abcdef"))
	w.is(200, in, w.send("", "POST", "/api/auth/login/", body, "Idempotency-Key: 0123456789abcdef"))
	w.is(200, in, w.do("POST", "/api/auth/login", "email=ann%40example.com&password="+password, asForm))
	w.is(200, in, w.send(token, "POST", "/api/auth/login/", body))
	w.is(200, fmt.Sprintf(ann, later), w.get(token, "/api/auth/profile/"))

	w.is(200, `{"message":"Successfully logged out"}`, w.send(token, "POST", "/api/auth/logout/", ""))
	for _, path := range []string{"/api/auth/profile/", "/api/organizations/"} {
		w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(token, path))
	}
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.send(token, "POST", "/api/auth/logout/", ""))
	again := w.login("ann")
	if again == token {
		t.Error("the token from before the logout came back")
	}
	if w.login("ann") != again {
		t.Error("another login changed the token")
	}
}

// Everything that tells a token, and all that comes from where tokens are
// told, is kept by no cache.
func TestAuthAnswersAreCachedNowhere(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	in := `{"email":"ann@example.com","password":"` + password + `"}`
	for _, a := range []response{
		w.send("", "POST", "/api/auth/register/", `{"username":"bob","email":"bob@example.com","password":"`+password+`"}`),
		w.send("", "POST", "/api/auth/register/", `{}`),
		w.send("", "POST", "/api/auth/login/", in), w.send("", "POST", "/api/auth/login/", `{`), w.get(token, "/api/auth/login/"),
		w.get(token, "/api/auth/profile/"), w.get("", "/api/auth/profile/"), w.send(token, "PATCH", "/api/auth/profile/", `{"first_name":"A"}`),
		w.send(token, "POST", "/api/auth/password/", `{"current_password":"`+password+`","new_password":"another-horse-8","confirm_new_password":"another-horse-8"}`),
		w.send(token, "POST", "/api/auth/logout/", ""),
	} {
		if got := a.header.Get("Cache-Control"); got != "max-age=0, no-cache, no-store, must-revalidate, private" {
			t.Errorf("%d %.100s: Cache-Control %q", a.code, a.body, got)
		}
	}
}

func TestRegistrationIsValidated(t *testing.T) {
	w := newWorld(t)
	w.register("taken")
	good := map[string]string{"username": `"ann"`, "email": `"ann@example.com"`, "password": `"` + password + `"`}
	long := func(n int) string { return `"` + strings.Repeat("a", n) + `"` }
	for name, tt := range map[string]struct {
		change  map[string]string
		details string
	}{
		"nothing":         {map[string]string{"username": "", "email": "", "password": ""}, `{"username":["This field is required."],"email":["This field is required."],"password":["This field is required."]}`},
		"blank":           {map[string]string{"username": `" "`, "email": `""`, "password": `""`}, `{"username":["This field may not be blank."],"email":["This field may not be blank."],"password":["This field may not be blank."]}`},
		"null":            {map[string]string{"username": `null`, "email": `null`, "password": `null`}, `{"username":["This field may not be null."],"email":["This field may not be null."],"password":["This field may not be null."]}`},
		"no texts":        {map[string]string{"username": `true`, "email": `[]`, "password": `{}`, "first_name": `[1]`}, `{"username":["Not a valid string."],"email":["Not a valid string."],"password":["Not a valid string."],"first_name":["Not a valid string."]}`},
		"missing and bad": {map[string]string{"username": "", "email": `"x"`}, `{"username":["This field is required."],"email":["Enter a valid email address."]}`},
		"short":           {map[string]string{"username": `"ab"`, "password": `"Zq7!xyw"`}, `{"username":["Ensure this field has at least 3 characters."],"password":["Ensure this field has at least 8 characters."]}`},
		"long":            {map[string]string{"username": long(151), "first_name": long(151), "last_name": long(151), "password": long(129), "email": `"` + strings.Repeat("a", 250) + `@b.de"`}, `{"username":["Ensure this field has no more than 150 characters."],"first_name":["Ensure this field has no more than 150 characters."],"last_name":["Ensure this field has no more than 150 characters."],"password":["Ensure this field has no more than 128 characters."],"email":["Ensure this field has no more than 254 characters."]}`},
		"signs":           {map[string]string{"username": `"an-n"`}, `{"username":["Username can only contain letters, numbers, and underscores."]}`},
		"common":          {map[string]string{"password": `"Password"`}, `{"password":["This password is too common."]}`},
		"digits":          {map[string]string{"password": `"8302749163501"`}, `{"password":["This password is entirely numeric."]}`},
		"number":          {map[string]string{"password": `8302749163501`}, `{"password":["This password is entirely numeric."]}`},
		"not the same":    {map[string]string{"confirm_password": `"Correct-horse-7"`}, `{"non_field_errors":["Passwords do not match."]}`},
		"only the fields": {map[string]string{"confirm_password": `"Correct-horse-7"`, "first_name": `[]`}, `{"first_name":["Not a valid string."]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			var parts []string
			for _, field := range []string{"username", "email", "password", "confirm_password", "first_name", "last_name"} {
				value, changed := tt.change[field]
				if !changed {
					value = good[field]
				}
				if value != "" {
					parts = append(parts, `"`+field+`":`+value)
				}
			}
			a := w.send("", "POST", "/api/auth/register/", "{"+strings.Join(parts, ",")+"}")
			w.faulty(400, "VALIDATION_ERROR", "Invalid registration data", tt.details, a)
		})
	}
	w.faulty(400, "VALIDATION_ERROR", "Invalid registration data", `{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}`,
		w.send("", "POST", "/api/auth/register/", `[]`))
	w.fails(400, "PARSE_ERROR", "JSON parse error - not valid JSON after byte 1", w.send("", "POST", "/api/auth/register/", `{`))
	w.register("ann") // no try has taken the name
}

func TestADuplicateAccountIsAConflict(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	register := func(name, email string) response {
		return w.send("", "POST", "/api/auth/register/", fmt.Sprintf(`{"username":%q,"email":%q,"password":%q}`, name, email, password))
	}
	const email, username = "User with this email already exists.", "Username already exists."
	w.faulty(409, "CONFLICT", email, `{"email":["`+email+`"]}`, register("bob", "Ann@example.com"))
	w.faulty(409, "CONFLICT", username, `{"username":["`+username+`"]}`, register("ANN", "bob@example.com"))
	w.faulty(409, "CONFLICT", email, `{"username":["`+username+`"],"email":["`+email+`"]}`, register("ann", "ann@example.com"))
	w.faulty(400, "VALIDATION_ERROR", "Invalid registration data", `{"password":["This field may not be blank."]}`,
		w.send("", "POST", "/api/auth/register/", `{"username":"ann","email":"ann@example.com","password":""}`))
}

// A registration whose answer was lost has happened, whole: its repeat finds
// the address taken, and the login works.
func TestARegistrationWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t)
	body := `{"username":"ann","email":"ann@example.com","password":"` + password + `"}`
	w.store.LoseNext(1)
	a := w.send("", "POST", "/api/auth/register/", body)
	if a.code != 504 || a.header.Get("Covey-Outcome") != "unknown" || !strings.Contains(a.body, `"code":"UNKNOWN_OUTCOME"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := w.send("", "POST", "/api/auth/register/", body); a.code != 409 {
		t.Errorf("%d %s", a.code, a.body)
	}
	w.counts(1, 1, w.get(w.login("ann"), "/api/organizations/"))
}

func TestRegistrationUnderConflicts(t *testing.T) {
	w := newWorld(t)
	w.store.ConflictNext(1)
	token := w.register("ann")
	w.store.ConflictNext(1)
	if w.login("ann") != token {
		t.Error("another token")
	}
	w.counts(1, 1, w.get(token, "/api/organizations/"))
	w.store.FailNext(errs.E(errs.Unavailable, "no leader"))
	a := w.faulty(503, "UNAVAILABLE", "Service unavailable", `"no leader"`,
		w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`))
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
}

func TestClosedRegistration(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.layer.ClosedRegistration = true })
	for _, body := range []string{`{"username":"ann","email":"ann@example.com","password":"` + password + `"}`, `{}`, `{`} {
		w.fails(403, "PERMISSION_DENIED", "Registration is closed.", w.send("", "POST", "/api/auth/register/", body))
	}
}

func TestLoginIsRefused(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	login := func(body string) response { return w.send("", "POST", "/api/auth/login/", body) }
	for _, body := range []string{
		`{"email":"ann@example.com","password":"wrong-horse-7"}`, `{"email":"bob@example.com","password":"` + password + `"}`,
		`{"email":"ann@example.com","password":"` + password + ` "}`, `{"email":"ann@example.com","password":"` + strings.Repeat("x", 1000) + `"}`,
	} {
		a := w.fails(401, "INVALID_CREDENTIALS", "Invalid credentials", login(body))
		if got := a.header.Get("Www-Authenticate"); got != "Token" {
			t.Errorf("WWW-Authenticate %q", got)
		}
	}
	for body, details := range map[string]string{
		`{}`:                                    `{"email":["This field is required."],"password":["This field is required."]}`,
		``:                                      `{"email":["This field is required."],"password":["This field is required."]}`,
		`{"email":"","password":""}`:            `{"email":["This field may not be blank."],"password":["This field may not be blank."]}`,
		`{"email":null,"password":[]}`:          `{"email":["This field may not be null."],"password":["Not a valid string."]}`,
		`{"email":"ann","password":"x"}`:        `{"email":["Enter a valid email address."]}`,
		`{"email":"a\u0000@b.de"}`:              `{"email":["Enter a valid email address."],"password":["This field is required."]}`,
		`"ann@example.com"`:                     `{"non_field_errors":["Invalid data. Expected a dictionary, but got str."]}`,
		`{"email":true,"password":` + "7" + `}`: `{"email":["Not a valid string."]}`,
	} {
		w.faulty(400, "VALIDATION_ERROR", "Invalid login data", details, login(body))
	}
}

// That an account is disabled is told only to who knows its password.
func TestADisabledAccount(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	w.setActive("ann", false)
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(token, "/api/auth/profile/"))
	w.fails(401, "INVALID_CREDENTIALS", "Invalid credentials", w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"wrong-horse-7"}`))
	w.fails(401, "INVALID_CREDENTIALS", "Account is disabled", w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`))
	w.setActive("ann", true)
	if w.login("ann") == token {
		t.Error("the token from before came back")
	}
}

// setActive is what the operator does.
func (w *world) setActive(name string, active bool) {
	w.t.Helper()
	_, err := w.store.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		_, err := w.layer.SetActive(tx, name+"@example.com", active, vault.Client{IP: "192.0.2.1"})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestProfileUpdate(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	patch := func(body string) response { return w.send(token, "PATCH", "/api/auth/profile/", body) }
	w.is(200, fmt.Sprintf(ann, "null"), patch(`{"first_name":" Ann ","last_name":"Bell","email":"other@example.com","username":"other"}`))
	w.is(200, fmt.Sprintf(ann, "null"), w.get(token, "/api/auth/profile/"))
	w.invalid(`{"non_field_errors":["At least one field must be provided for update."]}`, patch(`{}`))
	w.invalid(`{"non_field_errors":["At least one field must be provided for update."]}`, patch(``))
	w.invalid(`{"first_name":["Not a valid string."],"last_name":["Ensure this field has no more than 150 characters."]}`,
		patch(`{"first_name":true,"last_name":"`+strings.Repeat("x", 151)+`"}`))
	w.invalid(`{"first_name":["This field may not be null."]}`, patch(`{"first_name":null}`))
	w.invalid(`{"first_name":["Control characters are not allowed."]}`, patch(`{"first_name":"A\nB"}`))
	w.is(200, fmt.Sprintf(ann, "null"), w.get(token, "/api/auth/profile/"))
	w.fails(401, "AUTHENTICATION_REQUIRED", "Authentication credentials were not provided.", w.do("PATCH", "/api/auth/profile/", `{`, asJSON))
}

func TestPasswordChange(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	change := func(current, next, confirm string) response {
		return w.send(token, "POST", "/api/auth/password/", fmt.Sprintf(`{"current_password":%q,"new_password":%q,"confirm_new_password":%q}`, current, next, confirm),
			"Idempotency-Key: 0123456789abcdef")
	}
	const other = "another-horse-8"
	w.invalid(`{"non_field_errors":["New passwords do not match."]}`, change(password, other, other+"x"))
	w.invalid(`{"current_password":["Current password is incorrect."]}`, change("wrong-horse-7", other, other))
	w.invalid(`{"new_password":["This password is entirely numeric."]}`, change(password, "8302749163501", "8302749163501"))
	w.invalid(`{"current_password":["This field is required."],"new_password":["This field may not be null."],"confirm_new_password":["This field is required."]}`,
		w.send(token, "POST", "/api/auth/password/", `{"new_password":null}`))
	w.invalid(`{"current_password":["This field is required."],"new_password":["This password is entirely numeric."],"confirm_new_password":["This field is required."]}`,
		w.send(token, "POST", "/api/auth/password/", `{"new_password":"8302749163501"}`))
	w.is(200, fmt.Sprintf(`{"id":1,"username":"ann","email":"ann@example.com","first_name":"","last_name":"","full_name":"ann","date_joined":%q,"last_login":null,"is_active":true}`, started),
		w.get(token, "/api/auth/profile/"))

	var v struct{ Token string }
	a := change(password, other, other)
	w.is(200, `{"message":"Password changed successfully","token":"*"}`, a)
	w.read(200, a, &v)
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(token, "/api/auth/profile/"))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", change(password, other, other))
	if a := w.get(v.Token, "/api/auth/profile/"); a.code != 200 {
		t.Errorf("the new token: %d %s", a.code, a.body)
	}
	w.fails(401, "INVALID_CREDENTIALS", "Invalid credentials", w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`))
	w.is(200, `{"message":"Login successful","token":"`+v.Token+`","user":"*","organizations":"*"}`,
		w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+other+`"}`))
}

// No record holds a token or a password as it was.
func TestNoTokenOrPasswordIsStoredInClear(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	w.login("ann")
	a := w.send(token, "POST", "/api/auth/password/", `{"current_password":"`+password+`","new_password":"another-horse-8","confirm_new_password":"another-horse-8"}`,
		"Idempotency-Key: 0123456789abcdef")
	var v struct{ Token string }
	w.read(200, a, &v)
	seen := 0
	_, err := w.store.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all := string(rec.Key) + string(rec.Value)
			seen += strings.Count(all, "ann@example.com")
			for _, secret := range []string{token, v.Token, password, "another-horse-8"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q is stored at %q", secret, rec.Key)
				}
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("the address was seen %d times (%v)", seen, err)
	}
}

// No log has a token or a password, whatever became of the request.
func TestNoTokenOrPasswordIsLogged(t *testing.T) {
	var log bytes.Buffer // read after the server has stopped
	w := newWorld(t, func(s *settings) {
		s.api.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	token := w.register("ann")
	w.login("ann")
	w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"wrong-horse-7"}`)
	w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"wrong-horse-7"`)
	w.send("wrong-horse-7", "GET", "/api/auth/profile/", "")
	w.store.FailNext(errs.E(errs.Internal, "it broke"))
	w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`)
	w.send(token, "POST", "/api/auth/logout/", "")
	w.srv.Close()
	text := log.String()
	if !strings.Contains(text, "it broke") || strings.Count(text, "/api/auth/login/") < 4 {
		t.Errorf("the log lacks what it is searched in:\n%s", text)
	}
	for _, secret := range []string{token, password, "wrong-horse-7"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is logged:\n%s", secret, text)
		}
	}
}
