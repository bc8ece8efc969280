package collection

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection/query"
)

// Collections of the system: what it stores in them are documents like all
// others, and the rules of keys, scopes and roles are the usual ones. They need
// nobody to create them: until something is stored they read as empty, and no
// setting keeps the system from making them.
const (
	EmailOutbound     = "email_outbound"     // mails, with what became of them
	EmailInbound      = "email_inbound"      // mails that were received
	EmailUnsubscribed = "email_unsubscribed" // {to}: who wants no mail
	EmailTemplates    = "email_templates"    // {name, subject, html}
)

// unsubscribedField of EmailUnsubscribed is an address, stored in lower case.
const unsubscribedField = "to"

// systemIndexes are the fields by which the system looks into collections: they
// are born with an index.
var systemIndexes = map[string]string{
	UsersCollection:   emailField, // by every request with a JWT
	EmailUnsubscribed: unsubscribedField,
	EmailTemplates:    "name",
}

// isMail reports whether a collection belongs to the mails.
func isMail(name string) bool {
	switch name {
	case EmailOutbound, EmailInbound, EmailUnsubscribed, EmailTemplates:
		return true
	}
	return false
}

// missing says what a collection that is not there is for a need: what the need
// creates, the emptiness of a system's collection, or errs.NotFound.
func (e *Session) missing(name string, need Need) (*row, error) {
	switch {
	case need == Create && e.full && (isMail(name) || !e.strict && !e.store.cfg.NoAutoCreate):
		return e.store.create(e.tx, e.db, name)
	case need == Read && isMail(name):
		return &row{}, nil // of number 0, which no collection has: nothing is below its keys
	}
	return nil, errs.E(errs.NotFound, "collection %s: not found", name)
}

// systemFields brings the fields of a system's collection into the form in which
// the system looks for them.
func (c *Collection) systemFields(list []pair) []pair {
	if c.name != EmailUnsubscribed {
		return list
	}
	i := slices.IndexFunc(list, func(m pair) bool { return m.is(unsubscribedField) })
	if i < 0 {
		return list
	}
	list = slices.Clone(list)
	switch value := list[i].value; {
	case isText(value):
		list[i].value = lowerText(value)
	case value[0] == '[':
		var all [][]byte
		for e := range elements(value) {
			if isText(e) {
				e = lowerText(e)
			}
			all = append(all, e)
		}
		list[i].value = joinArray(all)
	}
	return list
}

func lowerText(value []byte) []byte { return quote(strings.ToLower(textOf(value))) }

// System opens a collection of the system for one need, to do what the caller
// asked the system for under a path of its own, such as POST /mail; with need
// Create it is created if it is not there. A key was judged at the door, by that
// path. A user needs a role that grants the need: without one it is
// errs.Forbidden.
func (e *Session) System(name string, need Need) (*Collection, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	if need != Read && e.key != nil && !e.key.allowsNeed(need, e.method) {
		return nil, errs.E(errs.Forbidden, "the API key does not allow this method")
	}
	if e.user != nil {
		r, err := e.store.rows.get(e.tx, collectionKey(e.db, name))
		if err != nil {
			return nil, err
		}
		if r == nil || !e.user.may(r.Roles, need) {
			return nil, errs.E(errs.Forbidden, "collection %s: your roles do not allow this", name)
		}
	}
	return e.store.system(e.tx, e.db, name, need, e.by)
}

// System opens a collection of the system for one need of the system itself:
// no key or role is asked. With need Create it is created if it is not there;
// with another it then is empty. errs.NotFound if there is no such database, or
// it is being dropped.
func (s *Store) System(tx *kv.Tx, db, name string, need Need) (*Collection, error) {
	if _, err := s.open(tx, db); err != nil {
		return nil, err
	}
	return s.system(tx, db, name, need, byKey)
}

func (s *Store) system(tx *kv.Tx, db, name string, need Need, by string) (*Collection, error) {
	r, err := s.rows.get(tx, collectionKey(db, name))
	if err == nil && r == nil {
		if r = (&row{}); need == Create {
			r, err = s.create(tx, db, name)
		}
	}
	if err != nil {
		return nil, err
	}
	d, err := s.database(tx, db)
	if err != nil {
		return nil, err
	}
	return &Collection{store: s, tx: tx, db: db, name: name, row: r, need: need, by: by, full: true, hooked: d != nil && d.Hooks}, nil
}

// WithText returns the oldest document whose field is the text; ok is false if
// there is none. The collection must be opened for Read.
func (c *Collection) WithText(ctx context.Context, field, text string) (d Document, ok bool, err error) {
	q, err := query.Parse(encodeJSON(map[string]map[string]string{field: {"$eq": text}}), time.UnixMilli(c.tx.Now()))
	if err != nil {
		return Document{}, false, err
	}
	found, err := c.Select(ctx, &query.Spec{Query: q, Max: 1})
	if err != nil {
		return Document{}, false, err
	}
	for d, err := range found.Documents() {
		if err != nil {
			return Document{}, false, err
		}
		return Document{JSON: bytes.Clone(d.JSON), tail: d.tail}, true, nil
	}
	return Document{}, false, nil
}

// Unsubscribed reports whether an address is among the unsubscribed, in any
// case of its letters. The collection must be EmailUnsubscribed.
func (c *Collection) Unsubscribed(ctx context.Context, address string) (bool, error) {
	_, is, err := c.WithText(ctx, unsubscribedField, strings.ToLower(address))
	return is, err
}

// Text returns a field of the document that is a text, "" if it is none.
func (d Document) Text(field string) string {
	if v := gjson.GetBytes(d.JSON, gjson.Escape(field)); v.Type == gjson.String {
		return v.Str
	}
	return ""
}

// Created returns when the document was created, to the millisecond.
func (d Document) Created() time.Time {
	at, _ := time.Parse(timeLayout, d.created()) // as it was written
	return at
}

// MailQueue is the queue of the outbox for the mails of a database.
func MailQueue(db string) string { return "mail/restdb/" + db }

// SetLink stores what a public link stands for, under the SHA-256 of the token
// in it, for ttl.
func (s *Store) SetLink(tx *kv.Tx, db string, hash [32]byte, value []byte, ttl time.Duration) {
	tx.Set(linkKey(db, hash[:]), value, ttl)
}

// Link returns what the link with a token stands for in the database that a
// request to host means, and the name of that database. ok is false if there is
// no such link; an unknown database is errs.Unavailable.
func (s *Store) Link(tx *kv.Tx, host string, hash [32]byte) (db string, value []byte, ok bool, err error) {
	if db, _, err = s.locate(tx, host); err != nil {
		return "", nil, false, err
	}
	rec, ok, err := tx.Get(linkKey(db, hash[:]))
	return db, rec.Value, ok, err
}
