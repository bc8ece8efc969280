package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageHasARow(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		if !p.ours() {
			continue
		}
		seen[p.rel()] = true
		if _, ok := rooms[p.rel()]; !ok {
			t.Errorf("package %s has no row: add it to rooms in internal/archtest/table_test.go, with its floor and what it may import", p.rel())
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("the row of %s is stale: there is no such package", name)
		}
	}
	for _, names := range [][]string{keys(closed), keys(pure), everyone} {
		for _, name := range names {
			if !seen[name] {
				t.Errorf("%s is named in the tables, but there is no such package", name)
			}
		}
	}
}

func keys[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, p := range packages(t) {
		if !p.ours() {
			continue
		}
		for _, path := range p.Imports {
			if dep, ok := strings.CutPrefix(path, module+"/"); ok && !mayImport(p.rel(), dep) {
				t.Errorf("%s imports %s, which its row does not allow", p.rel(), dep)
			}
		}
	}
}

// mayImport reads the table.
func mayImport(pkg, dep string) bool {
	if slices.Contains(rooms[pkg].imports, dep) {
		return true
	}
	if list, ok := closed[pkg]; ok {
		return slices.Contains(list, dep)
	}
	return slices.Contains(everyone, dep)
}

// The table itself must keep to the floors.
func TestTheTableKeepsToTheFloors(t *testing.T) {
	for pkg, r := range rooms {
		for _, dep := range r.imports {
			d, ok := rooms[dep]
			switch {
			case !ok:
				t.Errorf("the row of %s allows %s, which has no row", pkg, dep)
			case d.floor < r.floor, under(pkg, dep), siblings[[2]string{pkg, dep}]:
			case under(pkg, "cmd") && under(dep, "cmd"): // the roof is one room
			default:
				t.Errorf("the row of %s on floor %d allows %s on floor %d", pkg, r.floor, dep, d.floor)
			}
			if d.floor == floorDoors && r.floor != roof {
				t.Errorf("the row of %s allows %s, which only the roof may see", pkg, dep)
			}
			if under(pkg, "node") && under(dep, "layer") || under(pkg, "httpapi") && under(dep, "node") {
				t.Errorf("the row of %s allows %s: layers and protocols meet node only in cmd", pkg, dep)
			}
		}
	}
	for pair := range siblings {
		if !slices.Contains(rooms[pair[0]].imports, pair[1]) {
			t.Errorf("siblings %v is stale", pair)
		}
	}
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, p := range packages(t) {
		if !p.ours() {
			continue
		}
		for _, path := range p.Imports {
			dep := packages(t)[path]
			if dep.Standard || path == "C" || strings.HasPrefix(path, module) {
				continue
			}
			lib := library(path)
			if lib == "" {
				t.Errorf("%s imports %s: no package may; add the module to libraries in internal/archtest/table_test.go if it is meant", p.rel(), path)
				continue
			}
			if !slices.ContainsFunc(libraries[lib], func(dir string) bool { return under(p.rel(), dir) }) {
				t.Errorf("%s imports %s, which only %v may", p.rel(), path, libraries[lib])
			}
		}
	}
}

// library finds the module in the table that an import path belongs to; the
// longest name wins, as raft and raft-wal do not contain each other.
func library(path string) (found string) {
	for name := range libraries {
		if under(path, name) && len(name) > len(found) {
			found = name
		}
	}
	return found
}

func TestLibrariesAreRequired(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text))
	for name, dirs := range libraries {
		if !slices.Contains(words, name) {
			t.Errorf("%s is in the table, but not in go.mod", name)
		}
		for _, dir := range dirs {
			if !slices.ContainsFunc(keys(rooms), func(pkg string) bool { return under(pkg, dir) }) {
				t.Errorf("%s is allowed in %s, where no package is", name, dir)
			}
		}
	}
}
