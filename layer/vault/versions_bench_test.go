package vault

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkWriteVariables measures writes of variables on one replica in
// memory: an import over 500 of 100 bytes, the same import again, which changes
// nothing, and an update of one, with ten versions of it there.
func BenchmarkWriteVariables(b *testing.B) {
	w := newWorld(b)
	user := w.user("ada")
	env := w.environment(user, w.project(user, w.organization(user, "Acme"), "Web"), "production")
	content := func(round int) *Content {
		var text strings.Builder
		for i := range 500 {
			fmt.Fprintf(&text, "KEY_%d=%0100d\n", i, round)
		}
		c, err := ReadImport(FormatEnv, text.String())
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	round := 0
	load := func(c *Content) {
		w.must(user, func(s *Session) error { _, err := s.Import(env, c, true); return err })
	}
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			round++
			load(content(round))
		}
	})
	b.Run("import of the same", func(b *testing.B) {
		c := content(round)
		for b.Loop() {
			load(c)
		}
	})
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			round++
			value := fmt.Sprintf("%0100d", round)
			w.must(user, func(s *Session) error { _, err := s.UpdateVariable(1, VariableFields{Value: &value}); return err })
		}
	})
}
