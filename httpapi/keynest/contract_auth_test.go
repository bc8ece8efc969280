package keynest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// Sections 1 and 2 of the contract.

func addressing() []section {
	const corsHeaders = "accept, accept-encoding, authorization, content-type, dnt, origin, user-agent, x-csrftoken, x-requested-with"
	preflight := func(origin string) []string {
		return []string{"Origin: " + origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"}
	}
	s := section{title: "1 Addressing", lines: []line{
		{rule: "all paths start with /api/ and end with a slash (spec)", as: "ada", call: "GET /api/projects/", code: 200, want: somePage},
		{rule: "plus /health/ (spec)", call: "GET /health/", code: 200, want: healthBody},
		{rule: "paths are as listed, no /v1/ (ours)", as: "ada", call: "GET /api/v1/projects/", code: 404, want: isNotFound},
		{rule: "the form without trailing slash is served identically, no redirect: GET (ours)", as: "ada", call: "GET /api/projects/{web}", code: 200, want: webShown},
		{rule: "the form without trailing slash is served identically, no redirect: POST (ours)", as: "ada", call: "POST /api/projects", code: 201, keep: "slashless",
			body: `{"name":"Slashless","organization":{acme}}`, want: `{"id":"*","name":"Slashless","description":null,"organization":{acme},"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":0}`},
		{rule: "ids are counted per type from 1: organizations (spec)", as: "ada", call: "GET /api/organizations/1/", code: 200,
			want: `{"id":1,"name":"Ada's Organization","description":"Personal organization","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`},
		{rule: "ids are counted per type from 1: projects (spec)", as: "ada", call: "GET /api/projects/1/", code: 200, want: webShown},
		{rule: "ids are counted per type from 1: environments (spec)", as: "ada", call: "GET /api/environments/1/", code: 200, want: productionShown},
		{rule: "ids are counted per type from 1: variables (spec)", as: "ada", call: "GET /api/variables/1/", code: 200, want: keyShown},
		{rule: "ids are never reused: what had one goes (ours)", as: "ada", call: "DELETE /api/projects/{slashless}/", code: 204},
		{rule: "ids are never reused: and leaves it free (ours)", as: "ada", call: "GET /api/projects/{slashless}/", code: 404, want: isNotFound},
		{rule: "/admin/ leads to the web console if built, else 404 (ours)", call: "GET /admin/", code: 404, want: isNotFound},
		{rule: "other types 415 (real)", as: "ada", call: "POST /api/projects/", body: "name=x", headers: []string{"Content-Type: text/plain"}, code: 415,
			want: failure("UNSUPPORTED_MEDIA_TYPE", `Unsupported media type "text/plain" in request.`, "null")},
		{rule: "unknown fields are ignored (real)", as: "ada", call: "PATCH /api/projects/{web}/", body: `{"id":77,"color":"red","created_by_name":"Eve"}`, code: 200, want: webShown},
		{rule: "only JSON is rendered, never 406 (ours)", as: "ada", call: "GET /api/projects/{web}/", headers: []string{"Accept: text/plain"}, code: 200, want: webShown, has: []string{"Content-Type: application/json"}},
		{rule: "except export, never 406 (ours)", as: "ada", call: "GET /api/environments/{production}/export/?format=json", headers: []string{"Accept: text/plain"}, code: 200,
			want: `{"API_KEY":"sk_live_abcd1234567890"}`},
		{rule: "timestamps are UTC in whole seconds, joined_at included (spec)", as: "eve", call: "GET /api/organizations/{acme}/members/", code: 200, want: `{"members":[
			{"id":1,"email":"ada@example.com","username":"ada","role":"admin","joined_at":"` + started + `"},
			{"id":2,"email":"eve@example.com","username":"eve","role":"editor","joined_at":"` + started + `"},
			{"id":3,"email":"vic@example.com","username":"vic","role":"viewer","joined_at":"` + started + `"}],"total_count":3}`},
		{rule: "a missing description is null (real)", as: "eve", call: "POST /api/projects/", body: `{"name":"Eve's","organization":{acme}}`, code: 400,
			want: fieldFailure("name", "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots.")},
		{rule: "a missing description is null, created_by_name is empty if the user has no names (real)", as: "eve", call: "POST /api/projects/", body: `{"name":"Nameless","organization":{acme}}`, code: 201, keep: "nameless",
			want: `{"id":"*","name":"Nameless","description":null,"organization":{acme},"organization_name":"Acme Corp","created_at":"` + started + `","updated_at":"` + started + `","created_by_name":"","environment_count":0}`},
		{rule: "full_name is First Last (real)", as: "ada", call: "GET /api/auth/profile/", code: 200, want: adaShown},
		{rule: "full_name is else the username (real)", as: "eve", call: "GET /api/auth/profile/", code: 200,
			want: `{"id":2,"username":"eve","email":"eve@example.com","first_name":"","last_name":"","full_name":"eve","date_joined":"` + started + `","last_login":null,"is_active":true}`},

		{rule: "security headers are on every response: a success (real)", as: "ada", call: "GET /api/projects/", code: 200, want: somePage, has: securityHeaders("GET, HEAD, OPTIONS, POST")},
		{rule: "security headers are on every response: health (real)", call: "GET /health/", code: 200, want: healthBody, has: securityHeaders("GET, HEAD, OPTIONS")},
		{rule: "security headers are on every response: an error (real)", call: "GET /api/projects/{web}/", code: 401, want: failure("AUTHENTICATION_REQUIRED", textNoCredential, "null"),
			has: securityHeaders("DELETE, GET, HEAD, OPTIONS, PATCH, PUT")},
		{rule: "auth endpoints are private: profile (real)", as: "ada", call: "GET /api/auth/profile/", code: 200, want: adaShown, has: privateHeaders},
		{rule: "auth endpoints are private: login (real)", call: "POST /api/auth/login/", body: `{"email":"eve@example.com","password":"wrong"}`, code: 401, want: failure("INVALID_CREDENTIALS", "Invalid credentials", "null"), has: privateHeaders},
		{rule: "auth endpoints are private: registration (real)", call: "POST /api/auth/register/", body: `{`, code: 400, want: failure("PARSE_ERROR", "*", "null"), has: privateHeaders},
		{rule: "every response with a value: no-store (ours)", as: "ada", call: "GET /api/variables/{key}/", code: 200, want: keyShown, has: []string{"Cache-Control: no-store"}},

		{rule: "CORS: a preflight of a page that is allowed (real)", call: "OPTIONS /api/projects/", headers: preflight("http://localhost:3001"), code: 200, has: []string{
			"Access-Control-Allow-Origin: http://localhost:3001", "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 86400",
			"Access-Control-Allow-Methods: DELETE, GET, OPTIONS, PATCH, POST, PUT", "Access-Control-Allow-Headers: " + corsHeaders + "(, .*)?", "Vary: Cookie, Origin"}},
		{rule: "CORS: all four default origins are allowed (real)", as: "ada", call: "GET /api/projects/{web}/", headers: []string{"Origin: http://127.0.0.1:3000"}, code: 200, want: webShown,
			has: []string{"Access-Control-Allow-Origin: http://127.0.0.1:3000", "Access-Control-Allow-Credentials: true"}},
		{rule: "CORS: an error can be read by the page too (real)", call: "GET /api/projects/", headers: []string{"Origin: http://localhost:3000"}, code: 401, want: failure("AUTHENTICATION_REQUIRED", textNoCredential, "null"),
			has: []string{"Access-Control-Allow-Origin: http://localhost:3000", "Access-Control-Allow-Credentials: true"}},
		{rule: "CORS: no other page is allowed (real)", call: "OPTIONS /api/projects/", headers: preflight("http://evil.example"), code: 200,
			has: []string{"Access-Control-Allow-Origin: ", "Access-Control-Allow-Credentials: ", "Access-Control-Allow-Methods: "}},
	}, more: map[string]func(*walk){
		"bodies are JSON, forms and multipart forms on all endpoints (real)": anyBody,
		"headers about the client count only from configured proxies (ours)": forwarded,
		"ids are never reused, counted without those that are gone (ours)":   func(k *walk) { k.neverReused() },
	}}
	for _, kind := range []string{"organizations", "projects", "environments", "variables"} {
		for _, id := range []string{"abc", "0", "-1", "1.5", "01", "1e3", "99999999999999999999", "%31%20"} {
			s.lines = append(s.lines, line{rule: fmt.Sprintf("/%s/ as an id of %s is 404 (real)", id, kind), as: "ada", call: "GET /api/" + kind + "/" + id + "/", code: 404, want: isNotFound})
		}
	}
	return []section{s}
}

func securityHeaders(allow string) []string {
	return []string{"X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "Referrer-Policy: strict-origin-when-cross-origin", "X-Xss-Protection: 1; mode=block",
		"Cross-Origin-Opener-Policy: same-origin", "Allow: " + allow, "Vary: Cookie, Origin"}
}

var privateHeaders = []string{"Cache-Control: max-age=0, no-cache, no-store, must-revalidate, private"}

func (k *walk) neverReused() {
	ids := map[string]bool{}
	for range 3 {
		id := k.environment(k.kept["ada token"], 1, "passing")
		path := at("environments", id)
		if ids[path] {
			k.t.Errorf("%s was there before", path)
		}
		ids[path] = true
		if a := k.send(k.kept["ada token"], "DELETE", path, ""); a.code != 204 {
			k.t.Errorf("DELETE %s: %d", path, a.code)
		}
	}
}

// anyBody sends the same thing in each of the three types to every call that
// reads a body.
func anyBody(k *walk) {
	n := 0
	for _, call := range []struct {
		call   string
		fields []string // {n} is a number that is new with each request
		code   int
	}{
		{"POST /api/auth/register/", []string{"username", "body{n}", "email", "body{n}@example.com", "password", password}, 201},
		{"POST /api/auth/login/", []string{"email", "eve@example.com", "password", password}, 200},
		{"PATCH /api/auth/profile/", []string{"first_name", "Ada"}, 200},
		{"POST /api/auth/password/", []string{"current_password", "wrong", "new_password", password, "confirm_new_password", password}, 400},
		{"POST /api/organizations/", []string{"name", "Body {n}"}, 201},
		{"PUT /api/organizations/{acme}/", []string{"name", "Acme Corp"}, 200},
		{"PATCH /api/organizations/{acme}/", []string{"name", "Acme Corp"}, 200},
		{"POST /api/organizations/{acme}/invite_member/", []string{"email", "vic@example.com"}, 400},
		{"PATCH /api/organizations/{acme}/update_member_role/", []string{"user_id", "{vic}", "role", "viewer"}, 200},
		{"DELETE /api/organizations/{acme}/remove_member/", []string{"user_id", "999"}, 404},
		{"POST /api/projects/", []string{"name", "Body {n}", "organization", "{acme}"}, 201},
		{"PUT /api/projects/{web}/", []string{"name", "Web Application", "organization", "{acme}"}, 200},
		{"PATCH /api/projects/{web}/", []string{"organization", "{acme}"}, 200},
		{"POST /api/environments/", []string{"name", "body-{n}", "project", "{nameless}"}, 201},
		{"PUT /api/environments/{production}/", []string{"name", "production", "project", "{web}"}, 200},
		{"PATCH /api/environments/{production}/", []string{"environment_type", "production"}, 200},
		{"POST /api/environments/{lab}/import/", []string{"data", "A=1", "format", "env"}, 404},
		{"POST /api/environments/{production}/import/", []string{"data", "API_KEY=sk_live_abcd1234567890", "format", "env", "overwrite", "true"}, 200},
		{"POST /api/variables/", []string{"key", "BODY_{n}", "value", " a+b ", "environment", "{production}"}, 201},
		{"PUT /api/variables/{key}/", []string{"key", "API_KEY", "environment", "{production}"}, 200},
		{"PATCH /api/variables/{key}/", []string{"key", "API_KEY"}, 200},
	} {
		for kind, encode := range map[string]func(fields map[string]string) string{
			asJSON:  func(f map[string]string) string { return string(encode(f)) },
			asForm:  formOf,
			asParts: partsOf,
		} {
			n++
			fields := map[string]string{}
			for i := 0; i < len(call.fields); i += 2 {
				fields[call.fields[i]] = k.fill(strings.ReplaceAll(call.fields[i+1], "{n}", fmt.Sprint(n)))
			}
			a := k.ask(line{as: "ada", call: call.call, body: encode(fields), headers: []string{kind}})
			if a.code != call.code {
				k.t.Errorf("%s with %s: %d %.300s, want %d", call.call, kind, a.code, a.body, call.code)
			}
			var v struct {
				Value *string `json:"decrypted_value"`
			}
			if json.Unmarshal([]byte(a.body), &v) == nil && v.Value != nil && a.code == 201 && *v.Value != " a+b " {
				k.t.Errorf("%s with %s: the value became %q", call.call, kind, *v.Value)
			}
			if a := k.ask(line{as: "ada", call: call.call, body: "x", headers: []string{"Content-Type: application/xml"}}); a.code != 415 && call.code != 404 {
				k.t.Errorf("%s with XML: %d", call.call, a.code)
			}
		}
	}
}

func formOf(fields map[string]string) string {
	var pairs []string
	for name, value := range fields {
		pairs = append(pairs, name+"="+strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", " ", "+").Replace(value))
	}
	return strings.Join(pairs, "&")
}

func partsOf(fields map[string]string) string {
	var pairs []string
	for name, value := range fields {
		pairs = append(pairs, name, value)
	}
	return parts(pairs...)
}

// forwarded looks at which address the audit log has.
func forwarded(k *walk) {
	proxies, err := web.ParseProxies("127.0.0.1, ::1")
	if err != nil {
		k.t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		proxies web.Proxies
		headers []string
		want    string
	}{
		"a client's own word":      {nil, []string{"X-Forwarded-For: 9.9.9.9", "X-Real-IP: 8.8.8.8"}, "127.0.0.1"},
		"a proxy's":                {proxies, []string{"X-Forwarded-For: 9.9.9.9"}, "9.9.9.9"},
		"a proxy's other header":   {proxies, []string{"X-Real-IP: 8.8.8.8"}, "8.8.8.8"},
		"a client's before that":   {proxies, []string{"X-Forwarded-For: 1.1.1.1, 9.9.9.9"}, "9.9.9.9"},
		"a proxy that says little": {proxies, nil, "127.0.0.1"},
	} {
		w := newWorld(k.t, func(s *settings) { s.api.Proxies = tt.proxies })
		token := w.register("ann")
		w.send(token, "POST", "/api/organizations/", `{"name":"From afar"}`, tt.headers...)
		var log struct {
			Results []struct {
				IP string `json:"ip_address"`
			}
		}
		w.read(200, w.get(token, "/api/audit-logs/?action=organization_created"), &log)
		if len(log.Results) != 2 || log.Results[0].IP != tt.want {
			k.t.Errorf("%s: %+v, want %s", name, log.Results, tt.want)
		}
	}
}

func authentication() []section {
	unauthenticated := func(code, text string) string { return failure(code, text, "null") }
	scheme := []string{"WWW-Authenticate: Token"}
	s := section{title: "2 Auth", lines: []line{
		{rule: "Authorization: Token (spec)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Token {ada token}"}, code: 200, want: adaShown},
		{rule: "the scheme word is case-insensitive: token (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: token {ada token}"}, code: 200, want: adaShown},
		{rule: "the scheme word is case-insensitive: TOKEN (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: TOKEN {ada token}"}, code: 200, want: adaShown},
		{rule: "Bearer is accepted as well (ours)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Bearer {ada token}"}, code: 200, want: adaShown},

		{rule: "401: no header (real)", call: "GET /api/auth/profile/", code: 401, want: unauthenticated("AUTHENTICATION_REQUIRED", "Authentication credentials were not provided."), has: scheme},
		{rule: "401: unknown token (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Token 0123456789abcdef0123456789abcdef01234567"}, code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token."), has: scheme},
		{rule: "401: no token at all (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Token nonsense"}, code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token."), has: scheme},
		{rule: "401: scheme only (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Token"}, code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token header. No credentials provided."), has: scheme},
		{rule: "401: blank inside the token (real)", call: "GET /api/auth/profile/", headers: []string{"Authorization: Token 0123 4567"}, code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token header. Token string should not contain spaces."), has: scheme},
		{rule: "a bad header makes even login 401 (real)", call: "POST /api/auth/login/", headers: []string{"Authorization: Token 0123456789abcdef0123456789abcdef01234567"},
			body: `{"email":"ada@example.com","password":"` + password + `"}`, code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token."), has: scheme},
		{rule: "a bad header makes even register 401 (real)", call: "POST /api/auth/register/", headers: []string{"Authorization: Token"}, body: `{}`, code: 401,
			want: unauthenticated("INVALID_TOKEN", "Invalid token header. No credentials provided."), has: scheme},
		{rule: "never 401 for a lack of rights (real)", as: "vic", call: "DELETE /api/organizations/{acme}/", code: 403, want: isForbidden},

		{rule: "POST /api/auth/register/ (spec)", call: "POST /api/auth/register/", code: 201, has: privateHeaders,
			body: `{"username":"joe","email":"Joe@Example.com","password":"` + password + `","confirm_password":"` + password + `","first_name":"Joe","last_name":"Doe"}`,
			want: `{"message":"User registered successfully","token":"*","user":{"id":"*","username":"joe","email":"joe@example.com","first_name":"Joe","last_name":"Doe",
				"full_name":"Joe Doe","date_joined":"` + started + `","last_login":null,"is_active":true},"organization":{"id":"*","name":"Joe's Organization"}}`},
		{rule: "the organization is called by the username else (spec)", call: "POST /api/auth/register/", body: `{"username":"kim","email":"kim@example.com","password":"` + password + `"}`, code: 201,
			want: `{"message":"User registered successfully","token":"*","user":"*","organization":{"id":"*","name":"kim's Organization"}}`},
		{rule: "registration: 400 with a field map (real)", call: "POST /api/auth/register/", body: `{"password":"` + password + `"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Invalid registration data", `{"username":["This field is required."],"email":["This field is required."]}`)},
		{rule: "registration: duplicates 409, the address (ours)", call: "POST /api/auth/register/", body: `{"username":"other","email":"ADA@example.com","password":"` + password + `"}`, code: 409,
			want: taken("email", "User with this email already exists.")},
		{rule: "registration: duplicates 409, the name (ours)", call: "POST /api/auth/register/", body: `{"username":"ada","email":"other@example.com","password":"` + password + `"}`, code: 409,
			want: taken("username", "Username already exists.")},
		{rule: "bad JSON at register is 400 (ours)", call: "POST /api/auth/register/", body: `{"username":`, code: 400, want: failure("PARSE_ERROR", "*", "null")},

		{rule: "POST /api/auth/login/ (spec, real)", call: "POST /api/auth/login/", body: `{"email":"Ada@Example.com","password":"` + password + `"}`, code: 200, has: privateHeaders,
			want: `{"message":"Login successful","token":"{ada token}","user":{"id":1,"username":"ada","email":"ada@example.com","first_name":"Ada","last_name":"Lovelace","full_name":"Ada Lovelace",
				"date_joined":"` + started + `","last_login":"` + started + `","is_active":true},"organizations":"*"}`},
		{rule: "login tells the organizations (real)", call: "POST /api/auth/login/", body: `{"email":"vic@example.com","password":"` + password + `"}`, code: 200,
			want: `{"message":"Login successful","token":"{vic token}","user":"*","organizations":[{"id":3,"name":"vic's Organization","role":"admin"},{"id":{acme},"name":"Acme Corp","role":"viewer"}]}`},
		{rule: "login: 400 with a field map (real)", call: "POST /api/auth/login/", body: `{"email":"nonsense"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Invalid login data", `{"email":["Enter a valid email address."],"password":["This field is required."]}`)},
		{rule: "login: wrong password (real)", call: "POST /api/auth/login/", body: `{"email":"ada@example.com","password":"wrong"}`, code: 401, want: unauthenticated("INVALID_CREDENTIALS", "Invalid credentials"), has: scheme},
		{rule: "login: unknown user alike (real)", call: "POST /api/auth/login/", body: `{"email":"nobody@example.com","password":"wrong"}`, code: 401, want: unauthenticated("INVALID_CREDENTIALS", "Invalid credentials"), has: scheme},
		{rule: "GET /api/auth/profile/ is flat, last_login is set at login (spec)", as: "ada", call: "GET /api/auth/profile/", code: 200, has: privateHeaders,
			want: strings.Replace(adaShown, `"last_login":"*"`, `"last_login":"`+started+`"`, 1)},
		{rule: "profile without a token: 401 (spec)", call: "GET /api/auth/profile/", code: 401, want: unauthenticated("AUTHENTICATION_REQUIRED", textNoCredential)},
		{rule: "logout without a token: 401 (spec)", call: "POST /api/auth/logout/", code: 401, want: unauthenticated("AUTHENTICATION_REQUIRED", textNoCredential)},
		{rule: "POST /api/auth/logout/ (spec)", as: "vic", call: "POST /api/auth/logout/", code: 200, want: `{"message":"Successfully logged out"}`, has: privateHeaders},
		{rule: "logout ends all sessions (real)", as: "vic", call: "GET /api/auth/profile/", code: 401, want: unauthenticated("INVALID_TOKEN", "Invalid token."), has: scheme},
	}, more: map[string]func(*walk){
		"the token stays until logout, and the next login makes a new one (real)": lifeOfToken,
		"a disabled account is told so only after the right password (ours)":      disabled,
		"the operator may close registration (ours)": func(k *walk) {
			w := newWorld(k.t, func(s *settings) { s.layer.ClosedRegistration = true })
			w.fails(403, "PERMISSION_DENIED", "Registration is closed.", w.send("", "POST", "/api/auth/register/", adaRegisters))
		},
		"the organization made at registration has its maker as admin (real)": func(k *walk) {
			k.is(200, `{"members":[{"id":4,"email":"sam@example.com","username":"sam","role":"admin","joined_at":"*","last_login":null,"is_active":true}],"total_count":1}`,
				k.get(k.kept["sam token"], "/api/organizations/4/members/"))
			k.is(200, `{"id":4,"name":"sam's Organization","description":"Personal organization","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`,
				k.get(k.kept["sam token"], "/api/organizations/4/"))
		},
	}}
	return []section{s}
}

// lifeOfToken also brings vic back, whom a line has logged out.
func lifeOfToken(k *walk) {
	first, second := k.login("vic"), k.login("vic")
	if first != second || first == k.kept["vic token"] {
		k.t.Errorf("after a logout the first two logins gave %s and %s; before it was %s", first, second, k.kept["vic token"])
	}
	k.kept["vic token"] = first
	if a := k.get(first, "/api/auth/profile/"); a.code != 200 {
		k.t.Errorf("the new token: %d %s", a.code, a.body)
	}
}

func disabled(k *walk) {
	w := newWorld(k.t)
	token := w.register("ann")
	_, err := w.store.DB.Update(context.Background(), func(tx *kv.Tx) error {
		_, err := w.layer.SetActive(tx, "ann@example.com", false, vault.Client{IP: "127.0.0.1"})
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	login := func(password string) response {
		return w.send("", http.MethodPost, "/api/auth/login/", fmt.Sprintf(`{"email":"ann@example.com","password":%q}`, password))
	}
	w.fails(401, "INVALID_CREDENTIALS", "Account is disabled", login(password))
	w.fails(401, "INVALID_CREDENTIALS", "Invalid credentials", login("wrong"))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(token, "/api/auth/profile/"))
}
