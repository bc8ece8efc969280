package vault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// set gives a variable another value, a second after what came before.
func (r *rig) set(user, id uint64, value string) (v Variable) {
	r.t.Helper()
	r.Advance(time.Second)
	r.must(user, func(s *Session) (err error) {
		v, err = s.UpdateVariable(id, VariableFields{Value: &value})
		return err
	})
	return v
}

// rename gives a variable another key, a second after what came before.
func (r *rig) rename(id uint64, k string) {
	r.t.Helper()
	r.Advance(time.Second)
	r.must(r.editor, func(s *Session) error {
		_, err := s.UpdateVariable(id, VariableFields{Key: &k})
		return err
	})
}

func (r *rig) drop(id uint64) {
	r.t.Helper()
	r.Advance(time.Second)
	r.must(r.editor, func(s *Session) error { return s.DeleteVariable(id) })
}

func (r *rig) importText(text string) {
	r.t.Helper()
	r.Advance(time.Second)
	c, err := ReadImport(FormatEnv, text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(r.editor, func(s *Session) error {
		_, err := s.Import(r.env, c, true)
		return err
	})
}

// history lists the versions of a variable as "number change key=value", the
// newest first.
func (r *rig) history(user, id uint64) (lines []string) {
	r.t.Helper()
	r.must(user, func(s *Session) error {
		page, err := s.Versions(id, Paging{Size: MaxPageSize})
		lines = nil
		for i, v := range page.Items {
			value := "-"
			if v.Value != nil {
				value = *v.Value
			}
			lines = append(lines, fmt.Sprintf("%d %s %s=%s", v.Number, v.Change, v.Key, value))
			if v.Current != (i == 0) || v.Variable != id {
				r.t.Errorf("version %+v in place %d", v, i)
			}
		}
		return err
	})
	return lines
}

func want[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEveryChangeIsAVersion(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	want(t, "version of what was created", 1, v.Version)
	want(t, "version of what was updated", 2, r.set(r.admin, v.ID, "two").Version)
	r.rename(v.ID, "NAME")
	r.importText("NAME=four\nOTHER=x")
	want(t, "history", []string{"4 imported NAME=four", "3 renamed NAME=two", "2 updated KEY=two", "1 created KEY=one"}, r.history(r.editor, v.ID))
	want(t, "what a viewer sees", []string{"4 imported NAME=[HIDDEN]", "3 renamed NAME=[HIDDEN]", "2 updated KEY=[HIDDEN]", "1 created KEY=[HIDDEN]"},
		r.history(r.viewer, v.ID))
	r.must(r.editor, func(s *Session) error {
		shown, err := s.Version(v.ID, 2)
		want(t, "one version", Version{
			Variable: v.ID, Number: 2, Key: "KEY", Value: ptr("two"), Created: v.Created + 1, Author: r.admin, Change: "updated",
		}, shown)
		if n := len(s.Readings()); n != 1 || s.Readings()[0].event.Details["version"] != uint64(2) {
			t.Errorf("%d readings: %+v", n, s.Readings())
		}
		return err
	})
	r.must(r.editor, func(s *Session) error {
		_, err := s.Versions(v.ID, Paging{})
		if n := len(s.Readings()); n != 1 || s.Readings()[0].event.Details["version_count"] != 4 {
			t.Errorf("%d readings: %+v", n, s.Readings())
		}
		return err
	})
	r.must(r.viewer, func(s *Session) error {
		_, err := s.Versions(v.ID, Paging{})
		if n := len(s.Readings()); n != 0 {
			t.Errorf("a viewer has %d readings", n)
		}
		return err
	})
}

// Who imports the same file every day must not lose the history by it.
func TestAChangeOfNothingIsNoVersion(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	for range 3 {
		if got := r.set(r.editor, v.ID, "one"); got.Version != 1 || got.Updated != v.Updated {
			t.Errorf("the same value: %+v", got)
		}
		r.importText("KEY=one")
		r.rename(v.ID, "KEY")
	}
	want(t, "history", []string{"1 created KEY=one"}, r.history(r.editor, v.ID))
}

func TestTheLastVersionsAreKept(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "1")
	for n := 2; n <= DefaultVersions+5; n++ {
		r.set(r.editor, v.ID, fmt.Sprint(n))
	}
	kept := r.history(r.editor, v.ID)
	if len(kept) != DefaultVersions || kept[0] != "15 updated KEY=15" || kept[DefaultVersions-1] != "6 updated KEY=6" || r.keys(pastByte) != DefaultVersions-1 {
		t.Errorf("%d past versions stored, shown are %v", r.keys(pastByte), kept)
	}
	wantError(t, r.as(r.editor, func(s *Session) error { _, err := s.Version(v.ID, 5); return err }), errs.NotFound, "Version not found.")
	r.must(r.editor, func(s *Session) error {
		page, err := s.Versions(v.ID, Paging{Size: 4, Last: true})
		if page.Count != DefaultVersions || page.Number != 3 || len(page.Items) != 2 || page.Items[1].Number != 6 {
			t.Errorf("the last page is %+v", page)
		}
		return err
	})
}

func TestVersionsAreForMembersOfTheOrganization(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	r.set(r.editor, v.ID, "two")
	for name, call := range map[string]func(*Session) error{
		"list":     func(s *Session) error { _, err := s.Versions(v.ID, Paging{}); return err },
		"one":      func(s *Session) error { _, err := s.Version(v.ID, 1); return err },
		"rollback": func(s *Session) error { _, err := s.RollBackVariable(v.ID, 1); return err },
	} {
		wantKind(t, r.as(r.stranger, call), errs.NotFound)
		if err := r.as(r.viewer, call); (err != nil) != (name == "rollback") || err != nil && !errs.Is(err, errs.Forbidden) {
			t.Errorf("%s as a viewer: %v", name, err)
		}
	}
	want(t, "history", []string{"2 updated KEY=two", "1 created KEY=one"}, r.history(r.editor, v.ID))
}

func TestVariableIsRolledBack(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	r.set(r.editor, v.ID, "two")
	r.rename(v.ID, "NAME")
	r.ConflictNext(1) // it runs twice, and has one effect
	r.must(r.editor, func(s *Session) error {
		got, err := s.RollBackVariable(v.ID, 1)
		if got.Version != 4 || got.Key != "NAME" || got.Value != "one" {
			t.Errorf("rolled back to %+v", got)
		}
		return err
	})
	want(t, "history", "4 rolled_back NAME=one", r.history(r.editor, v.ID)[0])
	wantFields(t, r.as(r.editor, func(s *Session) error { _, err := s.RollBackVariable(v.ID, 4); return err }),
		FieldErrors{"version": {"This is the current version."}})
	wantError(t, r.as(r.editor, func(s *Session) error { _, err := s.RollBackVariable(v.ID, 5); return err }), errs.NotFound, "Version not found.")
}

// What changes between the read and the commit is what is pushed out then: no
// version is lost, and none is written twice.
func TestConcurrentChangesAreVersionsOfEachOther(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	first := true
	r.must(r.editor, func(s *Session) error {
		if first {
			first = false
			r.set(r.admin, v.ID, "between")
		}
		_, err := s.UpdateVariable(v.ID, VariableFields{Value: ptr("last")})
		return err
	})
	want(t, "history", []string{"3 updated KEY=last", "2 updated KEY=between", "1 created KEY=one"}, r.history(r.editor, v.ID))
}

func TestChangeOfACertainVersion(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	r.set(r.admin, v.ID, "two")
	update := func(user, version uint64, value string) error {
		return r.as(user, func(s *Session) error {
			_, err := s.UpdateVariable(v.ID, VariableFields{Value: &value, Version: &version})
			return err
		})
	}
	err := update(r.editor, 1, "stale")
	if !errs.Is(err, errs.Exists) || err.Error() != "The variable has changed." || err != (Outdated{2}) {
		t.Errorf("another version: %v", err)
	}
	wantKind(t, update(r.viewer, 1, "stale"), errs.Forbidden)
	wantKind(t, update(r.stranger, 1, "stale"), errs.NotFound)
	if err := update(r.editor, 2, "three"); err != nil {
		t.Fatal(err)
	}
	first := true
	err = r.as(r.editor, func(s *Session) error { // it was the version when this began
		if first {
			first = false
			r.set(r.admin, v.ID, "between")
		}
		_, err := s.UpdateVariable(v.ID, VariableFields{Value: ptr("late"), Version: ptr(uint64(3))})
		return err
	})
	if err != (Outdated{4}) {
		t.Errorf("changed between: %v", err)
	}
	want(t, "value", "between", r.value(r.editor, r.env, "KEY"))
}

// Versions of a release that kept none, and its value among the versions now.
func TestVariableOfTheFirstFormatGetsVersions(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("OLD", "before")
	_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
		k := byIDText(variableByte, r.env, "OLD")
		row, err := readVariable(tx, k)
		if err != nil {
			return err
		}
		p := []byte{variableFormat1, byte(v.ID)}
		for _, n := range []uint64{uint64(row.Created), uint64(row.Created) + 5, r.editor} { // changed after it was made
			for ; n >= 0x80; n >>= 7 {
				p = append(p, byte(n)|0x80)
			}
			p = append(p, byte(n))
		}
		tx.Set(k, append(p, row.Value...), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "history", []string{"1 updated OLD=before"}, r.history(r.editor, v.ID))
	r.Advance(time.Minute)
	r.set(r.editor, v.ID, "after")
	r.must(r.editor, func(s *Session) error {
		page, err := s.Versions(v.ID, Paging{})
		if len(page.Items) != 2 || page.Items[1].Author != 0 || page.Items[1].AuthorName != "" || page.Items[0].Author != r.editor {
			t.Errorf("authors of %+v", page.Items)
		}
		return err
	})
	r.must(r.editor, func(s *Session) error { _, err := s.RollBackVariable(v.ID, 1); return err })
	want(t, "value", "before", r.value(r.editor, r.env, "OLD"))
	_, unknown := r.then(v.Created + 1)
	want(t, "unknown before what is known", []string{"OLD"}, unknown)
}

// A moved project has its versions, sealed for where it is, and they still end
// when they would have.
func TestVersionsMoveWithTheirProject(t *testing.T) {
	r := newRig(t)
	v, gone := r.mustCreate("KEY", "one"), r.mustCreate("GONE", "soon")
	r.rename(v.ID, "NAME")
	r.set(r.admin, v.ID, "two")
	r.drop(gone.ID)
	second := r.world.organization(r.admin, "Second")
	r.Advance(KeepDeleted / 2)
	r.must(r.admin, func(s *Session) error {
		_, err := s.UpdateProject(1, ProjectFields{Organization: &second})
		return err
	})
	want(t, "history", []string{"3 updated NAME=two", "2 renamed NAME=one", "1 created KEY=one"}, r.history(r.admin, v.ID))
	values, _ := r.thenAs(r.admin, v.Created)
	want(t, "before the move", map[string]string{"KEY": "one", "GONE": "soon"}, values)
	r.Advance(KeepDeleted/2 + time.Second)
	values, _ = r.thenAs(r.admin, v.Created)
	want(t, "when the deleted one is forgotten", map[string]string{"KEY": "one"}, values)
}

// A version that does not open is shown as such, is not gone back to, and holds
// up nothing.
func TestVersionThatDoesNotOpen(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	r.set(r.admin, v.ID, "two")
	start := r.now()
	_, err := r.DB.Update(t.Context(), func(tx *kv.Tx) error {
		k := pastKey(r.env, v.ID, 1)
		rec, _, err := tx.Get(k)
		if err != nil {
			return err
		}
		old, err := decodePast(rec.Value)
		if err != nil {
			return err
		}
		old.row.Value[len(old.row.Value)-1]++
		tx.Set(k, old.encode(), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.set(r.admin, v.ID, "three")
	lines := []string{"3 updated KEY=three", "2 updated KEY=two", "1 created KEY=[DECRYPTION_ERROR]"}
	want(t, "history", lines, r.history(r.editor, v.ID))
	for _, back := range []func(*Session) error{
		func(s *Session) error { _, err := s.RollBackVariable(v.ID, 1); return err },
		func(s *Session) error {
			_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: v.Created}})
			return err
		},
	} {
		if err := r.as(r.editor, back); !errors.As(err, new(Undecryptable)) {
			t.Errorf("back to it: %v", err)
		}
	}
	second := r.world.organization(r.admin, "Second")
	r.must(r.admin, func(s *Session) error {
		_, err := s.UpdateProject(1, ProjectFields{Organization: &second})
		return err
	})
	want(t, "history after a move", lines, r.history(r.admin, v.ID))
	values, _ := r.thenAs(r.admin, start)
	want(t, "values", map[string]string{"KEY": "two"}, values)
}

func TestVersionsOfServiceTokensHaveTheirNames(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "one")
	_, text := r.issue(r.admin, ofProject(1))
	err := r.by(text, "", func(s *Session) error {
		_, err := s.UpdateVariable(v.ID, VariableFields{Value: ptr("two")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.must(r.editor, func(s *Session) error {
		got, err := s.Version(v.ID, 2)
		if got.Author != 0 || !strings.HasPrefix(got.AuthorName, "service token ") {
			t.Errorf("the author is %d, %q", got.Author, got.AuthorName)
		}
		return err
	})
}

func TestDeletedEnvironmentsLeaveNoVersions(t *testing.T) {
	r := newRig(t)
	v, gone := r.mustCreate("KEY", "one"), r.mustCreate("GONE", "x")
	r.set(r.editor, v.ID, "two")
	r.drop(gone.ID)
	staging := r.environment(r.admin, 1, "staging")
	r.env, staging = staging, r.env
	other := r.mustCreate("KEY", "other")
	r.set(r.editor, other.ID, "one")
	r.env = staging
	if n := r.keys(pastByte); n != 4 {
		t.Errorf("%d past versions", n)
	}
	r.must(r.admin, func(s *Session) error { return s.DeleteEnvironment(r.env) })
	if n := r.keys(pastByte); n != 1 {
		t.Errorf("%d past versions are left of another environment's one", n)
	}
	r.must(r.admin, func(s *Session) error { return s.DeleteOrganization(r.organization) })
	if n := r.keys(pastByte); n != 0 {
		t.Errorf("%d past versions are left", n)
	}
}

// More environments with versions than a command has room for spans.
func TestManyEnvironmentsAreDeletedWithTheirVersions(t *testing.T) {
	o := newOffice(t)
	row := (past{"A", &variableRow{ID: 1, Version: 1}}).encode()
	o.must(o.admin, func(s *Session) error { // as if made one by one, but fast
		for id := uint64(1001); id <= 2100; id++ {
			name := fmt.Sprintf("e%d", id)
			s.tx.Set(byID(environmentByte, id), encode(environmentRow{Project: o.project, Name: name}), 0)
			s.tx.Set(byIDs(environmentsByte, o.project, id), nil, 0)
			s.tx.Set(byIDText(nameByte, o.project, name), encodeID(id), 0)
			s.tx.Set(pastKey(id, 1, 1), row, 0)
			s.tx.Set(pastKey(id, 1, 2), row, 0)
		}
		addCount(s.tx, countEnvironments, o.project, 1100)
		return nil
	})
	o.must(o.admin, func(s *Session) error { return s.DeleteOrganization(o.organization) })
	if n := o.keys(pastByte); n != 0 {
		t.Errorf("%d past versions are left", n)
	}
}

func TestTooManyOldBytesAreNotImportedOver(t *testing.T) {
	r := newRig(t)
	var text strings.Builder
	for i := range 500 { // 31 MiB that an import of a few bytes would push out
		r.variable(r.admin, r.env, fmt.Sprintf("K%d", i), strings.Repeat("x", MaxValue))
		fmt.Fprintf(&text, "K%d=y\n", i)
	}
	c, err := ReadImport(FormatEnv, text.String())
	if err != nil {
		t.Fatal(err)
	}
	err = r.as(r.editor, func(s *Session) error { _, err := s.Import(r.env, c, true); return err })
	wantKind(t, err, errs.TooLarge)
	lines := strings.SplitAfter(text.String(), "\n")
	r.importText(strings.Join(lines[:250], ""))
	want(t, "value", "y", r.value(r.editor, r.env, "K249"))
}

// Past versions are as secret as values: what is stored holds neither.
func TestVersionsAreStoredSealed(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "very-secret-one")
	r.set(r.editor, v.ID, "very-secret-two")
	r.drop(v.ID)
	_, err := r.DB.View(t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan([]byte{layerByte}, []byte{layerByte + 1}) {
			if err != nil {
				return err
			}
			if strings.Contains(string(rec.Value), "very-secret") {
				t.Errorf("%q holds a value", rec.Key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNamesOfChanges(t *testing.T) {
	for c := changeCreated; c <= changePromoted; c++ {
		if changeNames[c] == "" {
			t.Errorf("change %d has no name", c)
		}
	}
	if got := change(99).String(); got != "updated" || len(changeNames) != int(changePromoted) {
		t.Errorf("a change of a later release reads as %q", got)
	}
	if slices.Contains([]string{changeCreated.String(), changeDeleted.String()}, "updated") {
		t.Error("two changes have one name")
	}
}
