package keynest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a call is for a service token.
type serviceCall string

const (
	callNever   serviceCall = "refused"
	callOpen    serviceCall = "for everybody"
	callItself  serviceCall = "about the token"
	callLists   serviceCall = "lists what is in the scope"
	callProject serviceCall = "reads the project"
	callReads   serviceCall = "reads one environment"
	callWrites  serviceCall = "writes in one environment"
	callTwo     serviceCall = "reads two environments of a project"
	callBetween serviceCall = "writes from one environment of a project to another"
)

// serviceCalls are the calls that are not refused, with their queries. All else
// is: also what is added later, until somebody decides otherwise here.
var serviceCalls = map[string]struct {
	is    serviceCall
	query string
	body  string
}{
	"GET /health/": {is: callOpen}, "GET /api/": {is: callOpen}, "GET /api/openapi.json/": {is: callOpen},
	"POST /api/auth/login/":    {is: callOpen, body: `{"email":"admin@example.com","password":"` + password + `"}`},
	"POST /api/auth/register/": {is: callOpen, body: `{"username":"new{n}","email":"new{n}@example.com","password":"` + password + `"}`},
	"GET /api/auth/profile/":   {is: callItself},
	"GET /api/projects/":       {is: callLists}, "GET /api/environments/": {is: callLists}, "GET /api/variables/": {is: callLists},
	"GET /api/projects/{id}/": {is: callProject}, "GET /api/projects/{id}/environments/": {is: callProject},
	"GET /api/environments/{id}/": {is: callReads}, "GET /api/environments/{id}/variables/": {is: callReads}, "GET /api/environments/{id}/export/": {is: callReads},
	"GET /api/variables/{id}/": {is: callReads}, "GET /api/variables/{id}/versions/": {is: callReads}, "GET /api/variables/{id}/versions/{number}/": {is: callReads},
	"GET /api/environments/{id}/diff/":      {is: callTwo, query: "?with={beside}"},
	"POST /api/environments/{id}/import/":   {is: callWrites, body: `{"data":"NEW=1"}`},
	"POST /api/environments/{id}/rollback/": {is: callWrites, body: `{"at":"` + started + `"}`},
	"POST /api/environments/{id}/copy/":     {is: callBetween, body: `{"to":{beside}}`},
	"POST /api/environments/{id}/promote/":  {is: callBetween, body: `{"to":{beside}}`},
	"POST /api/variables/":                  {is: callWrites, body: `{"key":"NEW","value":"x","environment":{env}}`},
	"PUT /api/variables/{id}/":              {is: callWrites, body: `{"key":"KEY","value":"y","environment":{env}}`},
	"PATCH /api/variables/{id}/":            {is: callWrites, body: `{"value":"z"}`},
	"DELETE /api/variables/{id}/":           {is: callWrites},
	"POST /api/variables/{id}/rollback/":    {is: callWrites, body: `{"version":1}`},
}

// refusedBodies are bodies of calls that are refused to a service token, and
// would do something for an admin.
var refusedBodies = map[string]string{
	"POST /api/organizations/": `{"name":"Mine"}`, "PATCH /api/organizations/{id}/": `{"name":"Mine"}`, "PUT /api/organizations/{id}/": `{"name":"Mine"}`,
	"POST /api/organizations/{id}/invite_member/":       `{"email":"stranger@example.com","role":"admin"}`,
	"PATCH /api/organizations/{id}/update_member_role/": `{"user_id":2,"role":"admin"}`,
	"DELETE /api/organizations/{id}/remove_member/":     `{"user_id":2}`,
	"POST /api/projects/":                               `{"name":"Mine","organization":{org}}`,
	"PATCH /api/projects/{id}/":                         `{"name":"Mine"}`,
	"PUT /api/projects/{id}/":                           `{"name":"Mine","organization":{org}}`,
	"POST /api/environments/":                           `{"name":"mine","project":{project}}`,
	"PATCH /api/environments/{id}/":                     `{"name":"mine"}`,
	"PUT /api/environments/{id}/":                       `{"name":"mine","project":{project}}`,
	"PATCH /api/auth/profile/":                          `{"first_name":"Me"}`,
	"POST /api/auth/password/":                          `{"current_password":"` + password + `","new_password":"something-else-9","confirm_new_password":"something-else-9"}`,
	"POST /api/service-tokens/":                         `{"name":"mine","environment":{env},"read_only":false}`,
	"PATCH /api/service-tokens/{id}/":                   `{"name":"mine"}`,
	"POST /api/webhooks/":                               `{"url":"https://example.com/","events":["*"],"organization":{org}}`,
	"PATCH /api/webhooks/{id}/":                         `{"is_active":false}`,
}

// allCalls are the calls of the API, such as GET /api/projects/{id}/.
func allCalls() (calls []string) {
	routes := newRoutes()
	paths := map[string]place{"/health/": atHealth, "/api/": atRoot}
	for path, at := range places {
		paths["/api/"+path+"/"] = at
	}
	for path, at := range paths {
		for method := range routes[at].work {
			calls = append(calls, method+" "+path)
		}
	}
	slices.Sort(calls)
	return calls
}

// serviceWorld is a company in which service tokens are tried.
type serviceWorld struct {
	*company
	things map[string]string // what calls are about, by name
}

// fresh makes an environment with one beside it, and beside their project
// another one of the same organization: the scope and what is not in it.
func (s *serviceWorld) fresh() {
	s.t.Helper()
	admin := s.tokens["admin"]
	s.company.fresh++
	org := s.organization(admin, fmt.Sprint("Service ", s.company.fresh))
	project, foreign := s.project(admin, org, "Web"), s.project(admin, org, "Other")
	env, beside, out := s.environment(admin, project, "live"), s.environment(admin, project, "staging"), s.environment(admin, foreign, "live")
	things := map[string]uint64{
		"org": org, "project": project, "foreign": foreign, "env": env, "beside": beside, "out": out,
		"key": s.variable(admin, env, "KEY", "s3cr3t"), "hidden": s.variable(admin, out, "KEY", "h1dden"), "neighbour": s.variable(admin, beside, "ONLY", "n3xt"),
		"n": uint64(s.company.fresh),
	}
	s.send(admin, "PATCH", at("variables", things["key"]), `{"value":"s3cr3t too"}`) // so that there is a version to go back to
	s.things = map[string]string{}
	for name, id := range things {
		s.things[name] = fmt.Sprint(id)
	}
}

// fill puts things into a text, and their ids into a path.
func (s *serviceWorld) fill(text string, inScope bool) string {
	kinds := map[string][2]string{"organizations": {"org", "org"}, "projects": {"foreign", "project"}, "environments": {"out", "env"}, "variables": {"hidden", "key"}}
	for kind, names := range kinds {
		name := names[0]
		if inScope {
			name = names[1]
		}
		text = strings.Replace(text, "/"+kind+"/{id}/", "/"+kind+"/"+s.things[name]+"/", 1)
	}
	text = strings.NewReplacer("{id}", "1", "{number}", "1", "openapi.json/", "openapi.json").Replace(text)
	if !inScope {
		text = strings.ReplaceAll(text, "{env}", s.things["out"])
	}
	for name, id := range s.things {
		text = strings.ReplaceAll(text, "{"+name+"}", id)
	}
	return text
}

// call makes a call with a service token.
func (s *serviceWorld) call(token, call string, inScope bool) response {
	s.t.Helper()
	c, body := serviceCalls[call], serviceCalls[call].body
	if body == "" {
		body = refusedBodies[call]
	}
	method, path, _ := strings.Cut(call, " ")
	return s.send(token, method, s.fill(path+c.query, inScope), s.fill(body, inScope))
}

// serviceScopes are the kinds of tokens.
var serviceScopes = map[string]struct {
	body    string
	project bool // the scope is the whole project
	write   bool
}{
	"environment, read-only": {`{"name":"ci","environment":{env}}`, false, false},
	"environment, writes":    {`{"name":"ci","environment":{env},"read_only":false}`, false, true},
	"project, read-only":     {`{"name":"ci","project":{project}}`, true, false},
	"project, writes":        {`{"name":"ci","project":{project},"read_only":false}`, true, true},
}

const (
	serviceCannot   = "Service tokens cannot do this."
	serviceReadOnly = "This service token is read-only."
)

// Every call of the API, with every kind of token, in its scope and outside.
func TestServiceTokenMatrix(t *testing.T) {
	s := &serviceWorld{company: newCompany(t)}
	for name := range serviceCalls {
		if !slices.Contains(allCalls(), name) {
			t.Errorf("%s is not served", name)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(serviceScopes)) {
		scope := serviceScopes[kind]
		t.Run(kind, func(t *testing.T) {
			s.t = t
			token := ""
			for _, call := range allCalls() {
				for _, inScope := range []bool{true, false} {
					if token == "" {
						s.fresh()
						token, _ = s.service(s.tokens["admin"], s.fill(scope.body, true))
					}
					a := s.call(token, call, inScope)
					want, text := expected(call, scope.project, scope.write, inScope)
					if a.code != want || !strings.Contains(a.body, text) {
						t.Errorf("%s, in scope %t: %d %.300s, want %d %q", call, inScope, a.code, a.body, want, text)
					}
					if strings.Contains(a.body, "h1dden") || !scope.project && strings.Contains(a.body, "n3xt") {
						t.Errorf("%s, in scope %t: a value of elsewhere in %.300s", call, inScope, a.body)
					}
					if !strings.HasPrefix(call, "GET") && a.code < 300 {
						token = "" // begin anew
					}
				}
			}
		})
	}
}

// expected is the status of a call with a service token, and a part of the
// answer.
func expected(call string, project, write, inScope bool) (int, string) {
	c := serviceCalls[call]
	made := map[string]int{"DELETE": 204}[strings.Fields(call)[0]]
	switch {
	case call == "POST /api/variables/" || call == "POST /api/auth/register/":
		made = 201
	case made == 0:
		made = 200
	}
	named := strings.Contains(call, "{id}")
	switch {
	case c.is == callOpen || c.is == callItself || c.is == callLists:
		return made, ""
	case c.is == "" && strings.Contains(call, "/webhooks/{id}/"): // there is none
		return 404, "Not found."
	case c.is == "" && (strings.Contains(call, "/projects/{id}/") || strings.Contains(call, "/environments/{id}/")) && !inScope,
		c.is == "" && strings.Contains(call, "/projects/{id}/") && !project:
		return 404, "Not found."
	case c.is == "":
		return 403, serviceCannot
	case !inScope && !named:
		return 400, "object does not exist."
	case !inScope, c.is == callProject && !project, c.is == callTwo && !project:
		return 404, "Not found."
	case c.is == callBetween && !project:
		return 400, "object does not exist."
	case (c.is == callWrites || c.is == callBetween) && !write:
		return 403, serviceReadOnly
	}
	return made, ""
}

// A token that is not let in is not let in anywhere.
func TestServiceTokensThatAreNotLetIn(t *testing.T) {
	s := &serviceWorld{company: newCompany(t)}
	s.fresh()
	admin := s.tokens["admin"]
	expired, _ := s.service(admin, s.fill(`{"name":"expired","project":{project},"read_only":false,"expires_in":"1m"}`, true))
	revoked, id := s.service(admin, s.fill(`{"name":"revoked","project":{project},"read_only":false}`, true))
	foreign, _ := s.service(admin, s.fill(`{"name":"foreign","project":{project},"read_only":false,"allowed_networks":["192.0.2.0/24"]}`, true))
	if a := s.send(admin, "DELETE", "/api/service-tokens/"+id+"/", ""); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	s.store.Advance(time.Minute)
	refused := func(token string, code int, name, text string) {
		t.Helper()
		for _, call := range allCalls() {
			a := s.call(token, call, true)
			if method, path, _ := strings.Cut(call, " "); newRoutes()[parseTarget(s.fill(path, true)).place].exempt {
				if a.code != 200 {
					t.Errorf("%s %s, which is for everybody: %d", method, path, a.code)
				}
				continue
			}
			if a.code != code {
				t.Errorf("%s: %d %.300s, want %d", call, a.code, a.body, code)
				continue
			}
			s.fails(code, name, text, a)
		}
	}
	refused(expired, 401, "INVALID_TOKEN", "Token has expired.")
	refused(revoked, 401, "INVALID_TOKEN", "Invalid token.")
	refused(foreign, 403, "PERMISSION_DENIED", "This token may not be used from this address.")
	// Each is told of once: it was all within a minute.
	s.counts(3, 3, s.get(admin, "/api/audit-logs/?action=service_token_refused"))
	s.store.Advance(time.Minute)
	s.get(foreign, "/api/projects/")
	s.counts(4, 4, s.get(admin, "/api/audit-logs/?action=refuse"))
	var log struct {
		Results []struct {
			UserName     string `json:"user_name"`
			ServiceToken uint64 `json:"service_token"`
			Details      json.RawMessage
		}
	}
	s.read(200, s.get(admin, "/api/audit-logs/?action=refuse"), &log)
	if e := log.Results[0]; e.UserName != "service token foreign" || e.ServiceToken != 3 || string(e.Details) != `{"name":"foreign","reason":"address"}` {
		t.Errorf("entry %+v", e)
	}
}
