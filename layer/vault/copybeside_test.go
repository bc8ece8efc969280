package vault

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
)

// What changes between what a copy reads and its commit is seen: it is as if
// the copy had come after that.
func TestCopiesBesideOtherChanges(t *testing.T) {
	update := func(w *web, environment uint64, key, value string) {
		w.must(w.ada, func(s *Session) error {
			content, err := ReadImport(FormatJSON, fmt.Sprintf(`{%q:%q}`, key, value))
			if err == nil {
				_, err = s.Import(environment, content, true)
			}
			return err
		})
	}
	for _, tt := range []struct {
		name      string
		order     CopyOrder
		meanwhile func(w *web, eve uint64)
		err       errs.Kind // of the copy, if it is to fail
		want      map[string]string
	}{
		{
			"a value of the source", CopyOrder{Overwrite: true}, func(w *web, _ uint64) { update(w, w.common, "ONLY", "changed") }, 0,
			map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "changed", "EXTRA": "e"},
		},
		{
			"a new key of the source", CopyOrder{Overwrite: true}, func(w *web, _ uint64) { update(w, w.common, "FRESH", "f") }, 0,
			map[string]string{"SAME": "s", "DIFFERENT": "new ${SAME}", "ONLY": "o", "FRESH": "f", "EXTRA": "e"},
		},
		{
			"a value of the target", CopyOrder{Keys: []string{"SAME"}, Overwrite: true}, func(w *web, _ uint64) { update(w, w.prod, "SAME", "other") }, 0,
			map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"},
		},
		{
			"a conflict that comes up", CopyOrder{Keys: []string{"ONLY"}}, func(w *web, _ uint64) { update(w, w.prod, "ONLY", "theirs") }, errs.Exists,
			map[string]string{"SAME": "s", "DIFFERENT": "old", "ONLY": "theirs", "EXTRA": "e"},
		},
		{
			"the right in both", CopyOrder{Overwrite: true}, func(w *web, eve uint64) {
				w.must(w.ada, func(s *Session) error { _, _, err := s.ChangeRole(w.org, fmt.Sprint(eve), "viewer"); return err })
			}, errs.Forbidden,
			map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"},
		},
		{
			"membership", CopyOrder{Overwrite: true}, func(w *web, eve uint64) {
				w.must(w.ada, func(s *Session) error { _, err := s.RemoveMember(w.org, fmt.Sprint(eve)); return err })
			}, errs.NotFound,
			map[string]string{"SAME": "s", "DIFFERENT": "old", "EXTRA": "e"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newPair(t)
			eve := w.member(w.ada, w.org, Editor, "eve")
			tt.order.To = &w.prod
			runs := 0
			err := w.as(eve, func(s *Session) error {
				_, err := s.Copy(w.common, tt.order)
				if runs++; runs == 1 {
					tt.meanwhile(w, eve)
				}
				return err
			})
			if runs != 2 {
				t.Errorf("%d runs", runs)
			}
			if tt.err != 0 {
				wantKind(t, err, tt.err)
			} else if err != nil {
				t.Error(err)
			}
			w.holds(w.prod, tt.want)
		})
	}
}

// A promotion with removal makes both the same, whatever they were, and a
// comparison says so before and after.
func TestPromotionsMakeTheSame(t *testing.T) {
	w := newWeb(t)
	contents := rapid.MapOfN(rapid.SampledFrom([]string{"A", "B", "C", "D", "E", "F"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 6)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		from, to := w.environment(w.ada, w.project, fmt.Sprint("from", n)), w.environment(w.ada, w.project, fmt.Sprint("to", n))
		source, target := contents.Draw(t, "source"), contents.Draw(t, "target")
		for environment, values := range map[uint64]map[string]string{from: source, to: target} {
			var pairs []pair
			for k, v := range values {
				pairs = append(pairs, pair{k, v})
			}
			w.give(environment, pairs)
		}
		var before, after *Difference
		var done *Copied
		compare := func(d **Difference) {
			w.must(w.ada, func(s *Session) (err error) { *d, err = s.Compare(to, from, false); return err })
		}
		compare(&before)
		w.must(w.ada, func(s *Session) (err error) {
			done, err = s.Promote(from, CopyOrder{To: &to, RemoveMissing: true})
			return err
		})
		compare(&after)
		got, _ := w.contents(to)
		if diff := cmp.Diff(source, got); diff != "" {
			t.Errorf("(-source +target):\n%s", diff)
		}
		for what, pair := range map[string][2]any{
			"created": {keysOf(before.Added), done.Created}, "deleted": {keysOf(before.Removed), done.Deleted}, "updated": {keysOf(before.Changed), done.Updated},
			"unchanged": {before.Unchanged, done.Unchanged}, "the same then": {len(source), after.Unchanged},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("%s (-compared +done):\n%s", what, diff)
			}
		}
	})
}

// Webhooks of the target's organization are told of each variable that has
// changed, in an order in which they can follow; those of the source's of none.
func TestCopiesAreTold(t *testing.T) {
	w := newPair(t)
	other := w.world.organization(w.ada, "Other")
	theirs := w.environment(w.ada, w.world.project(w.ada, other, "Theirs"), "theirs")
	w.set(theirs, "DIFFERENT", "x", "EXTRA", "e")
	own, told := w.hook(w.ada, w.org, "variable.*"), w.hook(w.ada, other, "variable.*")
	w.ConflictNext(1)
	if _, err := w.promote(w.ada, CopyOrder{To: &theirs, RemoveMissing: true}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, body := range w.told(told) {
		var e struct {
			Event string
			Data  struct{ Variable struct{ Key string } }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Event+" "+e.Data.Variable.Key)
	}
	want := []string{"variable.deleted EXTRA", "variable.created ONLY", "variable.created SAME", "variable.updated DIFFERENT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.told(own); len(got) > 0 {
		t.Errorf("the source's organization is told %s", got)
	}
}
