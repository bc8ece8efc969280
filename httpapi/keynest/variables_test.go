package keynest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

// actions returns the actions of the audit log, the newest first, with the names
// of what they are about.
func (w *shared) actions() string {
	w.t.Helper()
	return w.names("action", w.get(w.ann, "/api/audit-logs/?page_size=100"))
}

// damage makes a stored value one that does not open.
func (w *world) damage(key string) {
	w.t.Helper()
	_, err := w.store.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		for rec, err := range tx.Scan([]byte{'v', 'k'}, []byte{'v', 'k' + 1}) {
			if err != nil {
				return err
			}
			if strings.Contains(string(rec.Key), key) {
				row := []byte(string(rec.Value))
				row[len(row)-2] ^= 1
				tx.Set([]byte(string(rec.Key)), row, 0)
				return nil
			}
		}
		return fmt.Errorf("no variable %s", key)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAVariableFromItsCreationToItsEnd(t *testing.T) {
	w := newShared(t)
	shape := func(key, value, updated string) string {
		return fmt.Sprintf(`{"id":1,"key":%q,"decrypted_value":%s,"environment":1,"environment_name":"dev",
			"created_at":%q,"updated_at":%q,"created_by_name":"","version":"*"}`, key, encode(value), started, updated)
	}
	w.is(201, shape("API_KEY", "  s3cret \t", started), w.send(w.ann, "POST", "/api/variables/", `{"key":" API_KEY ","value":"  s3cret \t","environment":1}`))
	w.is(200, shape("API_KEY", "  s3cret \t", started), w.get(w.eve, "/api/variables/1/"))
	w.is(200, shape("API_KEY", "[HIDDEN]", started), w.get(w.vic, "/api/variables/1/"))
	w.store.Advance(90e9)
	const later = "2023-11-14T22:14:50Z"
	w.is(200, shape("NEW_KEY", "  s3cret \t", later), w.send(w.eve, "PATCH", "/api/variables/1/", `{"key":"NEW_KEY"}`))
	w.is(200, shape("NEW_KEY", "", later), w.send(w.eve, "PATCH", "/api/variables/1/", `{"value":""}`))
	w.is(200, shape("NEW_KEY", "a=b&c", later), w.do("PUT", "/api/variables/1", "key=NEW_KEY&environment=1&value=a%3Db%26c", asForm, as(w.ann)))
	w.is(200, shape("NEW_KEY", "a=b&c", later), w.send(w.ann, "PUT", "/api/variables/1/", `{"key":"NEW_KEY","environment":"1"}`))
	w.is(200, shape("NEW_KEY", "5.0", later), w.send(w.ann, "PATCH", "/api/variables/1/", `{"value":5.0}`))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[`+shape("NEW_KEY", "5.0", later)+`]}`, w.get(w.ann, "/api/variables/"))
	if a := w.send(w.eve, "DELETE", "/api/variables/1/", ""); a.code != 204 || a.body != "" {
		t.Errorf("deleted with %d %q", a.code, a.body)
	}
	w.notFound(w.get(w.ann, "/api/variables/1/"))
	if id := w.variable(w.ann, 1, "NEW_KEY", ""); id != 2 {
		t.Errorf("the next variable has id %d", id)
	}
}

func TestWhatIsWrongWithAVariable(t *testing.T) {
	w := newShared(t)
	w.project(w.bob, 4, "Elsewhere")
	w.environment(w.bob, 2, "bobs")
	const form = `{"key":["Variable key must start with a letter and contain only uppercase letters, numbers, and underscores."]}`
	for _, tt := range []struct{ name, body, details string }{
		{"nothing", `{}`, `{"key":["This field is required."],"environment":["This field is required."]}`},
		{"a blank key", `{"key":" ","environment":1}`, `{"key":["Variable key cannot be empty."]}`},
		{"a key in small letters", `{"key":"key","environment":1}`, form},
		{"a key that begins with a number", `{"key":"1KEY","environment":1}`, form},
		{"a key with a line break", `{"key":"A\nB","environment":1}`, form},
		{"a key with an =", `{"key":"A=B","environment":1}`, form},
		{"a long key", `{"key":"` + strings.Repeat("K", 256) + `","environment":1}`, `{"key":["Ensure this field has no more than 255 characters."]}`},
		{"a null", `{"key":"KEY","value":null,"environment":1}`, `{"value":["This field may not be null."]}`},
		{"a truth", `{"key":"KEY","value":true,"environment":1}`, `{"value":["Not a valid string."]}`},
		{"an object", `{"key":"KEY","value":{"a":1},"environment":1}`, `{"value":["Not a valid string."]}`},
		{"a NUL", `{"key":"KEY","value":"a\u0000b","environment":1}`, `{"value":["Null characters are not allowed."]}`},
		{"a long value", `{"key":"KEY","value":"` + strings.Repeat("v", 65537) + `","environment":1}`, `{"value":["Ensure this field has no more than 65536 bytes."]}`},
		{"an environment that is not there", `{"key":"KEY","environment":999}`, `{"environment":["Invalid pk \"999\" - object does not exist."]}`},
		{"somebody else's environment", `{"key":"KEY","environment":2}`, `{"environment":["Invalid pk \"2\" - object does not exist."]}`},
		{"all of it at once", `{"key":"?","value":null,"environment":[]}`, `{"key":["Variable key must start with a letter and contain only uppercase letters, numbers, and underscores."],
			"value":["This field may not be null."],"environment":["Incorrect type. Expected pk value, received list."]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.invalid(tt.details, w.send(w.ann, "POST", "/api/variables/", tt.body))
		})
	}
	w.counts(0, 0, w.get(w.ann, "/api/variables/"))
	const taken = "A variable with this key already exists in this environment."
	w.variable(w.ann, 1, "ONE", "1")
	w.variable(w.ann, 1, "TWO", strings.Repeat("\u0001", 65536))
	w.faulty(409, "CONFLICT", taken, `{"key":["`+taken+`"]}`, w.send(w.ann, "POST", "/api/variables/", `{"key":"ONE","environment":1}`))
	w.faulty(409, "CONFLICT", taken, `{"key":["`+taken+`"]}`, w.send(w.ann, "PATCH", "/api/variables/1/", `{"key":"TWO"}`))
	w.invalid(`{"environment":["Invalid pk \"2\" - object does not exist."]}`, w.send(w.ann, "PATCH", "/api/variables/1/", `{"environment":2}`))
	w.invalid(`{"key":["This field is required."],"environment":["This field is required."]}`, w.send(w.ann, "PUT", "/api/variables/1/", `{"value":"x"}`))
	w.lists("1", "decrypted_value", w.get(w.ann, "/api/variables/?key=ONE"))
}

func TestListsOfVariablesNarrowedDown(t *testing.T) {
	w := newShared(t)
	w.project(w.bob, 4, "Elsewhere")
	w.environment(w.bob, 2, "bobs")
	w.variable(w.bob, 2, "BOBS_KEY", "b")
	w.environment(w.ann, 1, "prod")
	w.variable(w.ann, 1, "DB_HOST", "h")
	w.variable(w.ann, 3, "DB_PORT", "p")
	w.variable(w.ann, 1, "API_KEY", "k")
	for _, tt := range []struct{ query, want string }{
		{"", "DB_HOST,DB_PORT,API_KEY"},
		{"environment=1", "DB_HOST,API_KEY"},
		{"environment=2", ""}, // bob's
		{"environment=77", ""},
		{"environment=0", ""},
		{"environment=-1", ""},
		{"environment=", "DB_HOST,DB_PORT,API_KEY"},
		{"key=db_", "DB_HOST,DB_PORT"},
		{"key=KEY", "API_KEY"},
		{"key=DB&environment=3", "DB_PORT"},
		{"key=.*", ""},
		{"page_size=1&page=2", "DB_PORT"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			w := w.in(t)
			w.lists(tt.want, "key", w.get(w.ann, "/api/variables/?"+tt.query))
		})
	}
	w.invalid(`{"environment":["A valid integer is required."]}`, w.get(w.ann, "/api/variables/?environment=dev"))
	w.lists("[HIDDEN],[HIDDEN],[HIDDEN]", "decrypted_value", w.get(w.vic, "/api/variables/"))
	w.lists("b", "decrypted_value", w.get(w.bob, "/api/variables/"))
}

func TestWhoMayDoWhatWithVariables(t *testing.T) {
	w := newShared(t)
	for i := range 5 {
		w.variable(w.ann, 1, fmt.Sprintf("KEY%d", i), "v")
	}
	w.codes([5]int{200, 200, 200, 404, 401}, "GET", "/api/variables/1/", nil)
	w.codes([5]int{200, 200, 403, 404, 401}, "PATCH", "/api/variables/1/", func() string { return `{"value":"w"}` })
	n := 10
	w.codes([5]int{201, 201, 403, 400, 401}, "POST", "/api/variables/", func() string {
		n++
		return fmt.Sprintf(`{"key":"KEY%d","environment":1}`, n)
	})
	w.codes([5]int{204, 404, 404, 404, 401}, "DELETE", "/api/variables/1/", nil)
	w.forbidden(w.send(w.vic, "DELETE", "/api/variables/2/", ""))
	w.notFound(w.send(w.bob, "DELETE", "/api/variables/2/", ""))
	if a := w.send(w.eve, "DELETE", "/api/variables/2/", ""); a.code != 204 {
		t.Errorf("the editor's deletion: %d %s", a.code, a.body)
	}
}

func TestValuesAreKeptToTheByte(t *testing.T) {
	w := newShared(t)
	values := []string{
		"", " ", "\n", "\r\n\t", "trailing \n", `{"json":true}`, "$HOME `id` \\ ' \"", "-----BEGIN KEY-----\nab+/=\n---\n", "[HIDDEN]",
		"\u2028\u2029\ufeff", "ключ 🔑", "<script>&amp;", "\x7f\x01", strings.Repeat("é", 32768),
	}
	for i, v := range values {
		id := w.variable(w.ann, 1, fmt.Sprintf("KEY%d", i), v)
		var got struct {
			Value string `json:"decrypted_value"`
		}
		if w.read(200, w.get(w.ann, at("variables", id)), &got); got.Value != v {
			t.Errorf("%.40q came back as %.40q", v, got.Value)
		}
	}
}

func TestAValueThatDoesNotOpenIsMasked(t *testing.T) {
	w := newShared(t)
	w.variable(w.ann, 1, "GOOD", "g")
	w.variable(w.ann, 1, "BROKEN", "bbbbbbbbbbbbb")
	w.damage("BROKEN")
	w.lists("g,[DECRYPTION_ERROR]", "decrypted_value", w.get(w.ann, "/api/environments/1/variables/"))
	w.lists("[HIDDEN],[HIDDEN]", "decrypted_value", w.get(w.vic, "/api/environments/1/variables/"))
	w.lists("g", "decrypted_value", w.get(w.ann, "/api/variables/?key=GOOD"))
	if a := w.send(w.ann, "PATCH", "/api/variables/2/", `{"value":"mended"}`); a.code != 200 {
		t.Errorf("a new value for a broken one: %d %s", a.code, a.body)
	}
	w.lists("g,mended", "decrypted_value", w.get(w.ann, "/api/environments/1/variables/"))
}

func TestOneOfManyWhoCreateOneKeyIsLuckyOnly(t *testing.T) {
	w := newShared(t)
	for round := range 5 {
		var mu sync.Mutex
		codes := map[int]int{}
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				body := fmt.Sprintf(`{"key":"KEY%d","value":"of %d","environment":1}`, round, i)
				a := w.send([]string{w.ann, w.eve}[i%2], "POST", "/api/variables/", body)
				mu.Lock()
				defer mu.Unlock()
				codes[a.code]++
			})
		}
		all.Wait()
		if codes[201] != 1 || codes[409] != 5 {
			t.Errorf("round %d: answers %v, want one 201 and five 409", round, codes)
		}
	}
	w.counts(5, 5, w.get(w.ann, "/api/environments/1/variables/"))
}

func TestNoValueLeavesUnrecorded(t *testing.T) {
	w := newShared(t)
	w.variable(w.ann, 1, "KEY", "s3cret")
	before := w.actions()
	w.store.Advance(1e9)
	w.get(w.ann, "/api/variables/1/")
	w.get(w.vic, "/api/variables/1/") // sees nothing
	w.get(w.vic, "/api/environments/1/variables/")
	w.get(w.eve, "/api/environments/1/variables/")
	for _, path := range []string{"/api/variables/1/", "/api/variables/", "/api/environments/1/variables/", "/api/environments/1/export/"} {
		if a := w.send(w.ann, "HEAD", path, ""); a.code != 200 || a.header.Get("Content-Length") == "" {
			t.Errorf("HEAD %s: %d, length %q", path, a.code, a.header.Get("Content-Length"))
		}
	}
	if got, want := w.actions(), "environment_viewed,variable_viewed,"+before; got != want {
		t.Errorf("the log has %.200s\nwant %.200s", got, want)
	}

	unable := vault.NewRecorder(w.store.DB)
	unable.Close()
	w.serve(func(s *settings) { s.api.Recorder = unable })
	for _, path := range []string{"/api/variables/1/", "/api/variables/", "/api/environments/1/variables/", "/api/environments/1/export/"} {
		if a := w.get(w.ann, path); a.code != 503 || strings.Contains(a.body, "s3cret") {
			t.Errorf("GET %s without a record: %d %s", path, a.code, a.body)
		}
		if a := w.get(w.vic, path); a.code != 200 && a.code != 403 {
			t.Errorf("GET %s by who sees no value: %d %s", path, a.code, a.body)
		}
	}
}
