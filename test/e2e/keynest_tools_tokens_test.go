package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// service makes a service token through a node and returns what has it.
func (a *account) service(s *server, body fields) (*account, int) {
	a.t.Helper()
	r := a.want(s, 201, "POST", "/api/service-tokens/", body)
	if token := r.string("token"); !strings.HasPrefix(token, "svc_") || len(token) != 44 {
		a.t.Fatalf("a service token of %d characters", len(token))
	}
	return &account{t: a.t, token: r.string("token")}, r.number("id")
}

// from sends a GET that a proxy says is from an address.
func (a *account) from(s *server, address, path string) (code int, text string) {
	a.t.Helper()
	code, text, err := s.do("GET", path, "", map[string]string{"Authorization": "Bearer " + a.token, "X-Forwarded-For": address})
	if err != nil {
		a.t.Fatal(err)
	}
	return code, text
}

// office is a cluster with an environment of secrets, and one that is for others.
type office struct {
	servers            []*server
	follower           *server
	ada                *account
	environment, other int
	variable, foreign  int
}

// at is a path of the API below the environment.
func (x *office) at(path string) string {
	return fmt.Sprintf("/api/environments/%d/%s", x.environment, path)
}

// one is a path of the API below the environment's variable.
func (x *office) one(path string) string {
	return fmt.Sprintf("/api/variables/%d/%s", x.variable, path)
}

func newOffice(t *testing.T, extra ...string) *office {
	t.Helper()
	x := &office{servers: newKeyNestCluster(t, 3, extra...)}
	x.follower = followerOf(t, x.servers)
	x.ada = register(t, x.follower, "ada")
	_, x.environment = x.ada.environment(x.follower, "acme")
	_, x.other = x.ada.environment(x.follower, "other")
	for id, of := range map[*int]int{&x.variable: x.environment, &x.foreign: x.other} {
		*id = x.ada.want(x.follower, 201, "POST", "/api/variables/", fields{"key": "A", "value": "one", "environment": of}).number("id")
	}
	return x
}

// A service token may do through a follower what it is for, from where it is for,
// until it expires; the log of all nodes tells who did what and what was refused.
func TestAServiceTokenIsGoodForItsScopeThroughAFollower(t *testing.T) {
	t.Parallel()
	x := newOffice(t, "--trusted-proxies", "127.0.0.1/32")
	s := x.follower
	reader, _ := x.ada.service(s, fields{"name": "reader", "environment": x.environment})
	project := x.ada.want(s, 200, "GET", x.at(""), nil).number("project")
	writer, writerID := x.ada.service(s, fields{"name": "writer", "project": project, "read_only": false})
	near, nearID := x.ada.service(s, fields{"name": "near", "environment": x.environment, "allowed_networks": []string{"10.1.0.0/16", "2001:db8::/32"}})
	expires := time.Now().Add(3 * time.Second).UTC().Truncate(time.Second)
	brief, briefID := x.ada.service(s, fields{"name": "brief", "environment": x.environment, "expires_at": expires.Format(time.RFC3339)})
	brief.want(s, 200, "GET", x.at("export/"), nil)

	t.Run("one that reads", func(t *testing.T) { x.reads(t, reader) })
	t.Run("one that writes", func(t *testing.T) { x.writes(t, writer) })
	t.Run("one of an address", func(t *testing.T) {
		for address, want := range map[string]int{
			"10.1.2.3": 200, "10.2.0.1": 403, "127.0.0.1": 403, "2001:db8::7": 200, "2001:db9::7": 403,
			"10.1.2.3, 8.8.8.8": 403, // the last is what the trusted proxy saw
		} {
			if code, text := near.from(s, address, x.one("")); code != want || strings.Contains(text, `"one"`) != (want == 200) {
				t.Errorf("from %s: %d %s, want %d", address, code, text, want)
			}
		}
	})
	t.Run("one that has expired", func(t *testing.T) {
		s.waitFor("past the time", patience, func() error {
			if !time.Now().After(expires) {
				return fmt.Errorf("not yet %v", expires)
			}
			return nil
		})
		for _, s := range x.servers {
			if r := brief.want(s, 401, "GET", x.at("export/"), nil); r.string("error") != "Token has expired." {
				t.Errorf("through %s: %s", s.id, r.text)
			}
		}
	})
	t.Run("what the log tells", func(t *testing.T) {
		x.wroteDown(t, "service token writer", writerID)
		wantRefusals(t, x.ada, x.servers, map[string]string{"address": fmt.Sprint("service token near ", nearID), "expired": fmt.Sprint("service token brief ", briefID)})
	})
	for _, s := range x.servers {
		for _, a := range []*account{reader, writer, near, brief} {
			if strings.Contains(s.log.String(), a.token[4:]) {
				t.Errorf("the log of %s has a token", s.id)
			}
		}
	}
}

// reads checks that a token reads the environment and does nothing else.
func (x *office) reads(t *testing.T, reader *account) {
	s := x.follower
	if got := reader.exported(s, x.environment); got["A"] != "one" {
		t.Errorf("it exports %q", got)
	}
	if got := reader.want(s, 200, "GET", x.one(""), nil).string("decrypted_value"); got != "one" {
		t.Errorf("it reads %q", got)
	}
	if n := reader.want(s, 200, "GET", "/api/environments/", nil).number("count"); n != 1 {
		t.Errorf("it sees %d environments", n)
	}
	for _, call := range []struct {
		method, path string
		body         fields
	}{
		{"POST", "/api/variables/", fields{"key": "B", "environment": x.environment}},
		{"PATCH", x.one(""), fields{"value": "two"}}, {"DELETE", x.one(""), nil}, {"POST", x.at("import/"), fields{"data": "A=two"}},
		{"POST", x.one("rollback/"), fields{"version": 1}}, {"POST", "/api/service-tokens/", fields{"name": "mine", "environment": x.environment}},
		{"GET", "/api/audit-logs/", nil}, {"POST", "/api/organizations/", fields{"name": "mine"}},
	} {
		reader.want(s, 403, call.method, call.path, call.body)
	}
	reader.want(s, 404, "GET", fmt.Sprintf("/api/environments/%d/export/", x.other), nil)
	reader.want(s, 404, "GET", fmt.Sprintf("/api/variables/%d/", x.foreign), nil)
}

// writes checks that a token changes variables of the environment and nothing
// else.
func (x *office) writes(t *testing.T, writer *account) {
	s := x.follower
	made := writer.want(s, 201, "POST", "/api/variables/", fields{"key": "MADE", "value": "by it", "environment": x.environment}).number("id")
	writer.want(s, 200, "PATCH", x.one(""), fields{"value": "two"})
	writer.want(s, 200, "POST", x.one("rollback/"), fields{"version": 1})
	writer.want(s, 200, "POST", x.at("import/"), fields{"data": "IMPORTED=too"})
	writer.want(s, 204, "DELETE", fmt.Sprintf("/api/variables/%d/", made), nil)
	for _, s := range x.servers {
		if got, want := x.ada.exported(s, x.environment), map[string]string{"A": "one", "IMPORTED": "too"}; !maps.Equal(got, want) {
			t.Errorf("through %s it leaves %q", s.id, got)
		}
	}
	project := x.ada.want(s, 200, "GET", x.at(""), nil).number("project")
	next := x.ada.want(s, 201, "POST", "/api/environments/", fields{"name": "next", "project": project}).number("id")
	writer.want(s, 200, "POST", x.at("copy/"), fields{"to": next})
	writer.want(s, 200, "POST", x.at("promote/"), fields{"to": next})
	writer.want(s, 200, "GET", x.at(fmt.Sprintf("diff/?with=%d", next)), nil)
	writer.want(s, 400, "POST", x.at("promote/"), fields{"to": x.other})
	writer.want(s, 404, "PATCH", fmt.Sprintf("/api/variables/%d/", x.foreign), fields{"value": "two"})
	writer.want(s, 403, "DELETE", x.at(""), nil)
}

// wroteDown checks that all nodes tell who did what writes has done.
func (x *office) wroteDown(t *testing.T, name string, id int) {
	for _, s := range x.servers {
		for _, action := range []string{"variable_created", "variable_updated", "variable_rolled_back", "variable_deleted", "environment_imported"} {
			all := x.ada.entries(s, fmt.Sprint(action, "&service_token=", id))
			if len(all) != 1 || all[0].User != name || all[0].ServiceToken != id {
				t.Errorf("through %s %s was done by %+v", s.id, action, all)
			}
		}
	}
}

// entry is one of the audit log.
type entry struct {
	User         string `json:"user_name"`
	ServiceToken int    `json:"service_token"`
	Details      struct{ Reason string }
}

// entries returns those of an action, the newest first.
func (a *account) entries(s *server, action string) []entry {
	a.t.Helper()
	r := a.want(s, 200, "GET", "/api/audit-logs/?page_size=100&action="+action, nil)
	var page struct{ Results []entry }
	if err := json.Unmarshal([]byte(r.text), &page); err != nil {
		a.t.Fatal(err)
	}
	return page.Results
}

// wantRefusals waits until all nodes tell which tokens were refused for what, each
// once, as the log has one such entry of a token in a minute.
func wantRefusals(t *testing.T, a *account, servers []*server, want map[string]string) {
	t.Helper()
	for _, s := range servers {
		s.waitFor("told of the refusals", patience, func() error {
			got := map[string]string{}
			for _, e := range a.entries(s, "service_token_refused") {
				got[e.Details.Reason] += fmt.Sprint(e.User, " ", e.ServiceToken)
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("%q, want %q", got, want)
			}
			return nil
		})
	}
}

// A token that was revoked through one node is refused by all at once, by one
// that was down meanwhile too, and by the tools.
func TestARevokedServiceTokenIsRefusedByAllNodesAtOnce(t *testing.T) {
	t.Parallel()
	x := newOffice(t)
	servers, ada, environment, path := x.servers, x.ada, x.environment, x.at("export/")
	refused := func(s *server, who *account) {
		t.Helper()
		if r := who.want(s, 401, "GET", path, nil); r.string("error") != "Invalid token." {
			t.Errorf("through %s: %s", s.id, r.text)
		}
	}
	rounds := size(10, 100)
	for round := range rounds {
		who, id := ada.service(servers[round%3], fields{"name": fmt.Sprint("round ", round), "environment": environment})
		for _, s := range servers {
			who.want(s, 200, "GET", path, nil)
		}
		ada.want(servers[(round+1)%3], 204, "DELETE", fmt.Sprintf("/api/service-tokens/%d/", id), nil)
		for _, s := range servers {
			refused(s, who)
		}
	}

	who, id := ada.service(servers[0], fields{"name": "last", "environment": environment})
	d := newDesk(t, "KEYNEST_BASE_URL="+urls(servers), "KEYNEST_TOKEN="+who.token)
	run := []string{"run", "--env", fmt.Sprint(environment), "--", "sh", "-c", `printf %s "$A"`}
	if got := d.want("", "keynest", run...); got != "one" {
		t.Errorf("a command got %q", got)
	}
	if got := d.want("", "keynest", "whoami", "-o", "json"); !strings.Contains(got, `"name": "last"`) || strings.Contains(got, who.token[4:]) {
		t.Errorf("whoami prints %s", got)
	}
	down := followerOf(t, servers)
	down.kill()
	up := others(servers, down)
	up[0].waitFor("without the token", patience, func() error {
		r, err := ada.try(up[1], "DELETE", fmt.Sprintf("/api/service-tokens/%d/", id), nil)
		if err == nil && r.status != 204 && r.status != 404 {
			err = fmt.Errorf("%d %s", r.status, r.text)
		}
		return err
	})
	if code, out, told := d.try("", "keynest", run...); code != 4 || out != "" || strings.Contains(told, who.token[4:]) {
		t.Errorf("with a revoked token: exit code %d, want 4: %s%s", code, out, told)
	}
	down.start()
	down.waitReady(patience)
	for _, s := range servers {
		refused(s, who)
	}
	// The log is looked at by its newest hundred entries.
	wantRevoked(t, ada, servers[0], fmt.Sprint("service token round ", rounds-1), "service token last")
}

// wantRevoked waits until the log tells that tokens were used after they had been
// revoked.
func wantRevoked(t *testing.T, a *account, s *server, want ...string) {
	t.Helper()
	s.waitFor("told of the refusals", patience, func() error {
		var told []string
		for _, e := range a.entries(s, "service_token_refused") {
			if e.Details.Reason == "revoked" {
				told = append(told, e.User)
			}
		}
		for _, name := range want {
			if !slices.Contains(told, name) {
				return fmt.Errorf("nothing of %s: %q", name, told)
			}
		}
		return nil
	})
}
