package vault

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// world is a store with verbs that fail the test.
type world struct {
	t testing.TB
	*kvtest.Store
	s *Store
}

// cheap lets tests hash passwords in no time.
var cheap = seal.Cost{Passes: 1, KiB: 64}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Keyring: ring, PasswordCost: cheap}
	for _, c := range change {
		c(&cfg)
	}
	return &world{t: t, Store: kvtest.New(t), s: New(cfg)}
}

// user makes an account that has NAME@example.com and no token.
func (w *world) user(name string) (id uint64) {
	w.t.Helper()
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) (err error) {
		if id, err = nextID(tx, "user"); err != nil {
			return err
		}
		row := userRow{Username: name, Email: name + "@example.com", Joined: tx.Now() / 1000, UID: []byte(name)}
		tx.Set(byID(userByte, id), encode(row), 0)
		tx.Set(byText(emailByte, row.Email), encodeID(id), 0)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// as runs fn as a user in an Update and returns its error.
func (w *world) as(user uint64, fn func(*Session) error) error {
	w.t.Helper()
	draw := NewDraw()
	_, err := w.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		row, err := w.s.userByID(tx, user)
		if err != nil {
			return err
		}
		return fn(w.s.session(tx, user, row, Client{IP: "192.0.2.1", Draw: draw}))
	})
	return err
}

// must is as, but an error fails the test.
func (w *world) must(user uint64, fn func(*Session) error) {
	w.t.Helper()
	if err := w.as(user, fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) organization(user uint64, name string) (id uint64) {
	w.t.Helper()
	w.must(user, func(s *Session) error {
		o, err := s.CreateOrganization(OrganizationFields{Name: &name})
		id = o.ID
		return err
	})
	return id
}

func (w *world) project(user, organization uint64, name string) (id uint64) {
	w.t.Helper()
	w.must(user, func(s *Session) error {
		p, err := s.CreateProject(ProjectFields{Name: &name, Organization: &organization})
		id = p.ID
		return err
	})
	return id
}

func (w *world) environment(user, project uint64, name string) (id uint64) {
	w.t.Helper()
	w.must(user, func(s *Session) error {
		e, err := s.CreateEnvironment(EnvironmentFields{Name: &name, Project: &project})
		id = e.ID
		return err
	})
	return id
}

// variable stores a variable as its creation does, but by itself: what moves
// and deletes variables is tested without what makes them.
func (w *world) variable(user, environment uint64, name, value string) (id uint64) {
	w.t.Helper()
	w.must(user, func(s *Session) error {
		at, err := s.environment(environment, CreateVariable)
		if err != nil {
			return err
		}
		if id, err = nextID(s.tx, "variable"); err != nil {
			return err
		}
		sealed, err := s.sealValue(at.organization, at.environment, name, []byte(value))
		s.tx.Set(byIDText(variableByte, environment, name), (&variableRow{ID: id, Value: sealed, Creator: user, Version: 1}).encode(), 0)
		s.tx.Set(byID(variableIDByte, id), encode(variableRef{environment, name}), 0)
		s.tx.Set(byIDs(variablesByte, environment, id), []byte(name), 0)
		addCount(s.tx, countVariables, environment, 1)
		return err
	})
	return id
}

// value opens a stored variable.
func (w *world) value(user, environment uint64, name string) (value string) {
	w.t.Helper()
	w.must(user, func(s *Session) error {
		at, err := s.environment(environment, ReadValue)
		if err != nil {
			return err
		}
		row, err := readVariable(s.tx, byIDText(variableByte, environment, name))
		if err != nil || row == nil {
			return errors.Join(err, errs.E(errs.NotFound, "no variable %s", name))
		}
		p, err := s.openValue(at.organization, at.environment, name, row.Value)
		value = string(p)
		return err
	})
	return value
}

// member invites a new user, called like its role, into an organization.
func (w *world) member(admin, organization uint64, r Role, name string) (id uint64) {
	w.t.Helper()
	id = w.user(name)
	w.must(admin, func(s *Session) error {
		_, err := s.Invite(organization, name+"@example.com", string(r))
		return err
	})
	return id
}

// keys returns how many keys there are of a kind.
func (w *world) keys(kind byte) (n int) {
	w.t.Helper()
	_, err := w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		for _, err := range tx.Scan([]byte{layerByte, kind}, []byte{layerByte, kind + 1}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func wantKind(t testing.TB, err error, want errs.Kind) {
	t.Helper()
	if err == nil || errs.KindOf(err) != want {
		t.Errorf("got %v, want an error of kind %v", err, want)
	}
}

// wantError compares the kind and the text that a client reads.
func wantError(t testing.TB, err error, kind errs.Kind, text string) {
	t.Helper()
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Msg != text {
		t.Errorf("got %v, want %v: %s", err, kind, text)
	}
}

// wantFields compares what is wrong with the fields of a request.
func wantFields(t testing.TB, err error, want FieldErrors) {
	t.Helper()
	var got FieldErrors
	errors.As(err, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v: fields (-want +got):\n%s", err, diff)
	}
}

func ptr[T any](v T) *T { return &v }
