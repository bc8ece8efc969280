package collection

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/kv/sealed"
)

// rotated is a gate whose keyring gets another key.
type rotated struct {
	*gate
	path     string
	old, new string
}

func newRotated(t *testing.T) *rotated {
	t.Helper()
	r := &rotated{gate: newGate(t), path: t.TempDir() + "/keyring"}
	ring, err := seal.Create(r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.s.cfg.Keyring = ring
	r.old = ring.Primary()
	return r
}

// rewrap makes another key the primary one and seals everything with it.
func (r *rotated) rewrap() sealed.Progress {
	r.t.Helper()
	var err error
	if r.new, err = seal.Rotate(r.path); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.s.cfg.Keyring.Reload(); err != nil {
		r.t.Fatal(err)
	}
	in := &sealed.Inventory{Keyring: r.s.cfg.Keyring, Rows: r.s.Sealed()}
	r.update(func(tx *kv.Tx) error { _, err := in.Start(tx, 0); return err })
	w := sealed.Rewrapper{DB: r.DB, Inventory: in, Log: slog.New(slog.DiscardHandler)}
	for more := true; more; {
		if more, err = w.Step(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
	var p *sealed.Progress
	if err := r.view(func(tx *kv.Tx) (err error) { p, err = sealed.Latest(tx); return err }); err != nil {
		r.t.Fatal(err)
	}
	return *p
}

// dropOld leaves the node with the new key alone.
func (r *rotated) dropOld() {
	r.t.Helper()
	if err := seal.Drop(r.path, r.old); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.s.cfg.Keyring.Reload(); err != nil {
		r.t.Fatal(err)
	}
}

func TestSecretsOfDatabasesAreSealedAnew(t *testing.T) {
	r := newRotated(t)
	r.tokens("")
	r.createDatabase("shop")
	r.set("shop", SettingClientID, "no secret in this row")
	r.set("shop", "properties.app.key", signingSecret)
	id := r.hooked("shop", WebhookSpec{URL: "https://one.example/x"})
	r.hooked("shop", WebhookSpec{URL: "https://two.example/x"})
	secretOf := func() (secret string) {
		t.Helper()
		if err := r.view(func(tx *kv.Tx) (err error) { secret, err = r.s.WebhookSecret(tx, "shop", id); return err }); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	before := secretOf()
	u, err := r.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if p := r.rewrap(); p.Changed != 6 || p.Failed != 0 {
		t.Errorf("%+v", p)
	}
	r.dropOld()
	if err := r.view(func(tx *kv.Tx) error {
		mark := base64.StdEncoding.EncodeToString(append([]byte{1, byte(len(r.old))}, r.old...))[:12]
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if text := string(rec.Value); strings.Contains(text, r.old) || strings.Contains(text, mark) {
				t.Errorf("%q is under the old key: %q", rec.Key, rec.Value)
			}
		}
		infos, err := r.s.Webhooks(tx, "shop")
		if len(infos) != 2 || infos[0].URL != "https://one.example/x" || infos[1].URL != "https://two.example/x" {
			t.Errorf("%+v", infos)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if after := secretOf(); after != before {
		t.Errorf("the secret of the webhook was %s and is %s", before, after)
	}
	// Who was let in with a token before is not shown the door.
	if err := r.view(func(tx *kv.Tx) error { return r.s.checkUser(tx, DefaultDatabase, u) }); err != nil {
		t.Errorf("a user from before: %v", err)
	}
	again, err := r.verify(hs256(t, clientSecret, good(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, again, cmp.AllowUnexported(User{})); diff != "" {
		t.Errorf("the same token (-before +after):\n%s", diff)
	}
	r.set(DefaultDatabase, SettingClientID, clientID) // a change, and be it to the same
	wantKind(t, r.view(func(tx *kv.Tx) error { return r.s.checkUser(tx, DefaultDatabase, u) }), errs.Unavailable)
}

// meddler does something before the first commit.
type meddler struct {
	*kvtest.Store
	once func()
}

func (m *meddler) Commit(ctx context.Context, cmd *command.Command) (command.Result, error) {
	if do := m.once; do != nil {
		m.once = nil
		do()
	}
	return m.Store.Commit(ctx, cmd)
}

// A property that is sealed anew, or set, while a token is signed with it makes
// the token be signed again.
func TestATokenIsIssuedThoughItsKeyIsStoredAnew(t *testing.T) {
	const other = signingSecret + " of another kind"
	for name, c := range map[string]struct {
		meddle func(r *rotated)
		key    string
	}{
		"sealed anew": {func(r *rotated) { r.rewrap() }, signingSecret},
		"set":         {func(r *rotated) { r.set(DefaultDatabase, "properties.app.key", other) }, other},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRotated(t)
			r.set(DefaultDatabase, "properties.app.key", signingSecret)
			first, err := r.issue(operatorKey, `{"secret":"app.key"}`)
			if err != nil {
				t.Fatal(err)
			}
			m := &meddler{Store: r.Store, once: func() { c.meddle(r) }}
			second, err := r.s.RefreshJWT(t.Context(), kv.New(m), Caller{Key: credential(operatorKey), Method: "POST"}, encodeJSON(map[string]string{"refresh": first.Refresh}))
			if err != nil || m.once != nil {
				t.Fatalf("%v, meddled: %v", err, m.once == nil)
			}
			r.read(second.JWT, []byte(c.key))
			_, err = r.refresh(operatorKey, first.Refresh)
			wantKind(t, err, errs.Invalid)
		})
	}
}

// A node with another keyring says which key it lacks.
func TestANodeThatLacksAKeyIsUnavailable(t *testing.T) {
	r := newRotated(t)
	r.tokens("")
	r.set(DefaultDatabase, "properties.app.key", signingSecret)
	id := r.hooked(DefaultDatabase, WebhookSpec{URL: "https://one.example/x"})
	other, err := seal.Create(t.TempDir() + "/keyring")
	if err != nil {
		t.Fatal(err)
	}
	r.s.cfg.Keyring = other
	_, issuing := r.issue(operatorKey, `{"secret":"app.key"}`)
	_, verifying := r.verify(hs256(t, clientSecret, good(nil)))
	reading := r.view(func(tx *kv.Tx) error { _, err := r.s.WebhookSecret(tx, DefaultDatabase, id); return err })
	for what, err := range map[string]error{"issuing": issuing, "verifying": verifying, "reading": reading} {
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), r.old) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDamagedRowsWithSecretsAreFaults(t *testing.T) {
	for _, rows := range New(Config{}).Sealed() {
		for name, rec := range map[string]kv.Record{
			"key":   {Key: rows.Lo, Value: []byte(`{}`)},
			"value": {Key: map[byte][]byte{settingByte: settingKey("a", jwtSetting), hookByte: hooksKey("a")}[rows.Lo[1]], Value: []byte(`{`)},
		} {
			if row, err := rows.Each(rec, func(sealed.Thing) bool { return true }); err == nil || row != nil {
				t.Errorf("%s, a damaged %s: %q, %v", rows.Name, name, row, err)
			}
		}
	}
}
