package collection

import (
	"iter"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Metadata describes a collection to those who may read it.
type Metadata struct {
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Count       *int64  `json:"count,omitempty"` // documents; nil for who sees only some of them
	Fields      []Field `json:"fields"`          // those of the schema, in its order; never nil
}

// systemCollections are always among the metadata, with what they are for.
// Clients tell by these names what is not their own; the collections come to be
// when something is first written to them.
var systemCollections = map[string]string{
	EmailInbound:      "mails that were received",
	EmailOutbound:     "mails, with what became of them",
	EmailUnsubscribed: "addresses that want no mail",
	"system_jobs":     "jobs and when they run",
	"system_log":      "what jobs and hooks had to say",
	UsersCollection:   "users that a token can name, with their roles",
}

// maxMetadata bounds the descriptions of all collections together: bytes of
// their rows.
const maxMetadata = 16 << 20

// Metadata describes all collections that the caller may read, in the order of
// their names, the system's included even when they do not exist yet. A
// database with too many for one answer is errs.Invalid.
//
// A web key sees the collections whose lists its paths cover, a user those that
// one of his roles may read.
func (e *Session) Metadata() ([]Metadata, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	missing := make(map[string]bool, len(systemCollections))
	for name := range systemCollections {
		missing[name] = true
	}
	list := []Metadata{}
	for c, err := range e.catalog() {
		if err != nil {
			return nil, err
		}
		delete(missing, c.name)
		if !e.sees(c.name, c.row) {
			continue
		}
		m, err := e.describe(c.name, c.row)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	for name := range missing {
		if e.sees(name, nil) {
			list = append(list, Metadata{Name: name, Description: systemCollections[name], Count: new(int64), Fields: []Field{}})
		}
	}
	slices.SortFunc(list, func(a, b Metadata) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// CollectionMetadata describes one collection. The door has judged whether a
// key reaches it; a user needs a role that may read it, else errs.Forbidden. An
// unknown one is errs.NotFound, a system's that does not exist yet is empty.
func (e *Session) CollectionMetadata(name string) (Metadata, error) {
	if e.refuse != nil {
		return Metadata{}, e.refuse
	}
	if !ValidName(name) {
		return Metadata{}, errs.E(errs.NotFound, "collection not found")
	}
	r, err := e.store.rows.get(e.tx, collectionKey(e.db, name))
	if err != nil {
		return Metadata{}, err
	}
	about, system := systemCollections[name]
	if r == nil && !system {
		return Metadata{}, errs.E(errs.NotFound, "collection %s: not found", name)
	}
	if e.user != nil && !e.sees(name, r) {
		return Metadata{}, errs.E(errs.Forbidden, "collection %s: your roles do not allow this", name)
	}
	if r == nil {
		return Metadata{Name: name, Description: about, Count: new(int64), Fields: []Field{}}, nil
	}
	return e.describe(name, r)
}

type cataloged struct {
	name string
	row  *row
}

// catalog reads the rows of all collections of the database.
func (e *Session) catalog() iter.Seq2[cataloged, error] {
	return func(yield func(cataloged, error) bool) {
		size := 0
		for rec, err := range e.tx.Scan(below(collectionByte, e.db)) {
			var c cataloged
			if err == nil {
				if size += len(rec.Value); size > maxMetadata {
					err = errs.E(errs.Invalid, "the schemas of this database have over %d bytes, which is too many for one answer: ask for one collection", maxMetadata)
				}
			}
			if err == nil {
				c.name, err = collectionName(rec.Key, e.db)
			}
			if err == nil {
				c.row, err = decodeRow(rec.Value)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// sees reports whether the caller may list the documents of a collection, of
// which r is nil if there is none.
func (e *Session) sees(name string, r *row) bool {
	if e.user != nil {
		return r != nil && e.user.may(r.Roles, Read)
	}
	return e.key.allowsPath(name)
}

func (e *Session) describe(name string, r *row) (Metadata, error) {
	m := Metadata{Name: name, Description: r.Schema.Description, Fields: r.Schema.Fields}
	if m.Description == "" {
		m.Description = systemCollections[name]
	}
	if m.Fields == nil {
		m.Fields = []Field{}
	}
	if e.user != nil && r.Roles.Private { // how many others there are is theirs
		return m, nil
	}
	n, err := documentCount(e.tx, r.Number)
	m.Count = &n
	return m, err
}
