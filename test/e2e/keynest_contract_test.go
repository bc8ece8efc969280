package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// printed is an exchange as the service's document prints it. In texts {name} is
// what was kept under that name, and "*" in what is wanted stands for anything.
type printed struct {
	section string
	as      string // whose token is sent, "" for none
	call    string // method and path
	args    []string
	code    int
	want    string // JSON, "~ " and a pattern, or nothing
	keep    string // what to call the id, or the token, of the answer
}

// document is the service's document from top to bottom.
var document = []printed{
	{"Health", "", "GET /health/", nil, 200, `{"status":"healthy","service":"KeyNest API","version":"1.0.0"}`, ""},
	{"API root", "", "GET /api/", nil, 200, `{"message":"Welcome to KeyNest API","version":"1.0.0","endpoints":{"authentication":"/api/auth/","projects":"/api/projects/","health":"/health/","admin":"/admin/"}}`, ""},
	{"Authentication: register", "", "POST /api/auth/register/", []string{"--json", `{"username":"johndoe","email":"john@example.com","password":"s3cure-Passphrase","confirm_password":"s3cure-Passphrase","first_name":"John","last_name":"Doe"}`}, 201,
		`{"message":"User registered successfully","token":"*","user":{"id":1,"username":"johndoe","email":"john@example.com","first_name":"John","last_name":"Doe","full_name":"John Doe","date_joined":"*","last_login":null,"is_active":true},"organization":{"id":1,"name":"John's Organization"}}`, "first"},
	{"Authentication: login", "", "POST /api/auth/login/", []string{"--json", `{"email":"john@example.com","password":"s3cure-Passphrase"}`}, 200,
		`{"message":"Login successful","token":"{first}","user":{"id":1,"username":"johndoe","email":"john@example.com","first_name":"John","last_name":"Doe","full_name":"John Doe","date_joined":"*","last_login":"*","is_active":true},"organizations":[{"id":1,"name":"John's Organization","role":"admin"}]}`, "john"},
	{"Authentication: profile", "john", "GET /api/auth/profile/", nil, 200,
		`{"id":1,"username":"johndoe","email":"john@example.com","first_name":"John","last_name":"Doe","full_name":"John Doe","date_joined":"*","last_login":"*","is_active":true}`, ""},
	{"Authentication: no token", "", "GET /api/auth/profile/", nil, 401, `{"error":"Authentication credentials were not provided.","details":null,"code":"AUTHENTICATION_REQUIRED","timestamp":"*","detail":"Authentication credentials were not provided."}`, ""},

	{"Organizations: list", "john", "GET /api/organizations/", nil, 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"name":"John's Organization","description":"Personal organization","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}]}`, ""},
	{"Organizations: create", "john", "POST /api/organizations/", []string{"--json", `{"name":"Acme Corp","description":"Main organization"}`}, 201, `{"id":2,"name":"Acme Corp","description":"Main organization","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`, "acme"},
	{"Organizations: details", "john", "GET /api/organizations/{acme}/", nil, 200, `{"id":2,"name":"Acme Corp","description":"Main organization","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`, ""},
	{"Organizations: members", "john", "GET /api/organizations/{acme}/members/", nil, 200, `{"members":[{"id":1,"email":"john@example.com","username":"johndoe","role":"admin","joined_at":"*","last_login":"*","is_active":true}],"total_count":1}`, ""},

	{"Projects: create", "john", "POST /api/projects/", []string{"--json", `{"name":"Web Application","description":"Main web app","organization":2}`}, 201, `{"id":1,"name":"Web Application","description":"Main web app","organization":2,"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"John Doe","environment_count":0}`, "web"},
	{"Projects: list", "john", "GET /api/projects/?organization=2&search=web&page=1", nil, 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"name":"Web Application","description":"Main web app","organization":2,"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"John Doe","environment_count":0}]}`, ""},
	{"Projects: details", "john", "GET /api/projects/{web}/", nil, 200, `{"id":1,"name":"Web Application","description":"Main web app","organization":2,"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"John Doe","environment_count":0}`, ""},
	{"Projects: update", "john", "PATCH /api/projects/{web}/", []string{"--json", `{"description":"Renewed"}`}, 200, `{"id":1,"name":"Web Application","description":"Renewed","organization":2,"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"John Doe","environment_count":0}`, ""},

	{"Environments: create", "john", "POST /api/environments/", []string{"--json", `{"name":"production","project":1,"environment_type":"production","description":"Live"}`}, 201, `{"id":1,"name":"production","project":1,"project_name":"Web Application","environment_type":"production","description":"Live","created_at":"*","updated_at":"*","created_by_name":"John Doe","variable_count":0,"max_versions":10}`, "production"},
	{"Environments: list", "john", "GET /api/environments/?project=1&environment_type=production", nil, 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"name":"production","project":1,"project_name":"Web Application","environment_type":"production","description":"Live","created_at":"*","updated_at":"*","created_by_name":"John Doe","variable_count":0,"max_versions":10}]}`, ""},
	{"Environments: of a project", "john", "GET /api/projects/{web}/environments/", nil, 200, `{"count":1,"next":null,"previous":null,"results":["*"]}`, ""},

	{"Variables: create", "john", "POST /api/variables/", []string{"--json", `{"key":"API_KEY","value":"sk_live_abcd1234567890","environment":1}`}, 201, `{"id":1,"key":"API_KEY","decrypted_value":"sk_live_abcd1234567890","version":1,"environment":1,"environment_name":"production","created_at":"*","updated_at":"*","created_by_name":"John Doe"}`, "key"},
	{"Variables: duplicate", "john", "POST /api/variables/", []string{"--json", `{"key":"API_KEY","value":"x","environment":1}`}, 409, `{"error":"A variable with this key already exists in this environment.","details":{"key":["A variable with this key already exists in this environment."]},"code":"CONFLICT","timestamp":"*","detail":"A variable with this key already exists in this environment."}`, ""},
	{"Variables: of an environment", "john", "GET /api/environments/{production}/variables/", nil, 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"key":"API_KEY","decrypted_value":"sk_live_abcd1234567890","version":1,"environment":1,"environment_name":"production","created_at":"*","updated_at":"*","created_by_name":"John Doe"}]}`, ""},
	{"Variables: update", "john", "PATCH /api/variables/{key}/", []string{"--json", `{"value":"sk_live_new"}`}, 200, `{"id":1,"key":"API_KEY","decrypted_value":"sk_live_new","version":2,"environment":1,"environment_name":"production","created_at":"*","updated_at":"*","created_by_name":"John Doe"}`, ""},
	{"Import: file", "john", "POST /api/environments/{production}/import/", []string{"-F", "file=@.env"}, 200, `{"message":"Import completed successfully","summary":{"imported":2,"updated":1,"failed":0,"total_variables":3},"failed_imports":null}`, ""},
	{"Import: conflicts", "john", "POST /api/environments/{production}/import/", []string{"--json", `{"data":"API_KEY=y","format":"env","overwrite":false}`}, 409, `{"error":"Conflicting variables found","details":null,"code":"CONFLICT","timestamp":"*","detail":"Conflicting variables found","conflicts":["API_KEY"],"message":"Set overwrite=true to replace existing variables"}`, ""},
	{"Export", "john", "GET /api/environments/{production}/export/?format=json", nil, 200, `{"API_KEY":"sk_live_imported","DB_URL":"postgres://db/app","GREETING":"two words"}`, ""},
	{"Export: .env", "john", "GET /api/environments/{production}/export/", nil, 200, "~ # Generated by KeyNest - Environment: production\n# Project: Web Application\n# Organization: Acme Corp\n" +
		`# Generated on: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC` + "\n\nAPI_KEY=sk_live_imported\nDB_URL=postgres://db/app\nGREETING=\"two words\"\n", ""},
	{"Variables: delete", "john", "DELETE /api/variables/{key}/", nil, 204, "", ""},

	{"Audit logs", "john", "GET /api/audit-logs/?user=1&action=variable_created&target_type=variable&date_from=2020-01-01&date_to=2999-12-31", nil, 200, `{"count":1,"next":null,"previous":null,"results":[{"id":"*","user_name":"John Doe","user_email":"john@example.com","action":"variable_created","target_type":"variable","target_id":1,"ip_address":"127.0.0.1","timestamp":"*",
		"details":{"variable_key":"API_KEY","environment_name":"production","key":"API_KEY","environment":"production","project":"Web Application"}}]}`, ""},
	{"Errors: 400", "john", "POST /api/projects/", []string{"--json", `{"name":"x"}`}, 400, `{"error":"Validation failed","details":{"name":["Project name must be at least 2 characters long."],"organization":["This field is required."]},"code":"VALIDATION_ERROR","timestamp":"*","detail":"Validation failed"}`, ""},
	{"Errors: 404", "john", "GET /api/projects/999/", nil, 404, `{"error":"Not found.","details":null,"code":"NOT_FOUND","timestamp":"*","detail":"Not found."}`, ""},
	{"Errors: 405", "john", "PUT /api/projects/", nil, 405, `{"error":"Method \"PUT\" not allowed.","details":null,"code":"METHOD_NOT_ALLOWED","timestamp":"*","detail":"Method \"PUT\" not allowed."}`, ""},

	{"Environments: delete", "john", "DELETE /api/environments/{production}/", nil, 204, "", ""},
	{"Projects: delete", "john", "DELETE /api/projects/{web}/", nil, 204, "", ""},
	{"Organizations: delete", "john", "DELETE /api/organizations/{acme}/", nil, 204, "", ""},
	{"Authentication: logout", "john", "POST /api/auth/logout/", nil, 200, `{"message":"Successfully logged out"}`, ""},
	{"Authentication: after logout", "john", "GET /api/auth/profile/", nil, 401, `{"error":"Invalid token.","details":null,"code":"INVALID_TOKEN","timestamp":"*","detail":"Invalid token."}`, ""},
}

// The document from top to bottom, by curl through a follower.
func TestTheDocumentOfKeyNestByCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("this machine has no curl")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("API_KEY=sk_live_imported\nDB_URL=postgres://db/app\nGREETING=\"two words\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := followerOf(t, newKeyNestCluster(t, 3))
	kept := map[string]string{}
	fill := func(text string) string {
		for name, value := range kept {
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		return text
	}
	for _, p := range document {
		method, path, _ := strings.Cut(fill(p.call), " ")
		args := append([]string{"-s", "-g", "-X", method, "-w", "\n%{http_code}", "http://" + s.http + path}, p.args...)
		if p.as != "" {
			args = append(args, "-H", "Authorization: Token "+kept[p.as])
		}
		cmd := exec.Command(curl, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", p.section, err)
		}
		end := strings.LastIndexByte(string(out), '\n')
		body, code := string(out[:end]), string(out[end+1:])
		if code != strconv.Itoa(p.code) || p.want == "" && body != "" {
			t.Fatalf("%s: %s: %s %s, want %d", p.section, p.call, code, body, p.code)
		}
		pattern, isText := strings.CutPrefix(p.want, "~ ")
		if isText && !regexp.MustCompile(`\A`+pattern+`\z`).MatchString(body) {
			t.Errorf("%s: %s: %q, want %s", p.section, p.call, body, pattern)
		}
		if isText || p.want == "" {
			continue
		}
		var want, got any
		if err := json.Unmarshal([]byte(fill(p.want)), &want); err != nil {
			t.Fatalf("%s: what is wanted: %v", p.section, err)
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %v in %s", p.section, err, body)
		}
		if diff := cmp.Diff(want, anything(want, got)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", p.section, p.call, diff)
		}
		if p.keep != "" {
			var made struct {
				ID    json.Number
				Token string
			}
			if err := json.Unmarshal([]byte(body), &made); err != nil {
				t.Fatal(err)
			}
			kept[p.keep] = made.ID.String() + made.Token
		}
	}
}

// anything returns got with "*" wherever want has it.
func anything(want, got any) any {
	switch want := want.(type) {
	case string:
		if want == "*" {
			return want
		}
	case map[string]any:
		if object, ok := got.(map[string]any); ok {
			for name, v := range object {
				if w, ok := want[name]; ok {
					object[name] = anything(w, v)
				}
			}
		}
	case []any:
		if list, ok := got.([]any); ok {
			for i := range min(len(list), len(want)) {
				list[i] = anything(want[i], list[i])
			}
		}
	}
	return got
}
