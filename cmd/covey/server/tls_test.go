package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/pki"
)

func newCA(t *testing.T, name string) *pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// nodeFiles writes a certificate for the node id on 127.0.0.1 into a folder, over
// what is there, and the CAs to trust.
func nodeFiles(t *testing.T, dir, id string, ca *pki.Authority, trusted ...*pki.Authority) TLSFiles {
	t.Helper()
	f := TLSFiles{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	pair, err := ca.IssueNode(id, []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Replace(f.Cert, f.Key); err != nil {
		t.Fatal(err)
	}
	var bundle []byte
	for _, a := range trusted {
		bundle = append(bundle, a.CertPEM()...)
	}
	if err := pki.Replace(f.CA, bundle, 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

func clientPair(t *testing.T, ca *pki.Authority) tls.Certificate {
	t.Helper()
	p, err := ca.IssueClient("ada", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// trusting is a client that trusts the CAs and has certificates.
func trusting(t *testing.T, certs []tls.Certificate, cas ...*pki.Authority) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.Certificate())
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// served is the certificate that a port shows.
func served(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // the test compares the certificate itself
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// content is the first certificate of a file.
func content(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	certs, err := pki.ReadCertificates(path)
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

func TestHTTPSCertificateIsReadAgain(t *testing.T) {
	cfg, dir, ca := single(t), t.TempDir(), newCA(t, "ours")
	files := nodeFiles(t, dir, "n1", ca, ca)
	cfg.HTTPTLS = TLSFiles{Cert: files.Cert, Key: files.Key}
	var log lines
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	s, _ := start(t, cfg)
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Fatalf("URL = %s", s.URL())
	}
	if !served(t, s.Addr()).Equal(content(t, files.Cert)) {
		t.Error("another certificate is served")
	}
	nodeFiles(t, dir, "n1", ca, ca)
	if err := s.Reload(); err != nil || !served(t, s.Addr()).Equal(content(t, files.Cert)) {
		t.Errorf("the new certificate is not served (%v)", err)
	}
	nodeFiles(t, dir, "n1", ca, ca)
	eventually(t, "the file's change is seen", func() bool { return served(t, s.Addr()).Equal(content(t, files.Cert)) })
	newest := content(t, files.Cert)
	if err := os.WriteFile(files.Cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || !served(t, s.Addr()).Equal(newest) {
		t.Errorf("a bad file took the certificate away (%v)", err)
	}
	eventually(t, "a line in the log", func() bool { return log.count("was not read again, the one in use stays") == 1 })
	if !served(t, s.Addr()).Equal(newest) {
		t.Error("a bad file that was found took the certificate away")
	}
	eventually(t, "both are remembered", func() bool {
		all := fmt.Sprint(s.node.Events())
		return strings.Contains(all, "read again, as its files have changed") && strings.Contains(all, "http certificate was not read again")
	})
}

func TestClientsNeedACertificateWhereOneIsAskedFor(t *testing.T) {
	cfg, dir := single(t), t.TempDir()
	ca, clients, next := newCA(t, "servers"), newCA(t, "clients"), newCA(t, "next clients")
	cfg.HTTPTLS = nodeFiles(t, dir, "n1", ca, clients)
	s, _ := start(t, cfg)
	ada, eve, bob := clientPair(t, clients), clientPair(t, ca), clientPair(t, next)
	get := func(certs ...tls.Certificate) error {
		resp, err := trusting(t, certs, ca).Get(s.URL() + "/livez")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	if err := get(ada); err != nil {
		t.Errorf("a client of the CA: %v", err)
	}
	for name, certs := range map[string][]tls.Certificate{"none": nil, "another CA's": {eve}, "not yet": {bob}} {
		if err := get(certs...); err == nil {
			t.Errorf("a client with a certificate that is %s was served", name)
		}
	}
	open := trusting(t, []tls.Certificate{ada}, ca)
	if code, _ := call(t, open, "GET", s.URL()+"/livez", ""); code != 200 {
		t.Fatalf("%d", code)
	}
	resuming := trusting(t, []tls.Certificate{ada}, ca)
	tr := resuming.Transport.(*http.Transport)
	tr.TLSClientConfig.ClientSessionCache, tr.DisableKeepAlives = tls.NewLRUClientSessionCache(4), true
	if code, _ := call(t, resuming, "GET", s.URL()+"/livez", ""); code != 200 {
		t.Fatalf("%d", code)
	}
	nodeFiles(t, dir, "n1", ca, clients, next)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]tls.Certificate{"old": ada, "new": bob} {
		if err := get(cert); err != nil {
			t.Errorf("in the overlap the %s CA's client: %v", name, err)
		}
	}
	nodeFiles(t, dir, "n1", ca, next)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if get(ada) == nil {
		t.Error("a client of the CA that was taken out is served anew")
	}
	if resp, err := resuming.Get(s.URL() + "/livez"); err == nil {
		_ = resp.Body.Close()
		t.Error("a client of the CA that was taken out goes on with a session of before")
	}
	if code, _ := call(t, open, "GET", s.URL()+"/livez", ""); code != 200 {
		t.Errorf("its open connection answers %d", code)
	}
}

func TestHTTP2ServesTheAPIs(t *testing.T) {
	cfg, ca := single(t), newCA(t, "ours")
	files := nodeFiles(t, t.TempDir(), "n1", ca, ca)
	cfg.HTTPTLS = TLSFiles{Cert: files.Cert, Key: files.Key}
	cfg.KOT.Password = "0123"
	cfg.RestDB.Key = strings.Repeat("r", 24)
	s, _ := start(t, cfg)
	c := trusting(t, nil, ca)
	do := func(method, path, header, body string) (int, string) {
		req, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(header, ": "); ok {
			req.Header.Set(name, value)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.ProtoMajor != 2 {
			t.Errorf("%s %s: %s, %v", method, path, resp.Proto, err)
		}
		return resp.StatusCode, string(text)
	}
	_, bucket := do("POST", "/", "", "")
	for _, tt := range []struct {
		method, path, header, body string
		want                       int
	}{
		{"PUT", "/" + bucket + "/k", "", "v", 200},
		{"GET", "/" + bucket + "/k", "", "", 200},
		{"GET", "/database/list", "Authorization: Basic OjAxMjM=", "", 200},
		{"POST", "/rest/people", "x-apikey: " + cfg.RestDB.Key, `{"name":"Ada"}`, 201},
		{"POST", "/api/auth/register/", "Content-Type: application/json", `{"email":"a@example.com","username":"ada","password":"correct horse battery 7"}`, 201},
		{"GET", "/cluster/status", "Authorization: Bearer " + testRootKey, "", 200},
		{"GET", "/metrics", "", "", 200},
	} {
		if code, text := do(tt.method, tt.path, tt.header, tt.body); code != tt.want {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, code, text, tt.want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/"+bucket+"/?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Timeout = 0
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Fatalf("a watch: %s %d", resp.Proto, resp.StatusCode)
	}
	if code, text := do("PUT", "/"+bucket+"/streamed", "", "v"); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	buf, all := make([]byte, 4096), ""
	for !strings.Contains(all, "streamed") {
		n, err := resp.Body.Read(buf)
		all += string(buf[:n])
		if err != nil {
			t.Fatalf("the watch ended: %v after %q", err, all)
		}
	}
}

func TestPeersWithCertificatesFormACluster(t *testing.T) {
	cfg, ca := single(t), newCA(t, "ours")
	cfg.PeerTLS = nodeFiles(t, t.TempDir(), "n1", ca, ca)
	s, _ := start(t, cfg)
	conn, err := tls.Dial("tcp", s.node.PeerAddr(), &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		defer conn.Close()
		// With TLS 1.3 the refusal of a missing certificate comes with the first read.
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a peer without a certificate was let in: %v", err)
		}
	}
}

func TestPeerCertificatesThatOthersWouldRefuseAreRefused(t *testing.T) {
	ca, other := newCA(t, "ours"), newCA(t, "theirs")
	client := func(dir string) TLSFiles {
		f := nodeFiles(t, dir, "n1", ca, ca)
		p, err := ca.IssueClient("ada", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Replace(f.Cert, f.Key); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, tt := range map[string]struct {
		files func(dir string) TLSFiles
		says  string
	}{
		"another node's": {func(dir string) TLSFiles { return nodeFiles(t, dir, "n2", ca, ca) }, "is the certificate of node n2, and this is node n1"},
		"another CA's":   {func(dir string) TLSFiles { return nodeFiles(t, dir, "n1", ca, other) }, "is not signed by a CA in"},
		"a client's":     {client, "is a client's certificate"},
		"no file":        {func(dir string) TLSFiles { return TLSFiles{dir + "/a", dir + "/b", dir + "/c"} }, "--peer-ca"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := single(t)
			cfg.PeerTLS = tt.files(t.TempDir())
			if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestARequiredTLSAllowsNoClearText(t *testing.T) {
	keys := TLSFiles{CA: "a", Cert: "b", Key: "c"}
	good := Config{HTTPAddr: "127.0.0.1:1", PeerAddr: "127.0.0.1:2", GossipAddr: "127.0.0.1:3", HTTPTLS: keys, PeerTLS: keys, GossipKeyFile: "k", RequireTLS: true}
	if err := good.checkExposure(); err != nil {
		t.Errorf("all encrypted: %v", err)
	}
	for says, change := range map[string]func(*Config){
		"--tls-cert":        func(c *Config) { c.HTTPTLS = TLSFiles{} },
		"--peer-ca":         func(c *Config) { c.PeerTLS = TLSFiles{} },
		"--gossip-key-file": func(c *Config) { c.GossipKeyFile = "" },
		"--pprof-addr":      func(c *Config) { c.PprofAddr = "127.0.0.1:4" },
		"--insecure":        func(c *Config) { c.Insecure = true },
	} {
		c := good
		change(&c)
		if err := c.checkExposure(); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "--require-tls") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestTheEndOfCertificatesIsMeasured(t *testing.T) {
	cfg, ca, clients := single(t), newCA(t, "ours"), newCA(t, "clients")
	cfg.PeerTLS = nodeFiles(t, t.TempDir(), "n1", ca, ca)
	cfg.HTTPTLS = nodeFiles(t, t.TempDir(), "n1", ca, clients)
	s, _ := start(t, cfg)
	ada := trusting(t, []tls.Certificate{clientPair(t, clients)}, ca)
	_, text := call(t, ada, "GET", s.URL()+"/metrics", "")
	for use, end := range map[string]time.Time{
		"http": content(t, cfg.HTTPTLS.Cert).NotAfter, "http-client-ca": clients.Certificate().NotAfter,
		"peer": content(t, cfg.PeerTLS.Cert).NotAfter, "peer-ca": ca.Certificate().NotAfter,
	} {
		line := fmt.Sprintf("covey_tls_certificate_expiry_seconds{use=%q} %s\n", use, fmt.Sprint(float64(end.Unix())))
		if !strings.Contains(text, line) {
			t.Errorf("there is no %s", line)
		}
	}
}

func TestAnEndThatIsNearIsLogged(t *testing.T) {
	ca := newCA(t, "ours")
	var log lines
	cfg := Config{ID: "n1", PeerTLS: nodeFiles(t, t.TempDir(), "n1", ca, ca), Log: slog.New(slog.NewTextHandler(&log, nil))}
	c, err := cfg.peerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	end := c.current.Load().leaf.NotAfter
	for _, at := range []time.Duration{-50 * time.Minute, -10 * time.Minute, -9 * time.Minute} {
		c.remind(end.Add(at))
	}
	if n := log.count("ends soon"); n != 1 {
		t.Errorf("told %d times of an end in ten minutes", n)
	}
	c.remind(end.Add(25 * time.Hour))
	if n := log.count("has ended"); n != 1 {
		t.Errorf("told %d times of an end that has been", n)
	}
	if err := c.reload(); err != nil {
		t.Errorf("the same files again: %v", err)
	}
}
