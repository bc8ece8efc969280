package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/seal"
)

const testRootKey = "a root key for tests"

func single(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	keyring := filepath.Join(dir, "keyring.json")
	if _, err := seal.Create(keyring); err != nil {
		t.Fatal(err)
	}
	return Config{
		ID: "n1", DataDir: filepath.Join(dir, "data"), Release: "test", BootstrapExpect: 1, KeyringFile: keyring,
		HTTPAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0",
		RootKey: testRootKey, Heartbeat: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
}

// start opens and runs a server; the returned function stops it.
func start(t *testing.T, cfg Config) (*Server, func() error) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { stop() })
	wait, end := context.WithTimeout(t.Context(), 30*time.Second)
	defer end()
	if err := s.WaitReady(wait); err != nil {
		t.Fatal(err)
	}
	return s, stop
}

func call(t *testing.T, c *http.Client, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestSingleNodeServesStopsAndHasItsDataAgain(t *testing.T) {
	cfg := single(t)
	s, stop := start(t, cfg)
	_, bucket := call(t, http.DefaultClient, "POST", s.URL()+"/", "signing_key=k&secret_key=s")
	if code, text := call(t, http.DefaultClient, "PUT", s.URL()+"/"+bucket+"/k", "v"); code != 200 {
		t.Fatalf("set: %d %s", code, text)
	}
	if code, text := call(t, http.DefaultClient, "GET", s.URL()+"/metrics", ""); code != 200 ||
		!strings.Contains(text, `covey_build_info{release="test"} 1`) || !strings.Contains(text, "process_cpu_seconds_total") {
		t.Errorf("metrics: %d\n%.500s", code, text)
	}

	other := cfg
	other.DataDir, other.HTTPAddr = t.TempDir(), s.Addr()
	if _, err := Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server on the same port: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}

	s, _ = start(t, cfg)
	if code, text := call(t, http.DefaultClient, "GET", s.URL()+"/"+bucket+"/k", ""); code != 200 || text != "v" {
		t.Errorf("after a restart: %d %q", code, text)
	}
}

func TestDataFolderOfAnotherNodeIsRefused(t *testing.T) {
	cfg := single(t)
	_, stop := start(t, cfg)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	cfg.ID = "n2"
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `belongs to node "n1"`) {
		t.Errorf("err = %v", err)
	}
}

func TestBadConfigsAreRefusedByTheNameOfTheFlag(t *testing.T) {
	dir := t.TempDir()
	rubbish := filepath.Join(dir, "rubbish")
	if err := os.WriteFile(rubbish, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Config)
		says   string
	}{
		"peers on a network":     {func(c *Config) { c.PeerAddr = "0.0.0.0:0" }, "--peer-ca"},
		"peers on a name":        {func(c *Config) { c.PeerAddr = "node.example:1" }, "--insecure"},
		"gossip on a network":    {func(c *Config) { c.GossipAddr = "[::]:0" }, "--gossip-key-file"},
		"clients on a network":   {func(c *Config) { c.HTTPAddr = "0.0.0.0:0" }, "--tls-cert"},
		"clients on a name":      {func(c *Config) { c.HTTPAddr = "node.example:1" }, "--insecure"},
		"KOT on a network":       {func(c *Config) { c.KOT = KOT{Password: "p", Addr: "0.0.0.0:0"} }, "--kot-addr"},
		"clients' CA, no TLS":    {func(c *Config) { c.HTTPTLS.CA = rubbish }, "--tls-client-ca"},
		"log store":              {func(c *Config) { c.RaftLog = "sqlite" }, "--raft-log"},
		"who creates":            {func(c *Config) { c.KVdbCreate = "nobody" }, "--kvdb-create"},
		"a short root key":       {func(c *Config) { c.RootKey = "short" }, "--root-key-file"},
		"root creates, no key":   {func(c *Config) { c.KVdbCreate, c.RootKey = "root", "" }, "--root-key-file"},
		"rate limit":             {func(c *Config) { c.KVdbRateLimit = "many per day" }, "--kvdb-rate-limit"},
		"proxies":                {func(c *Config) { c.TrustedProxies = "everyone" }, "--trusted-proxies"},
		"keyring":                {func(c *Config) { c.KeyringFile = rubbish }, "--keyring-file"},
		"gossip key":             {func(c *Config) { c.GossipKeyFile = rubbish }, "--gossip-key-file"},
		"half of peer TLS":       {func(c *Config) { c.PeerTLS.CA = rubbish }, "belong together"},
		"peer CA":                {func(c *Config) { c.PeerTLS = TLSFiles{rubbish, rubbish, rubbish} }, "--peer-ca"},
		"half of TLS":            {func(c *Config) { c.HTTPTLS.Key = rubbish }, "belong together"},
		"certificate":            {func(c *Config) { c.HTTPTLS = TLSFiles{"", rubbish, rubbish} }, "--tls-cert"},
		"profiles on a network":  {func(c *Config) { c.PprofAddr = "0.0.0.0:0" }, "--pprof-addr"},
		"address":                {func(c *Config) { c.HTTPAddr = "nonsense" }, "--http-addr"},
		"largest value":          {func(c *Config) { c.KVdbMaxValue = -1 }, "--kvdb-max-value"},
		"KOT port, no password":  {func(c *Config) { c.KOT.Addr = "127.0.0.1:0" }, "--kot-addr needs a password"},
		"KOT closed, off":        {func(c *Config) { c.KOT.Restricted = "set" }, "--kot-restricted needs a password"},
		"KOT limited, off":       {func(c *Config) { c.KOT.RateLimit = "document" }, "--kot-rate-limit needs a password"},
		"KOT endpoint":           {func(c *Config) { c.KOT = KOT{Password: "p", Restricted: "set, gett"} }, `--kot-restricted: restricted endpoint "gett"`},
		"KOT rate limit":         {func(c *Config) { c.KOT = KOT{Password: "p", RateLimit: "many"} }, "--kot-rate-limit"},
		"KOT port":               {func(c *Config) { c.KOT = KOT{Password: "p", Addr: "nonsense"} }, "--kot-addr"},
		"no id":                  {func(c *Config) { c.ID = "" }, "--id"},
		"folder is not a folder": {func(c *Config) { c.DataDir = rubbish }, "data folder"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := single(t)
			tt.change(&cfg)
			if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one that names %s", err, tt.says)
			}
		})
	}
}

func TestExposureIsAllowedWithKeysOrByWord(t *testing.T) {
	keys := TLSFiles{CA: "a", Cert: "b", Key: "c"}
	for name, c := range map[string]Config{
		"loopback": {HTTPAddr: "localhost:3", PeerAddr: "127.0.0.1:1", GossipAddr: "localhost:2"},
		"IPv6":     {HTTPAddr: "[::1]:3", PeerAddr: "[::1]:1", GossipAddr: "[::1]:2"},
		"keys":     {HTTPAddr: "10.0.0.1:3", PeerAddr: "10.0.0.1:1", GossipAddr: "10.0.0.1:2", PeerTLS: keys, HTTPTLS: keys, GossipKeyFile: "k"},
		"insecure": {HTTPAddr: "10.0.0.1:3", PeerAddr: "10.0.0.1:1", GossipAddr: "10.0.0.1:2", Insecure: true},
		"required": {HTTPAddr: "10.0.0.1:3", PeerAddr: "10.0.0.1:1", GossipAddr: "10.0.0.1:2", PeerTLS: keys, HTTPTLS: keys, GossipKeyFile: "k", RequireTLS: true},
	} {
		if err := c.checkExposure(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGossipKeyIsReadInItsForms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for text, want := range map[string]int{
		strings.Repeat("ab", 16):                       16,
		strings.Repeat("ab", 32) + "\n":                32,
		"AAECAwQFBgcICQoLDA0ODw==":                     16,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX":             24,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=": 32,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := readGossipKey(path); len(key) != want || err != nil {
			t.Errorf("%q is a key of %d bytes, %v; want %d", text, len(key), err, want)
		}
	}
}

func TestProfilesAreServedOnLoopback(t *testing.T) {
	cfg := single(t)
	cfg.PprofAddr = "127.0.0.1:0"
	s, _ := start(t, cfg)
	if code, text := call(t, http.DefaultClient, "GET", s.doors[1].url()+"/debug/pprof/cmdline", ""); code != 200 || text == "" {
		t.Errorf("%d %q", code, text)
	}
}

// database sends a form to the KOT API.
func database(t *testing.T, url, password, form string) (int, string) {
	t.Helper()
	method := "POST"
	if form == "" {
		method = "GET"
	}
	req, err := http.NewRequest(method, url, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", password)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestKOTHasAPortOfItsOwn(t *testing.T) {
	cfg := single(t)
	cfg.KOT = KOT{Password: "0123", Addr: "127.0.0.1:0", Restricted: "get_all, database_pop", RateLimit: "off"}
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
	s, stop := start(t, cfg)
	if s.KOTURL() == s.URL() {
		t.Fatalf("both on %s", s.URL())
	}
	if code, text := database(t, s.KOTURL()+"/controller/set", "0123", "database_name=d&key=k&value=v"); code != 200 || text != "Data set successfully" {
		t.Errorf("set: %d %s", code, text)
	}
	if code, text := database(t, s.URL()+"/controller/get", "0123", "database_name=d&key=k"); code != 200 || text != "\"v\"\n" {
		t.Errorf("get with the other APIs: %d %s", code, text)
	}
	for path, want := range map[string]int{"/controller/get_all": 403, "/database/pop": 403, "/livez": 404} {
		if code, _ := database(t, s.KOTURL()+path, "0123", "database_name=d"); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if code, _ := database(t, s.KOTURL()+"/database/list", "123", ""); code != 401 {
		t.Errorf("a password that is the same number: %d", code)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(s.KOTURL(), "http://")); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
	if !strings.Contains(log.String(), `"kot":"`+s.KOTURL()+`"`) || strings.Contains(log.String(), "unencrypted") {
		t.Errorf("the log does not name the port, or warns for nothing:\n%s", log.String())
	}
}

func TestKOTIsOffWithoutAPassword(t *testing.T) {
	cfg := single(t)
	s, _ := start(t, cfg)
	if code, _ := database(t, s.URL()+"/database/list", "", ""); code != 404 || s.KOTURL() != "" {
		t.Errorf("%d, %q", code, s.KOTURL())
	}
}

func TestClearTextIsWarnedOf(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  Config
		want int
	}{
		"off":         {Config{HTTPAddr: "0.0.0.0:1"}, 0},
		"loopback":    {Config{HTTPAddr: "127.0.0.1:1", KOT: KOT{Password: "p", Addr: "localhost:2"}}, 0},
		"both":        {Config{HTTPAddr: "0.0.0.0:1", KOT: KOT{Password: "p", Addr: ":2"}}, 2},
		"one":         {Config{HTTPAddr: "127.0.0.1:1", KOT: KOT{Password: "p", Addr: "10.0.0.1:2"}}, 1},
		"no own port": {Config{HTTPAddr: "10.0.0.1:1", KOT: KOT{Password: "p"}}, 1},
		"TLS":         {Config{HTTPAddr: "0.0.0.0:1", KOT: KOT{Password: "p", Addr: ":2"}, HTTPTLS: TLSFiles{Cert: "c", Key: "k"}}, 0},
	} {
		if got := tt.cfg.clearText(); len(got) != tt.want {
			t.Errorf("%s: warns of %v, want %d", name, got, tt.want)
		}
	}
}
