package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/pki"
)

// bodyFor is what a node sends with a request for a certificate.
func bodyFor(node string, csr []byte, hosts ...string) string {
	return jsonText(joining{Node: node, CSR: string(csr), Hosts: hosts})
}

func TestANodeThatJoinsGetsNoCertificateForAnothersHost(t *testing.T) {
	c := newCrew(t)
	c.importCA()
	c.cluster.status.Members[1].PeerAddr = "10.0.0.2:8701"
	c.cluster.status.Members = append(c.cluster.status.Members, cluster.Member{ID: "n0", Alive: true, Role: cluster.RoleNone, HTTPAddr: "n0.example:8700"})
	csr, _, err := pki.NewRequest("n4")
	if err != nil {
		t.Fatal(err)
	}
	open, pinned := c.createToken(""), c.createToken(`{"hosts":["n4.example","10.0.0.3"]}`)
	if strings.Join(pinned.Hosts, " ") != "n4.example 10.0.0.3" {
		t.Errorf("the token names %v", pinned.Hosts)
	}
	for name, x := range map[string]struct{ token, host, says string }{
		"where clients reach a member": {open.Token, "n2.example", "is a host of member n2"},
		"where nodes reach it":         {open.Token, "10.0.0.2", "is a host of member n2"},
		"where gossip reaches it":      {open.Token, "10.0.0.3", "make a token with --host 10.0.0.3"},
		"what the token does not name": {pinned.Token, "n5.example", "n4.example, 10.0.0.3 and nothing else"},
	} {
		says(t, c.call("POST", "/cluster/join?consistency=stale", bodyFor("n4", csr, "n4.example", x.host), x.token), 403, x.says)
		if log := c.log.String(); !strings.Contains(log, "refused a node that wants to join") {
			t.Errorf("%s: the log says nothing: %s", name, log)
		}
		c.log.Reset()
	}
	if rec := c.call("POST", "/cluster/join", bodyFor("n4", csr, "n4.example", "n0.example", "127.0.0.1"), open.Token); rec.Code != 201 {
		t.Errorf("its own, and that of one who is no member: %d %s", rec.Code, rec.Body)
	}
	says(t, c.call("POST", "/cluster/join", bodyFor("n4", csr, "n4.example", "n5.example"), open.Token), 409, "may ask again for nothing else")
	rec := c.call("POST", "/cluster/join", bodyFor("n5", csr, "n4.example", "10.0.0.3"), pinned.Token)
	var got admission
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 201 {
		t.Fatalf("what the token names: %d %s", rec.Code, rec.Body)
	}
	certs, err := pki.ParseCertificates([]byte(got.Cert))
	if err != nil || strings.Join(pki.Describe(certs[0]).Hosts, " ") != "n4.example 10.0.0.3" {
		t.Errorf("%+v, %v", pki.Describe(certs[0]), err)
	}
	says(t, c.call("POST", "/cluster/tokens", `{"hosts":["10.0.0.4:8700"]}`, rootKey), 400, "is no host")
}
