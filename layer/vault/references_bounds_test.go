package vault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chain stores a variable that leads n references deep, its end first or last.
func (w *web) chain(n int, endFirst bool) {
	w.t.Helper()
	pairs := []string{"K0", "end"}
	for i := range n {
		link := []string{fmt.Sprint("K", i+1), fmt.Sprintf("${K%d}", i)}
		if endFirst {
			pairs = append(pairs, link...)
		} else {
			pairs = append(link, pairs...)
		}
	}
	w.set(w.prod, pairs...)
}

// How deep references lead is what counts, not where the request began.
func TestDeepReferences(t *testing.T) {
	for _, endFirst := range []bool{true, false} {
		w := newWeb(t)
		w.chain(maxReferenceDepth+20, endFirst)
		got := w.resolved(w.ada, w.prod)
		for i := range maxReferenceDepth + 21 {
			want := "end"
			if i > maxReferenceDepth {
				want = "(too deep)"
			}
			if k := fmt.Sprint("K", i); got[k] != want {
				t.Errorf("end first %t: %s is %s, want %s", endFirst, k, got[k], want)
			}
		}
	}
}

// cost runs fn with references resolved and returns what it took of the bounds.
func (w *web) cost(fn func(*Session) error) (parts, bytes, texts int) {
	w.t.Helper()
	w.must(w.ada, func(s *Session) error {
		s.ResolveReferences()
		err := fn(s)
		r := s.references
		texts = 0
		for _, found := range r.known {
			texts += len(found.text)
		}
		parts, bytes = maxReferences-r.parts, maxResolvedAll-r.bytes
		return err
	})
	return parts, bytes, texts
}

func TestExponentialReferencesEndEarly(t *testing.T) {
	w := newWeb(t)
	w.set(w.prod, "L0", "ha!")
	for i := range 20 {
		w.set(w.prod, fmt.Sprint("L", i+1), strings.Repeat(fmt.Sprintf("${L%d}", i), 10))
	}
	w.set(w.prod, "BOMB", "${L20}", "AFTER", "${L0}")
	got := w.resolved(w.ada, w.prod)
	for k, v := range got {
		i := 0
		_, _ = fmt.Sscanf(k, "L%d", &i)
		switch {
		case k == "AFTER" || k != "BOMB" && i <= 5: // 3 * 10^5 bytes
			if !strings.HasPrefix(v, "ha!") {
				t.Errorf("%s is %.20s", k, v)
			}
		case v != "(too large)":
			t.Errorf("%s is %.20s of %d bytes", k, v, len(v))
		}
	}
	parts, bytes, texts := w.cost(func(s *Session) error { _, err := s.EnvironmentVariables(w.prod); return err })
	if parts > 300 || bytes > 400_000 || texts > 400_000 {
		t.Errorf("%d parts looked at, %d bytes opened and made, %d held", parts, bytes, texts)
	}
}

func TestReferencesOfARequestAreBounded(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		w := newWeb(t)
		w.set(w.prod, "A", "", "MANY", strings.Repeat("${A}", MaxValue/4), "MORE", strings.Repeat("${A}", MaxValue/4), "NEXT", "${A}")
		want := map[string]string{"A": "", "MANY": "", "MORE": "(too large)", "NEXT": "(too large)"}
		if diff := cmp.Diff(want, w.resolved(w.ada, w.prod)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("in bytes", func(t *testing.T) {
		w := newWeb(t)
		w.set(w.common, "BIG", strings.Repeat("x", MaxValue))
		w.set(w.prod, "MEGA", strings.Repeat("${common.BIG}", maxResolved/MaxValue), "OVER", strings.Repeat("${common.BIG}", maxResolved/MaxValue)+"!")
		for i := range 10 {
			w.set(w.prod, fmt.Sprint("M", i), "${MEGA}")
		}
		got := w.resolved(w.ada, w.prod)
		if len(got["MEGA"]) != maxResolved || got["OVER"] != "(too large)" {
			t.Errorf("MEGA has %d bytes, OVER is %.20s", len(got["MEGA"]), got["OVER"])
		}
		whole := 0
		for _, v := range got {
			if len(v) == maxResolved {
				whole++
			}
		}
		if whole != 7 { // and the eighth is what was opened
			t.Errorf("%d values of 1 MiB", whole)
		}
		_, bytes, texts := w.cost(func(s *Session) error { _, err := s.EnvironmentVariables(w.prod); return err })
		if bytes > maxResolvedAll || texts > maxResolvedAll {
			t.Errorf("%d bytes opened and made, %d held", bytes, texts)
		}
	})
	t.Run("while they are followed", func(t *testing.T) { // each holds what the next one leads to
		w := newWeb(t)
		w.set(w.common, "BIG", strings.Repeat("x", MaxValue))
		w.set(w.prod, "MEGA", strings.Repeat("${common.BIG}", maxResolved/MaxValue), "K0", "")
		for i := range 200 {
			w.set(w.prod, fmt.Sprint("K", i+1), fmt.Sprintf("${MEGA}${K%d}", i))
		}
		parts, bytes, texts := w.cost(func(s *Session) error {
			_, err := s.Variables(VariableFilter{Environment: w.prod, Key: "K200"}, Paging{})
			return err
		})
		if parts > 1000 || bytes > maxResolvedAll || texts > maxResolvedAll {
			t.Errorf("%d parts, %d bytes opened and made, %d held", parts, bytes, texts)
		}
	})
}
