package kot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

const multipartType = "multipart/form-data; boundary=X"

// parts is a multipart form as curl and Python's requests send it.
func parts(list ...string) string {
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		fmt.Fprintf(&b, "--X\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", list[i], list[i+1])
	}
	return b.String() + "--X--\r\n"
}

func TestFormsAreRead(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, contentType, body string
		want                    string // of the field value; "absent" if it has none
	}{
		{"urlencoded", urlencoded, "database_name=d&value=a+b%2B%C3%A9", "a b+é"},
		{"urlencoded with a charset, in capitals", "Application/X-WWW-Form-URLencoded; Charset=UTF-8", "value=x", "x"},
		{"urlencoded with broken parameters", urlencoded + "; =;;", "value=x", "x"},
		{"a bare semicolon", urlencoded, "value=a;b;value=c", "a;b;value=c"},
		{"a bare percent sign", urlencoded, "value=100%", "100%"},
		{"an escaped name", urlencoded, "%76alue=x", "x"},
		{"the first of repeated fields", urlencoded, "x=1&value=&value=2", ""},
		{"no equals sign", urlencoded, "value", ""},
		{"another field", urlencoded, "Value=x&values=x& value=x&value[]=x", "absent"},
		{"invalid bytes", urlencoded, "value=a%ff%fe%C3", "a\ufffd\ufffd\ufffd"},
		{"an empty body", urlencoded, "", "absent"},
		{"multipart", multipartType, parts(`name="value"`, "a\r\nb"), "a\r\nb"},
		{"multipart with types", multipartType, "--X\r\nContent-Disposition: form-data; name=\"value\"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--X--", "=41"},
		{"multipart in capitals", "Multipart/Form-Data; boundary=\"X\"", parts(`name=value`, ""), ""},
		{"multipart, the first of repeated fields", multipartType, parts(`name="value"`, "1", `name="value"`, "2"), "1"},
		{"multipart, a file", multipartType, parts(`name="value"; filename="f"`, "x"), "absent"},
		{"multipart, a file without a name", multipartType, parts(`name="value"; filename=""`, "x"), "absent"},
		{"multipart, a file before the field", multipartType, parts(`name="value"; filename*=UTF-8''f`, "x", `name="value"`, "y"), "y"},
		{"multipart, invalid bytes", multipartType, parts(`name="value"`, "\xff"), "\ufffd"},
		{"multipart, no fields", multipartType, "--X--\r\n", "absent"},
		{"JSON", "application/json; charset=utf-8", `{"database_name":"d","value":"a\u00e9\ud83d\ude00"}`, "aé😀"},
		{"JSON, a number", "application/json", `{"value": 42.50}`, "42.50"},
		{"JSON, an object", "APPLICATION/JSON", `{"value": {"a": [1, true, null, "x y"]} }`, `{"a":[1,true,null,"x y"]}`},
		{"JSON, a boolean", "application/json", "{\"value\":\n false}", "false"},
		{"JSON, null", "application/json", `{"value": null}`, "absent"},
		{"JSON, the first of repeated fields", "application/json", `{"value":"1","value":"2"}`, "1"},
		{"JSON, invalid bytes", "application/json", "{\"value\":\"\xff\"}", "\ufffd"},
		{"JSON, half a pair", "application/json", `{"value":"\ud83d"}`, "\ufffd"},
		{"JSON, invalid bytes inside a value", "application/json", "{\"value\":[\"\xff\"]}", "[\"\ufffd\"]"},
		{"text", "text/plain", "value=x", "absent"},
		{"no type", "", "value=x", "absent"},
		{"XML", "application/xml", "<value>x</value>", "absent"},
		{"another multipart", "multipart/mixed; boundary=X", parts(`name="value"`, "x"), "absent"},
		{"nearly JSON", "application/jsonl", `{"value":"x"}`, "absent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parseFields(tt.contentType, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := f.lookup("value")
			if !ok {
				got = "absent"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

var damagedForms = []struct{ name, contentType, body string }{
	{"multipart without an end", multipartType, strings.TrimSuffix(parts(`name="value"`, "x"), "--X--\r\n")},
	{"multipart that ends within a value", multipartType, "--X\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nhal"},
	{"multipart that ends within a header", multipartType, "--X\r\nContent-Dispo"},
	{"multipart without a boundary", "multipart/form-data", parts(`name="value"`, "x")},
	{"multipart with another boundary", "multipart/form-data; boundary=Y", parts(`name="value"`, "x")},
	{"multipart of nothing like it", multipartType, "value=x"},
	{"JSON that ends early", "application/json", `{"value":"x"`},
	{"JSON with something after it", "application/json", `{"value":"x"} {}`},
	{"JSON with a comma too many", "application/json", `{"value":"x",}`},
	{"a JSON array", "application/json", `["value"]`},
	{"a JSON string", "application/json", `"value"`},
	{"JSON null", "application/json", `null`},
	{"blanks for JSON", "application/json", `  `},
	{"a form for JSON", "application/json", `value=x`},
}

func TestDamagedFormsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, tt := range damagedForms {
		t.Run(tt.name, func(t *testing.T) {
			if f, err := parseFields(tt.contentType, []byte(tt.body)); !errs.Is(err, errs.Invalid) || len(f.pairs) > 0 {
				t.Errorf("%v, %v", f, err)
			}
			in := *w
			in.t = t
			for _, path := range []string{"/controller/set", "/execute", "/database/delete_all"} {
				in.fails(400, in.do("POST", path, tt.body, admitted, "Content-Type: "+tt.contentType))
			}
		})
	}
	if n := w.store.Commits(); n != 0 {
		t.Errorf("%d commits by damaged forms", n)
	}
}

func TestManyParts(t *testing.T) {
	many := make([]string, 0, 2*maxParts)
	for range maxParts - 2 {
		many = append(many, `name="x"`, "y")
	}
	if f, err := parseFields(multipartType, []byte(parts(append(many, `name="value"`, "z")...))); err != nil || f.text("value") != "z" {
		t.Errorf("%v, %v", f, err)
	}
	many = append(many, `name="x"`, "y", `name="x"`, "y")
	if _, err := parseFields(multipartType, []byte(parts(many...))); !errs.Is(err, errs.TooLarge) {
		t.Errorf("%d parts: %v", maxParts, err)
	}
}

// Requests as clients send them, through the handler.
func TestFormsThroughTheHandler(t *testing.T) {
	w := newWorld(t)
	const set, done = "/controller/set", "Data set successfully"
	w.says(done, w.do("POST", set, parts(`name="database_name"`, "d", `name="key"`, "m", `name="value"`, "1"), admitted, "Content-Type: "+multipartType))
	w.says(done, w.do("POST", set, `{"database_name":"d","key":"j","value":{"a": 1},"encryption_key":null,"compress":false}`, admitted, objType))
	w.says(done, w.do("POST", set, "database_name=d&database_name=e&key=f&key=g&value=a;b&value=c", admitted, formType))
	w.all(`{"f":"a;b","j":"{\"a\":1}","m":"1"}`, "d")
	for _, contentType := range []string{"text/plain", "application/octet-stream", "multipart/mixed; boundary=X", "junk", ";", "application/x-www-form-urlencodedx"} {
		reason := w.fails(500, w.do("POST", set, "database_name=d&key=k&value=v", admitted, "Content-Type: "+contentType))
		if reason != "field database_name is missing" {
			t.Errorf("%s: reason %q", contentType, reason)
		}
	}
	w.fails(500, w.do("POST", set, "database_name=d&key=k", admitted)) // no type at all
	w.says("All database popped successfully", w.do("POST", "/database/pop_all", "anything", admitted, "Content-Type: text/plain"))
}

func TestBodiesOverTheLimit(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBody = 100 })
	head := "database_name=d&key=k&value="
	w.says("Data set successfully", w.do("POST", "/controller/set", head+strings.Repeat("v", 100-len(head)), admitted, formType))
	for _, path := range []string{"/controller/set", "/database/delete_all", "/execute"} {
		a := w.do("POST", path, head+strings.Repeat("v", 101-len(head)), admitted, formType)
		w.fails(413, a)
		if !strings.Contains(a.body, "<h1>Request Entity Too Large</h1>\n<p>The request is larger than this server accepts.</p>") {
			t.Errorf("%s: page %q", path, a.body)
		}
	}
	w = newWorld(t)
	w.fails(413, w.do("POST", "/controller/set", "database_name=d&key=k&value="+strings.Repeat("v", 50<<20), admitted, formType))
	// Within the limit of a body, over that of a value: each byte becomes three.
	w.fails(413, w.do("POST", "/controller/set", "database_name=d&key=k&value="+strings.Repeat("\xff", 6<<20), admitted, formType))
	w.names()
}

func FuzzForm(f *testing.F) {
	for _, s := range []string{"value=x&key=%41&key=b", "&&=&value", "%76alue=%", "database_name=a;b&query=SET+a+b", "value=%ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got := parseForm(body)
		seen := checkFields(t, got)
		// Where net/url reads the whole body, both read the same.
		strict, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for _, name := range fieldNames {
			want, ok := strict[name]
			if ok != seen[name] || ok && got.text(name) != validText(want[0]) {
				t.Fatalf("%q: %s is %q, net/url reads %q", body, name, got.text(name), want)
			}
		}
	})
}

func FuzzFields(f *testing.F) {
	for _, tt := range damagedForms {
		f.Add(tt.contentType, []byte(tt.body))
	}
	f.Add("application/json", []byte(`{"value":{"a":[1, 2]},"key":null,"key":"k","query":"\ud800"}`))
	f.Add(multipartType, []byte(parts(`name="value"`, "a", `name="key"; filename="x"`, "b")))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got, err := parseFields(contentType, body)
		if err != nil {
			if len(got.pairs) > 0 {
				t.Fatalf("fields %v beside error %v", got, err)
			}
			return
		}
		checkFields(t, got)
		if strings.EqualFold(contentType, "application/json") && len(body) > 0 {
			var object map[string]json.RawMessage
			if json.Unmarshal(body, &object) != nil || object == nil {
				t.Fatalf("%q passed for a JSON object", body)
			}
		}
	})
}

// checkFields checks what holds for the fields of any body.
func checkFields(t *testing.T, f fields) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range f.pairs {
		known := false
		for _, name := range fieldNames {
			known = known || name == p.Name
		}
		if !known || seen[p.Name] || validText(p.Value) != p.Value {
			t.Fatalf("field %q = %q", p.Name, p.Value)
		}
		seen[p.Name] = true
	}
	return seen
}

// What a multipart writer of another make sends reads back as it was.
func FuzzParts(f *testing.F) {
	f.Add("value", "x\r\n--X--\r\n")
	f.Fuzz(func(t *testing.T, key, value string) {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for name, v := range map[string]string{"key": key, "value": value} {
			if err := m.WriteField(name, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := parseFields(m.FormDataContentType(), b.Bytes())
		if err != nil || got.text("key") != validText(key) || got.text("value") != validText(value) {
			t.Fatalf("%q, %q became %v, %v", key, value, got, err)
		}
	})
}
