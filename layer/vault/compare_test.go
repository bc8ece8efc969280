package vault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

func keysOf(list []Differing) []string {
	keys := []string{}
	for _, d := range list {
		keys = append(keys, d.Key)
	}
	return keys
}

func (w *web) compare(user, environment, with uint64, values bool) (d *Difference, err error) {
	w.t.Helper()
	err = w.as(user, func(s *Session) (err error) { d, err = s.Compare(environment, with, values); return err })
	return d, err
}

func TestCompare(t *testing.T) {
	w := newPair(t)
	d, err := w.compare(w.ada, w.prod, w.common, false)
	if diff := cmp.Diff(&Difference{[]Differing{{Key: "ONLY"}}, []Differing{{Key: "EXTRA"}}, []Differing{{Key: "DIFFERENT"}}, 1}, d); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	d, err = w.compare(w.ada, w.prod, w.common, true)
	want := &Difference{[]Differing{{"ONLY", ptr("o"), nil}}, []Differing{{"EXTRA", ptr("e"), nil}}, []Differing{{"DIFFERENT", ptr("old"), ptr("new ${SAME}")}}, 1}
	if diff := cmp.Diff(want, d); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if d, err = w.compare(w.ada, w.prod, w.prod, true); err != nil || d.Unchanged != 3 || len(d.Added)+len(d.Removed)+len(d.Changed) > 0 {
		t.Errorf("with itself: %+v, %v", d, err)
	}
}

// Values of one organization are compared with those of another: it is not the
// ciphertexts that are.
func TestCompareAcrossOrganizations(t *testing.T) {
	w := newPair(t)
	theirs := w.environment(w.ada, w.world.project(w.ada, w.world.organization(w.ada, "Other"), "Theirs"), "theirs")
	w.set(theirs, "SAME", "s", "DIFFERENT", "x")
	d, err := w.compare(w.ada, w.prod, theirs, false)
	if err != nil || d.Unchanged != 1 || cmp.Diff([]string{"DIFFERENT"}, keysOf(d.Changed)) != "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCompareNeedsRightsInBoth(t *testing.T) {
	w := newPair(t)
	vic, out := w.member(w.ada, w.org, Viewer, "vic"), w.user("out")
	theirs := w.environment(out, w.world.project(out, w.world.organization(out, "Other"), "Theirs"), "theirs")
	mixed := w.environment(vic, w.world.project(vic, w.world.organization(vic, "Vics"), "Vics"), "own")
	for _, tt := range []struct {
		user, environment, with uint64
		want                    errs.Kind
	}{
		{vic, w.prod, w.common, errs.Forbidden},
		{vic, mixed, w.common, errs.Forbidden},
		{vic, w.common, mixed, errs.Forbidden},
		{out, w.prod, w.common, errs.NotFound},
		{out, theirs, w.common, errs.NotFound},
		{w.ada, w.prod, theirs, errs.NotFound},
		{w.ada, w.prod, 99, errs.NotFound},
		{w.ada, 99, w.prod, errs.NotFound},
	} {
		_, err := w.compare(tt.user, tt.environment, tt.with, false)
		wantKind(t, err, tt.want)
	}
}

func TestComparisonsAreRecorded(t *testing.T) {
	w := newPair(t)
	w.set(w.common, "FOURTH", "4")
	for _, values := range []bool{true, false} {
		w.must(w.ada, func(s *Session) error {
			_, err := s.Compare(w.prod, w.common, values)
			var got []string
			for _, r := range s.Readings() {
				got = append(got, fmt.Sprintf("%s %d %v", r.event.action(), r.event.ID, r.event.Details["variable_count"]))
			}
			want := []string{fmt.Sprintf("environment_viewed %d 3", w.prod), fmt.Sprintf("environment_viewed %d 4", w.common)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			return err
		})
	}
}

// A value that does not open is like no other, not even like itself.
func TestCompareBrokenValues(t *testing.T) {
	w := newPair(t)
	w.must(w.ada, func(s *Session) error {
		k := byIDText(variableByte, w.prod, "SAME")
		row, err := readVariable(s.tx, k)
		if err == nil {
			row.Value = append([]byte(nil), row.Value...)
			row.Value[len(row.Value)-1] ^= 1
			s.tx.Set(k, row.encode(), 0)
		}
		return err
	})
	d, err := w.compare(w.ada, w.prod, w.common, true)
	if err != nil || d.Unchanged != 0 || len(d.Changed) != 2 || *d.Changed[1].Value != MaskDamaged || *d.Changed[1].With != "s" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = w.compare(w.ada, w.prod, w.prod, false); err != nil || d.Unchanged != 2 {
		t.Errorf("with itself: %+v, %v", d, err)
	}
}

func TestTooManyValuesAreNotShown(t *testing.T) {
	w := newWeb(t)
	w.fill(w.prod, maxCompared/MaxValue+1, strings.Repeat("x", MaxValue))
	_, err := w.compare(w.ada, w.prod, w.common, true)
	wantKind(t, err, errs.TooLarge)
	if d, err := w.compare(w.ada, w.prod, w.common, false); err != nil || len(d.Removed) != maxCompared/MaxValue+1 {
		t.Errorf("without values: %v", err)
	}
}
