package cli

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/nest"
)

func TestNamesAreCompletedFromTheServer(t *testing.T) {
	n := newNester(t)
	n.places()
	n.set("1", "API_KEY=1", "API_URL=2", "B=3")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"Web/production\nWeb/staging\n", []string{"run", "--env", ""}},
		{"Web/staging\n", []string{"env", "export", "Web/s"}},
		{"Acme\n", []string{"members", "list", "--org", "Ac"}},
		{"Web\n", []string{"projects", "show", ""}},
		{"API_KEY\nAPI_URL\n", []string{"vars", "get", "--env", "Web/production", "API"}},
		{"", []string{"vars", "get", "API"}},
		{"", []string{"vars", "get", "--env", "1", "B", ""}},
		{"Web/production\nWeb/staging\n", []string{"promote", "1", ""}},
		{"", []string{"promote", "1", "2", ""}},
		{"admin\neditor\nviewer\n", []string{"members", "invite", "--role", ""}},
		{"", []string{"run", "--base-url", "http://127.0.0.1:1", "--timeout", "300ms", "--env", ""}},
	} {
		o := n.run(append([]string{"__complete"}, tt.args...)...)
		got, directive, _ := strings.Cut(o.out, ":")
		if o.code != 0 || got != tt.want || directive != "4\n" {
			t.Errorf("%q: %+v, want %q", tt.args, o, tt.want)
		}
	}
	if script := n.must("completion", "bash"); !strings.Contains(script, "__start_keynest") {
		t.Error("the script is not for this program")
	}
}

func TestBothProgramsHaveTheSameVerbs(t *testing.T) {
	verbs := func(program string) []string {
		a := &app{env: Env{Program: program}}
		root := a.newRoot()
		if program == "" {
			root, _, _ = root.Find([]string{"keynest"})
		}
		var names []string
		for _, cmd := range root.Commands() {
			if name := cmd.Name(); name != "completion" && name != "version" && name != "help" {
				names = append(names, name)
			}
		}
		return names
	}
	own, covey := verbs(programKeyNest), verbs("")
	if !slices.Equal(own, covey) || len(own) < 15 {
		t.Errorf("keynest has %q\ncovey keynest has %q", own, covey)
	}
	for _, name := range []string{"keynest", "/usr/local/bin/keynest", "KeyNest.exe", "./keynest"} {
		if Program([]string{name}) != programKeyNest {
			t.Errorf("%s is not that program", name)
		}
	}
	if Program([]string{"covey"}) != "" || Program(nil) != "" {
		t.Error("another program is")
	}
}

func TestSecretsAreAskedForOnATerminal(t *testing.T) {
	n := newNester(t)
	hushed := 0
	var out, errOut bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(annsPassword + "\n"), Stdout: &out, Stderr: &errOut, StdinTerminal: true,
		Environ: []string{"HOME=" + t.TempDir(), nest.EnvBaseURL + "=" + n.w.url},
		Hush:    func() (func(), error) { hushed++; return func() { hushed += 10 }, nil },
	}
	if code := Main(t.Context(), []string{"keynest", "login", "ann@example.com"}, env); code != 0 || hushed != 11 || errOut.String() != "Password: \n" {
		t.Errorf("%d, %d, %q", code, hushed, errOut.String())
	}
	env.Stdin, env.Hush = strings.NewReader("x\n"), nil
	if code := Main(t.Context(), []string{"keynest", "config", "set-token"}, env); code != exitUsage {
		t.Errorf("a terminal that shows it: %d", code)
	}
}

// The documentation names each verb, and its examples are command lines that can
// be read.
func TestTheDocsAreOfThisCommandLine(t *testing.T) {
	text, err := os.ReadFile("../../../docs/keynest-tools.md")
	if err != nil {
		t.Fatal(err)
	}
	_, docs, ok := strings.Cut(string(text), "\n## Command line\n")
	docs, _, _ = strings.Cut(docs, "\n## Go\n")
	if !ok {
		t.Fatal("there is no such section")
	}
	newRoot := func() *cobra.Command { return (&app{env: Env{Program: programKeyNest}}).newRoot() }
	for _, cmd := range newRoot().Commands() {
		if name := cmd.Name(); name != "help" && name != "version" && !regexp.MustCompile("`"+name+"[ `]").MatchString(docs) {
			t.Errorf("%s is not there", name)
		}
		for _, verb := range cmd.Commands() {
			if cmd.Name() == "user" {
				break // the operator's are elsewhere
			}
			if !regexp.MustCompile("[` ]" + verb.Name() + "[` ]").MatchString(docs) {
				t.Errorf("%s %s is not there", cmd.Name(), verb.Name())
			}
		}
	}
	lines := 0
	for _, line := range regexp.MustCompile(`(?m)(?:^|\| )keynest (.*)$`).FindAllStringSubmatch(docs, -1) {
		words, _, _ := strings.Cut(line[1], "#")
		words, _, _ = strings.Cut(words, " >")
		cmd, rest, err := newRoot().Find(strings.Fields(words))
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.Args(cmd, cmd.Flags().Args())
		}
		if err != nil || !cmd.Runnable() || cmd.HasSubCommands() {
			t.Errorf("keynest %s: %v", line[1], err)
		}
		lines++
	}
	if lines < 8 {
		t.Errorf("%d lines", lines)
	}
}
