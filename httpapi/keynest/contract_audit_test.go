package keynest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// Sections 6, 8 and 11 of the contract: limits, the audit log, health and root,
// and what goes beyond the document.

func auditLog() []section {
	const list = "GET /api/audit-logs/"
	nothing := `{"count":0,"next":null,"previous":null,"results":[]}`
	day := func(field, value string) line {
		return line{rule: fmt.Sprintf("a bad date is 400: %s=%s (ours)", field, value), as: "ada", call: list + "?" + field + "=" + value, code: 400, want: fieldFailure(field, "Enter a valid date.")}
	}
	s := section{title: "8 Audit log", lines: []line{
		{rule: "an item (spec)", as: "ada", call: list + "?action=variable_created&user=1&page=last&page_size=1", code: 200, want: `{"count":"*","next":null,"previous":"*","results":[
			{"id":"*","user_name":"Ada Lovelace","user_email":"ada@example.com","action":"variable_created","target_type":"variable","target_id":{key},"ip_address":"127.0.0.1","timestamp":"` + started + `",
			"details":{"variable_key":"API_KEY","environment_name":"production","key":"API_KEY","environment":"production","project":"Web Application"}}]}`},
		{rule: "filter user (spec)", as: "ada", call: list + "?user=4", code: 200, want: nothing},
		{rule: "a filter user that is no number is 400 (ours)", as: "ada", call: list + "?user=x", code: 400, want: fieldFailure("user", "A valid integer is required.")},
		{rule: "filter action as a verb (ours)", as: "ada", call: list + "?action=import", code: 200, want: somePage},
		{rule: "filter target_type (spec)", as: "ada", call: list + "?target_type=nothing", code: 200, want: nothing},
		{rule: "filter date_from after all (spec)", as: "ada", call: list + "?date_from=2023-11-15", code: 200, want: nothing},
		{rule: "date_to includes that whole UTC day (ours)", as: "ada", call: list + "?date_from=2023-11-14&date_to=2023-11-14&action=project_created&page_size=1", code: 200, want: `{"count":"*","next":"*","previous":null,"results":["*"]}`},
		{rule: "filter date_to before all (spec)", as: "ada", call: list + "?date_to=2023-11-13", code: 200, want: nothing},
		day("date_from", "yesterday"), day("date_from", "2023-02-30"), day("date_to", "2023-11-14T00:00:00Z"),
		{rule: "answers may not be cached (ours)", as: "ada", call: list, code: 200, want: somePage, has: []string{"Cache-Control: no-store"}},
		{rule: "a viewer of everything sees an empty list, but for what is its own (ours)", as: "vic", call: list + "?target_type=variable", code: 200, want: nothing},
		{rule: "others' organizations are not seen (ours)", as: "sam", call: list + "?user=1", code: 200, want: nothing},
	}, more: map[string]func(*walk){
		"by time descending, each entry once (real)":           auditOrder,
		"action and details of each event (real)":              func(k *walk) { auditDetails(k) },
		"visible to admins and editors, not to viewers (ours)": auditVisible,
		"what was deleted stays in the log (ours)":             auditOfDeleted,
		"an export can be verified (ours)":                     auditProof,
	}}
	health := section{title: "8 Health and root", lines: []line{
		{rule: "GET /health/ (spec)", call: "GET /health/", code: 200, want: `{"status":"healthy","service":"KeyNest API","version":"1.0.0"}`},
		{rule: "GET /api/ (spec)", call: "GET /api/", code: 200, want: `{"message":"Welcome to KeyNest API","version":"1.0.0","endpoints":{"authentication":"/api/auth/","projects":"/api/projects/","health":"/health/","admin":"/admin/"}}`},
		{rule: "health: GET only, else 405 (spec)", call: "POST /health/", code: 405, want: failure("METHOD_NOT_ALLOWED", `Method "POST" not allowed.`, "null"), has: []string{"Allow: GET, HEAD, OPTIONS"}},
		{rule: "root: GET only, else 405 (spec)", call: "DELETE /api/", code: 405, want: failure("METHOD_NOT_ALLOWED", `Method "DELETE" not allowed.`, "null"), has: []string{"Allow: GET, HEAD, OPTIONS"}},
		{rule: "no auth: a bad token does not matter (spec)", call: "GET /health/", headers: []string{"Authorization: Token x"}, code: 200, want: healthBody},
	}}
	return []section{s, health}
}

// entry is an entry of the audit log as clients see it.
type entry struct {
	ID      uint64
	User    string `json:"user_email"`
	Action  string
	Type    string `json:"target_type"`
	Target  uint64 `json:"target_id"`
	Details map[string]any
	Time    string `json:"timestamp"`
}

// entries returns the whole log as somebody sees it, page by page.
func (w *world) entries(token, query string) (all []entry) {
	w.t.Helper()
	path := "/api/audit-logs/?page_size=100&" + query
	for path != "" {
		var page struct {
			Next    *string
			Results []entry
		}
		w.read(200, w.get(token, path), &page)
		all = append(all, page.Results...)
		path = ""
		if page.Next != nil {
			path = strings.TrimPrefix(*page.Next, w.srv.URL)
		}
	}
	return all
}

func auditOrder(k *walk) {
	k.store.Advance(1500 * time.Millisecond)
	k.environment(k.kept["ada token"], 1, "later")
	all := k.entries(k.kept["ada token"], "")
	seen := map[uint64]bool{}
	for i, e := range all {
		if seen[e.ID] {
			k.t.Errorf("entry %d is there twice", e.ID)
		}
		seen[e.ID] = true
		if i > 0 && e.Time > all[i-1].Time {
			k.t.Errorf("entry %d of %s comes after one of %s", e.ID, e.Time, all[i-1].Time)
		}
	}
	if len(all) < 50 || all[0].Action != "environment_created" || all[0].Time != "2023-11-14T22:13:21Z" {
		k.t.Errorf("%d entries, the first is %+v", len(all), all[0])
	}
}

// auditDetails does everything that is recorded, and compares actions with the
// names of their details.
func auditDetails(k *walk) {
	w := newWorld(k.t)
	ann := w.register("ann")
	w.register("bob")
	w.login("ann")
	org := w.organization(ann, "Org")
	project := w.project(ann, org, "Web")
	env := w.environment(ann, project, "live")
	key := w.variable(ann, env, "KEY", "s3cr3t-one")
	w.invite(ann, org, "bob", "viewer")
	for _, call := range [][3]string{
		{"PATCH", at("organizations", org, "update_member_role"), `{"user_id":2,"role":"editor"}`},
		{"GET", at("organizations", org, "members"), ""},
		{"DELETE", at("organizations", org, "remove_member"), `{"user_id":2}`},
		{"PATCH", at("organizations", org), `{"description":"d"}`}, {"PATCH", at("projects", project), `{"description":"d"}`}, {"PATCH", at("environments", env), `{"description":"d"}`},
		{"PATCH", at("variables", key), `{"value":"s3cr3t-two"}`}, {"GET", at("variables", key), ""}, {"GET", at("environments", env, "variables"), ""},
		{"GET", at("environments", env, "export"), ""}, {"POST", at("environments", env, "import"), `{"data":"KEY=s3cr3t-three\nNEW=s3cr3t-four\n-"}`},
		{"DELETE", at("variables", key), ""}, {"DELETE", at("environments", env), ""}, {"DELETE", at("projects", project), ""}, {"DELETE", at("organizations", org), ""},
	} {
		if a := w.send(ann, call[0], call[1], call[2]); a.code >= 300 {
			k.t.Fatalf("%s %s: %d %s", call[0], call[1], a.code, a.body)
		}
	}
	// The organization is gone, and with it who may see its log; the layer's
	// export has it all.
	all := map[string]map[string]any{}
	for _, e := range w.exported() {
		var details map[string]any
		if err := json.Unmarshal(e.Details, &details); err != nil {
			k.t.Fatal(err)
		}
		if strings.Contains(string(e.Details), "s3cr3t") || strings.Contains(string(e.Details), password) {
			k.t.Errorf("%s: details with a secret: %s", e.Action, e.Details)
		}
		all[e.Action+" "+e.TargetType] = details
	}
	is := func(action string, names ...string) {
		k.t.Helper()
		if diff := cmp.Diff(slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(all[action]))); diff != "" {
			k.t.Errorf("details of %q: contract - entry +:\n%s", action, diff)
		}
	}
	is("user_created user", "registration", "organization_created")
	is("user_logged_in user", "login")
	is("organization_created organization", "name")
	is("membership_created membership", "invited_user_id", "invited_user_email", "role", "organization_id", "organization_name", "invitation_method")
	is("membership_updated membership", "updated_user_id", "updated_user_email", "old_role", "new_role", "organization_id", "organization_name")
	is("membership_deleted membership", "removed_user_id", "removed_user_email", "removed_user_role", "organization_id", "organization_name")
	is("membership_viewed membership", "organization_name", "member_count")
	is("project_created project", "name", "organization")
	is("environment_created environment", "name", "project", "type")
	is("variable_created variable", "variable_key", "environment_name", "key", "environment", "project")
	is("variable_updated variable", "variable_key", "environment_name", "key", "value_updated", "had_value")
	is("environment_exported environment", "format", "variable_count", "failed_decryptions", "environment", "project")
	is("environment_imported environment", "format", "imported_count", "updated_count", "failed_imports", "overwrite_enabled", "environment", "project")
	for _, added := range []string{"organization_updated organization", "organization_deleted organization", "project_updated project", "project_deleted project",
		"environment_updated environment", "environment_deleted environment", "environment_viewed environment", "variable_deleted variable", "variable_viewed variable"} {
		if all[added] == nil {
			k.t.Errorf("no entry of %q; there are %q", added, slices.Sorted(maps.Keys(all)))
		}
	}
	for name, want := range map[string]any{"imported_count": 1., "updated_count": 1., "failed_imports": 1., "overwrite_enabled": true, "format": "env"} {
		if got := all["environment_imported environment"][name]; got != want {
			k.t.Errorf("import: %s is %v, want %v", name, got, want)
		}
	}
	if got := all["membership_created membership"]; got["invitation_method"] != "admin_invite" || got["invited_user_email"] != "bob@example.com" || got["role"] != "viewer" {
		k.t.Errorf("invitation: %v", got)
	}
}

// exported is the operator's export of all chains.
func (w *world) exported() (all []vault.AuditEntry) {
	w.t.Helper()
	var b strings.Builder
	w.view(func(tx *kv.Tx) error { return w.layer.ExportAudit(tx, &b, vault.AuditExport{Format: vault.AuditJSONL}) })
	for l := range strings.Lines(b.String()) {
		var e vault.AuditEntry
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			w.t.Fatal(err)
		}
		if e.Action != "" { // not the heads
			all = append(all, e)
		}
	}
	return all
}

func (w *world) view(fn func(*kv.Tx) error) {
	w.t.Helper()
	if _, err := w.store.DB.View(context.Background(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

func auditVisible(k *walk) {
	w := newWorld(k.t)
	ann, eve, vic := w.register("ann"), w.register("eve"), w.register("vic")
	org := w.organization(ann, "Org")
	w.invite(ann, org, "eve", "editor")
	w.invite(ann, org, "vic", "viewer")
	w.project(ann, org, "Web")
	for name, tt := range map[string]struct {
		token string
		want  int
	}{"admin": {ann, 1}, "editor": {eve, 1}, "viewer": {vic, 0}} {
		if got := w.entries(tt.token, "action=project_created"); len(got) != tt.want {
			k.t.Errorf("%s sees %+v", name, got)
		}
		for _, e := range w.entries(tt.token, "target_type=user") {
			if e.User != map[string]string{"admin": "ann", "editor": "eve", "viewer": "vic"}[name]+"@example.com" {
				k.t.Errorf("%s sees what %s did with its account", name, e.User)
			}
		}
	}
	// A viewer of all its organizations sees nothing at all.
	w.send(vic, "DELETE", "/api/organizations/3/", "")
	w.is(200, `{"count":0,"next":null,"previous":null,"results":[]}`, w.get(vic, "/api/audit-logs/"))
}

func auditOfDeleted(k *walk) {
	before := len(k.entries(k.kept["ada token"], ""))
	env := k.environment(k.kept["ada token"], 1, "mortal")
	k.variable(k.kept["ada token"], env, "GONE", "x")
	k.send(k.kept["ada token"], "DELETE", at("environments", env), "")
	all := k.entries(k.kept["ada token"], "")
	if len(all) != before+3 {
		k.t.Errorf("%d entries before, %d after a creation of two and a deletion", before, len(all))
	}
	gone := all[0]
	if gone.Action != "environment_deleted" || gone.Target != env || gone.Details["name"] != "mortal" {
		k.t.Errorf("the deletion is %+v", gone)
	}
}

func auditProof(k *walk) {
	for format, kind := range map[string]string{"": "application/x-ndjson", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"} {
		a := k.get(k.kept["ada token"], "/api/audit-logs/export/?format="+format)
		if a.code != 200 || a.header.Get("Content-Type") != kind {
			k.t.Fatalf("%q: %d %s %.300s", format, a.code, a.header.Get("Content-Type"), a.body)
		}
		report, err := vault.VerifyAudit(strings.NewReader(a.body))
		if err != nil || len(report.Faults) > 0 || report.Entries < 50 {
			k.t.Errorf("%q: %+v (%v)", format, report, err)
		}
		edited := strings.Replace(a.body, "Web Application", "Web Applicatiom", 1)
		if report, err := vault.VerifyAudit(strings.NewReader(edited)); err == nil && len(report.Faults) == 0 {
			k.t.Errorf("%q: an edited entry is not found", format)
		}
	}
	k.fails(400, "VALIDATION_ERROR", "*", k.get(k.kept["ada token"], "/api/audit-logs/export/?format=xml"))
}

func required() []section {
	const newPassword = "another-horse-8"
	changed := func(first, last, full string) string {
		return fmt.Sprintf(`{"id":4,"username":"sam","email":"sam@example.com","first_name":%q,"last_name":%q,"full_name":%q,"date_joined":"%s","last_login":"*","is_active":true}`, first, last, full, started)
	}
	s := section{title: "11 Beyond the document", lines: []line{
		{rule: "PATCH /api/auth/profile/ (real, ours)", as: "sam", call: "PATCH /api/auth/profile/", body: `{"first_name":" Sam ","last_name":"Gamgee"}`, code: 200, want: changed("Sam", "Gamgee", "Sam Gamgee"), has: privateHeaders},
		{rule: "one of the two fields is enough (real)", as: "sam", call: "PATCH /api/auth/profile/", body: `{"last_name":""}`, code: 200, want: changed("Sam", "", "Sam")},
		{rule: "none is not (real)", as: "sam", call: "PATCH /api/auth/profile/", body: `{"username":"frodo"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"non_field_errors":["At least one field must be provided for update."]}`)},
		{rule: "a name that is too long (real)", as: "sam", call: "PATCH /api/auth/profile/", body: `{"first_name":"` + strings.Repeat("x", 151) + `"}`, code: 400, want: fieldFailure("first_name", "Ensure this field has no more than 150 characters.")},
		{rule: "New passwords do not match. (real)", as: "sam", call: "POST /api/auth/password/", body: `{"current_password":"` + password + `","new_password":"` + newPassword + `","confirm_new_password":"x"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"non_field_errors":["New passwords do not match."]}`)},
		{rule: "a wrong current password (ours)", as: "sam", call: "POST /api/auth/password/", body: `{"current_password":"x","new_password":"` + newPassword + `","confirm_new_password":"` + newPassword + `"}`, code: 400,
			want: fieldFailure("current_password", "Current password is incorrect.")},
		{rule: "a bad new password (ours)", as: "sam", call: "POST /api/auth/password/", body: `{"current_password":"` + password + `","new_password":"short","confirm_new_password":"short"}`, code: 400,
			want: `{"error":"Validation failed","details":{"new_password":"*"},"code":"VALIDATION_ERROR","timestamp":"*","detail":"Validation failed"}`},
		{rule: "without fields (ours)", as: "sam", call: "POST /api/auth/password/", body: `{}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"current_password":["This field is required."],"new_password":["This field is required."],"confirm_new_password":["This field is required."]}`)},
		{rule: "POST /api/auth/password/: 200 with a new token (ours)", as: "sam", call: "POST /api/auth/password/", body: `{"current_password":"` + password + `","new_password":"` + newPassword + `","confirm_new_password":"` + newPassword + `"}`, code: 200,
			want: `{"message":"Password changed successfully","token":"*"}`, has: privateHeaders},
		{rule: "a password change revokes the token (ours)", as: "sam", call: "GET /api/auth/profile/", code: 401, want: failure("INVALID_TOKEN", "Invalid token.", "null")},
		{rule: "the old password is none any more (ours)", call: "POST /api/auth/login/", body: `{"email":"sam@example.com","password":"` + password + `"}`, code: 401, want: failure("INVALID_CREDENTIALS", "Invalid credentials", "null")},
		{rule: "the new one is (ours)", call: "POST /api/auth/login/", body: `{"email":"sam@example.com","password":"` + newPassword + `"}`, code: 200, want: `"*"`},
	}}
	return []section{s}
}

// Section 6 of the contract: limits, each in a world of its own.
func TestTheContractsLimits(t *testing.T) {
	limits := func(a response) string {
		return a.header.Get("X-Ratelimit-Limit") + " " + a.header.Get("X-Ratelimit-Remaining") + " " + a.header.Get("X-Ratelimit-Reset")
	}
	refused := func(w *world, seconds int, a response) {
		t.Helper()
		w.is(429, failure("RATE_LIMITED", "Rate limit exceeded", fmt.Sprintf(`"Too many requests. Try again in %d seconds."`, seconds)), a)
		if got := a.header.Get("Retry-After"); got != strconv.Itoa(seconds) {
			t.Errorf("Retry-After %q, want %d", got, seconds)
		}
	}
	const begin = 1700000000 // started
	t.Run("by default login and registration together 5 per minute per IP (ours)", func(t *testing.T) {
		w := newWorld(t, func(s *settings) { s.api.RateLimits = limitsOf(t, "", DefaultEntryLimit) })
		ann := w.register("ann")
		for i := 3; i >= 0; i-- {
			a := w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"wrong"}`)
			if want := fmt.Sprintf("5 %d %d", i, begin+60); a.code != 401 || limits(a) != want {
				t.Errorf("%d with %s, want %s", a.code, limits(a), want)
			}
		}
		w.store.Advance(20 * time.Second)
		refused(w, 40, w.send("", "POST", "/api/auth/login/", `{"email":"ann@example.com","password":"`+password+`"}`))
		refused(w, 40, w.send("", "POST", "/api/auth/register/", adaRegisters))
		if a := w.get(ann, "/api/auth/profile/"); a.code != 200 || limits(a) != "  " {
			t.Errorf("another call: %d %q", a.code, limits(a))
		}
		w.store.Advance(40 * time.Second)
		w.login("ann")
	})
	t.Run("preset document: 1000 per hour per user, burst 50 per minute (spec)", func(t *testing.T) {
		w := newWorld(t, func(s *settings) { s.api.RateLimits = limitsOf(t, "document", "off") })
		ann := w.register("ann")
		for i := 49; i >= 0; i-- {
			if a := w.get(ann, "/api/auth/profile/"); a.code != 200 || limits(a) != fmt.Sprintf("50 %d %d", i, begin+60) {
				t.Fatalf("%d with %s", a.code, limits(a))
			}
		}
		refused(w, 60, w.get(ann, "/api/auth/profile/"))
		for range 100 { // exempt
			if a := w.get(ann, "/health/"); a.code != 200 || limits(a) != "  " {
				t.Fatalf("health: %d %s", a.code, limits(a))
			}
		}
		if a := w.get(ann, "/api/"); a.code != 200 {
			t.Errorf("root: %d", a.code)
		}
		if a := w.get("", "/api/projects/"); a.code != 401 {
			t.Errorf("somebody without a token: %d", a.code)
		}
	})
	t.Run("preset document: 100 per hour per anonymous client; the tightest window shows (spec)", func(t *testing.T) {
		w := newWorld(t, func(s *settings) { s.api.RateLimits = limitsOf(t, "document", "off") })
		ask := func() response { return w.send("", "POST", "/api/auth/login/", `{}`) }
		for n := range 100 {
			if n == 50 {
				refused(w, 60, ask())
				w.store.Advance(time.Minute)
			}
			if a := ask(); a.code != 400 {
				t.Fatalf("%d: %d %s", n, a.code, limits(a))
			}
		}
		w.store.Advance(time.Minute)
		a := ask()
		refused(w, 3600-120, a)
		if want := fmt.Sprintf("100 0 %d", begin+3600); limits(a) != want {
			t.Errorf("%s, want %s", limits(a), want)
		}
	})
	t.Run("off by default (ours)", func(t *testing.T) {
		w := newWorld(t)
		if a := w.get(w.register("ann"), "/api/projects/"); limits(a) != "  " {
			t.Errorf("headers %s", limits(a))
		}
	})
}

// The limit on members, of whom the layer keeps a count.
func TestTheHundredthMember(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	w.register("bob")
	w.register("cat")
	invite := func(name string) response {
		return w.send(ann, "POST", at("organizations", 1, "invite_member"), fmt.Sprintf(`{"email":"%s@example.com"}`, name))
	}
	count := tuple.AppendUint(tuple.AppendString([]byte("vc"), "members"), 1)
	_, err := w.store.DB.Update(context.Background(), func(tx *kv.Tx) error {
		tx.Add(count, command.Int(vault.MaxMembers-2), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := invite("bob"); a.code != 201 {
		t.Errorf("the hundredth: %d %s", a.code, a.body)
	}
	w.fails(400, "VALIDATION_ERROR", "Organization has reached the maximum number of members", invite("cat"))
}
