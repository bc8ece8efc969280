package vault

import (
	"fmt"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// keep sets how many versions the environment keeps.
func (r *rig) keep(n uint64) {
	r.t.Helper()
	r.must(r.editor, func(s *Session) error {
		e, err := s.UpdateEnvironment(r.env, EnvironmentFields{Versions: &n})
		if e.Versions != n {
			r.t.Errorf("keeps %d versions, want %d", e.Versions, n)
		}
		return err
	})
}

// setTimes gives a variable n values, one after the other.
func (r *rig) setTimes(id uint64, n int) {
	r.t.Helper()
	for i := range n {
		r.set(r.editor, id, fmt.Sprint(r.now(), " ", i))
	}
}

func TestAnEnvironmentSaysHowManyVersionsItKeeps(t *testing.T) {
	r := newRig(t)
	v, other := r.mustCreate("KEY", "1"), r.mustCreate("OTHER", "1")
	for _, step := range []struct {
		most         uint64
		sets, stored int // old versions of KEY
	}{
		{DefaultVersions, 12, 9},
		{30, 15, 24}, // nothing comes back that is forgotten
		{3, 0, 24},   // what is too much goes with the next change
		{3, 1, 2},
		{1, 1, 0},
		{1, 3, 0},
		{MaxVersions, 101, MaxVersions - 1},
	} {
		r.keep(step.most)
		r.setTimes(v.ID, step.sets)
		if got := r.keys(pastByte); got != step.stored {
			t.Errorf("%d old versions are stored after %d changes with at most %d versions, want %d", got, step.sets, step.most, step.stored)
		}
		history := r.history(r.editor, v.ID)
		if len(history) != step.stored+1 {
			t.Errorf("%d versions are shown, want %d", len(history), step.stored+1)
		}
	}
	want(t, "another variable's history", []string{"1 created OTHER=1"}, r.history(r.editor, other.ID))
}

// Old versions that are too many would have no end to their time otherwise.
func TestADeletionForgetsWhatIsTooMuchByThen(t *testing.T) {
	r := newRig(t)
	r.keep(20)
	v := r.mustCreate("KEY", "1")
	r.setTimes(v.ID, 19)
	r.keep(5)
	r.drop(v.ID)
	if got := r.keys(pastByte); got != 5 {
		t.Errorf("%d old versions of a deleted variable, want 5", got)
	}
	before := r.now()
	r.keep(2)
	r.back(Rollback{At: Moment{unix: before - 1}})
	r.setTimes(v.ID, 1)
	if got := r.keys(pastByte); got != 1 {
		t.Errorf("%d old versions after the variable came back, want 1", got)
	}
	r.drop(v.ID)
	r.Advance(KeepDeleted + time.Second)
	if got := r.keys(pastByte); got != 0 {
		t.Errorf("%d old versions are there for ever", got)
	}
}

func TestNoOtherNumberOfVersionsIsTaken(t *testing.T) {
	r := newRig(t)
	for _, n := range []uint64{0, MaxVersions + 1, 1 << 63} {
		err := r.as(r.editor, func(s *Session) error {
			_, err := s.UpdateEnvironment(r.env, EnvironmentFields{Versions: &n})
			return err
		})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%d versions: %v", n, err)
		}
	}
}
