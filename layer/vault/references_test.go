package vault

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// web is a project with two environments.
type web struct {
	*world
	ada                        uint64
	org, project, prod, common uint64
}

func newWeb(t testing.TB) *web {
	w := &web{world: newWorld(t)}
	w.ada = w.user("ada")
	w.org = w.world.organization(w.ada, "Acme")
	w.project = w.world.project(w.ada, w.org, "Web")
	w.prod, w.common = w.environment(w.ada, w.project, "prod"), w.environment(w.ada, w.project, "common")
	return w
}

// set stores variables, in the order in which they are given.
func (w *web) set(environment uint64, pairs ...string) {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		w.variable(w.ada, environment, pairs[i], pairs[i+1])
	}
}

// resolved returns what a user is shown of an environment: values, or the reasons in
// parentheses.
func (w *web) resolved(user, environment uint64) map[string]string {
	w.t.Helper()
	var got map[string]string
	w.must(user, func(s *Session) error {
		s.ResolveReferences()
		all, err := s.EnvironmentVariables(environment)
		got = map[string]string{}
		for _, v := range all {
			if got[v.Key] = v.Value; v.Unresolved != "" {
				got[v.Key] = "(" + string(v.Unresolved) + ")"
				if v.Value != MaskUnresolved {
					w.t.Errorf("%s is %s and shown as %q", v.Key, v.Unresolved, v.Value)
				}
			}
		}
		return err
	})
	return got
}

func TestReferencesAreResolved(t *testing.T) {
	w := newWeb(t)
	w.set(w.common, "HOST", "db.example.com", "URL", "pg://${HOST}/${NAME}", "NAME", "base", "BACK", "${prod.NAME}")
	w.set(w.prod, "NAME", "prod", "PLAIN", "a $b $$ {c}", "EMPTY", "", "lower", "x",
		"OWN", "<${NAME}>", "TWICE", "${NAME}${NAME}", "OTHER", "${common.HOST}", "UPPER", "${Common.HOST}", "LOWER", "${lower}",
		"LEXICAL", "${common.URL}", "AROUND", "${common.BACK}", "ITSELF", "${prod.NAME}", "NOTHING", "[${EMPTY}]",
		"LITERAL", "$${NAME} costs $$5 ${NAME:-x}", "TOLD", "${LITERAL}")
	want := map[string]string{
		"NAME": "prod", "PLAIN": "a $b $$ {c}", "EMPTY": "", "lower": "x",
		"OWN": "<prod>", "TWICE": "prodprod", "OTHER": "db.example.com", "UPPER": "db.example.com", "LOWER": "x",
		"LEXICAL": "pg://db.example.com/base", "AROUND": "prod", "ITSELF": "prod", "NOTHING": "[]",
		"LITERAL": "${NAME} costs $$5 ${NAME:-x}", "TOLD": "${NAME} costs $$5 ${NAME:-x}",
	}
	if diff := cmp.Diff(want, w.resolved(w.ada, w.prod)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.must(w.ada, func(s *Session) error {
		all, err := s.EnvironmentVariables(w.prod)
		for _, v := range all {
			if v.Key == "OWN" && v.Value != "<${NAME}>" {
				t.Errorf("without being asked for: %q", v.Value)
			}
		}
		return err
	})
}

func TestReferencesThatLeadNowhere(t *testing.T) {
	w := newWeb(t)
	elsewhere := w.world.project(w.ada, w.org, "Elsewhere")
	w.set(w.environment(w.ada, elsewhere, "far"), "KEY", "far away")
	w.set(w.common, "KEY", "x", "IN", "${prod.OUT}")
	w.set(w.prod, "OK", "fine",
		"SELF", "${SELF}", "LEFT", "${RIGHT}", "RIGHT", "${LEFT}", "INTO", "${OK}${LEFT}", "OUT", "${common.IN}",
		"NO_KEY", "${NONE}", "NO_ENVIRONMENT", "${none.KEY}", "FAR", "${far.KEY}", "VIA", "${NO_KEY}", "CASE", "${common.key}",
		"BROKEN", "secret", "ON_BROKEN", "${BROKEN}", "WORST", "${NONE}${ON_BROKEN}${SELF}", "SECOND", "${ON_BROKEN}${NONE}")
	w.must(w.ada, func(s *Session) error {
		k := byIDText(variableByte, w.prod, "BROKEN")
		row, err := readVariable(s.tx, k)
		if err == nil {
			row.Value = slices.Clone(row.Value)
			row.Value[len(row.Value)-1] ^= 1
			s.tx.Set(k, row.encode(), 0)
		}
		return err
	})
	want := map[string]string{
		"OK": "fine", "SELF": "(cycle)", "LEFT": "(cycle)", "RIGHT": "(cycle)", "INTO": "(cycle)", "OUT": "(cycle)",
		"NO_KEY": "(unknown)", "NO_ENVIRONMENT": "(unknown)", "FAR": "(unknown)", "VIA": "(unknown)", "CASE": "(unknown)",
		"BROKEN": MaskDamaged, "ON_BROKEN": "(damaged)", "WORST": "(cycle)", "SECOND": "(unknown)",
	}
	if diff := cmp.Diff(want, w.resolved(w.ada, w.prod)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReferencesAreForThoseWhoMayRead(t *testing.T) {
	w := newWeb(t)
	vic := w.member(w.ada, w.org, Viewer, "vic")
	w.set(w.common, "KEY", "secret")
	w.set(w.prod, "REF", "${common.KEY}")
	if got := w.resolved(vic, w.prod)["REF"]; got != MaskHidden {
		t.Errorf("a viewer sees %q", got)
	}
	w.must(vic, func(s *Session) error {
		s.ResolveReferences()
		_, err := s.EnvironmentVariables(w.prod)
		if n := len(s.Readings()); n > 0 || len(s.references.opened) > 0 {
			t.Errorf("%d readings, %d values opened", n, len(s.references.opened))
		}
		return err
	})
	wantKind(t, w.as(vic, func(s *Session) error {
		s.ResolveReferences()
		_, err := s.Export(w.prod, FormatEnv, dotenv.Default)
		return err
	}), errs.Forbidden)
	bob := w.user("bob")
	theirs := w.environment(bob, w.world.project(bob, w.world.organization(bob, "Other"), "Web"), "prod")
	w.world.variable(bob, theirs, "REF", "${common.KEY}")
	if got := w.resolved(bob, theirs)["REF"]; got != "(unknown)" {
		t.Errorf("in another project it is %q", got)
	}
}

// What is read for references is recorded, where it was read.
func TestReadingsOfReferences(t *testing.T) {
	w := newWeb(t)
	w.set(w.common, "A", "1", "B", "2", "C", "3")
	w.set(w.prod, "REF", "${common.A}${common.B}${common.A}", "OWN", "${REF}")
	readings := func(fn func(*Session) error) (got []string) {
		t.Helper()
		w.must(w.ada, func(s *Session) error {
			s.ResolveReferences()
			err := fn(s)
			got = nil
			for _, r := range s.Readings() {
				if err := r.event.check(); err != nil {
					t.Error(err)
				}
				got = append(got, fmt.Sprintf("%s %d %v", r.event.action(), r.event.ID, r.event.Details["variable_count"]))
			}
			return err
		})
		return got
	}
	for name, tt := range map[string]struct {
		fn   func(*Session) error
		want []string
	}{
		"a whole list": {
			func(s *Session) error { _, err := s.EnvironmentVariables(w.prod); return err },
			[]string{"environment_viewed 3 2", "environment_viewed 4 2"},
		},
		"a part of one": {
			func(s *Session) error { _, err := s.Variables(VariableFilter{Key: "own"}, Paging{}); return err },
			[]string{"environment_viewed 3 2", "environment_viewed 4 2"},
		},
		"a list of both": {
			func(s *Session) error { _, err := s.Variables(VariableFilter{}, Paging{}); return err },
			[]string{"environment_viewed 3 2", "environment_viewed 4 3"},
		},
		"an export": {
			func(s *Session) error { _, err := s.Export(w.prod, FormatEnv, dotenv.Default); return err },
			[]string{"environment_viewed 4 2", "environment_exported 3 2"},
		},
	} {
		got := readings(tt.fn)
		want := slices.Clone(tt.want)
		for i := range want { // ids as they are
			want[i] = strings.NewReplacer(" 3 ", fmt.Sprintf(" %d ", w.prod), " 4 ", fmt.Sprintf(" %d ", w.common)).Replace(want[i])
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestExportWithReferences(t *testing.T) {
	w := newWeb(t)
	w.set(w.common, "HOST", "db")
	w.set(w.prod, "URL", "pg://${common.HOST}", "RAW", "$${X}")
	export := func(resolve bool) (body string, err error) {
		err = w.as(w.ada, func(s *Session) error {
			if resolve {
				s.ResolveReferences()
			}
			file, err := s.Export(w.prod, FormatJSON, dotenv.Default)
			if file != nil {
				body = string(file.Body)
			}
			return err
		})
		return body, err
	}
	for resolve, want := range map[bool]string{
		true:  "{\n  \"URL\": \"pg://db\",\n  \"RAW\": \"${X}\"\n}\n",
		false: "{\n  \"URL\": \"pg://${common.HOST}\",\n  \"RAW\": \"$${X}\"\n}\n",
	} {
		if got, err := export(resolve); err != nil || got != want {
			t.Errorf("resolve %t: %s, %v", resolve, got, err)
		}
	}
	w.set(w.prod, "LOOP", "${LOOP}", "GONE", "${GOING}")
	body, err := export(true)
	if diff := cmp.Diff(Unresolvable{"LOOP": UnresolvedCycle, "GONE": UnresolvedUnknown}, err); diff != "" || body != "" {
		t.Errorf("%q, (-want +got):\n%s", body, diff)
	}
	wantKind(t, err, errs.Invalid)
	if _, err := export(false); err != nil {
		t.Errorf("as they are: %v", err)
	}
}

// naive resolves by definition: it goes down every path, as long as that takes.
func naive(values map[string]string, key string, path []string) (text string, depth int, why resolution) {
	value, ok := values[key]
	switch {
	case slices.Contains(path, key):
		why.fail(UnresolvedCycle)
		return "", 0, why
	case !ok:
		why.fail(UnresolvedUnknown)
		return "", 0, why
	}
	for _, p := range parseReferences(value, len(value)+1) {
		if p.key != "" {
			to, deep, failed := naive(values, p.key, append(slices.Clone(path), key))
			why.fail(failed.why)
			depth = max(depth, deep+1)
			p.text = to
		}
		text += p.text
	}
	return text, depth, why
}

func TestReferencesResolveAsTheirDefinitionSays(t *testing.T) {
	w := newWeb(t)
	rapid.Check(t, func(t *rapid.T) {
		keys, values := []string{"A", "B", "C", "D", "E"}, map[string]string{}
		piece := rapid.SampledFrom([]string{"${A}", "${prod.B}", "${C}", "${D}", "${E}", "${F}", "x", "$${A}", "$"})
		for _, k := range keys {
			values[k] = strings.Join(rapid.SliceOfN(piece, 0, 3).Draw(t, k), "")
		}
		order := rapid.Permutation(keys).Draw(t, "order")
		err := w.as(w.ada, func(s *Session) error {
			at, err := s.environment(w.prod, ReadValue)
			if err != nil {
				return err
			}
			for i, k := range keys {
				sealed, err := s.sealValue(at.organization, at.environment, k, []byte(values[k]))
				if err != nil {
					return err
				}
				s.tx.Set(byIDText(variableByte, w.prod, k), (&variableRow{ID: uint64(i + 1), Version: 1, Value: sealed}).encode(), 0)
			}
			s.ResolveReferences()
			for _, k := range order {
				got, why, err := s.references.value(at, k, values[k])
				if err != nil {
					return err
				}
				want, _, failed := naive(values, k, nil)
				if failed.why != "" {
					want = ""
				}
				if why != failed.why || got != want {
					t.Errorf("%v: %s is %q (%s), want %q (%s)", values, k, got, why, want, failed.why)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
