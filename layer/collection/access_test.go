package collection

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// operatorKey is the configured key of the default database.
const operatorKey = "the configured key"

// gate is a Store over a state machine in memory, with a keyring.
type gate struct {
	*kvtest.Store
	t testing.TB
	s *Store
}

func newGate(t testing.TB) *gate {
	t.Helper()
	ring, err := seal.Create(t.TempDir() + "/keyring")
	if err != nil {
		t.Fatal(err)
	}
	return &gate{Store: kvtest.New(t), t: t, s: New(Config{Keyring: ring, DefaultKey: auth.NewRootKey(operatorKey), AllowPrivate: true})}
}

// update runs fn, which must succeed.
func (g *gate) update(fn func(tx *kv.Tx) error) {
	g.t.Helper()
	if _, err := g.DB.Update(g.t.Context(), fn); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gate) view(fn func(tx *kv.Tx) error) error {
	_, err := g.DB.View(g.t.Context(), kv.Consistency{}, fn)
	return err
}

// key creates an access key and returns its text.
func (g *gate) key(db string, spec KeySpec) (text, id string) {
	g.t.Helper()
	text = DrawKey(spec.Web)
	g.update(func(tx *kv.Tx) error {
		info, err := g.s.CreateKey(tx, db, text, spec)
		id = info.ID
		return err
	})
	return text, id
}

// enter tries the door in a View.
func (g *gate) enter(c Caller) (cors bool, err error) {
	err = g.view(func(tx *kv.Tx) error {
		e, err := g.s.Enter(g.t.Context(), tx, c)
		cors = e.CORS()
		return err
	})
	return cors, err
}

func (g *gate) set(db, name, value string) {
	g.t.Helper()
	c, err := g.s.NewSetting(db, name, value)
	if err != nil {
		g.t.Fatal(err)
	}
	g.update(func(tx *kv.Tx) error { return g.s.Set(tx, c) })
}

func credential(text string) auth.Credential { return auth.Credential{Value: text} }

func web(paths, methods, origins string) KeySpec {
	return KeySpec{Web: true, Paths: strings.Fields(paths), Methods: strings.Fields(methods), Origins: strings.Fields(origins)}
}

// wantKind checks err's kind; Internal stands for no error.
func wantKind(t *testing.T, err error, want errs.Kind) {
	t.Helper()
	if want == errs.Internal && err == nil {
		return
	}
	if err == nil || errs.KindOf(err) != want {
		t.Errorf("got %v, want kind %v", err, want)
	}
}

func TestWhoMayEnter(t *testing.T) {
	g := newGate(t)
	full, _ := g.key(DefaultDatabase, KeySpec{})
	reader, _ := g.key(DefaultDatabase, KeySpec{ReadOnly: true})
	paged, _ := g.key(DefaultDatabase, KeySpec{Origins: []string{"https://admin.example.com"}})
	page, _ := g.key(DefaultDatabase, web("items orders/*", "GET post", "https://app.example.com"))
	glance, _ := g.key(DefaultDatabase, KeySpec{Web: true, ReadOnly: true, Paths: []string{"**"}, Methods: []string{"GET", "PUT"}, Origins: []string{"*"}})
	short, _ := g.key(DefaultDatabase, KeySpec{Expires: g.Now() + 1000})
	g.update(func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, "other") })
	foreign, _ := g.key("other", KeySpec{})
	const app, evil, ok = "https://app.example.com", "https://evil.example", errs.Internal
	g.Advance(2 * time.Second)
	for _, c := range []struct {
		name                      string
		key, method, path, origin string
		want                      errs.Kind
		cors                      bool
	}{
		{"no key", "", "GET", "items", "", errs.Unauthenticated, false},
		{"a wrong full key", DrawKey(false), "GET", "items", "", errs.Unauthenticated, false},
		{"a wrong web key", DrawKey(true), "GET", "items", app, errs.Unauthenticated, false},
		{"a key that is no key", "x", "GET", "items", "", errs.Unauthenticated, false},
		{"a key in capitals", strings.ToUpper(full), "GET", "items", "", errs.Unauthenticated, false},
		{"a huge key", strings.Repeat("a", 1<<20), "GET", "items", "", errs.Unauthenticated, false},
		{"the key of another database", foreign, "GET", "items", "", errs.Unauthenticated, false},
		{"an expired key", short, "GET", "items", "", errs.Unauthenticated, false},
		{"the configured key", operatorKey, "DELETE", "items/*", "", ok, false},
		{"the configured key in a page", operatorKey, "GET", "items", evil, ok, false},
		{"a full key", full, "DELETE", "items/*", "", ok, false},
		{"a full key in a page", full, "GET", "items", evil, ok, false},
		{"a full key in its page", paged, "GET", "items", "https://admin.example.com", ok, true},
		{"a full key in another's page", paged, "GET", "items", evil, errs.Forbidden, false},
		{"a full key with an origin, in no page", paged, "GET", "items", "", ok, false},
		{"a read-only key reads", reader, "GET", "items", "", ok, false},
		{"a read-only key asks for the head", reader, "HEAD", "items", "", ok, false},
		{"a read-only key writes", reader, "POST", "items", "", errs.Forbidden, false},
		{"a read-only web key writes", glance, "PUT", "items", evil, errs.Forbidden, true},
		{"a page reads a collection", page, "GET", "items", app, ok, true},
		{"a page asks for the head", page, "HEAD", "items", app, ok, true},
		{"a page reads a document", page, "GET", "items/56e9d0b301bf3408000006f4", app, ok, true},
		{"a page reads with a slash behind", page, "GET", "items/", app, ok, true},
		{"a page writes", page, "POST", "items", app, ok, true},
		{"a page writes under an override", page, "DELETE", "items/1", app, errs.Forbidden, true},
		{"a page uses another path", page, "GET", "secrets", app, errs.Forbidden, true},
		{"a page uses a path that begins alike", page, "GET", "items2", app, errs.Forbidden, true},
		{"a page leaves its path", page, "GET", "orders", app, errs.Forbidden, true},
		{"a page goes too deep", page, "GET", "orders/1/lines", app, errs.Forbidden, true},
		{"a page uses what is not below rest", page, "GET", "", app, errs.Forbidden, true},
		{"another page", page, "GET", "items", evil, errs.Forbidden, false},
		{"another page at another path", page, "GET", "secrets", evil, errs.Forbidden, false},
		{"a page without an address", page, "GET", "items", "null", errs.Forbidden, false},
		{"no page", page, "GET", "items", "", ok, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cors, err := g.enter(Caller{Key: credential(c.key), Method: c.method, Path: c.path, Origin: c.origin})
			wantKind(t, err, c.want)
			if cors != c.cors {
				t.Errorf("cors %v, want %v", cors, c.cors)
			}
			if err != nil && c.key != "" && len(c.key) > 1 && strings.Contains(err.Error(), c.key) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestARefusedSessionOpensNothing(t *testing.T) {
	g := newGate(t)
	page, _ := g.key(DefaultDatabase, web("items", "GET", "*"))
	_ = g.view(func(tx *kv.Tx) error {
		e, err := g.s.Enter(t.Context(), tx, Caller{Key: credential(page), Method: "GET", Path: "secrets", Origin: "https://a.example"})
		wantKind(t, err, errs.Forbidden)
		_, err = e.Collection("items", Read)
		wantKind(t, err, errs.Forbidden)
		return nil
	})
}

func TestANeedMustFitTheMethod(t *testing.T) {
	g := newGate(t)
	g.update(func(tx *kv.Tx) error { return g.s.CreateCollection(tx, DefaultDatabase, "items") })
	page, _ := g.key(DefaultDatabase, web("items", "POST PUT PATCH GET", "*"))
	reader, _ := g.key(DefaultDatabase, KeySpec{ReadOnly: true})
	for _, c := range []struct {
		key, method string
		need        Need
		want        errs.Kind
	}{
		{page, "POST", Create, errs.Internal},
		{page, "POST", Read, errs.Internal},
		{page, "PUT", Update, errs.Internal},
		{page, "PATCH", Update, errs.Internal},
		{page, "POST", Delete, errs.Forbidden},
		{page, "POST", Update, errs.Forbidden},
		{page, "GET", Create, errs.Forbidden},
		{reader, "GET", Create, errs.Forbidden},
		{reader, "GET", Read, errs.Internal},
		{operatorKey, "POST", Delete, errs.Internal},
	} {
		_ = g.view(func(tx *kv.Tx) error {
			e, err := g.s.Enter(t.Context(), tx, Caller{Key: credential(c.key), Method: c.method, Path: "items"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Collection("items", c.need)
			wantKind(t, err, c.want)
			return nil
		})
	}
}

func TestKeysAreShownOnce(t *testing.T) {
	g := newGate(t)
	spec := KeySpec{
		Web: true, Note: "shop", Paths: []string{"/rest/items/**", "/orders/"}, Methods: []string{"get"},
		Origins: []string{"HTTPS://Shop.example.com/"}, Realtime: []string{"post:items"}, Channels: []string{"news"},
	}
	text, id := g.key(DefaultDatabase, spec)
	g.Advance(time.Second)
	full, fullID := g.key(DefaultDatabase, KeySpec{Expires: g.Now() + 5000})
	if len(text) != 24 || len(full) != 37 {
		t.Errorf("keys of %d and %d digits, want 24 and 37", len(text), len(full))
	}
	var got []KeyInfo
	_ = g.view(func(tx *kv.Tx) (err error) { got, err = g.s.Keys(tx, DefaultDatabase); return err })
	spec.Paths, spec.Methods, spec.Origins = []string{"items/**", "orders"}, []string{"GET"}, []string{"https://shop.example.com"}
	spec.Realtime = []string{"POST:items"}
	want := []KeyInfo{
		{ID: id, Created: kvtest.Start, KeySpec: spec},
		{ID: fullID, Created: kvtest.Start + 1000, KeySpec: KeySpec{Expires: kvtest.Start + 6000}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	_ = g.view(func(tx *kv.Tx) error {
		for rec := range tx.Scan([]byte{layerByte}, []byte{layerByte + 1}) {
			if bytes.Contains(rec.Key, []byte(text)) || bytes.Contains(rec.Value, []byte(text)) || bytes.Contains(rec.Value, []byte(full)) {
				t.Errorf("%q holds the text of a key", rec.Key)
			}
		}
		return nil
	})
}

func TestKeySpecsThatAreRefused(t *testing.T) {
	g := newGate(t)
	many := slices.Repeat([]string{"items"}, maxScope+1)
	for name, spec := range map[string]KeySpec{
		"web without a path":       web("", "GET", "*"),
		"web without a method":     web("**", "", "*"),
		"web without an origin":    web("**", "GET", ""),
		"an unknown method":        web("**", "GET TRACE", "*"),
		"an empty path":            {Web: true, Paths: []string{"/"}, Methods: []string{"GET"}, Origins: []string{"*"}},
		"a path with a query":      web("items?q={}", "GET", "*"),
		"a path with two slashes":  web("items//x", "GET", "*"),
		"an escaped path":          web("items%2Fx", "GET", "*"),
		"a path that is no UTF-8":  web("items\xff", "GET", "*"),
		"too many paths":           {Web: true, Paths: many, Methods: []string{"GET"}, Origins: []string{"*"}},
		"a long path":              web(strings.Repeat("a", maxScopeText+1), "GET", "*"),
		"an origin with a path":    web("**", "GET", "https://example.com/x"),
		"an origin with a user":    web("**", "GET", "https://u@example.com"),
		"half an origin":           web("**", "GET", "https://"),
		"a star in the middle":     web("**", "GET", "a.*.com"),
		"an origin in Unicode":     web("**", "GET", "bücher.example"),
		"an event without a name":  {Web: true, Paths: []string{"**"}, Methods: []string{"GET"}, Origins: []string{"*"}, Realtime: []string{"POST"}},
		"an empty channel":         {Web: true, Paths: []string{"**"}, Methods: []string{"GET"}, Origins: []string{"*"}, Channels: []string{""}},
		"a full key with a path":   {Paths: []string{"items"}},
		"a negative expiry":        {Expires: -1},
		"an expiry that is over":   {Expires: kvtest.Start},
		"a note with a line break": {Note: "a\nb"},
		"a long note":              {Note: strings.Repeat("x", maxNote+1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
				_, err := g.s.CreateKey(tx, DefaultDatabase, DrawKey(spec.Web), spec)
				return err
			})
			wantKind(t, err, errs.Invalid)
		})
	}
	_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
		_, err := g.s.CreateKey(tx, DefaultDatabase, DrawKey(true), KeySpec{})
		return err
	})
	wantKind(t, err, errs.Invalid) // the text of the other kind
}

func TestRotateAndRevoke(t *testing.T) {
	g := newGate(t)
	as := func(key string) error {
		_, err := g.enter(Caller{Key: credential(key), Method: "GET", Path: "items"})
		return err
	}
	old, oldID := g.key(DefaultDatabase, web("items", "GET", "*"))
	next := DrawKey(true)
	var nextID string
	g.update(func(tx *kv.Tx) error {
		info, err := g.s.RotateKey(tx, DefaultDatabase, oldID, next, tx.Now()+60_000)
		nextID = info.ID
		return err
	})
	wantKind(t, as(old), errs.Internal)
	wantKind(t, as(next), errs.Internal)
	g.Advance(time.Minute + time.Second)
	wantKind(t, as(old), errs.Unauthenticated)
	wantKind(t, as(next), errs.Internal)

	last := DrawKey(true)
	g.update(func(tx *kv.Tx) error {
		_, err := g.s.RotateKey(tx, DefaultDatabase, nextID, last, 0)
		return err
	})
	wantKind(t, as(next), errs.Unauthenticated)
	wantKind(t, as(last), errs.Internal)

	for id, want := range map[string]errs.Kind{nextID: errs.NotFound, "xyz": errs.Invalid, nextID + "00": errs.Invalid, oldID: errs.Internal} {
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.RevokeKey(tx, DefaultDatabase, id) })
		wantKind(t, err, want)
	}
}

// A write whose key is revoked after it passed the door must not happen.
func TestAKeyRevokedMeanwhile(t *testing.T) {
	g := newGate(t)
	text, id := g.key(DefaultDatabase, KeySpec{})
	runs := 0
	_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
		runs++
		e, err := g.s.Enter(t.Context(), tx, Caller{Key: credential(text), Method: "POST", Path: "items"})
		if err != nil {
			return err
		}
		if runs == 1 {
			if _, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.RevokeKey(tx, DefaultDatabase, id) }); err != nil {
				t.Fatal(err)
			}
		}
		_, err = e.Collection("items", Create)
		return err
	})
	wantKind(t, err, errs.Unauthenticated)
	if runs != 2 {
		t.Errorf("the transaction ran %d times, want 2", runs)
	}
	_ = g.view(func(tx *kv.Tx) error {
		if r, err := g.s.rows.get(tx, collectionKey(DefaultDatabase, "items")); err != nil || r != nil {
			t.Errorf("the collection was created all the same: %v %v", r, err)
		}
		return nil
	})
}

func TestTooManyKeys(t *testing.T) {
	g := newGate(t)
	var id string
	g.update(func(tx *kv.Tx) error {
		for i := range maxKeys {
			row := accessRow{Created: int64(i)}
			tx.Set(accessKey(DefaultDatabase, fmt.Appendf(nil, "%032d", i)), encodeJSON(row), 0)
		}
		return nil
	})
	_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error {
		_, err := g.s.CreateKey(tx, DefaultDatabase, DrawKey(false), KeySpec{})
		return err
	})
	wantKind(t, err, errs.TooLarge)
	id = fmt.Sprintf("%x", "000000")
	_, err = g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.RevokeKey(tx, DefaultDatabase, id) })
	wantKind(t, err, errs.Internal)
}

// The rows as they are stored: they must be read for ever.
func TestRowsKeepTheirFormat(t *testing.T) {
	for _, c := range []struct {
		name string
		row  any
		want string
	}{
		{"full key", accessRow{Created: 5, KeySpec: KeySpec{}}, `{"created":5}`},
		{"web key", accessRow{Created: 5, KeySpec: KeySpec{
			Web: true, ReadOnly: true, Note: "n", Expires: 7, Paths: []string{"**"}, Methods: []string{"GET"},
			Origins: []string{"*"}, Realtime: []string{"POST:items"}, Channels: []string{"c"},
		}}, `{"created":5,"web":true,"read_only":true,"note":"n","expires":7,"paths":["**"],"methods":["GET"],"origins":["*"],"realtime":["POST:items"],"channels":["c"]}`},
		{"cluster", clusterRow{HostSuffix: "db.example", DefaultDatabase: "shop"}, `{"host_suffix":"db.example","default_database":"shop"}`},
		{"database", databaseRow{Created: 5, Strict: true, MaxMedia: 6, Dropping: true}, `{"created":5,"strict":true,"max_media":6,"dropping":true}`},
		{"tokens", jwtRow{ClientID: "i", ClientSecret: []byte{1}, JWKS: "{}"}, `{"client_id":"i","client_secret":"AQ==","jwks":"{}"}`},
		{"refresh", TokenRequest{Secret: "s", Algorithm: "HS256", Issuer: "i", Audience: []string{"a"}, Subject: "u", Lifetime: 60, Payload: []byte(`{"x":1}`)},
			`{"secret":"s","algorithm":"HS256","issuer":"i","audience":["a"],"subject":"u","lifetime":60,"payload":{"x":1}}`},
	} {
		if got := string(encodeJSON(c.row)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
