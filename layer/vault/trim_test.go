package vault

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// setAll gives n variables K0, K1 and so on one value, a second after what came
// before, by imports of as many as one may have.
func (r *rig) setAll(n int, value string) {
	r.t.Helper()
	for from := 0; from < n; from += MaxImported {
		var text strings.Builder
		for i := from; i < min(n, from+MaxImported); i++ {
			fmt.Fprintf(&text, "K%d=%s\n", i, value)
		}
		r.importText(text.String())
	}
}

// More variables of which one version is too many than a command has room for
// spans: each of them goes by itself.
func TestManyVariablesAreTakenBackWhereFewVersionsAreKept(t *testing.T) {
	const n = command.MaxSpans + 1
	r := newRig(t)
	r.keep(2)
	r.setAll(n, "1")
	at := r.now()
	r.setAll(n, "2")
	done := r.back(Rollback{At: Moment{unix: at}})
	if len(done.Restored) != n || r.keys(pastByte) != n {
		t.Errorf("%d variables are back, %d past versions are kept, want %d each", len(done.Restored), r.keys(pastByte), n)
	}
}

// Where fewer versions are kept than before, several are too many. Few of a
// variable go by themselves, many as a span; what a command has no room for goes
// with the next change.
func TestManyVariablesAreTakenBackWhereFewerVersionsAreKept(t *testing.T) {
	const over = 200
	const n = command.MaxSpans + over
	for name, c := range map[string]struct{ changes, left int }{
		"few": {3, n}, "as few as can be, together too many": {fewVersions, n}, "many": {fewVersions + 1, n + over*(fewVersions+1)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.keep(20)
			var at int64
			for i := range c.changes + 1 {
				at = r.now()
				r.setAll(n, fmt.Sprint(i))
			}
			r.keep(2)
			if done := r.back(Rollback{At: Moment{unix: at}}); len(done.Restored) != n {
				t.Errorf("%d variables are back, want %d", len(done.Restored), n)
			}
			if got := r.keys(pastByte); got != c.left {
				t.Errorf("%d past versions are kept, want %d", got, c.left)
			}
			r.setAll(n, "last")
			if got := r.keys(pastByte); got != n {
				t.Errorf("%d past versions are kept after the next change, want %d", got, n)
			}
		})
	}
}

// old stores n variables K0, K1 and so on that have had many versions, as if
// changed one by one, but fast.
func (r *rig) old(n int, environment uint64) {
	r.t.Helper()
	r.must(r.admin, func(s *Session) error {
		at, err := s.environment(environment, CreateVariable)
		if err != nil {
			return err
		}
		for id := uint64(1); id <= uint64(n); id++ {
			key := fmt.Sprint("K", id-1)
			sealed, err := s.sealValue(at.organization, at.environment, key, []byte("x"))
			if err != nil {
				return err
			}
			row := &variableRow{ID: id, Created: s.now(), Updated: s.now(), Version: MaxVersions, Value: sealed}
			s.tx.Set(byIDText(variableByte, environment, key), row.encode(), 0)
			s.tx.Set(byID(variableIDByte, id), encode(variableRef{environment, key}), 0)
			s.tx.Set(byIDs(variablesByte, environment, id), []byte(key), 0)
		}
		addCount(s.tx, countVariables, environment, int64(n))
		return nil
	})
}

// Each version of a variable is an op of its deletion, and of taking that back.
func TestDeletionsHaveBoundsInVersions(t *testing.T) {
	const n = MaxCopied
	r := newRig(t)
	r.keep(MaxVersions)
	empty := r.environment(r.admin, 1, "empty")
	start := r.now()
	r.Advance(time.Second)
	r.old(n, r.env)
	promote := func(keys []string, dry bool) error {
		return r.as(r.editor, func(s *Session) error {
			_, err := s.Promote(empty, CopyOrder{To: &r.env, Keys: keys, RemoveMissing: true, DryRun: dry})
			return err
		})
	}
	rollback := func(at int64, dry bool) error {
		return r.as(r.editor, func(s *Session) error {
			_, err := s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: at}, DryRun: dry})
			return err
		})
	}
	text := errTooManyVersions().Error()
	for _, dry := range []bool{true, false} {
		wantError(t, promote(nil, dry), errs.TooLarge, text)
		wantError(t, rollback(start, dry), errs.TooLarge, text)
	}
	there := r.now()
	r.Advance(time.Second)
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("K", i))
	}
	for _, part := range [][]string{keys[:n/2], keys[n/2:]} {
		if err := promote(part, false); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, rollback(there, true), errs.TooLarge, text)
	want(t, "a part", n/2, len(r.back(Rollback{At: Moment{unix: there}, Keys: keys[:n/2]}).Restored))
}

// There may be many more variables that are gone than an environment may have:
// only those that were there at the moment are held.
func TestVariablesThatWereGoneOrNotYetMadeAreNotHeld(t *testing.T) {
	r := newRig(t)
	before := r.now()
	var at int64
	for i := range 3 {
		r.Advance(time.Second)
		ids := []uint64{r.mustCreate("A", "a").ID, r.mustCreate("B", "b").ID}
		if i == 1 {
			at = r.now()
		}
		for _, id := range ids {
			r.drop(id)
		}
	}
	held := map[int64]int{before: 0, at: 2, r.now(): 0}
	for when, n := range held {
		r.must(r.editor, func(s *Session) error {
			place, err := s.environment(r.env, ReadValue)
			if err != nil {
				return err
			}
			f, err := s.fatesSince(place, when, true)
			want(t, fmt.Sprintf("fates %d s after the beginning", when-before), n, len(f.byID))
			return err
		})
	}
	values, _ := r.then(at)
	want(t, "values", map[string]string{"A": "a", "B": "b"}, values)
}

// Fewer versions mean that old values go, which is not to happen unseen.
func TestTheAuditLogTellsOfAnotherNumberOfVersions(t *testing.T) {
	r := newRig(t)
	for _, n := range []uint64{DefaultVersions, 3, 3, 20} {
		r.keep(n)
	}
	var told []string
	for _, e := range r.entries() {
		if e.Action == "environment_updated" {
			told = append(told, string(e.Details))
		}
	}
	plain := `{"name":"production","project":"Web App","type":"development"}`
	with := func(n int) string { return fmt.Sprintf(`{"max_versions":%d,%s`, n, plain[1:]) }
	want(t, "details", []string{plain, with(3), plain, with(20)}, told)
}

// What an environment keeps altogether does not keep it from being looked at:
// only what has happened since costs.
func TestALookGoesOverWhatHasHappenedSince(t *testing.T) {
	const n, each = 50, MaxVersions - 1
	r := newRig(t)
	start := r.now()
	r.Advance(time.Second)
	there := r.now()
	r.must(r.admin, func(s *Session) error { // as if changed one by one, but fast
		for id := uint64(1); id <= n; id++ {
			key := fmt.Sprint("K", id)
			row := variableRow{ID: id, Created: there, Updated: there}
			for row.Version = 1; row.Version <= each; row.Version++ {
				s.tx.Set(pastKey(r.env, id, row.Version), past{key, &row}.encode(), 0)
			}
			s.tx.Set(byIDText(variableByte, r.env, key), row.encode(), 0)
		}
		return nil
	})
	for _, at := range []int64{start, there} {
		r.must(r.editor, func(s *Session) error {
			place, err := s.environment(r.env, ReadValue)
			if err != nil {
				return err
			}
			f, err := s.fatesSince(place, at, false)
			if gone := maxPast - f.left; gone > n*(fewVersions+1) || len(f.byID) != n {
				t.Errorf("%d s after the beginning: %d fates, over %d of %d versions", at-start, len(f.byID), gone, n*each)
			}
			return err
		})
	}
}
