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

// A service token may do through a follower what it is for, from where it is for,
// until it expires; the log of all nodes tells who did what and what was refused.
func TestAServiceTokenIsGoodForItsScopeThroughAFollower(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3, "--trusted-proxies", "127.0.0.1/32")
	s := followerOf(t, servers)
	ada := register(t, s, "ada")
	_, environment := ada.environment(s, "acme")
	_, other := ada.environment(s, "other")
	at := fmt.Sprintf("/api/environments/%d/", environment)
	variable := ada.want(s, 201, "POST", "/api/variables/", fields{"key": "A", "value": "one", "environment": environment}).number("id")
	one := fmt.Sprintf("/api/variables/%d/", variable)
	foreign := ada.want(s, 201, "POST", "/api/variables/", fields{"key": "A", "environment": other}).number("id")

	reader, _ := ada.service(s, fields{"name": "reader", "environment": environment})
	project := ada.want(s, 200, "GET", at, nil).number("project")
	writer, writerID := ada.service(s, fields{"name": "writer", "project": project, "read_only": false})
	office, officeID := ada.service(s, fields{"name": "office", "environment": environment, "allowed_networks": []string{"10.1.0.0/16", "2001:db8::/32"}})
	expires := time.Now().Add(3 * time.Second).UTC().Truncate(time.Second)
	brief, briefID := ada.service(s, fields{"name": "brief", "environment": environment, "expires_at": expires.Format(time.RFC3339)})
	brief.want(s, 200, "GET", at+"export/", nil)

	t.Run("one that reads", func(t *testing.T) {
		if got := reader.exported(s, environment); got["A"] != "one" {
			t.Errorf("it exports %q", got)
		}
		if got := reader.want(s, 200, "GET", one, nil).string("decrypted_value"); got != "one" {
			t.Errorf("it reads %q", got)
		}
		if n := reader.want(s, 200, "GET", "/api/environments/", nil).number("count"); n != 1 {
			t.Errorf("it sees %d environments", n)
		}
		for _, call := range []struct {
			method, path string
			body         fields
		}{
			{"POST", "/api/variables/", fields{"key": "B", "environment": environment}},
			{"PATCH", one, fields{"value": "two"}}, {"DELETE", one, nil}, {"POST", at + "import/", fields{"data": "A=two"}},
			{"POST", one + "rollback/", fields{"version": 1}}, {"POST", "/api/service-tokens/", fields{"name": "mine", "environment": environment}},
			{"GET", "/api/audit-logs/", nil}, {"POST", "/api/organizations/", fields{"name": "mine"}},
		} {
			reader.want(s, 403, call.method, call.path, call.body)
		}
		reader.want(s, 404, "GET", fmt.Sprintf("/api/environments/%d/export/", other), nil)
		reader.want(s, 404, "GET", fmt.Sprintf("/api/variables/%d/", foreign), nil)
	})
	t.Run("one that writes", func(t *testing.T) {
		made := writer.want(s, 201, "POST", "/api/variables/", fields{"key": "MADE", "value": "by it", "environment": environment}).number("id")
		writer.want(s, 200, "PATCH", one, fields{"value": "two"})
		writer.want(s, 200, "POST", one+"rollback/", fields{"version": 1})
		writer.want(s, 200, "POST", at+"import/", fields{"data": "IMPORTED=too"})
		writer.want(s, 204, "DELETE", fmt.Sprintf("/api/variables/%d/", made), nil)
		if got, want := ada.exported(servers[2], environment), map[string]string{"A": "one", "IMPORTED": "too"}; !maps.Equal(got, want) {
			t.Errorf("it leaves %q", got)
		}
		writer.want(s, 404, "PATCH", fmt.Sprintf("/api/variables/%d/", foreign), fields{"value": "two"})
		writer.want(s, 403, "DELETE", at, nil)
	})
	t.Run("one of an address", func(t *testing.T) {
		for address, want := range map[string]int{
			"10.1.2.3": 200, "10.2.0.1": 403, "127.0.0.1": 403, "2001:db8::7": 200, "2001:db9::7": 403,
			"10.1.2.3, 8.8.8.8": 403, // which is what the trusted proxy saw
		} {
			if code, text := office.from(s, address, one); code != want || strings.Contains(text, `"one"`) != (want == 200) {
				t.Errorf("from %s: %d %s, want %d", address, code, text, want)
			}
		}
	})
	t.Run("one that has expired", func(t *testing.T) {
		s.waitFor("past the time", 20*time.Second, func() error {
			if !time.Now().After(expires) {
				return fmt.Errorf("not yet %v", expires)
			}
			return nil
		})
		for _, s := range servers {
			if r := brief.want(s, 401, "GET", at+"export/", nil); r.string("error") != "Token has expired." {
				t.Errorf("through %s: %s", s.id, r.text)
			}
		}
	})
	t.Run("what the log tells", func(t *testing.T) {
		for _, s := range servers {
			for _, action := range []string{
				"variable_created", "variable_updated", "variable_rolled_back", "variable_deleted", "environment_imported",
			} {
				all := ada.entries(s, fmt.Sprint(action, "&service_token=", writerID))
				if len(all) != 1 || all[0].User != "service token writer" || all[0].ServiceToken != writerID {
					t.Errorf("through %s %s was done by %+v", s.id, action, all)
				}
			}
		}
		wantRefusals(t, ada, servers, map[string]string{"address": fmt.Sprint("service token office ", officeID), "expired": fmt.Sprint("service token brief ", briefID)})
	})
	for _, s := range servers {
		for _, a := range []*account{reader, writer, office, brief} {
			if strings.Contains(s.log.String(), a.token[4:]) {
				t.Errorf("the log of %s has a token", s.id)
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
		s.waitFor("told of the refusals", 10*time.Second, func() error {
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
	servers := newKeyNestCluster(t, 3)
	ada := register(t, servers[0], "ada")
	_, environment := ada.environment(servers[0], "acme")
	ada.want(servers[0], 201, "POST", "/api/variables/", fields{"key": "A", "value": "one", "environment": environment})
	path := fmt.Sprintf("/api/environments/%d/export/", environment)
	refused := func(s *server, who *account) {
		t.Helper()
		if r := who.want(s, 401, "GET", path, nil); r.string("error") != "Invalid token." {
			t.Errorf("through %s: %s", s.id, r.text)
		}
	}
	for round := range size(10, 100) {
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
	up[0].waitFor("without the token", 20*time.Second, func() error {
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
	down.waitReady(20 * time.Second)
	for _, s := range servers {
		refused(s, who)
	}
	names := map[string]bool{}
	servers[0].waitFor("told of the refusals", 10*time.Second, func() error {
		for _, e := range ada.entries(servers[0], "service_token_refused") {
			if e.Details.Reason == "revoked" {
				names[e.User] = true
			}
		}
		if !names["service token last"] || !names["service token round 0"] {
			return fmt.Errorf("told of %q", slices.Sorted(maps.Keys(names)))
		}
		return nil
	})
}
