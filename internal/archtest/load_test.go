package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/coveydb/covey"

// listed is what the go command says of a package.
type listed struct {
	ImportPath, Name, Dir, Export, Doc string
	GoFiles, Imports                   []string
	Module                             *struct{ Path string }
	Standard                           bool
}

// rel is the package's path within the module.
func (p listed) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// ours reports whether p is a package of this module. The module's root has
// none that is shipped.
func (p listed) ours() bool {
	return p.Module != nil && p.Module.Path == module && p.rel() != ""
}

// files returns the paths of p's files, without tests.
func (p listed) files() (paths []string) {
	for _, f := range p.GoFiles {
		paths = append(paths, filepath.Join(p.Dir, f))
	}
	return paths
}

// listAll asks the go command once for all tests. Packages that do not compile
// are listed without export data.
var listAll = sync.OnceValues(func() (map[string]listed, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-export",
		"-json=ImportPath,Name,Dir,Export,Doc,GoFiles,Imports,Module,Standard", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New(stderr.String())
	}
	all := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
})

// packages returns all packages that ours are built of, by import path.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	all, err := listAll()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return all
}

// under reports whether the package path is dir or below it.
func under(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
