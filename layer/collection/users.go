package collection

import (
	"context"
	"time"

	"github.com/tidwall/gjson"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// The fields of a user's document that the door reads.
const (
	emailField  = "email" // what a token's claim is compared with, byte by byte
	activeField = "active"
	rolesField  = "roles"
)

// A member is a user that is in the users collection, and active.
type member struct {
	email    string
	roles    []string
	document Document
}

// findMember looks up who has the e-mail, as a text and not in an array. Nobody,
// several (the operator has dropped the unique index), or one who is not active
// is errs.Forbidden.
func (e *Session) findMember(ctx context.Context, email string) (*member, error) {
	refused := errs.E(errs.Forbidden, "the user of the token is unknown or not active")
	r, err := e.store.rows.get(e.tx, collectionKey(e.db, UsersCollection))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, refused
	}
	users := &Collection{store: e.store, tx: e.tx, db: e.db, name: UsersCollection, row: r, need: Read, by: byKey, full: true}
	q, err := query.Parse(encodeJSON(map[string]map[string]string{emailField: {"$eq": email}}), time.UnixMilli(e.tx.Now()))
	if err != nil {
		return nil, err
	}
	found, err := users.Select(ctx, &query.Spec{Query: q, Max: -1})
	if err != nil {
		return nil, err
	}
	var m *member
	for d, err := range found.Documents() {
		if err != nil {
			return nil, err
		}
		// An array that holds the e-mail matches too, and names nobody.
		if gjson.GetBytes(d.JSON, emailField).Type != gjson.String {
			continue
		}
		if m != nil { // nobody can say which is meant
			return nil, refused
		}
		m = &member{email: email, document: d}
	}
	if m == nil || gjson.GetBytes(m.document.JSON, activeField).Type != gjson.True {
		return nil, refused
	}
	roles := gjson.GetBytes(m.document.JSON, rolesField)
	if roles.Type == gjson.String {
		m.roles = []string{roles.Str}
	}
	if roles.IsArray() {
		roles.ForEach(func(_, role gjson.Result) bool {
			if role.Type == gjson.String {
				m.roles = append(m.roles, role.Str)
			}
			return true
		})
	}
	return m, nil
}
