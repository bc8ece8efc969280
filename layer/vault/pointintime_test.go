package vault

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

// then is what the environment was, as the editor sees it.
func (r *rig) then(unix int64) (values map[string]string, unknown []string) {
	r.t.Helper()
	return r.thenAs(r.editor, unix)
}

func (r *rig) thenAs(user uint64, unix int64) (values map[string]string, unknown []string) {
	r.t.Helper()
	r.must(user, func(s *Session) error {
		page, lost, err := s.EnvironmentAt(r.env, Moment{unix: unix}, nil)
		values, unknown = map[string]string{}, lost
		for _, v := range page.Items {
			values[v.Key] = v.Value
		}
		return err
	})
	return values, unknown
}

func (r *rig) now() int64 { return r.Now() / 1000 }

func TestEnvironmentAsItWas(t *testing.T) {
	r := newRig(t)
	start := r.now()
	a, b := r.mustCreate("A", "a1"), r.mustCreate("B", "b1") // 0
	r.set(r.editor, a.ID, "a2")                              // 1
	r.rename(b.ID, "BEE")                                    // 2
	r.drop(a.ID)                                             // 3
	r.Advance(time.Second)
	again := r.mustCreate("A", "other") // 4
	for i, want := range []map[string]string{
		{"A": "a1", "B": "b1"}, {"A": "a2", "B": "b1"}, {"A": "a2", "BEE": "b1"}, {"BEE": "b1"}, {"A": "other", "BEE": "b1"},
	} {
		got, unknown := r.then(start + int64(i))
		if diff := cmp.Diff(want, got); diff != "" || len(unknown) > 0 {
			t.Errorf("second %d, unknown %v (-want +got):\n%s", i, unknown, diff)
		}
	}
	if got, unknown := r.then(start - 1); len(got)+len(unknown) > 0 {
		t.Errorf("before all: %v, unknown %v", got, unknown)
	}
	r.must(r.editor, func(s *Session) error {
		page, _, err := s.EnvironmentAt(r.env, Moment{unix: start + 1}, &Paging{Size: 1, Number: 1})
		want(t, "the first page of what was", Page[Variable]{Count: 2, Number: 1, Size: 1, Items: []Variable{{
			ID: a.ID, Key: "A", Value: "a2", Environment: r.env, EnvironmentName: "production",
			Created: start, Updated: start + 1, Version: 2,
		}}}, page)
		if n := len(s.Readings()); n != 1 || s.Readings()[0].event.Details["at"] != "2023-11-14T22:13:21Z" {
			t.Errorf("%d readings: %+v", n, s.Readings())
		}
		return err
	})
	values, _ := r.thenAs(r.viewer, start)
	want(t, "what a viewer sees", map[string]string{"A": MaskHidden, "B": MaskHidden}, values)
	if again.ID == a.ID {
		t.Errorf("the id %d was given twice", a.ID)
	}
	call := func(s *Session) error { _, _, err := s.EnvironmentAt(r.env, Moment{unix: start}, nil); return err }
	wantKind(t, r.as(r.stranger, call), errs.NotFound)
	wantFields(t, r.as(r.editor, func(s *Session) error {
		_, _, err := s.EnvironmentAt(r.env, Moment{unix: r.now() + 1}, nil)
		return err
	}), FieldErrors{"at": {"This time is in the future."}})
}

func TestWhatIsNotKeptIsUnknown(t *testing.T) {
	r := newRig(t)
	start := r.now()
	v := r.mustCreate("MANY", "1")
	r.mustCreate("ONE", "1")
	for n := 2; n <= DefaultVersions+2; n++ {
		r.set(r.editor, v.ID, fmt.Sprint(n))
	}
	values, unknown := r.then(start + 1)
	want(t, "values", map[string]string{"ONE": "1"}, values)
	want(t, "unknown", []string{"MANY"}, unknown)
	values, unknown = r.then(start + 2)
	want(t, "the oldest that is kept", map[string]string{"ONE": "1", "MANY": "3"}, values)
	want(t, "unknown", []string{}, unknown)
	r.drop(v.ID)
	_, unknown = r.then(start + 1)
	want(t, "unknown when it is deleted", []string{"MANY"}, unknown)
}

func TestDeletedVariablesAreKeptForAWhile(t *testing.T) {
	r := newRig(t)
	start := r.now()
	v := r.mustCreate("KEY", "one")
	r.set(r.editor, v.ID, "two")
	r.drop(v.ID)
	r.Advance(KeepDeleted - 2*time.Second)
	values, _ := r.then(start)
	want(t, "shortly before", map[string]string{"KEY": "one"}, values)
	r.Advance(3 * time.Second)
	values, unknown := r.then(start)
	want(t, "after that", map[string]string{}, values)
	want(t, "unknown after that", []string{}, unknown)
	if err := r.Reap(); err != nil || r.keys(pastByte) != 0 {
		t.Errorf("%v; %d past versions are left", err, r.keys(pastByte))
	}
}

func TestMomentsAreRead(t *testing.T) {
	const now = 1_700_000_000 // 2023-11-14T22:13:20Z
	for _, c := range []struct {
		text string
		want int64 // 0: it is wrong
	}{
		{"2023-11-14T22:13:20Z", now}, {"2023-11-14T23:13:20+01:00", now}, {"2023-11-14T23:13:20 01:00", now},
		{"2023-11-14T22:13:20.9Z", now}, {"2023-11-13", 1_699_919_999}, {"2023-11-14", now}, {" 2023-11-13 ", 1_699_919_999},
		{"2023-11-14T22:13:21Z", 0}, {"2023-11-15", 0}, {"", 0}, {"now", 0}, {"1700000000", 0}, {"2023-11-14T22:13:20", 0}, {"2023-02-30", 0},
	} {
		m, err := ParseMoment(c.text)
		var got int64
		if err == nil {
			got, err = m.when(now)
		}
		if got != c.want || (err != nil) != (c.want == 0) || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%q is %d, %v; want %d", c.text, got, err, c.want)
		}
	}
}

func FuzzParseMoment(f *testing.F) {
	f.Add("2023-11-14T22:13:20Z")
	f.Add("2023-11-14")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMoment(text)
		if err != nil && !errs.Is(err, errs.Invalid) || err != nil && m != (Moment{}) {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	})
}

// Whatever is done, each second is shown as it was when it was the last one, or
// as unknown; and taking it back to one makes it that.
func TestRandomHistories(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomHistory(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func randomHistory(t *testing.T, random *rand.Rand) {
	r := newRig(t)
	start := r.now()
	var was []map[string]string
	keys := []string{"A", "B", "C", "D"}
	for range 40 {
		was = append(was, r.values(r.admin))
		r.Advance(time.Second)
		r.disturb(random, keys, start, was)
	}
	was = append(was, r.values(r.admin))
	for i, want := range was {
		got, unknown := r.then(start + int64(i))
		for k, v := range got {
			if want[k] != v {
				t.Fatalf("second %d: %s is %q, was %q", i, k, v, want[k])
			}
		}
		if len(got) != len(want) && len(got)+len(unknown) < len(want) {
			t.Fatalf("second %d: %v, unknown %v, was %v", i, got, unknown, want)
		}
	}
	r.must(r.admin, func(s *Session) error {
		e, err := s.Environment(r.env)
		if n := len(was[len(was)-1]); e.Variables != n {
			t.Errorf("%d variables are counted, %d there", e.Variables, n)
		}
		return err
	})
}

// disturb does something at random.
func (r *rig) disturb(random *rand.Rand, keys []string, start int64, was []map[string]string) {
	r.t.Helper()
	ids := map[string]uint64{}
	r.must(r.admin, func(s *Session) error {
		all, err := s.EnvironmentVariables(r.env)
		clear(ids)
		for _, v := range all {
			ids[v.Key] = v.ID
		}
		return err
	})
	k, other, value := keys[random.IntN(len(keys))], keys[random.IntN(len(keys))], fmt.Sprint(random.IntN(3))
	switch id := ids[k]; {
	case random.IntN(6) == 0:
		back := random.IntN(len(was))
		var done RolledBack
		r.must(r.editor, func(s *Session) (err error) {
			done, err = s.RollBackEnvironment(r.env, Rollback{At: Moment{unix: start + int64(back)}})
			return err
		})
		if len(done.Unknown) == 0 {
			if diff := cmp.Diff(was[back], r.values(r.admin)); diff != "" {
				r.t.Fatalf("taken back to second %d, %+v (-want +got):\n%s", back, done, diff)
			}
		}
	case id == 0:
		r.mustCreate(k, value)
	case random.IntN(4) == 0:
		r.must(r.editor, func(s *Session) error { return s.DeleteVariable(id) })
	case ids[other] == 0 && random.IntN(2) == 0:
		r.must(r.editor, func(s *Session) error { _, err := s.UpdateVariable(id, VariableFields{Key: &other}); return err })
	default:
		r.must(r.editor, func(s *Session) error { _, err := s.UpdateVariable(id, VariableFields{Value: &value}); return err })
	}
}
