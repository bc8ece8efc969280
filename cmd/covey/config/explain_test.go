package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEverySettingSaysWhereItComesFrom(t *testing.T) {
	fs, err := flags("--data-dir", "from-flag")
	if err != nil {
		t.Fatal(err)
	}
	given := func(flag string) bool { return flag == "data-dir" }
	src := Sources{Environ: []string{"COVEY_INSECURE=true", "COVEY_DATA_DIR=lost"}, File: file(t, "# a comment\nheartbeat: 2s\njoin:\n  - a:1\n  - b:2\ninsecure: false\n")}
	if err := Apply(fs, known, src); err != nil {
		t.Fatal(err)
	}
	settings, err := Explain(fs, given, src)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range settings {
		got[s.Name] = s.Value + " from " + strings.Replace(s.From, filepath.Dir(src.File)+"/", "", 1)
	}
	want := map[string]string{
		"data_dir": "from-flag from --data-dir", "insecure": "true from COVEY_INSECURE", "heartbeat": "2s from covey.yaml:2",
		"join": "a:1,b:2 from covey.yaml:3", "bootstrap_expect": "1 from default", "root_key_age": "1s from default",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPasswordInURLIsNotShown(t *testing.T) {
	fs, err := flags("--data-dir", "s3://me:hunter2@host/bucket")
	if err != nil {
		t.Fatal(err)
	}
	if got := Text(fs.Lookup("data-dir")); strings.Contains(got, "hunter2") || !strings.Contains(got, "host/bucket") {
		t.Errorf("Text = %q", got)
	}
}

func TestCheckFindsEverythingAtOnceWithLines(t *testing.T) {
	path := file(t, "insecure: maybe\ndata_dri: x\n# a comment\nheartbeat: soon\nendpoint: y\ncolour: red\ndata_dir: {a: b}\njoin:\n")
	fs, _ := flags()
	want := []Problem{
		{From: path + ":1", Line: 1, Name: "insecure", Text: "\"maybe\" is not a valid bool"},
		{From: path + ":2", Line: 2, Name: "data_dri", Text: `unknown setting "data_dri", did you mean "data_dir"?`},
		{From: path + ":4", Line: 4, Name: "heartbeat", Text: "\"soon\" is not a valid duration"},
		{From: path + ":6", Line: 6, Name: "colour", Text: `unknown setting "colour"`},
		{From: path + ":7", Line: 7, Name: "data_dir", Text: "must be one value or a list of values"},
		{From: path + ":8", Line: 8, Name: "join", Text: "has no value"},
		{From: "COVEY_BOOTSTRAP_EXPECT", Name: "bootstrap_expect", Text: "\"three\" is not a valid int"},
		{From: "COVEY_ROOT_KEY_AGE", Name: "root_key_age", Text: "the value is not a valid duration"},
	}
	got := Check(fs, known, Sources{File: path, Environ: []string{"COVEY_BOOTSTRAP_EXPECT=three", "COVEY_ROOT_KEY_AGE=hunter2"}})
	for i := range got {
		got[i].Text, _, _ = strings.Cut(got[i].Text, ": ") // the parser's own words follow
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Run("what is right is set, a list of the environment in the place of the file's", func(t *testing.T) {
		fs, _ := flags("--heartbeat", "7s")
		src := Sources{File: file(t, "join: [a, b]\nbootstrap_expect: x\ninsecure: true\nheartbeat: 9s\n"), Environ: []string{"COVEY_JOIN=c"}}
		if got := Check(fs, known, src); len(got) != 1 {
			t.Errorf("%+v", got)
		}
		for name, want := range map[string]string{"join": "[c]", "bootstrap-expect": "1", "insecure": "true", "heartbeat": "7s"} {
			if got := fs.Lookup(name).Value.String(); got != want {
				t.Errorf("%s = %s, want %s", name, got, want)
			}
		}
	})
	t.Run("a file that cannot be read is one problem", func(t *testing.T) {
		fs, _ := flags()
		if got := Check(fs, known, Sources{File: file(t, "a: [")}); len(got) != 1 || got[0].Line != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a good file has none", func(t *testing.T) {
		fs, _ := flags()
		if got := Check(fs, known, Sources{File: file(t, "data_dir: x\njoin: [a]\n")}); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Every name that parse takes has a line: a problem without one would point
// nowhere.
func FuzzLineNumbers(f *testing.F) {
	f.Add([]byte("data_dir: x\njoin:\n  - a\n"))
	f.Add([]byte("\n\n\"a b\": 1\n? c\n: d\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, _, err := parse(text)
		if err != nil {
			return
		}
		lines := lineNumbers(text)
		count := 1 + slices.Index(append(text, '\n'), '\n') + len(text)
		for name := range l {
			if n := lines[name]; n < 1 || n > count {
				t.Errorf("%q has line %d", name, n)
			}
		}
	})
}
