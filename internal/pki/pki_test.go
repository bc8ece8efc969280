package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func authority(t testing.TB, life time.Duration) *Authority {
	t.Helper()
	a, err := NewAuthority("test", life)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leaf is the certificate of a pair.
func leaf(t testing.TB, p Pair) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func verify(a *Authority, c *x509.Certificate, host string, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestANodesCertificateServesAndDials(t *testing.T) {
	ca := authority(t, 0)
	pair, err := ca.IssueNode("n1", []string{"10.0.0.1", "fd00::1", "N1.example"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := leaf(t, pair)
	for _, host := range []string{"10.0.0.1", "fd00::1", "n1.example"} {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if err := verify(ca, c, host, usage); err != nil {
				t.Errorf("%s, usage %v: %v", host, usage, err)
			}
		}
	}
	if verify(ca, c, "10.0.0.2", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("it holds for another host")
	}
	if verify(authority(t, 0), c, "10.0.0.1", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("it holds under another CA")
	}
	if role, id, err := Identify(c); role != RoleNode || id != "n1" || err != nil || !ServesPeers(c) {
		t.Errorf("it is %q %q, %v", role, id, err)
	}
	if life := time.Until(c.NotAfter); life > LeafLife || life < LeafLife-time.Minute || c.NotBefore.After(time.Now().Add(-early/2)) {
		t.Errorf("it holds from %v to %v", c.NotBefore, c.NotAfter)
	}
}

func TestAClientsCertificateOnlyDials(t *testing.T) {
	ca := authority(t, 0)
	pair, err := ca.IssueClient("ada@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := leaf(t, pair)
	if err := verify(ca, c, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Error(err)
	}
	if verify(ca, c, "", x509.ExtKeyUsageServerAuth) == nil || ServesPeers(c) {
		t.Error("it may serve")
	}
	if role, name, err := Identify(c); role != RoleClient || name != "ada@example.com" || err != nil {
		t.Errorf("it is %q %q, %v", role, name, err)
	}
}

func TestNoCertificateOutlivesItsCA(t *testing.T) {
	ca := authority(t, time.Hour)
	pair, err := ca.IssueNode("n1", []string{"h"}, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if c := leaf(t, pair); !c.NotAfter.Equal(ca.Certificate().NotAfter) || c.NotBefore.Before(ca.Certificate().NotBefore) {
		t.Errorf("it holds from %v to %v, its CA from %v to %v", c.NotBefore, c.NotAfter, ca.Certificate().NotBefore, ca.Certificate().NotAfter)
	}
	ca.cert.NotAfter = time.Now().Add(-time.Minute)
	if _, err := ca.IssueNode("n1", []string{"h"}, 0); !errs.Is(err, errs.Conflict) {
		t.Errorf("a CA that has ended signs: %v", err)
	}
}

func TestARequestDecidesOnlyTheKey(t *testing.T) {
	ca := authority(t, 0)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "root"}, DNSNames: []string{"evil.example"}, URIs: []*url.URL{identity(RoleNode, "n9")},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := ca.SignNode(pem.EncodeToMemory(&pem.Block{Type: blockRequest, Bytes: der}), "n1", []string{"n1.example"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		t.Fatal(err)
	}
	c := certs[0]
	if _, id, err := Identify(c); id != "n1" || err != nil || c.Subject.CommonName != "n1" || !slices.Equal(c.DNSNames, []string{"n1.example"}) || c.IsCA {
		t.Errorf("it is %q %v %v, a CA: %t (%v)", id, c.Subject, c.DNSNames, c.IsCA, err)
	}
	if !samePublic(c.PublicKey, key.Public()) {
		t.Error("it has another key")
	}
}

func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	ca := authority(t, 0)
	good, _, err := NewRequest("n1")
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(good)
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-5] ^= 1 // in the signature
	forged = pem.EncodeToMemory(block)
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		csr   []byte
		id    string
		hosts []string
		life  time.Duration
	}{
		"no request":       {[]byte("rubbish"), "n1", []string{"h"}, 0},
		"two requests":     {append(bytes.Clone(good), good...), "n1", []string{"h"}, 0},
		"a forged request": {forged, "n1", []string{"h"}, 0},
		"a weak key":       {pem.EncodeToMemory(&pem.Block{Type: blockRequest, Bytes: der}), "n1", []string{"h"}, 0},
		"no id":            {good, "", []string{"h"}, 0},
		"an id with a /":   {good, "n1/n2", []string{"h"}, 0},
		"no host":          {good, "n1", nil, 0},
		"an empty host":    {good, "n1", []string{""}, 0},
		"host and port":    {good, "n1", []string{"h:8701"}, 0},
		"every interface":  {good, "n1", []string{"0.0.0.0"}, 0},
		"too many hosts":   {good, "n1", slices.Repeat([]string{"h"}, maxHosts+1), 0},
		"a short life":     {good, "n1", []string{"h"}, time.Second},
		"a negative life":  {good, "n1", []string{"h"}, -time.Hour},
		"a life of ages":   {good, "n1", []string{"h"}, 101 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ca.SignNode(c.csr, c.id, c.hosts, c.life); !errs.Is(err, errs.Invalid) {
				t.Errorf("err = %v, want invalid", err)
			}
		})
	}
	for _, name := range []string{"", "a b", "/", strings.Repeat("x", 65)} {
		if _, err := ca.IssueClient(name, 0); !errs.Is(err, errs.Invalid) {
			t.Errorf("a client called %q: %v", name, err)
		}
	}
	for _, name := range []string{"", " ", strings.Repeat("x", 65)} {
		if _, err := NewAuthority(name, 0); !errs.Is(err, errs.Invalid) {
			t.Errorf("a CA called %q: %v", name, err)
		}
	}
}

func TestTwoHoldersAreNone(t *testing.T) {
	uri := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for name, c := range map[string]struct {
		uris []*url.URL
		role Role
		id   string
		ok   bool
	}{
		"none":            {nil, RoleNone, "", true},
		"another scheme":  {[]*url.URL{uri("spiffe://x/node/n1")}, RoleNone, "", true},
		"a node":          {[]*url.URL{uri("spiffe://x"), uri("covey://node/n1")}, RoleNode, "n1", true},
		"two nodes":       {[]*url.URL{uri("covey://node/n1"), uri("covey://node/n2")}, "", "", false},
		"node and client": {[]*url.URL{uri("covey://node/n1"), uri("covey://client/n1")}, "", "", false},
		"an unknown role": {[]*url.URL{uri("covey://root/n1")}, "", "", false},
		"a query":         {[]*url.URL{uri("covey://node/n1?x")}, "", "", false},
		"a port":          {[]*url.URL{uri("covey://node:1/n1")}, "", "", false},
		"an escape":       {[]*url.URL{uri("covey://node/n%31")}, "", "", false},
		"capitals":        {[]*url.URL{uri("COVEY://node/n1")}, RoleNode, "n1", true}, // RFC 3986, 3.1
	} {
		t.Run(name, func(t *testing.T) {
			role, id, err := Identify(&x509.Certificate{URIs: c.uris})
			if role != c.role || id != c.id || (err == nil) != c.ok {
				t.Errorf("%q %q, %v; want %q %q, ok %t", role, id, err, c.role, c.id, c.ok)
			}
		})
	}
}

func TestFilesAreNeverOverwrittenAndKeysAreClosed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	ca := authority(t, 0)
	pair, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(cert, key); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{cert: 0o644, key: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(filepath.Join(dir, "new.pem"), key); !errs.Is(err, errs.Exists) {
		t.Errorf("over a key: %v", err)
	}
	if err := pair.Save(cert, filepath.Join(dir, "new.key")); !errs.Is(err, errs.Exists) {
		t.Errorf("over a certificate: %v", err)
	}
	if err := Create(cert, []byte("x"), 0o644); !errs.Is(err, errs.Exists) {
		t.Errorf("create over a file: %v", err)
	}
	if after, err := os.ReadFile(key); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key has changed (%v)", err)
	}
	loaded, err := LoadAuthority(cert, key)
	if err != nil || !loaded.Certificate().Equal(ca.Certificate()) {
		t.Errorf("loaded: %v", err)
	}
	if err := pair.Replace(cert, key); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
	if err := pair.Save(filepath.Join(dir, "none", "a"), filepath.Join(dir, "none", "b")); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

func TestACAsKeyThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	pair, err := authority(t, 0).Pair()
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(cert, key); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadAuthority(cert, key); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "chmod 600 "+key) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestWhatIsNoAuthorityIsRefused(t *testing.T) {
	ca, other := authority(t, 0), authority(t, 0)
	pair, otherPair := must(ca.Pair())(t), must(other.Pair())(t)
	node := must(ca.IssueNode("n1", []string{"h"}, 0))(t)
	ended := authority(t, time.Minute)
	template := *ended.cert
	template.NotAfter = time.Now().Add(-time.Second)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, ended.key.Public(), ended.key)
	if err != nil {
		t.Fatal(err)
	}
	endedPair := must(ended.Pair())(t)
	for name, p := range map[string]Pair{
		"a node's":       node,
		"of two CAs":     {pair.Cert, otherPair.Key},
		"no certificate": {[]byte("x"), pair.Key},
		"no key":         {pair.Cert, pair.Cert},
		"a damaged key":  {pair.Cert, []byte("-----BEGIN PRIVATE KEY-----\nMTIz\n-----END PRIVATE KEY-----\n")},
		"an ended one":   {encodeCert(der), endedPair.Key},
		"a locked key":   {pair.Cert, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMTIz\n-----END ENCRYPTED PRIVATE KEY-----\n")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAuthority(p.Cert, p.Key)
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("err = %v, want invalid", err)
			}
			if err != nil && strings.Contains(err.Error(), "MTIz") {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

// must returns the value, or fails the test that is given then.
func must[V any](v V, err error) func(testing.TB) V {
	return func(t testing.TB) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestPairsAreNotPrinted(t *testing.T) {
	pair := must(authority(t, 0).Pair())(t)
	if text := fmt.Sprintf("%v %s", pair, pair); strings.Contains(text, "BEGIN") {
		t.Errorf("printed: %s", text)
	}
}

func TestBundlesAreReadWhole(t *testing.T) {
	a, b := authority(t, 0), authority(t, 0)
	bundle := append(append([]byte("# ours\n"), a.CertPEM()...), b.CertPEM()...)
	certs, err := ParseCertificates(bundle)
	if err != nil || len(certs) != 2 || Name(certs[0]) == Name(certs[1]) {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	if _, err := ParseCertificates(append(bundle, "-----BEGIN CERTIFICATE-----\nMTI"...)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bundle that was cut off: %v", err)
	}
	if _, err := ParseCertificates(bytes.Repeat(a.CertPEM(), maxCerts+1)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a huge bundle: %v", err)
	}
	if _, err := ReadCertificates(filepath.Join(t.TempDir(), "none")); !errs.Is(err, errs.NotFound) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestDescriptionsTellWhatMayBeShown(t *testing.T) {
	ca := authority(t, 0)
	d := Describe(leaf(t, must(ca.IssueNode("n1", []string{"n1.example", "10.0.0.1"}, 0))(t)))
	if d.Role != RoleNode || d.Name != "n1" || d.Issuer != ca.String() || !slices.Equal(d.Hosts, []string{"n1.example", "10.0.0.1"}) ||
		!slices.Equal(d.Usages, []string{"server", "client"}) || len(d.Fingerprint) != 64 {
		t.Errorf("%+v", d)
	}
	if d := Describe(ca.Certificate()); d.Role != RoleCA || d.Name != ca.String() {
		t.Errorf("%+v", d)
	}
}

func FuzzParse(f *testing.F) {
	ca := authority(f, 0)
	pair := must(ca.Pair())(f)
	csr, _, err := NewRequest("n1")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{pair.Cert, pair.Key, csr, append(bytes.Clone(pair.Cert), pair.Key...), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if certs, err := ParseCertificates(text); err == nil {
			for _, c := range certs {
				_ = Describe(c)
				_ = ServesPeers(c)
			}
			if len(certs) == 0 {
				t.Error("no certificate and no error")
			}
		}
		if a, err := ParseAuthority(text, pair.Key); err == nil && !a.cert.IsCA {
			t.Error("a CA that is none")
		}
		if _, err := ParseAuthority(pair.Cert, text); err == nil && !bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Error("a key that is none")
		}
		if out, err := ca.SignNode(text, "n1", []string{"127.0.0.1"}, time.Hour); err == nil {
			certs, err := ParseCertificates(out)
			if err != nil || !certs[0].IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) || len(certs[0].DNSNames) > 0 {
				t.Errorf("a request decided more than its key: %v", err)
			}
		}
	})
}
