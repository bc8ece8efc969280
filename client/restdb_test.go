package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// operated is what a node saw of one call of the operator.
type operated struct{ method, target, body string }

// operator answers with the texts in turn, the last one for all that follow.
func operator(t *testing.T, answers ...http.HandlerFunc) (*RestDB, func() []operated) {
	var mu sync.Mutex
	var calls []operated
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Header.Get("Authorization") != "Bearer root" {
			t.Errorf("%s: Authorization is %q", r.URL, r.Header.Get("Authorization"))
		}
		if writes := r.Method != http.MethodGet; writes != (r.Header.Get("Idempotency-Key") != "") {
			t.Errorf("%s %s: Idempotency-Key is %q", r.Method, r.URL, r.Header.Get("Idempotency-Key"))
		}
		mu.Lock()
		calls = append(calls, operated{r.Method, r.URL.RequestURI(), string(body)})
		turn := min(len(calls), len(answers)) - 1
		mu.Unlock()
		answers[turn](w, r)
	})
	c, err := New(Config{Endpoints: []string{url}, RootKey: "root", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.RestDB(), func() []operated {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

func TestOperatorsCallsAreThoseOfTheAPI(t *testing.T) {
	ctx := t.Context()
	tests := []struct {
		name string
		call func(r *RestDB) error
		want operated
	}{
		{"create database", func(r *RestDB) error { return r.CreateDatabase(ctx, "shop") }, operated{"POST", "/databases", `{"name":"shop"}`}},
		{"drop database", func(r *RestDB) error { return r.DropDatabase(ctx, "a/b") }, operated{"DELETE", "/databases/a%2Fb", ""}},
		{"create key", func(r *RestDB) error {
			_, err := r.Database("shop").CreateKey(ctx, AccessScope{Web: true, Paths: []string{"**"}, Methods: []string{"GET"}, Origins: []string{"*"}}, time.Minute)
			return err
		}, operated{"POST", "/databases/shop/keys", `{"web":true,"paths":["**"],"methods":["GET"],"origins":["*"],"expires_in":60}`}},
		{"rotate key", func(r *RestDB) error {
			_, err := r.Database("shop").RotateKey(ctx, "0123", 0)
			return err
		}, operated{"POST", "/databases/shop/keys/0123/rotation", `{"keep":0}`}},
		{"revoke key", func(r *RestDB) error { return r.Database("shop").RevokeKey(ctx, "..") }, operated{"DELETE", "/databases/shop/keys/%2E%2E", ""}},
		{"set setting", func(r *RestDB) error { return r.Database("shop").SetSetting(ctx, "strict", "true") }, operated{"PUT", "/databases/shop/settings/strict", `{"value":"true"}`}},
		{"create collection", func(r *RestDB) error { return r.Database("shop").CreateCollection(ctx, "c") }, operated{"POST", "/databases/shop/collections", `{"name":"c"}`}},
		{"drop collection", func(r *RestDB) error { return r.Database("shop").Collection("c").Drop(ctx) }, operated{"DELETE", "/databases/shop/collections/c", ""}},
		{"set schema", func(r *RestDB) error {
			return r.Database("shop").Collection("c").SetSchema(ctx, json.RawMessage(`{"fields":[]}`))
		}, operated{"PUT", "/databases/shop/collections/c/schema", `{"fields":[]}`}},
		{"create index", func(r *RestDB) error {
			_, err := r.Database("shop").Collection("c").CreateIndex(ctx, "", true, "a", "b.c")
			return err
		}, operated{"POST", "/databases/shop/collections/c/indexes", `{"paths":["a","b.c"],"unique":true}`}},
		{"drop index", func(r *RestDB) error { return r.Database("shop").Collection("c").DropIndex(ctx, "a") }, operated{"DELETE", "/databases/shop/collections/c/indexes/a", ""}},
		{"insert", func(r *RestDB) error {
			_, err := r.Database("shop").Collection("c").Insert(ctx, []byte(`[{"a":1}]`))
			return err
		}, operated{"POST", "/databases/shop/collections/c/documents", `[{"a":1}]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, calls := operator(t, says(200, "{}"))
			if err := tt.call(r); err != nil {
				t.Fatal(err)
			}
			tt.want.target = restBase + tt.want.target
			if diff := cmp.Diff([]operated{tt.want}, calls(), cmp.AllowUnexported(operated{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEmptyNameIsNeverSent(t *testing.T) {
	r, calls := operator(t, says(200, "{}"))
	for _, err := range []error{
		r.DropDatabase(t.Context(), ""), r.Database("").Collection("c").Drop(t.Context()),
		r.Database("d").Collection("").Drop(t.Context()), r.Database("d").RevokeKey(t.Context(), ""),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(calls()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

func TestDocumentsComePageByPage(t *testing.T) {
	r, calls := operator(t, says(200, `{"documents":[{"_id":"1"},{"_id":"2"}],"next":"2"}`), says(200, `{"documents":[{"_id":"3"}]}`))
	var got []string
	for doc, err := range r.Database("d").Collection("c").Documents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(doc))
	}
	if diff := cmp.Diff([]string{`{"_id":"1"}`, `{"_id":"2"}`, `{"_id":"3"}`}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := calls(); len(c) != 2 || !strings.HasSuffix(c[1].target, "/documents?after=2&limit=1000") {
		t.Errorf("calls are %+v", c)
	}
	t.Run("and no further than they are wanted", func(t *testing.T) {
		r, calls := operator(t, says(200, `{"documents":[{"_id":"1"},{"_id":"2"}],"next":"2"}`))
		for range r.Database("d").Collection("c").Documents(t.Context()) {
			break
		}
		if n := len(calls()); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
	t.Run("and an error ends them", func(t *testing.T) {
		for _, second := range []http.HandlerFunc{says(404, "{}"), says(200, `{"documents":[`), says(200, `{"documents":[],"next":"2"}`)} {
			r, _ := operator(t, says(200, `{"documents":[{"_id":"1"}],"next":"2"}`), second)
			n, last := 0, error(nil)
			for _, err := range r.Database("d").Collection("c").Documents(t.Context()) {
				n, last = n+1, err
			}
			if n != 2 || last == nil {
				t.Errorf("%d steps, the last is %v", n, last)
			}
		}
	})
}

func TestListsGoOverAllPages(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) {
		next := ""
		if r.URL.Query().Get("after") == "" {
			next = `,"next":"a"`
		}
		fmt.Fprintf(w, `{"databases":[{"name":"x"}],"collections":[{"name":"y","documents":3}]%s}`, next)
	}
	r, _ := operator(t, page)
	dbs, err := r.Databases(t.Context())
	if err != nil || len(dbs) != 2 || dbs[1].Name != "x" {
		t.Errorf("%+v, %v", dbs, err)
	}
	colls, err := r.Database("d").Collections(t.Context())
	if err != nil || len(colls) != 2 || colls[1].Documents != 3 {
		t.Errorf("%+v, %v", colls, err)
	}
}
