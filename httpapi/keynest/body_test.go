package keynest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/vault"
)

func part(header, value string) string {
	return "--B\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + value + "\r\n"
}

func TestKindsOfBodies(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	const parts = "Content-Type: multipart/form-data; boundary=B"
	for i, tt := range []struct{ kind, body string }{
		{asJSON, `{"name":"N","description":"a b&c=é"}`},
		{"Content-Type: Application/JSON; charset=utf-8", "\r\n" + `{"name":"N","description":"a b&c=\u00e9"}` + "\n"},
		{asForm, "name=N&description=a+b%26c%3D%C3%A9"},
		{asForm + "; charset=UTF-8", "description=first&name=N&description=a%20b%26c=é&"},
		{parts, part(`name="name"`, "N") + part(`name="description"`, "a b&c=é") + "--B--\r\n"},
		{parts, part(`name=name`, "N") + part(`name=description`, "a b&c=é") + part(`name="file"; filename="x"`, "\xff") + "--B--"},
	} {
		name := "Organization " + strconv.Itoa(i)
		body := strings.NewReplacer(`"N"`, `"`+name+`"`, "=N&", "="+name+"&", "\r\nN\r\n", "\r\n"+name+"\r\n").Replace(tt.body)
		w.is(201, `{"id":"*","name":"`+name+`","description":"a b&c=é","created_at":"*","updated_at":"*","member_count":1,"project_count":0,"user_role":"admin"}`,
			w.do("POST", "/api/organizations/", body, as(token), tt.kind))
	}
	for _, tt := range []struct{ kind, body, text string }{
		{asJSON, `{"name":`, "JSON parse error - not valid JSON after byte 8"},
		{asJSON, ` `, "JSON parse error - not valid JSON after byte 0"},
		{asJSON, `{"name":"ab"} x`, "JSON parse error - extra data at byte 14"},
		{asJSON, `{"name":"ab"}{}`, "JSON parse error - extra data at byte 14"},
		{asJSON, `{"name":"ab",}`, "JSON parse error - not valid JSON after byte 13"},
		{asJSON, `{name:1}`, "JSON parse error - not valid JSON after byte 1"},
		{asJSON, `{'name':'ab'}`, "JSON parse error - not valid JSON after byte 1"},
		{asJSON, `{"name":NaN}`, "JSON parse error - not valid JSON after byte 8"},
		{asJSON, "{\"name\":\"a\xff\"}", "JSON parse error - the body is not valid UTF-8"},
		{asJSON, `{"name":"a\ud800"}`, "JSON parse error - half of a surrogate pair at byte 10"},
		{asJSON, `{"x\\\udc00":"ab"}`, "JSON parse error - half of a surrogate pair at byte 5"},
		{asJSON, `{"name":"ab","name":"cd"}`, "JSON parse error - the name before byte 19 is there twice"},
		{asJSON, `{"x":{"a":1,"\u0061":2}}`, "JSON parse error - the name before byte 20 is there twice"},
		{asJSON, `{"x":` + strings.Repeat("[", 100_000), "JSON parse error - nested over 100 deep at byte 105"},
		{asForm, "name=%ff", `the field "name" is not valid UTF-8`},
		{parts, part(`name="name"`, "\xff") + "--B--", `the field "name" is not valid UTF-8`},
		{parts, part(`name="name"`, "ab"), "Multipart form parse error - the form is damaged or ends early"},
		{parts, part(`name="name"`, "ab") + "--B", "Multipart form parse error - the form is damaged or ends early"},
		{parts, "x", "Multipart form parse error - the form is damaged or ends early"},
		{"Content-Type: multipart/form-data", "x", "Multipart form parse error - Invalid boundary in multipart: None"},
	} {
		a := w.fails(400, "PARSE_ERROR", tt.text, w.do("POST", "/api/organizations/", tt.body, as(token), tt.kind))
		if strings.Contains(a.body, "ab") {
			t.Errorf("%s quotes the body", a.body)
		}
	}
	for kind, name := range map[string]string{
		"text/plain": "text/plain", "text/plain; charset=utf-8": "text/plain; charset=utf-8", "application/xml": "application/xml", "": "", "json": "json",
		"application/vnd.api+json": "application/vnd.api+json",
	} {
		a := w.do("POST", "/api/organizations/", `{"name":"ab"}`, as(token), "Content-Type: "+kind)
		w.fails(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type "+strconv.Quote(name)+" in request.", a)
	}
	for body, kind := range map[string]string{`[]`: "list", `"x"`: "str", `5`: "int", `5.0`: "float", `true`: "bool", `null`: "NoneType"} {
		w.invalid(`{"non_field_errors":["Invalid data. Expected a dictionary, but got `+kind+`."]}`, w.send(token, "POST", "/api/organizations/", body))
	}
	w.counts(7, 7, w.get(token, "/api/organizations/"))
}

func TestLongBodies(t *testing.T) {
	w := newWorld(t)
	token := w.register("ann")
	body := func(n int) string { return `{"name":"Long","x":"` + strings.Repeat("x", n-22) + `"}` }
	if a := w.send(token, "POST", "/api/organizations/", body(maxBody)); a.code != 201 {
		t.Errorf("%d %s", a.code, a.body)
	}
	w.fails(413, "TOO_LARGE", "the body is 1048577 bytes long, the limit is 1048576", w.send(token, "POST", "/api/organizations/", body(maxBody+1)))
	w.fails(413, "TOO_LARGE", "the body is 1048577 bytes long, the limit is 1048576", w.send("", "POST", "/api/auth/login/", body(maxBody+1)))
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.send("00", "POST", "/api/organizations/", body(maxBody+1)))
	var parts strings.Builder
	for range maxParts + 1 {
		parts.WriteString(part(`name="x"`, ""))
	}
	w.fails(413, "TOO_LARGE", "the multipart form has over 1000 parts",
		w.do("POST", "/api/organizations/", parts.String()+"--B--", as(token), "Content-Type: multipart/form-data; boundary=B"))
}

func parsed(t *testing.T, body string) fields {
	t.Helper()
	f, err := parseBody("application/json", []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return f
}

// Texts come out as they went in, numbers with all their digits.
func TestTexts(t *testing.T) {
	for body, want := range map[string]string{
		`"  a\tb "`: "  a\tb ", `""`: "", `5`: "5", `-0.50`: "-0.50", `1e400`: "1e400", `"\u0000"`: "\x00", `"\ud83d\ude00"`: "😀", `"\\ud800"`: `\ud800`,
		`"\ufffd"`: "\ufffd", `"\u2028<&"`: "\u2028<&", `123456789012345678901234567890`: "123456789012345678901234567890",
	} {
		f := parsed(t, `{"a":`+body+`}`)
		if got := f.text("a"); got == nil || *got != want || len(f.bad) != 0 {
			t.Errorf("%s is %v, %v", body, got, f.bad)
		}
	}
	for body, want := range map[string]string{`true`: textNoString, `[]`: textNoString, `{"a":1}`: textNoString, `null`: textNull} {
		f := parsed(t, `{"a":`+body+`}`)
		if got := f.text("a"); got != nil || len(f.bad) != 1 || f.bad["a"][0] != want {
			t.Errorf("%s is %v, %v", body, got, f.bad)
		}
	}
	f := parsed(t, "\xef\xbb\xbf{}")
	if f.text("a") != nil || f.plain("a") != "" || f.given("a") != "" || len(f.bad) != 0 {
		t.Errorf("what is missing is wrong: %v", f.bad)
	}
}

func TestIDs(t *testing.T) {
	for body, want := range map[string]uint64{`1`: 1, `"7"`: 7, `" 7 "`: 7, `18446744073709551615`: 18446744073709551615, `"007"`: 7, `0`: 0} {
		f := parsed(t, `{"a":`+body+`}`)
		if got := f.id("a"); got == nil || *got != want || len(f.bad) != 0 {
			t.Errorf("%s is %v, %v", body, got, f.bad)
		}
	}
	const unknown = ` - object does not exist.`
	for body, want := range map[string]string{
		`null`: textNull, `"x"`: "Incorrect type. Expected pk value, received str.", `""`: "Incorrect type. Expected pk value, received str.",
		`1.5`: "Incorrect type. Expected pk value, received float.", `true`: "Incorrect type. Expected pk value, received bool.",
		`[1]`: "Incorrect type. Expected pk value, received list.", `{}`: "Incorrect type. Expected pk value, received dict.",
		`-1`: `Invalid pk "-1"` + unknown, `18446744073709551616`: `Invalid pk "18446744073709551616"` + unknown,
		strings.Repeat("9", 1000): `Invalid pk "` + strings.Repeat("9", 40) + `"` + unknown,
	} {
		f := parsed(t, `{"a":`+body+`}`)
		if got := f.id("a"); got != nil || len(f.bad["a"]) != 1 || f.bad["a"][0] != want {
			t.Errorf("%.50s is %v, %v", body, got, f.bad)
		}
	}
	f, err := parseBody("application/x-www-form-urlencoded", []byte("a="))
	if got := f.id("a"); err != nil || got != nil || f.bad["a"][0] != textNull {
		t.Errorf("an empty id in a form is %v, %v", got, f.bad)
	}
}

func TestYes(t *testing.T) {
	for body, want := range map[string]bool{
		`true`: true, `false`: false, `"false"`: false, `"False "`: false, `"0"`: false, `"no"`: false, `""`: false, `null`: false, `0`: false, `0.0`: false,
		`1`: true, `"yes"`: true, `"true"`: true, `"On"`: true, `1e999`: false, `[]`: false, `["true"]`: false, `"maybe"`: false,
	} {
		f := parsed(t, `{"a":`+body+`}`)
		if got := f.yes("a", !want); got != want {
			t.Errorf("%s is %v", body, got)
		}
	}
	f := parsed(t, `{}`)
	if !f.yes("a", true) || f.yes("a", false) {
		t.Error("what is missing is not the default")
	}
}

// What the layer finds adds to what the fields themselves have, unless it comes
// first.
func TestWrongFieldsAreReportedTogether(t *testing.T) {
	bad := func() *fields {
		f := newFields(nil)
		f.bad.Add("a", "wrong")
		return &f
	}
	got := bad().with(vault.FieldErrors{"a": {"hidden"}, "b": {"wrong too"}, nonField: {"of no use"}})
	var all vault.FieldErrors
	if !errors.As(got, &all) || len(all) != 2 || len(all["a"]) != 1 || all["a"][0] != "wrong" || all["b"][0] != "wrong too" {
		t.Errorf("%v", got)
	}
	if err := bad().with(errNotFound); err != errNotFound {
		t.Errorf("%v", err)
	}
	for _, err := range []error{nil, errForgotten} {
		if got := bad().with(err); !errors.As(got, &all) || len(all) != 1 {
			t.Errorf("with %v: %v", err, got)
		}
	}
	none := newFields(nil)
	if err := none.with(nil); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
	if err := none.with(errForgotten); err != errForgotten {
		t.Errorf("%v", err)
	}
}

// Two bodies that mean the same are the same request, whatever they look like.
func TestCanonicalBodies(t *testing.T) {
	same := [][2]string{
		{"application/json", `{"a":"1","b":{"d":1,"c":2}}`}, {"application/json", ` {"b":{"c":2,"d":1},"\u0061":"1"}`},
	}
	f, _ := parseBody(same[0][0], []byte(same[0][1]))
	g, _ := parseBody(same[1][0], []byte(same[1][1]))
	if string(f.canonical()) != string(g.canonical()) || !json.Valid(f.canonical()) {
		t.Errorf("%s and %s", f.canonical(), g.canonical())
	}
	parts := func(boundary string) string {
		text := strings.ReplaceAll(part(`name="file"; filename="a.env"`, "A=\xff")+part(`name="format"`, "env")+"--B--", "--B", "--"+boundary)
		f, err := parseBody("multipart/form-data; boundary="+boundary, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(f.canonical())
	}
	if one, two := parts("X"), parts("Y"); one != two {
		t.Errorf("%s and %s", one, two)
	}
	h := parsed(t, `{"a":1}`)
	if string(h.canonical()) == string(f.canonical()) {
		t.Error("another body is the same request")
	}
}
