package keynest

import (
	"fmt"
	"strings"
	"sync"
)

// Section 4 of the contract, but for its texts: those are in texts_test.go.

func bodies() []section {
	const (
		projectOf = `{"id":"*","name":"%s","description":%s,"organization":{paged},"organization_name":"Paged","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":0}`
		nothing   = `{"count":0,"next":null,"previous":null,"results":[]}`
	)
	paging := section{title: "4 Bodies - Pagination", lines: []line{
		{rule: "an organization for this (ours)", as: "ada", call: "POST /api/organizations/", body: `{"name":"Paged"}`, code: 201, keep: "paged", want: `"*"`},
		{rule: "an empty list is a page (spec)", as: "ada", call: "GET /api/projects/?organization={paged}", code: 200, want: nothing},
		{rule: "a page past the end of an empty list is 404 (real)", as: "ada", call: "GET /api/projects/?organization={paged}&page=2", code: 404, want: failure("NOT_FOUND", "Invalid page.", "null")},
	}}
	for i := 1; i <= 41; i++ {
		paging.lines = append(paging.lines, line{rule: fmt.Sprintf("project %d of 41 (ours)", i), as: "ada", call: "POST /api/projects/", body: fmt.Sprintf(`{"name":"P%d","organization":{paged},"description":"d"}`, i),
			code: 201, want: fmt.Sprintf(projectOf, fmt.Sprint("P", i), `"d"`)})
	}
	list := "/api/projects/?organization={paged}"
	page := func(next, previous string, from, to int) string {
		var results []string
		for i := from; i <= to; i++ {
			results = append(results, fmt.Sprintf(projectOf, fmt.Sprint("P", i), `"d"`))
		}
		quote := func(link string) string {
			if link == "" {
				return "null"
			}
			return `"{url}` + link + `"`
		}
		return fmt.Sprintf(`{"count":41,"next":%s,"previous":%s,"results":[%s]}`, quote(next), quote(previous), strings.Join(results, ","))
	}
	paging.lines = append(paging.lines, []line{
		{rule: "page size 20, ids ascending, next is absolute and keeps the other parameters (real)", as: "ada", call: "GET " + list, code: 200, want: page(list+"&page=2", "", 1, 20)},
		{rule: "previous to page 1 drops page (real)", as: "ada", call: "GET " + list + "&page=2", code: 200, want: page(list+"&page=3", list, 21, 40)},
		{rule: "page=N (real)", as: "ada", call: "GET " + list + "&page=3", code: 200, want: page("", list+"&page=2", 41, 41)},
		{rule: "page=last (real)", as: "ada", call: "GET " + list + "&page=last", code: 200, want: page("", list+"&page=2", 41, 41)},
		{rule: "page_size (ours)", as: "ada", call: "GET " + list + "&page_size=2&page=2", code: 200, want: page(list+"&page_size=2&page=3", list+"&page_size=2", 3, 4)},
		{rule: "page_size up to 100 (ours)", as: "ada", call: "GET " + list + "&page_size=100", code: 200, want: page("", "", 1, 41)},
		{rule: "page_size over 100 is 100 (ours)", as: "ada", call: "GET " + list + "&page_size=1000", code: 200, want: page("", "", 1, 41)},
		{rule: "the slash at the end of links is the request's (ours)", as: "ada", call: "GET /api/projects?organization={paged}", code: 200, want: `{"count":41,"next":"*","previous":null,"results":"*"}`},
	}...)
	for _, bad := range []string{"4", "0", "-1", "x", "1.5", "99999999999999999999"} {
		paging.lines = append(paging.lines, line{rule: "past the end or bad page: 404 with page=" + bad + " (real)", as: "ada", call: "GET " + list + "&page=" + bad, code: 404, want: failure("NOT_FOUND", "Invalid page.", "null")})
	}

	organizations := section{title: "4 Bodies - Organization", lines: []line{
		{rule: "user_role is admin (spec)", as: "ada", call: "GET /api/organizations/{acme}/", code: 200, want: acmeShown},
		{rule: "user_role is editor (spec)", as: "eve", call: "GET /api/organizations/{acme}/", code: 200, want: strings.Replace(acmeShown, `"user_role":"admin"`, `"user_role":"editor"`, 1)},
		{rule: "user_role is viewer (spec)", as: "vic", call: "GET /api/organizations/{acme}/", code: 200, want: strings.Replace(acmeShown, `"user_role":"admin"`, `"user_role":"viewer"`, 1)},
		{rule: "name is trimmed, another user may have the same (real)", as: "sam", call: "POST /api/organizations/", body: `{"name":"  Acme Corp "}`, code: 201, keep: "sams acme",
			want: `{"id":"*","name":"Acme Corp","description":null,"created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`},
		{rule: "name is case-insensitively unique among the user's own (real, ours)", as: "sam", call: "POST /api/organizations/", body: `{"name":"ACME corp"}`, code: 409, want: taken("name", "You already have an organization with this name.")},
		{rule: "also when it changes (real, ours)", as: "sam", call: "PATCH /api/organizations/{sams}/", body: `{"name":"acme Corp"}`, code: 409, want: taken("name", "You already have an organization with this name.")},
		{rule: "but not with itself (real)", as: "sam", call: "PATCH /api/organizations/{sams acme}/", body: `{"name":"ACME Corp"}`, code: 200, want: `"*"`},
		{rule: "members: for admins also last_login and is_active, by joined_at (real)", as: "ada", call: "GET /api/organizations/{acme}/members/", code: 200, want: `{"members":[
			{"id":1,"email":"ada@example.com","username":"ada","role":"admin","joined_at":"` + started + `","last_login":"*","is_active":true},
			{"id":2,"email":"eve@example.com","username":"eve","role":"editor","joined_at":"` + started + `","last_login":"*","is_active":true},
			{"id":3,"email":"vic@example.com","username":"vic","role":"viewer","joined_at":"` + started + `","last_login":"*","is_active":true}],"total_count":3}`},
		{rule: "invite: role is viewer by default (real)", as: "ada", call: "POST /api/organizations/{acme}/invite_member/", body: `{"email":"sam@example.com"}`, code: 201,
			want: `{"message":"User has been added to Acme Corp as viewer","member":{"id":4,"email":"sam@example.com","username":"sam","role":"viewer","joined_at":"*"}}`},
		{rule: "role: the same one (real)", as: "ada", call: "PATCH /api/organizations/{acme}/update_member_role/", body: `{"user_id":"4","role":" VIEWER "}`, code: 200,
			want: `{"message":"Role is already set to the specified value","member":{"id":4,"email":"sam@example.com","username":"sam","role":"viewer"}}`},
		{rule: "remove: the id as a text (real)", as: "ada", call: "DELETE /api/organizations/{acme}/remove_member/", body: `{"user_id":"4"}`, code: 200,
			want: `{"message":"User has been removed from Acme Corp","removed_member":{"email":"sam@example.com","username":"sam","role":"viewer"}}`},
	}, more: map[string]func(*walk){
		"two admins who remove each other at once do not both pass (ours)": lastAdmin,
		"deleting cascades, atomically (real, ours)":                       cascades,
	}}

	projects := section{title: "4 Bodies - Project", lines: []line{
		{rule: "filter organization (spec)", as: "sam", call: "GET /api/projects/?organization={sams}", code: 200, want: pageOfOne(`"*"`)},
		{rule: "an organization that is not mine: empty list (real)", as: "ada", call: "GET /api/projects/?organization={sams}", code: 200, want: nothing},
		{rule: "a non-integer organization is ignored (real)", as: "sam", call: "GET /api/projects/?organization=abc", code: 200, want: pageOfOne(`"*"`)},
		{rule: "search is a case-insensitive part of the name (ours)", as: "ada", call: "GET /api/projects/?search=B+APPL", code: 200, want: pageOfOne(webShown)},
		{rule: "search finds nothing (ours)", as: "ada", call: "GET /api/projects/?search=nowhere", code: 200, want: nothing},
		{rule: "search does not reach others' (ours)", as: "ada", call: "GET /api/projects/?search=Foreign", code: 200, want: nothing},
		{rule: "name is trimmed and may have blanks, hyphens, underscores and dots (real)", as: "ada", call: "POST /api/projects/", body: `{"name":" A b-c_d.1 ","organization":{acme},"description":"needle in hay"}`, code: 201, keep: "odd", want: `{"id":"*","name":"A b-c_d.1","description":"needle in hay","organization":{acme},"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":0}`},
		{rule: "search is a case-insensitive part of the description (ours)", as: "ada", call: "GET /api/projects/?search=NEEDLE", code: 200, want: `{"count":1,"next":null,"previous":null,"results":[{"id":{odd},"name":"A b-c_d.1","description":"needle in hay","organization":{acme},"organization_name":"Acme Corp","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":0}]}`},
		{rule: "duplicate names are allowed (real)", as: "ada", call: "POST /api/projects/", body: `{"name":"Web Application","organization":{acme}}`, code: 201, keep: "twin", want: `"*"`},
		{rule: "PATCH of organization moves the project (real)", as: "ada", call: "PATCH /api/projects/{twin}/", body: `{"organization":{paged}}`, code: 200,
			want: `{"id":{twin},"name":"Web Application","description":null,"organization":{paged},"organization_name":"Paged","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","environment_count":0}`},
		{rule: "moving needs a write role here (ours)", as: "vic", call: "PATCH /api/projects/{web}/", body: `{"organization":3}`, code: 403, want: isForbidden},
	}, more: map[string]func(*walk){"moving needs a write role in both, and takes the values along (ours)": moves}}

	environments := section{title: "4 Bodies - Environment", lines: []line{
		{rule: "filter project (spec)", as: "ada", call: "GET /api/environments/?project={web}&environment_type=production", code: 200, want: pageOfOne(productionShown)},
		{rule: "a project that is not mine: empty list (ours)", as: "ada", call: "GET /api/environments/?project={foreign}", code: 200, want: nothing},
		{rule: "a non-integer project is 400 (ours)", as: "ada", call: "GET /api/environments/?project=x", code: 400, want: fieldFailure("project", "A valid integer is required.")},
		{rule: "filter environment_type (spec)", as: "sam", call: "GET /api/environments/?environment_type=development", code: 200, want: pageOfOne(`"*"`)},
		{rule: "a bad type is 400 (ours)", as: "ada", call: "GET /api/environments/?environment_type=x", code: 400, want: fieldFailure("environment_type", `"x" is not a valid choice.`)},
		{rule: "name is stored lower-cased, type is development by default (real)", as: "ada", call: "POST /api/environments/", body: `{"name":"QA_1-x","project":{odd}}`, code: 201, keep: "qa",
			want: `{"id":"*","name":"qa_1-x","project":{odd},"project_name":"A b-c_d.1","environment_type":"development","description":null,"created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","variable_count":0,"max_versions":10}`},
		{rule: "name is unique per project (real, ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"qa_1-X","project":{odd}}`, code: 409, want: taken("name", "An environment with this name already exists in this project.")},
		{rule: "another project may have the same (real)", as: "ada", call: "POST /api/environments/", body: `{"name":"qa_1-x","project":{twin},"environment_type":"staging"}`, code: 201, keep: "qa two", want: `"*"`},
		{rule: "name is unique per project when it changes (real, ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"other","project":{odd}}`, code: 201, keep: "other", want: `"*"`},
		{rule: "max_versions of variables (ours)", as: "ada", call: "PATCH /api/environments/{other}/", body: `{"max_versions":"25"}`, code: 200,
			want: `{"id":{other},"name":"other","project":{odd},"project_name":"*","environment_type":"*","description":null,"created_at":"*","updated_at":"*","created_by_name":"*","variable_count":0,"max_versions":25}`},
		{rule: "and not more of them than 100 (ours)", as: "ada", call: "PATCH /api/environments/{other}/", body: `{"max_versions":101}`, code: 400, want: fieldFailure("max_versions", "Ensure this value is from 1 to 100.")},
		{rule: "and it is refused then (real, ours)", as: "ada", call: "PATCH /api/environments/{other}/", body: `{"name":"QA_1-X"}`, code: 409, want: taken("name", "An environment with this name already exists in this project.")},
	}}
	for _, kind := range []string{"development", "staging", "production", "testing"} {
		environments.lines = append(environments.lines, line{rule: "environment_type " + kind + " (spec)", as: "ada", call: "PATCH /api/environments/{qa}/", body: `{"environment_type":"` + kind + `"}`, code: 200,
			want: `{"id":{qa},"name":"qa_1-x","project":{odd},"project_name":"A b-c_d.1","environment_type":"` + kind + `","description":null,"created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","variable_count":0,"max_versions":10}`})
	}

	const made = `{"id":"*","key":"%s","decrypted_value":%s,"environment":{qa},"environment_name":"qa_1-x","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","version":"*"}`
	variable := func(key, value string) string { return fmt.Sprintf(made, key, value) }
	variables := section{title: "4 Bodies - Variable", lines: []line{
		{rule: "a missing value is stored as empty (real)", as: "ada", call: "POST /api/variables/", body: `{"key":"MISSING","environment":{qa}}`, code: 201, want: variable("MISSING", `""`)},
		{rule: "an empty value is stored as empty (real)", as: "ada", call: "POST /api/variables/", body: `{"key":"EMPTY","value":"","environment":{qa}}`, code: 201, want: variable("EMPTY", `""`), keep: "v"},
		{rule: "value is never trimmed (ours)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"value":" \t a \n"}`, code: 200, want: variable("EMPTY", `" \t a \n"`)},
		{rule: "an empty value on PATCH (ours)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"value":""}`, code: 200, want: variable("EMPTY", `""`)},
		{rule: "PATCH may carry value and key (real)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"key":"RENAMED","value":"x"}`, code: 200, want: variable("RENAMED", `"x"`)},
		{rule: "PATCH may carry key alone (real)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"key":"AGAIN_2"}`, code: 200, want: variable("AGAIN_2", `"x"`)},
		{rule: "PATCH may carry nothing (real)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{}`, code: 200, want: variable("AGAIN_2", `"x"`)},
		{rule: "PUT needs key and environment, value optional (real)", as: "ada", call: "PUT /api/variables/{v}/", body: `{"key":"AGAIN","environment":{qa}}`, code: 200, want: variable("AGAIN", `"x"`)},
		{rule: "PUT without them is 400 (real)", as: "ada", call: "PUT /api/variables/{v}/", body: `{"value":"y"}`, code: 400,
			want: failure("VALIDATION_ERROR", "Validation failed", `{"key":["This field is required."],"environment":["This field is required."]}`)},
		{rule: "value of 65536 bytes (ours)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"value":"` + strings.Repeat("é", 32768) + `"}`, code: 200, want: variable("AGAIN", `"`+strings.Repeat("é", 32768)+`"`)},
		{rule: "numbers are accepted for texts (real)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"value":5.50}`, code: 200, want: variable("AGAIN", `"5.50"`)},
		{rule: "filter environment (real)", as: "ada", call: "GET /api/variables/?environment={qa}&page_size=1", code: 200, want: `{"count":2,"next":"{url}/api/variables/?environment={qa}&page_size=1&page=2","previous":null,"results":[` + variable("MISSING", `""`) + `]}`},
		{rule: "filter key is partial (real)", as: "ada", call: "GET /api/variables/?environment={qa}&key=gai", code: 200, want: pageOfOne(variable("AGAIN", `"5.50"`))},
		{rule: "value is write-only, what is shown is decrypted_value (spec)", as: "ada", call: "GET /api/variables/{v}/", code: 200, want: variable("AGAIN", `"5.50"`)},
		{rule: "duplicate key: 409 (spec)", as: "ada", call: "POST /api/variables/", body: `{"key":"AGAIN","value":"z","environment":{qa}}`, code: 409, want: taken("key", "A variable with this key already exists in this environment.")},
		{rule: "duplicate key when it changes: 409 (spec)", as: "ada", call: "PATCH /api/variables/{v}/", body: `{"key":"MISSING"}`, code: 409, want: taken("key", "A variable with this key already exists in this environment.")},
	}, more: map[string]func(*walk){"one of many that create a key at once gets 201 (spec)": createdOnce}}
	return []section{paging, organizations, projects, environments, variables}
}

// lastAdmin lets two admins remove each other at once. Whoever comes second is
// no member any more, which is 404.
func lastAdmin(k *walk) {
	w := newWorld(k.t)
	ann, bob := w.register("ann"), w.register("bob")
	for range 5 {
		org := w.organization(ann, "Duel")
		w.invite(ann, org, "bob", "admin")
		var both sync.WaitGroup
		codes := make([]int, 2)
		for i, call := range []struct {
			token string
			user  int
		}{{ann, 2}, {bob, 1}} {
			both.Go(func() {
				codes[i] = w.send(call.token, "DELETE", at("organizations", org, "remove_member"), fmt.Sprintf(`{"user_id":%d}`, call.user)).code
			})
		}
		both.Wait()
		if codes[0] == codes[1] || codes[0] != 200 && codes[1] != 200 {
			k.t.Errorf("both at once: %d", codes)
		}
		winner := ann
		if codes[1] == 200 {
			winner = bob
		}
		var list struct{ Members []struct{ Role string } }
		w.read(200, w.get(winner, at("organizations", org, "members")), &list)
		if len(list.Members) != 1 || list.Members[0].Role != "admin" {
			k.t.Errorf("left are %+v", list.Members)
		}
		w.send(winner, "DELETE", at("organizations", org), "")
	}
}

func cascades(k *walk) {
	w := newWorld(k.t)
	ann := w.register("ann")
	for _, kind := range []string{"environments", "projects", "organizations"} {
		org := w.organization(ann, "Passing")
		project := w.project(ann, org, "Passing")
		env := w.environment(ann, project, "passing")
		key := w.variable(ann, env, "PASSING", "x")
		ids := map[string]uint64{"organizations": org, "projects": project, "environments": env}
		if a := w.send(ann, "DELETE", at(kind, ids[kind]), ""); a.code != 204 || a.body != "" {
			k.t.Fatalf("DELETE of %s: %d %s", kind, a.code, a.body)
		}
		w.notFound(w.get(ann, at("variables", key)))
		w.notFound(w.get(ann, at("environments", env)))
		w.notFound(w.get(ann, at(kind, ids[kind])))
		if kind == "environments" {
			w.is(200, `{"id":"*","name":"Passing","description":null,"organization":"*","organization_name":"Passing","created_at":"*","updated_at":"*","created_by_name":"","environment_count":0}`, w.get(ann, at("projects", project)))
		} else {
			w.notFound(w.get(ann, at("projects", project)))
		}
		w.send(ann, "DELETE", at("organizations", org), "")
	}
}

func moves(k *walk) {
	w := newWorld(k.t)
	ann, bob := w.register("ann"), w.register("bob")
	from, to := w.organization(ann, "From"), w.organization(bob, "To")
	project := w.project(ann, from, "Moving")
	env := w.environment(ann, project, "live")
	key := w.variable(ann, env, "SECRET", "kept")
	move := func(token string) response {
		return w.send(token, "PATCH", at("projects", project), fmt.Sprintf(`{"organization":%d}`, to))
	}
	w.invalid(fmt.Sprintf(`{"organization":["Invalid pk \"%d\" - object does not exist."]}`, to), move(ann))
	w.invite(bob, to, "ann", "viewer")
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to create projects in this organization.", move(ann))
	w.send(bob, "PATCH", at("organizations", to, "update_member_role"), `{"user_id":1,"role":"editor"}`)
	w.notFound(move(bob))
	w.invite(ann, from, "bob", "viewer")
	w.forbidden(move(bob))
	w.is(200, fmt.Sprintf(`{"id":%d,"name":"Moving","description":null,"organization":%d,"organization_name":"To","created_at":"*","updated_at":"*","created_by_name":"","environment_count":1}`, project, to), move(ann))
	var v struct {
		Value string `json:"decrypted_value"`
	}
	w.read(200, w.get(bob, at("variables", key)), &v)
	if v.Value != "kept" {
		k.t.Errorf("the value became %q", v.Value)
	}
}

func createdOnce(k *walk) {
	for i := range 5 {
		var all sync.WaitGroup
		codes := make([]int, 4)
		for n := range codes {
			all.Go(func() {
				codes[n] = k.ask(line{as: "ada", call: "POST /api/variables/", body: fmt.Sprintf(`{"key":"ONCE_%d","value":"%d","environment":{qa}}`, i, n)}).code
			})
		}
		all.Wait()
		count := map[int]int{}
		for _, c := range codes {
			count[c]++
		}
		if count[201] != 1 || count[409] != 3 {
			k.t.Errorf("round %d: %d", i, codes)
		}
	}
}
