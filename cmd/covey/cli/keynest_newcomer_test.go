package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/coveydb/covey/cmd/covey/nest"
	"github.com/coveydb/covey/layer/vault"
)

// open lets everybody register.
func open(c *vault.Config) { c.ClosedRegistration = false }

// Who comes from another program of this kind tries what is done there.
func TestWordsOfOtherPrograms(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "API_KEY=s3cret")
	if got := n.must("secrets", "ls", "--env", "1"); !strings.Contains(got, "API_KEY") {
		t.Errorf("secrets ls: %q", got)
	}
	n.must("vars", "rm", "API_KEY", "--env", "1", "--yes")
	n.fails(exitNotFound, "not found", "vars", "get", "API_KEY", "--env", "1")
	if got := n.must("--version"); got != "keynest version v1.2.3\n" {
		t.Errorf("--version: %q", got)
	}
	n.fails(exitUsage, `"dir" is no command of "keynest vars"`, "vars", "dir", "--env", "1")
	n.fails(exitUsage, "unknown flag: --env", "vars", "--env", "1")
	n.fails(exitUsage, "give --style shell", "env", "export", "1", "--format", "shell")
	n.fails(exitUsage, `"dotenv" is none of env, json, yaml`, "env", "export", "1", "--format", "dotenv")
}

// A value that somebody gives as an argument is refused before it is sent, and is
// not shown once more.
func TestAValueIsNoArgument(t *testing.T) {
	n := newNester(t)
	n.places()
	for _, args := range [][]string{{"API_KEY=hunter2"}, {"API_KEY", "hunter2"}, {"API_KEY=-"}} {
		o := n.fails(exitUsage, "standard input or with --file", append([]string{"vars", "set", "--env", "1"}, args...)...)
		if strings.Contains(o.errOut, "hunter2") {
			t.Errorf("%q is answered with the value: %s", args, o.errOut)
		}
	}
	if got := n.must("vars", "list", "--env", "1"); got != "" {
		t.Errorf("there is %q", got)
	}
}

// A token and a value cannot come from the same standard input: the value would
// be empty.
func TestStandardInputIsForOneThing(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "API_KEY=s3cret")
	token := n.must("tokens", "create", "ci", "--env", "1", "--read-write")
	for _, args := range [][]string{
		{"vars", "set", "API_KEY", "--env", "1"}, {"env", "import", "--env", "1"},
	} {
		n.stdin = token
		n.fails(exitUsage, "standard input has given the token", append(args, "--token-file", "-")...)
	}
	if got := n.must("vars", "get", "API_KEY", "--env", "1"); got != "s3cret" {
		t.Errorf("the value is %q", got)
	}
	n.stdin = token
	if got := n.must("vars", "get", "API_KEY", "--env", "1", "--token-file", "-"); got != "s3cret" {
		t.Errorf("read with that token: %q", got)
	}
}

func TestAnAccountIsMade(t *testing.T) {
	n := newNester(t, open)
	n.stdin = "analytical-1842\n"
	n.fails(exitUsage, "--username is missing", "register", "bob@example.com")
	n.fails(exitFailed, "standard input: the password is empty", "register", "bob@example.com", "--username", "bob")
	n.stdin = "analytical-1842\n"
	if got := n.must("register", "bob@example.com", "--username", "bob"); got != "" {
		t.Errorf("it prints %q", got)
	}
	if got := n.must("whoami"); got != "2\tbob@example.com\tbob\tbob\n" {
		t.Errorf("then one is %q", got)
	}
	n.stdin = "analytical-1842\n"
	n.fails(exitConflict, "email: User with this email already exists", "register", "bob@example.com", "--username", "bob2")
}

// What is typed unseen for the first time is typed twice.
func TestANewPasswordIsAskedForTwice(t *testing.T) {
	n := newNester(t, open)
	for again, want := range map[string]int{"analytical-1842": 0, "analytical-1843": exitFailed} {
		var out, errOut bytes.Buffer
		code := Main(t.Context(), []string{"keynest", "register", "bob@example.com", "--username", "bob"}, Env{
			Stdin:  iotest.OneByteReader(strings.NewReader("analytical-1842\n" + again + "\n")),
			Stdout: &out, Stderr: &errOut, StdinTerminal: true,
			Environ: []string{"HOME=" + t.TempDir(), nest.EnvBaseURL + "=" + n.w.url},
			Hush:    func() (func(), error) { return func() {}, nil },
		})
		if code != want || strings.Contains(errOut.String(), "1842") || want != 0 && !strings.Contains(errOut.String(), "not the same") {
			t.Errorf("%q: %d, %s", again, code, errOut.String())
		}
	}
}

// Two projects of one name are completed as what can be used.
func TestNamesThatAreSharedAreCompletedAsIDs(t *testing.T) {
	n := newNester(t, open)
	n.places()
	for _, line := range [][]string{
		{"projects", "create", "Web", "--org", "1"}, {"env", "create", "production", "--project", "2"}, {"projects", "create", "Shop", "--org", "1"},
	} {
		n.must(line...)
	}
	for _, s := range []struct{ want, args string }{
		{"1/production Web/staging 2/production", "vars list --env"},
		{"1 2 Shop", "projects show"},
		{"table json jsonl yaml raw plain", "projects list -o"},
	} {
		o := n.run(append(append([]string{"__complete"}, strings.Fields(s.args)...), "")...)
		words, _, _ := strings.Cut(o.out, "\n:")
		if got := strings.Join(strings.Fields(words), " "); got != s.want {
			t.Errorf("%s: %q, want %q", s.args, got, s.want)
		}
	}
}

// A user who has told no name is an author all the same.
func TestAVersionHasAnAuthor(t *testing.T) {
	n := newNester(t, open)
	n.places()
	n.set("1", "B=1")
	if got := n.must("versions", "B", "--env", "1"); !strings.Contains(got, "\timported\tAnn\t") && !strings.Contains(got, "\tcreated\tAnn\t") {
		t.Errorf("with a name: %q", got)
	}
	n.stdin = "analytical-1842\n"
	n.must("register", "bob@example.com", "--username", "bob")
	n.must("projects", "create", "Bobs", "--org", "3")
	n.must("env", "create", "production", "--project", "Bobs")
	n.set("Bobs/production", "B=1")
	if got := n.must("versions", "B", "--env", "Bobs/production"); !strings.Contains(got, "\tuser 2\t") {
		t.Errorf("without a name: %q", got)
	}
	if got := n.must("versions", "B", "--env", "Bobs/production", "-o", "json"); !strings.Contains(got, `"created_by": 2`) {
		t.Errorf("as JSON: %s", got)
	}
}
