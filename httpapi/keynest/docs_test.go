package keynest

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The document's table of calls is the table of routes.
func TestTheDocumentHasAllCalls(t *testing.T) {
	text, err := os.ReadFile("../../docs/keynest.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]place{"/health/": atHealth, "/api/": atRoot}
	for path, at := range places {
		if !strings.Contains(path, ".") {
			path += "/"
		}
		want["/api/"+path] = at
	}
	routes := newRoutes()
	row := regexp.MustCompile("(?m)^\\| `(/[^`]*)` \\| ([A-Z, ]+) \\|")
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		path, methods := found[1], found[2]
		at, ok := want[path]
		if !ok {
			t.Errorf("docs/keynest.md has %s, which is not served", path)
			continue
		}
		delete(want, path)
		if served := strings.Join(slices.Sorted(maps.Keys(routes[at].work)), ", "); methods != served {
			t.Errorf("docs/keynest.md says %s for %s, served are %s", methods, path, served)
		}
	}
	for path := range want {
		t.Errorf("docs/keynest.md does not have %s", path)
	}
}
