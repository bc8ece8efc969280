package kot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (w *world) execute(query string) response {
	w.t.Helper()
	return w.post("/execute", "query", query)
}

func TestExecute(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ query, want string }{
		{"SET d k v", "true"},
		{"GET d k", `"v"`},
		{"  GET\td \n k ", `"v"`},
		{"SET d k v2 None ", "true"},
		{"GET d k None", `"v2"`},
		{"SET d sealed s key", "true"},
		{"GET d sealed key", `"s"`},
		{"SET d small " + strings.Repeat("x", 999) + " None False", "true"},
		{"GET d small", `"` + strings.Repeat("x", 999) + `"`},
		{"SET d both y key False more words", "true"},
		{"GET d both key more words", `"y"`},
		{"SET d nothing", "true"},
		{"GET d nothing", "null"},
		{"GET d missing", "null"},
		{"GET unknown k", "null"},
		{"SET d two words here", "true"}, // encrypted with the key "here": there is no quoting
		{"GET d two here", `"words"`},
		{`SET d quoted "a`, "true"},
		{"GET d quoted", `"\"a"`},
		{"SET d none None", "true"},
		{"GET d none", `"None"`},
		{"GET_ALL d ignored", `{"k":"v2","none":"None","quoted":"\"a","small":"` + strings.Repeat("x", 999) + `"}`},
		{"GET_ALL new", "{}"},
		{"DELETE d small", "true"},
		{"DELETE d small", "true"},
		{"DELETE newer k", "true"},
		{"DATABASE_LIST", `{"d":"` + filePath("d") + `","new":"` + filePath("new") + `","newer":"` + filePath("newer") + `","unknown":"` + filePath("unknown") + `"}`},
		{"DATABASE_DELETE new", "true"},
		{"DATABASE_DELETE newer", "true"},
		{"DATABASE_DELETE unknown", "true"},
		{"DATABASE_POP d", "true"},
		{"DATABASE_POP nowhere", "true"},
		{"GET_ALL d", "{}"},
		{"SET d k v", "true"},
		{"DATABASE_POP_ALL", "null"},
		{"GET d k", "null"},
		{"DATABASE_LIST x", `{"d":"` + filePath("d") + `"}`},
		{"DATABASE_DELETE_ALL", "null"},
		{"DATABASE_LIST", "{}"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			in := *w
			in.t = t
			in.data(tt.want, in.execute(tt.query))
		})
	}
}

func TestExecuteRefuses(t *testing.T) {
	w := newWorld(t)
	w.data("true", w.execute("SET d k v key"))
	commits := w.store.Commits()
	for _, query := range []string{
		"", " ", "SET", "SET d", "GET", "GET d", "GET_ALL", "DELETE", "DELETE d", "DATABASE_POP", "DATABASE_DELETE", "DATABASE_DELETE unknown",
		"GET d k", "GET d k None", "GET d k wrong", "set d k v", "Get d k", "DATABASE_RENAME d e", "DEBUG x", "SETd k v", "SET;d k v", "DROP",
		"database_pop_all", "GET\u200b d k",
	} {
		a := w.execute(query)
		reason := w.fails(500, a)
		if len(a.body) != 265 || strings.Contains(reason, "wrong") {
			t.Errorf("%q: a page of %d bytes, reason %q", query, len(a.body), reason)
		}
	}
	w.fails(413, w.execute("SET "+strings.Repeat("n", 5000)+" k v"))
	w.fails(413, w.execute("SET d "+strings.Repeat("n", 5000)))
	w.fails(413, w.execute("GET_ALL "+strings.Repeat("n", 5000)))
	if n := w.store.Commits() - commits; n != 0 {
		t.Errorf("%d commits by refused queries", n)
	}
	w.names("d")
}

// Real servers let a restriction of an endpoint be bypassed by its command.
func TestExecuteKeepsRestrictions(t *testing.T) {
	queries := map[string]string{
		"SET": "SET d k x", "GET": "GET d k", "GET_ALL": "GET_ALL d", "DELETE": "DELETE d k", "DATABASE_LIST": "DATABASE_LIST", "DATABASE_POP": "DATABASE_POP d",
		"DATABASE_DELETE": "DATABASE_DELETE d", "DATABASE_POP_ALL": "DATABASE_POP_ALL", "DATABASE_DELETE_ALL": "DATABASE_DELETE_ALL",
	}
	if len(queries) != len(commands) {
		t.Errorf("%d commands, %d are tested", len(commands), len(queries))
	}
	for name, query := range queries {
		t.Run(name, func(t *testing.T) {
			endpoint := strings.ToLower(name) // the contract's mapping, but for its spelling
			w := newWorld(t, restricted(t, endpoint))
			for _, q := range []string{query, " " + name, name + "\t", query + " more words", strings.Replace(query, " ", "\u00a0", 1)} {
				w.is(403, "text/html; charset=utf-8", accessText, w.execute(q))
				w.is(403, "text/html; charset=utf-8", accessText, w.do("POST", "/execute", `{"query":`+string(appendText(nil, q))+`}`, admitted, objType))
			}
			if n := w.store.Commits(); n != 0 {
				t.Errorf("%d commits by restricted commands", n)
			}
			other := "SET d k v"
			if name == "SET" {
				other = "DELETE d k"
			}
			w.data("true", w.execute(other))
			w.fails(500, w.execute(strings.ToLower(query)))
		})
	}
}

// The real server deletes the file whose path is the value that a deleted key
// has.
func TestNothingTouchesFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.set("d", "k", file)
	w.set(file, file, file)
	w.says("Data deleted successfully", w.post("/controller/delete", "database_name", "d", "key", "k"))
	w.data("true", w.execute("DELETE "+file+" "+file))
	w.set("d", "k", file)
	w.says("Database renamed successfully", w.post("/database/rename", "database_name", "d", "new_database_name", file+"2"))
	w.says("Database popped successfully", w.post("/database/pop", "database_name", file))
	w.says("Database deleted successfully", w.post("/database/delete", "database_name", file))
	w.says("All database deleted successfully", w.get("/database/delete_all"))
	if got, err := os.ReadFile(file); err != nil || string(got) != "data" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
