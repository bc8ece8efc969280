package archtest

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestReplicatedPackagesArePure(t *testing.T) {
	all := packages(t)
	for _, p := range all {
		rules, ok := purityOf(p.rel())
		if !p.ours() || !ok {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, path := range p.files() {
			f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		faults, err := impurities(fset, files, rules, all)
		if err != nil {
			t.Errorf("%s: %v", p.rel(), err)
		}
		for _, f := range faults {
			t.Error(f)
		}
	}
}

// purityOf returns what a package may not do, if it has to be pure. The
// longest row wins.
func purityOf(pkg string) (rules purity, ok bool) {
	best := ""
	for name, r := range pure {
		if under(pkg, name) && len(name) >= len(best) {
			best, rules, ok = name, r, true
		}
	}
	return rules, ok
}

// impurities type-checks a package and says what is impure in it, and where.
func impurities(fset *token.FileSet, files []*ast.File, rules purity, all map[string]listed) (faults []string, err error) {
	lookup := func(path string) (io.ReadCloser, error) {
		export := all[path].Export
		if export == "" {
			return nil, fmt.Errorf("package %s does not compile", path)
		}
		return os.Open(export)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	if _, err := conf.Check("checked", fset, files, info); err != nil {
		return nil, err
	}
	fault := func(at token.Pos, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s", fset.Position(at), fmt.Sprintf(format, args...)))
	}
	for _, f := range files {
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(rules.imports, func(dir string) bool { return under(name, dir) }) {
				fault(spec.Pos(), "import of %s in a package that every member must run alike", name)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if r, ok := n.(*ast.RangeStmt); ok && isMap(info.TypeOf(r.X)) {
				fault(r.Pos(), "range over a map: its order differs from member to member")
			}
			if id, ok := n.(*ast.Ident); ok {
				if fn, ok := info.Uses[id].(*types.Func); ok && rules.calls[fn.FullName()] != "" {
					fault(id.Pos(), "%s is %s: it differs from member to member", fn.FullName(), rules.calls[fn.FullName()])
				}
			}
			return true
		})
	}
	slices.Sort(faults)
	return faults, nil
}

// isMap looks through names and type parameters.
func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		u, ok := p.Constraint().Underlying().(*types.Interface)
		if !ok {
			return false
		}
		for i := range u.NumEmbeddeds() {
			e := u.EmbeddedType(i)
			if un, ok := e.(*types.Union); ok {
				for j := range un.Len() {
					if isMap(un.Term(j).Type()) {
						return true
					}
				}
			} else if isMap(e) {
				return true
			}
		}
		return false
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// The checker must find what it is there for.
func TestImpuritiesAreFound(t *testing.T) {
	tests := map[string]struct {
		imports, body string
		want          string // in the one fault; "" for none
	}{
		"a clock":                  {`"time"`, `func f() int64 { return time.Now().Unix() }`, "time.Now is a clock"},
		"a clock under a name":     {`. "time"`, `func f() Time { return Now() }`, "time.Now is a clock"},
		"a timer":                  {`"time"`, `func f() { <-time.NewTimer(1).C }`, "time.NewTimer is a clock"},
		"a clock as a value":       {`"time"`, `var f = time.Since`, "time.Since is a clock"},
		"a range over a map":       {``, `func f(m map[int]int) { for range m {} }`, "range over a map"},
		"a range over a named map": {``, `type m map[int]int; func f(x m) { for range x {} }`, "range over a map"},
		"a range over any map":     {``, `func f[M ~map[K]V, K comparable, V any](x M) { for range x {} }`, "range over a map"},
		"the keys of a map":        {`"maps"`, `func f(m map[int]int) { for range maps.Keys(m) {} }`, "maps.Keys is a walk"},
		"a sync.Map":               {`"sync"`, `func f(m *sync.Map) { m.Range(nil) }`, "Range is a walk"},
		"the file system":          {`_ "os"`, ``, "import of os"},
		"the network":              {`_ "net/http"`, ``, "import of net/http"},
		"randomness":               {`_ "math/rand/v2"`, ``, "import of math/rand/v2"},
		"durations and times":      {`"time"`, `func f(t time.Time) time.Time { return t.Add(time.Second) }`, ""},
		"maps that are not walked": {`"maps"`, `func f(m map[int]int) int { n := maps.Clone(m); delete(n, 1); return n[2] }`, ""},
		"ranges over the rest":     {``, `func f(s []int, c chan int) { for range s {}; for range c {}; for range 3 {} }`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fset := token.NewFileSet()
			src := "package p\nimport (" + tt.imports + ")\n" + tt.body
			f, err := parser.ParseFile(fset, "p.go", src, 0)
			if err != nil {
				t.Fatal(err)
			}
			faults, err := impurities(fset, []*ast.File{f}, pure["fsm"], packages(t))
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)) {
				t.Errorf("faults %q, want %q", faults, tt.want)
			}
		})
	}
}
