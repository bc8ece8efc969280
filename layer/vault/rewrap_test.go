package vault

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

func TestDataKeysAndTokensAreSealedAnew(t *testing.T) {
	path, ring := newRing(t)
	old := ring.Primary()
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	u, token := w.register("ann")
	org := w.organization(u.ID, "Acme")
	project := w.project(u.ID, org, "Web")
	env := w.environment(u.ID, project, "production")
	w.variable(u.ID, env, "KEY", "secret value")
	var made ServiceToken
	var text string
	var kept []byte // for repeats of the request: nobody can seal it anew
	w.must(u.ID, func(s *Session) (err error) {
		if made, text, err = s.CreateServiceToken(ServiceTokenFields{Name: ptr("ci"), Environment: &env}); err != nil {
			return err
		}
		kept, err = s.SealServiceToken(made.ID, text)
		return err
	})
	for i := range 70 { // more than a batch
		w.organization(w.user(fmt.Sprintf("user%d", i)), fmt.Sprintf("Org %d", i))
	}
	in := &sealed.Inventory{Keyring: ring, Rows: w.s.Sealed()}
	tallies := func() (all []sealed.Tally) {
		t.Helper()
		if _, err := w.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
			all, err = in.Count(t.Context(), tx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got, want := fmt.Sprint(tallies()), fmt.Sprintf("[{KeyNest data keys %s 72} {KeyNest tokens %s 1}]", old, old); got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	next, err := seal.Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DB.Update(t.Context(), func(tx *kv.Tx) error {
		_, err := in.Start(tx, 73)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	r := &sealed.Rewrapper{DB: w.DB, Inventory: in, Log: slog.New(slog.DiscardHandler)}
	for steps := 1; ; steps++ {
		w.ConflictNext(1)
		more, err := r.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.value(u.ID, env, "KEY"); got != "secret value" {
			t.Fatalf("after %d batches the value is %q", steps, got)
		}
		if !more {
			break
		}
	}
	if got, want := fmt.Sprint(tallies()), fmt.Sprintf("[{KeyNest data keys %s 72} {KeyNest tokens %s 1}]", next, next); got != want {
		t.Errorf("after: %s, want %s", got, want)
	}
	// A keyring with the new key alone opens all of it.
	w.s = New(Config{Keyring: onlyKey(t, path, old), PasswordCost: cheap})
	if got := w.value(u.ID, env, "KEY"); got != "secret value" {
		t.Errorf("without the old key the value is %q", got)
	}
	if again, err := w.login("ann@example.com", goodPassword); err != nil || again != token {
		t.Errorf("without the old key login gives %q, %v", again, err)
	}
	w.must(u.ID, func(s *Session) error {
		if again, err := s.OpenServiceToken(made.ID, kept); err != nil || again != text {
			t.Errorf("without the old key a repeat gets %q, %v", again, err)
		}
		return nil
	})
}

// A row that cannot be read is an error, not a thing that is passed over.
func TestDamagedRowsAreFaults(t *testing.T) {
	_, ring := newRing(t)
	for _, rows := range New(Config{Keyring: ring}).Sealed() {
		for name, rec := range map[string]kv.Record{
			"key":   {Key: append([]byte(nil), rows.Lo...), Value: []byte(`{}`)},
			"value": {Key: byID(rows.Lo[1], 1), Value: []byte(`{`)},
		} {
			if row, err := rows.Each(rec, func(sealed.Thing) bool { return true }); err == nil || row != nil {
				t.Errorf("%s, a damaged %s: %q, %v", rows.Name, name, row, err)
			}
		}
	}
}
