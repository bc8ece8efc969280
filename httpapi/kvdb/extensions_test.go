package kvdb

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/kv"
)

// Section 7 of the contract and the extensions: consistency, entity tags,
// Idempotency-Key.

func TestConsistency(t *testing.T) {
	w := newWorld(t)
	id := w.filled("k", "v")
	for query, want := range map[string]string{
		"": "linearizable", "?consistency=linearizable": "linearizable", "?consistency=stale": "stale", "?consistency=stale&max_stale=5s": "stale",
	} {
		for _, path := range []string{"/k", "/missing", "/"} {
			a := w.do("GET", "/"+id+path+query, "")
			if got := a.header.Get("Covey-Consistency"); got != want || a.header.Get("Covey-Version") == "" {
				t.Errorf("%s%s: consistency %q, version %q", path, query, got, a.header.Get("Covey-Version"))
			}
			if got := a.header.Get("Covey-Staleness-Ms"); (got != "") != (want == "stale") {
				t.Errorf("%s%s: staleness %q", path, query, got)
			}
		}
	}
	for _, bad := range []string{"?consistency=strong", "?consistency=", "?max_stale=5s", "?consistency=stale&max_stale=5", "?consistency=stale&max_stale=-1s", "?consistency=stale&max_stale=0s", "?consistency=stale&max_stale="} {
		w.refused(400, "GET", "/"+id+"/k"+bad, "")
		w.refused(400, "GET", "/"+id+"/"+bad, "")
	}
}

func TestConsistencyIsPassedOn(t *testing.T) {
	for query, want := range map[string]kv.Consistency{
		"": {}, "consistency=stale": {Stale: true}, "consistency=stale&max_stale=1500ms": {Stale: true, MaxStale: 1500 * time.Millisecond},
	} {
		q := newRequest(t, "GET", "/b/k?"+query)
		if got := q.consistency(); got != want || q.bad != nil {
			t.Errorf("%q: got %+v, %v", query, got, q.bad)
		}
	}
}

func TestEntityTags(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	key := "/" + id + "/k"
	w.refused(412, "PUT", key, "x", "If-Match: *")
	set := w.want(200, "", "PUT", key, "1", "If-None-Match: *")
	tag := set.header.Get("Etag")
	if tag != `"v`+set.header.Get("Covey-Version")+`"` {
		t.Errorf("ETag %s of version %s", tag, set.header.Get("Covey-Version"))
	}
	w.refused(412, "PUT", key, "x", "If-None-Match: *")
	if got := w.want(200, "1", "GET", key, "").header.Get("Etag"); got != tag {
		t.Errorf("GET shows %s, the set %s", got, tag)
	}
	a := w.want(304, "", "GET", key, "", "If-None-Match: \"x\", W/"+tag)
	if a.header.Get("Etag") != tag {
		t.Errorf("304 with ETag %q", a.header.Get("Etag"))
	}
	w.want(304, "", "HEAD", key, "", "If-None-Match: *")
	w.want(200, "1", "GET", key, "", `If-None-Match: "v1", "other"`)
	w.want(200, "1", "GET", key, "", "If-Match: "+tag)
	w.refused(412, "GET", key, "", `If-Match: "v1"`)
	w.refused(404, "GET", "/"+id+"/missing", "", "If-None-Match: *")
	w.refused(412, "GET", "/"+id+"/missing", "", "If-Match: *")

	incr := w.want(200, "2", "PATCH", key, "+1", "If-Match: "+tag)
	w.refused(412, "PATCH", key, "+1", "If-Match: "+tag)
	w.refused(412, "PUT", key, "x", "If-Match: "+tag)
	w.refused(412, "PUT", key, "x", "If-Match: W/"+incr.header.Get("Etag")) // weak tags never match here
	w.refused(412, "DELETE", key, "", "If-Match: "+tag)
	w.refused(412, "POST", key, "x", "If-None-Match: "+incr.header.Get("Etag"))
	w.want(200, "", "POST", key, "3", "If-None-Match: "+tag)
	w.want(200, "", "DELETE", key, "", "If-Match: *")
	w.refused(412, "DELETE", key, "", "If-Match: *")
	for _, bad := range []string{"v1", `"v1`, `"v1" "v2"`, "W/", `"a",*`, strings.Repeat(`"v1",`, 100)} {
		w.refused(400, "PUT", key, "x", "If-Match: "+bad)
		w.refused(400, "GET", key, "", "If-None-Match: "+bad)
	}
	w.refused(400, "POST", "/"+id, `{"txn":[]}`, "If-Match: *")
	w.refused(400, "POST", "/", "", "If-None-Match: *")
	w.refused(400, "DELETE", "/"+id, "", "If-None-Match: *")
	w.want(200, "", "GET", "/"+id, "")
}

func TestCompareAndSetLosesNoUpdate(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	key := "/" + id + "/k"
	w.want(200, "", "PUT", key, "a")
	w.store.ConflictNext(1)
	tag := w.do("GET", key, "").header.Get("Etag")
	w.want(200, "", "PUT", key, "b", "If-Match: "+tag)
	w.refused(412, "PUT", key, "c", "If-Match: "+tag)
	w.want(200, "b", "GET", key, "")
}

const idem = "Idempotency-Key: 0123456789abcdef"

func TestARepeatedRequestTakesEffectOnce(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret")
	for _, tt := range []struct{ name, method, path, body, want string }{
		{"set", "PUT", "/k", "5", ""},
		{"counter", "PATCH", "/k", "+1", "6"},
		{"transaction", "POST", "/", `{"txn":[{"set":"t","value":"1"}]}`, ""},
		{"policy", "PATCH", "", "default_ttl=60", ""},
		{"delete a key", "DELETE", "/k", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.store.LoseNext(1)
			lost := w.refused(504, tt.method, "/"+id+tt.path, tt.body, idem, bearer("s3cret"))
			if lost.header.Get("Covey-Outcome") != "unknown" {
				t.Errorf("outcome %q", lost.header.Get("Covey-Outcome"))
			}
			again := w.want(200, tt.want, tt.method, "/"+id+tt.path, tt.body, idem, bearer("s3cret"))
			third := w.want(200, tt.want, tt.method, "/"+id+tt.path, tt.body, idem, bearer("s3cret"))
			for _, h := range []string{"Covey-Version", "Etag"} {
				if again.header.Get(h) != third.header.Get(h) {
					t.Errorf("%s: %q, then %q", h, again.header.Get(h), third.header.Get(h))
				}
			}
			if third.header.Get("Covey-Replayed") != "true" {
				t.Error("a replay does not say so")
			}
		})
	}
	w.want(200, "1", "PATCH", "/"+id+"/n", "+1", idem)
	w.want(200, "2", "PATCH", "/"+id+"/n", "+1", "Idempotency-Key: 0123456789abcdeg")
	w.want(200, "1", "PATCH", "/"+id+"/m", "+1", idem) // another key, another request
	w.want(200, "4", "PATCH", "/"+id+"/n", "+2", idem) // another body, another request
	if a := w.want(200, "5", "PATCH", "/"+id+"/n", "+1"); a.header.Get("Covey-Replayed") != "" {
		t.Error("a first try calls itself a replay")
	}
}

func TestARepeatThatFailsByItsOwnEffectIsReplayed(t *testing.T) {
	w := newWorld(t)
	root := bearer(rootKey)
	w.store.LoseNext(1)
	w.refused(504, "POST", "/", "id=named-bucket", idem, root)
	w.want(200, "named-bucket", "POST", "/", "id=named-bucket", idem, root)

	w.store.LoseNext(1)
	w.refused(504, "PUT", "/named-bucket/k", "v", idem, "If-None-Match: *")
	w.want(200, "", "PUT", "/named-bucket/k", "v", idem, "If-None-Match: *")
	w.refused(412, "PUT", "/named-bucket/k", "v", "Idempotency-Key: another-key-of-16", "If-None-Match: *")

	w.store.LoseNext(1)
	w.refused(504, "DELETE", "/named-bucket", "", idem)
	w.want(200, "", "DELETE", "/named-bucket", "", idem)
}

func TestARepeatedCreationAnswersTheSameBucket(t *testing.T) {
	w := newWorld(t)
	first := w.do("POST", "/", "secret_key=s", idem)
	again := w.do("POST", "/", "secret_key=s", idem)
	if first.code != 200 || again.body != first.body || again.header.Get("Covey-Replayed") != "true" {
		t.Errorf("got %q, then %q", first.body, again.body)
	}
	if other := w.do("POST", "/", "secret_key=t", idem); other.code != 200 || other.body == first.body {
		t.Errorf("another request got %d %q", other.code, other.body)
	}
}

func TestNobodyIsAnsweredAnothersReplay(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("write_key", "wr1te")
	w.want(200, "1", "PATCH", "/"+id+"/n", "+1", idem, bearer("wr1te"))
	w.refused(403, "PATCH", "/"+id+"/n", "+1", idem)
	w.refused(401, "PATCH", "/"+id+"/n", "+1", idem, bearer("wrong"))
}

func TestIdempotencyKeyForm(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	for _, bad := range []string{"", "short", "0123456789abcde", strings.Repeat("x", 129), "0123456789 abcdef", "0123456789abcdeé"} {
		w.refused(400, "PUT", "/"+id+"/k", "v", "Idempotency-Key: "+bad)
		w.refused(400, "POST", "/", "", "Idempotency-Key: "+bad)
	}
	w.refused(400, "PUT", "/"+id+"/k", "v", idem, idem)
	w.refused(404, "GET", "/"+id+"/k", "", "Idempotency-Key: bad")
	w.want(200, "", "PUT", "/"+id+"/k", "v", "Idempotency-Key: "+strings.Repeat("~", 128))
	w.refused(400, "PUT", "/"+id+"/k", "w", idem, "Covey-Version: x")
	w.want(200, "v", "GET", "/"+id+"/k", "")
	version := w.do("GET", "/"+id+"/k", "").header.Get("Covey-Version")
	w.want(200, "", "PUT", "/"+id+"/k", "w", idem, "Covey-Version: "+version)
}
