package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coveydb/covey/cmd/covey/nest"
)

func TestRunTakesThePlaceOfTheProgram(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "A=server", `B="x y"`, "C=${A}!")
	n.environ = []string{nest.EnvToken + "="}
	if o := n.run("run", "--env", "Web/production", "--", "sh", "-c", "x", "--env", "2"); o != (outcome{code: 7}) {
		t.Fatalf("%+v", o)
	}
	if want := []string{"sh", "-c", "x", "--env", "2"}; !slices.Equal(n.became, want) {
		t.Errorf("%q", n.became)
	}
	has := func(kvs ...string) {
		t.Helper()
		for _, kv := range kvs {
			name, _, _ := strings.Cut(kv, "=")
			var found []string
			for _, got := range n.with {
				if strings.HasPrefix(got, name+"=") {
					found = append(found, got)
				}
			}
			if !slices.Equal(found, []string{kv}) {
				t.Errorf("%s is %q, want %q", name, found, kv)
			}
		}
	}
	has("A=server", "B=x y", "C=${A}!", "HOME="+n.home)
	if slices.ContainsFunc(n.with, func(kv string) bool { return strings.HasPrefix(kv, nest.EnvToken) }) {
		t.Errorf("%q", n.with)
	}
	n.run("run", "--env=1", "--override=false", "--resolve", "--only", "A,C", "sh")
	has("A=own", "C=server!")
	n.run("run", "--env=1", "--prefix", "TF_VAR_", "--", "sh")
	has("A=own", "TF_VAR_A=server")
	n.fails(exitFailed, "no variable Z", "run", "--env", "1", "--only", "A,Z", "--", "sh")
	n.fails(exitFailed, `"9A"`, "run", "--env", "1", "--prefix", "9", "--", "sh")
	n.fails(exitNoCommand, "not found", "run", "--env", "1", "--", "no-such-command-here")
	n.fails(exitNotRunnable, "", "run", "--env", "1", "--", t.TempDir())
	n.fails(exitUsage, "Try: keynest run --help", "run", "--env", "1")
	n.fails(exitUsage, "give --env", "run", "--", "sh")
	n.fails(exitNotFound, "404", "run", "--env", "99", "--", "sh")
	n.fails(exitUsage, "PROJECT/ENVIRONMENT", "run", "--env", "production", "--", "sh")
	n.end = syscall.E2BIG
	n.fails(exitNotRunnable, "larger than this system allows", "run", "--env", "1", "--", "sh")
	n.end = errors.New("no")
	n.fails(exitNotRunnable, "sh: no", "run", "--env", "1", "--", "sh")
	n.set("2", "A=${B}", "B=${A}")
	n.fails(exitFailed, "cycle", "run", "--env", "2", "--resolve", "--", "sh")
}

func TestRunGoesOnWithACopyWhenNoServerAnswers(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "A=hunter2-one", "B=hunter2-two")
	file := filepath.Join(t.TempDir(), "copy")
	args := []string{"run", "--env", "Web/production", "--fallback", file, "--", "sh"}
	if o := n.run(args...); o != (outcome{code: 7}) || len(n.became) == 0 {
		t.Fatalf("%+v", o)
	}
	text, err := os.ReadFile(file)
	if info, serr := os.Stat(file); err != nil || serr != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte("hunter2")) {
		t.Errorf("%v, %v, %q", info, err, text)
	}
	n.environ = []string{nest.EnvBaseURL + "=http://127.0.0.1:1", "COVEY_TIMEOUT=300ms"}
	n.fails(exitUnavailable, "cannot reach 127.0.0.1:1", "run", "--env", "1", "--", "sh")
	n.fails(exitUnavailable, "no such file", "run", "--env", "1", "--fallback", file+"2", "--", "sh")
	n.fails(exitUnavailable, `a copy of environment 1 ("Web/production")`, "run", "--env", "2", "--fallback", file, "--", "sh")
	if n.became != nil {
		t.Errorf("%q was run", n.became)
	}
	for _, env := range []string{"1", "Web/production"} {
		o := n.run("run", "--env", env, "--only", "B", "--fallback", file, "--", "sh")
		if o.code != 7 || !strings.Contains(o.errOut, "the variables are those of 20") || strings.Contains(o.errOut, "hunter2") || !slices.Contains(n.with, "B=hunter2-two") {
			t.Errorf("%s: %+v", env, o)
		}
	}
	n.environ = append(n.environ, nest.EnvToken+"=another-token")
	n.fails(exitUnavailable, "another one, or changed", args...)
	// What the server refuses, no copy gives.
	n.environ = []string{nest.EnvToken + "=another-token"}
	n.fails(exitDenied, "Invalid token.", args...)
	n.environ = nil
	if o := n.run("run", "--env", "1", "--fallback", filepath.Join(file, "below a file"), "--", "sh"); o.code != 7 || !strings.Contains(o.errOut, "was not written") {
		t.Errorf("a copy that cannot be written: %+v", o)
	}
	if o := n.run("run", "--env", "1", "--fallback", os.DevNull, "--", "sh"); o.code != 7 || !strings.Contains(o.errOut, "no ordinary file") {
		t.Errorf("a copy to where nothing stays: %+v", o)
	}
}

func TestAViewerDoesNotGetMasksForValues(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "A=1")
	if o := n.w.asRootWith(annsPassword, "keynest", "user", "create", "bob@example.com", "--username", "bob"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	n.must("members", "invite", "bob@example.com", "--org", "Acme")
	bob := &nester{w: n.w, home: t.TempDir(), stdin: annsPassword}
	bob.must("login", "bob@example.com")
	bob.fails(exitDenied, "not shown to viewers", "vars", "get", "A", "--env", "1")
	bob.fails(exitDenied, "403", "run", "--env", "Web/production", "--", "sh")
	bob.fails(exitDenied, "403", "promote", "1", "2")
	n.must("members", "role", "bob", "editor", "--org", "Acme")
	if got := bob.must("vars", "get", "A", "--env", "1"); got != "1" {
		t.Errorf("%q", got)
	}
	n.fails(exitUsage, "admin, editor, viewer", "members", "role", "bob", "owner", "--org", "Acme")
	n.fails(exitUsage, "give --org", "members", "list")
	n.must("members", "remove", "bob@example.com", "--org", "2", "--yes")
	bob.fails(exitNotFound, "404", "env", "show", "1")
}
