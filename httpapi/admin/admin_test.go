package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/google/go-cmp/cmp"
)

const rootKey = "the-root-key"

// fakeCluster answers what a test wants.
type fakeCluster struct {
	status cluster.Status
	err    error
	checks []cluster.Check
}

func (f *fakeCluster) Status(context.Context) (cluster.Status, error) { return f.status, f.err }
func (f *fakeCluster) Checks(context.Context) []cluster.Check         { return f.checks }

type world struct {
	t       *testing.T
	config  Config
	cluster *fakeCluster
	store   *kvtest.Store
}

func newWorld(t *testing.T) *world {
	store := kvtest.New(t)
	buckets, err := bucket.New(bucket.Config{Root: auth.NewRootKey(rootKey)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCluster{}
	return &world{t, Config{
		Cluster: f, DB: store.DB, Buckets: buckets, Collections: collection.New(collection.Config{Keyring: keyring(t)}),
		Root: auth.NewRootKey(rootKey), Log: slog.New(slog.DiscardHandler),
	}, f, store}
}

func (w *world) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	New(w.config).ServeHTTP(rec, r)
	return rec
}

// failed checks that a request is answered by a JSON error.
func (w *world) failed(code int, kind, method, path string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := w.do(method, path, headers...)
	var body struct {
		Error struct {
			Code      string
			Message   string
			RequestID string `json:"request_id"`
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != code || body.Error.Code != kind ||
		body.Error.Message == "" || body.Error.RequestID != rec.Header().Get("Covey-Request-Id") || rec.Header().Get("Content-Type") != "application/json" {
		w.t.Errorf("%s %s: got %d %s", method, path, rec.Code, rec.Body)
	}
	return rec
}

const asRoot = "Authorization: Bearer " + rootKey

func TestHealth(t *testing.T) {
	w := newWorld(t)
	if rec := w.do("GET", "/livez"); rec.Code != 200 || rec.Body.String() != "ok\n" {
		t.Errorf("livez: %d %q", rec.Code, rec.Body)
	}
	w.cluster.checks = []cluster.Check{{Name: "quorum", OK: true, Detail: "2 of 3"}, {Name: "store", OK: true}}
	for path, want := range map[string]string{
		"/readyz":         "ready\n",
		"/readyz?verbose": "[+] quorum: 2 of 3\n[+] store\nready\n",
	} {
		if rec := w.do("GET", path); rec.Code != 200 || rec.Body.String() != want {
			t.Errorf("%s: %d %q, want 200 %q", path, rec.Code, rec.Body, want)
		}
	}
	w.cluster.checks[0] = cluster.Check{Name: "quorum", Detail: "no leader:\n1 of 3 voters answer"}
	for path, want := range map[string]string{
		"/readyz":           "[-] quorum: no leader:?1 of 3 voters answer\nnot ready\n",
		"/readyz?verbose=1": "[-] quorum: no leader:?1 of 3 voters answer\n[+] store\nnot ready\n",
	} {
		if rec := w.do("GET", path); rec.Code != 503 || rec.Body.String() != want || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %q, want 503 %q", path, rec.Code, rec.Body, want)
		}
	}
	if rec := w.do("GET", "/livez"); rec.Code != 200 {
		t.Error("a node without a quorum must not be restarted for that")
	}
}

func TestTheRootKeyGuardsTheCluster(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/cluster/status", "/cluster/buckets"} {
		w.failed(401, "unauthenticated", "GET", path)
		w.failed(401, "unauthenticated", "GET", path, "Authorization: Bearer wrong")
		w.failed(401, "unauthenticated", "POST", path)
		w.failed(401, "unauthenticated", "GET", path+"?access_token="+rootKey)
		if rec := w.do("GET", path, asRoot); rec.Code != 200 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	w.config.Root = nil
	w.failed(403, "forbidden", "GET", "/cluster/status", asRoot)
	w.failed(403, "forbidden", "GET", "/cluster/status")
}

func TestWrongMethodsAndPaths(t *testing.T) {
	w := newWorld(t)
	if rec := w.failed(405, "invalid", "POST", "/livez"); rec.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow is %q", rec.Header().Get("Allow"))
	}
	if rec := w.do("OPTIONS", "/readyz"); rec.Code != 204 || rec.Header().Get("Allow") == "" {
		t.Errorf("OPTIONS answers %d", rec.Code)
	}
	for _, path := range []string{"/cluster", "/cluster/", "/cluster//status", "/cluster/status/", "/livez/", "/cluster/../livez", "/cluster/statu%73"} {
		w.failed(404, "not_found", "GET", path, asRoot)
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.cluster.status = cluster.Status{ID: "n1", Term: 3, Version: 7, Members: []cluster.Member{{ID: "n1", Role: cluster.RoleVoter, Alive: true}}}
	rec := w.do("GET", "/cluster/status", asRoot)
	var got cluster.Status
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	if diff := cmp.Diff(w.cluster.status, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.cluster.status = cluster.Status{}
	if rec := w.do("GET", "/cluster/status", asRoot); !strings.Contains(rec.Body.String(), `"members":[]`) {
		t.Errorf("no members are no list: %s", rec.Body)
	}
	w.cluster.err = errs.E(errs.Unavailable, "the node is closing")
	if rec := w.failed(503, "unavailable", "GET", "/cluster/status", asRoot); rec.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	w.cluster.err = fmt.Errorf("disk path /secret")
	if rec := w.failed(500, "internal", "GET", "/cluster/status", asRoot); strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("an internal error shows %s", rec.Body)
	}
}

func TestBuckets(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("bucket-%d", i)
		draft, err := w.config.Buckets.Draft(id, bucket.Fields{Secret: &auth.Credential{Value: "s"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
			return w.config.Buckets.Create(tx, auth.Credential{Value: rootKey}, draft)
		}); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	var got []string
	for after, pages := "", 0; ; pages++ {
		rec := w.do("GET", "/cluster/buckets?limit=2&after="+after, asRoot)
		var page bucketPage
		if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || rec.Code != 200 || pages > 3 {
			t.Fatalf("page %d: %d %s: %v", pages, rec.Code, rec.Body, err)
		}
		for _, b := range page.Buckets {
			got = append(got, b.ID)
			if b.Created.IsZero() || b.DefaultTTL != bucket.DefaultTTL || !cmp.Equal(b.Keys, []string{"secret"}) {
				t.Errorf("%+v", b)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"limit=0", "limit=x", "limit=1001", "limit=", "after=" + strings.Repeat("x", 100)} {
		w.failed(400, "invalid", "GET", "/cluster/buckets?"+bad, asRoot)
	}
}
