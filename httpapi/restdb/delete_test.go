package restdb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

// A deletion whose query cannot be read must delete nothing, whatever is wrong
// with it.
func TestABrokenDeletionDeletesNothing(t *testing.T) {
	w := newWorld(t)
	w.people()
	for _, query := range []string{
		"", "q=", "q=null", "q=undefined", "q=true", "q=x", "q=[]", "q={", `q={"a":1`, `q={"a":}`, `q=%7B`, `Q={}`, "apikey=x",
		`q={"age":{"$frob":1}}`, `q={"$frob":1}`, `q={"age":{"$gt":1,"$frob":2}}`, `q={"a":"x&y"}`, `q={"town":"rome"}&q={}`, `q={}&q={"town":"rome"}`,
		`q={"a":1,"a":2}`, "q={\"a\":\"\xff\"}", `q={"$distinct":"town"}`, `metafields=true?q={}`,
		`q={}&max=1`, `q={}&skip=1`, `q={}&sort=age`, `q={}&dir=1`, `q={}&groupby=a`, `q={}&aggregate=COUNT:`, `q={}&h={"$max":1}`, `q={}&h=x`,
		`filter=oslo`, `q={}&filter=`, `q={}&filter=--`, `q={}&filter=a&filter=b`,
	} {
		w.fails(400, "BadRequest", w.send("DELETE", "/rest/people/*?"+query, ""))
		w.fails(400, "BadRequest", w.send("POST", "/rest/people/*?"+query, "", "X-HTTP-Method-Override: DELETE"))
	}
	for _, body := range []string{"{}", "null", "x", `"000000000000000000000001"`, "7", `["000000000000000000000001"`, `[1]`, `[null]`, `[["000000000000000000000001"]]`, `{"_id":"000000000000000000000001"}`} {
		w.fails(400, "BadRequest", w.send("DELETE", "/rest/people/*", body))
	}
	w.fails(400, "BadRequest", w.send("DELETE", `/rest/people/*?q={"town":"rome"}`, `["000000000000000000000001"]`))
	w.fails(405, "MethodNotAllowed", w.send("DELETE", "/rest/people", ""))
	w.fails(405, "MethodNotAllowed", w.send("DELETE", "/rest/people?q={}", ""))
	w.fails(405, "MethodNotAllowed", w.send("DELETE", "/rest/people/", ""))
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/%20", ""))
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/**?q={}", ""))
	if got := w.left(); got != "ann bob cid dee" {
		t.Fatalf("left: %q", got)
	}
}

func TestDeletions(t *testing.T) {
	one, two, three, four := "000000000000000000000001", "000000000000000000000002", "000000000000000000000003", "000000000000000000000004"
	result := func(ids ...string) string {
		if len(ids) == 0 {
			return `{"result":[]}`
		}
		return `{"result":["` + strings.Join(ids, `","`) + `"]}`
	}
	for name, tt := range map[string]struct{ path, body, want, left string }{
		"one":                         {"/rest/people/" + two, "", result(two), "ann cid dee"},
		"ids":                         {"/rest/people/*", `["` + four + `","` + one + `"]`, result(four, one), "bob cid"},
		"ids, some of nothing":        {"/rest/people/*", `["ffffffffffffffffffffffff","` + one + `","x","` + one + `"]`, result(one), "bob cid dee"},
		"no ids":                      {"/rest/people/*", `[]`, result(), "ann bob cid dee"},
		"a query":                     {`/rest/people/*?q={"town":"rome"}`, "", result(two, four), "ann cid"},
		"a query, encoded":            {`/rest/people/%2A?q=` + esc(`{"town":"rome"}`), "", result(two, four), "ann cid"},
		"a query and an empty object": {`/rest/people/*?q={"town":"rome"}`, "{}", result(two, four), "ann cid"},
		"a query and null":            {`/rest/people/*/?q={"town":"rome"}`, "null", result(two, four), "ann cid"},
		"a query of an id":            {`/rest/people/*?q={"_id":"` + three + `"}`, "", result(three), "ann bob dee"},
		"a query and a filter":        {`/rest/people/*?q={"age":17}&filter=bob`, "", result(two), "ann cid dee"},
		"a query of nothing":          {`/rest/people/*?q={"town":"x;y"}`, "", result(), "ann bob cid dee"},
		"a query with a percent sign": {`/rest/people/*?q={"town":"50%"}`, "", result(), "ann bob cid dee"},
		"everything":                  {`/rest/people/*?q={}`, "", result(one, two, three, four), ""},
		"everything with a word":      {`/rest/people/*?q={}&filter=oslo&h={}`, "", result(one, three), "bob dee"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, headers := range [][]string{nil, {"X-HTTP-Method-Override: delete"}} {
				w := newWorld(t)
				w.people()
				method := "DELETE"
				if headers != nil {
					method = "POST"
				}
				a := w.is(200, tt.want, w.send(method, tt.path, tt.body, headers...))
				if a.header.Get("Covey-Version") == "" && tt.want != result() {
					t.Error("no Covey-Version")
				}
				if got := w.left(); got != tt.left {
					t.Errorf("left: %q, want %q", got, tt.left)
				}
			}
		})
	}
	w := newWorld(t)
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/*?q={}", ""))
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/"+one, ""))
	w.people()
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/ffffffffffffffffffffffff", ""))
	w.fails(404, "NotFound", w.send("DELETE", "/rest/people/x", ""))
}

// More than one commit holds is deleted by several, in the order of ids.
func TestALargeDeletionByQuery(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.removal = 3 })
	var body strings.Builder
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("%024x", i+1))
		fmt.Fprintf(&body, `%c{"_id":"%s","n":1}`, "[,"[min(i, 1)], ids[i])
	}
	w.send("POST", "/rest/items", body.String()+"]")
	w.insert("items", `{"_id":"000000000000000000000000","n":2}`)
	before := w.store.Commits()
	w.store.FailNext(errs.E(errs.TooLarge, "this one is too large")) // so it goes on with one by one
	w.is(200, `{"result":["`+strings.Join(ids, `","`)+`"]}`, w.send("DELETE", `/rest/items/*?q={"n":1}`, ""))
	if got := w.store.Commits() - before; got != 21 {
		t.Errorf("%d commits, want one that was too large and 20", got)
	}
	w.is(200, `[{"_id":"000000000000000000000000","n":2}]`, w.get("/rest/items"))

	w.send("POST", "/rest/items", body.String()+"]")
	before = w.store.Commits()
	w.send("DELETE", "/rest/items/*?q={}", "")
	if got := w.store.Commits() - before; got != 1 {
		t.Errorf("%d commits for everything, want 1", got)
	}
	w.is(200, "[]", w.get("/rest/items"))
}

// A deletion that needs several commits and does not finish says so.
func TestALargeDeletionThatBreaks(t *testing.T) {
	w := newWorld(t)
	w.people()
	broken := &breaking{Store: w.store, at: 2}
	w.serve(func(s *settings) { s.api.DB, s.api.removal = broken.db(), 2 })
	a := w.send("DELETE", `/rest/people/*?q={"age":{"$gt":1}}`, "")
	if got := w.fails(504, "UnknownOutcome", a); got != "2 documents were deleted before this went wrong: no leader" {
		t.Errorf("message %q", got)
	}
	if got := w.left(); got != "cid dee" {
		t.Errorf("left %q", got)
	}
}

// Documents that come while a deletion is under way are deleted or not, and
// every other one is left.
func TestDeletionsMeetConflicts(t *testing.T) {
	for _, path := range []string{`/rest/people/*?q={"town":"rome"}`, `/rest/people/*?q={}`, `/rest/people/000000000000000000000002`} {
		w, calm := newWorld(t), newWorld(t)
		w.people()
		calm.people()
		w.store.ConflictNext(3)
		got, want := w.send("DELETE", path, ""), calm.send("DELETE", path, "")
		if got.code != 200 || got.body != want.body {
			t.Errorf("%s: %d %s, without conflicts %s", path, got.code, got.body, want.body)
		}
		if got, want := w.left(), calm.left(); got != want {
			t.Errorf("%s: left %q, without conflicts %q", path, got, want)
		}
	}
}
