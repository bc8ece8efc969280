package restdb

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const sameKey = "Idempotency-Key: 0123456789abcdef"

// other makes the following requests go through another node with a URL of its
// own on the same store.
func (w *world) other() {
	w.t.Helper()
	before := w.srv
	w.serve()
	if before.URL == w.srv.URL {
		w.t.Fatal("the other node has the same URL")
	}
}

// A write whose answer is lost is done once, whoever is asked again.
func TestARepeatAfterALostAnswerTakesEffectOnce(t *testing.T) {
	const ann = "/rest/people/000000000000000000000001"
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		want               string // in the answer to the repeat
		check, state       string
	}{
		"POST":            {"POST", "/rest/people", `{"name":"new"}`, nil, 201, `"name":"new"`, `/rest/people?q={"name":"new"}&aggregate=COUNT:n`, `{"COUNT n":1}`},
		"PUT":             {"PUT", ann, `{"$inc":{"age":1}}`, nil, 200, `"age":32`, ann + `?h={"$fields":{"age":1}}`, `{"_id":"000000000000000000000001","age":32}`},
		"PUT of all":      {"PUT", ann + "?replace=true", `{"n":1}`, nil, 200, `"_version":1`, ann, `{"_id":"000000000000000000000001","n":1}`},
		"PATCH":           {"PATCH", ann, `{"$push":{"tags":"x"}}`, nil, 200, `"tags":["x"]`, ann + `?h={"$fields":{"tags":1}}`, `{"_id":"000000000000000000000001","tags":["x"]}`},
		"PATCH, If-Match": {"PATCH", ann, `{"$inc":{"age":1}}`, []string{"If-Match: 0"}, 200, `"age":32`, ann + `?h={"$fields":{"age":1}}`, `{"_id":"000000000000000000000001","age":32}`},
		"override":        {"POST", ann, `{"$inc":{"age":1}}`, []string{"X-HTTP-Method-Override: PATCH"}, 200, `"age":32`, ann + `?h={"$fields":{"age":1}}`, `{"_id":"000000000000000000000001","age":32}`},
		"DELETE":          {"DELETE", ann, "", nil, 200, `{"result":["000000000000000000000001"]}`, "/rest/people?aggregate=COUNT:n", `{"COUNT n":3}`},
		"DELETE of ids": {"DELETE", "/rest/people/*", `["ffffffffffffffffffffffff","000000000000000000000003","000000000000000000000001"]`, nil, 200,
			`{"result":["000000000000000000000003","000000000000000000000001"]}`, "/rest/people?aggregate=COUNT:n", `{"COUNT n":2}`},
		"DELETE by query": {"DELETE", `/rest/people/*?q={"town":"rome"}`, "", nil, 200,
			`{"result":["000000000000000000000002","000000000000000000000004"]}`, "/rest/people?aggregate=COUNT:n", `{"COUNT n":2}`},
		"DELETE of all": {"DELETE", `/rest/people/*?q={}`, "", nil, 200,
			`{"result":["000000000000000000000001","000000000000000000000002","000000000000000000000003","000000000000000000000004"]}`, "/rest/people", `[]`},
		"override to DELETE": {"POST", `/rest/people/*?q={"town":"rome"}`, "", []string{"X-HTTP-Method-Override: DELETE"}, 200,
			`{"result":["000000000000000000000002","000000000000000000000004"]}`, "/rest/people?aggregate=COUNT:n", `{"COUNT n":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.people()
			headers := append([]string{sameKey}, tt.headers...)
			w.store.LoseNext(1)
			w.fails(504, "UnknownOutcome", w.send(tt.method, tt.path, tt.body, headers...))
			w.other()
			for range 2 {
				a := w.send(tt.method, tt.path, tt.body, headers...)
				if a.code != tt.code || !strings.Contains(a.body, tt.want) || a.header.Get("Covey-Replayed") != "true" {
					t.Errorf("the repeat: %d %s, replayed %q", a.code, a.body, a.header.Get("Covey-Replayed"))
				}
			}
			w.is(200, tt.state, w.get(tt.check))
			a := w.send(tt.method, tt.path, tt.body, "Idempotency-Key: 0123456789abcdeX")
			if a.header.Get("Covey-Replayed") != "" {
				t.Error("another key is a repeat")
			}
		})
	}
}

func TestARepeatOfAChildIsStoredOnce(t *testing.T) {
	w := shop(t)
	path := "/rest/items/" + w.insert("items", `{}`) + "/notes"
	w.store.LoseNext(1)
	w.fails(504, "UnknownOutcome", w.send("POST", path, `{"text":"x"}`, sameKey))
	w.other()
	if a := w.send("POST", path, `{"text":"x"}`, sameKey); a.code != 201 || a.header.Get("Covey-Replayed") != "true" || !strings.Contains(a.body, `"text":"x"`) {
		t.Errorf("the repeat: %d %s", a.code, a.body)
	}
	if n := strings.Count(w.get(path).body, `"_id"`); n != 1 {
		t.Errorf("%d children, want 1", n)
	}
}

// Documents that came after a deletion are not deleted by its repeat.
func TestARepeatOfADeletionSparesWhatCameAfter(t *testing.T) {
	for _, r := range [][2]string{{`/rest/people/*?q={"town":"rome"}`, ""}, {`/rest/people/*?q={}`, ""}, {"/rest/people/*", `["000000000000000000000002"]`}, {"/rest/people/000000000000000000000002", ""}} {
		w := newWorld(t)
		w.people()
		first := w.send("DELETE", r[0], r[1], sameKey)
		w.insert("people", `{"_id":"000000000000000000000002","name":"bobby","town":"rome"}`)
		w.is(200, first.body, w.send("DELETE", r[0], r[1], sameKey))
		w.is(200, `{"COUNT n":1}`, w.get(`/rest/people?q={"name":"bobby"}&aggregate=COUNT:n`))
	}
}

// A repeated deletion is answered even when its collection is gone.
func TestARepeatOfADeletionFromADroppedCollection(t *testing.T) {
	w := newWorld(t)
	w.people()
	first := w.send("DELETE", `/rest/people/*?q={"town":"rome"}`, "", sameKey)
	w.update(func(tx *kv.Tx) error { return w.layer.DropCollection(tx, collection.DefaultDatabase, "people") })
	w.is(200, first.body, w.send("DELETE", `/rest/people/*?q={"town":"rome"}`, "", sameKey))
	w.fails(404, "NotFound", w.send("DELETE", `/rest/people/*?q={"town":"oslo"}`, "", sameKey))
}

func TestARepeatOfAChangeToWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.people()
	path := "/rest/people/000000000000000000000001"
	w.send("PATCH", path, `{"n":1}`, sameKey)
	w.send("DELETE", path, "")
	if got := w.fails(404, "NotFound", w.send("PATCH", path, `{"n":1}`, sameKey)); !strings.Contains(got, "deleted since") {
		t.Errorf("message %q", got)
	}
}

func TestLargeDeletionsUnderAKey(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.removal = 100 })
	fill := func(n int) (ids []string) {
		var body strings.Builder
		for i := range n {
			ids = append(ids, fmt.Sprintf("%024x", i+1))
			fmt.Fprintf(&body, `%c{"_id":"%s","n":1}`, "[,"[min(i, 1)], ids[i])
		}
		w.send("POST", "/rest/items", body.String()+"]")
		return ids
	}
	ids := fill(101)
	path := `/rest/items/*?q={"n":1}`
	w.fails(400, "BadRequest", w.send("DELETE", path, "", sameKey))
	w.is(200, `{"COUNT n":101}`, w.get("/rest/items?aggregate=COUNT:n"))
	w.send("DELETE", "/rest/items/"+ids[100], "")
	w.is(200, `{"result":["`+strings.Join(ids[:100], `","`)+`"]}`, w.send("DELETE", path, "", sameKey))
	fill(101)
	w.is(200, `{"result":["`+strings.Join(ids[:84], `","`)+`"],"count":100}`, w.send("DELETE", path, "", sameKey))
	w.is(200, `{"COUNT n":101}`, w.get("/rest/items?aggregate=COUNT:n"))

	many := make([]string, maxMarks+1)
	for i := range many {
		many[i] = fmt.Sprintf("%024x", i+100)
	}
	text := func(ids []string) string { return `["` + strings.Join(ids, `","`) + `"]` }
	w.fails(400, "BadRequest", w.send("DELETE", "/rest/items/*", text(many), sameKey))
	w.is(200, `{"COUNT n":101}`, w.get("/rest/items?aggregate=COUNT:n"))
	for range 2 {
		w.is(200, `{"result":`+text(many[:2])+`}`, w.send("DELETE", "/rest/items/*", text(many[:maxMarks]), sameKey))
	}
}

// The database makes a request what it is, not the name of the node.
func TestTheHostCountsOnlyAsADatabase(t *testing.T) {
	w := newWorld(t)
	w.people()
	w.set(collection.SettingHostSuffix, "example.com")
	text := collection.DrawKey(false)
	w.update(func(tx *kv.Tx) error {
		if err := w.layer.CreateDatabase(tx, "shop"); err != nil {
			return err
		}
		// The same key in both, so that only the database differs.
		for _, name := range []string{collection.DefaultDatabase, "shop"} {
			if _, err := w.layer.CreateKey(tx, name, text, collection.KeySpec{}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, tt := range []struct{ host, replayed string }{
		{"node1:8700", ""}, {"node2:8700", "true"}, {"10.0.0.3", "true"}, {"default.example.com", "true"},
		{"shop.example.com", ""}, {"SHOP.example.com:1", "true"}, {"node1", "true"},
	} {
		a := w.do("POST", "/rest/items", `{"n":1}`, "x-apikey: "+text, asJSON, sameKey, "Host: "+tt.host)
		if a.code != 201 || a.header.Get("Covey-Replayed") != tt.replayed {
			t.Errorf("%s: %d %s, replayed %q", tt.host, a.code, a.body, a.header.Get("Covey-Replayed"))
		}
	}
	for _, host := range []string{"node1", "shop.example.com"} {
		a := w.do("GET", "/rest/items?aggregate=COUNT:n", "", "x-apikey: "+text, "Host: "+host)
		w.is(200, `{"COUNT n":1}`, a)
	}
}

// Whatever decides what is done makes another request under the same key.
func TestAnotherRequestUnderTheSameKeyIsNoRepeat(t *testing.T) {
	w := newWorld(t)
	w.people()
	path := "/rest/people/000000000000000000000001"
	for _, r := range []struct{ method, path, body, header string }{
		{"PUT", path, `{"n":1}`, "X-A: b"}, {"PATCH", path, `{"n":1}`, "X-A: b"}, {"PUT", path, `{"n":2}`, "X-A: b"},
		{"PUT", path, `{"n":1}`, "If-Match: 3"}, {"PUT", path + "?replace=true", `{"n":1}`, "X-A: b"},
		{"PUT", "/rest/people/000000000000000000000002", `{"n":1}`, "X-A: b"},
		{"DELETE", `/rest/people/*?q={"town":"oslo"}&filter=cid`, "", "X-A: b"}, {"DELETE", `/rest/people/*?q={"town":"oslo"}`, "", "X-A: b"}, {"DELETE", `/rest/people/*?q={"town":"rome"}`, "", "X-A: b"},
	} {
		if a := w.send(r.method, r.path, r.body, sameKey, r.header); a.code != 200 || a.header.Get("Covey-Replayed") != "" {
			t.Errorf("%v: %d %s, replayed %q", r, a.code, a.body, a.header.Get("Covey-Replayed"))
		}
	}
}

func TestABadIdempotencyKeyChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.people()
	all := append(writes, [3]string{"GET", "/rest/people", ""}, [3]string{"POST", "/auth/jwt", "{}"})
	for _, r := range all {
		for _, bad := range []string{"Idempotency-Key: short", "Idempotency-Key: " + strings.Repeat("x", 129), "Idempotency-Key: with a blank in its midst"} {
			w.fails(400, "BadRequest", w.send(r[0], r[1], r[2], bad))
		}
		w.fails(400, "BadRequest", w.send(r[0], r[1], r[2], sameKey, sameKey))
		w.fails(400, "BadRequest", w.send(r[0], r[1], r[2], sameKey, "Covey-Version: x"))
		w.fails(401, "Unauthorized", w.do(r[0], r[1], r[2], "Idempotency-Key: short"))
	}
	if got := w.left(); got != "ann bob cid dee" {
		t.Errorf("left %q", got)
	}
}

func TestRecollections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ids, deleted []collection.OID
		for i, gone := range rapid.SliceOfN(rapid.Bool(), 0, 300).Draw(t, "gone") {
			id := collection.OID{byte(i >> 8), byte(i)}
			if ids = append(ids, id); gone {
				deleted = append(deleted, id)
			}
		}
		if got, err := marked(ids, mark(ids, deleted)); err != nil || !cmp.Equal(got, deleted) {
			t.Fatalf("marked: %v %v, want %v", got, err, deleted)
		}
		p := recall(deleted)
		r, err := recalled(p)
		if err != nil || len(p) > command.MaxReply || r.count != len(deleted) || !cmp.Equal(r.ids, deleted[:min(len(deleted), maxRecalled)]) {
			t.Fatalf("recalled: %v %v, %d bytes, want %v", r, err, len(p), deleted)
		}
	})
	if _, err := marked(make([]collection.OID, 9), []byte{1}); err == nil {
		t.Error("marks of other ids are read")
	}
	for _, p := range [][]byte{nil, make([]byte, 7), make([]byte, 9)} {
		if _, err := recalled(p); err == nil {
			t.Errorf("%d bytes are read", len(p))
		}
	}
}

func TestTheIdentityKnowsFormsFromJSON(t *testing.T) {
	q := &request{r: httptest.NewRequest("POST", "/", nil), once: once{key: "0123456789abcdef"}}
	seen := map[command.ID]bool{}
	for _, c := range []content{{}, {json: []byte(`{"n":"1"}`)}, {json: []byte(`{"n":"1"}`), texts: true}} {
		q.once.content(c)
		seen[q.identity("default")] = true
		seen[q.identity("shop")] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d identities, want 6", len(seen))
	}
}

// lagging is a store that changes right after a state of it has been taken.
type lagging struct {
	*kvtest.Store
	change func() // once
}

func (l *lagging) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	v, info, err := l.Store.View(ctx, c)
	if change := l.change; change != nil {
		l.change = nil
		change()
	}
	return v, info, err
}

// A node that does not yet know what a host means gives a request the identity
// that it has on all others.
func TestAHostThatMeansAnotherDatabaseMeanwhile(t *testing.T) {
	w := newWorld(t)
	text := collection.DrawKey(false)
	w.update(func(tx *kv.Tx) error {
		if err := w.layer.CreateDatabase(tx, "shop"); err != nil {
			return err
		}
		_, err := w.layer.CreateKey(tx, "shop", text, collection.KeySpec{})
		return err
	})
	behind := &lagging{Store: w.store}
	w.serve(func(s *settings) { s.api.DB = kv.New(behind) })
	behind.change = func() { w.set(collection.SettingHostSuffix, "example.com") }
	for _, replayed := range []string{"", "true"} {
		a := w.do("POST", "/rest/items", `{"n":1}`, "x-apikey: "+text, asJSON, sameKey, "Host: shop.example.com")
		if a.code != 201 || a.header.Get("Covey-Replayed") != replayed {
			t.Errorf("%d %s, replayed %q, want %q", a.code, a.body, a.header.Get("Covey-Replayed"), replayed)
		}
	}
}
