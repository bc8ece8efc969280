package vault

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The document has the tables of the code, to the letter.
func TestTheDocumentHasTheTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/keynest.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{"roles": rolesTable(), "audit entries": auditTable()} {
		if !strings.Contains(string(text), "\n|---|---|---|---|\n"+table+"\n") {
			t.Errorf("docs/keynest.md does not have the table of %s, which is\n%s", name, table)
		}
	}
}

func rolesTable() string {
	var b strings.Builder
	for _, a := range Actions() {
		fmt.Fprintf(&b, "| %s |", a)
		for _, r := range []Role{Admin, Editor, Viewer} {
			if Grants(r, a) {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" no |")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func auditTable() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(recordable)) {
		v, on, _ := strings.Cut(what, " ")
		action := "`" + event{Verb: verb(v), Target: target(on)}.action() + "`"
		if verb(v) == verbView && target(on) == targetUser {
			action += ", `" + event{Verb: verb(v), Target: target(on), Details: details{"logout": true}}.action() + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |%s|%s|\n", what, action, codeList(recordable[what].must), codeList(recordable[what].may))
	}
	return b.String()
}

// codeList is a cell of a table.
func codeList(names []string) string {
	if len(names) == 0 {
		return " "
	}
	return " `" + strings.Join(names, "`, `") + "` "
}
