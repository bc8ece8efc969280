package keynest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// The texts that clients read, each with a request that provokes it.

// contractTexts are the texts of errors that the contract has. Not among them
// are those of TestTheContractsLimits, TestTheHundredthMember, tooLarge and
// disabled, and two that nobody can provoke: "Cannot change role of the last
// admin in the organization" and "Cannot remove the last admin from the
// organization". Who may do that is an admin, and nobody may do it to itself.
var contractTexts = []string{
	// 2 Auth
	"Authentication credentials were not provided.", "Invalid token.", "Invalid token header. No credentials provided.",
	"Invalid token header. Token string should not contain spaces.", "Invalid registration data", "Invalid login data", "Invalid credentials",
	"Enter a valid email address.", "User with this email already exists.", "Username can only contain letters, numbers, and underscores.",
	"Username already exists.", "Ensure this field has at least 8 characters.", "This password is too common.", "This password is entirely numeric.",
	"Passwords do not match.",
	// 3 Endpoints
	"You do not have permission to perform this action.", "You don't have permission to create projects in this organization.",
	"You don't have permission to create environments in this project.", "You don't have permission to create variables in this environment.",
	"You don't have permission to export this environment.", "You don't have permission to import to this environment.",
	"Only admins can invite members", "Only admins can update member roles", "Only admins can remove members",
	// 4 Bodies
	"Invalid page.", "Organization name must be at least 2 characters long.", "You already have an organization with this name.",
	"Email is required", "Invalid email format", "Email address too long", "Invalid role. Must be admin, editor, or viewer",
	"Unable to invite user. Please ensure the email is correct and the user has an account.", "User is already a member of this organization",
	"You cannot invite yourself", "user_id is required", "role is required", "Invalid user_id format", "User is not a member of this organization",
	"You cannot change your own role", "You cannot remove yourself from the organization",
	"Project name must be at least 2 characters long.", "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots.",
	"Environment name must be at least 2 characters long.", "Environment name can only contain letters, numbers, hyphens, and underscores.",
	"An environment with this name already exists in this project.", "Variable key cannot be empty.",
	"Variable key must start with a letter and contain only uppercase letters, numbers, and underscores.",
	"A variable with this key already exists in this environment.",
	// 5 Errors
	"Validation failed", "Not found.", `Method "GET" not allowed.`, "JSON parse error - ", `Unsupported media type "text/plain" in request.`,
	"This field is required.", "This field may not be blank.", "This field may not be null.", "Not a valid string.",
	"Ensure this field has no more than 255 characters.", "Ensure this field has at least 3 characters.", `"qa" is not a valid choice.`,
	`Invalid pk "999" - object does not exist.`, "Incorrect type. Expected pk value, received str.", "Invalid data. Expected a dictionary, but got list.",
	// 7 Export and import
	`No file or data provided. Use "file" for upload or "data" for raw content.`, "Invalid format. Supported formats: env, json, yaml",
	"Failed to parse file content: ", "Invalid environment data", "Environment data must be a dictionary/object", "Key must be a string: ",
	"Key cannot be empty or whitespace only", "Invalid key format 'K-1': must start with letter/underscore, contain only letters/numbers/underscores",
	"Value for 'K' is too long (max 65536 bytes)", "Duplicate keys found (case-insensitive)", "Too many variables (max 1000 per environment)",
	"Conflicting variables found",
	// 11 Beyond the document
	"At least one field must be provided for update.", "New passwords do not match.",
}

// Each text is what some line of the contract waits for.
func TestEachTextIsProvoked(t *testing.T) {
	var wanted []string
	for _, s := range contract() {
		for _, l := range s.lines {
			var v any
			if l.code < 400 || json.Unmarshal([]byte(l.want), &v) != nil {
				continue
			}
			wanted = appendTexts(wanted, v)
		}
	}
	for _, text := range contractTexts {
		if !slices.ContainsFunc(wanted, func(w string) bool { return w == text || strings.HasSuffix(text, " ") && strings.HasPrefix(w, text) }) {
			t.Errorf("no line provokes %q", text)
		}
	}
}

// appendTexts appends the texts in a JSON value.
func appendTexts(list []string, v any) []string {
	switch v := v.(type) {
	case string:
		list = append(list, v)
	case []any:
		for _, e := range v {
			list = appendTexts(list, e)
		}
	case map[string]any:
		for _, e := range v {
			list = appendTexts(list, e)
		}
	}
	return list
}

// wrong is a line about one text for one field.
func wrong(call, body, field, text string) line {
	return line{rule: fmt.Sprintf("%s of %s: %s (real)", field, call, text), as: "ada", call: call, body: body, code: 400, want: fieldFailure(field, text)}
}

func errorTexts() []section {
	const register = "POST /api/auth/register/"
	registration := func(field, value, text string) line {
		fields := map[string]string{"username": `"fresh"`, "email": `"fresh@example.com"`, "password": `"` + password + `"`}
		fields[field] = value
		var list []string
		for name, v := range fields {
			list = append(list, fmt.Sprintf("%q:%s", name, v))
		}
		if field == "confirm_password" {
			field = "non_field_errors"
		}
		return line{rule: "registration: " + text + " for " + cut(value) + " (real)", call: register, body: "{" + strings.Join(list, ",") + "}", code: 400,
			want: failure("VALIDATION_ERROR", "Invalid registration data", fmt.Sprintf(`{%q:[%q]}`, field, text))}
	}
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	users := section{title: "2 Auth - texts", lines: []line{
		registration("email", `"nonsense"`, "Enter a valid email address."),
		registration("email", `"a@b"`, "Enter a valid email address."),
		registration("email", `""`, "This field may not be blank."),
		registration("email", `"`+strings.Repeat("x", 243)+`@example.com"`, "Ensure this field has no more than 254 characters."),
		registration("username", `"a-b"`, "Username can only contain letters, numbers, and underscores."),
		registration("username", `"ab"`, "Ensure this field has at least 3 characters."),
		registration("username", long(151), "Ensure this field has no more than 150 characters."),
		registration("username", `""`, "This field may not be blank."),
		registration("username", `null`, "This field may not be null."),
		registration("username", `true`, "Not a valid string."),
		registration("password", `"sh0rt-x"`, "Ensure this field has at least 8 characters."),
		registration("password", `"`+strings.Repeat("aB3-", 33)+`"`, "Ensure this field has no more than 128 characters."),
		registration("password", `"password1"`, "This password is too common."),
		registration("password", `"9182736455463728"`, "This password is entirely numeric."),
		registration("password", `""`, "This field may not be blank."),
		registration("confirm_password", `"another-horse-7"`, "Passwords do not match."),
		registration("first_name", long(151), "Ensure this field has no more than 150 characters."),
		registration("last_name", long(151), "Ensure this field has no more than 150 characters."),
		{rule: "registration: all that is wrong at once (real)", call: register, body: `{"username":"a!","email":"x","password":"1234567"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Invalid registration data", `{"username":"*","email":["Enter a valid email address."],
				"password":"*"}`)},
	}}

	const nameTooLong = "Ensure this field has no more than 255 characters."
	things := section{title: "4 Bodies - texts of fields", lines: []line{
		wrong("POST /api/organizations/", `{"name":"x"}`, "name", "Organization name must be at least 2 characters long."),
		wrong("POST /api/organizations/", `{"name":" x "}`, "name", "Organization name must be at least 2 characters long."),
		wrong("POST /api/organizations/", `{}`, "name", "This field is required."),
		wrong("PUT /api/organizations/{acme}/", `{}`, "name", "This field is required."),
		wrong("POST /api/organizations/", `{"name":"  "}`, "name", "This field may not be blank."),
		wrong("POST /api/organizations/", `{"name":null}`, "name", "This field may not be null."),
		wrong("POST /api/organizations/", `{"name":["x"]}`, "name", "Not a valid string."),
		wrong("POST /api/organizations/", `{"name":false}`, "name", "Not a valid string."),
		wrong("POST /api/organizations/", `{"name":`+long(256)+`}`, "name", nameTooLong),
		wrong("POST /api/organizations/", `{"name":"a\nb"}`, "name", "Control characters are not allowed."),
		wrong("PATCH /api/organizations/{acme}/", `{"name":"x"}`, "name", "Organization name must be at least 2 characters long."),
		wrong("PATCH /api/organizations/{acme}/", `{"description":true}`, "description", "Not a valid string."),

		wrong("POST /api/projects/", `{"name":"x","organization":{acme}}`, "name", "Project name must be at least 2 characters long."),
		wrong("POST /api/projects/", `{"name":"a/b","organization":{acme}}`, "name", "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots."),
		wrong("POST /api/projects/", `{"name":"a\tb","organization":{acme}}`, "name", "Project name can only contain letters, numbers, spaces, hyphens, underscores, and dots."),
		wrong("POST /api/projects/", `{"name":`+long(256)+`,"organization":{acme}}`, "name", nameTooLong),
		wrong("POST /api/projects/", `{"name":"abc"}`, "organization", "This field is required."),
		wrong("POST /api/projects/", `{"organization":{acme}}`, "name", "This field is required."),
		wrong("PUT /api/projects/{web}/", `{"name":"abc"}`, "organization", "This field is required."),
		wrong("POST /api/projects/", `{"name":"abc","organization":"x"}`, "organization", "Incorrect type. Expected pk value, received str."),
		wrong("POST /api/projects/", `{"name":"abc","organization":true}`, "organization", "Incorrect type. Expected pk value, received bool."),
		wrong("POST /api/projects/", `{"name":"abc","organization":[1]}`, "organization", "Incorrect type. Expected pk value, received list."),
		wrong("POST /api/projects/", `{"name":"abc","organization":{}}`, "organization", "Incorrect type. Expected pk value, received dict."),
		wrong("POST /api/projects/", `{"name":"abc","organization":1.5}`, "organization", "Incorrect type. Expected pk value, received float."),
		wrong("POST /api/projects/", `{"name":"abc","organization":null}`, "organization", "This field may not be null."),
		wrong("POST /api/projects/", `{"name":"abc","organization":999}`, "organization", `Invalid pk "999" - object does not exist.`),
		wrong("POST /api/projects/", `{"name":"abc","organization":"999"}`, "organization", `Invalid pk "999" - object does not exist.`),
		wrong("POST /api/projects/", `{"name":"abc","organization":-1}`, "organization", `Invalid pk "-1" - object does not exist.`),
		wrong("POST /api/projects/", `{"name":"abc","organization":0}`, "organization", `Invalid pk "0" - object does not exist.`),
		wrong("POST /api/projects/", `{"name":"abc","organization":99999999999999999999}`, "organization", `Invalid pk "99999999999999999999" - object does not exist.`),

		wrong("POST /api/environments/", `{"name":"x","project":{web}}`, "name", "Environment name must be at least 2 characters long."),
		wrong("POST /api/environments/", `{"name":"a b","project":{web}}`, "name", "Environment name can only contain letters, numbers, hyphens, and underscores."),
		wrong("POST /api/environments/", `{"name":`+long(101)+`,"project":{web}}`, "name", "Ensure this field has no more than 100 characters."),
		wrong("POST /api/environments/", `{"name":"abc","project":{web},"environment_type":"qa"}`, "environment_type", `"qa" is not a valid choice.`),
		wrong("PATCH /api/environments/{production}/", `{"environment_type":"qa"}`, "environment_type", `"qa" is not a valid choice.`),
		wrong("POST /api/environments/", `{"name":"abc"}`, "project", "This field is required."),
		wrong("PATCH /api/environments/{production}/", `{"project":"x"}`, "project", "Incorrect type. Expected pk value, received str."),

		wrong("POST /api/variables/", `{"key":"","environment":{production}}`, "key", "Variable key cannot be empty."),
		wrong("POST /api/variables/", `{"key":"  ","environment":{production}}`, "key", "Variable key cannot be empty."),
		wrong("POST /api/variables/", `{"key":null,"environment":{production}}`, "key", "This field may not be null."),
		wrong("POST /api/variables/", `{"environment":{production}}`, "key", "This field is required."),
		wrong("POST /api/variables/", `{"key":"A"}`, "environment", "This field is required."),
		wrong("POST /api/variables/", `{"key":"A","environment":"x"}`, "environment", "Incorrect type. Expected pk value, received str."),
		wrong("POST /api/variables/", `{"key":`+strings.ToUpper(long(256))+`,"environment":{production}}`, "key", nameTooLong),
		wrong("POST /api/variables/", `{"key":"A","value":null,"environment":{production}}`, "value", "This field may not be null."),
		wrong("POST /api/variables/", `{"key":"A","value":true,"environment":{production}}`, "value", "Not a valid string."),
		wrong("POST /api/variables/", `{"key":"A","value":{"a":1},"environment":{production}}`, "value", "Not a valid string."),
		wrong("POST /api/variables/", `{"key":"A","value":"a\u0000b","environment":{production}}`, "value", "Null characters are not allowed."),
		wrong("PATCH /api/variables/{key}/", `{"value":null}`, "value", "This field may not be null."),
		wrong("PATCH /api/variables/{key}/", `{"value":"`+strings.Repeat("é", 32769)+`"}`, "value", "Ensure this field has no more than 65536 bytes."),
		wrong("PATCH /api/variables/{key}/", `{"key":""}`, "key", "Variable key cannot be empty."),
	}}
	for _, bad := range []string{"a", "lower", "1A", "_A", "A-B", "A B", "Ä", "A.B"} {
		things.lines = append(things.lines, wrong("POST /api/variables/", `{"key":"`+bad+`","environment":{production}}`, "key",
			"Variable key must start with a letter and contain only uppercase letters, numbers, and underscores."))
	}

	member := func(call, body, text string) line {
		l := line{rule: fmt.Sprintf("%s for %s (real)", text, cut(body)), as: "ada", call: call, body: body, code: 400, want: failure("VALIDATION_ERROR", text, "null")}
		if text == "User is not a member of this organization" {
			l.code, l.want = 404, failure("NOT_FOUND", text, "null")
		}
		return l
	}
	const (
		invite, role, remove = "POST /api/organizations/{acme}/invite_member/", "PATCH /api/organizations/{acme}/update_member_role/", "DELETE /api/organizations/{acme}/remove_member/"
		noRole               = "Invalid role. Must be admin, editor, or viewer"
		unable               = "Unable to invite user. Please ensure the email is correct and the user has an account."
		stranger             = "User is not a member of this organization"
	)
	members := section{title: "4 Bodies - texts about members, in order", lines: []line{
		member(invite, `{"role":"x"}`, "Email is required"),
		member(invite, `{"email":" ","role":"x"}`, "Email is required"),
		member(invite, `{"email":null}`, "Email is required"),
		member(invite, `{"email":"nonsense","role":"x"}`, "Invalid email format"),
		member(invite, `{"email":"`+strings.Repeat("x", 255)+`@example.com","role":"x"}`, "Email address too long"),
		member(invite, `{"email":"nobody@example.com","role":"owner"}`, noRole),
		member(invite, `{"email":"nobody@example.com"}`, unable),
		member(invite, `{"email":"vic@example.com","role":"admin"}`, "User is already a member of this organization"),
		member(invite, `{"email":"ada@example.com"}`, "You cannot invite yourself"),
		member(role, `{"role":"x"}`, "user_id is required"),
		member(role, `{"user_id":"x"}`, "role is required"),
		member(role, `{"user_id":"x","role":"owner"}`, noRole),
		member(role, `{"user_id":"x","role":"viewer"}`, "Invalid user_id format"),
		member(role, `{"user_id":1.5,"role":"viewer"}`, "Invalid user_id format"),
		member(role, `{"user_id":999,"role":"viewer"}`, stranger),
		member(role, `{"user_id":4,"role":"viewer"}`, stranger),
		member(role, `{"user_id":1,"role":"viewer"}`, "You cannot change your own role"),
		member(remove, `{}`, "user_id is required"),
		member(remove, `{"user_id":""}`, "user_id is required"),
		member(remove, `{"user_id":"x"}`, "Invalid user_id format"),
		member(remove, `{"user_id":true}`, "Invalid user_id format"),
		member(remove, `{"user_id":999}`, stranger),
		member(remove, `{"user_id":1}`, "You cannot remove yourself from the organization"),
	}}
	return []section{users, things, members, errorStatuses()}
}

const unavailable = `{"error":"Service unavailable","details":"*","code":"UNAVAILABLE","timestamp":"*","detail":"Service unavailable"}`

// errorStatuses is section 5: the table of statuses with their codes, and the
// texts that belong to no field.
func errorStatuses() section {
	parse := func(rule, body string) line {
		return line{rule: "JSON parse error: " + rule + " (real)", as: "ada", call: "POST /api/projects/", body: body, code: 400, want: failure("PARSE_ERROR", "*", "null")}
	}
	dictionary := func(body, got string) line {
		return line{rule: "a body that is no object but " + got + " (real)", as: "ada", call: "POST /api/projects/", body: body, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"non_field_errors":["Invalid data. Expected a dictionary, but got `+got+`."]}`)}
	}
	s := section{title: "5 Errors", lines: []line{
		{rule: "details is null when there is nothing to add (real)", as: "ada", call: "GET /api/projects/999/", code: 404, want: isNotFound},
		{rule: "field errors: Validation failed and a map of all fields (spec)", as: "ada", call: "POST /api/projects/", body: `{"name":"x"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"name":["Project name must be at least 2 characters long."],"organization":["This field is required."]}`)},
		{rule: "field errors of form and of meaning together (real)", as: "ada", call: "POST /api/projects/", body: `{"name":true,"organization":999,"description":[]}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"name":["Not a valid string."],"organization":["Invalid pk \"999\" - object does not exist."],"description":["Not a valid string."]}`)},
		{rule: "the timestamp is the server's (spec)", as: "ada", call: "GET /api/projects/999/", code: 404, want: `{"error":"Not found.","details":null,"code":"NOT_FOUND","timestamp":"` + started + `","detail":"Not found."}`},
		{rule: "404 is JSON for every unknown path under /api (spec)", call: "GET /api/nothing/here", code: 404, want: isNotFound, has: []string{"Content-Type: application/json"}},
		{rule: "404 is JSON for an unknown call of a thing (spec)", as: "ada", call: "GET /api/projects/{web}/variables/", code: 404, want: isNotFound},
		{rule: `405: Method "GET" not allowed, with Allow (real)`, as: "ada", call: "GET /api/organizations/{acme}/invite_member/", code: 405, want: failure("METHOD_NOT_ALLOWED", `Method "GET" not allowed.`, "null"), has: []string{"Allow: OPTIONS, POST"}},
		{rule: `405: Method "DELETE" not allowed, with Allow (real)`, as: "ada", call: "DELETE /api/projects/", code: 405, want: failure("METHOD_NOT_ALLOWED", `Method "DELETE" not allowed.`, "null"), has: []string{"Allow: GET, HEAD, OPTIONS, POST"}},
		{rule: "405 only behind the door (real)", call: "DELETE /api/projects/", code: 401, want: failure("AUTHENTICATION_REQUIRED", textNoCredential, "null")},
		{rule: "405: a login by GET (real)", call: "GET /api/auth/login/", code: 405, want: failure("METHOD_NOT_ALLOWED", `Method "GET" not allowed.`, "null"), has: []string{"Allow: OPTIONS, POST"}},
		{rule: "413: body over the limit (spec)", as: "ada", call: "POST /api/projects/", body: `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, code: 413, want: failure("TOO_LARGE", "*", "null")},
		{rule: "JSON parse error says where, and quotes nothing (real)", as: "ada", call: "POST /api/variables/", body: `{"value":"s3cr3t`, code: 400, want: failure("PARSE_ERROR", "JSON parse error - not valid JSON after byte 9", "null")},
		parse("nothing but a brace", `{`), parse("something after the end", `{"name":"abc"} x`), parse("no JSON", `name=abc`), parse("not UTF-8", "{\"name\":\"\xff\"}"),
		parse("half of a surrogate pair", `{"name":"\ud800"}`), parse("a name twice", `{"name":"a","name":"b"}`), parse("very deep", strings.Repeat("[", 10_000)),
		dictionary(`[]`, "list"), dictionary(`"x"`, "str"), dictionary(`5`, "int"), dictionary(`5.5`, "float"), dictionary(`true`, "bool"), dictionary(`null`, "NoneType"),
		{rule: "an empty body has no fields (real)", as: "ada", call: "POST /api/organizations/", code: 400, want: fieldFailure("name", "This field is required.")},
		{rule: "a multipart form without a boundary (real)", as: "ada", call: "POST /api/projects/", body: "x", headers: []string{"Content-Type: multipart/form-data"}, code: 400, want: failure("PARSE_ERROR", "*", "null")},
		{rule: "a multipart form that ends early (real)", as: "ada", call: "POST /api/projects/", body: "--B\r\nContent-Disp", headers: []string{asParts}, code: 400, want: failure("PARSE_ERROR", "*", "null")},
	}, more: map[string]func(*walk){
		"503: no leader or quorum (ours)": func(k *walk) {
			k.store.FailNext(errs.E(errs.Unavailable, "no leader"))
			k.check(line{as: "ada", call: "PATCH /api/projects/{web}/", body: `{}`, code: 503, want: unavailable, has: []string{"Retry-After: [1-9][0-9]*"}})
			k.store.FailNext(errs.E(errs.Unavailable, "no leader")) // what was read cannot be recorded
			a := k.check(line{as: "ada", call: "GET /api/variables/{key}/", code: 503, want: unavailable})
			if strings.Contains(a.body, "sk_live") {
				k.t.Errorf("the value goes out unrecorded: %s", a.body)
			}
		},
		"504: it may have been done, or not (ours)": func(k *walk) {
			k.store.LoseNext(1)
			k.check(line{as: "ada", call: "PATCH /api/projects/{web}/", body: `{}`, code: 504, has: []string{"Covey-Outcome: unknown"},
				want: `{"error":"Unknown outcome","details":"*","code":"UNKNOWN_OUTCOME","timestamp":"*","detail":"Unknown outcome"}`})
		},
		"503 without a master key, where one is needed (ours)": func(k *walk) {
			w := newWorld(k.t)
			ann := w.register("ann")
			env := w.environment(ann, w.project(ann, 1, "Web"), "live")
			w.variable(ann, env, "KEY", "x")
			w.serve(func(s *settings) { s.layer = vault.Config{} })
			a := w.get(ann, at("environments", env, "variables"))
			w.is(503, unavailable, a)
			if a.header.Get("Retry-After") == "" {
				k.t.Error("no Retry-After")
			}
			w.is(200, `"*"`, w.get(ann, at("environments", env)))
		},
	}}
	return s
}
