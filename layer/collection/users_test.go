package collection

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// ask enters as the user of a token and returns what opening a collection gives.
func (g *gate) ask(u *User, name string, need Need) error {
	return g.view(func(tx *kv.Tx) error {
		e, err := g.s.Enter(g.t.Context(), tx, Caller{User: u, Method: "GET", Path: name, Origin: "https://app.example.com"})
		if err != nil {
			if !e.CORS() {
				g.t.Errorf("the page cannot read the refusal: %v", err)
			}
			return err
		}
		if !e.CORS() || e.Full() || e.By() != u.Email() {
			g.t.Errorf("cors %v, full %v, by %s", e.CORS(), e.Full(), e.By())
		}
		_, err = e.Collection(name, need)
		return err
	})
}

func TestUsersAndRoles(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	user := func(email string) *User {
		t.Helper()
		u, err := g.verify(hs256(t, clientSecret, good(jwt.MapClaims{"email": email})))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	wantKind(t, g.ask(user(ada), "items", Read), errs.Forbidden) // there is no collection of users
	g.insert("items", `{}`)
	g.insert("closed", `{}`)
	g.insert(UsersCollection, `[
		{"email":"ada@example.com","active":true,"roles":["reader","editor"]},
		{"email":"ben@example.com","active":true,"roles":"reader"},
		{"email":"cy@example.com","active":true},
		{"email":"dan@example.com","active":false,"roles":["reader"]},
		{"email":"eve@example.com","roles":["reader"]},
		{"email":"fay@example.com","active":"true","roles":["reader"]},
		{"email":["hal@example.com"],"active":true,"roles":["reader"]},
		{"email":"$ne","active":true,"roles":[["reader"],{"reader":1}]}]`)
	g.update(func(tx *kv.Tx) error {
		return g.s.SetRoles(tx, DefaultDatabase, "items", &Roles{
			Read: []string{"reader"}, Create: []string{"editor", "writer"}, Update: []string{"editor"}, Delete: nil,
		})
	})
	const no, ok = errs.Forbidden, errs.Internal
	for _, c := range []struct {
		email                        string
		read, create, update, delete errs.Kind
	}{
		{ada, ok, ok, ok, no},
		{"ben@example.com", ok, no, no, no},
		{"cy@example.com", no, no, no, no},
		{"dan@example.com", no, no, no, no},
		{"eve@example.com", no, no, no, no},
		{"fay@example.com", no, no, no, no},
		{"hal@example.com", no, no, no, no},
		{"Ada@example.com", no, no, no, no},
		{"nobody@example.com", no, no, no, no},
		{"$ne", no, no, no, no},
	} {
		t.Run(c.email, func(t *testing.T) {
			u := user(c.email)
			for need, want := range map[Need]errs.Kind{Read: c.read, Create: c.create, Update: c.update, Delete: c.delete} {
				wantKind(t, g.ask(u, "items", need), want)
				wantKind(t, g.ask(u, "closed", need), errs.Forbidden)
			}
		})
	}
	wantKind(t, g.ask(user(ada), "nowhere", Read), errs.NotFound)
	wantKind(t, g.ask(user(ada), "nowhere", Create), errs.NotFound) // a user creates no collection

	// Roles that were taken back, and a collection that was closed again.
	g.update(func(tx *kv.Tx) error { return g.s.SetRoles(tx, DefaultDatabase, "items", nil) })
	wantKind(t, g.ask(user(ada), "items", Read), errs.Forbidden)
	for name, roles := range map[string]*Roles{"blank": {Read: []string{" a"}}, "empty": {Read: []string{""}}, "long": {Delete: []string{strings.Repeat("a", maxRole+1)}}} {
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.SetRoles(tx, DefaultDatabase, "items", roles) })
		if wantKind(t, err, errs.Invalid); t.Failed() {
			t.Fatal(name)
		}
	}
}

// Nobody takes another's place, or locks him out, with a second document.
func TestAnEmailIsOneUsers(t *testing.T) {
	const ben = `{"email":"ben@example.com","active":true,"roles":["reader"]}`
	enter := func(g *gate) error {
		u, err := g.verify(hs256(t, clientSecret, good(nil)))
		if err != nil {
			t.Fatal(err)
		}
		return g.ask(u, "items", Read)
	}
	prepare := func(t *testing.T) (*gate, *world) {
		g := newGate(t)
		g.tokens("")
		g.insert("items", `{}`)
		g.update(func(tx *kv.Tx) error {
			return g.s.SetRoles(tx, DefaultDatabase, "items", &Roles{Read: []string{"reader"}})
		})
		g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["reader"]}`)
		return g, &world{t: t, Store: g.Store, s: g.s}
	}
	const asArray, asText = `{"email":["x","ada@example.com"],"active":false}`, `{"email":"ada@example.com","active":true,"roles":["admin"]}`
	t.Run("refused by the index", func(t *testing.T) {
		g, w := prepare(t)
		for _, body := range []string{asArray, asText} {
			if _, err := w.tryInsert(UsersCollection, body, WriteOptions{}); validation(err) != "email UNIQUE" {
				t.Errorf("%s: %v", body, err)
			}
		}
		if _, err := w.put(UsersCollection, w.insert(UsersCollection, ben), `{"email":"ada@example.com"}`); validation(err) != "email UNIQUE" {
			t.Errorf("changed: %v", err)
		}
		w.insert(UsersCollection, `[{"name":"without"},{"email":null}]`)
		w.schema(UsersCollection, fieldsOf(t, `{"fields":[{"name":"email","fieldtype":"email","unique":true}]}`))
		if list := w.indexes(UsersCollection); len(list) != 1 || !list[0].Unique {
			t.Errorf("a schema that wants the same: %+v", list)
		}
		wantKind(t, enter(g), errs.Internal)
	})
	t.Run("without the index", func(t *testing.T) {
		g, w := prepare(t)
		g.update(func(tx *kv.Tx) error { return g.s.dropIndex(tx, DefaultDatabase, UsersCollection, emailField) })
		for range 3 {
			w.insert(UsersCollection, asArray)
		}
		wantKind(t, enter(g), errs.Internal) // arrays do not count
		w.insert(UsersCollection, asText)
		wantKind(t, enter(g), errs.Forbidden) // nobody can say who is meant
	})
}

func TestUserInfo(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	docs := g.insert(UsersCollection, `{"email":"ada@example.com","active":true}`)
	u, err := g.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	_ = g.view(func(tx *kv.Tx) error {
		e, err := g.s.Enter(t.Context(), tx, Caller{User: u, Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		d, ok := e.User()
		if want := fmt.Sprintf(`{"_id":%q,"email":"ada@example.com","active":true}`, docs[0].ID()); !ok || string(d.Plain(nil)) != want {
			t.Errorf("got %s, want %s", d.Plain(nil), want)
		}
		e, err = g.s.Enter(t.Context(), tx, Caller{Key: credential(operatorKey), Method: "GET"})
		if _, ok := e.User(); ok || err != nil {
			t.Errorf("a key is a user: %v", err)
		}
		return nil
	})
}

func TestTheIndexOnEmails(t *testing.T) {
	g := newGate(t)
	g.insert(UsersCollection, `{"email":"ada@example.com","active":true}`)
	_ = g.view(func(tx *kv.Tx) error {
		r, err := g.s.rows.get(tx, collectionKey(DefaultDatabase, UsersCollection))
		if err != nil || len(r.Indexes) != 1 || r.Indexes[0].State != Ready || r.Indexes[0].Paths[0] != emailField {
			t.Fatalf("indexes: %+v %v", r.Indexes, err)
		}
		entries := 0
		lo, hi := indexPrefix(r.Indexes[0].Number), indexPrefix(r.Indexes[0].Number+1)
		for range tx.Scan(lo, hi) {
			entries++
		}
		if entries != 1 {
			t.Errorf("%d entries, want 1", entries)
		}
		return nil
	})
}

// What a token was verified with, and who it stands for, may change before the
// transaction commits.
func TestATokenWhoseGroundsChange(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(g *gate)
		want   errs.Kind
	}{
		{"the secret", func(g *gate) { g.set(DefaultDatabase, SettingClientSecret, "another secret of 32 bytes length") }, errs.Unavailable},
		{"the client id", func(g *gate) { g.set(DefaultDatabase, SettingClientID, "client-2") }, errs.Unavailable},
		{"the database", func(g *gate) {
			g.createDatabase("other")
			g.set("other", SettingClientID, clientID)
			g.set("", SettingDefaultDatabase, "other")
		}, errs.Unavailable},
		{"the rules", func(g *gate) {
			g.update(func(tx *kv.Tx) error { return g.s.SetRoles(tx, DefaultDatabase, "items", nil) })
		}, errs.Forbidden},
		{"the user", func(g *gate) {
			g.update(func(tx *kv.Tx) error { return g.s.DropCollection(tx, DefaultDatabase, UsersCollection) })
		}, errs.Forbidden},
		{"the user's twin", func(g *gate) {
			g.update(func(tx *kv.Tx) error { return g.s.dropIndex(tx, DefaultDatabase, UsersCollection, emailField) })
			g.insert(UsersCollection, `{"email":"ada@example.com","active":false}`)
		}, errs.Forbidden},
		{"nothing that matters", func(g *gate) { g.insert("items", `{}`) }, errs.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t)
			g.tokens("")
			g.insert("items", `{}`)
			g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["a"]}`)
			g.update(func(tx *kv.Tx) error {
				return g.s.SetRoles(tx, DefaultDatabase, "items", &Roles{Create: []string{"a"}})
			})
			u, err := g.verify(hs256(t, clientSecret, good(nil)))
			if err != nil {
				t.Fatal(err)
			}
			at := time.UnixMilli(g.Now())
			drafts, _, err := ParseDrafts([]byte(`{"x":1}`), at)
			if err != nil {
				t.Fatal(err)
			}
			runs := 0
			var docs []Document
			_, err = g.DB.Update(t.Context(), func(tx *kv.Tx) error {
				runs++
				e, err := g.s.Enter(t.Context(), tx, Caller{User: u, Method: "POST", Path: "items"})
				if err != nil {
					return err
				}
				if runs == 1 {
					c.change(g)
				}
				items, err := e.Collection("items", Create)
				if err != nil {
					return err
				}
				docs, err = items.Insert(drafts, WriteOptions{At: at})
				return err
			})
			wantKind(t, err, c.want)
			if err == nil && !strings.Contains(string(docs[0].JSON), `"_createdby":"ada@example.com"`) {
				t.Errorf("got %s", docs[0].JSON)
			}
		})
	}
}

func TestPrivateDataOfUsers(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	mine := g.insert("notes", `{"text":"of the operator"}`)
	g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["a"]}`)
	g.update(func(tx *kv.Tx) error {
		return g.s.SetRoles(tx, DefaultDatabase, "notes", &Roles{Read: []string{"a"}, Private: true})
	})
	u, err := g.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		caller Caller
		want   bool
	}{{Caller{User: u, Method: "GET"}, false}, {Caller{Key: credential(operatorKey), Method: "GET"}, true}} {
		_ = g.view(func(tx *kv.Tx) error {
			e, err := g.s.Enter(t.Context(), tx, c.caller)
			if err != nil {
				t.Fatal(err)
			}
			notes, err := e.Collection("notes", Read)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok, err := notes.Get(mine[0].ID()); ok != c.want || err != nil {
				t.Errorf("found %v %v, want %v", ok, err, c.want)
			}
			return nil
		})
	}
}

// A lookup must not show what the user may not read by itself.
func TestOtherCollectionsAskForRoles(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	for _, name := range []string{"orders", "open", "own", "closed"} {
		g.insert(name, `{}`)
	}
	g.insert(UsersCollection, `{"email":"ada@example.com","active":true,"roles":["a"]}`)
	read := Roles{Read: []string{"a"}}
	g.update(func(tx *kv.Tx) error {
		for name, roles := range map[string]*Roles{"orders": &read, "open": &read, "own": {Read: []string{"a"}, Private: true}} {
			if err := g.s.SetRoles(tx, DefaultDatabase, name, roles); err != nil {
				return err
			}
		}
		return nil
	})
	u, err := g.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		caller     Caller
		name       string
		open, mine bool
	}{
		{Caller{User: u, Method: "GET"}, "open", true, false},
		{Caller{User: u, Method: "GET"}, "own", true, true},
		{Caller{User: u, Method: "GET"}, "closed", false, false},
		{Caller{User: u, Method: "GET"}, "nowhere", false, false},
		{Caller{Key: credential(operatorKey), Method: "GET"}, "closed", true, false},
		{Caller{Key: credential(operatorKey), Method: "GET"}, "own", true, false},
	} {
		_ = g.view(func(tx *kv.Tx) error {
			e, err := g.s.Enter(t.Context(), tx, c.caller)
			if err != nil {
				t.Fatal(err)
			}
			orders, err := e.Collection("orders", Read)
			if err != nil {
				t.Fatal(err)
			}
			o, err := orders.other(c.name)
			if err != nil || (o != nil) != c.open || o != nil && o.mine != c.mine {
				t.Errorf("%s: got %+v %v", c.name, o, err)
			}
			return nil
		})
	}
}
