package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// crew is a world with keys of the cluster, on n1, which answers, n2 and n3.
type crew struct {
	*world
	handler http.Handler
	log     bytes.Buffer
	root    *auth.RootKey
	gossip  [][]byte
	ca      *pki.Authority
	trusted []byte
	remote  string
	https   bool
}

func newCrew(t *testing.T) *crew {
	t.Helper()
	ring, err := seal.Create(filepath.Join(t.TempDir(), "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := &crew{world: newWorld(t), root: auth.NewRootKeys(rootKey), gossip: [][]byte{bytes.Repeat([]byte("a"), 32)}, https: true}
	if c.ca, err = pki.NewAuthority("test", time.Hour); err != nil {
		t.Fatal(err)
	}
	c.trusted = c.ca.CertPEM()
	c.config.Root, c.config.Log = c.root, slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := fleet.New(ring)
	c.config.Fleet = &Fleet{
		Store: store, Gossip: func() [][]byte { return c.gossip }, Trusted: func() ([]byte, error) { return c.trusted, nil },
		Follow: func(ctx context.Context) {
			var set auth.RootSet
			if _, err := c.store.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) (err error) {
				set, err = fleet.ReadRootKeys(tx)
				return err
			}); err != nil {
				t.Error(err)
			}
			c.root.Follow(set)
		},
	}
	name := cluster.PrintOf(c.gossip[0]).String()
	for _, id := range []string{"n1", "n2", "n3"} {
		c.cluster.status.Members = append(c.cluster.status.Members, cluster.Member{
			ID: id, Alive: true, Role: cluster.RoleVoter, HTTPAddr: id + ".example:8700", GossipAddr: "10.0.0." + id[1:] + ":8702", GossipKeys: []string{name},
		})
	}
	c.cluster.status.ID, c.cluster.status.ClusterID = "n1", strings.Repeat("ab", 16)
	c.handler = New(c.config)
	return c
}

// call sends a request with a body and a credential.
func (c *crew) call(method, path, body, cred string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if !c.https {
		r.TLS = nil
	} else {
		r.TLS = &tls.ConnectionState{}
	}
	if c.remote != "" {
		r.RemoteAddr = c.remote
	}
	if cred != "" {
		r.Header.Set("Authorization", "Bearer "+cred)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	return rec
}

// want sends a request that must be answered with a code, and reads the answer.
func (c *crew) want(code int, method, path, body string, into any) *httptest.ResponseRecorder {
	c.t.Helper()
	rec := c.call(method, path, body, rootKey)
	if rec.Code != code {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, rec.Code, rec.Body, code)
	}
	if into != nil {
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
			c.t.Fatalf("%s %s: %s: %v", method, path, rec.Body, err)
		}
	}
	return rec
}

func says(t *testing.T, rec *httptest.ResponseRecorder, code int, text string) {
	t.Helper()
	if rec.Code != code || !strings.Contains(rec.Body.String(), text) {
		t.Errorf("got %d %s, want %d that says %q", rec.Code, rec.Body, code, text)
	}
}

func (c *crew) importCA() {
	c.t.Helper()
	pair, err := c.ca.Pair()
	if err != nil {
		c.t.Fatal(err)
	}
	c.want(204, "PUT", "/cluster/ca", jsonText(map[string]any{"cert_pem": string(pair.Cert), "key_pem": string(pair.Key)}), nil)
}

func jsonText(v any) string {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(p)
}

func TestTheRootKeyGuardsTheKeysOfTheCluster(t *testing.T) {
	c := newCrew(t)
	for _, path := range []string{"GET /tokens", "POST /tokens", "DELETE /tokens/x", "GET /ca", "PUT /ca", "DELETE /ca", "GET /gossip-keys", "POST /gossip-keys",
		"DELETE /gossip-keys/x", "POST /gossip-keys/x/use", "GET /root-keys", "POST /root-keys", "DELETE /root-keys/x"} {
		method, path, _ := strings.Cut(path, " ")
		says(t, c.call(method, "/cluster"+path, "{}", ""), 401, "root key")
		says(t, c.call(method, "/cluster"+path, "{}", "wrong"), 401, "not the cluster's root key")
	}
	c.config.Fleet = nil
	c.handler = New(c.config)
	says(t, c.call("GET", "/cluster/tokens", "", rootKey), 404, "")
	says(t, c.call("POST", "/cluster/join", "{}", "x"), 404, "")
}

func TestTheClustersCA(t *testing.T) {
	c := newCrew(t)
	says(t, c.call("GET", "/cluster/ca", "", rootKey), 404, "no CA")
	says(t, c.call("POST", "/cluster/tokens", "{}", rootKey), 412, "covey cluster ca import")
	pair, err := c.ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"cert_pem": string(pair.Cert), "key_pem": string(pair.Key)}
	other, err := pki.NewAuthority("other", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.trusted = other.CertPEM()
	says(t, c.call("PUT", "/cluster/ca", jsonText(body), rootKey), 412, "does not trust the CA")
	c.trusted = append(other.CertPEM(), c.ca.CertPEM()...)
	says(t, c.call("PUT", "/cluster/ca", jsonText(map[string]any{"cert_pem": string(other.CertPEM()), "key_pem": string(pair.Key)}), rootKey), 400, "")
	says(t, c.call("PUT", "/cluster/ca", jsonText(map[string]any{"cert_pem": "x", "key_pem": "y"}), rootKey), 400, "")
	c.importCA()
	var shown authorityInfo
	rec := c.want(200, "GET", "/cluster/ca", "", &shown)
	if shown.Cert != string(pair.Cert) || len(shown.CAs) != 1 || shown.NodeLife != 90*24*3600 || strings.Contains(rec.Body.String(), "PRIVATE") {
		t.Errorf("%s", rec.Body)
	}
	c.want(204, "DELETE", "/cluster/ca", "", nil)
	says(t, c.call("GET", "/cluster/ca", "", rootKey), 404, "no CA")
	if strings.Contains(c.log.String(), "PRIVATE") {
		t.Error("the key is in the log")
	}
}

func (c *crew) createToken(body string) (made tokenInfo) {
	c.t.Helper()
	c.want(201, "POST", "/cluster/tokens", body, &made)
	return made
}

// joinBody is what a node sends.
func joinBody(t *testing.T, node string) string {
	t.Helper()
	csr, _, err := pki.NewRequest(node)
	if err != nil {
		t.Fatal(err)
	}
	return jsonText(joining{Node: node, CSR: string(csr), Hosts: []string{"10.0.0.4", node + ".example"}})
}

func TestANodeJoinsWithAToken(t *testing.T) {
	c := newCrew(t)
	c.importCA()
	made := c.createToken(`{"id":"n4","ttl_seconds":60}`)
	text, err := fleet.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://n1.example:8700", "https://n2.example:8700", "https://n3.example:8700"}; !slices.Equal(text.Endpoints, want) || len(text.CA) != 1 {
		t.Errorf("the token names %v and %d CAs", text.Endpoints, len(text.CA))
	}
	body := joinBody(t, "n4")
	c.store.ConflictNext(1)
	rec := c.call("POST", "/cluster/join", body, made.Token)
	var got admission
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 201 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	certs, err := pki.ParseCertificates([]byte(got.Cert))
	if err != nil {
		t.Fatal(err)
	}
	role, id, err := pki.Identify(certs[0])
	if err != nil || role != pki.RoleNode || id != "n4" || certs[0].CheckSignatureFrom(c.ca.Certificate()) != nil || certs[0].VerifyHostname("n4.example") != nil {
		t.Errorf("the certificate is of %s %s, %v: %+v", role, id, err, pki.Describe(certs[0]))
	}
	if len(got.GossipKeys) != 1 || !bytes.Equal(got.GossipKeys[0], c.gossip[0]) || len(got.GossipAddrs) != 3 || got.ClusterID != strings.Repeat("ab", 16) || got.CA != string(c.ca.CertPEM()) {
		t.Errorf("%+v", got)
	}
	if rec := c.call("POST", "/cluster/join", body, made.Token); rec.Code != 201 {
		t.Errorf("the same node with the same key, whose answer was lost: %d %s", rec.Code, rec.Body)
	}
	var list struct{ Tokens []tokenInfo }
	if c.want(200, "GET", "/cluster/tokens", "", &list); len(list.Tokens) != 1 || list.Tokens[0].State != "used" || list.Tokens[0].UsedBy != "n4" || list.Tokens[0].Token != "" {
		t.Errorf("%+v", list)
	}
}

func TestWhoMayNotJoinIsToldWhy(t *testing.T) {
	c := newCrew(t)
	c.importCA()
	open, used, revoked := c.createToken(""), c.createToken(""), c.createToken("")
	mine, short := c.createToken(`{"id":"n4"}`), c.createToken(`{"ttl_seconds":1}`)
	c.want(204, "DELETE", "/cluster/tokens/"+revoked.ID, "", nil)
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n9"), used.Token); rec.Code != 201 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	c.store.Advance(2 * time.Second)
	changed := []byte(open.Token)
	changed[len(changed)-20] ^= 1
	n5 := joinBody(t, "n5")
	for name, x := range map[string]struct {
		token, body string
		code        int
		want        string
	}{
		"no token":            {"", n5, 401, "join token"},
		"the root key":        {rootKey, n5, 401, "not a join token"},
		"a garbled one":       {string(changed), n5, 401, ""},
		"used":                {used.Token, n5, 409, "was used by node n9"},
		"revoked":             {revoked.Token, n5, 403, "was revoked"},
		"expired":             {short.Token, n5, 403, "expired"},
		"another node's":      {mine.Token, n5, 403, "is for node n4 and not for node n5"},
		"in a member's place": {open.Token, joinBody(t, "n2"), 409, "node n2 is a member already"},
		"no node":             {open.Token, joinBody(t, "n5"[:0]+"n 5"), 400, "node_id"},
		"no request":          {open.Token, `{"node_id":"n5","csr_pem":"x","hosts":["h"]}`, 400, "csr_pem"},
		"no hosts":            {open.Token, `{"node_id":"n5","csr_pem":"x","hosts":[]}`, 400, "hosts"},
		"all of a domain":     {open.Token, `{"node_id":"n5","csr_pem":"x","hosts":["h","*.h"]}`, 400, "not all of a domain"},
		"no JSON":             {open.Token, `{`, 400, "body"},
	} {
		c.log.Reset()
		rec := c.call("POST", "/cluster/join", x.body, x.token)
		if rec.Code != x.code || !strings.Contains(rec.Body.String(), x.want) {
			t.Errorf("%s: got %d %s, want %d that says %q", name, rec.Code, rec.Body, x.code, x.want)
		}
		if log := c.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "refused a node that wants to join") {
			t.Errorf("%s: the log says nothing: %s", name, log)
		}
		if text, err := fleet.ParseToken(x.token); err == nil && strings.Contains(c.log.String()+rec.Body.String(), text.Secret) || x.token != "" && strings.Contains(c.log.String(), x.token) {
			t.Errorf("%s: the token is in the log or the answer", name)
		}
	}
	if rec := c.call("POST", "/cluster/join", n5, open.Token); rec.Code != 201 {
		t.Errorf("what was refused has used a token up: %d %s", rec.Code, rec.Body)
	}
	own := c.createToken(`{"id":"n2"}`)
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n2"), own.Token); rec.Code != 201 {
		t.Errorf("a member that lost its disk, with a token of its own: %d %s", rec.Code, rec.Body)
	}
}

func TestKeysDoNotPassInClearText(t *testing.T) {
	c := newCrew(t)
	c.importCA()
	made := c.createToken("")
	c.https, c.remote = false, "10.0.0.9:1234"
	says(t, c.call("POST", "/cluster/join", joinBody(t, "n4"), made.Token), 403, "over https only")
	c.remote = "127.0.0.1:1234"
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n4"), made.Token); rec.Code != 201 {
		t.Errorf("on loopback: %d %s", rec.Code, rec.Body)
	}
	again := c.createToken("")
	c.remote, c.config.Fleet.ClearText = "10.0.0.9:1234", true
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n5"), again.Token); rec.Code != 201 {
		t.Errorf("with --insecure: %d %s", rec.Code, rec.Body)
	}
}

func TestRefusalsDoNotFillTheLog(t *testing.T) {
	c := newCrew(t)
	for range 3 * throttleBurst {
		c.call("POST", "/cluster/join", "{}", "nonsense")
	}
	if n := strings.Count(c.log.String(), "refused a node"); n < throttleBurst || n > throttleBurst+5 {
		t.Errorf("%d refusals are in the log, want about %d", n, throttleBurst)
	}
	var th throttle
	now := time.Unix(1000, 0)
	for range throttleBurst {
		if !th.pass(now) {
			t.Fatal("the first ones must pass")
		}
	}
	if th.pass(now) || !th.pass(now.Add(time.Second)) || th.pass(now.Add(time.Second)) {
		t.Error("then one a second must pass")
	}
}

func TestATokenThatIsAskedForTwiceIsOne(t *testing.T) {
	c := newCrew(t)
	c.importCA()
	var first, second tokenInfo
	for _, into := range []*tokenInfo{&first, &second} {
		rec := c.call("POST", "/cluster/tokens", `{}`, rootKey, "Idempotency-Key: 0123456789abcdef0123456789abcdef")
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil || rec.Code != 201 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	if first.ID != second.ID || first.Token == second.Token {
		t.Errorf("%+v and %+v: want one token with another text", first, second)
	}
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n4"), first.Token); rec.Code != 401 {
		t.Errorf("the text that was lost is good: %d", rec.Code)
	}
	if rec := c.call("POST", "/cluster/join", joinBody(t, "n4"), second.Token); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
