package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/seal"
)

// newKeyNestCluster is newCluster without limits for logins, with a keyring, of
// which each node has its own file.
func newKeyNestCluster(t testing.TB, size int, extra ...string) []*server {
	t.Helper()
	servers := make([]*server, size)
	for i := range servers {
		servers[i] = newKeyNestServer(t, fmt.Sprintf("n%d", i+1), size, extra...)
		servers[i].join = servers[0].gossip
	}
	if _, err := seal.Create(servers[0].ring()); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if s != servers[0] {
			s.takeRing(servers[0])
		}
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

func newKeyNestServer(t testing.TB, id string, expect int, extra ...string) *server {
	t.Helper()
	s := newServer(t, id, expect)
	s.extra = append([]string{"--keyring-file", s.ring(), "--keynest-auth-rate-limit", "off"}, extra...)
	if err := os.MkdirAll(s.temp(), 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"TMPDIR=" + s.temp()}
	return s
}

// ring is the server's keyring file.
func (s *server) ring() string { return filepath.Join(filepath.Dir(s.dir), "keyring.json") }

// takeRing brings another server's keyring file to this one.
func (s *server) takeRing(from *server) {
	s.t.Helper()
	p, err := os.ReadFile(from.ring())
	if err == nil {
		err = os.WriteFile(s.ring()+".copy", p, 0o600)
	}
	if err == nil {
		err = os.Rename(s.ring()+".copy", s.ring())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// temp is where the server's process puts temporary files, if it does.
func (s *server) temp() string { return filepath.Join(filepath.Dir(s.dir), "tmp") }

const keynestPassword = "correct-horse-battery-7"

// account is a user of the KeyNest API.
type account struct {
	t            testing.TB
	id           int
	email, token string
}

// answer is what the KeyNest API has answered, decoded.
type answer struct {
	status int
	text   string
	object map[string]any
}

// number returns a number of the answer, by the names that lead to it.
func (a answer) number(path ...string) int { n, _ := a.at(path).(float64); return int(n) }

func (a answer) string(path ...string) string { s, _ := a.at(path).(string); return s }

func (a answer) at(path []string) any {
	var v any = a.object
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// try sends a request; a body is sent as JSON.
func (a *account) try(s *server, method, path string, body any) (answer, error) {
	header := map[string]string{}
	if a.token != "" {
		header["Authorization"] = "Token " + a.token
	}
	text := ""
	if body != nil {
		p, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		text, header["Content-Type"] = string(p), "application/json"
	}
	code, got, err := s.do(method, path, text, header)
	r := answer{status: code, text: got}
	if err == nil && strings.HasPrefix(got, "{") {
		err = json.NewDecoder(strings.NewReader(got)).Decode(&r.object) // of lines of JSON the first
	}
	return r, err
}

// want sends a request that must be answered with a status.
func (a *account) want(s *server, status int, method, path string, body any) answer {
	a.t.Helper()
	r, err := a.try(s, method, path, body)
	if err != nil || r.status != status {
		a.t.Fatalf("%s %s through %s: %d %s %v, want %d", method, path, s.id, r.status, r.text, err, status)
	}
	return r
}

type fields map[string]any

// register makes an account with a name.
func register(t testing.TB, s *server, name string) *account {
	t.Helper()
	a := &account{t: t, email: name + "@example.com"}
	r := a.want(s, 201, "POST", "/api/auth/register/", fields{"username": name, "email": a.email, "password": keynestPassword})
	a.id, a.token = r.number("user", "id"), r.string("token")
	return a
}

// environment makes an organization of the account with a project and an
// environment.
func (a *account) environment(s *server, name string) (organization, environment int) {
	a.t.Helper()
	organization = a.want(s, 201, "POST", "/api/organizations/", fields{"name": name}).number("id")
	project := a.want(s, 201, "POST", "/api/projects/", fields{"name": name, "organization": organization}).number("id")
	return organization, a.want(s, 201, "POST", "/api/environments/", fields{"name": name, "project": project}).number("id")
}

// exported returns all variables of an environment.
func (a *account) exported(s *server, environment int) map[string]string {
	a.t.Helper()
	r := a.want(s, 200, "GET", fmt.Sprintf("/api/environments/%d/export/?format=json", environment), nil)
	values := map[string]string{}
	if err := json.Unmarshal([]byte(r.text), &values); err != nil {
		a.t.Fatalf("export: %s: %v", r.text, err)
	}
	return values
}

// dotenv returns a file of n variables that all have one value.
func dotenv(n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "KEY_%04d=%s\n", i, value)
	}
	return b.String()
}
