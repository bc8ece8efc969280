package vault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/kv"
)

func (r *rig) values(user uint64) map[string]string {
	r.t.Helper()
	got := map[string]string{}
	r.must(user, func(s *Session) error {
		vs, err := s.EnvironmentVariables(r.env)
		for _, v := range vs {
			got[v.Key] = v.Value
		}
		return err
	})
	return got
}

func TestVariablesAreFilteredAndPaged(t *testing.T) {
	r := newRig(t)
	for i := range 25 {
		r.mustCreate(fmt.Sprintf("K%02d", 24-i), "v")
	}
	r.mustCreate("DB_URL", "d")
	r.must(r.editor, func(s *Session) error {
		p, err := s.Variables(VariableFilter{}, Paging{Number: 2})
		if p.Count != 26 || len(p.Items) != 6 || p.Items[0].ID != 21 || len(s.Readings()) != 1 {
			t.Errorf("page 2: count %d, %d items, %d readings", p.Count, len(p.Items), len(s.Readings()))
		}
		return err
	})
	r.must(r.viewer, func(s *Session) error {
		p, err := s.Variables(VariableFilter{Environment: r.env, Key: "b_u"}, Paging{})
		if p.Count != 1 || p.Items[0].Key != "DB_URL" || p.Items[0].Value != MaskHidden {
			t.Errorf("by key: %+v", p)
		}
		return err
	})
}

// A page reads the values that it shows and no others: an environment may have
// more of them than one answer.
func TestAPageReadsNoOtherValues(t *testing.T) {
	r := newRig(t)
	r.mustCreate("A", "1")
	r.mustCreate("B", "2")
	r.must(r.admin, func(s *Session) error {
		s.tx.Set(byIDText(variableByte, r.env, "A"), []byte("no row of a variable"), 0)
		return nil
	})
	r.must(r.editor, func(s *Session) error {
		p, err := s.Variables(VariableFilter{Environment: r.env}, Paging{Number: 2, Size: 1})
		if err == nil && (p.Count != 2 || len(p.Items) != 1 || p.Items[0].Value != "2") {
			t.Errorf("the second page: %+v", p)
		}
		return err
	})
}

func TestPagesFollowRenamingAndDeletion(t *testing.T) {
	r := newRig(t)
	a, b := r.mustCreate("A", "1").ID, r.mustCreate("B", "2").ID
	r.must(r.editor, func(s *Session) error {
		_, err := s.UpdateVariable(a, VariableFields{Key: ptr("C")})
		if err == nil {
			err = s.DeleteVariable(b)
		}
		return err
	})
	r.must(r.editor, func(s *Session) error {
		p, err := s.Variables(VariableFilter{}, Paging{})
		if p.Count != 1 || len(p.Items) != 1 || p.Items[0].Key != "C" || p.Items[0].Value != "1" {
			t.Errorf("got %+v", p)
		}
		return err
	})
}

// BenchmarkListVariables lists an environment of 500 variables, whole and by
// pages of 100, as a request does: the door, one View.
func BenchmarkListVariables(b *testing.B) {
	w := newWorld(b)
	u, token := w.register("ada")
	env := w.environment(u.ID, w.project(u.ID, w.organization(u.ID, "Acme"), "Web"), "production")
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "KEY_%d=%040d\n", i, i)
	}
	c, err := ReadImport(FormatEnv, text.String())
	if err != nil {
		b.Fatal(err)
	}
	w.must(u.ID, func(s *Session) error { _, err := s.Import(env, c, true); return err })
	for name, list := range map[string]func(*Session) (int, error){
		"all": func(s *Session) (int, error) { vs, err := s.EnvironmentVariables(env); return len(vs) - 400, err },
		"page": func(s *Session) (int, error) {
			p, err := s.Variables(VariableFilter{Environment: env}, Paging{Number: 3, Size: 100})
			return len(p.Items), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.DB.View(b.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
					s, err := w.s.As(tx, auth.Credential{Value: token}, Client{})
					if err != nil {
						return err
					}
					if n, err := list(s); err != nil || n != 100 {
						return fmt.Errorf("%d variables, %w", n, err)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
