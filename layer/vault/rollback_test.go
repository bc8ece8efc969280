package vault

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

// back takes the environment back as the editor.
func (r *rig) back(to Rollback) (done RolledBack) {
	r.t.Helper()
	r.must(r.editor, func(s *Session) (err error) {
		done, err = s.RollBackEnvironment(r.env, to)
		return err
	})
	return done
}

func TestEnvironmentIsTakenBack(t *testing.T) {
	r := newRig(t)
	same, changed, gone, moved := r.mustCreate("SAME", "s"), r.mustCreate("CHANGED", "1"), r.mustCreate("GONE", "g"), r.mustCreate("MOVED", "m")
	start := r.now()
	before := r.values(r.admin)
	r.set(r.editor, changed.ID, "2")
	r.drop(gone.ID)
	r.rename(moved.ID, "ELSEWHERE")
	r.set(r.editor, same.ID, "t")
	r.set(r.editor, same.ID, "s")
	r.Advance(time.Second)
	r.mustCreate("FRESH", "f")
	now := r.values(r.admin)

	to := Rollback{At: Moment{unix: start}, DryRun: true}
	wanted := RolledBack{Restored: []string{"CHANGED", "GONE", "MOVED"}, Deleted: []string{"FRESH"}, Unchanged: 1, Unknown: []string{}}
	want(t, "a dry run", wanted, r.back(to))
	want(t, "values after a dry run", now, r.values(r.admin))

	to.DryRun = false
	r.ConflictNext(1)
	want(t, "what was done", wanted, r.back(to))
	want(t, "values", before, r.values(r.admin))
	if n := r.count(); n != 4 {
		t.Errorf("%d variables are counted", n)
	}
	want(t, "history of what was deleted", []string{"3 rolled_back GONE=g", "2 deleted GONE=-", "1 created GONE=g"}, r.history(r.editor, gone.ID))
	want(t, "history of what was renamed", []string{"3 rolled_back MOVED=m", "2 renamed ELSEWHERE=m", "1 created MOVED=m"}, r.history(r.editor, moved.ID))
	want(t, "history of what is the same", 3, len(r.history(r.editor, same.ID)))

	r.Advance(2 * KeepDeleted) // what is there again is kept
	want(t, "history after a long time", 3, len(r.history(r.editor, gone.ID)))
	want(t, "nothing to do", RolledBack{Restored: []string{}, Deleted: []string{}, Unchanged: 4, Unknown: []string{}}, r.back(to))
}

// Variables that have exchanged their keys exchange them again.
func TestKeysThatWereExchanged(t *testing.T) {
	r := newRig(t)
	a, b := r.mustCreate("A", "1"), r.mustCreate("B", "2")
	start := r.now()
	r.rename(a.ID, "C")
	r.rename(b.ID, "A")
	r.rename(a.ID, "B")
	want(t, "exchanged", map[string]string{"A": "2", "B": "1"}, r.values(r.admin))
	r.back(Rollback{At: Moment{unix: start}})
	want(t, "as they were", map[string]string{"A": "1", "B": "2"}, r.values(r.admin))
	for id, k := range map[uint64]string{a.ID: "A", b.ID: "B"} {
		r.must(r.editor, func(s *Session) error {
			v, err := s.Variable(id)
			want(t, "key", k, v.Key)
			return err
		})
	}
}

// A key whose variable was deleted and made again belongs to the first one
// again.
func TestKeyThatWasMadeAgain(t *testing.T) {
	r := newRig(t)
	first := r.mustCreate("KEY", "1")
	start := r.now()
	r.drop(first.ID)
	r.Advance(time.Second)
	second := r.mustCreate("KEY", "2")
	done := r.back(Rollback{At: Moment{unix: start}})
	want(t, "what was done", RolledBack{Restored: []string{"KEY"}, Deleted: []string{}, Unknown: []string{}}, done)
	want(t, "values", map[string]string{"KEY": "1"}, r.values(r.admin))
	wantKind(t, r.as(r.editor, func(s *Session) error { _, err := s.Variable(second.ID); return err }), errs.NotFound)
	r.must(r.editor, func(s *Session) error { _, err := s.Variable(first.ID); return err })
	r.back(Rollback{At: Moment{unix: r.now()}})
	r.Advance(time.Second)
	r.back(Rollback{At: Moment{unix: r.now() - 1}})
	want(t, "values", map[string]string{"KEY": "1"}, r.values(r.admin))
}

func TestOnlySomeKeysAreTakenBack(t *testing.T) {
	r := newRig(t)
	a, b, c := r.mustCreate("A", "1"), r.mustCreate("B", "1"), r.mustCreate("C", "1")
	start := r.now()
	r.set(r.editor, a.ID, "2")
	r.drop(b.ID)
	r.rename(c.ID, "CC")
	r.Advance(time.Second)
	r.mustCreate("D", "1")
	want(t, "by keys", RolledBack{Restored: []string{"B"}, Deleted: []string{"D"}, Unknown: []string{}},
		r.back(Rollback{At: Moment{unix: start}, Keys: []string{"B", "D"}}))
	want(t, "values", map[string]string{"A": "2", "B": "1", "CC": "1"}, r.values(r.admin))
	want(t, "by the key that it has", []string{"C"}, r.back(Rollback{At: Moment{unix: start}, Keys: []string{"CC"}}).Restored)
}

// What is left alone keeps its key, and who had it stays as it is.
func TestKeysOfWhatIsLeftAloneAreTaken(t *testing.T) {
	r := newRig(t)
	a, b := r.mustCreate("A", "1"), r.mustCreate("B", "2")
	start := r.now()
	r.rename(a.ID, "C")
	r.rename(b.ID, "A")
	r.Advance(time.Second)
	r.mustCreate("B", "3")
	done := r.back(Rollback{At: Moment{unix: start}, Keys: []string{"C"}}) // b, which is not asked for, has the key A
	want(t, "what was done", RolledBack{Restored: []string{}, Deleted: []string{}, Unknown: []string{"A"}}, done)
	want(t, "values", map[string]string{"A": "2", "B": "3", "C": "1"}, r.values(r.admin))
}

func TestWhatIsUnknownIsLeftAlone(t *testing.T) {
	r := newRig(t)
	many, one := r.mustCreate("MANY", "0"), r.mustCreate("ONE", "1")
	start := r.now()
	for n := range DefaultVersions + 1 {
		r.set(r.editor, many.ID, fmt.Sprint("v", n))
	}
	r.set(r.editor, one.ID, "2")
	done := r.back(Rollback{At: Moment{unix: start}})
	want(t, "what was done", RolledBack{Restored: []string{"ONE"}, Deleted: []string{}, Unknown: []string{"MANY"}}, done)
	want(t, "values", map[string]string{"MANY": "v10", "ONE": "1"}, r.values(r.admin))
}

func TestWhoMayTakeAnEnvironmentBack(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "1")
	start := r.now()
	r.set(r.editor, v.ID, "2")
	for _, dry := range []bool{true, false} {
		call := func(s *Session) error {
			_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: start}, DryRun: dry})
			return err
		}
		wantError(t, r.as(r.viewer, call), errs.Forbidden, textForbidden)
		wantKind(t, r.as(r.stranger, call), errs.NotFound)
	}
	want(t, "values", map[string]string{"KEY": "2"}, r.values(r.admin))
	wantFields(t, r.as(r.editor, func(s *Session) error {
		_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: r.now() + 10}})
		return err
	}), FieldErrors{"at": {"This time is in the future."}})
}

// What changes between the look at it and the commit is taken back too.
func TestChangesMeanwhileAreTakenBackToo(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "1")
	start := r.now()
	r.set(r.editor, v.ID, "2")
	first := true
	var done RolledBack
	r.must(r.editor, func(s *Session) (err error) {
		done, err = s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: start}})
		if first {
			first = false
			r.mustCreate("MEANWHILE", "x")
		}
		return err
	})
	want(t, "what was done", RolledBack{Restored: []string{"KEY"}, Deleted: []string{"MEANWHILE"}, Unknown: []string{}}, done)
	want(t, "values", map[string]string{"KEY": "1"}, r.values(r.admin))
}

func TestRollbackIsRecordedWithoutValues(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "1")
	start := r.now()
	r.set(r.editor, v.ID, "2")
	r.must(r.editor, func(s *Session) error { _, err := s.RollBackVariable(v.ID, 1); return err })
	r.set(r.editor, v.ID, "3")
	r.back(Rollback{At: Moment{unix: start}})
	var got []string
	r.must(r.admin, func(s *Session) error {
		page, err := s.AuditLog(AuditFilter{Action: "rollback"}, Paging{})
		got = nil
		for _, e := range page.Items {
			got = append(got, e.Action+" "+string(e.Details))
		}
		return err
	})
	if diff := cmp.Diff([]string{
		`environment_rolled_back {"at":"2023-11-14T22:13:20Z","deleted_count":0,"environment":"production","project":"Web App","restored_count":1,"unknown_count":0}`,
		`variable_rolled_back {"environment":"production","environment_name":"production","key":"KEY","project":"Web App","variable_key":"KEY","version":1}`,
	}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestRollbackHasBounds(t *testing.T) {
	r := newRig(t)
	start := r.now()
	r.Advance(time.Second)
	r.must(r.admin, func(s *Session) error { // as if made one by one, but fast
		for id := uint64(1); id <= maxRolledBack+1; id++ {
			row := &variableRow{ID: id, Created: s.now(), Updated: s.now(), Version: 1}
			s.tx.Set(byIDText(variableByte, r.env, fmt.Sprintf("K%d", id)), row.encode(), 0)
		}
		return nil
	})
	err := r.as(r.editor, func(s *Session) error {
		_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: start}})
		return err
	})
	wantKind(t, err, errs.TooLarge)
	want(t, "a part", 2, len(r.back(Rollback{At: Moment{unix: start}, Keys: []string{"K1", "K2"}}).Deleted))
}

func TestKeysThatAreNowhereAreNotTakenBack(t *testing.T) {
	r := newRig(t)
	v := r.mustCreate("KEY", "1")
	start := r.now()
	r.set(r.editor, v.ID, "2")
	for _, dry := range []bool{true, false} {
		err := r.as(r.editor, func(s *Session) error {
			_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: start}, Keys: []string{"KEY", "KYE"}, DryRun: dry})
			return err
		})
		if diff := cmp.Diff(FieldErrors{"keys": {`There is no variable "KYE".`}}, err); diff != "" {
			t.Errorf("dry run %v: %s", dry, diff)
		}
	}
	want(t, "values", map[string]string{"KEY": "2"}, r.values(r.admin))
}
