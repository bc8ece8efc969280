package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProgramCalledKOTIsItsCommand(t *testing.T) {
	for _, tt := range [][2][]string{
		{{"covey", "version"}, {"version"}},
		{{"/usr/bin/KOT", "api", "p"}, {"kot", "api", "p"}},
		{{"kot"}, {"kot"}},
		{{"Kot.EXE", "--help"}, {"kot", "--help"}},
		{{"kot2", "x"}, {"x"}},
		{{"kot.sh", "x"}, {"x"}},
		{{}, nil},
	} {
		if diff := cmp.Diff(tt[1], Args(tt[0])); diff != "" {
			t.Errorf("%q: %s", tt[0], diff)
		}
	}
}

// settled returns what the flags of kot api come to.
func settled(t *testing.T, environ []string, args ...string) (kotFlags, error) {
	t.Helper()
	a := &app{env: Env{Environ: environ, Stderr: new(bytes.Buffer)}}
	a.root = a.newRoot()
	cmd, _, err := a.root.Find([]string{"kot", "api"})
	if err != nil {
		t.Fatal(err)
	}
	var f kotFlags
	cmd.ResetFlags()
	f.add(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := a.fill(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	return f, f.settle(cmd.Flags())
}

func TestKOTsFlagsAreThoseOfServe(t *testing.T) {
	type node struct {
		addr, restricted, limit, dir, id, http string
		expect                                 int
	}
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want node
	}{
		{"nothing", nil, nil, node{"localhost:5000", "", "off", "kot-data", "kot", "127.0.0.1:8700", 1}},
		{"the document's example", nil, []string{"--host", "0.0.0.0", "--port", "5001", "--restricted", "set, get", "--rate_limit", "5 per hour, 1 per minute", "--folder", "x"},
			node{"0.0.0.0:5001", "set, get", "5 per hour, 1 per minute", "x", "kot", "127.0.0.1:8700", 1}},
		{"a dash", nil, []string{"--rate-limit=5/hour"}, node{"localhost:5000", "", "5/hour", "kot-data", "kot", "127.0.0.1:8700", 1}},
		{"serve's names", nil, []string{"--kot-addr", "h:1", "--kot-restricted", "set", "--kot-rate-limit", "document", "--data-dir", "y", "--id", "n", "--bootstrap-expect", "3", "--http-addr", "h:2"},
			node{"h:1", "set", "document", "y", "n", "h:2", 3}},
		{"the environment", []string{"COVEY_KOT_ADDR=[::1]:7", "COVEY_KOT_RESTRICTED=set", "COVEY_DATA_DIR=z", "COVEY_ID=n"}, nil,
			node{"[::1]:7", "set", "off", "z", "n", "127.0.0.1:8700", 1}},
		{"flags before the environment", []string{"COVEY_KOT_ADDR=h:7", "COVEY_KOT_RESTRICTED=set", "COVEY_DATA_DIR=z"}, []string{"--port", "8", "--restricted", "get", "--folder", "f"},
			node{"h:8", "get", "off", "f", "kot", "127.0.0.1:8700", 1}},
		{"among others", nil, []string{"--join", "a:1", "--id", "n2"}, node{"localhost:5000", "", "off", "kot-data", "n2", "127.0.0.1:8700", 0}},
	} {
		f, err := settled(t, tt.env, tt.args...)
		got := node{f.KOT.Addr, f.KOT.Restricted, f.KOT.RateLimit, f.DataDir, f.ID, f.HTTPAddr, f.BootstrapExpect}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(node{})); diff != "" || err != nil {
			t.Errorf("%s: %v %s", tt.name, err, diff)
		}
	}
	for says, args := range map[string][]string{"--kot-addr": {"--kot-addr", "h"}, "--id": {"--join", "a:1"}} {
		if _, err := settled(t, nil, args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestThePasswordLeavesTheArguments(t *testing.T) {
	for _, args := range [][]string{
		{"kot", "api", "secret"},
		{"kot", "api", "--port", "1", "secret", "--host", "h"},
		{"--config=/dev/null", "kot", "api", "secret", "--rate_limit", "5 per hour"},
		{"kot", "api", "secret", "--id", "secret"}, // a flag of the same text
		{"kot", "api", "--id", "secret", "secret"},
		{"kot", "api", "api"},
		{"kot", "api", "kot"},
		{"kot", "api", "--insecure", "--", "-secret"},
		{"kot", "api", "0123", "--bootstrap-expect", "1"},
	} {
		password := args[2]
		switch {
		case slices.Contains(args, "secret"):
			password = "secret"
		case slices.Contains(args, "-secret"):
			password = "-secret"
		}
		var got, env []string
		var errOut bytes.Buffer
		stopped := errors.New("stopped here")
		code := Main(t.Context(), args, Env{
			Stdout: &errOut, Stderr: &errOut, Environ: []string{"COVEY_KOT_PASSWORD=old", "A=b", "COVEY_DATA_DIR=/dev/null/x"},
			Exec: func(args, environ []string) error { got, env = args, environ; return stopped },
		})
		if !slices.Equal(env, []string{"A=b", "COVEY_DATA_DIR=/dev/null/x", "COVEY_KOT_PASSWORD=" + password}) {
			t.Errorf("%q: the environment is %q (exit code %d, %s)", args, env, code, errOut.String())
		}
		if !strings.Contains(errOut.String(), "better give --kot-password-file") || !strings.Contains(errOut.String(), stopped.Error()) {
			t.Errorf("%q: %s", args, errOut.String())
		}
		a := &app{env: Env{Environ: env, Stderr: &errOut}}
		cmd, flags, err := a.newRoot().Find(got)
		if err != nil || cmd.CommandPath() != "covey kot api" || cmd.ParseFlags(flags) != nil || cmd.Flags().NArg() != 0 || len(got) != len(args) {
			t.Errorf("%q became %q, %v", args, got, err)
		}
	}
}

func TestKOTRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, tt := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "you must give a password", nil},
		{exitUsage, "you must give a password", []string{""}},
		{exitUsage, "too many arguments", []string{"p", "q"}},
		{exitUsage, `"sett" is not one of set, get,`, []string{"p", "--restricted", "get, sett"}},
		{exitUsage, "--rate_limit", []string{"p", "--rate_limit", "many"}},
		{exitUsage, "", []string{"p", "--port", "70000"}},
		{exitFailed, "is empty", []string{"--kot-password-file", empty}},
	} {
		o := w.run(append([]string{"kot", "api", "--folder", filepath.Join(dir, "data")}, tt.args...)...)
		if o.code != tt.code || !strings.Contains(o.errOut, tt.says) {
			t.Errorf("%q: %+v", tt.args, o)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
}

func TestServeRefusesKOTSettingsWithoutPassword(t *testing.T) {
	w := newWorld(t)
	o := w.run("serve", "--id", "n", "--data-dir", filepath.Join(t.TempDir(), "d"), "--kot-restricted", "set")
	if o.code != exitUsage || !strings.Contains(o.errOut, "--kot-restricted needs a password") {
		t.Errorf("%+v", o)
	}
}

func TestKOTServesUntilItIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("0123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := 0
	out := &stopAt{text: "Ctrl-C stops it.", seen: func(all string) {
		r, err := http.NewRequest("GET", regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(all)+"/database/list", nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.SetBasicAuth("", "0123")
		if resp, err := http.DefaultClient.Do(r); err == nil {
			status = resp.StatusCode
			resp.Body.Close()
		}
		cancel()
	}}
	var errOut bytes.Buffer
	code := Main(ctx, []string{
		"kot", "api", "--kot-password-file", password, "--port", "0", "--folder", filepath.Join(dir, "data"), "--heartbeat", "200ms",
		"--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0",
	}, Env{Stdout: out, Stderr: &errOut})
	if code != 0 || status != http.StatusOK || strings.Contains(out.String(), "0123") {
		t.Errorf("exit code %d, status %d\n%s\n%s", code, status, out.String(), errOut.String())
	}
	if !strings.Contains(out.String(), `curl -u ":$(cat '`+password+`')"`) {
		t.Errorf("no line to paste: %s", out.String())
	}
}
