package collection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func (g *gate) databases(after string) []string {
	g.t.Helper()
	var names []string
	if err := g.view(func(tx *kv.Tx) error {
		infos, err := g.s.Databases(tx, after)
		for _, i := range infos {
			names = append(names, i.Name)
		}
		return err
	}); err != nil {
		g.t.Fatal(err)
	}
	return names
}

func (g *gate) createDatabase(name string) {
	g.t.Helper()
	g.update(func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, name) })
}

func TestDatabaseNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "shop-1a2b": true, "0": true, "-": true, strings.Repeat("a", 64): true, DefaultDatabase: true,
		"": false, "Shop": false, "a_b": false, "a.b": false, "a b": false, "ä": false, "a\x00": false, strings.Repeat("a", 65): false,
	} {
		if got := ValidDatabase(name); got != want {
			t.Errorf("ValidDatabase(%q) = %v", name, got)
		}
	}
}

func TestTheDefaultDatabaseIsAlwaysThere(t *testing.T) {
	g := newGate(t)
	if d := cmp.Diff([]string{"default"}, g.databases("")); d != "" {
		t.Error(d)
	}
	g.createDatabase("zoo")
	g.createDatabase("alpha")
	for after, want := range map[string][]string{
		"": {"alpha", "default", "zoo"}, "alpha": {"default", "zoo"}, "b": {"default", "zoo"},
		"default": {"zoo"}, "zoo": nil,
	} {
		if d := cmp.Diff(want, g.databases(after)); d != "" {
			t.Errorf("after %q: %s", after, d)
		}
	}
	g.set(DefaultDatabase, SettingStrict, "true") // writes a row
	if d := cmp.Diff([]string{"alpha", "default", "zoo"}, g.databases("")); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]errs.Kind{"zoo": errs.Exists, DefaultDatabase: errs.Exists, "Zoo": errs.Invalid} {
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, name) })
		wantKind(t, err, want)
	}
}

func TestWhichDatabaseAHostMeans(t *testing.T) {
	g := newGate(t)
	g.createDatabase("shop-1a2b")
	g.createDatabase("main")
	where := func(host string) string {
		name := ""
		err := g.view(func(tx *kv.Tx) (err error) { name, _, err = g.s.locate(tx, host); return err })
		if err != nil {
			if !errs.Is(err, errs.Unavailable) || err.Error() != "Database not found" {
				t.Errorf("host %q: %v", host, err)
			}
			return "none"
		}
		return name
	}
	if got := where("shop-1a2b.db.example.com"); got != DefaultDatabase {
		t.Errorf("without a suffix: %s", got)
	}
	g.set("", SettingHostSuffix, ".DB.example.com.")
	check := func(rest string) {
		t.Helper()
		for host, want := range map[string]string{
			"shop-1a2b.db.example.com": "shop-1a2b", "SHOP-1A2B.DB.EXAMPLE.COM": "shop-1a2b", "shop-1a2b.db.example.com:8080": "shop-1a2b",
			"shop-1a2b.db.example.com.": "shop-1a2b", "shop-1a2b.eu.db.example.com": "shop-1a2b", "default.db.example.com": "default",
			"nope.db.example.com": "none", ".db.example.com": "none", "a_b.db.example.com": "none",
			"db.example.com": rest, "localhost:4001": rest, "127.0.0.1": rest, "[::1]:80": rest, "[::1]": rest, "": rest,
			"xdb.example.com": rest, "shop-1a2b.db.example.com.evil": rest,
		} {
			if got := where(host); got != want {
				t.Errorf("host %q: %s, want %s", host, got, want)
			}
		}
	}
	check(DefaultDatabase)
	g.set("", SettingDefaultDatabase, "main")
	check("main")

	// The configured key stays with the database called default.
	call := Caller{Key: credential(operatorKey), Method: "GET", Path: "items"}
	_, err := g.enter(call)
	wantKind(t, err, errs.Unauthenticated)
	call.Host = "default.db.example.com"
	_, err = g.enter(call)
	wantKind(t, err, errs.Internal)
}

func TestDropDatabase(t *testing.T) {
	g := newGate(t)
	const collections, indexes = 30, 50 // so many spans that it takes several steps
	g.createDatabase("shop")
	g.createDatabase("shop2")
	kept, _ := g.key("shop2", KeySpec{})
	text, _ := g.key("shop", KeySpec{})
	g.set("shop", PropertyPrefix+"key", strings.Repeat("s", 20))
	g.set("shop", SettingClientID, "id")
	g.update(func(tx *kv.Tx) error {
		for i := range collections {
			name := fmt.Sprintf("c%04d", i)
			r, err := g.s.create(tx, "shop", name)
			if err != nil {
				return err
			}
			r = r.clone()
			for n := range indexes {
				number := uint64(1_000_000 + i*indexes + n)
				r.Indexes = append(r.Indexes, &Index{Number: number, Name: fmt.Sprint(n), Paths: []string{"a"}, State: Building})
				tx.Set(append(indexPrefix(number), 1), nil, 0)
				tx.Set(buildKey(number), nil, 0)
			}
			tx.Set(collectionKey("shop", name), r.encode(), 0)
			tx.Set(documentKey(r.Number, OID{1}), []byte("x"), 0)
			tx.Set(sequenceKey(r.Number, "n"), []byte("1"), 0)
			tx.Set(countKey(r.Number), []byte("1"), 0)
		}
		tx.Set(refreshKey("shop", make([]byte, 32)), []byte("{}"), 0)
		return g.s.CreateCollection(tx, "shop2", "items")
	})
	steps, done := 0, false
	for !done && steps < 100 {
		steps++
		g.ConflictNext(1)
		g.update(func(tx *kv.Tx) (err error) { done, err = g.s.DropDatabase(tx, "shop"); return err })
		if done {
			break
		}
		if infos := g.databases("default"); !slices.Equal(infos, []string{"shop", "shop2"}) {
			t.Fatalf("while dropping there are %v", infos)
		}
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, "shop") })
		wantKind(t, err, errs.Exists)
		err = g.view(func(tx *kv.Tx) error { _, err := g.s.Collections(tx, "shop", ""); return err })
		wantKind(t, err, errs.NotFound)
	}
	if steps < 3 {
		t.Errorf("%d collections were dropped in %d steps", collections, steps)
	}
	left := map[byte]int{}
	_ = g.view(func(tx *kv.Tx) error {
		for rec, err := range tx.Scan([]byte{layerByte}, []byte{layerByte + 1}) {
			if err != nil {
				return err
			}
			left[rec.Key[1]]++
		}
		return nil
	})
	if d := cmp.Diff(map[byte]int{databaseByte: 1, accessByte: 1, collectionByte: 1, numberByte: 1}, left); d != "" {
		t.Errorf("what is left (-want +got):\n%s", d)
	}
	g.set("", SettingHostSuffix, "x")
	_, err := g.enter(Caller{Host: "shop2.x", Key: credential(kept), Method: "GET"})
	wantKind(t, err, errs.Internal)
	_, err = g.enter(Caller{Host: "shop.x", Key: credential(text), Method: "GET"})
	wantKind(t, err, errs.Unavailable)
	g.set("", SettingDefaultDatabase, "shop2")
	for name, want := range map[string]errs.Kind{"shop": errs.NotFound, "shop2": errs.Invalid, DefaultDatabase: errs.Invalid, "": errs.NotFound} {
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { _, err := g.s.DropDatabase(tx, name); return err })
		wantKind(t, err, want)
	}
}

// Nothing is written to a database that is being dropped meanwhile.
func TestAWriteIntoADatabaseThatIsDropped(t *testing.T) {
	g := newGate(t)
	g.createDatabase("shop")
	g.set("", SettingHostSuffix, "x")
	text, _ := g.key("shop", KeySpec{})
	runs := 0
	_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
		runs++
		e, err := g.s.Enter(t.Context(), tx, Caller{Host: "shop.x", Key: credential(text), Method: "POST", Path: "items"})
		if err != nil {
			return err
		}
		if runs == 1 {
			g.update(func(tx *kv.Tx) error { _, err := g.s.DropDatabase(tx, "shop"); return err })
		}
		_, err = e.Collection("items", Create)
		return err
	})
	wantKind(t, err, errs.Unavailable)
}

func TestCollectionsAreCreatedByTheFirstDocument(t *testing.T) {
	page, reader := DrawKey(true), DrawKey(false)
	try := func(g *gate, key, method, name string, need Need) error {
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
			e, err := g.s.Enter(t.Context(), tx, Caller{Key: credential(key), Method: method, Path: name})
			if err == nil {
				_, err = e.Collection(name, need)
			}
			return err
		})
		return err
	}
	g := newGate(t)
	g.update(func(tx *kv.Tx) error {
		_, err := g.s.CreateKey(tx, DefaultDatabase, page, web("**", "GET POST", "*"))
		if err == nil {
			_, err = g.s.CreateKey(tx, DefaultDatabase, reader, KeySpec{ReadOnly: true})
		}
		return err
	})
	wantKind(t, try(g, operatorKey, "GET", "items", Read), errs.NotFound)
	wantKind(t, try(g, operatorKey, "PUT", "items", Update), errs.NotFound)
	wantKind(t, try(g, page, "POST", "items", Create), errs.NotFound)
	wantKind(t, try(g, reader, "GET", "items", Create), errs.Forbidden)
	wantKind(t, try(g, operatorKey, "POST", "_items", Create), errs.NotFound)
	wantKind(t, try(g, operatorKey, "POST", "a/b", Create), errs.NotFound)
	g.ConflictNext(1)
	wantKind(t, try(g, operatorKey, "POST", "items", Create), errs.Internal)
	wantKind(t, try(g, page, "POST", "items", Create), errs.Internal)
	wantKind(t, try(g, operatorKey, "GET", "items", Read), errs.Internal)

	g.set(DefaultDatabase, SettingStrict, "true")
	wantKind(t, try(g, operatorKey, "POST", "more", Create), errs.NotFound)
	wantKind(t, try(g, operatorKey, "POST", "items", Create), errs.Internal)
	g.set(DefaultDatabase, SettingStrict, "false")
	wantKind(t, try(g, operatorKey, "POST", "more", Create), errs.Internal)
	g.s.cfg.NoAutoCreate = true
	wantKind(t, try(g, operatorKey, "POST", "others", Create), errs.NotFound)
}

func TestCollectionsOfTheOperator(t *testing.T) {
	g := newGate(t)
	g.createDatabase("shop")
	for _, name := range []string{"b", "a", UsersCollection} {
		g.ConflictNext(1)
		g.update(func(tx *kv.Tx) error { return g.s.CreateCollection(tx, "shop", name) })
	}
	g.update(func(tx *kv.Tx) error { return g.s.CreateCollection(tx, DefaultDatabase, "z") })
	list := func(after string) (names []string) {
		_ = g.view(func(tx *kv.Tx) error {
			infos, err := g.s.Collections(tx, "shop", after)
			for _, c := range infos {
				names = append(names, fmt.Sprintf("%s:%d:%d", c.Name, c.Count, len(c.Indexes)))
			}
			return err
		})
		return names
	}
	if d := cmp.Diff([]string{"a:0:0", "b:0:0", "users:0:1"}, list("")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"users:0:1"}, list("b")); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		name string
		do   func(tx *kv.Tx) error
		want errs.Kind
	}{
		{"create one that is there", func(tx *kv.Tx) error { return g.s.CreateCollection(tx, "shop", "a") }, errs.Exists},
		{"create one with a bad name", func(tx *kv.Tx) error { return g.s.CreateCollection(tx, "shop", "_a") }, errs.Invalid},
		{"create one nowhere", func(tx *kv.Tx) error { return g.s.CreateCollection(tx, "nowhere", "a") }, errs.NotFound},
		{"drop one", func(tx *kv.Tx) error { return g.s.DropCollection(tx, "shop", "a") }, errs.Internal},
		{"drop one again", func(tx *kv.Tx) error { return g.s.DropCollection(tx, "shop", "a") }, errs.NotFound},
		{"drop one with a bad name", func(tx *kv.Tx) error { return g.s.DropCollection(tx, "shop", "_a") }, errs.NotFound},
		{"drop one of another database", func(tx *kv.Tx) error { return g.s.DropCollection(tx, "shop", "z") }, errs.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.ConflictNext(1)
			_, err := g.DB.Update(t.Context(), c.do)
			wantKind(t, err, c.want)
		})
	}
	if d := cmp.Diff([]string{"b:0:0", "users:0:1"}, list("")); d != "" {
		t.Error(d)
	}
}

// A collection that is created again must not show what the old one held.
func TestACollectionCreatedAgainIsEmpty(t *testing.T) {
	g := newGate(t)
	g.insert(UsersCollection, `{"email":"a@example.com"}`)
	g.update(func(tx *kv.Tx) error { return g.s.DropCollection(tx, DefaultDatabase, UsersCollection) })
	g.insert(UsersCollection, `{"email":"b@example.com"}`)
	_ = g.view(func(tx *kv.Tx) error {
		infos, err := g.s.Collections(tx, DefaultDatabase, "")
		if err != nil || len(infos) != 1 || infos[0].Count != 1 {
			t.Errorf("collections: %+v %v", infos, err)
		}
		return nil
	})
}

// insert puts documents into a collection of the default database with the
// configured key.
func (g *gate) insert(name, body string) []Document {
	g.t.Helper()
	at := time.UnixMilli(g.Now())
	drafts, _, err := ParseDrafts([]byte(body), at)
	if err != nil {
		g.t.Fatal(err)
	}
	var docs []Document
	g.update(func(tx *kv.Tx) error {
		e, err := g.s.Enter(g.t.Context(), tx, Caller{Key: credential(operatorKey), Method: "POST", Path: name})
		if err != nil {
			return err
		}
		c, err := e.Collection(name, Create)
		if err != nil {
			return err
		}
		docs, err = c.Insert(drafts, WriteOptions{At: at})
		return err
	})
	return docs
}
