package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func flags(args ...string) (*pflag.FlagSet, error) {
	fs := pflag.NewFlagSet("covey", pflag.ContinueOnError)
	fs.String("data-dir", "default", "")
	fs.StringSlice("join", nil, "")
	fs.Int("bootstrap-expect", 1, "")
	fs.Bool("insecure", false, "")
	fs.Duration("heartbeat", time.Second, "")
	fs.Duration("root-key-age", time.Second, "")
	fs.Bool("yes", false, "")
	CallOnly(fs, "yes")
	return fs, fs.Parse(args)
}

var known = []string{"data-dir", "join", "bootstrap-expect", "insecure", "heartbeat", "root-key-age", "endpoint"}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "covey.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedenceIsFlagEnvironmentFileDefault(t *testing.T) {
	tests := []struct {
		name, flag, env, file, want string
	}{
		{"nothing set", "", "", "", "default"},
		{"file alone", "", "", "file", "file"},
		{"environment over file", "", "env", "file", "env"},
		{"flag over both", "flag", "env", "file", "flag"},
		{"flag over environment", "flag", "env", "", "flag"},
		{"an empty variable counts as unset", "", "", "file", "file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var args []string
			if tt.flag != "" {
				args = []string{"--data-dir", tt.flag}
			}
			fs, err := flags(args...)
			if err != nil {
				t.Fatal(err)
			}
			src := Sources{Environ: []string{"COVEY_DATA_DIR=" + tt.env}}
			if tt.file != "" {
				src.File = file(t, "data_dir: "+tt.file)
			}
			if err := Apply(fs, known, src); err != nil {
				t.Fatal(err)
			}
			if got, _ := fs.GetString("data-dir"); got != tt.want {
				t.Errorf("data-dir = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEveryTypeOfValueIsRead(t *testing.T) {
	fs, err := flags()
	if err != nil {
		t.Fatal(err)
	}
	src := Sources{
		Environ: []string{"COVEY_JOIN=a:1,b:2", "COVEY_YES=true", "OTHER=x"},
		File:    file(t, "bootstrap_expect: 3\ninsecure: true\nheartbeat: 250ms\nendpoint: [x, y]\n"),
	}
	if err := Apply(fs, known, src); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	fs.VisitAll(func(f *pflag.Flag) { got[f.Name] = f.Value.String() })
	want := map[string]string{
		"data-dir": "default", "join": "[a:1,b:2]", "bootstrap-expect": "3", "insecure": "true",
		"heartbeat": "250ms", "root-key-age": "1s", "yes": "false", // a flag of one call has no variable
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListInTheFileIsAListOfTheFlag(t *testing.T) {
	fs, _ := flags()
	if err := Apply(fs, known, Sources{File: file(t, "join:\n  - a:1\n  - b:2\n")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := fs.GetStringSlice("join"); len(got) != 2 || got[1] != "b:2" {
		t.Errorf("join = %q", got)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	tests := []struct {
		name, file, env, want string
	}{
		{"unknown name with a near one", "data_dri: x", "", `unknown setting "data_dri", did you mean "data_dir"?`},
		{"hyphen instead of underscore", "bootstrap-expect: 3", "", `did you mean "bootstrap_expect"?`},
		{"unknown name with no near one", "colour: red", "", `unknown setting "colour"`},
		{"wrong type in the file", "bootstrap_expect: three", "", `"three" is not a valid int`},
		{"wrong type in the environment", "", "COVEY_HEARTBEAT=fast", `COVEY_HEARTBEAT in the environment: "fast" is not a valid duration`},
		{"a mapping", "join: {a: 1}", "", "line 1: join must be one value or a list of values"},
		{"no value", "data_dir:", "", "data_dir has no value"},
		{"not YAML", "{", "", "covey.yaml"},
		{"twice the same name", "insecure: true\ninsecure: false", "", "already defined"},
		{"one value, not a mapping", "# mine\ndata_dir", "", "line 2: settings are needed, one a line"},
		{"a list, not a mapping", "[a, b]", "", "line 1: settings are needed, one a line"},
		{"two documents", "insecure: true\n---\ninsecure: false\n", "", "more than one document"},
		{"a time without a unit", "heartbeat: 5", "", `"5" is not a valid duration: it is a time with its unit`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs, _ := flags()
			src := Sources{Environ: []string{tt.env}}
			if tt.file != "" {
				src.File = file(t, tt.file)
			}
			err := Apply(fs, known, src)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
		})
	}
	t.Run("no such file", func(t *testing.T) {
		fs, _ := flags()
		if err := Apply(fs, known, Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
			t.Error("a missing file was accepted")
		}
	})
	t.Run("a value that may be a secret is not shown", func(t *testing.T) {
		fs, _ := flags()
		err := Apply(fs, known, Sources{Environ: []string{"COVEY_ROOT_KEY_AGE=hunter2"}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestUnknownVariablesAreFound(t *testing.T) {
	got := UnknownVariables([]string{"COVEY_DATADIR=x", "COVEY_DATA_DIR=y", "PATH=z", "COVEY_ROOT_KEY=k", "COVEY_X=1"},
		known, []string{"COVEY_ROOT_KEY"})
	want := []string{"COVEY_DATADIR (did you mean COVEY_DATA_DIR?)", "COVEY_X"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"a-b", "a_b", 0}, {"same", "same", 0}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("data_dir: x\njoin: [a, b]\n"))
	f.Add([]byte("a: &x 1\nb: *x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, _, err := parse(text)
		for name, v := range l {
			if _, ok := v.(string); !ok || err != nil {
				t.Errorf("%q is a %T, err %v", name, v, err)
			}
		}
	})
}
