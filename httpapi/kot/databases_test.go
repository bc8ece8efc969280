package kot

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestDatabasesAreCreatedByNaming(t *testing.T) {
	w := newWorld(t)
	w.names()
	for i, tt := range []struct {
		path   string
		fields []string
	}{
		{"/controller/set", []string{"key", "k"}},
		{"/controller/get", []string{"key", "k"}},
		{"/controller/get_all", nil},
		{"/controller/delete", []string{"key", "k"}},
	} {
		name := fmt.Sprint("n", i)
		for range 2 {
			if a := w.post(tt.path, append(tt.fields, "database_name", name)...); a.code != 200 {
				t.Errorf("%s: %d", tt.path, a.code)
			}
		}
	}
	for _, query := range []string{"SET x1 k v", "GET x2 k", "GET_ALL x3", "DELETE x4 k"} {
		if a := w.post("/execute", "query", query); a.code != 200 {
			t.Errorf("%s: %d", query, a.code)
		}
	}
	w.says("Database popped successfully", w.post("/database/pop", "database_name", "no"))
	w.fails(500, w.post("/database/delete", "database_name", "no"))
	w.names("n0", "n1", "n2", "n3", "x1", "x2", "x3", "x4")
}

// A read writes when it creates its database, and only then.
func TestReadsOfKnownDatabasesCommitNothing(t *testing.T) {
	w := newWorld(t)
	w.read("null", "d", "k")
	w.all("{}", "d")
	if n := w.store.Commits(); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	w.read("null", "d", "k")
	w.names("d")
	w.get("/informations")
	if n := w.store.Commits(); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.data("{}", w.get("/database/list"))
	w.read("null", "db1", "k")
	a := w.data(`{"db1":"/KOT/KOT-82e64648d9abefef3ab5143537554e7681ea1ba7b387881792033e9dce77f650"}`, w.get("/database/list"))
	h := w.do("HEAD", "/database/list", "", admitted)
	if h.code != 200 || h.body != "" || h.header.Get("Content-Length") != a.header.Get("Content-Length") || a.header.Get("Covey-Version") == "" {
		t.Errorf("HEAD: %d %q %v", h.code, h.body, h.header)
	}
}

func TestPopAndDelete(t *testing.T) {
	w := newWorld(t)
	fill := func() {
		w.set("a", "k", "v")
		w.set("a", "k2", "v", "encryption_key", "x")
		w.set("b", "k", "v")
	}
	fill()
	w.says("Database popped successfully", w.post("/database/pop", "database_name", "a"))
	w.all("{}", "a")
	w.all("{}", "a", "encryption_key", "x")
	w.all(`{"k":"v"}`, "b")
	w.names("a", "b")
	fill()
	w.says("Database deleted successfully", w.post("/database/delete", "database_name", "a"))
	w.names("b")
	w.fails(500, w.post("/database/delete", "database_name", "a"))
	w.all("{}", "a") // made again
	w.names("a", "b")
	w.all(`{"k":"v"}`, "b")
	for _, method := range []string{"GET", "POST"} {
		fill()
		w.says("All database popped successfully", w.do(method, "/database/pop_all", "", admitted))
		w.all("{}", "a")
		w.all("{}", "b")
		w.names("a", "b")
		fill()
		w.says("All database deleted successfully", w.do(method, "/database/delete_all", "", admitted))
		w.data("{}", w.get("/database/list"))
		w.says("All database deleted successfully", w.do(method, "/database/delete_all", "", admitted))
	}
}

func TestHeadChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.set("d", "k", "v")
	commits := w.store.Commits()
	for _, path := range []string{"/database/pop_all", "/database/delete_all", "/database/list", "/informations"} {
		a := w.do("HEAD", path, "", admitted)
		if a.code != 200 || a.body != "" || a.header.Get("Content-Length") == "" {
			t.Errorf("%s: %d %q %v", path, a.code, a.body, a.header)
		}
	}
	if n := w.store.Commits() - commits; n != 0 {
		t.Errorf("%d commits by HEAD", n)
	}
	w.all(`{"k":"v"}`, "d")
}

func TestRename(t *testing.T) {
	const path, done = "/database/rename", "Database renamed successfully"
	rename := func(w *world, fields ...string) { t.Helper(); w.says(done, w.post(path, fields...)) }
	t.Run("moves everything", func(t *testing.T) {
		w := newWorld(t)
		w.set("a", "k", "v")
		w.set("a", "s", "sealed", "encryption_key", "x")
		rename(w, "database_name", "a", "new_database_name", "b")
		w.names("b")
		w.all(`{"k":"v"}`, "b")
		w.all(`{"s":"sealed"}`, "b", "encryption_key", "x")
		w.set("a", "k", "new") // the old name begins empty and apart
		w.all(`{"k":"new"}`, "a")
		w.all(`{"k":"v"}`, "b")
	})
	t.Run("onto another or itself changes nothing", func(t *testing.T) {
		w := newWorld(t)
		w.set("a", "k", "1")
		w.set("b", "k", "2")
		rename(w, "database_name", "a", "new_database_name", "b")
		rename(w, "database_name", "a", "new_database_name", "a")
		rename(w, "database_name", "unknown", "new_database_name", "a")
		w.names("a", "b")
		w.all(`{"k":"1"}`, "a")
		w.all(`{"k":"2"}`, "b")
	})
	t.Run("of an unknown one makes an empty one", func(t *testing.T) {
		w := newWorld(t)
		rename(w, "database_name", "unknown", "new_database_name", "b")
		w.names("b")
		w.all("{}", "b")
	})
	t.Run("without a source changes nothing", func(t *testing.T) {
		w := newWorld(t)
		rename(w, "new_database_name", "b")
		w.names()
	})
	t.Run("to and from the empty name", func(t *testing.T) {
		w := newWorld(t)
		w.set("a", "k", "v")
		rename(w, "database_name", "a", "new_database_name", "")
		w.names("")
		rename(w, "database_name", "", "new_database_name", "a")
		w.all(`{"k":"v"}`, "a")
	})
	// The real server answers 200 and destroys the source.
	t.Run("without a target is refused and loses nothing", func(t *testing.T) {
		w := newWorld(t)
		w.set("a", "k", "v")
		commits := w.store.Commits()
		for _, fields := range [][]string{{"database_name", "a"}, {}, {"database_name", "a", "new_name", "b"}} {
			a := w.post(path, fields...)
			if reason := w.fails(400, a); reason != "field new_database_name is missing" {
				t.Errorf("reason %q", reason)
			}
			if !strings.Contains(a.body, "<p>The browser (or proxy) sent a request that this server could not understand.</p>") {
				t.Errorf("page %q", a.body)
			}
		}
		w.fails(400, w.do("POST", path, `{"database_name":"a","new_database_name":null}`, admitted, objType))
		if n := w.store.Commits() - commits; n != 0 {
			t.Errorf("%d commits", n)
		}
		w.names("a")
		w.all(`{"k":"v"}`, "a")
	})
}

func TestLongAnswersComeInPieces(t *testing.T) {
	w := newWorld(t)
	var want strings.Builder
	want.WriteByte('{')
	value := strings.Repeat("v", 300<<10)
	for i := range 9 {
		key := fmt.Sprint("k", i)
		w.set("d", key, value)
		if i > 0 {
			want.WriteByte(',')
		}
		fmt.Fprintf(&want, "%q:%q", key, value)
	}
	want.WriteByte('}')
	a := w.post("/controller/get_all", "database_name", "d")
	w.data(want.String(), a)
	if a.header.Get("Content-Length") != "" || a.header.Get("Covey-Version") == "" || a.header.Get("Covey-Consistency") != "linearizable" {
		t.Errorf("headers %v", a.header)
	}
	w.data(want.String(), w.post("/execute", "query", "GET_ALL d"))
	for i := range 300 { // a list over one piece, too, for HEAD
		w.read("null", fmt.Sprintf("%d-%s", i, strings.Repeat("n", 4000)), "k")
	}
	names := w.get("/database/list")
	if names.code != 200 || names.header.Get("Content-Length") != "" || len(names.body) < 1_200_000 {
		t.Errorf("%d, %d bytes, %v", names.code, len(names.body), names.header)
	}
	h := w.do("HEAD", "/database/list", "", admitted)
	if h.code != http.StatusOK || h.body != "" || h.header.Get("Covey-Version") != names.header.Get("Covey-Version") {
		t.Errorf("HEAD: %d %q %v", h.code, h.body, h.header)
	}
}
