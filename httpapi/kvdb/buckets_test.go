package kvdb

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Section 3 of the contract: creating, changing and deleting buckets.

const formType = "Content-Type: application/x-www-form-urlencoded"

func TestCreateAsClientsDo(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, body string
		headers    []string
		secret     bool // the bucket has the secret key s3cret
	}{
		{"empty body", "", nil, false},
		{"curl -d", "secret_key=s3cret&write_key=w", []string{formType}, true},
		{"curl -d with email", "email=a%40b.c&secret_key=s3cret", []string{formType}, true},
		{"no content type", "secret_key=s3cret", nil, true},
		{"JSON", `{"secret_key":"s3cret","default_ttl":60}`, []string{"Content-Type: application/json"}, true},
		{"axios", `{"secret_key":"s3cret","email":"a@b.c","x":{"y":[]}}`, []string{"Content-Type: application/json;charset=utf-8", "Accept: application/json, text/plain, */*"}, true},
		{"JSON sent by curl -d", ` {"secret_key":"s3cret","default_ttl":"60","read_key":null}`, []string{formType}, true},
		{"an empty secret is none", "secret_key=&write_key=", []string{formType}, false},
		{"any credential", "", []string{bearer("whatever")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.do("POST", "/", tt.body, tt.headers...)
			if a.code != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" || strings.TrimSpace(a.body) != a.body || len(a.body) < 21 {
				t.Fatalf("got %d %q of %q", a.code, a.body, a.header.Get("Content-Type"))
			}
			if tt.secret {
				w.refused(403, "GET", "/"+a.body, "")
				w.want(200, "", "GET", "/"+a.body, "", basic("s3cret", ""))
			} else {
				w.want(200, "", "GET", "/"+a.body, "")
			}
		})
	}
	for _, tt := range [][2]string{
		{"default_ttl=x", formType}, {"default_ttl=-1", formType}, {"default_ttl=", formType}, {"default_ttl=1.5", formType},
		{`{"default_ttl":-1}`, "Content-Type: application/json"}, {`{"default_ttl":true}`, "Content-Type: application/json"},
		{`{"secret_key":["x"]}`, "Content-Type: application/json"}, {`{"secret_key":`, "Content-Type: application/json"},
		{`[]`, "Content-Type: application/json"}, {"secret_key=x", "Content-Type: application/json"},
		{"--x\r\nContent-Disposition: form-data; name=\"secret_key\"\r\n\r\ns\r\n--x--", "Content-Type: multipart/form-data; boundary=x"},
		{"secret_key=" + strings.Repeat("x", 2000), formType}, {strings.Repeat("x", 70000), formType},
	} {
		w.refused(400, "POST", "/", tt[0], tt[1])
	}
}

func TestSigningKeyWithoutAKeyring(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.layer.Keyring = nil })
	a := w.refused(400, "POST", "/", "signing_key=x")
	if !strings.Contains(a.header.Get("Covey-Reason"), "--keyring-file") {
		t.Errorf("the reason %q does not say what to do", a.header.Get("Covey-Reason"))
	}
	w.want(200, "", "GET", "/"+w.bucket("secret_key", "")+"/", "")
}

func TestNamedBuckets(t *testing.T) {
	w := newWorld(t)
	w.want(200, "my-bucket_01", "POST", "/", "id=my-bucket_01", bearer(rootKey))
	w.want(200, "", "PUT", "/my-bucket_01/k", "v")
	w.refused(409, "POST", "/", "id=my-bucket_01", bearer(rootKey))
	w.refused(403, "POST", "/", "id=my-bucket_02")
	w.refused(401, "POST", "/", "id=my-bucket_02", bearer("wrong"))
	for _, bad := range []string{"short", "informations", strings.Repeat("x", 81), "with/slash", "with.dots", "sp%20ace", "realtime", "controller"} {
		w.refused(400, "POST", "/", "id="+bad, bearer(rootKey))
	}
	w.want(200, "", "DELETE", "/my-bucket_01", "", bearer(rootKey))
	w.want(200, "my-bucket_01", "POST", "/", "id=my-bucket_01", bearer(rootKey))
	w.refused(404, "GET", "/my-bucket_01/k", "")
}

func TestCreationCanBeClosed(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.layer.CreateNeedsRoot = true })
	w.refused(403, "POST", "/", "default_ttl=bad")
	w.refused(401, "POST", "/", "default_ttl=bad", bearer("wrong"))
	w.refused(400, "POST", "/", "default_ttl=bad", bearer(rootKey))
	if a := w.do("POST", "/", "", bearer(rootKey)); a.code != 200 {
		t.Errorf("got %d %q", a.code, a.body)
	}
}

func TestChangePolicy(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "read_key", "r3ad")
	key := "/" + id + "/k"
	w.want(200, "", "PUT", key, "old")
	w.want(200, "", "PATCH", "/"+id, "write_key=wr1te&default_ttl=10", formType, basic("s3cret", ""))
	w.refused(403, "PUT", key, "x")
	w.refused(403, "GET", key, "") // an absent field is unchanged
	w.want(200, "", "PUT", "/"+id+"/k2", "new", bearer("wr1te"))
	w.store.Advance(10 * time.Second)
	w.want(200, "k\n", "GET", "/"+id, "", bearer("s3cret")) // only later writes got the new default
	w.want(200, "", "PATCH", "/"+id+"/", `{"write_key":"","read_key":"","default_ttl":0}`, "Content-Type: application/json", bearer("s3cret"))
	w.want(200, "", "PUT", key, "open")
	w.want(200, "open", "GET", key, "")
	w.want(200, "", "PATCH", "/"+id, "secret_key=n3w", bearer("s3cret"))
	w.refused(401, "GET", "/"+id, "", bearer("s3cret"))
	w.want(200, "k\n", "GET", "/"+id, "", bearer("n3w"))
	w.want(200, "", "PATCH", "/"+id, "", bearer("n3w"))
	for _, bad := range []string{"secret_key=", "default_ttl=x", "default_ttl=-5", `{"write_key":{}}`, "{", "write_key=" + strings.Repeat("x", 2000)} {
		w.refused(400, "PATCH", "/"+id, bad, bearer("n3w"))
	}
	w.want(200, "k\n", "GET", "/"+id, "", bearer("n3w"))
}

func TestDeletingABucketTakesItsKeys(t *testing.T) {
	w := newWorld(t)
	id := w.filled("a", "1", "b", "2")
	w.want(200, "", "DELETE", "/"+id+"/", "")
	w.refused(404, "GET", "/"+id+"/a", "")
	w.refused(404, "PUT", "/"+id+"/a", "1")
	w.refused(404, "DELETE", "/"+id, "")
}

func TestConflictsAreRetriedWithOneEffect(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret")
	for _, tt := range []struct{ code, method, path, body, want string }{
		{"", "PUT", "/k", "5", ""}, {"", "PATCH", "/k", "+1", "6"}, {"", "POST", "", `{"txn":[{"set":"x","value":"1"}]}`, ""},
		{"", "PATCH", "", "default_ttl=0", ""}, {"", "DELETE", "/k", "", ""}, {"", "DELETE", "", "", ""},
	} {
		w.store.ConflictNext(2)
		before := w.store.Commits()
		w.want(200, tt.want, tt.method, "/"+id+tt.path, tt.body, bearer("s3cret"))
		if n := w.store.Commits() - before; n != 3 {
			t.Errorf("%s %s: %d commits, want 3", tt.method, tt.path, n)
		}
	}
	w.store.ConflictNext(1)
	w.want(200, "", "GET", "/"+w.bucket(), "")
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	for _, tt := range []struct {
		kind    errs.Kind
		code    int
		headers map[string]string
	}{
		{errs.Unavailable, 503, map[string]string{"Retry-After": "1", "Covey-Reason": "injected: no leader"}},
		{errs.Unknown, 504, map[string]string{"Covey-Outcome": "unknown", "Covey-Reason": "injected: no leader"}},
		{errs.NoSpace, 507, map[string]string{"Covey-Reason": "injected: no leader"}},
		{errs.Internal, 500, nil},
		{errs.TooLarge, 400, nil},
	} {
		for _, op := range [][3]string{{"POST", "/", ""}, {"PUT", "/" + id + "/k", "1"}, {"PATCH", "/" + id + "/k", "1"}, {"POST", "/" + id, `{"txn":[{"delete":"k"}]}`}, {"DELETE", "/" + id + "/k", ""}} {
			w.store.FailNext(errs.E(tt.kind, "injected: no leader"))
			a := w.refused(tt.code, op[0], op[1], op[2])
			for name, want := range tt.headers {
				if got := a.header.Get(name); got != want {
					t.Errorf("%d: %s is %q, want %q", tt.code, name, got, want)
				}
			}
			if tt.kind == errs.Internal && (strings.Contains(a.header.Get("Covey-Reason"), "injected") || !strings.Contains(a.header.Get("Covey-Reason"), a.header.Get("Covey-Request-Id"))) {
				t.Errorf("an internal error shows %q", a.header.Get("Covey-Reason"))
			}
		}
	}
	w.refused(404, "GET", "/"+id+"/k", "")
}
