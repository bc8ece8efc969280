package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/bucket"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/vault"
)

const (
	rootKey     = "the-root-key-of-the-test"
	kotPassword = "0123"
)

// world is a node's HTTP service on a store in memory.
type world struct {
	t      *testing.T
	url    string
	store  *kvtest.Store
	docs   *collection.Store
	vault  *vault.Store
	status cluster.Status
}

func (w *world) Status(context.Context) (cluster.Status, error) { return w.status, nil }
func (w *world) Checks(context.Context) []cluster.Check         { return nil }

// newWorld is the first thing in a test: it shares nothing with others, so they
// run beside each other.
func newWorld(t *testing.T, tune ...func(*vault.Config)) *world {
	t.Helper()
	t.Parallel()
	return anotherWorld(t, tune...)
}

func anotherWorld(t *testing.T, tune ...func(*vault.Config)) *world {
	t.Helper()
	ring := newKeyring(t)
	conf := vault.Config{Keyring: ring, ClosedRegistration: true, PasswordCost: seal.Cost{Passes: 1, KiB: 64}}
	for _, f := range tune {
		f(&conf)
	}
	w := &world{
		t: t, store: kvtest.New(t), docs: collection.New(collection.Config{Keyring: ring}),
		vault: vault.New(conf),
	}
	reads := vault.NewRecorder(w.store.DB)
	t.Cleanup(reads.Close)
	root := auth.NewRootKey(rootKey)
	buckets, err := bucket.New(bucket.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := httptest.NewServer(httpapi.New(httpapi.Config{
		Cluster: w, DB: w.store.DB, Buckets: buckets, Collections: w.docs, Vault: w.vault, Readings: reads, Feed: feed.New(w.store), Registry: reg, Root: root,
		KOT: httpapi.KOT{Password: auth.NewRootKey(kotPassword)}, Wait: 10 * time.Second,
	}))
	t.Cleanup(s.Close)
	w.url = s.URL
	w.status = cluster.Status{
		ID: "n1", Leader: "n1", State: "leader", Term: 4, Version: 9, Quorum: true,
		Members: []cluster.Member{
			{ID: "n1", HTTPAddr: s.Listener.Addr().String(), Role: cluster.RoleVoter, Leader: true, Alive: true},
			{ID: "n2", HTTPAddr: "127.0.0.1:1", Role: cluster.RoleVoter, LastContactMS: -1},
		},
	}
	return w
}

func newKeyring(t *testing.T) *seal.Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if _, err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	k, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// outcome is what a command line left behind.
type outcome struct {
	code        int
	out, errOut string
}

// run runs one command line against w, piped.
func (w *world) run(args ...string) outcome { return w.runIn("", nil, args...) }

func (w *world) runIn(stdin string, environ []string, args ...string) outcome {
	w.t.Helper()
	var out, errOut bytes.Buffer
	code := Main(w.t.Context(), args, Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut, Version: "v1.2.3",
		Environ: append([]string{"COVEY_ENDPOINT=" + w.url, "COVEY_TIMEOUT=2s"}, environ...),
	})
	return outcome{code, out.String(), errOut.String()}
}

// must runs a command line that has to succeed and returns what it printed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	o := w.run(args...)
	if o.code != 0 || o.errOut != "" {
		w.t.Fatalf("%q: exit code %d, %s", args, o.code, o.errOut)
	}
	return o.out
}

func TestKeysAreWrittenReadCountedListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	b := strings.TrimSpace(w.must("bucket", "create"))
	w.must("key", "set", b, "hello", "world")
	if o := w.runIn("a\x00b\n", nil, "key", "set", b, "bin"); o.code != 0 || o.out != "" {
		t.Fatalf("set from stdin: %+v", o)
	}
	steps := []struct {
		want string
		args []string
	}{
		{"world", []string{"key", "get", b, "hello"}},
		{"a\x00b\n", []string{"key", "get", b, "bin", "-o", "raw"}},
		{"1\n", []string{"key", "incr", b, "hits"}},
		{"-1.5\n", []string{"key", "incr", b, "hits", "--by", "-2.5"}},
		{"bin\nhello\nhits\n", []string{"key", "list", b}},
		{"hits\t-1.5\nhello\tworld\n", []string{"key", "list", b, "--values", "--prefix", "h", "--reverse"}},
		{"hello\n", []string{"key", "list", b, "--skip", "1", "--limit", "1"}},
		{`{"key":"hits","value":-1.5}` + "\n", []string{"key", "list", b, "--regex", "ts$", "--values", "-o", "jsonl"}},
		{"", []string{"key", "del", b, "bin", "hits", "--yes"}},
		{"[\n  \"hello\"\n]\n", []string{"key", "list", b, "-o", "json"}},
		{"", []string{"key", "set", b, "short", "x", "--ttl", "10s"}},
	}
	for _, s := range steps {
		if got := w.must(s.args...); got != s.want {
			t.Errorf("%q printed %q, want %q", s.args, got, s.want)
		}
	}
	w.store.Advance(11 * time.Second)
	if o := w.run("key", "get", b, "short"); o.code != exitNotFound {
		t.Errorf("an expired key: %+v", o)
	}
}

func TestStructuredGetHoldsWhatCompareAndSetNeeds(t *testing.T) {
	w := newWorld(t)
	b := strings.TrimSpace(w.must("bucket", "create"))
	w.must("key", "set", b, "k", "one", "--if-absent")
	if o := w.run("key", "set", b, "k", "two", "--if-absent"); o.code != exitConflict {
		t.Errorf("--if-absent on a key that exists: %+v", o)
	}
	var doc struct{ Key, Value, ETag string }
	if err := json.Unmarshal([]byte(w.must("key", "get", b, "k", "-o", "json")), &doc); err != nil || doc.Value != "one" || doc.ETag == "" {
		t.Fatalf("doc = %+v, %v", doc, err)
	}
	w.must("key", "set", b, "k", "two", "--if-match", doc.ETag)
	if o := w.run("key", "set", b, "k", "three", "--if-match", doc.ETag); o.code != exitConflict {
		t.Errorf("an old ETag: %+v", o)
	}
}

func TestExitCodesTellWhatWentWrong(t *testing.T) {
	w := newWorld(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := strings.TrimSpace(w.must("bucket", "create", "--secret-key-file", secret, "--write-key-file", secret))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no such command", []string{"buckt"}, exitUsage, `did you mean "bucket"? Try: covey --help`},
		{"no such verb", []string{"key", "gt"}, exitUsage, `did you mean "get"? Try: covey key --help`},
		{"no such flag", []string{"key", "get", "b", "k", "--colour"}, exitUsage, "unknown flag: --colour. Try: covey key get --help"},
		{"too few arguments", []string{"key", "get", "b"}, exitUsage, "too few arguments"},
		{"too many arguments", []string{"version", "x"}, exitUsage, "too many arguments"},
		{"no such shell", []string{"completion", "tcsh"}, exitUsage, `"tcsh" is no command of "covey completion"`},
		{"bad format", []string{"version", "-o", "xml"}, exitUsage, `"xml" is none of`},
		{"bad consistency", []string{"key", "get", "b", "k", "--consistency", "eventual"}, exitUsage, "neither linearizable nor stale"},
		{"bad ttl", []string{"key", "set", "b", "k", "v", "--ttl", "soon"}, exitUsage, `"soon" is no time to live`},
		{"both conditions", []string{"key", "set", "b", "k", "v", "--if-absent", "--if-match", "*"}, exitUsage, "cannot both hold"},
		{"no time", []string{"key", "get", "b", "k", "--timeout", "0s"}, exitUsage, "--timeout 0s"},
		{"bad variable", []string{"serve", "--config", "/does/not/exist"}, exitUsage, "configuration file"},
		{"a relay and no sender", []string{"dev", "--data-dir", filepath.Join(t.TempDir(), "dev"), "--http-addr", "127.0.0.1:0", "--smtp", "smtp://h"},
			exitUsage, "give --smtp-from"},
		{"serve without an id", []string{"serve"}, exitUsage, "covey dev"},
		{"no such bucket", []string{"key", "get", "none", "k"}, exitNotFound, "404"},
		{"no key", []string{"key", "list", b}, exitDenied, "--key-file"},
		{"invalid", []string{"key", "incr", "none", "k", "--by", "x"}, exitNotFound, ""},
		{"deleting unasked", []string{"bucket", "delete", b}, exitUsage, "needs --yes"},
		{"no root key", []string{"cluster", "status"}, exitDenied, "--root-key-file"},
		{"nobody there", []string{"key", "get", "b", "k", "--endpoint", dead}, exitUnavailable,
			"cannot reach " + dead + " (connection refused). Is the node up? Try: covey cluster status"},
		{"partly", []string{"bucket", "delete", b, "none", "--yes", "--key-file", secret}, exitPartly, "1 of 2 done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := w.run(tt.args...)
			if o.code != tt.code || !strings.Contains(o.errOut, tt.says) || o.out != "" {
				t.Errorf("exit code %d, want %d\nstdout %q\nstderr %q, want %q", o.code, tt.code, o.out, o.errOut, tt.says)
			}
			if strings.Contains(o.errOut, "hunter2") {
				t.Error("a secret is in the message")
			}
		})
	}
}

func TestErrorsMapToOneCodeEach(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{errors.New("x"), exitFailed},
		{usagef("x"), exitUsage},
		{&client.Error{Status: 400}, exitFailed},
		{&client.Error{Status: 401}, exitDenied},
		{&client.Error{Status: 404}, exitNotFound},
		{&client.Error{Status: 412}, exitConflict},
		{&client.Error{Status: 429}, exitLimited},
		{&client.Error{Status: 503}, exitUnavailable},
		{&client.Error{Status: 504, Unknown: true}, exitFailed},
		{&partlyError{1, 2, &client.Error{Status: 404}}, exitPartly},
		{fmt.Errorf("wrapped: %w", &client.Error{Status: 403}), exitDenied},
		{&adviceError{&client.Error{Status: 503}, "wait"}, exitUnavailable},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestInterruptIs130(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	var out, errOut bytes.Buffer
	code := Main(ctx, []string{"key", "get", "b", "k", "--endpoint", s.URL}, Env{Stdin: &out, Stdout: &out, Stderr: &errOut})
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
}

func TestClusterStatusIsATableOrTheWholeDocument(t *testing.T) {
	w := newWorld(t)
	env := []string{"COVEY_ROOT_KEY=" + rootKey}
	o := w.runIn("", env, "cluster", "status", "-o", "table")
	if o.code != 0 || !strings.Contains(o.out, "n1     voter   leader") || !strings.Contains(o.out, "n2     voter   down") {
		t.Errorf("%+v", o)
	}
	o = w.runIn("", env, "cluster", "status", "-o", "json")
	var got cluster.Status
	if err := json.Unmarshal([]byte(o.out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.status, got); diff != "" {
		t.Error(diff)
	}
	w.status.Quorum, w.status.Leader, w.status.Reason = false, "", "1 of 3 voters is up, 2 are needed"
	o = w.runIn("", env, "cluster", "status")
	if o.code != exitUnavailable || !strings.Contains(o.errOut, "1 of 3 voters is up") || o.out == "" {
		t.Errorf("without a quorum: %+v", o)
	}
}

func TestBucketsAreCreatedListedAndDeletedByTheOperator(t *testing.T) {
	w := newWorld(t)
	env := []string{"COVEY_ROOT_KEY=" + rootKey}
	o := w.runIn("", env, "bucket", "create", "--id", "my-own-bucket", "--generate-secret", "--default-ttl", "1h", "-o", "json")
	var made struct {
		ID     string `json:"id"`
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal([]byte(o.out), &made); err != nil || made.ID != "my-own-bucket" || len(made.Secret) < 32 {
		t.Fatalf("%+v, %v", o, err)
	}
	for range 120 { // more than a page
		w.must("bucket", "create")
	}
	o = w.runIn("", env, "bucket", "list")
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	if len(lines) != 121 || !strings.Contains(o.out, "my-own-bucket\t") || !strings.Contains(o.out, "\t1h0m0s\tsecret\n") {
		t.Errorf("%d lines, exit code %d, %s\n%.300s", len(lines), o.code, o.errOut, o.out)
	}
	if o = w.runIn("", env, "bucket", "delete", "my-own-bucket", "--yes"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	if o = w.runIn("", env, "bucket", "list"); strings.Contains(o.out, "my-own-bucket") {
		t.Error("the bucket is still listed")
	}
}

func TestDeletionIsAskedForOnATerminal(t *testing.T) {
	w := newWorld(t)
	b := strings.TrimSpace(w.must("bucket", "create"))
	w.must("key", "set", b, "k", "v")
	ask := func(answer string) (int, string) {
		var out, errOut bytes.Buffer
		code := Main(t.Context(), []string{"bucket", "delete", b, "--endpoint", w.url}, Env{
			Stdin: strings.NewReader(answer), StdinTerminal: true, Stdout: &out, Stderr: &errOut,
		})
		return code, errOut.String()
	}
	code, text := ask("n\n")
	if want := "Delete bucket " + b + " (1 keys)? [y/N]"; code != exitFailed || !strings.Contains(text, want) {
		t.Errorf("exit code %d, %q, want %q", code, text, want)
	}
	if got := w.must("key", "get", b, "k"); got != "v" {
		t.Error("the bucket was deleted against the answer")
	}
	if code, text := ask("yes\n"); code != 0 {
		t.Errorf("exit code %d, %q", code, text)
	}
	if o := w.run("key", "get", b, "k"); o.code != exitNotFound {
		t.Errorf("the bucket is still there: %+v", o)
	}
}

func TestBenchMeasuresAndCleansUp(t *testing.T) {
	w := newWorld(t)
	env := []string{"COVEY_ROOT_KEY=" + rootKey}
	for _, op := range []string{"set", "get", "incr"} {
		t.Run(op, func(t *testing.T) {
			o := w.runIn("", env, "bench", op, "--count", "200", "-c", "4", "--keys", "20", "--warmup", "0", "--through", "leader", "-o", "json")
			var res struct {
				Ops     int64
				Errors  map[string]int64
				Through string
				CPU     *float64 `json:"server_cpu_us_per_op"`
			}
			if err := json.Unmarshal([]byte(o.out), &res); err != nil || o.code != 0 {
				t.Fatalf("%+v, %v", o, err)
			}
			if res.Ops != 200 || len(res.Errors) != 0 || res.Through != "leader" || res.CPU == nil {
				t.Errorf("%+v", res)
			}
		})
	}
	if o := w.runIn("", env, "bucket", "list"); o.out != "" {
		t.Errorf("buckets are left: %s", o.out)
	}
	if o := w.runIn("", env, "bench", "set", "--through", "followers"); o.code != exitUnavailable {
		t.Errorf("no follower is up: %+v", o)
	}
	if o := w.run("bench", "set", "--through", "leader"); o.code != exitDenied {
		t.Errorf("without the root key nobody knows who leads: %+v", o)
	}
}

func TestSettingsComeFromTheFileToo(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "covey.yaml")
	if err := os.WriteFile(path, []byte("output: json\nbootstrap_expect: 3 # of another command\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := w.runIn("", []string{"COVEY_CONFIG=" + path}, "version")
	var doc struct{ Version string }
	if err := json.Unmarshal([]byte(o.out), &doc); err != nil || doc.Version != "v1.2.3" {
		t.Errorf("%+v, %v", o, err)
	}
	if o = w.runIn("", []string{"COVEY_CONFIG=" + path}, "version", "-o", "raw"); o.out != "v1.2.3\n" {
		t.Errorf("the flag does not win: %+v", o)
	}
	if o = w.runIn("", []string{"COVEY_OUTPT=json"}, "version"); !strings.Contains(o.errOut, "did you mean COVEY_OUTPUT?") || o.code != 0 {
		t.Errorf("a variable with a slip: %+v", o)
	}
}

func TestReadSecretRefusesWhatIsNoSecret(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": " \n", "lines": "a\nb\n", "large": strings.Repeat("x", maxSecret+1)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readSecret("key-file", path); err == nil || !strings.Contains(err.Error(), "--key-file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readSecret("key-file", filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestTimeToLive(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": client.Forever, "0s": client.Forever, "90": 90 * time.Second, "12h": 12 * time.Hour, "1m30s": 90 * time.Second,
	} {
		if got, err := parseTTL(text); got != want || err != nil {
			t.Errorf("parseTTL(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "-1s", "soon", "1.5", "99999999999999999999", "9223372036854775807"} {
		if got, err := parseTTL(text); err == nil {
			t.Errorf("parseTTL(%q) = %v", text, got)
		}
	}
}
