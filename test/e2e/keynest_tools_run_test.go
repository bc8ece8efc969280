package e2e

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// stage is a server with an environment of secrets, and what runs commands with
// them.
type stage struct {
	*desk
	server      *server
	ada         *account
	environment int
	values      map[string]string
	drawn       []string // what is secret in the values
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := newKeyNestCluster(t, 1)[0]
	x := &stage{server: s, ada: register(t, s, "ada")}
	draw := func() string {
		x.drawn = append(x.drawn, rand.Text())
		return x.drawn[len(x.drawn)-1]
	}
	x.values = map[string]string{
		"PLAIN": draw(), "BLANKS": " " + draw() + " \t", "LINES": "-----BEGIN-----\n" + draw() + "\n-----END-----\n",
		"QUOTES": `'"` + draw() + "`$HOME\\", "EMPTY": "", "lower_case": draw(), "LONG": strings.Repeat(draw(), 2000),
	}
	_, x.environment = x.ada.environment(s, "acme")
	for key, value := range x.values {
		if key == "lower_case" { // which only an import makes
			x.ada.want(s, 200, "POST", fmt.Sprintf("/api/environments/%d/import/", x.environment), fields{"data": key + "=" + value})
			continue
		}
		x.ada.want(s, 201, "POST", "/api/variables/", fields{"key": key, "value": value, "environment": x.environment})
	}
	x.desk = newDesk(t, "KEYNEST_BASE_URL="+urls([]*server{s}))
	return x
}

// hunt looks for the values and the token.
func (x *stage) hunt() *hunt {
	h := &hunt{}
	for i, text := range x.drawn {
		h.add(fmt.Sprint("value ", i), text)
	}
	h.add("token", x.ada.token)
	return h
}

func (x *stage) none(h *hunt) {
	x.t.Helper()
	for _, where := range slices.Sorted(maps.Keys(h.found)) {
		x.t.Errorf("found: %s", where)
	}
	if h.looked == 0 {
		x.t.Error("nothing was looked at")
	}
}

// run is `covey keynest run` with arguments behind it.
func (x *stage) run(args ...string) []string {
	return append([]string{"keynest", "run", "--env", fmt.Sprint(x.environment)}, args...)
}

// A command gets the variables of an environment, byte by byte, and nothing of
// them is on a disk: no file comes, goes or changes where the program may write.
func TestACommandGetsItsVariablesAndNoDiskDoes(t *testing.T) {
	t.Parallel()
	x := newStage(t)
	token := x.file("token", x.ada.token+"\n")
	ways := map[string]struct {
		env, stdin string
		args       []string
	}{
		"token from a file":           {args: []string{"--token-file", token}},
		"token from a file, by name":  {env: "KEYNEST_TOKEN_FILE=" + token},
		"token from standard input":   {stdin: x.ada.token, args: []string{"--token-file", "-"}},
		"token of the caller's own":   {env: "KEYNEST_TOKEN=" + x.ada.token},
		"caller has another variable": {env: "PLAIN=other", args: []string{"--token-file", token}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			d := *x.desk
			d.t, d.env = t, append(slices.Clip(x.env), way.env)
			before := d.listing()
			shown := d.want(way.stdin, "covey", x.run(append(way.args, "--", "env")...)...)
			exact := d.want(way.stdin, "covey", x.run(append(way.args, "--", "env", "-0")...)...)
			d.untouched(before)
			got := map[string]string{}
			for kv := range strings.SplitSeq(exact, "\x00") {
				name, value, _ := strings.Cut(kv, "=")
				if _, twice := got[name]; twice {
					t.Errorf("%s is there twice", name)
				}
				got[name] = value
			}
			for key, value := range x.values {
				if got[key] != value {
					t.Errorf("%s is %q, want %q", key, got[key], value)
				}
				if !strings.Contains(shown, key+"="+value+"\n") {
					t.Errorf("env does not show %s", key)
				}
			}
			if strings.Contains(exact, x.ada.token) {
				t.Error("the command got the token")
			}
		})
	}
}

// While the program asks the server, and while the command runs, the system
// shows no secret to others: not in a command line, and in an environment only
// where the command itself has it. The command inherits no open file.
func TestTheListOfProcessesShowsNoSecret(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	x := newStage(t)
	token := x.file("token", x.ada.token+"\n")
	asked, seen := make(chan struct{}), make(chan struct{})
	x.env = []string{"KEYNEST_BASE_URL=" + x.held(asked, seen)}
	h, marker := x.hunt(), rand.Text()
	h.add("marker", marker) // is in the command line, for the hunt to find
	cmd := x.command("covey", x.run("--token-file", token, "--", "sh", "-c", "echo ready; read line", marker)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	await(t, asked)
	processes(t, h, 0)
	const place = "marker in cmdline of a process"
	if !h.found[place] {
		t.Errorf("no %s", place)
	}
	close(seen)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the command printed %q, %v", line, err)
	}
	if value := processes(t, h, cmd.Process.Pid); !strings.Contains(value, "PLAIN="+x.values["PLAIN"]+"\x00") {
		t.Error("the command's own environment does not have the variables: the hunt has looked in the wrong place")
	} else if strings.Contains(value, x.ada.token) {
		t.Error("the command's environment has the token")
	}
	inherited(t, cmd.Process.Pid)
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 { // so read ends where its input does
		t.Errorf("the command ended with %v", err)
	}
	delete(h.found, place)
	x.none(h)
}

// held returns the URL of a proxy that tells of each request, and brings it to the
// server when it may.
func (x *stage) held(asked chan<- struct{}, may <-chan struct{}) string {
	x.t.Helper()
	target, err := url.Parse("http://" + x.server.http)
	if err != nil {
		x.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		case <-may:
		}
		<-may
		proxy.ServeHTTP(w, r)
	}))
	x.t.Cleanup(front.Close)
	return front.URL
}

// inherited checks that a process has no file open beside its three streams and
// what the tests themselves were given.
func inherited(t *testing.T, pid int) {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil || len(open) < 3 {
		t.Fatalf("%d open files, %v", len(open), err)
	}
	for _, fd := range open {
		number := fd.Name()
		file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, number))
		given, _ := os.Readlink("/proc/self/fd/" + number)
		if !slices.Contains([]string{"0", "1", "2"}, number) && (err != nil || file != given) {
			t.Errorf("the command has %s open as %s (%v)", file, number, err)
		}
	}
}

func await(t *testing.T, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(patience):
		t.Fatal("nothing happened for 20 s")
	}
}

// processes looks at the command lines and environments of all processes of this
// machine, but for the environment of one, which it returns.
func processes(t *testing.T, h *hunt, except int) (environ string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d processes, %v", len(all), err)
	}
	for _, dir := range all {
		for _, name := range []string{"cmdline", "environ"} {
			p, err := os.ReadFile(filepath.Join(dir, name))
			switch {
			case err != nil: // it has ended, or is another user's
			case name == "environ" && dir == fmt.Sprint("/proc/", except):
				environ = string(p)
			default:
				h.in(name+" of a process", p)
			}
		}
	}
	return environ
}

// The command takes the place of the program: its exit code is the one that is
// seen, a signal's too, and what cannot be run has the codes of shells.
func TestAnExitCodePassesThroughRun(t *testing.T) {
	t.Parallel()
	x := newStage(t)
	x.env = append(x.env, "KEYNEST_TOKEN="+x.ada.token)
	plain := x.file("plain", "no program")
	for name, c := range map[string]struct {
		command []string
		code    int
	}{
		"success":          {[]string{"true"}, 0},
		"seven":            {[]string{"sh", "-c", "exit 7"}, 7},
		"255":              {[]string{"sh", "-c", "exit 255"}, 255},
		"ended by TERM":    {[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		"ended by KILL":    {[]string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
		"no such command":  {[]string{"no-such-command-of-any-kind"}, 127},
		"not to be run":    {[]string{plain}, 126},
		"flags of its own": {[]string{"sh", "-c", `test "$1 $2" = "--env 9" || exit 3`, "sh", "--env", "9"}, 0},
		"its arguments":    {[]string{"sh", "-c", `test "$1" = '$PLAIN *' || exit 3`, "sh", "$PLAIN *"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			// Through a shell, as 128 and the signal are what shells make of it.
			args := append([]string{"-c", `"$@"; exit $?`, "sh", "covey"}, x.run(append([]string{"--"}, c.command...)...)...)
			if code, out, told := x.try("", "sh", args...); code != c.code {
				t.Errorf("exit code %d, want %d: %s%s", code, c.code, out, told)
			}
		})
	}
}

// Without a server a command runs with the copy that was asked for, which holds
// no secret in clear and opens with its own token alone; and without one it does
// not run at all.
func TestACommandRunsFromItsCopyWithoutAServer(t *testing.T) {
	t.Parallel()
	x := newStage(t)
	token := x.file("token", x.ada.token+"\n")
	other := x.file("other", strings.Repeat("a", 40))
	kept := filepath.Join(x.root, "work", "copy")
	print := []string{"--", "sh", "-c", `printf %s "$PLAIN"`}
	args := func(token string, more ...string) []string {
		return x.run(append(append([]string{"--token-file", token, "--timeout", "1s"}, more...), print...)...)
	}
	x.want("", "covey", args(token, "--fallback", kept)...)
	if info, err := os.Stat(kept); err != nil || info.Mode() != 0o600 {
		t.Errorf("the copy: %v %v, want mode 600", info, err)
	}
	h := x.hunt()
	if err := h.files("the copy", x.work); err != nil {
		t.Fatal(err)
	}
	x.none(h)

	x.server.kill()
	before := x.listing()
	if code, out, told := x.try("", "covey", args(token)...); code != 6 || out != "" {
		t.Errorf("without a copy: exit code %d, want 6: %s%s", code, out, told)
	}
	code, out, told := x.try("", "covey", args(token, "--fallback", kept)...)
	if code != 0 || out != x.values["PLAIN"] || !strings.Contains(told, "the variables are those of ") {
		t.Errorf("from the copy: exit code %d: %q %q", code, out, told)
	}
	if code, out, told := x.try("", "covey", args(other, "--fallback", kept)...); code != 6 || out != "" {
		t.Errorf("with another token: exit code %d, want 6: %s%s", code, out, told)
	}
	x.untouched(before)

	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, told := x.try("", "covey", args(token, "--fallback", kept)...); code == 0 || out != "" || !strings.Contains(told, "chmod 600 '"+token+"'") {
		t.Errorf("with a token that others can read: exit code %d, %s%s", code, out, told)
	}
}
