package restdb

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"

	"github.com/coveydb/covey/layer/collection"
)

// conformity checks answers against an OpenAPI document.
type conformity struct {
	mu    sync.Mutex // what it stands on fills caches without one
	check validator.Validator
}

func newConformity(text []byte) (*conformity, error) {
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	check, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return &conformity{check: check}, nil
}

// generic is the document for any collection, read once for all tests.
var generic = sync.OnceValues(func() (*conformity, error) {
	text, err := describeAPI(nil)
	if err != nil {
		return nil, err
	}
	return newConformity(text)
})

// asks returns the request that the document describes: with the method that
// the server went by. ok is false for what no document can describe.
func asks(sent *http.Request, target string) (req *http.Request, ok bool) {
	u, err := url.Parse(target)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return nil, false
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	method := sent.Method
	if m := sent.Header.Get("X-HTTP-Method-Override"); m != "" && method == http.MethodPost {
		method = strings.ToUpper(m)
	}
	if method == http.MethodHead || method == http.MethodOptions {
		return nil, false
	}
	return &http.Request{Method: method, URL: u, Header: http.Header{}}, true
}

// judge returns what is wrong with an answer. What is refused before the server
// has made out where it leads is no matter of the document.
func (c *conformity) judge(req *http.Request, code int, h http.Header, body []byte) []string {
	t, known := parseTarget(req.URL.EscapedPath())
	to, ok := routes[t.place]
	if !known || !ok || to.work[req.Method] == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	_, problems := c.check.ValidateHttpResponse(req, resp)
	return texts(problems)
}

func texts(problems []*errors.ValidationError) (list []string) {
	for _, p := range problems {
		text := p.Message + ": " + p.Reason
		for _, s := range p.SchemaValidationErrors {
			text += "\n\t" + s.KeywordLocation + ": " + s.Reason
		}
		list = append(list, text)
	}
	return list
}

// conforms checks an answer against the document for any collection.
func (w *world) conforms(sent *http.Request, target string, a response) {
	w.t.Helper()
	req, ok := asks(sent, target)
	if !ok || len(a.body) > 1<<20 {
		return
	}
	c, err := generic()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range c.judge(req, a.code, a.header, []byte(a.body)) {
		w.t.Errorf("%s %s: %d %.300s is not as the OpenAPI document says: %s", req.Method, target, a.code, a.body, p)
	}
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	for name, list := range map[string][]collection.Metadata{"any collection": nil, "some collections": library()} {
		t.Run(name, func(t *testing.T) {
			text, err := describeAPI(list)
			if err != nil {
				t.Fatal(err)
			}
			c, err := newConformity(text)
			if err != nil {
				t.Fatal(err)
			}
			if ok, problems := c.check.ValidateDocument(); !ok {
				t.Error(texts(problems))
			}
			checkReferences(t, text)
			again, err := describeAPI(list)
			if err != nil || !bytes.Equal(text, again) {
				t.Errorf("not the same twice (%v)", err)
			}
		})
	}
}

// library are collections with all that a schema can say.
func library() []collection.Metadata {
	var fields []collection.Field
	for _, kind := range []string{"text", "number", "float_number", "money", "email", "richtext", "bool", "JSON", "date", "datetime", "time", "image", "file", "option"} {
		fields = append(fields, collection.Field{Name: "a " + kind, Type: kind, Required: true})
	}
	return []collection.Metadata{
		{Name: "books", Description: `of "all" kinds`, Fields: append(fields,
			collection.Field{Name: "number", Type: "number", Required: true, AutoIncrement: true},
			collection.Field{Name: "author", Type: "collection", Collection: "authors", Relation: "one"},
			collection.Field{Name: "secret", Type: "collection", Collection: "secrets", Relation: "many"})},
		{Name: "authors", Fields: []collection.Field{
			{Name: "letters", Type: "collection", Collection: "letters", Relation: "child"},
			{Name: "a/b {x} \"\x01", Type: "collection", Collection: "books", Relation: "child"},
		}},
		{Name: "mail", Fields: []collection.Field{}},
	}
}

// checkReferences fails for references that lead nowhere, and operations of
// the same name.
func checkReferences(t *testing.T, text []byte) {
	t.Helper()
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	operations := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				at := whole
				for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					at, _ = at.(map[string]any)[part]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			if id, ok := v["operationId"].(string); ok {
				if operations[id] {
					t.Errorf("two operations are called %s", id)
				}
				operations[id] = true
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(whole)
}

// The document names all that is served, and nothing else.
func TestTheDocumentNamesAllRoutes(t *testing.T) {
	text, err := describeAPI(nil)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	described := map[place][]string{}
	for path, item := range d.Paths {
		// Filled in as a request would: the braces alone are no id.
		filled := strings.NewReplacer("{collection}", "items", "{", "", "}", "").Replace(path)
		at, ok := parseTarget(filled)
		if !ok || at.place == atNothing {
			t.Errorf("%s is described and leads nowhere", path)
		}
		if described[at.place] != nil {
			t.Errorf("%s is described twice", path)
		}
		described[at.place] = []string{}
		for name := range item {
			if name != "parameters" {
				described[at.place] = append(described[at.place], strings.ToUpper(name))
			}
		}
		slices.Sort(described[at.place])
	}
	served := map[place][]string{}
	for at, to := range routes {
		served[at] = slices.Sorted(maps.Keys(to.work))
	}
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("served - described +:\n%s", diff)
	}
	for at := atNothing + 1; at <= atScriptDoc; at++ {
		if served[at] == nil {
			t.Errorf("place %d is not served", at)
		}
	}
}

func TestTheDocumentOfCollections(t *testing.T) {
	text, err := describeAPI(library())
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths      map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/rest/books", "/rest/books/*", "/rest/books/{id}", "/rest/books/_meta", "/rest/authors/{id}/letters", "/rest/authors/{id}/letters/{child}",
		"/rest/authors/{id}/a%2Fb%20%7Bx%7D%20%22%01", "/rest/mail",
	} {
		item := string(d.Paths[path])
		if item == "" || strings.Contains(item, "parameters/collection") || strings.Contains(item, "parameters/field") {
			t.Errorf("%s: %.300s", path, item)
		}
	}
	if !strings.Contains(string(d.Paths["/rest/books"]), "schemas/collection.books.new") {
		t.Error("POST of a book says nothing of its fields")
	}
	var required struct{ Required []string }
	if err := json.Unmarshal(d.Components.Schemas["collection.books.new"], &required); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(required.Required, "number") || len(required.Required) != 14 {
		t.Errorf("required: %v", required.Required)
	}
	if strings.Contains(string(text), "secrets") {
		t.Error("a collection that the caller may not see is named")
	}
}

func TestTooManyCollectionsForADocument(t *testing.T) {
	var list []collection.Metadata
	for range 200 {
		list = append(list, collection.Metadata{Name: "c", Description: strings.Repeat("x", 100_000), Fields: []collection.Field{}})
	}
	if _, err := describeAPI(list); err == nil {
		t.Error("a document of any size")
	}
}
