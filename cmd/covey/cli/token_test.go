package cli

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/layer/fleet"
)

func TestATokenNamesTheHostsOfItsNode(t *testing.T) {
	c := newCrew(t)
	certs := filepath.Join(c.dir, "certs")
	c.verb(0, "cert", "ca", "--dir", certs)
	c.verb(0, "cluster", "ca", "import", filepath.Join(certs, "ca.pem"), filepath.Join(certs, "ca.key"))
	c.verb(2, "cluster", "token", "create", "--host") // it needs a value
	if o := c.asRoot("cluster", "token", "create", "--host", "10.0.0.4:8700"); o.code == 0 || !strings.Contains(o.errOut, "is no host") {
		t.Errorf("an address with a port: %+v", o)
	}
	join := func(token, node string, hosts ...string) (int, string) {
		t.Helper()
		csr, _, err := pki.NewRequest(node)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"node_id": node, "csr_pem": string(csr), "hosts": hosts})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/cluster/join", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var doc struct {
			Error struct{ Message string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, doc.Error.Message
	}
	open := c.verb(0, "cluster", "token", "create")
	if code, why := join(open, "n4", "10.0.0.1"); code != 403 || !strings.Contains(why, "is a host of member n1") {
		t.Errorf("where another member is reached: %d %s", code, why)
	}
	// The first endpoint is nobody's: the next one is asked.
	token := c.verb(0, "cluster", "token", "create", "--host", "10.0.0.4", "--host", "n4.example,10.0.0.1", "--endpoint", "http://127.0.0.1:1,"+c.url)
	if text, err := fleet.ParseToken(token); err != nil || text.Secret == "" {
		t.Fatalf("%q: %v", token, err)
	}
	if code, why := join(token, "n4", "10.0.0.5"); code != 403 || !strings.Contains(why, "10.0.0.4, n4.example, 10.0.0.1 and nothing else") {
		t.Errorf("what the token does not name: %d %s", code, why)
	}
	if code, why := join(token, "n4", "10.0.0.4", "10.0.0.1", "localhost"); code != 201 {
		t.Errorf("what it names: %d %s", code, why)
	}
	var made client.JoinToken
	if err := json.Unmarshal([]byte(c.verb(0, "cluster", "token", "create", "--id", "n5", "--non-voter", "--host", "n5.example", "-o", "json")), &made); err != nil || made.Node != "n5" || !made.NonVoter {
		t.Errorf("%+v, %v", made, err)
	}
	if o := c.run("cluster", "token", "create", "--host", "n5.example"); o.code != 4 {
		t.Errorf("without the root key: %+v", o)
	}
	c.verb(6, "cluster", "token", "create", "--host", "n5.example", "--endpoint", "http://127.0.0.1:1")
}
