package keynest

import (
	"fmt"
	"net/http"
	"strings"
)

// Section 3 of the contract: each call of its table, and who may not know of
// what there is. The role matrix is in TestTheRoleMatrix.

func endpoints() []section {
	const (
		newOrganization = `{"id":"*","name":"Made","description":"by hand","created_at":"` + started + `","updated_at":"` + started + `","member_count":1,"project_count":0,"user_role":"admin"}`
		newProject      = `{"id":"*","name":"Made","description":null,"organization":{acme},"organization_name":"Acme Corp","created_at":"` + started + `","updated_at":"` + started + `","created_by_name":"Ada Lovelace","environment_count":0}`
		newEnvironment  = `{"id":"*","name":"made","project":{web},"project_name":"Web Application","environment_type":"development","description":null,"created_at":"` + started + `","updated_at":"` + started + `","created_by_name":"Ada Lovelace","variable_count":0,"max_versions":10}`
		newVariable     = `{"id":"*","key":"MADE","decrypted_value":"by hand","environment":{production},"environment_name":"production","created_at":"` + started + `","updated_at":"` + started + `","created_by_name":"Ada Lovelace","version":"*"}`
	)
	s := section{title: "3 Endpoints", lines: []line{
		{rule: "GET /api/organizations/ 200 (spec)", as: "sam", call: "GET /api/organizations/?page_size=1&page=2", code: 200,
			want: `{"count":2,"next":null,"previous":"{url}/api/organizations/?page_size=1","results":[{"id":{sams},"name":"Sam's Shop","description":null,"created_at":"*","updated_at":"*","member_count":1,"project_count":1,"user_role":"admin"}]}`},
		{rule: "POST /api/organizations/ 201 (spec)", as: "ada", call: "POST /api/organizations/", body: `{"name":" Made ","description":"by hand"}`, code: 201, want: newOrganization, keep: "made org"},
		{rule: "GET /api/organizations/{id}/ 200 (spec)", as: "ada", call: "GET /api/organizations/{acme}/", code: 200, want: acmeShown},
		{rule: "PUT /api/organizations/{id}/ 200 (real)", as: "ada", call: "PUT /api/organizations/{made org}/", body: `{"name":"Made","description":"by hand"}`, code: 200, want: newOrganization},
		{rule: "PATCH /api/organizations/{id}/ 200 (real)", as: "ada", call: "PATCH /api/organizations/{made org}/", body: `{"description":null}`, code: 200,
			want: strings.Replace(newOrganization, `"by hand"`, "null", 1)},
		{rule: "DELETE /api/organizations/{id}/ 204 without a body (real)", as: "ada", call: "DELETE /api/organizations/{made org}/", code: 204},
		{rule: "GET members/ 200 (real)", as: "vic", call: "GET /api/organizations/{acme}/members/", code: 200, want: `{"members":"*","total_count":3}`},
		{rule: "POST invite_member/ 201 (real)", as: "ada", call: "POST /api/organizations/{acme}/invite_member/", body: `{"email":" SAM@example.com ","role":" Editor "}`, code: 201,
			want: `{"message":"User has been added to Acme Corp as editor","member":{"id":4,"email":"sam@example.com","username":"sam","role":"editor","joined_at":"` + started + `"}}`},
		{rule: "PATCH update_member_role/ 200 (real)", as: "ada", call: "PATCH /api/organizations/{acme}/update_member_role/", body: `{"user_id":4,"role":"viewer"}`, code: 200,
			want: `{"message":"Role updated successfully","member":{"id":4,"email":"sam@example.com","username":"sam","role":"viewer"}}`},
		{rule: "DELETE remove_member/ with a JSON body 200 (real)", as: "ada", call: "DELETE /api/organizations/{acme}/remove_member/", body: `{"user_id":4}`, code: 200,
			want: `{"message":"User has been removed from Acme Corp","removed_member":{"email":"sam@example.com","username":"sam","role":"viewer"}}`},

		{rule: "GET /api/projects/ 200 (spec)", as: "sam", call: "GET /api/projects/", code: 200,
			want: pageOfOne(`{"id":{foreign},"name":"Foreign","description":null,"organization":{sams},"organization_name":"Sam's Shop","created_at":"*","updated_at":"*","created_by_name":"","environment_count":1}`)},
		{rule: "POST /api/projects/ 201 (spec)", as: "ada", call: "POST /api/projects/", body: `{"name":"Made","organization":{acme}}`, code: 201, want: newProject, keep: "made project"},
		{rule: "GET /api/projects/{id}/ 200 (spec)", as: "vic", call: "GET /api/projects/{web}/", code: 200, want: webShown},
		{rule: "PUT /api/projects/{id}/ 200 (real)", as: "eve", call: "PUT /api/projects/{made project}/", body: `{"name":"Made","organization":"{acme}"}`, code: 200, want: newProject},
		{rule: "PATCH /api/projects/{id}/ 200 (spec)", as: "eve", call: "PATCH /api/projects/{made project}/", body: `{"description":"5"}`, code: 200, want: strings.Replace(newProject, `"description":null`, `"description":"5"`, 1)},
		{rule: "DELETE /api/projects/{id}/ 204 without a body (spec)", as: "ada", call: "DELETE /api/projects/{made project}/", code: 204},
		{rule: "GET /api/projects/{id}/environments/ 200 (spec)", as: "sam", call: "GET /api/projects/{foreign}/environments/", code: 200,
			want: pageOfOne(`{"id":{lab},"name":"lab","project":{foreign},"project_name":"Foreign","environment_type":"development","description":null,"created_at":"*","updated_at":"*","created_by_name":"","variable_count":1,"max_versions":10}`)},

		{rule: "GET /api/environments/ 200 (spec)", as: "vic", call: "GET /api/environments/?environment_type=production", code: 200, want: pageOfOne(productionShown)},
		{rule: "POST /api/environments/ 201 (spec)", as: "ada", call: "POST /api/environments/", body: `{"name":"Made","project":{web}}`, code: 201, want: newEnvironment, keep: "made environment"},
		{rule: "GET /api/environments/{id}/ 200 (real)", as: "vic", call: "GET /api/environments/{production}/", code: 200, want: productionShown},
		{rule: "PUT /api/environments/{id}/ 200 (real)", as: "eve", call: "PUT /api/environments/{made environment}/", body: `{"name":"made","project":{web}}`, code: 200, want: newEnvironment},
		{rule: "PATCH /api/environments/{id}/ 200 (real)", as: "eve", call: "PATCH /api/environments/{made environment}/", body: `{"environment_type":"testing"}`, code: 200,
			want: strings.Replace(newEnvironment, "development", "testing", 1)},
		{rule: "DELETE /api/environments/{id}/ 204 without a body (real)", as: "ada", call: "DELETE /api/environments/{made environment}/", code: 204},
		{rule: "GET /api/environments/{id}/variables/ 200 (spec)", as: "sam", call: "GET /api/environments/{lab}/variables/", code: 200,
			want: pageOfOne(`{"id":{hidden},"key":"HIDDEN","decrypted_value":"nobody else's","environment":{lab},"environment_name":"lab","created_at":"*","updated_at":"*","created_by_name":"","version":"*"}`)},
		{rule: "values are masked for viewers (spec)", as: "vic", call: "GET /api/environments/{production}/variables/?page_size=1", code: 200,
			want: `{"count":"*","next":"*","previous":null,"results":[` + keyHidden + `]}`},

		{rule: "POST /api/variables/ 201 (spec)", as: "ada", call: "POST /api/variables/", body: `{"key":"MADE","value":"by hand","environment":{production}}`, code: 201, want: newVariable, keep: "made variable"},
		{rule: "GET /api/variables/ 200 (real)", as: "ada", call: "GET /api/variables/?environment={production}&key=PI_K", code: 200, want: pageOfOne(keyShown)},
		{rule: "GET /api/variables/{id}/ 200 (real)", as: "eve", call: "GET /api/variables/{key}/", code: 200, want: keyShown},
		{rule: "GET /api/variables/{id}/ is masked for viewers (real)", as: "vic", call: "GET /api/variables/{key}/", code: 200, want: keyHidden},
		{rule: "PUT /api/variables/{id}/ 200 (real)", as: "eve", call: "PUT /api/variables/{made variable}/", body: `{"key":"MADE","environment":{production}}`, code: 200, want: newVariable},
		{rule: "PATCH /api/variables/{id}/ 200 (spec)", as: "eve", call: "PATCH /api/variables/{made variable}/", body: `{"value":"again"}`, code: 200, want: strings.Replace(newVariable, "by hand", "again", 1)},
		{rule: "DELETE /api/variables/{id}/ 204 without a body (spec)", as: "eve", call: "DELETE /api/variables/{made variable}/", code: 204},
		{rule: "GET /api/environments/{id}/export/ 200 (spec)", as: "eve", call: "GET /api/environments/{production}/export/?format=json", code: 200, want: `"*"`},
		{rule: "POST /api/environments/{id}/import/ 200 (spec)", as: "eve", call: "POST /api/environments/{production}/import/", body: `{"data":"MADE=1"}`, code: 200,
			want: `{"message":"Import completed successfully","summary":{"imported":1,"updated":0,"failed":0,"total_variables":1},"failed_imports":null}`},
		{rule: "GET /api/audit-logs/ 200 (spec)", as: "eve", call: "GET /api/audit-logs/", code: 200, want: somePage},
		{rule: "GET /api/audit-logs/export/ 200 (ours)", as: "eve", call: "GET /api/audit-logs/export/", code: 200, want: "any", has: []string{"Content-Type: application/x-ndjson"}},
		{rule: "GET /health/ 200 for anyone (spec)", call: "GET /health/", code: 200, want: healthBody},
		{rule: "GET /api/ 200 for anyone (spec)", call: "GET /api/", code: 200, want: rootBody},
		{rule: "GET /api/openapi.json 200 for anyone (ours)", call: "GET /api/openapi.json", code: 200, want: string(openAPIText)},

		{rule: "texts of 403: create projects (real)", as: "vic", call: "POST /api/projects/", body: `{"name":"Mine","organization":{acme}}`, code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to create projects in this organization.", "null")},
		{rule: "texts of 403: create environments (real)", as: "vic", call: "POST /api/environments/", body: `{"name":"mine","project":{web}}`, code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to create environments in this project.", "null")},
		{rule: "texts of 403: create variables (real)", as: "vic", call: "POST /api/variables/", body: `{"key":"MINE","environment":{production}}`, code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to create variables in this environment.", "null")},
		{rule: "texts of 403: export (real)", as: "vic", call: "GET /api/environments/{production}/export/", code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to export this environment.", "null")},
		{rule: "texts of 403: import (real)", as: "vic", call: "POST /api/environments/{production}/import/", body: `{"data":"A=1"}`, code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to import to this environment.", "null")},
		{rule: "texts of 403: invite (real)", as: "eve", call: "POST /api/organizations/{acme}/invite_member/", body: `{"email":"sam@example.com"}`, code: 403, want: failure("PERMISSION_DENIED", "Only admins can invite members", "null")},
		{rule: "texts of 403: change roles (real)", as: "eve", call: "PATCH /api/organizations/{acme}/update_member_role/", body: `{"user_id":3,"role":"editor"}`, code: 403, want: failure("PERMISSION_DENIED", "Only admins can update member roles", "null")},
		{rule: "texts of 403: remove members (real)", as: "eve", call: "DELETE /api/organizations/{acme}/remove_member/", body: `{"user_id":3}`, code: 403, want: failure("PERMISSION_DENIED", "Only admins can remove members", "null")},
		{rule: "texts of 403: anything else (real)", as: "vic", call: "PATCH /api/projects/{web}/", body: `{"name":"Mine"}`, code: 403, want: isForbidden},

		{rule: "nested lists of what is not mine are 404: environments (ours)", as: "sam", call: "GET /api/projects/{web}/environments/", code: 404, want: isNotFound},
		{rule: "nested lists of what is not mine are 404: variables (ours)", as: "sam", call: "GET /api/environments/{production}/variables/", code: 404, want: isNotFound},
		{rule: "a foreign id in a body is 400: organization (ours)", as: "ada", call: "POST /api/projects/", body: `{"name":"Mine","organization":{sams}}`, code: 400, want: fieldFailure("organization", `Invalid pk "{sams}" - object does not exist.`)},
		{rule: "a foreign id in a body is 400: project (ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"mine","project":{foreign}}`, code: 400, want: unknownPK("project", 2)},
		{rule: "a foreign id in a body is 400: environment (ours)", as: "ada", call: "POST /api/variables/", body: `{"key":"MINE","environment":999}`, code: 400, want: unknownPK("environment", 999)},
		{rule: "a foreign id in a body is 400: a project moved there (ours)", as: "ada", call: "PATCH /api/projects/{web}/", body: `{"organization":{sams}}`, code: 400, want: fieldFailure("organization", `Invalid pk "{sams}" - object does not exist.`)},
	}, more: map[string]func(*walk){
		"who is no member gets 404 everywhere, as for what is not there (ours)": notMine,
		"a setting may allow viewers to export (ours)":                          viewerExport,
	}}
	return []section{s}
}

func unknownPK(field string, id int) string {
	return fieldFailure(field, fmt.Sprintf(`Invalid pk "%d" - object does not exist.`, id))
}

// notMine compares the answers about what is somebody else's with those about
// what is not there: nothing may tell them apart.
func notMine(k *walk) {
	const gone = "4294967296"
	for _, call := range []struct{ method, path, kind, body string }{
		{"GET", "/api/organizations/{id}/", "sams", ""}, {"PUT", "/api/organizations/{id}/", "sams", `{"name":"Mine"}`}, {"PATCH", "/api/organizations/{id}/", "sams", `{}`}, {"DELETE", "/api/organizations/{id}/", "sams", ""},
		{"GET", "/api/organizations/{id}/members/", "sams", ""}, {"POST", "/api/organizations/{id}/invite_member/", "sams", `{"email":"ada@example.com"}`},
		{"PATCH", "/api/organizations/{id}/update_member_role/", "sams", `{"user_id":4,"role":"viewer"}`}, {"DELETE", "/api/organizations/{id}/remove_member/", "sams", `{"user_id":4}`},
		{"GET", "/api/projects/{id}/", "foreign", ""}, {"PUT", "/api/projects/{id}/", "foreign", `{"name":"Mine","organization":{acme}}`}, {"PATCH", "/api/projects/{id}/", "foreign", `{}`}, {"DELETE", "/api/projects/{id}/", "foreign", ""},
		{"GET", "/api/projects/{id}/environments/", "foreign", ""}, {"GET", "/api/projects/{id}/environments/?page=7", "foreign", ""},
		{"GET", "/api/environments/{id}/", "lab", ""}, {"PUT", "/api/environments/{id}/", "lab", `{"name":"mine","project":{web}}`}, {"PATCH", "/api/environments/{id}/", "lab", `{}`}, {"DELETE", "/api/environments/{id}/", "lab", ""},
		{"GET", "/api/environments/{id}/variables/", "lab", ""}, {"GET", "/api/environments/{id}/variables/?page=7", "lab", ""},
		{"GET", "/api/environments/{id}/export/", "lab", ""}, {"GET", "/api/environments/{id}/export/?format=ini", "lab", ""},
		{"POST", "/api/environments/{id}/import/", "lab", `{"data":"A=1"}`}, {"POST", "/api/environments/{id}/import/", "lab", `{}`},
		{"GET", "/api/variables/{id}/", "hidden", ""}, {"PUT", "/api/variables/{id}/", "hidden", `{"key":"MINE","environment":{production}}`}, {"PATCH", "/api/variables/{id}/", "hidden", `{}`}, {"DELETE", "/api/variables/{id}/", "hidden", ""},
	} {
		for _, id := range []string{k.kept[call.kind], gone} {
			l := line{as: "ada", call: call.method + " " + strings.ReplaceAll(call.path, "{id}", id), body: call.body}
			if a := k.ask(l); a.code != http.StatusNotFound || !strings.Contains(a.body, `"error":"Not found."`) {
				k.t.Errorf("%s %s: %d %.300s", l.call, call.body, a.code, a.body)
			}
		}
	}
	for _, call := range []struct{ path, field, mine string }{
		{"/api/projects/", "organization", `"name":"Mine"`}, {"/api/environments/", "project", `"name":"mine"`}, {"/api/variables/", "environment", `"key":"MINE"`},
	} {
		for _, id := range []string{k.kept[map[string]string{"organization": "sams", "project": "foreign", "environment": "lab"}[call.field]], gone} {
			k.check(line{as: "ada", call: "POST " + call.path, body: `{` + call.mine + `,"` + call.field + `":` + id + `}`, code: 400, want: fieldFailure(call.field, `Invalid pk "`+id+`" - object does not exist.`)})
		}
	}
	for _, list := range []string{"/api/projects/?organization={sams}", "/api/environments/?project={foreign}", "/api/variables/?environment={lab}"} {
		k.check(line{as: "ada", call: "GET " + list, code: 200, want: `{"count":0,"next":null,"previous":null,"results":[]}`})
	}
}

func viewerExport(k *walk) {
	k.world.serve(func(s *settings) { s.layer.ViewerExport = true })
	k.check(line{as: "vic", call: "GET /api/environments/{production}/export/?format=json", code: 200, want: `"*"`})
	k.check(line{as: "vic", call: "GET /api/variables/{key}/", code: 200, want: keyHidden})
	k.check(line{as: "vic", call: "POST /api/environments/{production}/import/", body: `{"data":"A=1"}`, code: 403, want: `"*"`})
	k.check(line{as: "sam", call: "GET /api/environments/{production}/export/", code: 404, want: isNotFound})
}
