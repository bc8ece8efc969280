package keynest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// bodySchema is what the tests read of the schema of a body.
type bodySchema struct {
	Ref        string `json:"$ref"`
	Required   []string
	Properties map[string]json.RawMessage
}

// bodyOf returns the schema of the JSON that a call takes, nil if it takes none.
func bodyOf(t *testing.T, method, path string) *bodySchema {
	t.Helper()
	var d struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			RequestBodies map[string]struct {
				Content map[string]struct{ Schema bodySchema }
			}
			Schemas map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(openAPIText, &d); err != nil {
		t.Fatal(err)
	}
	var call struct {
		RequestBody struct {
			Ref string `json:"$ref"`
		}
	}
	if err := json.Unmarshal(d.Paths[path][strings.ToLower(method)], &call); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if call.RequestBody.Ref == "" {
		return nil
	}
	body := d.Components.RequestBodies[strings.TrimPrefix(call.RequestBody.Ref, "#/components/requestBodies/")]
	s := body.Content["application/json"].Schema
	var resolved bodySchema
	if err := json.Unmarshal(d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")], &resolved); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return &resolved
}

// What the document requires, the server does; a field of another type than the
// document has it is refused.
func TestTheServerRefusesWhatTheDocumentDoes(t *testing.T) {
	k := newWalk(t)
	k.service(k.kept["ada token"], `{"name":"first","environment":1}`)
	const free = "overwrite" // nothing is refused there
	k.webhook(k.kept["ada token"], 5, "https://example.com/", "*")
	if id := k.environment(k.kept["ada token"], 1, "third"); id != 3 {
		t.Fatalf("the third environment is %d", id)
	}
	bodies := map[string]map[string]any{
		"POST /api/auth/register/": {"username": "fresh", "email": "fresh@example.com", "password": password},
		"POST /api/auth/login/":    {"email": "ada@example.com", "password": password},
		"PATCH /api/auth/profile/": {"first_name": "Ada"},
		"POST /api/auth/password/": {"current_password": password, "new_password": password + "x", "confirm_new_password": password + "x"},
		"POST /api/organizations/": {"name": "Fresh"}, "PUT /api/organizations/{id}/": {"name": "Fresh"}, "PATCH /api/organizations/{id}/": {},
		"POST /api/organizations/{id}/invite_member/": {"email": "sam@example.com"}, "PATCH /api/organizations/{id}/update_member_role/": {"user_id": 3, "role": "viewer"},
		"DELETE /api/organizations/{id}/remove_member/": {"user_id": 3},
		"POST /api/projects/":                           {"name": "Fresh", "organization": 5}, "PUT /api/projects/{id}/": {"name": "Fresh", "organization": 5}, "PATCH /api/projects/{id}/": {},
		"POST /api/environments/": {"name": "fresh", "project": 1}, "PUT /api/environments/{id}/": {"name": "fresh", "project": 1}, "PATCH /api/environments/{id}/": {},
		"POST /api/environments/{id}/import/": {"data": "A=1"}, "POST /api/environments/{id}/rollback/": {"at": "2023-11-14"},
		"POST /api/environments/{id}/copy/": {"to": 3}, "POST /api/environments/{id}/promote/": {"to": 3},
		"POST /api/webhooks/": {"url": "https://example.com/", "events": []string{"*"}, "organization": 5}, "PATCH /api/webhooks/{id}/": {},
		"POST /api/variables/": {"key": "FRESH", "environment": 1}, "PUT /api/variables/{id}/": {"key": "FRESH", "environment": 1}, "PATCH /api/variables/{id}/": {},
		"POST /api/variables/{id}/rollback/": {"version": 1},
		"POST /api/service-tokens/":          {"name": "fresh", "environment": 1}, "PATCH /api/service-tokens/{id}/": {},
	}
	tried := 0
	for path, item := range readDocument(t).Paths {
		for name := range item {
			if name == "parameters" {
				continue
			}
			method := strings.ToUpper(name)
			schema := bodyOf(t, method, path)
			good, ok := bodies[method+" "+path]
			if ok != (schema != nil) {
				t.Errorf("%s %s takes a body: the document says %t", method, path, schema != nil)
			}
			if schema == nil {
				continue
			}
			refuse := func(what string, body map[string]any) {
				tried++
				id := map[string]string{"organizations": k.kept["acme"]}[strings.Split(path, "/")[2]]
				if id == "" {
					id = "1"
				}
				a := k.send(k.kept["ada token"], method, strings.ReplaceAll(path, "{id}", id), string(encode(body)))
				if a.code != http.StatusBadRequest {
					t.Errorf("%s %s %s: %d %.300s", method, path, what, a.code, a.body)
				}
			}
			for _, field := range schema.Required {
				body := maps.Clone(good)
				delete(body, field)
				refuse("without "+field, body)
			}
			for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
				for kind, bad := range map[string]any{"array": []any{}, "object": map[string]any{"a": 1}, "boolean": true} {
					if field == free || isOf(schema.Properties[field], kind) {
						continue
					}
					body := maps.Clone(good)
					body[field] = bad
					refuse(fmt.Sprintf("with %s %v", field, bad), body)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d requests were tried", tried)
	}
}

// isOf reports whether the schema of a field has a type itself.
func isOf(schema json.RawMessage, kind string) bool {
	var one struct{ Type string }
	if json.Unmarshal(schema, &one) == nil {
		return one.Type == kind
	}
	var several struct{ Type []string }
	return json.Unmarshal(schema, &several) == nil && slices.Contains(several.Type, kind)
}
