package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a project with two environments, and a desk from which they are worked
// on through all nodes of a cluster.
type pair struct {
	*desk
	servers             []*server
	ada                 *account
	organization        int
	staging, production int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	x := &pair{servers: newKeyNestCluster(t, 3)}
	x.ada = register(t, x.servers[0], "ada")
	x.organization = x.ada.want(x.servers[0], 201, "POST", "/api/organizations/", fields{"name": "Acme"}).number("id")
	project := x.ada.want(x.servers[0], 201, "POST", "/api/projects/", fields{"name": "web", "organization": x.organization}).number("id")
	for name, id := range map[string]*int{"staging": &x.staging, "production": &x.production} {
		*id = x.ada.want(x.servers[1], 201, "POST", "/api/environments/", fields{"name": name, "project": project}).number("id")
	}
	x.desk = newDesk(t, "KEYNEST_BASE_URL="+urls(x.servers), "KEYNEST_TOKEN="+x.ada.token)
	return x
}

func (x *pair) set(environment, key, value string) {
	x.t.Helper()
	x.want(value, "keynest", "vars", "set", key, "--env", "web/"+environment)
}

// has checks through all nodes what an environment has.
func (x *pair) has(environment int, want map[string]string) {
	x.t.Helper()
	for _, s := range x.servers {
		got := x.ada.exported(s, environment)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			x.t.Errorf("through %s environment %d has %q, want %q", s.id, environment, got, want)
		}
	}
}

// withoutLeader does something while the node that led is down, and brings that
// back.
func (x *pair) withoutLeader(do func()) {
	x.t.Helper()
	leader := leaderOf(x.t, x.servers)
	leader.kill()
	do()
	leader.start()
	leader.waitReady(patience)
}

// nextSecond waits until the next second has begun, and returns it as the API
// takes times.
func (x *pair) nextSecond() string {
	x.t.Helper()
	next := time.Now().UTC().Truncate(time.Second).Add(time.Second)
	x.servers[0].waitFor("past "+next.String(), patience, func() error {
		if time.Now().Before(next) {
			return fmt.Errorf("it is not %v yet", next)
		}
		return nil
	})
	return next.Format(time.RFC3339)
}

// A variable and an environment go back to what they were while the node that led
// is down, and all nodes tell the same of it.
func TestWhatWasComesBackWithoutTheLeader(t *testing.T) {
	t.Parallel()
	x := newPair(t)
	x.set("staging", "A", "one")
	x.set("staging", "A", "two")
	x.set("staging", "GONE", "is back")
	x.withoutLeader(func() {
		x.want("", "keynest", "rollback", "A", "--version", "1", "--env", "web/staging")
	})
	x.has(x.staging, map[string]string{"A": "one", "GONE": "is back"})
	var history []struct {
		Version int
		Change  string
		Value   string `json:"decrypted_value"`
	}
	out := x.want("", "keynest", "versions", "A", "--env", "web/staging", "--values", "-o", "json")
	if err := json.Unmarshal([]byte(out), &history); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	var told []string
	for _, v := range history {
		told = append(told, fmt.Sprint(v.Version, " ", v.Change, " ", v.Value))
	}
	if want := []string{"3 rolled_back one", "2 updated two", "1 created one"}; !slices.Equal(told, want) {
		t.Errorf("the versions of A are %q, want %q", told, want)
	}

	then := x.nextSecond() // times are in whole seconds
	x.nextSecond()
	x.set("staging", "A", "four")
	x.set("staging", "NEW", "made since")
	x.want("", "keynest", "vars", "delete", "GONE", "--env", "web/staging", "--yes")
	x.has(x.staging, map[string]string{"A": "four", "NEW": "made since"})
	for _, s := range x.servers {
		r := x.ada.want(s, 200, "GET", fmt.Sprintf("/api/environments/%d/variables/?at=%s", x.staging, then), nil)
		if n := r.number("count"); n != 2 || !strings.Contains(r.text, `"is back"`) || strings.Contains(r.text, `"four"`) {
			t.Errorf("through %s it was %s", s.id, r.text)
		}
	}
	x.withoutLeader(func() {
		x.want("", "keynest", "env", "rollback", "web/staging", "--at", then, "--yes")
	})
	x.has(x.staging, map[string]string{"A": "one", "GONE": "is back"})
}

// Two environments are compared and one promoted to the other while the node that
// led is down; who lacks a right for one of them changes nothing.
func TestAnEnvironmentIsPromotedWithoutTheLeader(t *testing.T) {
	t.Parallel()
	x := newPair(t)
	x.set("staging", "SAME", "same")
	x.set("staging", "OTHER", "of staging")
	x.set("staging", "MORE", "only here")
	x.set("production", "SAME", "same")
	x.set("production", "OTHER", "of production")
	x.set("production", "LESS", "only there")
	before := map[string]string{"SAME": "same", "OTHER": "of production", "LESS": "only there"}
	compare := []string{"diff", "web/production", "web/staging", "--exit-code"}
	promote := []string{"promote", "web/staging", "web/production", "--remove-missing", "--yes"}

	bob := register(t, x.servers[1], "bob")
	at := fmt.Sprintf("/api/environments/%d/promote/", x.staging)
	bob.want(x.servers[2], 404, "POST", at, fields{"to": x.production})
	x.ada.want(x.servers[0], 201, "POST", fmt.Sprintf("/api/organizations/%d/invite_member/", x.organization), fields{"email": bob.email, "role": "viewer"})
	_, bobs := bob.environment(x.servers[0], "bob")
	x.env = append(x.env, "KEYNEST_TOKEN="+bob.token)
	if code, out, told := x.try("", "keynest", promote...); code != 4 || out != "" {
		t.Errorf("a viewer promotes: exit code %d, want 4: %s%s", code, out, told)
	}
	bob.want(x.servers[0], 403, "POST", at, fields{"to": bobs})
	bob.want(x.servers[1], 403, "POST", fmt.Sprintf("/api/environments/%d/promote/", bobs), fields{"to": x.production})
	x.env = x.env[:len(x.env)-1]
	x.has(x.production, before)

	x.withoutLeader(func() {
		code, out, told := x.try("", "keynest", compare...)
		if lines := strings.Fields(out); code != 1 || !slices.Equal(lines, []string{"-", "LESS", "~", "OTHER", "+", "MORE"}) {
			t.Errorf("compared: exit code %d, %q %s", code, lines, told)
		}
		x.want("", "keynest", promote...)
	})
	x.has(x.production, map[string]string{"SAME": "same", "OTHER": "of staging", "MORE": "only here"})
	if out := x.want("", "keynest", compare...); out != "" {
		t.Errorf("after the promotion they differ: %s", out)
	}
}

// References are resolved where that is asked for, through every node and by the
// tools; what cannot be resolved never gets into a file or a command.
func TestReferencesAreResolvedOnEveryNode(t *testing.T) {
	t.Parallel()
	x := newPair(t)
	x.set("staging", "URL", "https://${HOST}/${production.NAME}?literal=$${HOST}")
	x.set("staging", "HOST", "${NAME}.example.com")
	x.set("staging", "NAME", "staging")
	x.set("production", "NAME", "${FIRST}-production")
	x.set("production", "FIRST", "the")
	const url = "https://staging.example.com/the-production?literal=${HOST}"
	for _, s := range x.servers {
		r := x.ada.want(s, 200, "GET", fmt.Sprintf("/api/environments/%d/export/?format=json&resolve=true", x.staging), nil)
		if r.string("URL") != url {
			t.Errorf("through %s: %s", s.id, r.text)
		}
	}
	show := []string{"run", "--env", "web/staging", "--resolve", "--", "sh", "-c", `printf %s "$URL"`}
	x.withoutLeader(func() {
		if got := x.want("", "keynest", show...); got != url {
			t.Errorf("a command got %q", got)
		}
		if got := strings.TrimSpace(x.want("", "keynest", "vars", "get", "URL", "--env", "web/staging", "--resolve")); got != url {
			t.Errorf("get printed %q", got)
		}
	})

	x.set("production", "FIRST", "${staging.URL}")
	before := x.listing()
	for _, args := range [][]string{show, {"env", "export", "web/staging", "--resolve", "--output", "file"}} {
		code, out, told := x.try("", "keynest", args...)
		if code != 1 || out != "" || !strings.Contains(told, "URL") || !strings.Contains(told, "cycle") {
			t.Errorf("%s with a cycle: exit code %d, %q %q", args[0], code, out, told)
		}
	}
	x.untouched(before)
	for _, s := range x.servers {
		r := x.ada.want(s, 200, "GET", fmt.Sprintf("/api/environments/%d/variables/?resolve=true", x.staging), nil)
		if strings.Count(r.text, `"[UNRESOLVED]"`) != 1 || strings.Count(r.text, `"unresolved":"cycle"`) != 1 {
			t.Errorf("through %s a cycle is shown as %s", s.id, r.text)
		}
	}
	if got := x.ada.exported(x.servers[0], x.production)["FIRST"]; got != "${staging.URL}" {
		t.Errorf("not resolved it is %q", got)
	}
}
