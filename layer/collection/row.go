package collection

import (
	"encoding/json"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/memo"
	"github.com/coveydb/covey/layer/collection/query"
)

// row is what is known of a collection: its number, schema, indexes and rules.
// Every write reads it, so a change of it is in conflict with writes that went
// by the old one. A row that was read is shared and never changed: clone it.
type row struct {
	Number  uint64   `json:"number"` // of the collection, in the keys of its data
	Schema  Schema   `json:"schema,omitzero"`
	Indexes []*Index `json:"indexes,omitempty"`
	Roles   *Roles   `json:"roles,omitempty"` // nil: closed to users with a JWT
	Created int64    `json:"created"`         // unix milliseconds

	compiled compiled // the schema
}

// Schema says what the fields of a collection's documents must be.
type Schema struct {
	Description string  `json:"description,omitempty"`
	Strict      bool    `json:"strict,omitempty"` // other fields are refused
	Fields      []Field `json:"fields"`
}

// Field is one field of a Schema, as `/rest/{collection}/_meta` shows it.
type Field struct {
	Name          string          `json:"name"`
	Type          string          `json:"fieldtype"`
	Required      bool            `json:"required"`
	Unique        bool            `json:"unique"`
	Regex         string          `json:"regex,omitempty"`
	AutoIncrement bool            `json:"autoincrement,omitempty"`
	Options       []string        `json:"options,omitempty"`
	Collection    string          `json:"collection,omitempty"` // of a relation
	Relation      string          `json:"relation,omitempty"`   // one, many or child
	Formula       json.RawMessage `json:"formula,omitempty"`
}

// IndexState says what an index is good for.
type IndexState string

// The states of an index. Writers keep it up unless it has failed.
const (
	Building IndexState = "building" // not all documents are in it yet
	Ready    IndexState = "ready"    // queries use it
	Failed   IndexState = "failed"   // Reason says why; it has no entries and has to be dropped
)

// Index is one index of a collection.
type Index struct {
	Number uint64     `json:"number"`
	Name   string     `json:"name"`
	Paths  []string   `json:"paths"` // what a query calls the fields, such as a.b
	Unique bool       `json:"unique,omitempty"`
	State  IndexState `json:"state"`
	Reason string     `json:"reason,omitempty"`
	// Many says that a document may have several entries, because a value was
	// an array once: the order of entries is then not the order of documents.
	Many bool `json:"many,omitempty"`

	parsed []query.Path
}

// Roles are the rules for users with a JWT.
type Roles struct {
	Read, Create, Update, Delete []string
	Private                      bool // reads show only documents that the user created
}

// rows remembers the rows of collections.
type rows struct{ memo.Rows[row] }

// get returns a collection's row as tx sees it, nil if there is none.
func (r *rows) get(tx *kv.Tx, key []byte) (*row, error) {
	found, _, err := r.Get(tx, key, decodeRow)
	return found, err
}

func decodeRow(p []byte) (*row, error) {
	r := &row{}
	if err := json.Unmarshal(p, r); err != nil {
		return nil, &errs.Error{Kind: errs.Internal, Msg: "the row of a collection is damaged", Err: err}
	}
	for _, ix := range r.Indexes {
		if err := ix.prepare(); err != nil {
			return nil, &errs.Error{Kind: errs.Internal, Msg: "the row of a collection is damaged", Err: err}
		}
	}
	return r, nil
}

// encode returns the bytes to store.
func (r *row) encode() []byte {
	p, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts, numbers and flags
	}
	return p
}

// clone returns a copy that may be changed.
func (r *row) clone() *row {
	c, err := decodeRow(r.encode())
	if err != nil {
		panic(err) // it was read from a row
	}
	return c
}

// ValidName reports whether a collection may be called name: 1 to 64 letters,
// digits, _ and -, not beginning with _.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '_' {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	}) < 0
}
