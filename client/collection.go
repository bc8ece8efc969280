package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// CollectionInfo is one collection in the operator's list.
type CollectionInfo struct {
	Name      string    `json:"name"`
	Documents int64     `json:"documents"`
	Indexes   int       `json:"indexes"`
	Created   time.Time `json:"created"`
}

// Collections returns the database's collections in the order of their names.
func (d *RestDatabase) Collections(ctx context.Context) ([]CollectionInfo, error) {
	var all []CollectionInfo
	err := d.r.pages(ctx, operatorCall{op: "list the collections of database " + d.name, path: d.path + "/collections"}, func(a *answer) (string, error) {
		var page struct {
			Collections []CollectionInfo `json:"collections"`
			Next        string           `json:"next"`
		}
		err := json.Unmarshal(a.body, &page)
		all = append(all, page.Collections...)
		return page.Next, err
	})
	return all, err
}

// CreateCollection makes an empty collection; one that is there is ErrConflict.
func (d *RestDatabase) CreateCollection(ctx context.Context, name string) error {
	call := operatorCall{op: "create collection " + name, method: http.MethodPost, path: d.path + "/collections"}
	return d.r.change(ctx, call, map[string]string{"name": name}, nil)
}

// Collection returns a handle on one collection. It neither connects nor
// creates.
func (d *RestDatabase) Collection(name string) *Collection {
	return &Collection{r: d.r, name: name, path: d.path + escapedPath("collections", name)}
}

// Collection is the operator's handle on one collection, safe for concurrent
// use. A collection that does not exist is ErrNotFound.
type Collection struct {
	r    *RestDB
	name string
	path string
}

// Name returns the collection's name.
func (c *Collection) Name() string { return c.name }

// Info returns what the list says of the collection.
func (c *Collection) Info(ctx context.Context) (info CollectionInfo, err error) {
	err = c.read(ctx, "look at", "", &info)
	return info, err
}

// Drop deletes the collection with its documents, schema and indexes.
func (c *Collection) Drop(ctx context.Context) error {
	return c.change(ctx, http.MethodDelete, "drop", "", nil)
}

// Schema returns the collection's schema as JSON.
func (c *Collection) Schema(ctx context.Context) (schema json.RawMessage, err error) {
	err = c.read(ctx, "read the schema of", "/schema", &schema)
	return schema, err
}

// SetSchema replaces the schema, and makes the collection if there is none.
// Documents that are there stay as they are.
func (c *Collection) SetSchema(ctx context.Context, schema json.RawMessage) error {
	return c.change(ctx, http.MethodPut, "set the schema of", "/schema", []byte(schema))
}

// RestRoles say which users with a JWT may do what: users that have one of the
// roles listed.
type RestRoles struct {
	Read    []string `json:"read"`
	Create  []string `json:"create"`
	Update  []string `json:"update"`
	Delete  []string `json:"delete"`
	Private bool     `json:"private"` // they see only documents that they created
}

// Roles returns the collection's rules; ErrNotFound if there are none, which
// closes the collection to users with a JWT.
func (c *Collection) Roles(ctx context.Context) (roles RestRoles, err error) {
	err = c.read(ctx, "read the roles of", "/roles", &roles)
	return roles, err
}

// SetRoles replaces the collection's rules.
func (c *Collection) SetRoles(ctx context.Context, roles RestRoles) error {
	return c.change(ctx, http.MethodPut, "set the roles of", "/roles", roles)
}

// IndexInfo is one index of a collection.
type IndexInfo struct {
	Name   string   `json:"name"`
	Paths  []string `json:"paths"`
	Unique bool     `json:"unique,omitempty"`
	State  string   `json:"state"`            // building, ready or failed
	Reason string   `json:"reason,omitempty"` // why it failed
	Done   int64    `json:"done,omitempty"`   // documents that a build has gone over
	Total  int64    `json:"total,omitempty"`  // documents that there are
}

// Indexes returns the collection's indexes in the order of their creation.
func (c *Collection) Indexes(ctx context.Context) ([]IndexInfo, error) {
	var doc struct {
		Indexes []IndexInfo `json:"indexes"`
	}
	err := c.read(ctx, "list the indexes of", "/indexes", &doc)
	return doc.Indexes, err
}

// CreateIndex begins an index on paths; name "" lets the service make one of
// them. The index is built while the collection is in use: Indexes tells when
// it is ready.
func (c *Collection) CreateIndex(ctx context.Context, name string, unique bool, paths ...string) (made IndexInfo, err error) {
	body := struct {
		Name   string   `json:"name,omitempty"`
		Paths  []string `json:"paths"`
		Unique bool     `json:"unique,omitempty"`
	}{name, paths, unique}
	call := operatorCall{op: "create an index of collection " + c.name, method: http.MethodPost, path: c.path + "/indexes"}
	err = c.r.change(ctx, call, body, &made)
	return made, err
}

// DropIndex deletes an index.
func (c *Collection) DropIndex(ctx context.Context, name string) error {
	return c.change(ctx, http.MethodDelete, "drop index "+name+" of", escapedPath("indexes", name), nil)
}

// documentPage is how many documents are asked for at a time.
const documentPage = 1000

// errEnough ends the pages that nobody wants any more.
var errEnough = errors.New("enough")

// Documents returns all documents in the order of their ids, page by page, as
// they are stored: with _id, without metafields, lookups as ids. Each page is
// from one view: what is written meanwhile may be among them or not, and no
// document comes twice. An error ends the sequence.
func (c *Collection) Documents(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		call := operatorCall{
			op: "read the documents of collection " + c.name, path: c.path + "/documents",
			query: url.Values{"limit": {strconv.Itoa(documentPage)}},
		}
		err := c.r.pages(ctx, call, func(a *answer) (string, error) {
			var page struct {
				Documents []json.RawMessage `json:"documents"`
				Next      string            `json:"next"`
			}
			err := json.Unmarshal(a.body, &page)
			for _, doc := range page.Documents {
				if !yield(doc, nil) {
					return "", errEnough
				}
			}
			return page.Next, err
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// Inserted is what Insert did.
type Inserted struct {
	Inserted int `json:"inserted"`
	Skipped  int `json:"skipped"` // their _id was taken
}

// Insert stores documents, a JSON array of objects, all or none. Documents whose
// _id is taken are left out. It is ErrInvalid when one of the others cannot be
// stored.
func (c *Collection) Insert(ctx context.Context, documents []byte) (done Inserted, err error) {
	call := operatorCall{op: "insert into collection " + c.name, method: http.MethodPost, path: c.path + "/documents"}
	err = c.r.change(ctx, call, documents, &done)
	return done, err
}

func (c *Collection) read(ctx context.Context, verb, path string, into any) error {
	return c.r.read(ctx, operatorCall{op: verb + " collection " + c.name, path: c.path + path}, into)
}

func (c *Collection) change(ctx context.Context, method, verb, path string, body any) error {
	return c.r.change(ctx, operatorCall{op: verb + " collection " + c.name, method: method, path: c.path + path}, body, nil)
}
