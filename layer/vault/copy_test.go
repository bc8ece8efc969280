package vault

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// contents returns the values of an environment, and versions says which
// version each one is.
func (w *web) contents(environment uint64) (values map[string]string, versions map[string]uint64) {
	w.t.Helper()
	w.must(w.ada, func(s *Session) error {
		all, err := s.EnvironmentVariables(environment)
		values, versions = map[string]string{}, map[string]uint64{}
		for _, v := range all {
			values[v.Key], versions[v.Key] = v.Value, v.Version
		}
		return err
	})
	return values, versions
}

// holds compares the values of an environment.
func (w *web) holds(environment uint64, want map[string]string) {
	w.t.Helper()
	got, _ := w.contents(environment)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("environment %d (-want +got):\n%s", environment, diff)
	}
	w.must(w.ada, func(s *Session) error {
		e, err := s.Environment(environment)
		if e.Variables != len(want) {
			w.t.Errorf("environment %d counts %d variables, want %d", environment, e.Variables, len(want))
		}
		return err
	})
}

// fill gives an environment n variables K0, K1 and so on.
func (w *web) fill(environment uint64, n int, value string) {
	w.t.Helper()
	pairs := make([]pair, n)
	for i := range pairs {
		pairs[i] = pair{fmt.Sprint("K", i), value}
	}
	w.give(environment, pairs)
}

// give gives an environment variables, in one commit.
func (w *web) give(environment uint64, pairs []pair) {
	w.t.Helper()
	w.must(w.ada, func(s *Session) error {
		at, err := s.environment(environment, Import)
		if err != nil {
			return err
		}
		plan, err := s.planWriting(at, pairs)
		if err != nil {
			return err
		}
		return s.write(plan, changeImported)
	})
}

func (w *web) copy(user uint64, o CopyOrder) (done *Copied, err error) {
	w.t.Helper()
	err = w.as(user, func(s *Session) (err error) { done, err = s.Copy(w.common, o); return err })
	return done, err
}

func (w *web) promote(user uint64, o CopyOrder) (done *Copied, err error) {
	w.t.Helper()
	err = w.as(user, func(s *Session) (err error) { done, err = s.Promote(w.common, o); return err })
	return done, err
}

// entries returns the actions of an organization's audit log that a copy
// writes, with their details, the oldest first.
func (w *web) entries(org uint64) (got []string) {
	w.t.Helper()
	_, err := w.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		c := chain{organizationChain, org}
		head, err := c.head(tx)
		for n := uint64(1); err == nil && n <= head.Number; n++ {
			var e *AuditEntry
			if e, err = c.entry(tx, n); err == nil && e.TargetType == string(targetEnvironment) && e.Verb != string(verbCreate) {
				got = append(got, fmt.Sprintf("%s %d %s", e.Action, e.TargetID, e.Details))
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// newPair has in common what prod has partly, with another value, or not.
func newPair(t testing.TB) *web {
	w := newWeb(t)
	w.set(w.common, "SAME", "s", "DIFFERENT", "new ${SAME}", "ONLY", "o")
	w.set(w.prod, "SAME", "s", "DIFFERENT", "old", "EXTRA", "e")
	return w
}

func TestCopy(t *testing.T) {
	whole := map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"}
	for _, tt := range []struct {
		name  string
		order CopyOrder
		done  Copied
		err   error
		want  map[string]string
	}{
		{"a conflict", CopyOrder{}, Copied{}, Conflicts{"DIFFERENT"}, whole},
		{
			"with overwrite", CopyOrder{Overwrite: true}, Copied{[]string{"ONLY"}, []string{"DIFFERENT"}, []string{}, 1}, nil,
			map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o", "EXTRA": "e"},
		},
		{
			"keys, each once", CopyOrder{Keys: []string{"SAME", "ONLY", "SAME"}}, Copied{[]string{"ONLY"}, []string{}, []string{}, 1}, nil,
			map[string]string{"SAME": "s", "DIFFERENT": "old", "ONLY": "o", "EXTRA": "e"},
		},
		{"a key that conflicts", CopyOrder{Keys: []string{"DIFFERENT"}}, Copied{}, Conflicts{"DIFFERENT"}, whole},
		{"a copy removes nothing", CopyOrder{Keys: []string{"SAME"}, RemoveMissing: true}, Copied{[]string{}, []string{}, []string{}, 1}, nil, whole},
		{"a dry run", CopyOrder{Overwrite: true, DryRun: true}, Copied{[]string{"ONLY"}, []string{"DIFFERENT"}, []string{}, 1}, nil, whole},
		{"a dry run with a conflict", CopyOrder{DryRun: true}, Copied{}, Conflicts{"DIFFERENT"}, whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newPair(t)
			tt.order.To = &w.prod
			done, err := w.copy(w.ada, tt.order)
			if diff := cmp.Diff(tt.err, err); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if err == nil {
				if diff := cmp.Diff(tt.done, *done); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			w.holds(w.prod, tt.want)
			w.holds(w.common, map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o"})
		})
	}
}

func TestPromote(t *testing.T) {
	all := map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o"}
	with := map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o", "EXTRA": "e"}
	for _, tt := range []struct {
		name  string
		order CopyOrder
		done  Copied
		want  map[string]string
	}{
		{"all", CopyOrder{}, Copied{[]string{"ONLY"}, []string{"DIFFERENT"}, []string{}, 1}, with},
		{"and nothing else", CopyOrder{RemoveMissing: true}, Copied{[]string{"ONLY"}, []string{"DIFFERENT"}, []string{"EXTRA"}, 1}, all},
		{
			"the missing among keys", CopyOrder{RemoveMissing: true, Keys: []string{"ONLY", "EXTRA"}}, Copied{[]string{"ONLY"}, []string{}, []string{"EXTRA"}, 0},
			map[string]string{"SAME": "s", "DIFFERENT": "old", "ONLY": "o"},
		},
		{
			"not the missing of others", CopyOrder{RemoveMissing: true, Keys: []string{"ONLY"}}, Copied{[]string{"ONLY"}, []string{}, []string{}, 0},
			map[string]string{"SAME": "s", "DIFFERENT": "old", "ONLY": "o", "EXTRA": "e"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newPair(t)
			tt.order.To = &w.prod
			dry := tt.order
			dry.DryRun = true
			before := w.Commits()
			would, err := w.promote(w.ada, dry)
			if err != nil || w.entries(w.org) != nil {
				t.Errorf("a dry run: %v, %d commits, %v", err, w.Commits()-before, w.entries(w.org))
			}
			w.holds(w.prod, map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"})
			done, err := w.promote(w.ada, tt.order)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(would, done); diff != "" {
				t.Errorf("a dry run says otherwise (-dry +done):\n%s", diff)
			}
			if diff := cmp.Diff(tt.done, *done); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			w.holds(w.prod, tt.want)
			again, err := w.promote(w.ada, CopyOrder{To: &w.prod, Keys: []string{"SAME", "ONLY"}})
			if err != nil || again.Unchanged != 2 || len(again.Created)+len(again.Updated) > 0 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// What has its value already gets no version; the others get one, made by a
// promotion.
func TestCopiesAreVersions(t *testing.T) {
	w := newPair(t)
	w.ConflictNext(2)
	if _, err := w.promote(w.ada, CopyOrder{To: &w.prod}); err != nil {
		t.Fatal(err)
	}
	_, got := w.contents(w.prod)
	if diff := cmp.Diff(map[string]uint64{"SAME": 1, "DIFFERENT": 2, "EXTRA": 1, "ONLY": 1}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	w.must(w.ada, func(s *Session) error {
		row, err := readVariable(s.tx, byIDText(variableByte, w.prod, "DIFFERENT"))
		if err == nil && (row.Change != changePromoted || row.Author != w.ada) {
			t.Errorf("it was %s by %d", row.Change, row.Author)
		}
		return err
	})
}

func TestCopiesAreRecorded(t *testing.T) {
	w := newPair(t)
	viewed := fmt.Sprintf(`environment_viewed %d {"environment":"common","project":"Web","variable_count":3}`, w.common)
	if _, err := w.copy(w.ada, CopyOrder{To: &w.prod, Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.promote(w.ada, CopyOrder{To: &w.prod, RemoveMissing: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		viewed,
		fmt.Sprintf(`environment_copied %d {"created_count":1,"environment":"prod","overwrite_enabled":true,"project":"Web","source_environment":"common",`+
			`"source_environment_id":%d,"source_project":"Web","unchanged_count":1,"updated_count":1}`, w.prod, w.common),
		viewed,
		fmt.Sprintf(`environment_promoted %d {"created_count":0,"deleted_count":1,"environment":"prod","project":"Web","remove_missing":true,"source_environment":"common",`+
			`"source_environment_id":%d,"source_project":"Web","unchanged_count":3,"updated_count":0}`, w.prod, w.common),
	}
	if diff := cmp.Diff(want, w.entries(w.org)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := w.world.organization(w.ada, "Other")
	theirs := w.environment(w.ada, w.world.project(w.ada, other, "Theirs"), "theirs")
	if _, err := w.copy(w.ada, CopyOrder{To: &theirs, Keys: []string{"SAME"}}); err != nil {
		t.Fatal(err)
	}
	w.holds(theirs, map[string]string{"SAME": "s"})
	want = []string{fmt.Sprintf(`environment_copied %d {"created_count":1,"environment":"theirs","overwrite_enabled":false,"project":"Theirs",`+
		`"source_environment_id":%d,"unchanged_count":0,"updated_count":0}`, theirs, w.common)}
	if diff := cmp.Diff(want, w.entries(other)); diff != "" {
		t.Errorf("in another organization, which is not told names (-want +got):\n%s", diff)
	}
	w.must(w.ada, func(s *Session) error {
		_, err := s.Copy(w.common, CopyOrder{To: &w.prod, Overwrite: true, DryRun: true})
		if n := len(s.Readings()); n != 2 {
			t.Errorf("%d readings of a dry run", n)
		}
		return err
	})
}

// Who lacks a right in one of the environments changes nothing.
func TestCopiesNeedRightsInBoth(t *testing.T) {
	w := newPair(t)
	other := w.world.organization(w.ada, "Other")
	theirs := w.environment(w.ada, w.world.project(w.ada, other, "Theirs"), "theirs")
	vic, eve, out := w.member(w.ada, w.org, Viewer, "vic"), w.member(w.ada, w.org, Editor, "eve"), w.user("out")
	w.must(w.ada, func(s *Session) error { _, err := s.Invite(other, "eve@example.com", "viewer"); return err })
	before := len(w.entries(w.org)) + len(w.entries(other))
	for _, dry := range []bool{false, true} {
		for name, call := range map[string]func(uint64, CopyOrder) (*Copied, error){"copy": w.copy, "promote": w.promote} {
			_, err := call(vic, CopyOrder{To: &w.prod, DryRun: dry})
			wantError(t, err, errs.Forbidden, textForbidden)
			_, err = call(out, CopyOrder{To: &w.prod, DryRun: dry})
			wantKind(t, err, errs.NotFound)
			_, err = call(eve, CopyOrder{To: &theirs, DryRun: dry})
			wantError(t, err, errs.Forbidden, refusals[Import])
			_, err = call(eve, CopyOrder{To: ptr(uint64(99)), DryRun: dry})
			wantFields(t, err, FieldErrors{"to": {`Invalid pk "99" - object does not exist.`}})
			if t.Failed() {
				t.Fatalf("%s, dry run %t", name, dry)
			}
		}
	}
	wantKind(t, w.as(eve, func(s *Session) error { _, err := s.Promote(theirs, CopyOrder{To: &w.prod}); return err }), errs.Forbidden)
	w.holds(w.prod, map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"})
	w.holds(theirs, map[string]string{})
	if after := len(w.entries(w.org)) + len(w.entries(other)); after != before {
		t.Errorf("%d entries more", after-before)
	}
	if _, err := w.promote(eve, CopyOrder{To: &w.prod, RemoveMissing: true}); err != nil {
		t.Errorf("an editor: %v", err)
	}
}

func TestCopyOrders(t *testing.T) {
	w := newPair(t)
	many := make([]string, MaxCopied+1)
	for i := range many {
		many[i] = fmt.Sprint("K", i)
	}
	for _, tt := range []struct {
		name  string
		order CopyOrder
		want  FieldErrors
	}{
		{"nowhere to go", CopyOrder{}, FieldErrors{"to": {textRequired}}},
		{"to itself", CopyOrder{To: &w.common}, FieldErrors{"to": {"This is the environment itself."}}},
		{"no keys", CopyOrder{To: &w.prod, Keys: []string{}}, FieldErrors{"keys": {"This list may not be empty."}}},
		{"too many keys", CopyOrder{To: &w.prod, Keys: many}, FieldErrors{"keys": {"Ensure this field has no more than 1000 elements."}}},
		{"unknown keys", CopyOrder{To: &w.prod, Keys: []string{"ONLY", "B", "A"}}, FieldErrors{"keys": {`There is no variable "A".`, `There is no variable "B".`}}},
		{"what the target alone has", CopyOrder{To: &w.prod, Keys: []string{"EXTRA"}}, FieldErrors{"keys": {`There is no variable "EXTRA".`}}},
		{"an unknown key that is long", CopyOrder{To: &w.prod, Keys: []string{strings.Repeat("é", 500)}}, FieldErrors{"keys": {`There is no variable "` + strings.Repeat("é", 127) + `".`}}},
	} {
		_, err := w.copy(w.ada, tt.order)
		if wantFields(t, err, tt.want); t.Failed() {
			t.Fatal(tt.name)
		}
	}
	_, err := w.promote(w.ada, CopyOrder{To: &w.prod, Keys: many[:MaxCopied], RemoveMissing: true})
	var f FieldErrors
	if !errors.As(err, &f) || len(f["keys"]) != maxNamed {
		t.Errorf("a thousand unknown keys: %v", err)
	}
	w.holds(w.prod, map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"})
}

func TestTooMuchIsNotCopiedAtOnce(t *testing.T) {
	t.Run("variables", func(t *testing.T) {
		w := newWeb(t)
		w.fill(w.common, MaxCopied, "x")
		w.set(w.common, "MORE", "x")
		_, err := w.copy(w.ada, CopyOrder{To: &w.prod})
		wantKind(t, err, errs.TooLarge)
		w.holds(w.prod, map[string]string{})
		w.set(w.prod, "MORE", "x") // what is there already costs nothing
		if done, err := w.copy(w.ada, CopyOrder{To: &w.prod}); err != nil || len(done.Created) != MaxCopied || done.Unchanged != 1 {
			t.Errorf("%v", err)
		}
		empty := w.environment(w.ada, w.project, "empty")
		err = w.as(w.ada, func(s *Session) error {
			_, err := s.Promote(empty, CopyOrder{To: &w.prod, RemoveMissing: true})
			return err
		})
		wantKind(t, err, errs.TooLarge)
	})
	t.Run("bytes", func(t *testing.T) { // new values and old ones, which are kept
		const n = maxWritten / MaxValue / 2
		big := pair{"K", strings.Repeat("x", MaxValue)}
		old := &variableRow{Value: []byte(big.value)}
		at := &place{environment: new(environmentRow)}
		few, many, replacing := writing{at: at}, writing{at: at}, writing{at: at}
		for range n {
			few.items = append(few.items, item{pair: big}, item{pair: big, row: old, same: true})
			many.items = append(many.items, item{pair: big}, item{pair: big})
			replacing.items = append(replacing.items, item{pair: big, row: old})
		}
		gone := make([]held, n)
		for i := range gone {
			gone[i] = held{"K", old}
		}
		if err := few.fits(nil); err != nil {
			t.Error(err)
		}
		wantKind(t, many.fits(nil), errs.TooLarge)
		wantKind(t, replacing.fits(nil), errs.TooLarge)
		wantKind(t, few.fits(gone), errs.TooLarge)
	})
}

func TestBrokenValuesAreNotCopied(t *testing.T) {
	w := newPair(t)
	breakValue := func(environment uint64, key string) {
		w.must(w.ada, func(s *Session) error {
			k := byIDText(variableByte, environment, key)
			row, err := readVariable(s.tx, k)
			if err == nil {
				row.Value = append([]byte(nil), row.Value...)
				row.Value[len(row.Value)-1] ^= 1
				s.tx.Set(k, row.encode(), 0)
			}
			return err
		})
	}
	breakValue(w.prod, "SAME") // is mended by a copy
	done, err := w.promote(w.ada, CopyOrder{To: &w.prod})
	if err != nil || cmp.Diff([]string{"DIFFERENT", "SAME"}, done.Updated) != "" {
		t.Errorf("%+v, %v", done, err)
	}
	breakValue(w.common, "SAME")
	_, err = w.promote(w.ada, CopyOrder{To: &w.prod})
	if diff := cmp.Diff(Undecryptable{"SAME"}, err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.holds(w.prod, map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o", "EXTRA": "e"})
}
