package collection

import (
	"context"
	"net/http"
	"strings"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Caller is who asks for what, as the protocol knows it.
type Caller struct {
	Host   string          // chooses the database
	Key    auth.Credential // an access key; it counts when there is a User too
	User   *User           // who a verified JWT stands for
	Page   auth.Credential // an access key of the page that has the User's token: it has to be good too, and grants nothing
	Method string          // after an override
	Path   string          // after /rest/, decoded: items/ID; "" for what is not below /rest/
	Origin string          // of the page that asks, "" = none
}

// A Session is a caller whom the door has let into one database, in one
// transaction. All access to documents goes through one.
type Session struct {
	store  *Store
	tx     *kv.Tx
	db     string
	by     string
	full   bool
	strict bool
	hooked bool
	cors   bool
	refuse error      // why it opens nothing
	key    *accessRow // nil for a user
	method string
	user   *member // nil for a key
	caller Caller
	page   *accessRow // the key beside a user's token; nil: there was none
}

// byKey is who has written when the caller has a key.
const byKey = "api"

// Enter decides whether the caller may do what it asks for, as of this
// transaction: what it reads for that is guarded, so a key that is revoked
// meanwhile undoes the write.
//
// In this order: an unknown database is errs.Unavailable; a missing, wrong or
// expired key, and a token that is no longer good, errs.Unauthenticated; an
// origin, a method or a path that is not the key's, and a user who is unknown
// or not active, errs.Forbidden. With errs.Forbidden the Session may be there
// too: it opens nothing, but CORS tells whether the page may read the refusal.
func (s *Store) Enter(ctx context.Context, tx *kv.Tx, c Caller) (*Session, error) {
	db, d, err := s.locate(tx, c.Host)
	if err != nil {
		return nil, err
	}
	e := &Session{store: s, tx: tx, db: db, strict: d.Strict, hooked: d.Hooks, method: plainMethod(c.Method), caller: c}
	if c.Key.None() && c.User != nil {
		err = e.enterUser(ctx, c)
	} else {
		err = e.enterKey(c)
	}
	if err == nil || e.cors {
		e.refuse = err
		return e, err
	}
	return nil, err
}

// plainMethod is the method that a key's scope knows for m.
func plainMethod(m string) string {
	if m = strings.ToUpper(m); m == http.MethodHead {
		return http.MethodGet
	}
	return m
}

func (e *Session) enterKey(c Caller) error {
	k, err := e.store.judgeKey(e.tx, e.db, c.Key)
	if err != nil {
		return err
	}
	e.key, e.by, e.full = k, byKey, !k.Web
	if err := e.checkOrigin(k, c.Origin); err != nil {
		return err
	}
	if !k.allowsMethod(e.method) {
		return errs.E(errs.Forbidden, "the API key does not allow this method")
	}
	if !k.allowsPath(c.Path) && c.Path != RealtimePath { // events and channels have lists of their own
		return errs.E(errs.Forbidden, "the API key does not allow this path")
	}
	return nil
}

// checkOrigin holds the page that asks to the origins of a key.
func (e *Session) checkOrigin(k *accessRow, origin string) error {
	if origin == "" || len(k.origins) == 0 {
		return nil
	}
	if !k.allowsOrigin(origin) {
		return errs.E(errs.Forbidden, "this origin is not among those of the API key")
	}
	e.cors = true
	return nil
}

func (e *Session) enterUser(ctx context.Context, c Caller) error {
	// A page must have been given its token, and no browser sends one by
	// itself: so any origin may read what the token's holder may.
	e.cors = c.Origin != ""
	if err := e.store.checkUser(e.tx, e.db, c.User); err != nil {
		return err
	}
	if !c.Page.None() {
		if err := e.enterPage(c); err != nil {
			return err
		}
	}
	m, err := e.findMember(ctx, c.User.email)
	if err != nil {
		return err
	}
	e.user, e.by = m, m.email
	return nil
}

// enterPage judges the key that a page shows beside a user's token.
func (e *Session) enterPage(c Caller) error {
	k, err := e.store.judgeKey(e.tx, e.db, c.Page)
	if err != nil {
		return err
	}
	e.cors = false
	if err := e.checkOrigin(k, c.Origin); err != nil {
		return err
	}
	e.cors, e.page = c.Origin != "", k
	return nil
}

// Database returns the name of the database.
func (e *Session) Database() string { return e.db }

// Tx returns the transaction that the Session belongs to.
func (e *Session) Tx() *kv.Tx { return e.tx }

// Full reports whether the caller has a full-access key.
func (e *Session) Full() bool { return e.full }

// By is who a document's metafields name as its writer: "api", or the e-mail
// of the user.
func (e *Session) By() string { return e.by }

// CORS reports whether the page whose origin the caller named may read the
// answer. A nil Session says no.
func (e *Session) CORS() bool { return e != nil && e.cors }

// User returns the document of the user that a JWT stands for; ok is false
// when the caller has a key.
func (e *Session) User() (d Document, ok bool) {
	if e.user == nil {
		return Document{}, false
	}
	return e.user.document, true
}

// Collection opens a collection for one need. One that does not exist is
// errs.NotFound, unless the need is Create and the caller has a full-access
// key: then it is created, if the operator has not turned that off. Those of
// the mails are there from the beginning, empty. A need
// that the caller's key or roles do not grant is errs.Forbidden.
func (e *Session) Collection(name string, need Need) (*Collection, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	if need != Read && e.key != nil && !e.key.allowsNeed(need, e.method) {
		return nil, errs.E(errs.Forbidden, "the API key does not allow this method")
	}
	if !ValidName(name) {
		return nil, errs.E(errs.NotFound, "collection not found")
	}
	r, err := e.store.rows.get(e.tx, collectionKey(e.db, name))
	if err != nil {
		return nil, err
	}
	if r == nil {
		if r, err = e.missing(name, need); err != nil {
			return nil, err
		}
	}
	if !e.user.may(r.Roles, need) {
		return nil, errs.E(errs.Forbidden, "collection %s: your roles do not allow this", name)
	}
	return &Collection{
		store: e.store, tx: e.tx, db: e.db, name: name, row: r, need: need, by: e.by, full: e.full, strict: e.strict, hooked: e.hooked,
		user: e.user, key: e.key, mine: e.user != nil && r.Roles.Private,
	}, nil
}
