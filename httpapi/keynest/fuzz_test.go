package keynest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// A path means one place, with the slash at its end and without, and a place
// with an id has one that is written in one way only.
func FuzzParseTarget(f *testing.F) {
	for pattern := range places {
		f.Add("/api/" + pattern + "/")
		f.Add("/api/" + strings.ReplaceAll(pattern, idPart, "42"))
	}
	for _, path := range []string{"", "/", "//", "/api", "/api//", "/health/", "/api/organizations/01/", "/api/organizations/18446744073709551616/members/", "/api/organizations/-1", "/api/organizations/0"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := parseTarget(path)
		if !strings.HasSuffix(path, "/") && strings.HasPrefix(path, "/") {
			if with := parseTarget(path + "/"); path != "" && with != got {
				t.Errorf("%q is %+v, with a slash %+v", path, got, with)
			}
		}
		if got.place == atNothing || got.place == atHealth || got.place == atRoot {
			return
		}
		var pattern string
		for text, p := range places {
			if p == got.place {
				pattern = text
			}
		}
		if !strings.Contains(pattern, idPart) {
			if got.id != 0 || got.noID || strings.Trim(path, "/") != "api/"+pattern {
				t.Errorf("%q is %+v", path, got)
			}
			return
		}
		written := "api/" + strings.NewReplacer(idPart, fmt.Sprint(got.id), numberPart, fmt.Sprint(got.number)).Replace(pattern)
		sent := strings.Replace(strings.Trim(path, "/"), "api/webhooks/"+hookPrefix, "api/webhooks/", 1)
		numbered := strings.Contains(pattern, numberPart)
		if good := got.id > 0 && (got.number > 0) == numbered && sent == written; good == got.noID {
			t.Errorf("%q is %+v", path, got)
		}
	})
}

var kinds = []string{
	"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B", "text/plain", "", "application/json; charset=\"", "multipart/form-data",
}

// A body is read without a panic, and what cannot be read is the client's
// fault. Reading the same again gives the same.
func FuzzParseBody(f *testing.F) {
	for kind := range kinds {
		for _, body := range []string{
			"", "{}", `{"a":"\ud83d\ude00","b":[1,{"c":null}]}`, `{"a":"\ud800"}`, `{"a":1,"a":2}`, "\xef\xbb\xbf{}", "a=1&b=%zz&=&a=2", `[[[[`, `{"a":1}x`, "\\u",
			part(`name="a"`, "1") + part(`name="f"; filename="x"`, "\xff") + "--B--\r\n", "--B--", "--B\r\n\r\n\r\n--B--",
		} {
			f.Add(uint8(kind), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		contentType := kinds[int(kind)%len(kinds)]
		got, err := parseBody(contentType, body)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("%v is of kind %v", err, k)
			}
			return
		}
		again, err := parseBody(contentType, body)
		if err != nil || !reflect.DeepEqual(got.values, again.values) || string(got.canonical()) != string(again.canonical()) {
			t.Errorf("%v, then %v (%v)", got.values, again.values, err)
		}
		if contentType != kinds[0] || len(body) == 0 {
			return
		}
		// Whatever is read as JSON is JSON, and says what encoding/json finds in it.
		var want map[string]any
		d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(string(body), "\xef\xbb\xbf")))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got.values, want) {
			t.Errorf("%q is %v, want %v (%v)", body, got.values, want, err)
		}
	})
}

// Fields are read without a panic. A field that gives nothing is missing, or
// wrong and noted as that.
func FuzzFields(f *testing.F) {
	for _, v := range []string{`1`, `"x"`, `null`, `true`, `[]`, `{}`, `-1`, `1e9`, `1.5`, `"18446744073709551616"`, `" 7 "`, `"é"`, `""`, `"off"`} {
		f.Add(v, true)
		f.Add(v, false)
	}
	f.Fuzz(func(t *testing.T, value string, form bool) {
		read := func() *fields {
			var v any
			d := json.NewDecoder(strings.NewReader(value))
			d.UseNumber()
			if form {
				v = value
			} else if !json.Valid([]byte(value)) || d.Decode(&v) != nil {
				t.Skip()
			}
			got := newFields(map[string]any{"a": v})
			got.form = form
			return &got
		}
		for name, given := range map[string]func(*fields) bool{
			"text":        func(f *fields) bool { return f.text("a") != nil },
			"id":          func(f *fields) bool { return f.id("a") != nil },
			"description": func(f *fields) bool { return f.description("a").Given },
		} {
			got := read()
			if ok := given(got); ok == (len(got.bad["a"]) > 0) || len(got.bad["b"]) > 0 {
				t.Errorf("%s of %q: given %v, %v", name, value, ok, got.bad)
			}
			var fields vault.FieldErrors
			if err := got.with(nil); err != nil && !errors.As(err, &fields) {
				t.Errorf("%v", err)
			}
		}
		got := read()
		_, _, _ = got.yes("a", true), got.word("a"), got.plain("a")
		if got.text("b") != nil || got.id("b") != nil || got.word("b") != "" || got.description("b").Given || len(got.bad["b"]) > 0 {
			t.Error("what is missing is there or wrong")
		}
		again := read()
		if id := again.id("a"); id != nil {
			want, err := strconv.ParseUint(strings.TrimSpace(again.word("a")), 10, 64)
			if err != nil || *id != want {
				t.Errorf("%q is the id %d, want %d (%v)", value, *id, want, err)
			}
		}
	})
}
