package kvdb

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Section 2 of the contract: who may do what.

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestEveryFormOfCredential(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret+/&")
	list := "/" + id + "/"
	escaped := url.QueryEscape("s3cret+/&")
	w.want(200, "", "GET", list, "", basic("s3cret+/&", ""))
	w.want(200, "", "GET", list, "", basic("s3cret+/&", "s3cret+/&"))
	w.want(200, "", "GET", list, "", bearer("s3cret+/&"))
	w.want(200, "", "GET", list+"?key="+escaped, "")
	w.want(200, "", "GET", list+"?access_token="+escaped, "")
	w.want(200, "", "GET", list+"?key=wrong&access_token="+escaped, "")
	w.want(200, "", "GET", list+"?key=wrong&access_token=wrong", "", bearer("s3cret+/&"))
	w.want(200, "", "GET", list+"?access_token=&key="+escaped, "", "Authorization: Basic Og==")
	w.refused(401, "GET", list+"?key="+escaped, "", bearer("wrong"))
	w.refused(401, "GET", list+"?access_token=wrong&key="+escaped, "")
	w.refused(401, "GET", list, "", "Authorization: Basic ???")
	w.refused(403, "GET", list, "")
}

func TestABucketWithoutKeysIgnoresCredentials(t *testing.T) {
	w := newWorld(t)
	id := w.bucket()
	w.want(200, "", "PUT", "/"+id+"/k", "v", bearer("anything"))
	w.want(200, "v", "GET", "/"+id+"/k", "", bearer("anything"))
	w.want(200, "k\n", "GET", "/"+id, "", bearer("anything"))
	w.refused(403, "PATCH", "/"+id, "secret_key=mine", bearer("anything"))
	w.refused(403, "PATCH", "/"+id, "secret_key=mine")
	w.want(200, "", "DELETE", "/"+id, "", bearer("anything"))
}

// TestWhoMayDoWhat is the contract's table: for each policy and credential the
// operations that are allowed; all others must be 403, or 401 for a wrong one.
func TestWhoMayDoWhat(t *testing.T) {
	const secret, write, read = "the-secret-key", "the-write-key", "the-read-key"
	for _, tt := range []struct{ policy, cred, may string }{
		{"none", "", "read set incr del txn list values drop"},
		{"secret", "", "read set incr del txn"},
		{"secret", secret, "read set incr del txn list values policy drop"},
		{"secret", "wrong", ""},
		{"write", "", "read list values"},
		{"write", write, "read set incr del txn list values drop"},
		{"write", "wrong", ""},
		{"read", "", "set incr del txn list"},
		{"read", read, "read set incr del txn list values drop"},
		{"secret write", "", "read"},
		{"secret write", write, "read set incr del txn"},
		{"secret write", secret, "read set incr del txn list values policy drop"},
		{"secret read", "", "set incr del txn"},
		{"secret read", read, "read set incr del txn"},
		{"secret read", secret, "read set incr del txn list values policy drop"},
		{"write read", "", "list"},
		{"write read", write, "set incr del txn list drop"},
		{"write read", read, "read list values"},
		{"secret write read", "", ""},
		{"secret write read", write, "set incr del txn"},
		{"secret write read", read, "read"},
		{"secret write read", secret, "read set incr del txn list values policy drop"},
		{"secret signing", secret, "read set incr del txn list values policy mint drop"},
		{"secret signing", "", "read set incr del txn"},
		{"signing", "", "read set incr del txn list values drop"},
		{"none", rootKey, "read set incr del txn list values policy drop"},
		{"secret write read", rootKey, "read set incr del txn list values policy drop"},
	} {
		t.Run(tt.policy+" by "+map[bool]string{true: "anybody", false: tt.cred}[tt.cred == ""], func(t *testing.T) {
			w := newWorld(t)
			var fields []string
			for _, k := range strings.Fields(tt.policy) {
				if k != "none" {
					fields = append(fields, k+"_key", "the-"+k+"-key")
				}
			}
			id := w.bucket(fields...)
			var headers []string
			if tt.cred != "" {
				headers = append(headers, bearer(tt.cred))
			}
			if strings.Contains(tt.may, "set") {
				w.want(200, "", "PUT", "/"+id+"/k", "1", headers...)
			}
			for _, op := range []struct{ name, method, path, body string }{
				{"read", "GET", "/k", ""}, {"set", "POST", "/k", "1"}, {"incr", "PATCH", "/k", "+1"},
				{"txn", "POST", "/", `{"txn":[{"set":"k","value":"2"}]}`}, {"list", "GET", "/", ""}, {"values", "GET", "/?values=true", ""},
				{"policy", "PATCH", "/", "default_ttl=9"}, {"mint", "POST", "/tokens/", "permissions=read"}, {"del", "DELETE", "/k", ""}, {"drop", "DELETE", "/", ""},
			} {
				got := w.do(op.method, "/"+id+op.path, op.body, headers...).code
				want := 403
				switch {
				case tt.cred == "wrong":
					want = 401
				case strings.Contains(" "+tt.may+" ", " "+op.name+" "):
					want = 200
				}
				if op.name == "read" && want == 200 && !strings.Contains(tt.may, "set") {
					want = 404 // nothing could be set before
				}
				if got != want {
					t.Errorf("%s: got %d, want %d", op.name, got, want)
				}
			}
		})
	}
}

func TestRefusalsComeBeforeParameters(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "write_key", "wr1te", "read_key", "r3ad", "signing_key", "sign")
	long := strings.Repeat("k", 200)
	big := strings.Repeat("v", 20000)
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/" + long + "?consistency=bad", ""},
		{"POST", "/k?ttl=bad", big},
		{"PATCH", "/k", "not a number"},
		{"DELETE", "/" + long, ""},
		{"POST", "/", "not json"},
		{"GET", "/?limit=bad&format=bad&regex=(", ""},
		{"PATCH", "", "default_ttl=bad"},
		{"POST", "/tokens/", "permissions=bad"},
	} {
		w.refused(403, tt.method, "/"+id+tt.path, tt.body)
		w.refused(401, tt.method, "/"+id+tt.path, tt.body, bearer("wrong"))
	}
}

func (w *world) mint(id, form string, headers ...string) string {
	w.t.Helper()
	a := w.do("POST", "/"+id+"/tokens/", form, append(headers, bearer("s3cret"))...)
	token, ok := strings.CutPrefix(a.body, "access_token=")
	if a.code != 200 || !ok {
		w.t.Fatalf("mint %q: %d %q (%s)", form, a.code, a.body, a.header.Get("Covey-Reason"))
	}
	return token
}

func TestMintAnswers(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "signing_key", "sign")
	a := w.do("POST", "/"+id+"/tokens/", "prefix=user:123:&permissions=read,write&ttl=3600", basic("s3cret", ""))
	form, err := url.ParseQuery(a.body)
	if a.code != 200 || err != nil || form.Get("access_token") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %d %q of %q", a.code, a.body, a.header.Get("Content-Type"))
	}
	a = w.do("POST", "/"+id+"/tokens/", "permissions=read", basic("s3cret", ""), "Accept: application/json")
	if !strings.HasPrefix(a.body, `{"access_token":"`) || !strings.HasSuffix(a.body, `"}`) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %q of %q", a.body, a.header.Get("Content-Type"))
	}
	for _, bad := range []string{"", "permissions=", "permissions=fly", "permissions=read,,", "permissions=read&ttl=x", "permissions=read&ttl=-1", "permissions=read&ttl=1.5"} {
		w.refused(400, "POST", "/"+id+"/tokens/", bad, bearer("s3cret"))
	}
	w.refused(403, "POST", "/"+w.bucket("secret_key", "s3cret")+"/tokens/", "permissions=read", bearer("s3cret"))
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "write_key", "wr1te", "read_key", "r3ad", "signing_key", "sign")
	for _, k := range []string{"user:1:a", "user:1:b", "user:2:a"} {
		w.want(200, "", "PUT", "/"+id+"/"+k, "v", bearer("s3cret"))
	}
	all := w.mint(id, "prefix=user:1:&permissions=read,write,enumerate")
	w.want(200, "v", "GET", "/"+id+"/user:1:a", "", bearer(all))
	w.want(200, "v", "GET", "/"+id+"/user:1:a?access_token="+url.QueryEscape(all), "")
	w.refused(403, "GET", "/"+id+"/user:2:a", "", bearer(all))
	w.want(200, "", "PUT", "/"+id+"/user:1:c", "1", bearer(all))
	w.want(200, "2", "PATCH", "/"+id+"/user:1:c", "+1", bearer(all))
	w.want(200, "", "DELETE", "/"+id+"/user:1:c", "", bearer(all))
	w.refused(403, "PUT", "/"+id+"/user:2:c?ttl=bad", "x", bearer(all))
	w.want(200, "user:1:a\nuser:1:b\n", "GET", "/"+id+"/", "", bearer(all))
	w.want(200, "user:1:b=v\n", "GET", "/"+id+"/?prefix=user:1:b&values=1", "", bearer(all))
	w.refused(403, "GET", "/"+id+"/?prefix=user:", "", bearer(all))
	w.want(200, "", "POST", "/"+id, `{"txn":[{"set":"user:1:t","value":"1"},{"delete":"user:1:t"}]}`, bearer(all))
	w.refused(403, "POST", "/"+id, `{"txn":[{"set":"user:1:t","value":"1"},{"delete":"user:2:a"}]}`, bearer(all))
	w.refused(404, "GET", "/"+id+"/user:1:t", "", bearer(all))
	w.refused(403, "PATCH", "/"+id, "default_ttl=1", bearer(all))
	w.refused(403, "DELETE", "/"+id, "", bearer(all))
	w.refused(403, "POST", "/"+id+"/tokens/", "permissions=read", bearer(all))

	only := func(perm string) string { return bearer(w.mint(id, "permissions="+perm)) }
	w.refused(403, "PUT", "/"+id+"/k", "x", only("read"))
	w.refused(403, "GET", "/"+id+"/", "", only("read"))
	w.refused(403, "GET", "/"+id+"/user:1:a", "", only("write"))
	w.want(200, "user:2:a\n", "GET", "/"+id+"/?prefix=user:2", "", only("enumerate"))
	w.refused(403, "GET", "/"+id+"/?values=true", "", only("enumerate"))
	w.want(200, "", "DELETE", "/"+id+"/user:2:a", "", only("delete"))
	w.refused(403, "PUT", "/"+id+"/user:2:a", "x", only("delete"))
	w.refused(403, "POST", "/"+id+"/", `{"txn":[{"delete":"x"}]}`, only("delete"))
}

func TestTokensEnd(t *testing.T) {
	w := newWorld(t)
	id := w.bucket("secret_key", "s3cret", "read_key", "r3ad", "signing_key", "sign", "default_ttl", "0")
	w.want(200, "", "PUT", "/"+id+"/k", "v")
	hour, short := w.mint(id, "permissions=read"), w.mint(id, "permissions=read&ttl=10")
	w.store.Advance(9 * time.Second)
	w.want(200, "v", "GET", "/"+id+"/k", "", bearer(short))
	w.store.Advance(2 * time.Second)
	w.refused(401, "GET", "/"+id+"/k", "", bearer(short))
	w.want(200, "v", "GET", "/"+id+"/k", "", bearer(hour))
	w.refused(401, "GET", "/"+id+"/k", "", bearer(hour[:len(hour)-2]+"xx"))
	w.refused(401, "GET", "/"+w.bucket("read_key", "x", "signing_key", "sign")+"/k", "", bearer(hour))
	w.want(200, "", "PATCH", "/"+id, "signing_key=other", bearer("s3cret"))
	w.refused(401, "GET", "/"+id+"/k", "", bearer(hour))
}

func TestOneNumberedTokenForEachBucket(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		id := w.bucket("secret_key", "s3cret", "signing_key", fmt.Sprint("sign", i))
		token := w.mint(id, "permissions=enumerate&prefix=a%26b")
		w.want(200, "", "PUT", "/"+id+"/a&b:1", "v")
		w.want(200, "", "PUT", "/"+id+"/a", "v")
		w.want(200, "a&b:1\n", "GET", "/"+id, "", bearer(token))
	}
}
