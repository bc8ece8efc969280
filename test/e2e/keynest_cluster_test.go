package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Of three who make the same variable at once through three nodes, one does.
func TestOneOfThreeNodesMakesAVariable(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3)
	ada := register(t, servers[0], "ada")
	_, environment := ada.environment(servers[0], "acme")
	for round := range size(20, 200) {
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(func() {
				r, err := ada.try(s, "POST", "/api/variables/",
					fields{"key": fmt.Sprint("KEY_", round), "value": s.id, "environment": environment})
				switch {
				case err == nil && r.status == 201:
					made.Add(1)
				case err == nil && r.status == 409 && r.string("code") == "CONFLICT":
					refused.Add(1)
				default:
					t.Errorf("round %d through %s: %d %s %v", round, s.id, r.status, r.text, err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || refused.Load() != 2 {
			t.Errorf("round %d: made %d times and refused %d times, want 1 and 2", round, made.Load(), refused.Load())
		}
	}
	if n := len(ada.exported(servers[1], environment)); n != size(20, 200) {
		t.Errorf("%d variables were made", n)
	}
}

// Two admins who remove or demote each other at once, through two nodes: one
// of them stays, whatever comes first.
func TestAnOrganizationNeverLosesItsLastAdmin(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3)
	two := [2]*account{register(t, servers[0], "ada"), register(t, servers[1], "bob")}
	organization, _ := two[0].environment(servers[0], "acme")
	at := fmt.Sprintf("/api/organizations/%d/", organization)
	two[0].want(servers[0], 201, "POST", at+"invite_member/", fields{"email": two[1].email, "role": "admin"})
	for round := range size(20, 200) {
		remove := round%2 == 0
		var done [2]bool
		var wg sync.WaitGroup
		for i, who := range two {
			wg.Go(func() {
				method, path, body := "DELETE", at+"remove_member/", fields{"user_id": two[1-i].id}
				if !remove {
					method, path, body = "PATCH", at+"update_member_role/", fields{"user_id": two[1-i].id, "role": "viewer"}
				}
				r, err := who.try(servers[(round+i)%3], method, path, body)
				if err != nil || r.status >= 500 {
					t.Errorf("round %d: %d %s %v", round, r.status, r.text, err)
				}
				done[i] = err == nil && r.status == 200
			})
		}
		wg.Wait()
		if done[0] == done[1] {
			t.Fatalf("round %d: did they succeed? %v; want one of them to", round, done)
		}
		winner, loser := two[0], two[1]
		if done[1] {
			winner, loser = loser, winner
		}
		if role := winner.want(servers[round%3], 200, "GET", at, nil).string("user_role"); role != "admin" {
			t.Fatalf("round %d: who is left is %q", round, role)
		}
		if remove {
			winner.want(servers[0], 201, "POST", at+"invite_member/", fields{"email": loser.email, "role": "admin"})
		} else {
			winner.want(servers[0], 200, "PATCH", at+"update_member_role/", fields{"user_id": loser.id, "role": "admin"})
		}
	}
}

// Imports of 1000 variables go on through all nodes while the leader is killed
// again and again: each is seen whole or not at all, and one that was
// acknowledged is there.
func TestAnImportIsWholeOrNotThereWhenTheLeaderDies(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3)
	ada := register(t, servers[0], "ada")
	var acked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range servers {
		_, environment := ada.environment(servers[0], fmt.Sprint("acme", i))
		wg.Go(func() { importer{ada, servers, i, environment}.run(&acked, stop) })
	}
	for range size(2, 10) {
		more(t, &acked, 3)
		leader := leaderOf(t, servers)
		leader.kill()
		more(t, &acked, 3)
		leader.start()
		leader.waitReady(patience)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d imports of 1000 variables were acknowledged", acked.Load())
}

type importer struct {
	*account
	servers     []*server
	first       int
	environment int
}

// run imports values of one round after the other, and looks after each what is
// there.
func (m importer) run(acked *atomic.Int64, stop chan struct{}) {
	last := "" // the value that was acknowledged
	for round := m.first; ; round++ {
		select {
		case <-stop:
			return
		default:
		}
		value := fmt.Sprint("round-", round)
		path := fmt.Sprintf("/api/environments/%d/import/", m.environment)
		r, err := m.try(m.servers[round%3], "POST", path, fields{"data": dotenv(1000, value)})
		switch {
		case err == nil && r.status == 200:
			if n := r.number("summary", "total_variables"); n != 1000 {
				m.t.Errorf("an import was answered %s", r.text)
			}
			last = value
			acked.Add(1)
		case err == nil && r.status < 500:
			m.t.Errorf("import: %d %s", r.status, r.text)
			return
		}
		seen, ok := m.look(round, stop)
		if !ok {
			return
		}
		if seen != last && seen != value {
			m.t.Errorf("after the import of %s all values are %q, %q was acknowledged", value, seen, last)
			return
		}
		last = seen // an unanswered import may have been done
	}
}

// look returns the value that all variables have, "" if there are none.
func (m importer) look(round int, stop chan struct{}) (value string, ok bool) {
	for try := round + 1; ; try++ {
		r, err := m.try(m.servers[try%3], "GET", fmt.Sprintf("/api/environments/%d/export/?format=json", m.environment), nil)
		if err != nil || r.status >= 500 {
			select {
			case <-stop:
				return "", false
			default:
				continue
			}
		}
		if len(r.object) == 0 {
			return "", true
		}
		value, _ := r.object["KEY_0000"].(string)
		for key, v := range r.object {
			if v != value {
				m.t.Errorf("KEY_0000 is %q and %s is %q", value, key, v)
				return "", false
			}
		}
		if len(r.object) != 1000 {
			m.t.Errorf("%d of 1000 variables are there", len(r.object))
			return "", false
		}
		return value, true
	}
}

// What is exported for shells means the same to one, and runs nothing.
func TestAnExportForShellsIsSourced(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 1)
	ada := register(t, servers[0], "ada")
	_, environment := ada.environment(servers[0], "acme")
	trace := filepath.Join(t.TempDir(), "trace")
	values := map[string]string{
		"EMPTY": "", "PLAIN": "postgres://u:p@db:5432/app", "BLANKS": "  two  words\t", "SINGLE": "it's", "DOUBLE": `say "hi"`,
		"BOTH": `'"'"'`, "DOLLAR": "$HOME ${HOME} $(touch " + trace + ")", "BACKTICK": "`touch " + trace + "`",
		"BACKSLASH": `a\b\\c\n\$\'\"` + `\`, "HASH": "# no comment # at all", "LINES": "one\ntwo\n\nfour\n", "CR": "a\r\nb\r",
		"SEMICOLON": "; touch " + trace + " &", "GLOB": "* ? [a-z] ~ !1 {a,b}", "EQUALS": "==a=b", "TAIL": "ends with a quote '",
		"PEM": "-----BEGIN KEY-----\nMIIE+/=\n-----END KEY-----\n", "UTF": "żółć 日本 \u2028 \U0001f511", "lower_case": "kept",
		"LONG": strings.Repeat(`a'b"c$d\`, 8000), "CONTROL": "\x01\x1b[31m\x7f",
	}
	data, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	r := ada.want(servers[0], 200, "POST", fmt.Sprintf("/api/environments/%d/import/", environment),
		fields{"data": string(data), "format": "json"})
	if n := r.number("summary", "imported"); n != len(values) {
		t.Fatalf("imported: %s", r.text)
	}
	file := filepath.Join(t.TempDir(), "shell.env")
	text := ada.want(servers[0], 200, "GET", fmt.Sprintf("/api/environments/%d/export/?style=shell", environment), nil).text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shells := 0
	for _, shell := range []string{"/bin/sh", "/bin/bash"} {
		if _, err := os.Stat(shell); err != nil {
			continue
		}
		shells++
		for key, want := range values {
			// The x keeps a shell from taking line breaks off the end.
			cmd := exec.Command(shell, "-c", `set -eu; . "$1"; printf '%sx' "$`+key+`"`, shell, file)
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSuffix(string(out), "x"); err != nil || got != want {
				t.Errorf("%s reads %s as %q, want %q (%v)", shell, key, got, want, err)
			}
		}
	}
	if _, err := os.Stat(trace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a value was run: %v", err)
	}
	if shells == 0 {
		t.Skip("this machine has no shell")
	}
}

// A node of which clients know nothing but its port answers as the leader does.
func TestKeyNestIsServedByAllNodes(t *testing.T) {
	t.Parallel()
	servers := newKeyNestCluster(t, 3)
	for _, s := range servers {
		a := register(t, s, "user_"+s.id)
		organization, environment := a.environment(s, "acme")
		variable := a.want(s, 201, "POST", "/api/variables/", fields{"key": "DATABASE_URL", "value": " kept ", "environment": environment})
		for _, other := range servers { // no request waits for another node to catch up
			got := a.want(other, 200, "GET", fmt.Sprintf("/api/variables/%d/", variable.number("id")), nil)
			if got.string("decrypted_value") != " kept " {
				t.Errorf("through %s, made through %s: %s", other.id, s.id, got.text)
			}
			if n := a.want(other, 200, "GET", "/api/audit-logs/?action=variable_viewed", nil).number("count"); n == 0 {
				t.Errorf("a value was read through %s and that is not in the log", other.id)
			}
		}
		a.want(s, 200, "POST", "/api/auth/logout/", nil)
		for _, other := range servers {
			a.want(other, http.StatusUnauthorized, "GET", fmt.Sprintf("/api/organizations/%d/", organization), nil)
		}
	}
}

// The lines that docs/keynest.md begins with do what it says, through a follower.
func TestTheQuickStartOfKeyNestIsTrue(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("this machine has no curl")
	}
	text, err := os.ReadFile("../../docs/keynest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Start it\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```")
	if len(blocks) != 7 {
		t.Fatalf("the section has %d parts, want three blocks between four texts", len(blocks))
	}
	s := followerOf(t, newKeyNestCluster(t, 3))
	script := strings.TrimPrefix(blocks[3], "sh\n") + "URL=http://" + s.http + "\n" + strings.TrimPrefix(blocks[5], "sh\n") + "echo \"sourced: $GREETING\"\n"
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"\nAPI_KEY=sk_live_1\nDB_URL=postgres://db/app\nGREETING=\"two words\"\n", `"imported":2,`, "sourced: two words", `"count":2,`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q does not come out of it: %s", want, out)
		}
	}
}
