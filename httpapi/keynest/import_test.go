package keynest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/vault"
)

const importPath = "/api/environments/1/import/"

// form is a multipart form with a file and fields ("name=value"), and its
// Content-Type header.
func form(t testing.TB, filename, content string, fields ...string) (body, header string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if err := m.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if filename != "" {
		part, err := m.CreateFormFile("file", filename)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), "Content-Type: " + m.FormDataContentType()
}

// upload imports a file as ann.
func (w *shared) upload(filename, content string, fields ...string) response {
	w.t.Helper()
	body, header := form(w.t, filename, content, fields...)
	return w.do("POST", importPath, body, header, as(w.ann))
}

// raw imports content in JSON as ann.
func (w *shared) raw(format, content string) response {
	w.t.Helper()
	return w.send(w.ann, "POST", importPath, string(encode(map[string]any{"data": content, "format": format})))
}

// imported checks the answer of an import of which no line was left out.
func (w *world) imported(created, updated int, a response) {
	w.t.Helper()
	w.is(200, fmt.Sprintf(`{"message":"Import completed successfully","summary":{"imported":%d,"updated":%d,"failed":0,"total_variables":%d},
		"failed_imports":null}`, created, updated, created+updated), a)
}

// holds checks the variables of environment 1, KEY=value with commas between, in
// the order of their ids.
func (w *shared) holds(want string) {
	w.t.Helper()
	var v struct {
		Results []struct {
			Key   string
			Value string `json:"decrypted_value"`
		}
	}
	w.read(200, w.get(w.ann, "/api/environments/1/variables/"), &v)
	var got []string
	for _, r := range v.Results {
		got = append(got, r.Key+"="+r.Value)
	}
	if text := strings.Join(got, ","); text != want {
		w.t.Errorf("the environment holds %q, want %q", text, want)
	}
}

// empty removes the variables of environment 1.
func (w *shared) empty() {
	w.t.Helper()
	var v struct{ Results []struct{ ID uint64 } }
	w.read(200, w.get(w.ann, "/api/environments/1/variables/"), &v)
	for _, r := range v.Results {
		if a := w.send(w.ann, "DELETE", at("variables", r.ID), ""); a.code != 204 {
			w.t.Fatalf("delete: %d %s", a.code, a.body)
		}
	}
}

func TestWhatAnImportIsOf(t *testing.T) {
	w := newShared(t)
	for _, tt := range []struct {
		name string
		do   func(w *shared) response
		want string
	}{
		{"a file", func(w *shared) response { return w.upload(".env", "A=1\nexport B='2 3'\n") }, "A=1,B=2 3"},
		{"a file of JSON", func(w *shared) response { return w.upload("x.JSON", `{"A":1,"B":null,"C":{"d": [1]}}`) }, `A=1,B=,C={"d":[1]}`},
		{"a file of YAML", func(w *shared) response { return w.upload("x.yml", "A: one\nB: true\n") }, "A=one,B=true"},
		{"a file with another name", func(w *shared) response { return w.upload("x.txt", "A=1") }, "A=1"},
		{"a file and a format", func(w *shared) response { return w.upload("x.txt", `{"A":"1"}`, "format=json") }, "A=1"},
		{"a file of any format", func(w *shared) response { return w.upload("x", "---\nA: 1\n", "format=auto") }, "A=1"},
		{"data", func(w *shared) response { return w.send(w.ann, "POST", importPath, `{"data":"A=1"}`) }, "A=1"},
		{"data of a format", func(w *shared) response { return w.raw("yaml", "A: 1") }, "A=1"},
		{"JSON that is found out", func(w *shared) response { return w.raw("auto", "\n {\"A\":\"1\"}") }, "A=1"},
		{"a key in the text is no YAML", func(w *shared) response { return w.raw("auto", "A='-----BEGIN\n---\n'") }, "A=-----BEGIN\n---\n"},
		{"a form", func(w *shared) response {
			return w.do("POST", importPath, "data=A%3D1%0AB%3D2&format=env", asForm, as(w.ann))
		}, "A=1,B=2"},
		{"a form in parts without a file", func(w *shared) response { return w.upload("", "", "data=A=1") }, "A=1"},
		{"the last of two values", func(w *shared) response { return w.raw("env", "A=1\nB=2\nA=3") }, "A=3,B=2"},
		{"keys in small letters", func(w *shared) response { return w.raw("env", "db_url=x\n_y=z") }, "db_url=x,_y=z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.imported(1+strings.Count(tt.want, ","), 0, tt.do(w))
			w.holds(tt.want)
			w.empty()
		})
	}
}

func TestAnImportMeetsWhatIsThere(t *testing.T) {
	w := newShared(t)
	w.imported(2, 0, w.raw("env", "A=1\nB=2"))
	w.imported(1, 1, w.raw("env", "B=3\nC=4"))
	w.holds("A=1,B=3,C=4")
	for _, no := range []string{`false`, `"false"`, `"FALSE"`, `0`, `"0"`, `"no"`, `""`, `"n"`, `"nein"`, `"null"`, `null`, `[]`, `["true"]`, `{}`} {
		a := w.send(w.ann, "POST", importPath, `{"data":"D=1\nC=2\nA=3","overwrite":`+no+`}`)
		w.is(409, `{"error":"Conflicting variables found","details":null,"code":"CONFLICT","timestamp":"*","detail":"Conflicting variables found",
			"conflicts":["C","A"],"message":"Set overwrite=true to replace existing variables"}`, a)
	}
	for _, no := range []string{"false", "0", "no", ""} {
		if a := w.upload(".env", "C=2", "overwrite="+no); a.code != 409 {
			t.Errorf("overwrite=%s: %d %s", no, a.code, a.body)
		}
	}
	w.holds("A=1,B=3,C=4")
	w.imported(1, 0, w.send(w.ann, "POST", importPath, `{"data":"D=5","overwrite":false}`))
	for _, yes := range []string{`true`, `"true"`, `1`, `"yes"`} {
		w.imported(0, 1, w.send(w.ann, "POST", importPath, `{"data":"D=5","overwrite":`+yes+`}`))
	}
}

func TestLinesThatAreNotImported(t *testing.T) {
	w := newShared(t)
	a := w.upload("prod.env", "\ufeffA=1\r\nnothing\r\n  # a comment\r\n1B=s3cret\r\nC=\"s3cret\r\nD='x' s3cret\r\nE=a\x00b\r\nF=\r\n")
	w.is(200, `{"message":"Import completed successfully","summary":{"imported":2,"updated":0,"failed":5,"total_variables":2},"failed_imports":[
		{"line":2,"key":"","error":"no = in the line"},
		{"line":4,"key":"","error":"invalid key: must start with a letter or underscore and contain only letters, numbers and underscores"},
		{"line":5,"key":"C","error":"the quote is not closed"},
		{"line":6,"key":"D","error":"text after the closing quote"},
		{"line":7,"key":"E","error":"the value holds a NUL byte"}]}`, a)
	w.holds("A=1,F=")
	w.lists("environment_imported", "action", w.get(w.ann, "/api/audit-logs/?action=import"))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[{"id":"*","user_name":"ann","user_email":"ann@example.com",
		"action":"environment_imported","target_type":"environment","target_id":1,"ip_address":"127.0.0.1","timestamp":"*",
		"details":{"format":"env","imported_count":2,"updated_count":0,"failed_imports":5,"overwrite_enabled":true,"environment":"dev","project":"Web"}}]}`,
		w.get(w.ann, "/api/audit-logs/?target_type=environment&action=environment_imported"))
}

func TestImportsThatAreRefused(t *testing.T) {
	w := newShared(t)
	const nothing = `No file or data provided. Use "file" for upload or "data" for raw content.`
	const format = "Invalid format. Supported formats: env, json, yaml"
	many := strings.Builder{}
	for i := range vault.MaxImported + 1 {
		fmt.Fprintf(&many, "K%d=v\n", i)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		c := string(rune('a' + i))
		n := string(rune('b' + i))
		bomb += n + ": &" + n + " [" + strings.TrimSuffix(strings.Repeat("*"+c+",", 9), ",") + "]\n"
	}
	for _, tt := range []struct {
		name string
		do   func(w *shared) response
		text string // "" = any
	}{
		{"nothing", func(w *shared) response { return w.send(w.ann, "POST", importPath, `{}`) }, nothing},
		{"no body", func(w *shared) response { return w.send(w.ann, "POST", importPath, ``) }, nothing},
		{"empty data", func(w *shared) response { return w.raw("env", "") }, nothing},
		{"null", func(w *shared) response { return w.send(w.ann, "POST", importPath, `{"data":null}`) }, nothing},
		{"a form without a file", func(w *shared) response { return w.upload("", "", "overwrite=true") }, nothing},
		{"an unknown format", func(w *shared) response { return w.raw("toml", "A=1") }, format},
		{"an unknown format of a file", func(w *shared) response { return w.upload("x.env", "A=1", "format=ini") }, format},
		{"a file that is not UTF-8", func(w *shared) response { return w.upload(".env", "A=\xff\xfe") }, "Failed to parse file content: it is not UTF-8"},
		{"damaged JSON", func(w *shared) response { return w.raw("json", "{\n\"A\":\"s3cret\",}") }, "Failed to parse file content: it is not valid JSON: line 2"},
		{"damaged YAML", func(w *shared) response { return w.raw("yaml", "A: [s3cret\nB: }") }, ""},
		{"a YAML bomb", func(w *shared) response { return w.raw("yaml", bomb) }, ""},
		{"deep JSON", func(w *shared) response { return w.raw("json", `{"A":`+strings.Repeat("[", 100_000)) }, ""},
		{"a body of very many values", func(w *shared) response {
			return w.send(w.ann, "POST", importPath, `{"data":"A=1","x":[`+strings.Repeat("[],", 100_000)+`[]]}`)
		}, ""},
		{"a form of very many fields", func(w *shared) response {
			return w.do("POST", importPath, "data=A=1"+strings.Repeat("&", 100_000), asForm, as(w.ann))
		}, ""},
		{"deep YAML", func(w *shared) response { return w.raw("yaml", `A: `+strings.Repeat("[", 100_000)) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			a := tt.do(w)
			if tt.text != "" {
				w.fails(400, "VALIDATION_ERROR", tt.text, a)
			}
			if a.code != 400 || strings.Contains(a.body, "s3cret") {
				t.Errorf("got %d %.300s", a.code, a.body)
			}
		})
	}
	for _, tt := range []struct{ name, format, data, details string }{
		{"a list", "json", `["A"]`, `["Environment data must be a dictionary/object"]`},
		{"a list in YAML", "yaml", "- A\n", `["Environment data must be a dictionary/object"]`},
		{"a number as key", "yaml", "1: a\n", `["Key must be a string: 1"]`},
		{"bad keys", "json", `{"":"a"," ":"b","A-B":"c"}`, `["Key cannot be empty or whitespace only",
			"Invalid key format 'A-B': must start with letter/underscore, contain only letters/numbers/underscores"]`},
		{"a long value", "env", "A=" + strings.Repeat("v", vault.MaxValue+1), `["Value for 'A' is too long (max 65536 bytes)"]`},
		{"keys that differ in case", "env", "A=1\na=2", `["Duplicate keys found (case-insensitive)"]`},
		{"too many", "env", many.String(), `["Too many variables (max 1000 per environment)"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.faulty(400, "VALIDATION_ERROR", "Invalid environment data", tt.details, w.raw(tt.format, tt.data))
		})
	}
	w.invalid(`{"data":["Not a valid string."],"format":["Not a valid string."]}`, w.send(w.ann, "POST", importPath, `{"data":{"A":"1"},"format":true}`))
	w.holds("")
}

func TestWhoMayImport(t *testing.T) {
	w := newShared(t)
	w.codes([5]int{200, 200, 403, 404, 401}, "POST", importPath, func() string { return `{"data":"A=1"}` })
	w.codes([5]int{400, 400, 403, 404, 401}, "POST", importPath, func() string { return `{"data` })
	w.fails(403, "PERMISSION_DENIED", "You don't have permission to import to this environment.", w.send(w.vic, "POST", importPath, `{"data":"A=1"}`))
	w.notFound(w.send(w.ann, "POST", "/api/environments/77/import", `{"data":"A=1"}`))
	if a := w.do("POST", importPath, "A=1", "Content-Type: text/plain", as(w.ann)); a.code != 415 {
		t.Errorf("plain text: %d %s", a.code, a.body)
	}
	if a := w.get(w.ann, importPath); a.code != 405 || a.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("GET: %d, Allow %q", a.code, a.header.Get("Allow"))
	}
}

func TestAnImportThatIsRepeated(t *testing.T) {
	w := newShared(t)
	const lines = "A=1\nbad\nB=2\n"
	repeat := func(replayed string) {
		t.Helper()
		body, header := form(t, ".env", lines) // with a boundary of its own
		a := w.do("POST", importPath, body, header, as(w.ann), onceKey)
		w.is(200, `{"message":"Import completed successfully","summary":{"imported":2,"updated":0,"failed":1,"total_variables":2},
			"failed_imports":[{"line":2,"key":"","error":"no = in the line"}]}`, a)
		if got := a.header.Get("Covey-Replayed"); got != replayed {
			t.Errorf("replayed is %q, want %q", got, replayed)
		}
	}
	w.store.LoseNext(1)
	body, header := form(t, ".env", lines)
	if a := w.do("POST", importPath, body, header, as(w.ann), onceKey); a.code != 200 && a.code != 504 {
		t.Errorf("an import whose end is not known: %d %s", a.code, a.body)
	}
	repeat("true")
	w.variable(w.ann, 1, "C", "3")
	w.send(w.ann, "PATCH", "/api/variables/1/", `{"value":"changed"}`)
	repeat("true")
	w.holds("A=changed,B=2,C=3")
	w.lists("environment_imported", "action", w.get(w.ann, "/api/audit-logs/?action=import"))
}

func TestAnImportIsAllOrNothing(t *testing.T) {
	w := newShared(t)
	w.raw("env", "A=1")
	broken := &breaking{Store: w.store}
	unable := vault.NewRecorder(kv.New(broken))
	defer unable.Close()
	w.serve(func(s *settings) { s.api.Recorder = unable })
	if a := w.raw("env", "A=2\nB=2"); a.code != 503 || broken.tries.Load() == 0 {
		t.Errorf("no leader, after %d tries: %d %s", broken.tries.Load(), a.code, a.body)
	}
	w.serve()
	w.holds("A=1")
	w.store.ConflictNext(3)
	w.imported(1, 1, w.raw("env", "A=3\nC=3"))
	w.holds("A=3,C=3")
}

// breaking is a store whose commits fail.
type breaking struct {
	*kvtest.Store
	tries atomic.Int64
}

func (b *breaking) Commit(context.Context, *command.Command) (command.Result, error) {
	b.tries.Add(1)
	return command.Result{}, errs.E(errs.Unavailable, "no leader")
}

func TestTwoImportsAtOnce(t *testing.T) {
	w := newShared(t)
	const size = 50
	content := func(value string) string {
		var b strings.Builder
		for i := range size {
			fmt.Fprintf(&b, "KEY%d=%s\n", i, value)
		}
		return b.String()
	}
	for round := range 4 {
		var both sync.WaitGroup
		var mu sync.Mutex
		created, total := 0, 0
		for _, value := range []string{"left", "right"} {
			both.Go(func() {
				var v struct {
					Summary struct{ Imported, Updated int }
				}
				w.read(200, w.raw("env", content(fmt.Sprint(value, round))), &v)
				mu.Lock()
				defer mu.Unlock()
				created += v.Summary.Imported
				total += v.Summary.Imported + v.Summary.Updated
			})
		}
		both.Wait()
		if wantCreated := size * max(0, 1-round); created != wantCreated || total != 2*size {
			t.Errorf("round %d: %d of %d are new, want %d of %d", round, created, total, wantCreated, 2*size)
		}
		values := strings.Split(w.names("decrypted_value", w.get(w.ann, "/api/environments/1/variables/")), ",")
		if len(values) != size {
			t.Fatalf("round %d: %d variables", round, len(values))
		}
		for _, v := range values {
			if v != values[0] {
				t.Fatalf("round %d: the imports are mixed: %s and %s", round, values[0], v)
			}
		}
	}
}
