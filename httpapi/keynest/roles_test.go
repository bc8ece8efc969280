package keynest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/vault"
)

// matrix is the contract's table of who may do what, row by row: what it calls
// an action, the action of the layer, and the cells for admin, editor and
// viewer.
var matrix = []struct {
	row    string
	action vault.Action
	cells  [3]string
}{
	{"read organization, project, environment, list variables", vault.ReadOrganization, [3]string{"yes", "yes", "yes"}},
	{`values, else "[HIDDEN]"`, vault.ReadValue, [3]string{"yes", "yes", "masked"}},
	{"create project", vault.CreateProject, [3]string{"yes", "yes", "403"}},
	{"create environment", vault.CreateEnvironment, [3]string{"yes", "yes", "403"}},
	{"create variable", vault.CreateVariable, [3]string{"yes", "yes", "403"}},
	{"update organization", vault.UpdateOrganization, [3]string{"yes", "yes", "403"}},
	{"update project", vault.UpdateProject, [3]string{"yes", "yes", "403"}},
	{"update environment", vault.UpdateEnvironment, [3]string{"yes", "yes", "403"}},
	{"update variable", vault.UpdateVariable, [3]string{"yes", "yes", "403"}},
	{"delete organization", vault.DeleteOrganization, [3]string{"yes", "403", "403"}},
	{"delete project", vault.DeleteProject, [3]string{"yes", "403", "403"}},
	{"delete environment", vault.DeleteEnvironment, [3]string{"yes", "403", "403"}},
	{"delete variable", vault.DeleteVariable, [3]string{"yes", "yes", "403"}},
	{"import", vault.Import, [3]string{"yes", "yes", "403"}},
	{"export", vault.Export, [3]string{"yes", "yes", "403"}},
	{"roll back", vault.RollBack, [3]string{"yes", "yes", "403"}},
	{"list members", vault.ListMembers, [3]string{"yes", "yes", "yes"}},
	{"invite", vault.InviteMember, [3]string{"yes", "403", "403"}},
	{"change role", vault.ChangeRole, [3]string{"yes", "403", "403"}},
	{"remove member", vault.RemoveMember, [3]string{"yes", "403", "403"}},
	{"audit log", vault.ReadAudit, [3]string{"yes", "yes", "empty"}},
	{"service tokens", vault.ManageServiceTokens, [3]string{"yes", "yes", "403"}},
	{"webhooks", vault.ManageWebhooks, [3]string{"yes", "403", "403"}},
}

// deed is a way to do something, through HTTP. {org}, {project}, {env} and
// {key} are what it is done to, {n} is a number of its own.
type deed struct{ method, path, body string }

// deeds are all ways to do what an action stands for.
var deeds = map[vault.Action][]deed{
	vault.ReadOrganization: {
		{"GET", "/api/organizations/{org}/", ""}, {"GET", "/api/projects/{project}/", ""}, {"GET", "/api/projects/{project}/environments/", ""},
		{"GET", "/api/environments/{env}/", ""}, {"GET", "/api/environments/{env}/variables/", ""}, {"GET", "/api/variables/{key}/", ""},
		{"GET", "/api/variables/{key}/versions/", ""}, {"GET", "/api/variables/{key}/versions/1/", ""},
		{"GET", "/api/environments/{env}/variables/?at=2023-11-14", ""},
	},
	vault.ReadValue: {{"GET", "/api/variables/{key}/", ""}, {"GET", "/api/environments/{env}/variables/", ""}, {"GET", "/api/environments/{env}/variables/?page=1", ""}, {"GET", "/api/variables/?environment={env}", ""},
		{"GET", "/api/variables/{key}/versions/", ""}, {"GET", "/api/variables/{key}/versions/1/", ""}, {"GET", "/api/environments/{env}/variables/?at=2023-11-14", ""},
	},
	vault.CreateProject:      {{"POST", "/api/projects/", `{"name":"made {n}","organization":{org}}`}},
	vault.CreateEnvironment:  {{"POST", "/api/environments/", `{"name":"made-{n}","project":{project}}`}},
	vault.CreateVariable:     {{"POST", "/api/variables/", `{"key":"MADE_{n}","value":"x","environment":{env}}`}},
	vault.UpdateOrganization: {{"PUT", "/api/organizations/{org}/", `{"name":"Org {n}"}`}, {"PATCH", "/api/organizations/{org}/", `{"description":"d"}`}},
	vault.UpdateProject:      {{"PUT", "/api/projects/{project}/", `{"name":"Web","organization":{org}}`}, {"PATCH", "/api/projects/{project}/", `{"description":"d"}`}},
	vault.UpdateEnvironment:  {{"PUT", "/api/environments/{env}/", `{"name":"live","project":{project}}`}, {"PATCH", "/api/environments/{env}/", `{"description":"d"}`}},
	vault.UpdateVariable:     {{"PUT", "/api/variables/{key}/", `{"key":"KEY","environment":{env}}`}, {"PATCH", "/api/variables/{key}/", `{"value":"s3cr3t"}`}},
	vault.DeleteOrganization: {{"DELETE", "/api/organizations/{org}/", ""}},
	vault.DeleteProject:      {{"DELETE", "/api/projects/{project}/", ""}},
	vault.DeleteEnvironment:  {{"DELETE", "/api/environments/{env}/", ""}},
	vault.DeleteVariable:     {{"DELETE", "/api/variables/{key}/", ""}},
	vault.Import:             {{"POST", "/api/environments/{env}/import/", `{"data":"KEY=s3cr3t"}`}},
	vault.Export:             {{"GET", "/api/environments/{env}/export/", ""}, {"GET", "/api/environments/{env}/export/?format=json", ""}, {"GET", "/api/environments/{env}/export/?format=yaml", ""}, {"GET", "/api/environments/{env}/export/?style=shell", ""}},
	vault.RollBack: {
		{"POST", "/api/variables/{key}/rollback/", `{"version":1}`}, {"POST", "/api/environments/{env}/rollback/", `{"at":"2023-11-14"}`},
		{"POST", "/api/environments/{env}/rollback/", `{"at":"2023-11-14","dry_run":true}`},
	},
	vault.ListMembers:         {{"GET", "/api/organizations/{org}/members/", ""}},
	vault.InviteMember:        {{"POST", "/api/organizations/{org}/invite_member/", `{"email":"new{n}@example.com"}`}},
	vault.ChangeRole:          {{"PATCH", "/api/organizations/{org}/update_member_role/", `{"user_id":{other},"role":"editor"}`}},
	vault.RemoveMember:        {{"DELETE", "/api/organizations/{org}/remove_member/", `{"user_id":{other}}`}},
	vault.ReadAudit:           {{"GET", "/api/audit-logs/?action=variable_created", ""}},
	vault.ManageServiceTokens: {{"POST", "/api/service-tokens/", `{"name":"made {n}","environment":{env}}`}},
	vault.ManageWebhooks: {
		{"GET", "/api/webhooks/?organization={org}", ""}, {"POST", "/api/webhooks/", `{"url":"https://example.com/{n}","events":["*"],"organization":{org}}`},
		{"GET", "/api/webhooks/webhook_{hook}/", ""}, {"PATCH", "/api/webhooks/{hook}/", `{"events":["*"]}`}, {"DELETE", "/api/webhooks/{hook}/", ""},
		{"POST", "/api/webhooks/{hook}/test/", ""}, {"GET", "/api/webhooks/{hook}/deliveries/", ""},
		{"GET", "/api/webhooks/{hook}/deliveries/1/", ""}, {"POST", "/api/webhooks/{hook}/deliveries/1/redeliver/", ""},
	},
}

// The layer's table is the contract's.
func TestTheMatrixIsTheContracts(t *testing.T) {
	known := map[vault.Action]bool{}
	for _, m := range matrix {
		known[m.action] = true
		for i, r := range []vault.Role{vault.Admin, vault.Editor, vault.Viewer} {
			if want := m.cells[i] == "yes"; vault.Grants(r, m.action) != want {
				t.Errorf("%s, %s: the layer says %t", m.row, r, !want)
			}
		}
		if _, ok := deeds[m.action]; !ok {
			t.Errorf("%s: there is no way to do it", m.row)
		}
	}
	for _, a := range vault.Actions() {
		if !known[a] {
			t.Errorf("the layer's action %q is not in the contract", a)
		}
	}
	if len(deeds) != len(matrix) {
		t.Errorf("%d actions with deeds, %d rows", len(deeds), len(matrix))
	}
}

// company is an organization with one of each role, and somebody outside.
type company struct {
	*world
	tokens map[string]string // by admin, editor, viewer, no member and no token
	fresh  int               // things made so far
}

func newCompany(t *testing.T) *company {
	c := &company{world: newWorld(t), tokens: map[string]string{"no token": ""}}
	for _, name := range []string{"admin", "editor", "viewer"} {
		c.tokens[name] = c.register(name)
	}
	c.tokens["no member"] = c.register("stranger")
	c.register("other")
	return c
}

// things makes an organization with everything in it, in which each has its
// role, and returns what deeds call it. other is a member for changes of roles.
func (c *company) things() *strings.Replacer {
	c.t.Helper()
	c.fresh++
	admin := c.tokens["admin"]
	org := c.organization(admin, fmt.Sprint("Org of ", c.fresh))
	for name, role := range map[string]string{"editor": "editor", "viewer": "viewer", "other": "viewer"} {
		c.invite(admin, org, name, role)
	}
	project := c.project(admin, org, "Web")
	env := c.environment(admin, project, "live")
	key := c.variable(admin, env, "KEY", "s3cr3t")
	c.send(admin, "PATCH", at("variables", key), `{"value":"another s3cr3t"}`)
	hook := c.webhook(admin, org, "https://example.com/hook", "*")
	c.send(admin, "POST", at("webhooks", hook, "test"), "")
	return strings.NewReplacer("{org}", fmt.Sprint(org), "{project}", fmt.Sprint(project), "{env}", fmt.Sprint(env), "{key}", fmt.Sprint(key),
		"{other}", "5", "{hook}", fmt.Sprint(hook), "{n}", fmt.Sprint(c.fresh))
}

// refused is what a cell that says no answers.
var refused = map[vault.Action]string{
	vault.CreateProject:     "You don't have permission to create projects in this organization.",
	vault.CreateEnvironment: "You don't have permission to create environments in this project.",
	vault.CreateVariable:    "You don't have permission to create variables in this environment.",
	vault.Export:            "You don't have permission to export this environment.",
	vault.Import:            "You don't have permission to import to this environment.",
	vault.InviteMember:      "Only admins can invite members",
	vault.ChangeRole:        "Only admins can update member roles",
	vault.RemoveMember:      "Only admins can remove members",
}

// The role matrix through HTTP: each way to do each thing, for everybody.
func TestTheRoleMatrix(t *testing.T) {
	c := newCompany(t)
	// Invitations need somebody who is no member yet, each time.
	for i := range 2 {
		c.register(fmt.Sprint("invitee", i))
	}
	invitees := 0
	for _, m := range matrix {
		for _, d := range deeds[m.action] {
			var things *strings.Replacer
			for i, who := range []string{"no token", "no member", "viewer", "editor", "admin"} {
				cell := "404"
				switch {
				case who == "no token":
					cell = "401"
				case i > 1:
					cell = m.cells[4-i]
				}
				path := strings.ReplaceAll(strings.TrimPrefix(d.path, "/api/"), "/", "∕") // a slash would begin another subtest
				t.Run(fmt.Sprintf("%s/%s %s/%s: %s", m.row, d.method, path, who, cell), func(t *testing.T) {
					here := *c
					here.world = new(*c.world)
					here.t = t
					if things == nil || cell == "yes" && d.method != "GET" { // the deed may have been done
						things = here.things()
						c.fresh = here.fresh
					}
					body := things.Replace(d.body)
					if m.action == vault.InviteMember {
						body = fmt.Sprintf(`{"email":"invitee%d@example.com"}`, invitees)
					}
					a := here.send(c.tokens[who], d.method, things.Replace(d.path), body)
					here.inCell(m.action, cell, who, d, a)
				})
			}
		}
	}
}

// inCell checks the answer to a deed.
func (c *company) inCell(action vault.Action, cell, who string, d deed, a response) {
	c.t.Helper()
	secret := strings.Contains(a.body, "s3cr3t")
	_, creates := refused[action]
	names := creates && d.method == "POST" && (action == vault.CreateProject || action == vault.CreateEnvironment || action == vault.CreateVariable) ||
		action == vault.ManageServiceTokens
	if action == vault.ManageWebhooks && d.path == "/api/webhooks/" {
		names = d.method == "POST"
	}
	list := strings.Contains(d.path, "?environment=") || strings.Contains(d.path, "?organization=") || action == vault.ReadAudit
	switch cell {
	case "yes":
		want := map[string]int{"GET": 200, "PUT": 200, "PATCH": 200, "POST": 201, "DELETE": 204}[d.method]
		if action == vault.Import || action == vault.RollBack || action == vault.RemoveMember {
			want = 200
		}
		if action == vault.ManageWebhooks && d.method == "POST" && d.path != "/api/webhooks/" {
			want = 202
		}
		if a.code != want {
			c.t.Errorf("%d %.300s, want %d", a.code, a.body, want)
		}
		if (action == vault.ReadValue || action == vault.Export) && !secret {
			c.t.Errorf("the value is not shown: %.300s", a.body)
		}
		if action == vault.ReadAudit {
			c.some(a)
		}
	case "masked":
		if a.code != 200 || secret || !strings.Contains(a.body, `"decrypted_value":"`+vault.MaskHidden+`"`) {
			c.t.Errorf("%d %.300s, want a masked value", a.code, a.body)
		}
	case "empty":
		c.counts(0, 0, a)
	case "403":
		text := refused[action]
		if text == "" {
			text = "You do not have permission to perform this action."
		}
		c.fails(403, "PERMISSION_DENIED", text, a)
	case "401":
		c.fails(401, "AUTHENTICATION_REQUIRED", textNoCredential, a)
	case "404":
		switch {
		case names: // what the body names does not exist for a stranger
			if a.code != 400 || !strings.Contains(a.body, "object does not exist.") {
				c.t.Errorf("%d %.300s, want 400 about the id", a.code, a.body)
			}
		case list:
			c.counts(0, 0, a)
		default:
			c.notFound(a)
		}
	}
	if secret && cell != "yes" {
		c.t.Errorf("%s sees the value: %.300s", who, a.body)
	}
}

// some reports whether a list has anything.
func (c *company) some(a response) {
	c.t.Helper()
	var v struct{ Count int }
	if c.read(200, a, &v); v.Count == 0 {
		c.t.Errorf("nothing in %.300s", a.body)
	}
}
