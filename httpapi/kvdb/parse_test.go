package kvdb

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/google/go-cmp/cmp"
)

// newRequest returns a request as serve would route it.
func newRequest(t *testing.T, method, path string) *request {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	target, err := parseTarget(r.URL.EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	return &request{api: &api{}, r: r, w: httptest.NewRecorder(), target: target, query: web.SplitPairs(r.URL.RawQuery)}
}

func TestParseTarget(t *testing.T) {
	opt := cmp.AllowUnexported(target{})
	for path, want := range map[string]target{
		"/":                {},
		"":                 {},
		"/b":               {place: atBucket, bucket: "b"},
		"/b/":              {place: atBucket, bucket: "b"},
		"/b//":             {place: atKey, bucket: "b", key: []byte("/")},
		"/b/k":             {place: atKey, bucket: "b", key: []byte("k")},
		"/b%2Fc/k%2fl+%00": {place: atKey, bucket: "b/c", key: []byte("k/l+\x00")},
		"//k":              {place: atKey, key: []byte("k")},
		"//":               {place: atBucket},
		"/b/tokens/":       {place: atKey, bucket: "b", key: []byte("tokens/"), tokens: true},
		"/b/tokens%2f":     {place: atKey, bucket: "b", key: []byte("tokens/")},
		"*":                {place: atBucket, bucket: "*"},
	} {
		got, err := parseTarget(path)
		if diff := cmp.Diff(want, got, opt); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", path, err, diff)
		}
	}
	for _, bad := range []string{"/%", "/b/%zz", "/b/%4", "/%g0/k"} {
		if got, err := parseTarget(bad); err == nil {
			t.Errorf("%q passed as %+v", bad, got)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/", "/b/k", "/b//%41", "//", "/b/tokens/", "/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parseTarget(path)
		if err != nil {
			return
		}
		if got.place == atRoot {
			return
		}
		again := "/" + url.PathEscape(got.bucket) + "/" + url.PathEscape(string(got.key))
		back, err := parseTarget(again)
		if err != nil || back.place != got.place || back.bucket != got.bucket || !bytes.Equal(back.key, got.key) {
			t.Fatalf("%q reads as %+v, written again as %q it is %+v, %v", path, got, again, back, err)
		}
	})
}

func FuzzParseTxn(f *testing.F) {
	for _, s := range []string{`{"txn":[{"set":"a","value":"b","ttl":1},{"delete":"c"}]}`, `{"txn":[null]}`, `{"txn":[]}`, `{"txn":[{"set":"a","value":null}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ops, err := (&request{}).txnOps(body)
		if err != nil {
			return
		}
		if len(ops) > maxTxnOps {
			t.Fatalf("%d operations", len(ops))
		}
		for _, op := range ops {
			if len(op.Key) == 0 {
				t.Fatalf("%q: an empty key", body)
			}
		}
	})
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{`*`, `"v1"`, `"v1", W/"v2"`, `"v1",,"x"`, `W/"`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, h string, weak bool) {
		got, err := parseTags([]string{h}, weak)
		if err != nil {
			return
		}
		for _, v := range got.versions {
			if v == 0 || !strings.Contains(h, etag(v)) {
				t.Fatalf("%q names version %d", h, v)
			}
		}
	})
}

func FuzzParseForm(f *testing.F) {
	f.Add("application/json", []byte(`{"secret_key":"x","default_ttl":5,"read_key":null}`))
	f.Add("", []byte("secret_key=x"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		pairs, err := parseForm(contentType, body)
		if err != nil && pairs != nil {
			t.Fatalf("%q gives fields and an error", body)
		}
	})
}
