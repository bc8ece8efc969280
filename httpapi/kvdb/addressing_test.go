package kvdb

import (
	"regexp"
	"strings"
	"testing"
)

// Section 1 of the contract: addressing.

func TestBucketIDs(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	if !regexp.MustCompile(`^[1-9A-HJ-NP-Za-km-z]{21,22}$`).MatchString(id) {
		t.Errorf("bucket id %q is not Base58 of a UUID", id)
	}
	if other := w.bucket(); other == id {
		t.Error("two buckets got one id")
	}
}

func TestRoot(t *testing.T) {
	w := newWorld(t)
	if a := w.do("GET", "/", ""); a.code != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("GET / answers %d of type %q", a.code, a.header.Get("Content-Type"))
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE", "BREW"} {
		if a := w.refused(405, method, "/", ""); a.header.Get("Allow") != "GET, HEAD, POST, OPTIONS" {
			t.Errorf("%s /: Allow is %q", method, a.header.Get("Allow"))
		}
	}
}

func TestBucketPathsWithAndWithoutSlash(t *testing.T) {
	w := newWorld(t)
	for _, slash := range []string{"", "/"} {
		id := w.bucket("secret_key", "s3cret")
		path := "/" + id + slash
		w.want(200, "", "POST", path, `{"txn":[{"set":"a","value":"1"}]}`, bearer("s3cret"))
		w.want(200, "a\n", "GET", path, "", bearer("s3cret"))
		w.want(200, "", "PATCH", path, "default_ttl=60", bearer("s3cret"))
		w.want(200, "", "DELETE", path, "", bearer("s3cret"))
		w.refused(404, "GET", path, "", bearer("s3cret"))
	}
}

func TestKeysAreTheRestOfThePath(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	for _, tt := range []struct{ name, path, key string }{
		{"plain", "hits", "hits"},
		{"slash", "code/name", "code/name"},
		{"long path", "r/0a1b/2c3d", "r/0a1b/2c3d"},
		{"colon", "user:1", "user:1"},
		{"plus stays a plus", "a+b", "a+b"},
		{"escaped slash", "x%2Fy", "x/y"},
		{"escaped percent is decoded once", "p%2541", "p%41"},
		{"space", "a%20b", "a b"},
		{"unicode", "sch%C3%B6n", "schön"},
		{"leading slash", "/k", "/k"},
		{"only a slash", "/", "/"},
		{"trailing slash", "dir/", "dir/"},
		{"dots", "../..", "../.."},
		{"one dot", "./x", "./x"},
		{"double slash inside", "a//b", "a//b"},
		{"tokens without slash", "tokens", "tokens"},
		{"scripts are ordinary until built", "scripts/s", "scripts/s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value := "value of " + tt.key
			w.want(200, "", "POST", "/"+id+"/"+tt.path, value)
			w.want(200, value, "GET", "/"+id+"/"+tt.path, "")
			got := w.do("GET", "/"+id+"/?limit=1&format=json&prefix="+strings.NewReplacer("%", "%25", "+", "%2B", " ", "%20").Replace(tt.key), "")
			if !strings.Contains(got.body, tt.key) {
				t.Errorf("the list shows %q, want %q", got.body, tt.key)
			}
		})
	}
}

func TestBinaryKeys(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.want(200, "", "PUT", "/"+id+"/%00%ff%0a", "x")
	w.want(200, "x", "GET", "/"+id+"/%00%FF%0A", "")
	w.want(200, "\x00\xff\\n\n", "GET", "/"+id+"/", "")
}

func TestKeyLength(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.want(200, "", "PUT", "/"+id+"/"+strings.Repeat("%41", 128), "x")
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"} {
		w.refused(400, method, "/"+id+"/"+strings.Repeat("k", 129), "1")
	}
}

func TestTokensPathIsReservedForPostOnly(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.want(200, "", "PUT", "/"+id+"/tokens/", "a key")
	w.want(200, "a key", "GET", "/"+id+"/tokens/", "")
	w.want(200, "", "DELETE", "/"+id+"/tokens/", "")
	w.refused(403, "POST", "/"+id+"/tokens/", "permissions=read")
	w.want(200, "", "POST", "/"+id+"/tokens", "also a key")
	w.want(200, "", "POST", "/"+id+"/tokens/x", "also a key")
}

func TestUnknownBucketComesBeforeMethodAndCredential(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"NoSuchBucket123456789", "x", "a.b", "%63luster", strings.Repeat("b", 300)} {
		for _, tt := range []struct{ method, path string }{
			{"GET", "/"}, {"HEAD", "/"}, {"POST", "/"}, {"PATCH", ""}, {"DELETE", "/"}, {"BREW", "/"},
			{"GET", "/k"}, {"PUT", "/k"}, {"POST", "/k"}, {"PATCH", "/k"}, {"DELETE", "/k"}, {"BREW", "/k"}, {"POST", "/tokens/"},
		} {
			w.refused(404, tt.method, "/"+id+tt.path+"?ttl=bad&limit=bad", "1", bearer("wrong"))
		}
	}
	w.refused(404, "GET", "//k", "")
}

func TestWrongMethod(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret")
	if a := w.refused(405, "PUT", "/"+id, "", bearer("wrong")); a.header.Get("Allow") != "GET, HEAD, POST, PATCH, DELETE, OPTIONS" {
		t.Errorf("bucket: Allow is %q", a.header.Get("Allow"))
	}
	if a := w.refused(405, "BREW", "/"+id+"/k?ttl=bad", "", bearer("wrong")); a.header.Get("Allow") != "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" {
		t.Errorf("key: Allow is %q", a.header.Get("Allow"))
	}
}

func TestQueryStrings(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	for _, k := range []string{"a;b", "50%", "x y", "other"} {
		w.want(200, "", "PUT", "/"+id+"/"+strings.NewReplacer("%", "%25", " ", "%20", ";", "%3B").Replace(k), "v")
	}
	for query, want := range map[string]string{
		"prefix=a;b":                        "a;b\n",
		"prefix=50%":                        "50%\n",
		"prefix=x+y":                        "x y\n",
		"prefix=x%20y":                      "x y\n",
		"_=1&t=2&_cb=3&prefix=o&nonsense=%": "other\n",
	} {
		w.want(200, want, "GET", "/"+id+"/?"+query, "")
	}
}
