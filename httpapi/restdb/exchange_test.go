package restdb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/kv/kvtest"
)

// The exchange with the real service that the contract quotes: everything but
// the id and the times is the same to the byte.
func TestTheCapturedExchange(t *testing.T) {
	w := newWorld(t)
	at := time.UnixMilli(kvtest.Start).UTC().Format("2006-01-02T15:04:05.000Z")
	a := w.send("POST", "/rest/items", "{}")
	if len(a.body) < 32 {
		t.Fatalf("POST: %d %s", a.code, a.body)
	}
	id := a.body[8:32]
	full := func(changed string, version int) string {
		return fmt.Sprintf(`{"_id":"%s","_created":"%s","_changed":"%s","_createdby":"api","_changedby":"api","_keywords":["api"],"_tags":"api","_version":%d}`, id, at, changed, version)
	}
	w.is(201, full(at, 0), a)
	list := w.is(200, `[{"_id":"`+id+`"}]`, w.get("/rest/items"))
	if got, want := list.header.Get("X-Pagination"), `{"total":1,"count":1,"skip":0,"max":1000}`; got != want {
		t.Errorf("X-Pagination %s, want %s", got, want)
	}
	w.store.Advance(1500 * time.Millisecond)
	later := time.UnixMilli(kvtest.Start + 1500).UTC().Format("2006-01-02T15:04:05.000Z")
	w.is(200, full(later, 1), w.send("PUT", "/rest/items/"+id, "{}"))
	w.is(200, `{"_id":"`+id+`"}`, w.get("/rest/items/"+id))
	w.is(200, full(later, 1), w.get("/rest/items/"+id+"?metafields=true"))
	w.is(200, `{"result":["`+id+`"]}`, w.send("DELETE", "/rest/items/"+id, ""))
	w.fails(404, "NotFound", w.get("/rest/items/"+id))
	w.is(200, "[]", w.get("/rest/items"))
	if seconds := fmt.Sprintf("%08x", kvtest.Start/1000); !strings.HasPrefix(id, seconds) {
		t.Errorf("id %s does not begin with its second %s", id, seconds)
	}
}

func TestPutMergesAndAnswersTheWhole(t *testing.T) {
	w := newWorld(t)
	id := w.insert("items", `{"title":"a","n":1,"tags":["x"]}`)
	a := w.send("PUT", "/rest/items/"+id, `{"_id":"ffffffffffffffffffffffff","n":2,"_version":77}`)
	if a.code != 200 || !strings.HasPrefix(a.body, `{"_id":"`+id+`","title":"a","n":2,"tags":["x"],"_created":`) || !strings.HasSuffix(a.body, `"_version":1}`) {
		t.Errorf("PUT: %d %s", a.code, a.body)
	}
	w.is(200, `{"_id":"`+id+`","title":"a","n":2,"tags":["x"]}`, w.get("/rest/items/"+id))
	if a := w.do("PUT", "/rest/items/"+id, "", withKey); a.code != 200 || !strings.Contains(a.body, `"_version":2}`) {
		t.Errorf("PUT without a body: %d %s", a.code, a.body)
	}
	if a := w.send("PATCH", "/rest/items/"+id, `{"title":"b","$inc":{"n":-5},"$push":{"tags":"y"}}`); a.code != 200 {
		t.Errorf("PATCH: %d %s", a.code, a.body)
	}
	w.is(200, `{"_id":"`+id+`","title":"b","n":-3,"tags":["x","y"]}`, w.get("/rest/items/"+id))
	if a := w.send("PUT", "/rest/items/"+id+"?replace=true", `{"only":true}`); a.code != 200 {
		t.Errorf("PUT replacing: %d %s", a.code, a.body)
	}
	w.is(200, `{"_id":"`+id+`","only":true}`, w.get("/rest/items/"+id))
	for _, bad := range []string{`[]`, `7`, `{"a":`, `{"a":1,"a":2}`, `{"$frob":{"a":1}}`, `{"$inc":{"only":1}}`, "{\"a\":\"\xff\"}"} {
		w.fails(400, "BadRequest", w.send("PUT", "/rest/items/"+id, bad))
	}
	w.fails(404, "NotFound", w.send("PUT", "/rest/items/ffffffffffffffffffffffff", `{}`))
	w.fails(404, "NotFound", w.send("PATCH", "/rest/items/no-id", `{}`))
	w.fails(404, "NotFound", w.send("PUT", "/rest/nothing/"+id, `{}`))
}

func TestConditionalWrites(t *testing.T) {
	w := newWorld(t)
	id := w.insert("items", `{}`)
	path := "/rest/items/" + id
	for _, tt := range []struct {
		method, match string
		code          int
	}{
		{"PUT", "1", 409}, {"PUT", "0", 200}, {"PATCH", "0", 409}, {"PATCH", `"1"`, 200},
		{"PUT", "x", 400}, {"PUT", "-1", 400}, {"DELETE", "1", 409}, {"DELETE", "2", 200}, {"DELETE", "2", 404},
	} {
		a := w.send(tt.method, path, "", "If-Match: "+tt.match)
		if a.code != tt.code {
			t.Errorf("%s with If-Match %s: %d %s, want %d", tt.method, tt.match, a.code, a.body, tt.code)
		}
		if tt.code == 409 {
			w.fails(409, "Conflict", a)
		}
	}
	w.fails(400, "BadRequest", w.send("POST", "/rest/items", `{}`, "If-Match: 0"))
	w.fails(400, "BadRequest", w.send("DELETE", "/rest/items/*?q={}", "", "If-Match: 0"))
}

func TestInserts(t *testing.T) {
	w := newWorld(t)
	a := w.send("POST", "/rest/items", `[{"a":1},{"a":2,"_id":"00000000000000000000000a"},{}]`)
	if a.code != 201 || !strings.HasPrefix(a.body, `[{"_id":"`) || !strings.Contains(a.body, `{"_id":"00000000000000000000000a","a":2,"_created":`) {
		t.Errorf("bulk: %d %s", a.code, a.body)
	}
	w.is(201, "[]", w.send("POST", "/rest/items", `[]`))
	w.fails(409, "Conflict", w.send("POST", "/rest/items", `{"_id":"00000000000000000000000a"}`))
	w.fails(409, "Conflict", w.send("POST", "/rest/items", `[{"b":1},{"_id":"00000000000000000000000a"}]`))
	for _, bad := range []string{
		`{"_id":"short"}`, `{"a":1,"a":2}`, `"x"`, `[1]`, `{"a":1e999}`, `{`, "{\"a\":\"\xff\"}",
		`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`,
	} {
		w.fails(400, "BadRequest", w.send("POST", "/rest/items", bad))
	}
	if n := strings.Count(w.get("/rest/items").body, "_id"); n != 3 {
		t.Errorf("%d documents, want the 3 of the first request", n)
	}
	w.fails(413, "TooLarge", w.send("POST", "/rest/items", `{"a":"`+strings.Repeat("x", 17<<20)+`"}`))
	w.fails(413, "TooLarge", w.send("POST", "/rest/items", `{"a":"`+strings.Repeat("x", 9<<20)+`"}`))
}

func TestFormsAreTexts(t *testing.T) {
	w := newWorld(t)
	id := "00000000000000000000000a"
	for name, tt := range map[string]struct{ kind, body, want string }{
		"form":         {"application/x-www-form-urlencoded", "_id=" + id + "&n=1&t=a+b%21&m=x&m=y&e=", `"n":"1","t":"a b!","m":["x","y"],"e":""`},
		"form of JSON": {"application/x-www-form-urlencoded", `{"_id":"` + id + `","n":1}`, `"n":1`},
		"multipart":    {"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"_id\"\r\n\r\n" + id + "\r\n--B\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n--B--\r\n", `"n":"1"`},
		"plain text":   {"text/plain;charset=UTF-8", `{"_id":"` + id + `","n":1}`, `"n":1`},
		"JSON API":     {"application/vnd.api+json", `{"_id":"` + id + `","n":1}`, `"n":1`},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.do("POST", "/rest/items", tt.body, withKey, "Content-Type: "+tt.kind); a.code != 201 {
				t.Fatalf("%d %s", a.code, a.body)
			}
			w.is(200, `{"_id":"`+id+`",`+tt.want+`}`, w.get("/rest/items/"+id))
			w.send("DELETE", "/rest/items/"+id, "")
		})
	}
	w.is(200, "[]", w.get("/rest/items"))
	for _, bad := range [][2]string{
		{"application/xml", "<a/>"}, {"image/png", "x"}, {"multipart/form-data", "x"}, {"multipart/form-data; boundary=B", "--B\r\n"},
		{"application/x-www-form-urlencoded", "a=%ff"},
		{"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n1\r\n--B--\r\n"},
	} {
		w.fails(400, "BadRequest", w.do("POST", "/rest/items", bad[1], withKey, "Content-Type: "+bad[0]))
	}
}
