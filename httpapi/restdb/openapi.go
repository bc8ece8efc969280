package restdb

import (
	"bytes"
	_ "embed" // for the document below
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// openAPIText describes the API for any collection. What it says of
// /rest/{collection} is also the pattern for the paths of each collection.
//
//go:embed embed/openapi.json
var openAPIText []byte

// maxOpenAPI bounds the document for one database, in bytes.
const maxOpenAPI = 16 << 20

// openAPI is an OpenAPI document, as far as it depends on the database.
type openAPI struct {
	OpenAPI    string                     `json:"openapi"`
	Info       json.RawMessage            `json:"info"`
	Servers    json.RawMessage            `json:"servers"`
	Security   json.RawMessage            `json:"security"`
	Tags       []openAPITag               `json:"tags"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Components openAPIComponents          `json:"components"`

	size int // bytes that collections have added
}

type openAPITag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

type openAPIComponents struct {
	SecuritySchemes json.RawMessage            `json:"securitySchemes"`
	Parameters      json.RawMessage            `json:"parameters"`
	RequestBodies   json.RawMessage            `json:"requestBodies"`
	Responses       json.RawMessage            `json:"responses"`
	Schemas         map[string]json.RawMessage `json:"schemas"`
}

// openAPI serves GET /rest/_swagger.json.
func (q *request) openAPI() error {
	q.acceptable()
	var body []byte
	info, err := q.view(q.consistency(), func(_ *kv.Tx, s *collection.Session) error {
		if q.bad != nil {
			return q.bad
		}
		list, err := s.Metadata()
		if err != nil {
			return err
		}
		body, err = describeAPI(list)
		return err
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	return q.reply(http.StatusOK, body)
}

// describeAPI returns the OpenAPI document for a database with these
// collections. More than fit into one document are errs.Invalid.
func describeAPI(list []collection.Metadata) ([]byte, error) {
	var compact bytes.Buffer
	d := &openAPI{}
	if err := json.Compact(&compact, openAPIText); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(compact.Bytes(), d); err != nil {
		return nil, err
	}
	generic := maps.Clone(d.Paths)
	known := make(map[string]bool, len(list))
	for _, m := range list {
		known[m.Name] = true
	}
	for _, m := range list {
		d.add(m, generic, known)
		if d.size > maxOpenAPI {
			return nil, errs.E(errs.Invalid, "a document about %d collections would have over %d bytes: ask for the _meta of those that matter", len(list), maxOpenAPI)
		}
	}
	return appendJSON(nil, d), nil
}

// collectionPath begins the paths whose descriptions are patterns.
const collectionPath = "/rest/{collection}"

// add describes one collection: its documents, its paths, and those of its
// children.
func (d *openAPI) add(m collection.Metadata, generic map[string]json.RawMessage, known map[string]bool) {
	d.Tags = append(d.Tags, openAPITag{Name: "collection " + m.Name, Description: m.Description})
	d.schema(schemaName(m.Name), documentSchema(m, known))
	d.schema(schemaName(m.Name)+newSuffix, newDocumentSchema(m))
	own := strings.NewReplacer(specialize(m.Name, m.Name, m.Name)...)
	for path, item := range generic {
		rest, ok := strings.CutPrefix(path, collectionPath)
		if !ok {
			continue
		}
		below, child := strings.CutPrefix(rest, "/{id}/{field}")
		if !child {
			d.path("/rest/"+m.Name+rest, own.Replace(string(item)))
			continue
		}
		for _, f := range m.Fields {
			if f.Relation != "child" {
				continue
			}
			of := ""
			if known[f.Collection] {
				of = f.Collection
			}
			name := url.PathEscape(f.Name)
			pairs := append(specialize(m.Name, m.Name+"."+name, of), `,{"$ref":"#/components/parameters/field"}`, "")
			d.path("/rest/"+m.Name+"/{id}/"+name+below, strings.NewReplacer(pairs...).Replace(string(item)))
		}
	}
}

// specialize returns what is to be replaced by what in the description of a
// path, so that it describes one collection: operations are called
// operation.get, and documents are those of the collection of, if that is known.
func specialize(name, operation, of string) []string {
	pairs := []string{
		`"parameters":[{"$ref":"#/components/parameters/collection"}]`, `"parameters":[]`,
		`{"$ref":"#/components/parameters/collection"},`, "",
		`"tags":["documents"]`, `"tags":["collection ` + name + `"]`,
		`"operationId":"`, `"operationId":"` + operation + ".",
	}
	if of != "" {
		pairs = append(pairs, `schemas/Document"`, "schemas/"+schemaName(of)+`"`, `schemas/NewDocument"`, "schemas/"+schemaName(of)+newSuffix+`"`)
	}
	return pairs
}

// schemaName keeps the names of collections apart from those of the document.
func schemaName(name string) string { return "collection." + name }

const newSuffix = ".new" // no collection's name has a dot

func (d *openAPI) path(path, item string) {
	d.Paths[path] = json.RawMessage(item)
	d.size += len(path) + len(item)
}

func (d *openAPI) schema(name string, s jsonSchema) {
	p := appendJSON(nil, s)
	d.Components.Schemas[name] = p
	d.size += len(name) + len(p)
}

// jsonSchema is what is used of JSON Schema.
type jsonSchema struct {
	Ref         string                `json:"$ref,omitempty"`
	Description string                `json:"description,omitempty"`
	Type        []string              `json:"type,omitempty"`
	Format      string                `json:"format,omitempty"`
	ReadOnly    bool                  `json:"readOnly,omitempty"`
	Examples    []string              `json:"examples,omitempty"`
	Items       *jsonSchema           `json:"items,omitempty"`
	AllOf       []jsonSchema          `json:"allOf,omitempty"`
	AnyOf       []jsonSchema          `json:"anyOf,omitempty"`
	Required    []string              `json:"required,omitempty"`
	Properties  map[string]jsonSchema `json:"properties,omitempty"`
}

// documentSchema describes documents as they are read. No field is required:
// $fields leaves fields out, and documents from before the schema may lack them.
func documentSchema(m collection.Metadata, known map[string]bool) jsonSchema {
	s := jsonSchema{
		AllOf: []jsonSchema{{Ref: "#/components/schemas/Document"}}, // alone: many tools overlook what stands beside a reference
		Type:  []string{"object"}, Description: m.Description, Properties: map[string]jsonSchema{},
	}
	for _, f := range m.Fields {
		p := fieldSchema(f)
		switch f.Type {
		case "image", "file":
			p = jsonSchema{Type: []string{"array"}, Items: &jsonSchema{Type: []string{"string", "object"}}}
		case "collection":
			p = jsonSchema{Type: []string{"array"}, Items: &jsonSchema{Type: []string{"string", "object"}}}
			if known[f.Collection] {
				p.Items = &jsonSchema{AnyOf: []jsonSchema{{Ref: "#/components/schemas/" + schemaName(f.Collection)}, {Type: []string{"string"}}}}
			}
		}
		s.Properties[f.Name] = p
	}
	return s
}

// newDocumentSchema describes documents as they are sent. Media and lookups may
// be sent in many forms.
func newDocumentSchema(m collection.Metadata) jsonSchema {
	s := jsonSchema{Type: []string{"object"}, Properties: map[string]jsonSchema{}}
	for _, f := range m.Fields {
		if f.Relation == "child" {
			continue
		}
		p := fieldSchema(f)
		s.Properties[f.Name] = p
		if f.Required && !p.ReadOnly {
			s.Required = append(s.Required, f.Name)
		}
	}
	slices.Sort(s.Required)
	return s
}

// fieldTypes are the types of JSON that stand for the types of fields.
var fieldTypes = map[string][]string{
	"text": {"string", "null"}, "email": {"string", "null"}, "richtext": {"string", "null"},
	"number": {"integer", "null"}, "float_number": {"number", "null"}, "money": {"number", "null"},
	"bool": {"boolean", "null"}, "JSON": {"object", "array", "null"}, "option": {"string", "number", "array", "null"},
	"date": {"string", "null"}, "datetime": {"string", "null"}, "time": {"string", "null"},
}

func fieldSchema(f collection.Field) jsonSchema {
	s := jsonSchema{Type: fieldTypes[f.Type], Examples: f.Options, ReadOnly: f.AutoIncrement || len(f.Formula) > 0}
	switch f.Type {
	case "date", "datetime", "time":
		s.Format = "date-time"
	}
	return s
}
