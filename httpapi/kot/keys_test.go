package kot

import (
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/database"
)

func TestSetAndGet(t *testing.T) {
	w := newWorld(t)
	const set, get = "/controller/set", "/controller/get"
	a := w.says("Data set successfully", w.post(set, "database_name", "d", "key", "k", "value", "v1"))
	if v, err := strconv.Atoi(a.header.Get("Covey-Version")); err != nil || v < 1 || a.header.Get("Content-Length") != "21" {
		t.Errorf("headers %v", a.header)
	}
	a = w.data(`"v1"`, w.post(get, "database_name", "d", "key", "k"))
	if a.header.Get("Covey-Consistency") != "linearizable" || a.header.Get("Covey-Version") == "" {
		t.Errorf("headers %v", a.header)
	}
	a = w.do("POST", get, form("database_name", "d", "key", "k"), admitted, formType, "Covey-Consistency: stale")
	w.data(`"v1"`, a)
	if a.header.Get("Covey-Consistency") != "stale" {
		t.Errorf("headers %v", a.header)
	}
	w.read(`"v1"`, "d", "k", "compress", "1") // ignored
	w.set("d", "k", "42")                     // overwrites; always a string
	w.read(`"42"`, "d", "k")
	w.set("d", "k", "", "cache_policy", "60")
	w.read(`""`, "d", "k")
	w.says("Data set successfully", w.post(set, "database_name", "d", "key", "k"))
	w.read(`null`, "d", "k")
	w.read(`null`, "d", "missing")
	w.read(`null`, "d", "missing", "encryption_key", "x")
	w.read(`null`, "unknown", "k")
	w.names("d", "unknown")
}

func TestMissingFields(t *testing.T) {
	w := newWorld(t)
	w.set("d", "k", "v")
	commits := w.store.Commits()
	for _, tt := range []struct {
		path, missing string
		fields        []string
	}{
		{"/controller/set", "database_name", nil},
		{"/controller/set", "database_name", []string{"key", "k", "value", "v"}},
		{"/controller/set", "key", []string{"database_name", "d", "value", "v"}},
		{"/controller/get", "database_name", []string{"key", "k"}},
		{"/controller/get", "key", []string{"database_name", "d"}},
		{"/controller/get_all", "database_name", []string{"key", "k"}},
		{"/controller/delete", "database_name", []string{"key", "k"}},
		{"/database/pop", "database_name", nil},
		{"/database/delete", "database_name", nil},
		{"/execute", "query", nil},
	} {
		a := w.post(tt.path, tt.fields...)
		reason := w.fails(500, a)
		if len(a.body) != 265 || reason != "field "+tt.missing+" is missing" {
			t.Errorf("%s: a page of %d bytes, reason %q", tt.path, len(a.body), reason)
		}
		// The query string is no form.
		a = w.do("POST", tt.path+"?database_name=d&key=k&value=x&query=SET+d+k+x", form(tt.fields...), admitted, formType)
		w.fails(500, a)
	}
	if n := w.store.Commits() - commits; n != 0 {
		t.Errorf("%d commits by requests that lack a field", n)
	}
	w.read(`"v"`, "d", "k")
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	const path, done = "/controller/delete", "Data deleted successfully"
	w.set("d", "k", "v")
	w.set("d", "k2", "v")
	w.says(done, w.post(path, "database_name", "d"))
	w.all(`{"k":"v","k2":"v"}`, "d")
	w.says(done, w.post(path, "database_name", "d", "key", "k"))
	w.says(done, w.post(path, "database_name", "d", "key", "k"))
	w.all(`{"k2":"v"}`, "d")
	w.says(done, w.post(path, "database_name", "by delete", "key", "k"))
	w.says(done, w.post(path, "database_name", "by delete without a key"))
	w.names("by delete", "by delete without a key", "d")
	w.set("d", "", "empty")
	w.says(done, w.post(path, "database_name", "d", "key", ""))
	w.read("null", "d", "")
}

// Names and keys are any text; none of them is a path.
func TestNamesAreOnlyNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\x00b", "NUL", "%2e%2e", "a=b&c;d", "\n", `"`, "é☃😀", "\u007f", strings.Repeat("n", database.MaxName)} {
		w.set(name, name, "v"+name)
		w.set(name, "", "second")
		want := string(appendText(nil, "v"+name))
		if name == "" {
			want = `"second"`
		}
		w.read(want, name, name)
		w.read("null", name, "missing")
		w.says("Database deleted successfully", w.post("/database/delete", "database_name", name))
		w.names()
	}
}

func TestLongNames(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("n", database.MaxName+1)
	for _, tt := range []struct{ path, database, key string }{
		{"/controller/set", long, "k"}, {"/controller/set", "d", long}, {"/controller/get", long, "k"},
		{"/controller/get_all", long, ""}, {"/controller/delete", long, "k"},
	} {
		reason := w.fails(413, w.post(tt.path, "database_name", tt.database, "key", tt.key))
		if strings.Contains(reason, "nnn") {
			t.Errorf("%s: the reason shows the name", tt.path)
		}
	}
	w.says("Database popped successfully", w.post("/database/pop", "database_name", long))
	w.fails(500, w.post("/database/delete", "database_name", long))
	w.fails(413, w.post("/database/rename", "database_name", "d", "new_database_name", long))
	w.names()
	// A key that nothing can be stored under is one that is missing.
	w.read("null", "d", long)
	w.says("Data deleted successfully", w.post("/controller/delete", "database_name", "d", "key", long))
}

// What a value looks like on the wire, from the contract.
func TestTextOfAnswers(t *testing.T) {
	w := newWorld(t)
	for value, want := range map[string]string{
		"hé" + `llo ☃ 😀 </b>&"`:              `"h\u00e9llo \u2603 \ud83d\ude00 </b>&\""`,
		"\b\f\n\r\t\x00\x1f\x7f\\/":          `"\b\f\n\r\t\u0000\u001f\u007f\\/"`,
		"\u0080\u00ff\u2028\uffff\U0010ffff": `"\u0080\u00ff\u2028\uffff\udbff\udfff"`,
		"a\xffb\xe2\x82":                     `"a\ufffdb\ufffd\ufffd"`,
		"gAAAAABk-_=":                        `"gAAAAABk-_="`,
		"+ %20 &=;":                          `"+ %20 &=;"`,
		`[[[],{}],"no record"]`:              `"[[[],{}],\"no record\"]"`,
	} {
		w.set("d", "k", value)
		w.read(want, "d", "k")
		w.all(`{"k":`+want+`}`, "d")
	}
	w.set("d", "é\n", "1")
	w.set("d", "z", "2")
	w.set("d", "Z", "3")
	w.set("d", "\U0001f600", "4")
	w.set("d", "\uffee", "5")
	w.says("Data deleted successfully", w.post("/controller/delete", "database_name", "d", "key", "k"))
	w.all(`{"Z":"3","z":"2","\u00e9\n":"1","\uffee":"5","\ud83d\ude00":"4"}`, "d")
}

func TestEncryptedValues(t *testing.T) {
	w := newWorld(t)
	const get = "/controller/get"
	w.set("d", "plain", "p")
	w.set("d", "sealed", "s", "encryption_key", "one")
	w.set("d", "other", "o", "encryption_key", "two", "compress", "False")
	w.set("d", "small", strings.Repeat("s", 1000), "compress", "x")
	w.says("Data set successfully", w.post("/controller/set", "database_name", "d", "key", "null", "encryption_key", "one"))
	w.read(`"s"`, "d", "sealed", "encryption_key", "one")
	w.read(`null`, "d", "null", "encryption_key", "one")
	w.read(`"p"`, "d", "plain", "encryption_key", "") // as good as none
	for _, tt := range [][2]string{{"sealed", ""}, {"sealed", "two"}, {"sealed", "on"}, {"sealed", "one "}, {"plain", "one"}, {"null", ""}} {
		a := w.post(get, "database_name", "d", "key", tt[0], "encryption_key", tt[1])
		reason := w.fails(500, a)
		if len(a.body) != 265 || !strings.Contains(reason, "encryption_key") {
			t.Errorf("%v: a page of %d bytes, reason %q", tt, len(a.body), reason)
		}
	}
	w.all(`{"plain":"p","small":"`+strings.Repeat("s", 1000)+`"}`, "d")
	w.all(`{"sealed":"s"}`, "d", "encryption_key", "one")
	w.all(`{"other":"o"}`, "d", "encryption_key", "two")
	w.all(`{}`, "d", "encryption_key", "three")
	w.all(`{}`, "unknown", "encryption_key", "three")
	w.set("d", "sealed", "open again")
	w.read(`"open again"`, "d", "sealed")
	w.says("Database renamed successfully", w.post("/database/rename", "database_name", "d", "new_database_name", "e"))
	w.read(`"o"`, "e", "other", "encryption_key", "two")
	w.read(`null`, "d", "other", "encryption_key", "two")
}

func TestEncryptionKeysOfAnyLength(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{0, 1, 1000, 1 << 20} {
		key := strings.Repeat("ü", n)[:n+n%2]
		w.set("d", "k", "v", "encryption_key", key)
		w.read(`"v"`, "d", "k", "encryption_key", key)
		w.all(`{"k":"v"}`, "d", "encryption_key", key)
		if n > 0 {
			w.fails(500, w.post("/controller/get", "database_name", "d", "key", "k", "encryption_key", key+"x"))
		}
	}
}

func TestLargeValues(t *testing.T) {
	w := newWorld(t)
	value := strings.Repeat("gAAAAABk0123456789-_", 8<<20/20)
	want := `"` + value + `"`
	w.set("d", "k", value)
	w.read(want, "d", "k")
	w.set("d", "k", value, "encryption_key", "a", "compress", "true")
	w.read(want, "d", "k", "encryption_key", "a")
	w.all(`{"k":`+want+`}`, "d", "encryption_key", "a")
	w.all(`{}`, "d")
}
