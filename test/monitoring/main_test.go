package monitoring

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	// What the binary is built from: otherwise a result would be taken from the
	// cache although that has changed.
	_ "github.com/coveydb/covey/cmd/covey/cli"
	"github.com/coveydb/covey/test/cluster"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "covey-monitoring-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = cluster.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestMonitoring is all that needs a cluster, on one.
func TestMonitoring(t *testing.T) {
	t.Parallel() // it mostly waits
	cert, key := certificates(t, t.TempDir())
	c := cluster.Start(t, binary, 3,
		"--peer-ca", cert, "--peer-cert", cert, "--peer-key", key,
		"--backup-to", "file://"+t.TempDir(), "--backup-every", "6h")
	provoke(t, c.URLs())
	have := scrapeAll(t, c.URLs())
	t.Run("the document names what is exported", func(t *testing.T) { checkDocument(t, have) })
	t.Run("rules name what is exported", func(t *testing.T) { checkRules(t, have) })
	t.Run("dashboards name what is exported", func(t *testing.T) { checkDashboards(t, have) })
	t.Run("Prometheus", func(t *testing.T) { checkPrometheus(t, c) })
}

// certificates makes one that is its own CA, for a loopback port.
func certificates(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "covey test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("node.pem", "CERTIFICATE", der), write("node.key", "PRIVATE KEY", private)
}

// scrapeAll scrapes until there is all that docs/metrics.md describes: some series
// begin with something that happens now and then. What does not come is left to
// the tests.
func scrapeAll(t *testing.T, urls []string) (have exported) {
	t.Helper()
	want := describedIn(file(t, "docs/metrics.md"))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); ; <-tick.C {
		have = scrape(t, urls)
		missing := slices.ContainsFunc(want, func(d described) bool { return have[d.name] == nil })
		if !missing || time.Now().After(deadline) {
			return have
		}
	}
}

// provoke makes each node do what has series of its own: a write, a read and a
// stream.
func provoke(t *testing.T, urls []string) {
	t.Helper()
	for _, u := range urls {
		bucket := do(t, "POST", u+"/", "")
		do(t, "PUT", u+"/"+bucket+"/k", "v")
		do(t, "GET", u+"/"+bucket+"/k", "")
		ctx, stop := context.WithCancel(t.Context())
		t.Cleanup(stop)
		r, err := http.NewRequestWithContext(ctx, "GET", u+"/"+bucket+"/?watch=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatalf("watch: %s", res.Status)
		}
	}
}

func do(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %s, %v", method, url, res.Status, err)
	}
	return strings.TrimSpace(string(p))
}
