package cli

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/cmd/covey/nest"
	"github.com/coveydb/covey/layer/vault"
)

// nester is somebody who uses KeyNest's own program, with a home of their own.
type nester struct {
	w       *world
	home    string
	environ []string // more of it
	stdin   string   // of the next call only

	became []string // the command that took the place of the program
	with   []string // and its environment
	end    error    // why no command could
}

// nester makes a user and logs in.
func newNester(t *testing.T, tune ...func(*vault.Config)) *nester {
	t.Helper()
	w := newWorld(t, tune...)
	if o := w.asRootWith(annsPassword, "keynest", "user", "create", "ann@example.com", "--username", "ann", "--first-name", "Ann"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	n := &nester{w: w, home: t.TempDir()}
	n.stdin = annsPassword + "\n"
	n.must("login", "ann@example.com")
	return n
}

func (n *nester) run(args ...string) outcome {
	n.w.t.Helper()
	var out, errOut bytes.Buffer
	stdin := strings.NewReader(n.stdin)
	n.stdin, n.became, n.with = "", nil, nil
	code := Main(n.w.t.Context(), args, Env{
		Stdin: stdin, Stdout: &out, Stderr: &errOut, Version: "v1.2.3", Program: Program([]string{"/usr/bin/keynest"}),
		Environ: append([]string{"HOME=" + n.home, nest.EnvBaseURL + "=" + n.w.url, "COVEY_TIMEOUT=20s", "A=own"}, n.environ...),
		Become: func(_ string, argv, environ []string) (int, error) {
			n.became, n.with = argv, environ
			return 7, n.end
		},
	})
	return outcome{code, out.String(), errOut.String()}
}

// must runs what has to succeed silently, and returns what it printed.
func (n *nester) must(args ...string) string {
	n.w.t.Helper()
	o := n.run(args...)
	if o.code != 0 || o.errOut != "" {
		n.w.t.Fatalf("%q: exit code %d, %s", args, o.code, o.errOut)
	}
	return o.out
}

// fails runs what has to end with a code and a text.
func (n *nester) fails(code int, says string, args ...string) outcome {
	n.w.t.Helper()
	o := n.run(args...)
	if o.code != code || !strings.Contains(o.errOut, says) || o.out != "" {
		n.w.t.Errorf("%q: %+v, want %d and %q", args, o, code, says)
	}
	return o
}

// set makes variables.
func (n *nester) set(env string, lines ...string) {
	n.w.t.Helper()
	n.stdin = strings.Join(lines, "\n") + "\n"
	n.must("env", "import", "--env", env)
}

// places makes Acme with its project Web, and there production (1) and staging (2).
func (n *nester) places() {
	n.w.t.Helper()
	for _, line := range [][]string{
		{"orgs", "create", "Acme"},
		{"projects", "create", "Web", "--org", "Acme"},
		{"env", "create", "production", "--project", "Web", "--type", "production"},
		{"env", "create", "staging", "--project", "Web"},
	} {
		n.must(line...)
	}
}

var (
	times = regexp.MustCompile(`\t20[0-9-]+ [0-9:]+`)
)

func TestAUserWorksWithSecretsOfATeam(t *testing.T) {
	n := newNester(t)
	for _, s := range []struct {
		stdin, want string
		args        []string
	}{
		{"", "1\tann@example.com\tann\tAnn\n", []string{"whoami"}},
		{"", "2\tAcme\n", []string{"orgs", "create", "Acme"}},
		{"", "1\tAnn's Organization\tadmin\t1\t0\tPersonal organization\n2\tAcme\tadmin\t1\t0\t\n", []string{"orgs", "list"}},
		{"", "", []string{"org", "update", "Acme", "--description", "all of us"}},
		{"", "2\tAcme\tadmin\t1\t0\tall of us\n", []string{"organizations", "show", "2"}},
		{"", "1\tWeb\n", []string{"projects", "create", "Web", "--org", "Acme"}},
		{"", "1\tWeb\tAcme\t0\t\n", []string{"projects", "list"}},
		{"", "", []string{"projects", "list", "--org", "1"}},
		{"", "1\tproduction\n", []string{"env", "create", "production", "--project", "Web", "--type", "production"}},
		{"", "2\tstaging\n", []string{"environments", "create", "staging", "--project-id=1"}},
		{"", "1\tproduction\tWeb\tproduction\t0\t\n", []string{"env", "list", "--type", "production"}},
		{"s3cret-1\n", "", []string{"vars", "set", "API_KEY", "--env", "Web/production"}},
		{"", "s3cret-1", []string{"vars", "get", "API_KEY", "--env", "1"}},
		{"s3cret-2\n", "", []string{"vars", "set", "API_KEY", "--env", "Web/production", "--exact"}},
		{"", "s3cret-2\n", []string{"vars", "get", "1"}},
		{"", "2\tAPI_KEY\tupdated\tAnn\ts3cret-2\\n\n1\tAPI_KEY\tcreated\tAnn\ts3cret-1\n", []string{"versions", "API_KEY", "--env", "1", "--values"}},
		{"", "2\tAPI_KEY\tupdated\tAnn\n1\tAPI_KEY\tcreated\tAnn\n", []string{"vars", "versions", "1"}},
		{"", "", []string{"rollback", "API_KEY", "--env", "1", "--version", "1"}},
		{"B=2\n", "", []string{"env", "import", "--environment-id=1"}},
		{"", "1\tAPI_KEY\t3\ts3cret-1\n2\tB\t1\t2\n", []string{"vars", "list", "--env", "1", "--values"}},
		{"", "1\tAPI_KEY\t3\n2\tB\t1\n", []string{"vars", "list", "--env", "1"}},
		{"", "-\tAPI_KEY\n-\tB\n", []string{"diff", "1", "Web/staging"}},
		{"", "+\tAPI_KEY\n+\tB\n", []string{"promote", "Web/production", "Web/staging", "--dry-run"}},
		{"", "+\tB\n", []string{"copy", "1", "2", "--keys", "B"}},
		{"", "+\tAPI_KEY\n", []string{"promote", "Web/production", "2"}},
		{"", "", []string{"env", "diff", "1", "2", "--exit-code"}},
		{"", "", []string{"vars", "rename", "B", "C", "--env", "2"}},
		{"", "-\tB\t2\t\n+\tC\t\t2\n", []string{"diff", "1", "2", "--values"}},
		{"", "-\tC\n+\tB\n", []string{"promote", "1", "2", "--remove-missing", "--yes"}},
		{"", "", []string{"vars", "delete", "B", "--env", "2", "--yes"}},
		{"", "1\tann@example.com\tann\tadmin\n", []string{"members", "list", "--org", "Acme"}},
		{"", "", []string{"project", "delete", "Web", "--yes"}},
		{"", "", []string{"env", "list"}},
	} {
		n.stdin = s.stdin
		if got := times.ReplaceAllString(n.must(s.args...), ""); got != s.want {
			t.Errorf("%q printed %q, want %q", s.args, got, s.want)
		}
	}
}

func TestFilesOfVariablesAreTheirOwnersAlone(t *testing.T) {
	n := newNester(t)
	n.places()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.yaml"), filepath.Join(dir, ".env")
	if err := os.WriteFile(in, []byte("KEY: two words\nB: 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.must("env", "import", "--environment-id=1", "--file="+in)
	n.must("env", "export", "--environment-id=1", "--output="+out)
	info, err := os.Stat(out)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	text, err := os.ReadFile(out)
	if err != nil || !strings.HasSuffix(string(text), "\n\nB=5\nKEY=\"two words\"\n") {
		t.Errorf("%q, %v", text, err)
	}
	if got := n.must("env", "export", "Web/production", "--format", "json"); got != "{\n  \"KEY\": \"two words\",\n  \"B\": \"5\"\n}\n" {
		t.Errorf("%q", got)
	}
	n.fails(exitUsage, "--format json, or --output ./json if a file", "env", "export", "1", "-o", "json")
	n.fails(exitUsage, "exclude each other", "env", "export", "1", "--env", "2")
	n.fails(exitUsage, "none of env, json, yaml", "env", "export", "1", "--format", "xml")
	n.stdin = "KEY=new\n"
	n.fails(exitConflict, "KEY", "env", "import", "--env", "1", "--keep")
	n.stdin = "A=1\nno variable\nC='x\n"
	o := n.fails(exitPartly, "line 2: no = in the line", "env", "import", "--env", "1")
	if !strings.Contains(o.errOut, "1 of 3 done") || strings.Contains(o.errOut, "no variable") {
		t.Errorf("%+v", o)
	}
	n.fails(exitFailed, "no such file", "env", "import", "--env", "1", "--file", filepath.Join(dir, "none"))
}

func TestServiceTokensAreShownOnce(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "A=1")
	token := n.must("tokens", "create", "ci", "--env", "Web/production", "--expires", "30d")
	if !regexp.MustCompile(`^svc_[0-9a-f]{40}\n$`).MatchString(token) {
		t.Fatalf("it printed %q", token)
	}
	var made struct {
		ID    uint64
		Token string
	}
	if text := n.must("tokens", "create", "ci2", "--project", "Web", "--read-write", "-o", "json"); json.Unmarshal([]byte(text), &made) != nil || made.ID != 2 || made.Token == "" {
		t.Errorf("%q", text)
	}
	list := n.must("tokens", "list")
	if got := times.ReplaceAllString(list, ""); got != "1\tci\tenvironment 1\tread-only\t\tnever\n2\tci2\tproject 1\tread-write\t\tnever\tnever\n" || strings.Contains(list, "svc_") {
		t.Errorf("%q", list)
	}
	service := &nester{w: n.w, home: t.TempDir(), stdin: token}
	service.must("config", "set-token")
	if got := service.must("whoami"); !strings.HasPrefix(got, "1\tci\tenvironment 1\tread-only") {
		t.Errorf("%q", got)
	}
	if got := service.must("vars", "get", "A", "--env", "Web/production"); got != "1" {
		t.Errorf("%q", got)
	}
	service.stdin = "2"
	service.fails(exitDenied, "403", "vars", "set", "A", "--env", "1")
	service.fails(exitNotFound, "404", "vars", "list", "--env", "2")
	n.fails(exitUsage, "needs --yes", "tokens", "revoke", "1")
	n.must("tokens", "revoke", "1", "--yes")
	service.fails(exitDenied, "keynest login EMAIL", "whoami")
	for _, args := range [][]string{{"tokens", "create", "x"}, {"tokens", "create", "x", "--env", "1", "--project", "1"}, {"tokens", "revoke", "1x", "--yes"}, {"tokens", "revoke", "0", "--yes"}} {
		n.fails(exitUsage, "Try: keynest tokens "+args[1]+" --help", args...)
	}
}

func TestATokenIsKeptWhereNobodyElseReadsIt(t *testing.T) {
	n := newNester(t)
	path := filepath.Join(n.home, ".config", "keynest", "config.json")
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	p, err := nest.LoadProfile(path)
	if err != nil || len(p.Token) != 40 || !slices.Equal(p.BaseURL, []string{n.w.url}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if out := n.must("config", "show"); strings.Contains(out, p.Token) || !strings.Contains(out, "token\tset, not shown\n") || !strings.Contains(out, path) {
		t.Errorf("%q", out)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	o := n.fails(exitFailed, "others can read or write it (mode 0644). Try: chmod 600 '"+path+"'", "whoami")
	if strings.Contains(o.errOut, p.Token) {
		t.Errorf("%+v", o)
	}
	n.stdin = p.Token
	n.fails(exitFailed, "chmod 600", "config", "set-token")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(p.Token+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	n.fails(exitFailed, "chmod 600 '"+file+"'", "whoami", "--token-file", file)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := n.run("config", "set-token", "x"+p.Token); o.code != 0 || !strings.Contains(o.errOut, "among the arguments") || strings.Contains(o.errOut, p.Token) {
		t.Errorf("as an argument: %+v", o)
	}
	n.fails(exitDenied, "Invalid token.", "whoami")
	n.fails(exitFailed, "the token holds blanks", "config", "set-token", "two words")
	n.fails(exitUsage, "exclude each other", "config", "set-token", "t", "--token-file", file)
	n.must("config", "set-base-url", "http://127.0.0.1:1, "+n.w.url)
	n.fails(exitUsage, "is not a URL", "config", "set-base-url", "ftp://x")
	n.stdin = p.Token + "\n"
	n.must("config", "set-token", "-")
	n.must("logout")
	n.fails(exitDenied, "nobody is logged in. Try: keynest login EMAIL", "whoami")
	if after, err := nest.LoadProfile(path); err != nil || after.Token != "" || len(after.BaseURL) != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	n.environ = []string{nest.EnvToken + "=" + p.Token}
	n.fails(exitDenied, "Invalid token.", "whoami") // the logout has ended it
}

func TestWhereTheServerIs(t *testing.T) {
	n := newNester(t)
	shown := func(environ []string, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Environ: append([]string{"HOME=" + t.TempDir()}, environ...)}
		if strings.HasPrefix(args[0], "keynest ") {
			env.Program, args = programKeyNest, append(strings.Fields(args[0])[1:], args[1:]...)
		}
		if code := Main(t.Context(), args, env); code != 0 {
			t.Fatalf("%q: %d, %s", args, code, errOut.String())
		}
		url, _, _ := strings.Cut(strings.TrimPrefix(out.String(), "base_url\t"), "\n")
		return url
	}
	covey := []string{"keynest", "config", "show"}
	own, kept := "COVEY_ENDPOINT=http://c", "HOME="+n.home
	for _, tt := range []struct {
		want    string
		environ []string
		args    []string
	}{
		{"http://127.0.0.1:8700", nil, covey},
		{"http://localhost:8000", nil, []string{"keynest config show"}},
		{"http://c", []string{own}, covey},
		{"http://k,http://l", []string{own, nest.EnvBaseURL + "=http://k,http://l"}, covey},
		{"http://f", []string{own, nest.EnvBaseURL + "=http://k"}, append(covey, "--base-url", "http://f")},
		{"http://f", []string{nest.EnvBaseURL + "=http://k"}, append(covey, "--endpoint", "http://f")},
		{n.w.url, []string{kept}, covey},
		{n.w.url, []string{kept}, []string{"keynest config show"}},
		{"http://c", []string{kept, own}, covey},
	} {
		if got := shown(tt.environ, tt.args...); got != tt.want {
			t.Errorf("%q with %q: %q, want %q", tt.args, tt.environ, got, tt.want)
		}
	}
}
