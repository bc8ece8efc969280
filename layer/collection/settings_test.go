package collection

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

func TestSettingsThatAreRefused(t *testing.T) {
	g := newGate(t)
	strict := New(Config{}) // plain URLs are not allowed, and there is no keyring
	for _, c := range []struct{ name, value string }{
		{"unknown", "x"},
		{"jwt", "x"},
		{"", "x"},
		{"properties.", "x"},
		{"properties.a..b", "x"},
		{"properties.a/b", "x"},
		{"properties." + strings.Repeat("a", maxPropertyName+1), "x"},
		{"properties.a", strings.Repeat("a", maxProperty+1)},
		{SettingClientID, "a\nb"},
		{SettingClientID, strings.Repeat("a", maxClientID+1)},
		{SettingClientSecret, "short"},
		{SettingClientSecret, strings.Repeat("a", maxSecret+1)},
		{SettingJWKS, "x"},
		{SettingJWKS, "{"},
		{SettingJWKS, `{"keys":[]}`},
		{SettingJWKS, "ftp://example.com/keys"},
		{SettingJWKS, "https://user:password@example.com/keys"},
		{SettingJWKS, "https://"},
		{SettingStrict, "yes"},
		{SettingMediaMax, "0"},
		{SettingMediaMax, "-1"},
		{SettingMediaMax, "1e6"},
		{SettingHostSuffix, "."},
		{SettingHostSuffix, "a..b"},
		{SettingHostSuffix, "a.example:80"},
		{SettingHostSuffix, "a/b"},
		{SettingDefaultDatabase, "A"},
	} {
		t.Run(c.name+"="+c.value[:min(20, len(c.value))], func(t *testing.T) {
			_, err := g.s.NewSetting(DefaultDatabase, c.name, c.value)
			wantKind(t, err, errs.Invalid)
			if err != nil && len(c.value) > 5 && strings.HasPrefix(c.name, "properties.") && strings.Contains(err.Error(), c.value) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
	_, err := strict.NewSetting(DefaultDatabase, SettingJWKS, "http://example.com/keys")
	wantKind(t, err, errs.Invalid)
	_, err = strict.NewSetting(DefaultDatabase, SettingClientSecret, strings.Repeat("s", 32))
	wantKind(t, err, errs.Invalid)
	if err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("without a keyring: %v", err)
	}
}

func TestSettingsAreListedWithoutSecrets(t *testing.T) {
	g := newGate(t)
	g.createDatabase("shop")
	const secret, property = "client-secret-0123456789", "property-0123456789"
	changes := [][3]string{
		{"shop", SettingClientID, "client"}, {"shop", SettingClientSecret, secret}, {"shop", SettingJWKS, "https://issuer.example/keys"},
		{"shop", SettingStrict, "true"}, {"shop", SettingMediaMax, "0001000"}, {"shop", "properties.google.private_key", property},
		{"ignored", SettingHostSuffix, "db.example.com"}, {"", SettingDefaultDatabase, "shop"},
	}
	for _, c := range changes {
		g.ConflictNext(1)
		g.set(c[0], c[1], c[2])
	}
	list := func(db string) (all []Setting) {
		t.Helper()
		if err := g.view(func(tx *kv.Tx) (err error) { all, err = g.s.Settings(tx, db); return err }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := []Setting{
		{Name: SettingDefaultDatabase, Value: "shop", Set: true}, {Name: SettingHostSuffix, Value: "db.example.com", Set: true},
		{Name: SettingClientID, Value: "client", Set: true}, {Name: SettingClientSecret, Secret: true, Set: true},
		{Name: SettingJWKS, Value: "https://issuer.example/keys", Set: true}, {Name: SettingMediaMax, Value: "1000", Set: true},
		{Name: "properties.google.private_key", Secret: true, Set: true}, {Name: SettingStrict, Value: "true", Set: true},
	}
	if d := cmp.Diff(want, list("shop")); d != "" {
		t.Errorf("settings (-want +got):\n%s", d)
	}
	_ = g.view(func(tx *kv.Tx) error {
		for rec := range tx.Scan([]byte{layerByte}, []byte{layerByte + 1}) {
			if bytes.Contains(rec.Value, []byte(secret)) || bytes.Contains(rec.Value, []byte(property)) {
				t.Errorf("%q holds a secret in clear", rec.Key)
			}
		}
		for name, want := range map[string]Setting{
			SettingClientID: {Name: SettingClientID, Value: "client", Set: true}, "properties.x": {Name: "properties.x", Secret: true},
			SettingClientSecret: {Name: SettingClientSecret, Secret: true, Set: true},
		} {
			if got, err := g.s.Setting(tx, "shop", name); err != nil || got != want {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		}
		_, err := g.s.Setting(tx, "shop", "nonsense")
		wantKind(t, err, errs.Invalid)
		_, err = g.s.Settings(tx, "nowhere")
		wantKind(t, err, errs.NotFound)
		return nil
	})
	for _, c := range changes {
		g.set(c[0], c[1], "")
	}
	for _, s := range list("shop") {
		if s.Set || s.Value != "" {
			t.Errorf("%s is still set", s.Name)
		}
	}
	c, err := g.s.NewSetting("", SettingDefaultDatabase, "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.DB.Update(t.Context(), func(tx *kv.Tx) error { return g.s.Set(tx, c) })
	wantKind(t, err, errs.NotFound)
}

// What one setting says must survive the change of another that lies in the
// same row.
func TestSettingsOfOneRow(t *testing.T) {
	g := newGate(t)
	g.set(DefaultDatabase, SettingStrict, "true")
	g.set(DefaultDatabase, SettingMediaMax, "5")
	g.set(DefaultDatabase, SettingMediaMax, "6")
	want := databaseRow{Strict: true, MaxMedia: 6}
	check := func() {
		t.Helper()
		_ = g.view(func(tx *kv.Tx) error {
			if d, err := g.s.database(tx, DefaultDatabase); err != nil || *d != want {
				t.Errorf("got %+v %v, want %+v", d, err, want)
			}
			return nil
		})
	}
	check()
	g.set(DefaultDatabase, SettingStrict, "")
	want.Strict = false
	check()
}

func TestTheOperatorsVerbsUnderConflicts(t *testing.T) {
	g := newGate(t)
	text := DrawKey(true)
	var id string
	for _, c := range []struct {
		name string
		do   func(tx *kv.Tx) error
	}{
		{"create a database", func(tx *kv.Tx) error { return g.s.CreateDatabase(tx, "shop") }},
		{"create a collection", func(tx *kv.Tx) error { return g.s.CreateCollection(tx, "shop", "items") }},
		{"set roles", func(tx *kv.Tx) error { return g.s.SetRoles(tx, "shop", "items", &Roles{Read: []string{"a"}}) }},
		{"create a key", func(tx *kv.Tx) error {
			info, err := g.s.CreateKey(tx, "shop", text, web("items", "GET", "*"))
			id = info.ID
			return err
		}},
		{"rotate it", func(tx *kv.Tx) error { _, err := g.s.RotateKey(tx, "shop", id, DrawKey(true), tx.Now()+5); return err }},
		{"revoke it", func(tx *kv.Tx) error { return g.s.RevokeKey(tx, "shop", id) }},
	} {
		before := g.Commits()
		runs := 0
		g.ConflictNext(1)
		_, err := g.DB.Update(t.Context(), func(tx *kv.Tx) error { runs++; return c.do(tx) })
		if err != nil || runs < 2 || g.Commits() != before+2 {
			t.Errorf("%s: %v after %d runs and %d commits", c.name, err, runs, g.Commits()-before)
		}
	}
	_ = g.view(func(tx *kv.Tx) error {
		keys, err := g.s.Keys(tx, "shop")
		if err != nil || len(keys) != 1 || keys[0].ID == id || keys[0].Created != kvtest.Start {
			t.Errorf("keys: %+v %v", keys, err)
		}
		roles, err := g.s.Roles(tx, "shop", "items")
		if d := cmp.Diff(&Roles{Read: []string{"a"}}, roles); err != nil || d != "" {
			t.Errorf("roles: %v %s", err, d)
		}
		return nil
	})
}
