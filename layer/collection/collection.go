package collection

import (
	"net/http"

	"github.com/coveydb/covey/kv"
)

// Need is what a caller wants to do with documents.
type Need uint8

// The needs.
const (
	Read Need = iota
	Create
	Update
	Delete
)

// A Collection is one collection in one transaction, opened by a Session for
// one need.
type Collection struct {
	store *Store
	tx    *kv.Tx
	db    string
	name  string
	row   *row
	need  Need
	by    string // who writes: "api" or the e-mail of a user
	// mine: reads and writes see only the documents that by has created.
	mine bool
	full bool // the caller has a full-access key
	// strict: the database takes only fields that a schema names, for
	// collections that have one.
	strict bool
	hooked bool       // the database has webhooks, which are to be told of writes
	user   *member    // who a JWT stands for; nil: the caller has a key
	key    *accessRow // nil: the caller is a user or the operator
}

// Name returns the collection's name.
func (c *Collection) Name() string { return c.name }

// Schema returns the collection's schema. It must not be changed.
func (c *Collection) Schema() Schema { return c.row.Schema }

// other opens a collection that a schema points to with a lookup, for reading
// on behalf of the same caller's request; nil if there is none, or none that
// the user may read or that the key's scope covers.
func (c *Collection) other(name string) (*Collection, error) {
	if !c.covers(name) {
		return nil, nil
	}
	return c.children(name)
}

// covers reports whether the caller's key may read the collection of this name,
// which may not be there. For users that is a question of roles.
func (c *Collection) covers(name string) bool {
	return c.key == nil || c.key.allowsMethod(http.MethodGet) && c.key.allowsPath(name)
}

// children is other for the collection of a child field. A key is not asked
// again: children stand in the path below their parent.
func (c *Collection) children(name string) (*Collection, error) {
	r, err := c.store.rows.get(c.tx, collectionKey(c.db, name))
	if err != nil || r == nil || !c.user.may(r.Roles, Read) {
		return nil, err
	}
	o := *c
	o.name, o.row, o.need = name, r, Read
	o.mine = c.user != nil && r.Roles.Private
	return &o, nil
}

// setRow stores a changed row of the collection.
func (c *Collection) setRow(r *row) {
	c.row = r
	c.tx.Set(collectionKey(c.db, c.name), r.encode(), 0)
}
