package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

func keyring(t *testing.T) *seal.Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if _, err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	k, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// call sends a request of the operator's about documents.
func (w *world) call(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return w.send(method, restBase+path, body, headers...)
}

// send sends a request of the operator's.
func (w *world) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+rootKey)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	New(w.config).ServeHTTP(rec, r)
	return rec
}

// must checks the status and returns the body without its newline.
func (w *world) must(code int, method, path, body string, headers ...string) string {
	w.t.Helper()
	rec := w.call(method, path, body, headers...)
	if rec.Code != code {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, rec.Code, rec.Body, code)
	}
	return strings.TrimSuffix(rec.Body.String(), "\n")
}

// enter asks the door of the layer with a key.
func (w *world) enter(host, key string) error {
	_, err := w.config.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) error {
		_, err := w.config.Collections.Enter(w.t.Context(), tx, collection.Caller{
			Host: host, Key: auth.Credential{Value: key}, Method: "GET", Path: "items",
		})
		return err
	})
	return err
}

func TestDocumentsAreManagedByTheOperatorOnly(t *testing.T) {
	w := newWorld(t)
	for path, verbs := range restPaths() {
		path = restBase + strings.NewReplacer("{db}", "default", "{coll}", "items", "{key}", "0123456789ab", "{name}", "strict", "{index}", "a", "{hook}", "0123456789ab").Replace(path)
		for method := range verbs {
			w.failed(401, "unauthenticated", method, path)
			w.failed(401, "unauthenticated", method, path, "Authorization: Bearer wrong")
		}
		if rec := w.failed(405, "invalid", "TRACE", path, asRoot); !strings.Contains(rec.Header().Get("Allow"), "OPTIONS") {
			t.Errorf("%s: Allow is %q", path, rec.Header().Get("Allow"))
		}
	}
	w.config.Root = nil
	w.failed(403, "forbidden", "GET", restBase+"/databases", asRoot)
}

func TestDatabasesAreCreatedListedAndDropped(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/databases", `{"name":"shop"}`)
	w.must(409, "POST", "/databases", `{"name":"shop"}`)
	w.must(400, "POST", "/databases", `{"name":"No such name"}`)
	w.must(400, "POST", "/databases", `{"nam":"shop"}`)
	w.must(400, "POST", "/databases", `{"name":"x"} {}`)
	var list struct {
		Databases []databaseInfo
		Next      string
	}
	if err := json.Unmarshal([]byte(w.must(200, "GET", "/databases", "")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Databases) != 2 || list.Databases[0].Name != "default" || list.Databases[1].Name != "shop" ||
		list.Databases[1].Created == nil || list.Next != "" {
		t.Errorf("%+v", list)
	}
	w.must(201, "POST", "/databases/shop/collections", `{"name":"items"}`)
	w.must(204, "DELETE", "/databases/shop", "")
	w.must(404, "DELETE", "/databases/shop", "")
	w.must(404, "GET", "/databases/shop/collections", "")
	w.must(400, "DELETE", "/databases/default", "")
}

func TestManyCollectionsAreDroppedInSteps(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/databases", `{"name":"shop"}`)
	if _, err := w.config.DB.Update(t.Context(), func(tx *kv.Tx) error {
		for i := range 600 { // more than one commit drops
			if err := w.config.Collections.CreateCollection(tx, "shop", fmt.Sprintf("c%d", i)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const id = "Idempotency-Key: 0123456789abcdef"
	w.must(204, "DELETE", "/databases/shop", "", id)
	w.must(204, "DELETE", "/databases/shop", "", id) // the answer was lost
	w.must(404, "DELETE", "/databases/shop", "")
}

func TestKeysAreShownOnceAndWorkUntilTheyAreRevoked(t *testing.T) {
	w := newWorld(t)
	const keys = "/databases/default/keys"
	create := func(body string, headers ...string) (k accessKey) {
		t.Helper()
		if err := json.Unmarshal([]byte(w.must(201, "POST", keys, body, headers...)), &k); err != nil {
			t.Fatal(err)
		}
		return k
	}
	full := create(`{"note":"for the shop"}`)
	web := create(`{"web":true,"paths":["items"],"methods":["get"],"origins":["https://a.example"],"expires_in":3600}`)
	if len(full.Key) != 37 || len(web.Key) != 24 || web.Expires == nil || !cmp.Equal(web.Methods, []string{"GET"}) {
		t.Errorf("%+v %+v", full, web)
	}
	for _, k := range []accessKey{full, web} {
		if err := w.enter("localhost", k.Key); err != nil {
			t.Errorf("key %s: %v", k.ID, err)
		}
	}
	list := w.must(200, "GET", keys, "")
	if strings.Contains(list, full.Key) || !strings.Contains(list, full.ID) || !strings.Contains(list, "for the shop") {
		t.Errorf("the list is %s", list)
	}
	w.store.Advance(time.Hour + time.Second)
	if err := w.enter("localhost", web.Key); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an expired key: %v", err)
	}
	w.must(204, "DELETE", keys+"/"+full.ID, "")
	w.must(404, "DELETE", keys+"/"+full.ID, "")
	if err := w.enter("localhost", full.Key); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a revoked key: %v", err)
	}
	for _, bad := range []string{`{"expires_in":-1}`, `{"expires_in":1e18}`, `{"paths":["x"]}`, `{"web":true}`, `{"web":1}`, ``, `[]`} {
		w.must(400, "POST", keys, bad)
	}
}

func TestARepeatThatLostItsAnswerStillShowsAKey(t *testing.T) {
	w := newWorld(t)
	const keys, id = "/databases/default/keys", "Idempotency-Key: 0123456789abcdef"
	var tries []accessKey
	for range 3 {
		var k accessKey
		if err := json.Unmarshal([]byte(w.must(201, "POST", keys, `{"web":true,"paths":["**"],"methods":["GET"],"origins":["*"]}`, id)), &k); err != nil {
			t.Fatal(err)
		}
		tries = append(tries, k)
	}
	for i, k := range tries {
		err := w.enter("localhost", k.Key)
		if last := i == len(tries)-1; last && err != nil || !last && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("the key of try %d: %v", i, err)
		}
	}
	if n := strings.Count(w.must(200, "GET", keys, ""), `"id"`); n != 1 {
		t.Errorf("%d keys are there", n)
	}
}

func TestRotationReplacesAKey(t *testing.T) {
	w := newWorld(t)
	const keys = "/databases/default/keys"
	var old, kept, next accessKey
	decode := func(text string, k *accessKey) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), k); err != nil {
			t.Fatal(err)
		}
	}
	decode(w.must(201, "POST", keys, `{"web":true,"paths":["items"],"methods":["GET"],"origins":["*"]}`), &old)
	decode(w.must(201, "POST", keys+"/"+old.ID+"/rotation", `{"keep":60}`), &kept)
	if err := w.enter("localhost", old.Key); err != nil || len(kept.Key) != 24 || !cmp.Equal(kept.Paths, old.Paths) {
		t.Errorf("%v, %+v", err, kept)
	}
	w.store.Advance(61 * time.Second)
	if err := w.enter("localhost", old.Key); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old key after its time: %v", err)
	}
	const id = "Idempotency-Key: 0123456789abcdef"
	decode(w.must(201, "POST", keys+"/"+kept.ID+"/rotation", `{}`, id), &next)
	decode(w.must(201, "POST", keys+"/"+kept.ID+"/rotation", `{}`, id), &next) // the answer was lost
	if err := w.enter("localhost", next.Key); err != nil || len(next.Key) != 24 {
		t.Errorf("%v, %+v", err, next)
	}
	if err := w.enter("localhost", kept.Key); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the rotated key: %v", err)
	}
	w.must(404, "POST", keys+"/0123456789ab/rotation", `{}`)
}

func TestSettingsKeepSecretsToThemselves(t *testing.T) {
	w := newWorld(t)
	const settings = "/databases/default/settings"
	w.must(204, "PUT", settings+"/jwt.client_id", `{"value":"the-client"}`)
	w.must(204, "PUT", settings+"/jwt.client_secret", `{"value":"hush-hush-hush-hush"}`)
	w.must(204, "PUT", settings+"/properties.google.key", `{"value":"more-hush"}`)
	w.must(204, "PUT", settings+"/host_suffix", `{"value":"db.example"}`)
	var list struct{ Settings []setting }
	text := w.must(200, "GET", settings, "")
	if err := json.Unmarshal([]byte(text), &list); err != nil || strings.Contains(text, "hush") {
		t.Fatalf("%s: %v", text, err)
	}
	got := map[string]setting{}
	for _, s := range list.Settings {
		if s.Set {
			got[s.Name] = s
		}
	}
	want := map[string]setting{
		"jwt.client_id":         {Name: "jwt.client_id", Value: "the-client", Set: true},
		"jwt.client_secret":     {Name: "jwt.client_secret", Secret: true, Set: true},
		"properties.google.key": {Name: "properties.google.key", Secret: true, Set: true},
		"host_suffix":           {Name: "host_suffix", Value: "db.example", Set: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.must(204, "PUT", settings+"/host_suffix", `{"value":""}`)
	if text := w.must(200, "GET", settings, ""); strings.Contains(text, "db.example") {
		t.Errorf("still set: %s", text)
	}
	for _, bad := range [][2]string{{"nonsense", `{"value":"x"}`}, {"strict", `{"value":"perhaps"}`}, {"strict", `{}`}, {"strict", `{"value":true}`}} {
		w.must(400, "PUT", settings+"/"+bad[0], bad[1])
	}
	w.config.Collections = collection.New(collection.Config{})
	if text := w.must(400, "PUT", settings+"/properties.x", `{"value":"hush"}`); strings.Contains(text, "hush") {
		t.Errorf("the answer holds the secret: %s", text)
	}
}

func TestCollectionsSchemasAndRoles(t *testing.T) {
	w := newWorld(t)
	const colls = "/databases/default/collections"
	for _, name := range []string{"item", "items", "items2"} {
		w.must(201, "POST", colls, fmt.Sprintf(`{"name":%q}`, name))
	}
	w.must(409, "POST", colls, `{"name":"items"}`)
	w.must(400, "POST", colls, `{"name":"_x"}`)
	w.must(201, "POST", colls+"/items/documents", `[{"a":1},{"a":2}]`)
	var info collectionInfo
	if err := json.Unmarshal([]byte(w.must(200, "GET", colls+"/items", "")), &info); err != nil || info.Name != "items" || info.Documents != 2 || info.Created.IsZero() {
		t.Errorf("%+v, %v", info, err)
	}
	if text := w.must(200, "GET", colls+"?after=item", ""); strings.Contains(text, `"item"`) || !strings.Contains(text, `"items2"`) {
		t.Errorf("the list after item is %s", text)
	}
	if got := w.must(200, "GET", colls+"/items/schema", ""); got != `{"fields":[]}` {
		t.Errorf("no schema is %s", got)
	}
	w.must(204, "PUT", colls+"/items/schema", `{"fields":[{"name":"a","fieldtype":"number","required":true,"unique":true}]}`)
	if got := w.must(200, "GET", colls+"/items/schema", ""); !strings.Contains(got, `"name":"a","fieldtype":"number","required":true,"unique":true`) {
		t.Errorf("the schema is %s", got)
	}
	w.must(400, "PUT", colls+"/items/schema", `{"fields":[{"name":"a","fieldtype":"nonsense"}]}`)
	w.must(400, "PUT", colls+"/items/schema", `{"felder":[]}`)
	if text := w.must(400, "POST", colls+"/items/documents", `[{"b":1}]`); !strings.Contains(text, `field \"a\": `) {
		t.Errorf("a refusal is %s", text)
	}
	w.must(404, "GET", colls+"/items/roles", "")
	w.must(204, "PUT", colls+"/items/roles", `{"read":["staff","boss"],"delete":["boss"],"private":true}`)
	if got, want := w.must(200, "GET", colls+"/items/roles", ""), `{"read":["staff","boss"],"create":[],"update":[],"delete":["boss"],"private":true}`; got != want {
		t.Errorf("roles are %s, want %s", got, want)
	}
	w.must(204, "DELETE", colls+"/items", "")
	for _, path := range []string{"/items", "/items/schema", "/items/roles", "/items/documents", "/items/indexes", "/it%2Fems", "/%00"} {
		w.must(404, "GET", colls+path, "")
	}
}

func TestIndexesAreCreatedBuiltAndDropped(t *testing.T) {
	w := newWorld(t)
	const items = "/databases/default/collections/items"
	w.must(201, "POST", "/databases/default/collections", `{"name":"items"}`)
	w.must(201, "POST", items+"/documents", `[{"a":1},{"a":2},{"a":2}]`)
	const id = "Idempotency-Key: 0123456789abcdef"
	for range 2 { // and again, as the answer was lost
		var made collection.IndexStatus
		if err := json.Unmarshal([]byte(w.must(201, "POST", items+"/indexes", `{"paths":["a"]}`, id)), &made); err != nil || made.Name == "" || made.State != collection.Building {
			t.Errorf("%+v, %v", made, err)
		}
	}
	w.must(201, "POST", items+"/indexes", `{"name":"u","paths":["a"],"unique":true}`)
	w.must(409, "POST", items+"/indexes", `{"name":"u","paths":["b"]}`)
	w.must(400, "POST", items+"/indexes", `{"paths":[]}`)
	b := collection.Builder{DB: w.config.DB, Store: w.config.Collections, Leads: func() bool { return true }, Log: w.config.Log}
	for more := true; more; {
		var err error
		if more, err = b.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	list := w.must(200, "GET", items+"/indexes", "")
	if strings.Count(list, `"state":"ready"`) != 1 || strings.Count(list, `"state":"failed"`) != 1 || !strings.Contains(list, `"reason"`) {
		t.Errorf("indexes are %s", list)
	}
	w.must(204, "DELETE", items+"/indexes/u", "")
	w.must(404, "DELETE", items+"/indexes/u", "")
}

func TestDocumentsAreTakenInAndOut(t *testing.T) {
	w := newWorld(t)
	const docs = "/databases/default/collections/items/documents"
	w.must(201, "POST", "/databases/default/collections", `{"name":"items"}`)
	var want []string
	var body []string
	for i := range 25 {
		want = append(want, fmt.Sprintf(`{"_id":"%024x","n":%d}`, i+1, i))
		body = append(body, want[i])
	}
	list := func(n int) string { return "[" + strings.Join(body[:n], ",") + "]" }
	steps := []struct{ body, want string }{
		{list(10), `{"inserted":10,"skipped":0}`},
		{list(25), `{"inserted":15,"skipped":10}`},
		{list(25), `{"inserted":0,"skipped":25}`},
		{`[]`, `{"inserted":0,"skipped":0}`},
	}
	for _, s := range steps {
		if got := w.must(201, "POST", docs, s.body); got != s.want {
			t.Errorf("got %s, want %s", got, s.want)
		}
	}
	var got []string
	for after, pages := "", 0; ; pages++ {
		var page documentPage
		if err := json.Unmarshal([]byte(w.must(200, "GET", docs+"?limit=10&after="+after, "")), &page); err != nil || pages > 2 {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, d := range page.Documents {
			got = append(got, string(d))
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{`{"n":1}`, `[{"n":1},2]`, `[{"_id":"x"}]`, `[{"n":1`, ``} {
		w.must(400, "POST", docs, bad)
	}
	for _, bad := range []string{"limit=0", "after=x", "consistency=eventual"} {
		w.must(400, "GET", docs+"?"+bad, "")
	}
}

func TestARepeatedInsertTakesEffectOnce(t *testing.T) {
	w := newWorld(t)
	const docs, id = "/databases/default/collections/items/documents", "Idempotency-Key: 0123456789abcdef"
	w.must(201, "POST", "/databases/default/collections", `{"name":"items"}`)
	for range 2 {
		if got := w.must(201, "POST", docs, `[{"n":1},{"n":2}]`, id); got != `{"inserted":2,"skipped":0}` {
			t.Error(got)
		}
	}
	if got := w.must(200, "GET", docs, ""); strings.Count(got, `"n":`) != 2 {
		t.Errorf("the collection holds %s", got)
	}
	w.must(400, "POST", docs, `[]`, "Idempotency-Key: short")
}

func TestLargePagesAreCut(t *testing.T) {
	w := newWorld(t)
	const docs = "/databases/default/collections/items/documents"
	w.must(201, "POST", "/databases/default/collections", `{"name":"items"}`)
	large := fmt.Sprintf(`{"t":%q}`, strings.Repeat("x", 3<<20))
	for range 3 {
		w.must(201, "POST", docs, "["+large+"]")
	}
	var page documentPage
	if err := json.Unmarshal([]byte(w.must(200, "GET", docs, "")), &page); err != nil || len(page.Documents) != 2 || page.Next == "" {
		t.Errorf("%d documents, next %q, %v", len(page.Documents), page.Next, err)
	}
	w.must(413, "POST", docs, "["+strings.Repeat(large+",", 5)+large+"]")
}
