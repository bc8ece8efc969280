package vault

import (
	"errors"
	"fmt"
	"slices"
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

func (r *rig) load(user uint64, text string, overwrite bool) (got ImportResult, err error) {
	r.t.Helper()
	c, err := ReadImport(FormatEnv, text)
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.as(user, func(s *Session) (err error) {
		got, err = s.Import(r.env, c, overwrite)
		return err
	})
	return got, err
}

func (r *rig) values(user uint64) map[string]string {
	r.t.Helper()
	got := map[string]string{}
	r.must(user, func(s *Session) error {
		vs, err := s.EnvironmentVariables(r.env)
		for _, v := range vs {
			got[v.Key] = v.Value
		}
		return err
	})
	return got
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

func TestViewersExportWhereConfigured(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ViewerExport = true })
	r.must(r.viewer, func(s *Session) error { _, err := s.Export(r.env, FormatEnv, dotenv.Default); return err })
}

func TestVariablesAreFilteredAndPaged(t *testing.T) {
	r := newRig(t)
	for i := range 25 {
		r.mustCreate(fmt.Sprintf("K%02d", 24-i), "v")
	}
	r.mustCreate("DB_URL", "d")
	r.must(r.editor, func(s *Session) error {
		p, err := s.Variables(VariableFilter{}, Paging{Number: 2})
		if p.Count != 26 || len(p.Items) != 6 || p.Items[0].ID != 21 || len(s.Readings()) != 1 {
			t.Errorf("page 2: count %d, %d items, %d readings", p.Count, len(p.Items), len(s.Readings()))
		}
		return err
	})
	r.must(r.viewer, func(s *Session) error {
		p, err := s.Variables(VariableFilter{Environment: r.env, Key: "b_u"}, Paging{})
		if p.Count != 1 || p.Items[0].Key != "DB_URL" || p.Items[0].Value != MaskHidden {
			t.Errorf("by key: %+v", p)
		}
		return err
	})
}

func TestImportThenExport(t *testing.T) {
	r := newRig(t)
	got, err := r.load(r.editor, "B=2\nbad\nexport a='it'\\''s'\nE=", true)
	want := ImportResult{Imported: 3, Failed: 1, FailedLines: []FailedLine{{2, "", string(dotenv.NoEquals)}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if _, err = r.load(r.editor, "B=3\nNEW=1\nE=1", false); !slices.Equal(conflictsOf(err), []string{"B", "E"}) || !errs.Is(err, errs.Exists) {
		t.Errorf("without overwrite: %v, want the conflicts B and E", err)
	}
	if diff := cmp.Diff(map[string]string{"B": "2", "a": "it's", "E": ""}, r.values(r.admin)); diff != "" {
		t.Errorf("a refused import wrote (-want +got):\n%s", diff)
	}
	if got, err = r.load(r.editor, "B=3\nNEW=1", true); err != nil || got.Imported != 1 || got.Updated != 1 || r.count() != 4 {
		t.Errorf("overwriting: %+v, %v, count %d", got, err, r.count())
	}
	if v := r.mustCreate("LAST", "$"); v.ID != 5 {
		t.Errorf("the next id is %d, want 5", v.ID)
	}
	r.must(r.editor, func(s *Session) error {
		file, err := s.Export(r.env, FormatEnv, dotenv.Default)
		if err != nil {
			return err
		}
		head, body, _ := strings.Cut(string(file.Body), "\n\n")
		if want := "B=3\nE=\nLAST='$'\nNEW=1\na=\"it's\"\n"; body != want {
			t.Errorf("exported %q, want %q", body, want)
		}
		lines := strings.Split(head, "\n")
		if want := []string{"# Generated by KeyNest - Environment: production", "# Project: Web App", "# Organization: Acme"}; !slices.Equal(lines[:3], want) ||
			!strings.HasPrefix(lines[3], "# Generated on: ") || !strings.HasSuffix(lines[3], " UTC") || file.Filename != "Web App_production.env" {
			t.Errorf("head %q, file name %q", lines, file.Filename)
		}
		return nil
	})
	r.must(r.editor, func(s *Session) error {
		file, err := s.Export(r.env, FormatJSON, dotenv.Default)
		if err == nil && !strings.HasPrefix(string(file.Body), "{\n  \"B\": \"3\",\n  \"a\": ") {
			t.Errorf("JSON is not in the order of creation: %s", file.Body)
		}
		return err
	})
}

func conflictsOf(err error) []string {
	var c Conflicts
	errors.As(err, &c)
	return c
}

func TestImportIsWholeAfterAConflict(t *testing.T) {
	r := newRig(t)
	c, err := ReadImport(FormatEnv, "A=1\nB=2")
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	r.ConflictNext(1)
	r.must(r.editor, func(s *Session) error {
		runs++
		_, err := s.Import(r.env, c, false)
		return err
	})
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "2"}, r.values(r.admin)); runs != 2 || diff != "" || r.count() != 2 {
		t.Errorf("%d runs, count %d (-want +got):\n%s", runs, r.count(), diff)
	}
}

func TestCreateVariableOnceAfterAConflict(t *testing.T) {
	r := newRig(t)
	r.ConflictNext(1)
	if v := r.mustCreate("A", "x"); v.ID != 1 || r.count() != 1 {
		t.Errorf("id %d, count %d; want 1 and 1", v.ID, r.count())
	}
}

// The largest import there can be fits into one command.
func TestLargestImport(t *testing.T) {
	r := newRig(t)
	var text strings.Builder
	value := strings.Repeat("x", (MaxImport-20*MaxImported)/MaxImported)
	for i := range MaxImported {
		fmt.Fprintf(&text, "K%d=%s\n", i, value)
	}
	got, err := r.load(r.editor, text.String(), true)
	if err != nil || got.Imported != MaxImported || r.count() != MaxImported {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = r.load(r.editor, text.String(), true); err != nil || got.Updated != MaxImported || r.count() != MaxImported {
		t.Errorf("again: %d updated, %v", got.Updated, err)
	}
}

func TestBrokenValueIsMaskedAndNotExported(t *testing.T) {
	r := newRig(t)
	r.mustCreate("A", "x")
	r.mustCreate("B", "y")
	r.must(r.editor, func(s *Session) error { // A's ciphertext under B
		rec, _, err := s.tx.Get(byIDText(variableByte, r.env, "A"))
		s.tx.Set(byIDText(variableByte, r.env, "B"), rec.Value, 0)
		return err
	})
	if diff := cmp.Diff(map[string]string{"A": "x", "B": MaskDamaged}, r.values(r.admin)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := r.as(r.editor, func(s *Session) error { _, err := s.Export(r.env, FormatYAML, dotenv.Default); return err })
	var u Undecryptable
	if !errors.As(err, &u) || !slices.Equal(u, []string{"B"}) || !errs.Is(err, errs.Internal) {
		t.Errorf("export: %v, want B to be named", err)
	}
}

func TestNamesCannotAddLinesToAFile(t *testing.T) {
	if got, want := safe("a\nX=1\r\x00\"'/\\b\u2028é"), "a_X=1______b_é"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkEnvironmentVariables500(b *testing.B) {
	w := newWorld(b)
	user := w.user("ada")
	env := w.environment(user, w.project(user, w.organization(user, "Acme"), "Web"), "production")
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "KEY_%d=%040d\n", i, i)
	}
	c, err := ReadImport(FormatEnv, text.String())
	if err != nil {
		b.Fatal(err)
	}
	w.must(user, func(s *Session) error { _, err := s.Import(env, c, true); return err })
	for b.Loop() {
		w.must(user, func(s *Session) error {
			vs, err := s.EnvironmentVariables(env)
			if len(vs) != 500 {
				b.Fatalf("%d variables", len(vs))
			}
			return err
		})
	}
}

// What is stored is read by the nodes of the next version: these texts only
// grow.
func TestVariableRowsKeepTheirFormat(t *testing.T) {
	for _, tt := range []struct {
		row  any
		want string
	}{
		{variableRow{ID: 7, Value: []byte{1, 2}, Created: 3, Updated: 4, Creator: 5}, `{"id":7,"value":"AQI=","created":3,"updated":4,"creator":5}`},
		{variableRef{Environment: 6, Key: "A"}, `{"environment":6,"key":"A"}`},
	} {
		if got := string(encode(tt.row)); got != tt.want {
			t.Errorf("%T is stored as %s, want %s", tt.row, got, tt.want)
		}
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
