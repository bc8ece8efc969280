package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/coveydb/covey/cmd/covey/config"
)

var update = flag.Bool("update", false, "write deploy/covey.yaml anew")

const exampleFile = "../../../deploy/covey.yaml"

func TestExampleIsInStepWithTheFlags(t *testing.T) {
	var b bytes.Buffer
	if err := writeExample(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(exampleFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, b.Bytes()) {
		t.Error("deploy/covey.yaml is not what the flags say; write it anew: go test ./cmd/covey/cli -run Example -update")
	}
}

func TestExampleHoldsEverySettingWithItsDefault(t *testing.T) {
	var b bytes.Buffer
	if err := writeExample(&b); err != nil {
		t.Fatal(err)
	}
	// Without the comment signs before settings it is a file that sets all.
	flags := serveFlagSet(new(serveFlags))
	var all strings.Builder
	for line := range strings.Lines(b.String()) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); ok && flags.Lookup(strings.ReplaceAll(name, "_", "-")) != nil {
			all.WriteString(strings.TrimPrefix(line, "# "))
		}
	}
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(all.String()), &doc); err != nil {
		t.Fatalf("%v in\n%s", err, all.String())
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if _, ok := doc[config.FileName(f.Name)]; ok != config.IsSetting(f) {
			t.Errorf("%s is there: %v", f.Name, ok)
		}
	})
	path := filepath.Join(t.TempDir(), "covey.yaml")
	if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := serveFlagSet(new(serveFlags))
	if found := config.Check(fs, newWorld(t).known(), config.Sources{File: path}); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	fs.VisitAll(func(f *pflag.Flag) {
		if _, example := exampleValues[f.Name]; !example && config.IsSetting(f) && f.Value.String() != f.DefValue {
			t.Errorf("%s is shown as %q, its default is %q", f.Name, f.Value, f.DefValue)
		}
	})
}

// known are the settings of all commands.
func (w *world) known() []string {
	a := &app{}
	a.root = a.newRoot()
	return a.settings()
}

func TestConfigPrintTellsWhereSettingsComeFrom(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "covey.yaml")
	if err := os.WriteFile(path, []byte("# mine\nid: n7\njoin: [a:1, b:2]\nheartbeat: 2s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"COVEY_ROOT_KEY=hunter2-hunter2-hunter2", "COVEY_HEARTBEAT=3s"}
	o := w.runIn("", environ, "config", "print", "--sources", "--config", path, "--data-dir", "/data")
	for _, want := range []string{
		"data_dir\t/data\t--data-dir\n", "id\tn7\t" + path + ":2\n", "join\ta:1,b:2\t" + path + ":3\n",
		"heartbeat\t3s\tCOVEY_HEARTBEAT\n", "raft_log\twal\tdefault\n", "root_key\t(set)\tCOVEY_ROOT_KEY\n",
	} {
		if !strings.Contains(o.out, want) {
			t.Errorf("%q is missing in %s", want, o.out)
		}
	}
	if o.code != 0 || strings.Contains(o.out+o.errOut, "hunter2") {
		t.Errorf("%+v", o)
	}
	t.Run("as YAML it is a file that gives the same", func(t *testing.T) {
		text := w.must("config", "print", "-o", "yaml", "--config", path)
		again := filepath.Join(dir, "again.yaml")
		if err := os.WriteFile(again, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.must("config", "print", "-o", "yaml", "--config", again); got != text {
			t.Errorf("%s\nis not\n%s", got, text)
		}
	})
}

func TestConfigCheckFindsWhatServeWouldRefuse(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		text string
		says []string // nothing = the file is in order
	}{
		"in order":                 {"id: n1\ndata_dir: d\nendpoint: http://x:1\n", nil},
		"several slips":            {"data_dri: d\nheartbeat: soon\n", []string{":1\tdata_dri\tunknown setting \"data_dri\", did you mean \"data_dir\"?", ":2\theartbeat\t"}},
		"not YAML":                 {"{", []string{"covey.yaml"}},
		"files that are not there": {"id: n1\nroot_key_file: none.key\npeer_ca: none.pem\n", []string{":2\troot_key_file\tnone.key does not exist", ":3\tpeer_ca\tnone.pem does not exist"}},
		"a folder for a file":      {"tls_cert: " + dir + "\n", []string{"is a folder, not a file"}},
		"open to the network":      {"peer_addr: 0.0.0.0:8701\n", []string{"--peer-addr 0.0.0.0:8701 can be reached"}},
		"half of a pair":           {"kvdb_create: root\n", []string{"--kvdb-create root needs a root key"}},
		"nothing but a comment":    {"# mine\n", nil},
		"a port without a host":    {"http_addr: 8700\n", []string{`--http-addr "8700": host:port is needed`}},
		"no such port":             {"http_addr: 127.0.0.1:99999\n", []string{"host:port is needed"}},
		"the same port twice":      {"http_addr: 127.0.0.1:8701\n", []string{"--http-addr 127.0.0.1:8701 and --peer-addr 127.0.0.1:8701 are the same port"}},
		"a port of all addresses":  {"gossip_addr: 0.0.0.0:8700\ninsecure: true\n", []string{"are the same port"}},
		"blanks between addresses": {"join: a:8702 b:8702\n", []string{"separated by commas"}},
		"a URL to join":            {"join: [http://a:8700]\n", []string{"gossip addresses are needed"}},
		"a port to be reached by":  {"advertise: 10.0.0.1:8701\n", []string{"a host or an IP alone"}},
		"IPv6 to be reached by":    {"advertise: fd00::1\n", nil},
		"any address to others":    {"advertise: 0.0.0.0\n", []string{"none that members can dial"}},
		"reached by any address":   {"peer_addr: 0.0.0.0:8701\ninsecure: true\n", []string{"set --advertise"}},
		"no such level":            {"log_level: loud\n", []string{"--log-level"}},
		"no such id":               {"id: n 1\n", []string{"--id takes 1 to 64 letters"}},
		"no such number of nodes":  {"bootstrap_expect: -1\n", []string{"--bootstrap-expect -1"}},
		"too fast a heart":         {"heartbeat: 1ms\n", []string{"--heartbeat 1ms"}},
		"less than no value":       {"kvdb_max_value: -5\n", []string{"--kvdb-max-value"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "covey.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			o := w.run("config", "check", path)
			if (o.code == 0) != (tt.says == nil) || tt.says != nil && o.code != exitFailed {
				t.Errorf("%+v", o)
			}
			for _, want := range tt.says {
				if !strings.Contains(o.out, want) {
					t.Errorf("%q is missing: %+v", want, o)
				}
			}
		})
	}
	if o := w.run("config", "check", filepath.Join(dir, "none.yaml")); o.code != exitUsage {
		t.Errorf("no such file: %+v", o)
	}
	t.Run("the root key in the environment counts", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "covey.yaml")
		if err := os.WriteFile(path, []byte("kvdb_create: root\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if o := w.runIn("", []string{envRootKey + "=" + rootKey}, "config", "check", path); o.code != 0 {
			t.Errorf("%+v", o)
		}
	})
}

func TestConfigCheckFindsEverythingAtOnce(t *testing.T) {
	w := newWorld(t)
	t.Run("everything at once, with where it comes from, and nothing that only follows", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "covey.yaml")
		text := "hart_beat: 1s\nhttp_addr: \"8700\"\npeer_addr: 0.0.0.0:8701\ngossip_addr: 0.0.0.0:8702\nroot_key_file: none.key\nkvdb_create: root\n" +
			"kvdb_max_value: -5\nheartbeat: 1ms\nbootstrap_expect: x\nlog_level: loud\njoin: {a: b}\ntls_cert: none.pem\ntls_key: none.pem\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := w.runIn("", []string{"COVEY_SLOW_REQUEST=soon", "COVEY_KOT_RESTRICTED=" + "x"}, "config", "check", path)
		var got []string
		for line := range strings.Lines(o.out) {
			cells := strings.Split(line, "\t")
			got = append(got, strings.TrimPrefix(cells[0], path+":")+" "+cells[1])
		}
		want := []string{
			"1 hart_beat", "2 http_addr", "3 peer_addr", "4 gossip_addr", "5 root_key_file", "7 kvdb_max_value", "8 heartbeat", "9 bootstrap_expect", "10 log_level", "11 join",
			"12 tls_cert", "13 tls_key", "COVEY_SLOW_REQUEST slow_request", "COVEY_KOT_RESTRICTED kot_restricted",
		}
		if diff := cmp.Diff(want, got); diff != "" || o.code != exitFailed || !strings.Contains(o.errOut, "14 things are wrong") {
			t.Errorf("%s\n%+v", diff, o)
		}
	})
	t.Run("a short root key in the environment", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "covey.yaml")
		if err := os.WriteFile(path, []byte("kvdb_create: root\nheartbeat: 1ms\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := w.runIn("", []string{envRootKey + "=hunter2"}, "config", "check", path)
		if o.code != exitFailed || strings.Count(o.out, "\n") != 2 || !strings.Contains(o.out, envRootKey+"\troot_key\t") || !strings.Contains(o.out, ":2\theartbeat\t") || strings.Contains(o.out, "hunter2") {
			t.Errorf("%+v", o)
		}
	})
}
