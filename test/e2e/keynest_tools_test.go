package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// desk is where somebody works with the tools: a home, a folder for temporary
// files and one to work in, all empty at first, and a PATH that begins with the
// program by the name of keynest.
type desk struct {
	t          testing.TB
	root, work string
	env        []string // besides that of the desk
}

func newDesk(t testing.TB, env ...string) *desk {
	t.Helper()
	d := &desk{t: t, root: t.TempDir(), env: env}
	d.work = filepath.Join(d.root, "work")
	for _, dir := range []string{"home", "config", "cache", "data", "state", "runtime", "tmp", "work"} {
		if err := os.Mkdir(filepath.Join(d.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// urls is where tools find a cluster.
func urls(servers []*server) string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = "http://" + s.http
	}
	return strings.Join(all, ",")
}

// command is a command at the desk. It does not inherit the environment of the
// tests, but for where programs are.
func (d *desk) command(name string, args ...string) *exec.Cmd {
	d.t.Helper()
	bin := filepath.Join(filepath.Dir(binary), "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		d.t.Fatal(err)
	}
	for _, program := range []string{"keynest", "covey"} {
		if err := os.Symlink(binary, filepath.Join(bin, program)); err != nil && !errors.Is(err, fs.ErrExist) {
			d.t.Fatal(err)
		}
	}
	path := name
	if name == "keynest" || name == "covey" {
		path = filepath.Join(bin, name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = d.work
	cmd.Env = []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + filepath.Join(d.root, "home")}
	for name, dir := range map[string]string{
		"XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state",
		"XDG_RUNTIME_DIR": "runtime", "TMPDIR": "tmp",
	} {
		cmd.Env = append(cmd.Env, name+"="+filepath.Join(d.root, dir))
	}
	cmd.Env = append(cmd.Env, d.env...)
	return cmd
}

// try runs a command that gets stdin, and returns its exit code, -1 for a signal.
func (d *desk) try(stdin, name string, args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	cmd := d.command(name, args...)
	var out, told strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &told
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), told.String()
}

// want runs a command that must end well, and returns what it prints.
func (d *desk) want(stdin, name string, args ...string) string {
	d.t.Helper()
	code, out, told := d.try(stdin, name, args...)
	if code != 0 {
		d.t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), code, out, told)
	}
	return out
}

// file makes a file that is its owner's alone, and returns its path.
func (d *desk) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.root, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// listing is all that is at the desk: what files hold, and of folders when an
// entry of them last came or went. One that was there for a moment shows, too.
func (d *desk) listing() map[string]string {
	d.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(d.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprint(info.Mode(), " ", info.ModTime().UnixNano())
		if entry.IsDir() {
			return nil
		}
		p, err := os.ReadFile(path)
		all[path] += "\n" + string(p)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// touched returns what is not as it was in an earlier listing.
func (d *desk) touched(before map[string]string) (paths []string) {
	d.t.Helper()
	after := d.listing()
	for path, is := range after {
		if was, ok := before[path]; !ok || was != is {
			paths = append(paths, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// untouched fails the test for each file and folder that is not as it was.
func (d *desk) untouched(before map[string]string) {
	d.t.Helper()
	for _, path := range d.touched(before) {
		d.t.Errorf("%s was touched", path)
	}
}

func TestADeskTellsWhatCameAndWent(t *testing.T) {
	d := newDesk(t)
	file, folder := d.file("file", "text"), filepath.Join(d.root, "tmp")
	past := time.Now().Add(-time.Hour)
	for what, c := range map[string]struct {
		do   func() error
		want []string
	}{
		"nothing": {func() error { return nil }, nil},
		"a read":  {func() error { _, err := os.ReadFile(file); return err }, nil},
		"a file for a moment": {func() error {
			p := filepath.Join(folder, "x")
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Remove(p))
		}, []string{folder}},
		"another text":             {func() error { return os.WriteFile(file, []byte("next"), 0o600) }, []string{file}},
		"a mode":                   {func() error { return os.Chmod(file, 0o640) }, []string{file}},
		"a file that is new":       {func() error { return os.WriteFile(filepath.Join(folder, "new"), nil, 0o600) }, []string{folder, filepath.Join(folder, "new")}},
		"a file that is gone":      {func() error { return os.Remove(file) }, []string{d.root, file}},
		"a folder that is emptied": {func() error { return os.RemoveAll(folder) }, []string{d.root, folder}},
	} {
		for _, path := range []string{folder, d.root} {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		d.file("file", "text")
		for _, path := range []string{file, folder, d.root} {
			if err := errors.Join(os.Chmod(path, 0o700), os.Chtimes(path, past, past)); err != nil {
				t.Fatal(err)
			}
		}
		before := d.listing()
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := d.touched(before); !slices.Equal(got, c.want) {
			t.Errorf("%s touches %q, want %q", what, got, c.want)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
}

// documented returns the blocks of docs/keynest-tools.md that show what the
// document shows, by their languages.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/keynest-tools.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## As in the document\n")
	if !ok {
		t.Fatal("there is no section of what the document shows")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := map[string]string{}
	for i, part := range strings.Split(section, "```") {
		if language, code, _ := strings.Cut(part, "\n"); i%2 == 1 {
			blocks[language] = code
		}
	}
	if got := slices.Sorted(maps.Keys(blocks)); !slices.Equal(got, []string{"js", "python", "sh"}) {
		t.Fatalf("blocks in %v", got)
	}
	return blocks
}

// documentToken stands in the document where a token has to be put.
const documentToken = "your-token-here"

// What the document of KeyNest prints for its tools runs as printed. Only the
// token is put in, and the environment says where the server is.
func TestTheBlocksOfTheDocumentRunAsPrinted(t *testing.T) {
	t.Parallel()
	blocks := documented(t)
	servers := newKeyNestCluster(t, 3)
	newest := func(t *testing.T, a *account, environment int) string {
		t.Helper()
		return a.exported(servers[2], environment)["NEW_SECRET"]
	}
	ada := register(t, servers[0], "ada")
	_, environment := ada.environment(servers[1], "acme")
	if environment != 1 {
		t.Fatalf("the environment is %d, the document says 1", environment)
	}
	variable := ada.want(servers[0], 201, "POST", "/api/variables/",
		fields{"key": "API_KEY", "value": "sk live $1\n", "environment": environment}).number("id")
	d := newDesk(t, "KEYNEST_BASE_URL="+urls(servers))

	t.Run("command line", func(t *testing.T) { documentedLines(t, d, ada, servers, variable, blocks["sh"]) })
	t.Run("Python", func(t *testing.T) {
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("this machine has no python3")
		}
		d := newDesk(t, "KEYNEST_BASE_URL="+urls(servers), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+repository(t, "sdk/python/src"))
		out := d.want(strings.ReplaceAll(blocks["python"], documentToken, ada.token)+
			"\nprint([p['name'] for p in projects], [v['key'] for v in variables])\n", "python3", "-W", "error", "-")
		if got := strings.TrimSpace(out); got != "['acme'] ['API_KEY']" {
			t.Errorf("it read %s", got)
		}
		if got := newest(t, ada, environment); got != "secret_value" {
			t.Errorf("it made %q", got)
		}
	})
	t.Run("Node", func(t *testing.T) {
		if _, err := exec.LookPath("node"); err != nil {
			t.Skip("this machine has no node")
		}
		// Both blocks make the same variable, so that of the other goes first.
		page := ada.want(servers[0], 200, "GET", "/api/variables/?key=NEW_SECRET", nil)
		if all, _ := page.object["results"].([]any); len(all) == 1 {
			made, _ := all[0].(map[string]any)
			ada.want(servers[0], 204, "DELETE", fmt.Sprintf("/api/variables/%v/", made["id"]), nil)
		}
		d := newDesk(t, "KEYNEST_BASE_URL="+urls(servers))
		installed := filepath.Join(d.work, "node_modules", "@keynest")
		if err := os.MkdirAll(installed, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(repository(t, "sdk/node"), filepath.Join(installed, "sdk")); err != nil {
			t.Fatal(err)
		}
		out := d.want(strings.ReplaceAll(blocks["js"], documentToken, ada.token)+
			"\nconsole.log(projects.map(p => p.name), variables.map(v => v.key));\n", "node", "--input-type=module", "-")
		if got := strings.TrimSpace(out); got != "[ 'acme' ] [ 'API_KEY' ]" {
			t.Errorf("it read %s", got)
		}
		if got := newest(t, ada, environment); got != "secret_value" {
			t.Errorf("it made %q", got)
		}
	})
}

// repository is the path of something of this repository.
func repository(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join("../..", path))
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// documentedLines runs the lines of the command line one by one, as a shell does,
// and looks at what each has done.
func documentedLines(t *testing.T, d *desk, a *account, servers []*server, variable int, block string) {
	profile, file := filepath.Join(d.root, "config", "keynest", "config.json"), filepath.Join(d.work, ".env")
	owners := func(path, holds string) {
		t.Helper()
		p, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(p), holds) {
			t.Errorf("%s does not hold what it should (%v)", path, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v, want mode 600", path, info.Mode(), err)
		}
	}
	at := fmt.Sprintf("/api/variables/%d/", variable)
	checks := map[string]func(out string){
		"keynest config set-token " + documentToken: func(string) { owners(profile, a.token) },
		"keynest projects list": func(out string) {
			if !strings.Contains(out, "acme") {
				t.Errorf("projects: %s", out)
			}
		},
		"keynest env export --environment-id=1 --output=.env": func(string) {
			owners(file, `API_KEY="sk live \$1\n"`)
			a.want(servers[1], 200, "PATCH", at, fields{"value": "changed since"})
		},
		"keynest env import --environment-id=1 --file=.env": func(string) {
			if got := a.want(servers[2], 200, "GET", at, nil).string("decrypted_value"); got != "sk live $1\n" {
				t.Errorf("after the import it is %q", got)
			}
		},
	}
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		check, ok := checks[line]
		if !ok {
			t.Fatalf("%q is not in the document", line)
		}
		delete(checks, line)
		check(d.want("", "sh", "-c", strings.ReplaceAll(line, documentToken, a.token)))
	}
	for line := range checks {
		t.Errorf("%q is not shown", line)
	}
}
