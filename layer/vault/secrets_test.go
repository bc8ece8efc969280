package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
)

// sealing is an organization with a data key, and a session that seals.
func sealing(t *testing.T, ring *seal.Keyring) (*Session, *organizationRow) {
	t.Helper()
	s := &Session{store: New(Config{Keyring: ring}), draw: NewDraw()}
	o := &organizationRow{UID: bytes.Repeat([]byte{1}, uidSize)}
	if err := s.addDataKey(o); err != nil {
		t.Fatal(err)
	}
	return s, o
}

func newRing(t *testing.T) (string, *seal.Keyring) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring")
	ring, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, ring
}

func TestValuesOpenInTheirPlaceOnly(t *testing.T) {
	_, ring := newRing(t)
	s, o := sealing(t, ring)
	_, other := sealing(t, ring)
	other.UID[0] = 2
	e, elsewhere := &environmentRow{UID: make([]byte, uidSize)}, &environmentRow{UID: bytes.Repeat([]byte{9}, uidSize)}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value")
		p, err := s.sealValue(o, e, "KEY", value)
		if err != nil {
			t.Fatal(err)
		}
		if len(p) != len(value)+valueOverhead {
			t.Errorf("%d bytes seal to %d", len(value), len(p))
		}
		if got, err := s.openValue(o, e, "KEY", p); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("opens as %x, %v, want %x", got, err, value)
		}
		for what, open := range map[string]func() ([]byte, error){
			"another key":          func() ([]byte, error) { return s.openValue(o, e, "KEY2", p) },
			"another environment":  func() ([]byte, error) { return s.openValue(o, elsewhere, "KEY", p) },
			"another organization": func() ([]byte, error) { return s.openValue(other, e, "KEY", p) },
			"a changed byte": func() ([]byte, error) {
				bad := bytes.Clone(p)
				bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= 1
				return s.openValue(o, e, "KEY", bad)
			},
			"a cut": func() ([]byte, error) { return s.openValue(o, e, "KEY", p[:len(p)-1]) },
		} {
			if got, err := open(); !errs.Is(err, errs.Internal) {
				t.Errorf("%s: %x, %v", what, got, err)
			}
		}
	})
}

// Who can write to the store cannot bring a secret to where somebody may read it.
func TestStoredSecretsDoNotOpenElsewhere(t *testing.T) {
	_, ring := newRing(t)
	w := newWorld(t, func(c *Config) { c.Keyring = ring })
	ann, bob := w.user("ann"), w.user("bob")
	acme, other := w.organization(ann, "Acme"), w.organization(bob, "Other")
	web, bobs := w.project(ann, acme, "Web"), w.project(bob, other, "Bobs")
	production, staging, theirs := w.environment(ann, web, "production"), w.environment(ann, web, "staging"), w.environment(bob, bobs, "production")
	w.variable(ann, production, "KEY", "secret")
	organization := func(s *Session, change func(from, to *organizationRow)) error {
		from, err := readRow[organizationRow](s.tx, byID(organizationByte, acme))
		to, err2 := readRow[organizationRow](s.tx, byID(organizationByte, other))
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		change(from, to)
		s.tx.Set(byID(organizationByte, other), encode(to), 0)
		return nil
	}
	for _, to := range []struct {
		what       string
		user, into uint64
		name       string
		change     func(from, to *organizationRow) // of the organizations
	}{
		{"another key", ann, production, "KEY2", nil},
		{"another environment", ann, staging, "KEY", nil},
		{"another organization", bob, theirs, "KEY", nil},
		{"with the data key", bob, theirs, "KEY", func(from, to *organizationRow) { to.Keys = from.Keys }},
		{"with what the data key is bound to", bob, theirs, "KEY", func(from, to *organizationRow) { to.UID = from.UID }},
	} {
		w.must(ann, func(s *Session) error {
			row, err := readVariable(s.tx, byIDText(variableByte, production, "KEY"))
			if err == nil && to.change != nil {
				err = organization(s, to.change)
			}
			if err == nil {
				s.tx.Set(byIDText(variableByte, to.into, to.name), row.encode(), 0)
			}
			return err
		})
		wantKind(t, w.as(to.user, func(s *Session) error {
			at, err := s.environment(to.into, ReadValue)
			if err != nil {
				return err
			}
			row, err := readVariable(s.tx, byIDText(variableByte, to.into, to.name))
			if err != nil {
				return err
			}
			p, err := s.openValue(at.organization, at.environment, to.name, row.Value)
			if err == nil {
				t.Errorf("%s: it opens as %q", to.what, p)
			}
			return err
		}), errs.Internal)
	}
	if got := w.value(ann, production, "KEY"); got != "secret" {
		t.Errorf("where it belongs it opens as %q", got)
	}
}

// A transaction that runs again seals the same alike, and what has changed in
// between with another nonce.
func TestNoncesOfTwoRuns(t *testing.T) {
	_, ring := newRing(t)
	s, o := sealing(t, ring)
	e := &environmentRow{UID: make([]byte, uidSize)}
	run := func(draw Draw, key, value string) []byte {
		t.Helper()
		again := &Session{store: s.store, draw: draw}
		p, err := again.sealValue(o, e, key, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := run(s.draw, "K", "value")
	if !bytes.Equal(first, run(s.draw, "K", "value")) {
		t.Error("the same differs in the second run")
	}
	seen := map[string]bool{string(first[valueHead : valueHead+nonceSize]): true}
	for i, p := range [][]byte{run(s.draw, "K", "other"), run(s.draw, "L", "value"), run(s.draw, "Kv", "alue"), run(NewDraw(), "K", "value")} {
		nonce := string(p[valueHead : valueHead+nonceSize])
		if seen[nonce] {
			t.Errorf("%d: a nonce came twice", i)
		}
		seen[nonce] = true
	}
	if _, err := (&Session{store: s.store}).sealValue(o, e, "K", nil); !errs.Is(err, errs.Internal) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestOldDataKeysStillOpen(t *testing.T) {
	_, ring := newRing(t)
	s, o := sealing(t, ring)
	e := &environmentRow{UID: make([]byte, uidSize)}
	p, err := s.sealValue(o, e, "K", []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.addDataKey(o); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(o.Keys[0].Wrapped, o.Keys[1].Wrapped) || o.Keys[1].ID != 2 {
		t.Errorf("keys %+v", o.Keys)
	}
	if got, err := s.openValue(o, e, "K", p); err != nil || string(got) != "v" {
		t.Errorf("opens as %q, %v", got, err)
	}
	if p, err = s.sealValue(o, e, "K", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if id, err := keyOf(p); err != nil || id != 2 {
		t.Errorf("sealed with data key %d, %v", id, err)
	}
	o.Keys = o.Keys[:1]
	if _, err := s.openValue(o, e, "K", p); !errs.Is(err, errs.Internal) {
		t.Errorf("a data key that is gone: %v", err)
	}
}

func TestANodeThatLacksTheMasterKey(t *testing.T) {
	path, ring := newRing(t)
	old, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := seal.Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reload(); err != nil {
		t.Fatal(err)
	}
	s, o := sealing(t, ring)
	e := &environmentRow{UID: make([]byte, uidSize)}
	p, err := s.sealValue(o, e, "K", []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	behind := &Session{store: New(Config{Keyring: old}), draw: NewDraw()}
	_, err = behind.openValue(o, e, "K", p)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), id) {
		t.Errorf("with the old keyring: %v, want it to name %s", err, id)
	}
	bare := &Session{store: New(Config{}), draw: NewDraw()}
	for _, err := range []error{
		bare.addDataKey(&organizationRow{UID: o.UID}),
		func() error { _, err := bare.openValue(o, e, "K", p); return err }(),
		func() error { _, err := bare.sealValue(o, e, "K", nil); return err }(),
		func() error { _, err := bare.giveToken(&userRow{}); return err }(),
	} {
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "--keyring-file") {
			t.Errorf("without a keyring: %v", err)
		}
	}
	// The file arrives, and the node is told to read it.
	if _, err := old.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, err := behind.openValue(o, e, "K", p); err != nil || string(got) != "v" {
		t.Errorf("after a reload: %q, %v", got, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestADrawShowsNothing(t *testing.T) {
	d := NewDraw()
	if text := fmt.Sprintf("%v %+v %#v %x", d, d, Client{Draw: d}, d); strings.Contains(text, fmt.Sprintf("%x", d.seed)) || strings.Count(text, "[draw]") != 4 {
		t.Errorf("prints %s", text)
	}
}

// onlyKey loads a keyring file without one of its keys.
func onlyKey(t *testing.T, path, without string) *seal.Keyring {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Primary string              `json:"primary"`
		Keys    []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(p, &file); err != nil {
		t.Fatal(err)
	}
	file.Keys = slices.DeleteFunc(file.Keys, func(k map[string]string) bool { return k["id"] == without })
	if p, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "alone")
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
