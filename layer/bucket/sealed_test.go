package bucket

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// rewrap gives w's keyring, which is in the file, another key and seals
// everything with it.
func (w *world) rewrap(path string) (in *sealed.Inventory, p *sealed.Progress) {
	w.t.Helper()
	if _, err := seal.Rotate(path); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bs.c.Keyring.Reload(); err != nil {
		w.t.Fatal(err)
	}
	in = &sealed.Inventory{Keyring: w.bs.c.Keyring, Rows: w.bs.Sealed()}
	if _, err := w.db.Update(w.t.Context(), func(tx *kv.Tx) error { _, err := in.Start(tx, 0); return err }); err != nil {
		w.t.Fatal(err)
	}
	r := sealed.Rewrapper{DB: w.db, Inventory: in, Log: slog.New(slog.DiscardHandler)}
	for more := true; more; {
		var err error
		w.ConflictNext(1)
		if more, err = r.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.db.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) { p, err = sealed.Latest(tx); return err }); err != nil {
		w.t.Fatal(err)
	}
	return in, p
}

func TestSigningKeysAreSealedAnew(t *testing.T) {
	path := t.TempDir() + "/keyring"
	ring, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	old := ring.Primary()
	var ids, tokens []string
	for i := range 70 { // more than a batch
		letters := "SW"
		if i%10 != 0 {
			letters = "SWG"
		}
		ids = append(ids, w.create(fields(letters)))
		token := ""
		if i%10 != 0 {
			if token, err = w.mint(ids[i], "secret", Grant{Permissions: PermRead | PermWrite}); err != nil {
				t.Fatal(err)
			}
			w.set(ids[i], token, "k", "v", TTL{})
		}
		tokens = append(tokens, token)
	}
	in, p := w.rewrap(path)
	if p.Changed != 63 || p.Done != 63 || p.Failed != 0 || p.Finished == 0 {
		t.Errorf("%+v", p)
	}
	if _, err := w.db.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		tallies, err := in.Count(t.Context(), tx)
		if got, want := fmt.Sprint(tallies), fmt.Sprintf("[{bucket signing keys %s 63}]", ring.Primary()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := seal.Drop(path, old); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if token == "" {
			token = "secret"
			w.set(ids[i], "write", "k", "v", TTL{})
		}
		if got := w.get(ids[i], token, "k"); got != "v" {
			t.Fatalf("bucket %d: %q", i, got)
		}
	}
}

func TestANodeThatLacksAKeyNamesIt(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	old := w.bs.c.Keyring.Primary()
	token, err := w.mint(id, "secret", Grant{Permissions: PermRead})
	if err != nil {
		t.Fatal(err)
	}
	if w.bs.c.Keyring, err = seal.Create(t.TempDir() + "/keyring"); err != nil {
		t.Fatal(err)
	}
	_, err = w.db.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		_, err := w.bs.Open(tx, id, cred(token), Read)
		return err
	})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), old) {
		t.Errorf("got %v, want that it is unavailable for the lack of %s", err, old)
	}
	if got := w.get(id, "read", "k"); got != "[not found]" {
		t.Errorf("with the read key: %q", got)
	}
}

func TestADamagedPolicyIsAFault(t *testing.T) {
	bs, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, rec := range map[string]kv.Record{
		"key": {Key: []byte{layerByte, policyByte}, Value: (&policy{}).append(nil)}, "value": {Key: policyKey("some-bucket"), Value: []byte{9}},
	} {
		if row, err := bs.Sealed()[0].Each(rec, func(sealed.Thing) bool { return true }); err == nil || row != nil {
			t.Errorf("a damaged %s: %q, %v", name, row, err)
		}
	}
}
