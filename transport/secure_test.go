package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
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

// trusting is the configuration of one who shows pair and trusts the CAs.
func trusting(t *testing.T, pair pki.Pair, cas ...*pki.Authority) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.Certificate())
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func nodePair(t *testing.T, ca *pki.Authority, id, host string) pki.Pair {
	t.Helper()
	pair, err := ca.IssueNode(id, []string{host}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// logged is a logger's output that several goroutines may write and read.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// warnings returns the lines of warnings that hold text.
func (l *logged) warnings(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestANodeIsHeldToTheIdInItsCertificate(t *testing.T) {
	ca, strange := newCA(t, "ours"), newCA(t, "theirs")
	client, err := ca.IssueClient("ada", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	// b's certificate is for another host: its id is what counts.
	good := trusting(t, nodePair(t, ca, "b", "b.example"), ca)
	for name, c := range map[string]struct {
		a, b         *tls.Config
		says         string // a's error
		aLogs, bLogs string
	}{
		"its own certificate": {a: trusting(t, nodePair(t, ca, "a", "a.example"), ca), b: good},
		"another node's": {
			a: trusting(t, nodePair(t, ca, "c", "127.0.0.1"), ca), b: good,
			says: "certificate is that of node c, and you say that you are node a", aLogs: "node c", bLogs: "node c",
		},
		"a client's": {a: trusting(t, client, ca), b: good, says: "is a client's", aLogs: "client's", bLogs: "client's"},
		"another CA's": {
			a: trusting(t, nodePair(t, strange, "a", "127.0.0.1"), ca), b: good,
			says: "refuses this node's certificate", aLogs: "refuses this node's certificate", bLogs: "is of no CA that this node trusts",
		},
		"none": {
			a: &tls.Config{RootCAs: good.RootCAs}, b: good,
			says: "refuses this node's certificate", aLogs: "refuses", bLogs: "it shows no certificate",
		},
		"a node without TLS answers": {
			a: trusting(t, nodePair(t, ca, "a", "127.0.0.1"), ca), b: nil,
			says: "is it a node without TLS?", aLogs: "without TLS", bLogs: "it speaks TLS and this node does not",
		},
		"another node answers": {
			a: trusting(t, nodePair(t, ca, "a", "127.0.0.1"), ca), b: trusting(t, nodePair(t, ca, "c", "127.0.0.1"), ca),
			says: "is that of node c, and node b was wanted", aLogs: "node b was wanted", bLogs: "refuses this node's certificate",
		},
		"a client answers": {
			a: trusting(t, nodePair(t, ca, "a", "127.0.0.1"), ca), b: trusting(t, client, ca),
			says: "certificate", aLogs: "certificate", bLogs: "refuses this node's certificate",
		},
		"a stranger answers": {
			a: trusting(t, nodePair(t, ca, "a", "127.0.0.1"), ca), b: trusting(t, nodePair(t, strange, "b", "127.0.0.1"), ca),
			says: "is of no CA that this node trusts", aLogs: "is of no CA", bLogs: "refuses this node's certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var aLog, bLog logged
			b := listen(t, "b", func(cfg *Config) { cfg.TLS, cfg.Logger = always(c.b), slog.New(slog.NewTextHandler(&bLog, nil)) })
			a := listen(t, "a", func(cfg *Config) {
				cfg.TLS, cfg.Resolve, cfg.Logger = always(c.a), at("b", b.Addr().String()), slog.New(slog.NewTextHandler(&aLog, nil))
			})
			_, err := a.Call(within(t, 10*time.Second), "b", Term, nil)
			if c.says == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, want one that says %q", err, c.says)
			}
			eventually(t, "b's warning: "+c.bLogs, func() bool { return len(bLog.warnings(c.bLogs)) == 1 })
			if w := bLog.warnings("remote=127.0.0.1"); len(w) != 1 {
				t.Errorf("b warns %d times with the address: %q", len(w), w)
			}
			if w := aLog.warnings(c.aLogs); len(w) != 1 {
				t.Errorf("a warns %d times of %q: %s", len(w), c.aLogs, aLog.buf.String())
			}
		})
	}
}

// ended returns the configuration of a node whose certificate has ended.
func ended(t *testing.T, ca *authority) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Now().Add(-time.Minute),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: ca.pool, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestAnEndedCertificateIsRefusedOnBothEnds(t *testing.T) {
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		a, b        *tls.Config
		says, bLogs string
	}{
		"of who dials":   {ended(t, ca), ca.config(t), "refuses this node's certificate", "its certificate (a, signed by test) has expired"},
		"of who answers": {ca.config(t), ended(t, ca), "has expired", "refuses this node's certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			var log logged
			b := listen(t, "b", func(cfg *Config) { cfg.TLS, cfg.Logger = always(c.b), slog.New(slog.NewTextHandler(&log, nil)) })
			a := listen(t, "a", func(cfg *Config) { cfg.TLS, cfg.Resolve = always(c.a), at("b", b.Addr().String()) })
			if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, want one that says %q", err, c.says)
			}
			eventually(t, "b's warning: "+c.bLogs, func() bool { return len(log.warnings(c.bLogs)) == 1 })
		})
	}
}

func TestARefusalIsLoggedOnceInAWhile(t *testing.T) {
	ca, strange := newCA(t, "ours"), newCA(t, "theirs")
	var log logged
	b := listen(t, "b", func(c *Config) {
		c.TLS, c.Logger = always(trusting(t, nodePair(t, ca, "b", "127.0.0.1"), ca)), slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 5 {
		a := listen(t, "a", func(c *Config) {
			c.TLS, c.Resolve = always(trusting(t, nodePair(t, strange, "a", "127.0.0.1"), ca)), at("b", b.Addr().String())
		})
		if _, err := a.Call(within(t, 10*time.Second), "b", Term, nil); err == nil {
			t.Fatal("a stranger was let in")
		}
	}
	eventually(t, "5 refusals", func() bool { return b.Stats().Refused == 5 })
	if w := log.warnings("refused"); len(w) != 1 {
		t.Errorf("%d warnings of 5 equal refusals:\n%s", len(w), strings.Join(w, ""))
	}
}

func TestACertificateOfAnotherToolProvesItsHost(t *testing.T) {
	ours := newAuthority(t)
	a, b := ours.config(t), ours.config(t)
	at4 := listen(t, "b", func(c *Config) { c.TLS = always(b) })
	elsewhere := a.Clone()
	elsewhere.ServerName = "b.example"
	for name, c := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{"for this host": {a, true}, "for another": {elsewhere, false}} {
		t.Run(name, func(t *testing.T) {
			from := listen(t, "a", func(cfg *Config) { cfg.TLS, cfg.Resolve = always(c.cfg), at("b", at4.Addr().String()) })
			if _, err := from.Call(within(t, 10*time.Second), "b", Term, nil); (err == nil) != c.ok {
				t.Errorf("err = %v, want success: %t", err, c.ok)
			} else if !c.ok && !strings.Contains(err.Error(), "other hosts") {
				t.Errorf("err = %v, want one of other hosts", err)
			}
		})
	}
}

// Certificates and CAs change while calls are under way: a bundle with both CAs
// everywhere, then new certificates, then the new CA alone.
func TestTrustChangesUnderCalls(t *testing.T) {
	was, will := newCA(t, "old"), newCA(t, "new")
	var trust [2]atomic.Pointer[tls.Config]
	set := func(by *pki.Authority, cas ...*pki.Authority) {
		for i, id := range []string{"a", "b"} {
			trust[i].Store(trusting(t, nodePair(t, by, id, "127.0.0.1"), cas...))
		}
	}
	set(was, was)
	b := listen(t, "b", func(c *Config) { c.TLS = trust[1].Load })
	dial := func() *Transport {
		return listen(t, "a", func(c *Config) { c.TLS, c.Resolve = trust[0].Load, at("b", b.Addr().String()) })
	}
	call := func(a *Transport) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := a.Call(ctx, "b", Term, []byte("x"))
		return err
	}
	old := dial()
	for step, change := range []func(){
		func() {}, func() { set(was, was, will) }, func() { set(will, was, will) }, func() { set(will, will) },
	} {
		change()
		if err := call(old); err != nil {
			t.Errorf("step %d, an open connection: %v", step, err)
		}
		if err := call(dial()); err != nil {
			t.Errorf("step %d, a new connection: %v", step, err)
		}
	}
	trust[0].Store(trusting(t, nodePair(t, was, "a", "127.0.0.1"), was, will))
	if err := call(dial()); err == nil {
		t.Error("a certificate of the old CA is accepted after that was taken out")
	}
}

func TestAnEndedCertificateIsTheSameNewsAtEachTry(t *testing.T) {
	end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(when string) string {
		return explain(x509.CertificateInvalidError{Cert: &x509.Certificate{NotAfter: end}, Reason: x509.Expired, Detail: "current time " + when}).Error()
	}
	first := at("2026-01-02T03:04:06Z")
	if again := at("2026-01-02T03:04:08Z"); again != first || !strings.Contains(first, "until 2026-01-02T03:04:05Z") {
		t.Errorf("%s\n%s", first, again)
	}
}
