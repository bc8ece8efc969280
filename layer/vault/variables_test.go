package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// rig is a world with an organization of three members and an environment.
type rig struct {
	*world
	admin, editor, viewer, stranger uint64
	organization, env               uint64
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{world: newWorld(t, change...)}
	r.admin, r.stranger = r.user("ada"), r.user("eve")
	r.organization = r.world.organization(r.admin, "Acme")
	r.editor = r.member(r.admin, r.organization, Editor, "ed")
	r.viewer = r.member(r.admin, r.organization, Viewer, "vi")
	r.env = r.environment(r.admin, r.project(r.admin, r.organization, "Web App"), "production")
	return r
}

func (r *rig) create(user uint64, k, value string) (v Variable, err error) {
	r.t.Helper()
	err = r.as(user, func(s *Session) error {
		v, err = s.CreateVariable(VariableFields{Key: &k, Value: &value, Environment: &r.env})
		return err
	})
	return v, err
}

func (r *rig) mustCreate(k, value string) Variable {
	r.t.Helper()
	v, err := r.create(r.editor, k, value)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) count() (n int) {
	r.must(r.admin, func(s *Session) error {
		e, err := s.Environment(r.env)
		n = e.Variables
		return err
	})
	return n
}

func TestVariableIsCreatedReadChangedAndDeleted(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("API_KEY", " s3cret \n")
	if v.ID != 1 || v.Key != "API_KEY" || v.Value != " s3cret \n" || v.Environment != r.env || v.EnvironmentName != "production" || r.count() != 1 {
		t.Fatalf("created %+v, count %d", v, r.count())
	}
	r.must(r.editor, func(s *Session) error {
		got, err := s.Variable(v.ID)
		if diff := cmp.Diff(v, got); diff != "" || len(s.Readings()) != 1 {
			t.Errorf("%d readings; read (-created +got):\n%s", len(s.Readings()), diff)
		}
		return err
	})
	r.must(r.viewer, func(s *Session) error {
		got, err := s.Variable(v.ID)
		if got.Value != MaskHidden || len(s.Readings()) != 0 {
			t.Errorf("a viewer reads %q, %d readings", got.Value, len(s.Readings()))
		}
		return err
	})
	k, empty := "RENAMED", ""
	for _, fields := range []VariableFields{{Key: &k}, {Whole: true, Key: &k, Environment: &r.env}} {
		r.must(r.editor, func(s *Session) error {
			got, err := s.UpdateVariable(v.ID, fields)
			if got.Key != k || got.Value != v.Value {
				t.Errorf("renamed to %+v, want the value kept", got)
			}
			return err
		})
	}
	if diff := cmp.Diff(map[string]string{k: v.Value}, r.values(r.admin)); diff != "" {
		t.Errorf("after the change of key (-want +got):\n%s", diff)
	}
	r.must(r.editor, func(s *Session) error {
		got, err := s.UpdateVariable(v.ID, VariableFields{Value: &empty})
		if got.Value != "" {
			t.Errorf("emptied, got %q", got.Value)
		}
		return err
	})
	r.must(r.editor, func(s *Session) error { return s.DeleteVariable(v.ID) })
	if err := r.as(r.editor, func(s *Session) error { return s.DeleteVariable(v.ID) }); !errs.Is(err, errs.NotFound) || r.count() != 0 {
		t.Errorf("deleted twice: %v, count %d", err, r.count())
	}
	if again := r.mustCreate("RENAMED", ""); again.ID != 2 {
		t.Errorf("the id %d was given twice", again.ID)
	}
}

func TestVariableFields(t *testing.T) {
	r := newRig(t)
	r.mustCreate("TAKEN", "x")
	text := func(s string) *string { return &s }
	number := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name   string
		fields VariableFields
		kind   errs.Kind
		want   FieldErrors
	}{
		{"nothing", VariableFields{}, errs.Invalid, FieldErrors{"key": {textRequired}, "environment": {textRequired}}},
		{"a blank key", VariableFields{Key: text(" "), Environment: &r.env}, errs.Invalid, FieldErrors{"key": {"Variable key cannot be empty."}}},
		{"a lower-case key", VariableFields{Key: text("a"), Environment: &r.env}, errs.Invalid,
			FieldErrors{"key": {"Variable key must start with a letter and contain only uppercase letters, numbers, and underscores."}}},
		{"a long key", VariableFields{Key: text(strings.Repeat("A", 256)), Environment: &r.env}, errs.Invalid,
			FieldErrors{"key": {"Ensure this field has no more than 255 characters."}}},
		{"a long value", VariableFields{Key: text("A"), Value: text(strings.Repeat("é", MaxValue/2) + "x"), Environment: &r.env}, errs.Invalid,
			FieldErrors{"value": {"Ensure this field has no more than 65536 bytes."}}},
		{"NUL", VariableFields{Key: text("A"), Value: text("\x00"), Environment: &r.env}, errs.Invalid, FieldErrors{"value": {textNUL}}},
		{"not UTF-8", VariableFields{Key: text("A"), Value: text("\xff"), Environment: &r.env}, errs.Invalid, FieldErrors{"value": {"Not a valid string."}}},
		{"an unknown environment", VariableFields{Key: text("A"), Environment: number(999)}, errs.Invalid,
			FieldErrors{"environment": {`Invalid pk "999" - object does not exist.`}}},
		{"a key that is taken", VariableFields{Key: text("TAKEN"), Environment: &r.env}, errs.Exists, FieldErrors{"key": {textDuplicateKey}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := r.as(r.editor, func(s *Session) error {
				_, err := s.CreateVariable(tt.fields)
				return err
			})
			var got FieldErrors
			if !errs.Is(err, tt.kind) || !errors.As(err, &got) || cmp.Diff(tt.want, got) != "" {
				t.Errorf("got %v, want %v %v", err, tt.kind, tt.want)
			}
		})
	}
	v := r.mustCreate("OTHER", "")
	err := r.as(r.editor, func(s *Session) error {
		_, err := s.UpdateVariable(v.ID, VariableFields{Key: text("TAKEN")})
		return err
	})
	if !errs.Is(err, errs.Exists) {
		t.Errorf("renaming to a key that is taken: %v, want errs.Exists", err)
	}
}

func TestVariablesAtTheDoor(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("A", "x")
	c, _ := ReadImport(FormatEnv, "B=1")
	k := "B"
	calls := map[string]func(*Session) error{
		"create": func(s *Session) error {
			_, err := s.CreateVariable(VariableFields{Key: &k, Environment: &r.env})
			return err
		},
		"update": func(s *Session) error { _, err := s.UpdateVariable(v.ID, VariableFields{Key: &k}); return err },
		"delete": func(s *Session) error { return s.DeleteVariable(v.ID) },
		"import": func(s *Session) error { _, err := s.Import(r.env, c, true); return err },
		"export": func(s *Session) error { _, err := s.Export(r.env, FormatEnv, dotenv.Default); return err },
	}
	for name, call := range calls {
		if err := r.as(r.viewer, call); !errs.Is(err, errs.Forbidden) {
			t.Errorf("%s by a viewer: %v, want errs.Forbidden", name, err)
		}
		want := errs.NotFound
		if name == "create" {
			want = errs.Invalid // the environment is a field
		}
		if err := r.as(r.stranger, call); !errs.Is(err, want) {
			t.Errorf("%s by a stranger: %v, want %v", name, err, want)
		}
	}
	for name, call := range map[string]func(*Session) error{
		"read": func(s *Session) error { _, err := s.Variable(v.ID); return err },
		"list": func(s *Session) error { _, err := s.EnvironmentVariables(r.env); return err },
	} {
		if err := r.as(r.stranger, call); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s by a stranger: %v, want errs.NotFound", name, err)
		}
	}
	r.must(r.stranger, func(s *Session) error {
		p, err := s.Variables(VariableFilter{Environment: r.env}, Paging{})
		if p.Count != 0 {
			t.Errorf("a stranger lists %d", p.Count)
		}
		return err
	})
	if diff := cmp.Diff(map[string]string{"A": "x"}, r.values(r.admin)); diff != "" {
		t.Errorf("something was written (-want +got):\n%s", diff)
	}
}

func TestCreateVariableOnceAfterAConflict(t *testing.T) {
	r := newRig(t)
	r.ConflictNext(1)
	if v := r.mustCreate("A", "x"); v.ID != 1 || r.count() != 1 {
		t.Errorf("id %d, count %d; want 1 and 1", v.ID, r.count())
	}
}

func TestOneOfManyCreatorsOfAKeyWins(t *testing.T) {
	r := newRig(t)
	results := make(chan error)
	for range 4 {
		go func() {
			k := "A"
			results <- r.as(r.editor, func(s *Session) error {
				_, err := s.CreateVariable(VariableFields{Key: &k, Environment: &r.env})
				return err
			})
		}()
	}
	won := 0
	for range 4 {
		if err := <-results; err == nil {
			won++
		} else if !errs.Is(err, errs.Exists) {
			t.Errorf("a loser gets %v, want errs.Exists", err)
		}
	}
	if won != 1 || r.count() != 1 {
		t.Errorf("%d won, count %d; want 1 and 1", won, r.count())
	}
}
