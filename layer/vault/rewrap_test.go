package vault

import (
	"fmt"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

func (w *world) rewrapping() (r *Rewrap) {
	w.t.Helper()
	if _, err := w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		r, err = w.s.Rewrapping(tx)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) startRewrap() {
	w.t.Helper()
	if _, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		_, err := w.s.StartRewrap(tx)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
}

func TestRewrapMovesEverythingToTheNewKey(t *testing.T) {
	path, ring := newRing(t)
	old := ring.Primary()
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	u, token := w.register("ann")
	org := w.organization(u.ID, "Acme")
	project := w.project(u.ID, org, "Web")
	env := w.environment(u.ID, project, "production")
	w.variable(u.ID, env, "KEY", "secret value")
	for i := range rewrapBatch + 5 { // more than a batch
		w.organization(w.user(fmt.Sprintf("user%d", i)), fmt.Sprintf("Org %d", i))
	}
	step := func() bool {
		t.Helper()
		r := &Rewrapper{DB: w.DB, Store: w.s} // a new one each time, as after a change of leader
		more, err := r.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return more
	}
	if step() || w.rewrapping() != nil {
		t.Error("there was something to do before anybody asked")
	}
	id, err := seal.Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	w.startRewrap()
	steps := 1
	for w.ConflictNext(1); step(); w.ConflictNext(1) {
		if got := w.value(u.ID, env, "KEY"); got != "secret value" {
			t.Fatalf("after %d batches the value is %q", steps, got)
		}
		steps++
	}
	r := w.rewrapping()
	orgs, users := int64(rewrapBatch+7), int64(rewrapBatch+6)
	if r.Finished == 0 || r.Primary != id || r.Seen != orgs+users || r.Changed != orgs+1 || steps < 4 {
		t.Errorf("after %d steps: %+v, want %d organizations and %d users seen", steps, r, orgs, users)
	}
	if step() {
		t.Error("there is more to do after the end")
	}
	// A keyring with the new key alone opens all of it.
	alone := onlyKey(t, path, old)
	w.s = New(Config{Keyring: alone})
	if got := w.value(u.ID, env, "KEY"); got != "secret value" {
		t.Errorf("without the old key the value is %q", got)
	}
	if again, err := w.login("ann@example.com", goodPassword); err != nil || again != token {
		t.Errorf("without the old key login gives %q, %v", again, err)
	}
	w.startRewrap()
	for step() {
	}
	if r := w.rewrapping(); r.Changed != 0 || r.Finished == 0 {
		t.Errorf("the second time: %+v", r)
	}
}

func TestRewrapOnANodeWithTheOldKeyringWaits(t *testing.T) {
	path, ring := newRing(t)
	old, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	w.register("ann")
	if _, err := seal.Rotate(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	w.startRewrap()
	for _, ring := range []*seal.Keyring{old, nil} {
		r := &Rewrapper{DB: w.DB, Store: New(Config{Keyring: ring})}
		if more, err := r.Step(t.Context()); more || !errs.Is(err, errs.Unavailable) {
			t.Errorf("got %v, %v", more, err)
		}
	}
	if r := w.rewrapping(); r.Seen != 0 || r.Finished != 0 {
		t.Errorf("progress %+v", r)
	}
}
