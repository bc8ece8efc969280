package keynest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/layer/vault"
)

// described is what the tests read of the document by themselves.
type described struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas map[string]struct{ Enum []string }
	}
}

func readDocument(t *testing.T) (d described) {
	t.Helper()
	if err := json.Unmarshal(openAPIText, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	c, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if ok, problems := c.check.ValidateDocument(); !ok {
		t.Error(texts(problems))
	}
	var whole any
	if err := json.Unmarshal(openAPIText, &whole); err != nil {
		t.Fatal(err)
	}
	r := references{t: t, whole: whole, operations: map[string]bool{}, used: map[string]bool{}}
	r.walk(whole)
	components, _ := whole.(map[string]any)["components"].(map[string]any)
	for kind, of := range components {
		if kind == "securitySchemes" {
			continue
		}
		for name := range of.(map[string]any) {
			if ref := "#/components/" + kind + "/" + name; !r.used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
}

// references fails for those that lead nowhere, for operations of the same
// name, and for objects that leave open what they may have.
type references struct {
	t          *testing.T
	whole      any
	operations map[string]bool
	used       map[string]bool
}

func (r *references) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			r.walk(e)
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			r.used[ref] = true
			at := r.whole
			for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				at, _ = at.(map[string]any)[part]
			}
			if at == nil {
				r.t.Errorf("%s leads nowhere", ref)
			}
		}
		if id, ok := v["operationId"].(string); ok {
			if r.operations[id] {
				r.t.Errorf("two operations are called %s", id)
			}
			r.operations[id] = true
		}
		for _, e := range v {
			r.walk(e)
		}
	}
}

// concrete is a path with numbers in it.
func concrete(path string) string {
	return strings.NewReplacer("{id}", "1", "{number}", "1").Replace(path)
}

// The document names all that is served, and nothing else.
func TestTheDocumentNamesAllRoutes(t *testing.T) {
	named := map[place][]string{}
	for path, item := range readDocument(t).Paths {
		at := parseTarget(concrete(path))
		if at.place == atNothing || at.noID {
			t.Errorf("%s is described and leads nowhere", path)
		}
		if named[at.place] != nil {
			t.Errorf("%s is described twice", path)
		}
		named[at.place] = []string{}
		for name := range item {
			if name != "parameters" {
				named[at.place] = append(named[at.place], strings.ToUpper(name))
			}
		}
		slices.Sort(named[at.place])
	}
	served := map[place][]string{}
	for at, to := range newRoutes() {
		served[at] = slices.Sorted(maps.Keys(to.work))
	}
	if diff := cmp.Diff(served, named); diff != "" {
		t.Errorf("served - described +:\n%s", diff)
	}
	for at := atNothing + 1; at <= atAuditExport; at++ {
		if served[at] == nil {
			t.Errorf("place %d is not served", at)
		}
	}
}

// Which routes need no token, and which may answer 403, is what the document
// says too.
func TestTheDocumentKnowsWhoMayCall(t *testing.T) {
	type operation struct {
		Security  *[]map[string][]string
		Responses map[string]json.RawMessage
	}
	for path, item := range readDocument(t).Paths {
		to := newRoutes()[parseTarget(concrete(path)).place]
		if to == nil {
			continue // TestTheDocumentNamesAllRoutes tells
		}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			if open := o.Security != nil && len(*o.Security) == 0; open != (to.open || to.exempt) {
				t.Errorf("%s %s: open %t, but served to all %t", method, path, open, to.open || to.exempt)
			}
			if _, can := o.Responses["401"]; can == to.exempt {
				t.Errorf("%s %s: 401 is described %t", method, path, can)
			}
		}
	}
}

func TestTheDocumentHasTheLayersChoices(t *testing.T) {
	schemas := readDocument(t).Components.Schemas
	if diff := cmp.Diff(vault.EnvironmentTypes(), schemas["EnvironmentType"].Enum); diff != "" {
		t.Errorf("types of environments: layer - document +:\n%s", diff)
	}
	for _, r := range schemas["Role"].Enum {
		if !vault.ValidRole(vault.Role(r)) {
			t.Errorf("%s is no role", r)
		}
	}
	if len(schemas["Role"].Enum) != 3 {
		t.Errorf("roles %v", schemas["Role"].Enum)
	}
}

// Each code of the envelope is one that the document's answers may have.
func TestTheDocumentHasAllCodes(t *testing.T) {
	for _, code := range append(slices.Collect(maps.Values(codes)), slices.Collect(maps.Values(credentialCodes))...) {
		if code != "METHOD_NOT_ALLOWED" && !strings.Contains(string(openAPIText), `"`+code+`"`) {
			t.Errorf("the document has no %s", code)
		}
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/openapi.json", "/api/openapi.json/"} {
		a := w.do(http.MethodGet, path, "")
		if a.code != 200 || a.body != string(openAPIText) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %d, %d bytes of %s", path, a.code, len(a.body), a.header.Get("Content-Type"))
		}
	}
	if a := w.do(http.MethodPost, "/api/openapi.json", "{}"); a.code != 405 {
		t.Errorf("POST: %d", a.code)
	}
}
