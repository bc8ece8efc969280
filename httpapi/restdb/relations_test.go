package restdb

import (
	"strings"
	"testing"
)

// shop has companies with children, and people with lookups.
func shop(t *testing.T) *world {
	w := newWorld(t)
	w.schema("places", `{"fields":[{"name":"name","fieldtype":"text"}]}`)
	w.schema("notes", `{"fields":[{"name":"text","fieldtype":"text","required":true}]}`)
	w.schema("items", `{"fields":[
		{"name":"place","fieldtype":"collection","collection":"places","relation":"one"},
		{"name":"others","fieldtype":"collection","collection":"places","relation":"many"},
		{"name":"notes","fieldtype":"collection","collection":"notes","relation":"child"}]}`)
	w.insert("places", `{"_id":"00000000000000000000000a","name":"oslo"}`)
	w.insert("places", `{"_id":"00000000000000000000000b","name":"rome"}`)
	return w
}

func TestLookups(t *testing.T) {
	w := shop(t)
	a, b := `{"_id":"00000000000000000000000a","name":"oslo"}`, `{"_id":"00000000000000000000000b","name":"rome"}`
	for _, place := range []string{`"00000000000000000000000a"`, `["00000000000000000000000a"]`, a, `[` + a + `]`} {
		answer := w.send("POST", "/rest/items", `{"_id":"000000000000000000000001","place":`+place+`,"others":["00000000000000000000000b","00000000000000000000000a"]}`)
		if want := `{"_id":"000000000000000000000001","place":[{"_id":"00000000000000000000000a","name":"oslo",`; answer.code != 201 || !strings.HasPrefix(answer.body, want) {
			t.Errorf("POST with %s: %d %s", place, answer.code, answer.body)
		}
		whole := `{"_id":"000000000000000000000001","place":[` + a + `],"others":[` + b + `,` + a + `]}`
		w.is(200, whole, w.get("/rest/items/000000000000000000000001"))
		w.is(200, `[`+whole+`]`, w.get(`/rest/items?q={"place._id":"00000000000000000000000a"}`))
		w.is(200, `[`+whole+`]`, w.get(`/rest/items?q={"place.name":"oslo"}`))
		w.is(200, `[]`, w.get(`/rest/items?q={"place.name":"rome"}`))
		w.is(200, `{"oslo":{"COUNT n":1}}`, w.get(`/rest/items?groupby=place.name&aggregate=COUNT:n`))
		w.is(200, `["rome","oslo"]`, w.get(`/rest/items?q={"$distinct":"others.name"}`))
		w.is(200, `{"_id":"000000000000000000000001","place":[{"name":"oslo"}]}`, w.get(`/rest/items/000000000000000000000001?h={"$fields":{"place.name":1}}`))
		w.is(200, `{"result":["000000000000000000000001"]}`, w.send("DELETE", `/rest/items/*?q={"place.name":"oslo"}`, ""))
	}
	w.insert("items", `{"_id":"000000000000000000000001","place":"00000000000000000000000a"}`)
	link := w.srv.URL + "/rest/places/00000000000000000000000a"
	w.is(200, `{"_id":"000000000000000000000001","place":["`+link+`"]}`, w.get("/rest/items/000000000000000000000001?idtolink=true"))
	w.is(200, `{"_id":"00000000000000000000000a","name":"oslo","_referencedby":[{"collection":"items","_id":"000000000000000000000001","field":"place"}]}`,
		w.get("/rest/places/00000000000000000000000a?referencedby=true"))
}

func TestChildren(t *testing.T) {
	w := shop(t)
	item := w.insert("items", `{"_id":"000000000000000000000001","t":1}`)
	w.insert("items", `{"_id":"000000000000000000000002","t":2}`)
	path := "/rest/items/" + item + "/notes"
	parent := `"_parent_id":"000000000000000000000001","_parent_def":"items","_parent_field":"notes"`
	one, two := `{"_id":"0000000000000000000000a1","text":"x",`+parent+`}`, `{"_id":"0000000000000000000000a2","text":"y",`+parent+`}`
	a := w.send("POST", path, `{"_id":"0000000000000000000000a1","text":"x"}`)
	if a.code != 201 || !strings.HasPrefix(a.body, strings.TrimSuffix(one, "}")+`,"_created":`) {
		t.Errorf("POST of a child: %d %s", a.code, a.body)
	}
	// What generated clients do instead.
	w.insert("notes", `{"_id":"0000000000000000000000a2","text":"y",`+parent+`}`)
	w.insert("notes", `{"_id":"0000000000000000000000a3","text":"of nobody"}`)
	list := w.is(200, `[`+one+`,`+two+`]`, w.get(path))
	if got := list.header.Get("X-Pagination"); got != `{"total":2,"count":2,"skip":0,"max":1000}` {
		t.Errorf("X-Pagination %s", got)
	}
	w.is(200, `[`+two+`]`, w.get(path+`/?q={"text":"y"}`))
	w.is(200, one, w.get(path+"/0000000000000000000000a1"))
	w.is(200, `{"_id":"000000000000000000000001","t":1,"notes":[`+one+`,`+two+`]}`, w.get("/rest/items/"+item+"?fetchchildren=true"))
	w.is(200, `[{"_id":"000000000000000000000001","t":1,"notes":[`+one+`,`+two+`]},{"_id":"000000000000000000000002","t":2,"notes":[]}]`, w.get("/rest/items/?fetchchildren=true"))
	w.is(200, `{"_id":"000000000000000000000001","t":1}`, w.get("/rest/items/"+item))
	w.is(200, `[]`, w.get("/rest/items/000000000000000000000002/notes"))
	for _, gone := range []string{
		path + "/0000000000000000000000a3", path + "/0000000000000000000000ff", path + "/x", "/rest/items/000000000000000000000002/notes/0000000000000000000000a1",
		"/rest/items/" + item + "/none", "/rest/items/ffffffffffffffffffffffff/notes", "/rest/items/x/notes", "/rest/none/" + item + "/notes",
	} {
		w.fails(404, "NotFound", w.get(gone))
	}
	for _, gone := range []string{"/rest/items/" + item + "/none", "/rest/items/ffffffffffffffffffffffff/notes", "/rest/items/x/notes"} {
		w.fails(404, "NotFound", w.send("POST", gone, `{"text":"x"}`))
	}
	w.is(400, `{"name":"ValidationError","message":"Validation failed","status":400,"list":[{"field":"text","message":["`+w.required()+`","REQUIRED"]}]}`, w.send("POST", path, `{}`))
}

// required returns what the layer tells people of a missing field.
func (w *world) required() string {
	w.t.Helper()
	_, rest, ok := strings.Cut(w.send("POST", "/rest/notes", `{}`).body, `"message":["`)
	text, _, _ := strings.Cut(rest, `"`)
	if !ok || text == "" {
		w.t.Fatal("a required field is not required")
	}
	return text
}

func TestValidation(t *testing.T) {
	w := newWorld(t)
	w.schema("items", `{"fields":[{"name":"email","fieldtype":"email","required":true,"unique":true},{"name":"n","fieldtype":"number"},{"name":"c","fieldtype":"text","regex":"^x"}]}`)
	w.insert("items", `{"_id":"000000000000000000000001","email":"a@example.com","n":1}`)
	for body, want := range map[string][]string{
		`{"n":1}`:                               {`"field":"email"`, `"REQUIRED"]`},
		`{"email":"a@example.com"}`:             {`"field":"email"`, `"UNIQUE"]`},
		`{"email":"b@example.com","n":"one"}`:   {`"field":"n"`, `"TYPE","number"]`},
		`{"email":"nobody"}`:                    {`"field":"email"`, `"TYPE","email"]`},
		`{"email":"b@example.com","c":"y"}`:     {`"field":"c"`, `"REGEX"]`},
		`[{"email":"b@example.com"},{"n":1.5}]`: {`"field":"email"`, `"REQUIRED"],"index":1}`, `"field":"n"`, `"index":1}`},
	} {
		a := w.send("POST", "/rest/items", body)
		if a.code != 400 || !strings.HasPrefix(a.body, `{"name":"ValidationError","message":"Validation failed","status":400,"list":[{"field":`) {
			t.Errorf("%s: %d %s", body, a.code, a.body)
		}
		for _, part := range want {
			if !strings.Contains(a.body, part) {
				t.Errorf("%s: %s, want %s in it", body, a.body, part)
			}
		}
	}
	if a := w.send("PUT", "/rest/items/000000000000000000000001", `{"n":"x"}`); a.code != 400 || !strings.Contains(a.body, `"name":"ValidationError"`) {
		t.Errorf("PUT: %d %s", a.code, a.body)
	}
	if a := w.send("POST", "/rest/items?validate=", `{"n":"x"}`); a.code != 400 {
		t.Errorf("an empty validate: %d %s", a.code, a.body)
	}
	for _, off := range []string{"false", "0"} {
		if a := w.send("POST", "/rest/items?validate="+off, `{"n":"x"}`); a.code != 201 {
			t.Errorf("validate=%s: %d %s", off, a.code, a.body)
		}
	}
	if n := strings.Count(w.get("/rest/items").body, "_id"); n != 3 {
		t.Errorf("%d documents, want 3: a bulk request stores all or nothing", n)
	}
	// The texts of a form are read as their fields' types.
	a := w.do("POST", "/rest/items", "email=c%40example.com&n=7", withKey, "Content-Type: application/x-www-form-urlencoded")
	if a.code != 201 || !strings.Contains(a.body, `"n":7,`) {
		t.Errorf("a form: %d %s", a.code, a.body)
	}
}
