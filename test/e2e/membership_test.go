package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

// operate runs the binary as an operator of the cluster does, and returns its
// output and its exit code.
func operate(t *testing.T, s *server, args ...string) (out, messages string, code int) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(key, []byte(rootKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append(args, "--endpoint", "http://"+s.http, "--root-key-file", key)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// done runs a command that must succeed, and returns what it prints, without
// blanks.
func done(t *testing.T, s *server, args ...string) string {
	t.Helper()
	out, messages, code := operate(t, s, args...)
	if code != 0 {
		t.Fatalf("covey %s: exit code %d, %s%s", strings.Join(args, " "), code, out, messages)
	}
	return strings.NewReplacer(" ", "", "\n", "").Replace(out)
}

// role is what a node is by the word of s.
func (s *server) role(id string) string {
	st, err := s.status()
	if err != nil {
		return err.Error()
	}
	for _, m := range st.Members {
		if m.ID == id {
			return m.Role
		}
	}
	return "unknown"
}

func (s *server) waitRole(id, role string) {
	s.t.Helper()
	s.waitFor(id+" a "+role, patience, func() error {
		if got := s.role(id); got != role {
			return fmt.Errorf("it is a %s", got)
		}
		return nil
	})
}

// waitExit waits until the process has ended by itself.
func (s *server) waitExit() (code int) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Fatalf("%s goes on", s.id)
	}
	return s.cmd.ProcessState.ExitCode()
}

// An operator takes a cluster of three apart and puts it together again, by the
// commands of docs/operations.md.
func TestMembersComeAndGo(t *testing.T) {
	beside(t)
	servers := newCluster(t, 3)
	lead := leaderOf(t, servers)
	rest := others(servers, lead)
	bucket := rest[0].must("POST", "/", "")
	rest[0].must("POST", "/"+bucket+"/k", "v")

	// The leader leaves: it hands over, and its process ends well.
	if out, messages, code := operate(t, lead, "cluster", "leave"); code != 2 || !strings.Contains(messages, "--yes") {
		t.Errorf("nobody was asked: exit code %d, %q %q", code, out, messages)
	}
	out := done(t, rest[0], "cluster", "remove", lead.id, "--force", "--dry-run", "-o", "json")
	if !strings.Contains(out, `"voters":2`) || !strings.Contains(out, `"done":false`) {
		t.Errorf("dry run: %s", out)
	}
	done(t, lead, "cluster", "leave", "--yes")
	if code := lead.waitExit(); code != 0 {
		t.Errorf("%s left with exit code %d", lead.id, code)
	}
	rest[0].waitRole(lead.id, "not a member")
	if got := rest[1].must("GET", "/"+bucket+"/k", ""); got != "v" {
		t.Errorf("read %q", got)
	}

	// Its folder is of no use any more, and it says so.
	lead.start()
	if code := lead.waitExit(); code != 1 && code != 2 {
		t.Errorf("with its old folder %s ended with code %d", lead.id, code)
	}
	if log := lead.log.String(); !strings.Contains(log, lead.id+" was removed from cluster") || !strings.Contains(log, "start with an empty one") {
		t.Errorf("it does not say why: %s", tail(log, 5))
	}

	// With an empty folder it is a new member, and a voter in the end.
	lead.dir = filepath.Join(t.TempDir(), "empty")
	lead.start()
	lead.waitReady(patience)
	rest[0].waitRole(lead.id, "voter")

	demoteAndPromote(t, lead, rest)
	refuseToLoseTheQuorum(t, servers)
}

func demoteAndPromote(t *testing.T, x *server, rest []*server) {
	done(t, rest[1], "cluster", "demote", x.id)
	rest[0].waitRole(x.id, "non-voter")
	if out := done(t, rest[0], "cluster", "members", "-o", "json"); !strings.Contains(out, `"wish":"non-voter"`) {
		t.Errorf("nobody sees what was wanted: %s", out)
	}
	done(t, x, "cluster", "promote", x.id)
	rest[0].waitRole(x.id, "voter")
	if out := done(t, rest[1], "cluster", "transfer", x.id, "-o", "raw"); !strings.Contains(out, x.id) {
		t.Errorf("transfer to %s: %q leads", x.id, out)
	}
	if _, messages, code := operate(t, rest[0], "cluster", "step-down"); code != 5 || !strings.Contains(messages, x.id+" does") {
		t.Errorf("a follower stepped down: %d %s", code, messages)
	}
	if out := done(t, x, "cluster", "step-down", "-o", "raw"); strings.Contains(out, x.id) {
		t.Errorf("%s stepped down and leads: %s", x.id, out)
	}
	done(t, rest[0], "cluster", "autopilot", "set", "--cleanup", "on", "--dead-after", "1h")
	if out := done(t, x, "cluster", "autopilot", "get", "-o", "json"); !strings.Contains(out, `"cleanup":true`) || !strings.Contains(out, "3600") {
		t.Errorf("autopilot: %s", out)
	}
}

func refuseToLoseTheQuorum(t *testing.T, servers []*server) {
	lead := leaderOf(t, servers)
	rest := others(servers, lead)
	rest[0].kill()
	for _, x := range []*server{lead, rest[1]} {
		_, messages, code := operate(t, lead, "cluster", "remove", x.id, "--force", "--yes")
		if want := "removing " + x.id + " would leave 2 voters of which 1 answers; 2 are needed"; code != 5 || !strings.Contains(messages, want) {
			t.Errorf("remove %s: exit code %d, %q, want %q", x.id, code, messages, want)
		}
	}
	if _, messages, code := operate(t, lead, "cluster", "leave", "--yes"); code != 5 || !strings.Contains(messages, "2 are needed") {
		t.Errorf("leave: exit code %d, %q", code, messages)
	}
	if _, messages, code := operate(t, lead, "cluster", "remove", "n9", "--yes"); code != 3 || !strings.Contains(messages, "n9 is no member") {
		t.Errorf("remove of a stranger: exit code %d, %q", code, messages)
	}
	lead.waitFor("rid of the dead", patience, func() error {
		_, messages, code := operate(t, lead, "cluster", "remove", rest[0].id, "--yes")
		if code != 0 {
			return errors.New(messages)
		}
		return nil
	})
	lead.must("POST", "/", "")
	rest[0].start() // it is told when it comes back
	if code := rest[0].waitExit(); code != 0 {
		t.Errorf("the removed node ended with code %d", code)
	}
}

// All nodes come back elsewhere at once, as pods that are scheduled anew: with
// certificates and encrypted gossip as well, since these prove who a node is and
// not where.
func TestAllAddressesChangeAtOnceWithTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("gossip.key"), []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certs := [][]string{{"cert", "ca", "--dir", dir}}
	servers := make([]*server, 3)
	for i := range servers {
		id := fmt.Sprintf("n%d", i+1)
		certs = append(certs, []string{"cert", "node", id, "--host", "127.0.0.1", "--dir", dir})
		servers[i] = newServer(t, id, 3)
		servers[i].extra = []string{"--gossip-key-file", file("gossip.key"), "--peer-ca", file("ca.pem"), "--peer-cert", file(id + ".pem"), "--peer-key", file(id + ".key")}
	}
	for _, args := range certs {
		if out, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("covey %v: %v\n%s", args, err, out)
		}
	}
	start := func() {
		for _, s := range servers {
			s.join = servers[0].gossip
			s.start()
		}
		for _, s := range servers {
			s.waitReady(patience)
		}
	}
	start()
	bucket := servers[0].must("POST", "/", "")
	servers[0].must("PUT", "/"+bucket+"/k", "v")
	for _, s := range servers {
		s.terminate()
		s.http, s.peer, s.gossip = freeport.Addr(t), freeport.Addr(t), freeport.Addr(t)
	}
	start()
	for _, s := range servers {
		if got := s.must("GET", "/"+bucket+"/k", ""); got != "v" {
			t.Errorf("%s reads %q", s.id, got)
		}
	}
}
