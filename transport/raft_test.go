package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

func TestRaftStreamsAreHandedOverAsTheyAre(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.Advertise = "b.example:8701" })
	a := listen(t, "a", nil)
	lb := b.RaftListener()
	if got := lb.Addr().String(); got != "b.example:8701" {
		t.Errorf("Addr = %s, want the advertised address", got)
	}
	out, err := a.RaftListener().Dial(b.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("first bytes of raft")); err != nil {
		t.Fatal(err)
	}
	in, err := lb.Accept()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 19)
	if _, err := io.ReadFull(in, buf); err != nil || string(buf) != "first bytes of raft" {
		t.Errorf("got %q, %v", buf, err)
	}
	in.Write([]byte("answer"))
	in.Close()
	if got, err := io.ReadAll(out); err != nil || string(got) != "answer" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRaftDialsTheNodeItMeans(t *testing.T) {
	b := listen(t, "b", nil)
	la := listen(t, "a", nil).RaftListener()
	conn, err := la.Dial(RaftAddress("b", b.Addr().String()), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	_, err = la.Dial(RaftAddress("c", b.Addr().String()), 10*time.Second)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "this is node b, you wanted c") {
		t.Errorf("got %v, want a refusal", err)
	}
	if id, addr := splitRaftAddress(RaftAddress("a@b", "h:1")); id != "a@b" || addr != "h:1" {
		t.Errorf("split to %q, %q", id, addr)
	}
}

func TestRaftDialGivesUpInTime(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	a := listen(t, "a", nil)
	if _, err := a.RaftListener().Dial(mute.Addr().String(), 20*time.Millisecond); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if s := a.Stats(); s.Outgoing != 0 || s.DialErrors != 1 {
		t.Errorf("stats %+v, want no connection left and one error", s)
	}
}

func TestARaftListenerMayFollowAnother(t *testing.T) {
	b := listen(t, "b", nil)
	a := listen(t, "a", nil)
	first := b.RaftListener()
	ended := make(chan error)
	go func() { _, err := first.Accept(); ended <- err }()
	first.Close()
	first.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	second := b.RaftListener()
	out, err := a.RaftListener().Dial(b.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the closed one: got %v", err)
	}
}

func TestAnAcceptedRaftStreamIsCutOffIfItsPeerDoesNotRead(t *testing.T) {
	b := listen(t, "b", func(c *Config) { c.WriteTimeout = 20 * time.Millisecond })
	out, err := listen(t, "a", nil).RaftListener().Dial(b.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := b.RaftListener().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = in.Write(chunk)
	}
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("got %v, want a time-out", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	b := listen(t, "b", func(c *Config) {
		c.Handler = func(context.Context, string, Call, []byte, func([]byte, error)) {} // never answers
	})
	a := listen(t, "a", knows("b", b))
	results := make(chan error, 3)
	for _, c := range []Call{Propose, ReadPoint, Term} {
		go func() { _, err := a.Call(context.Background(), "b", c, nil); results <- err }()
	}
	stream, err := a.RaftListener().Dial(b.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	enter(t, b)                // an idle peer
	knock(t, b, []byte(magic)) // an unfinished handshake
	eventually(t, "all is under way", func() bool {
		s := b.Stats()
		return s.Incoming == 5 && s.Propose.Served+s.ReadPoint.Served+s.Term.Served == 3
	})
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-results; !errs.Is(err, errs.Unknown) {
			t.Errorf("a call under way: got %v, want unknown", err)
		}
	}
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("a Raft stream survived Close")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if s := b.Stats(); s.Incoming != 0 || s.Outgoing != 0 {
		t.Errorf("connections left: %+v", s)
	}
	if _, err := a.Call(context.Background(), "b", Term, nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a call after Close: %v", err)
	}
	noneLeft(t)
}

// authority makes certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

// config is for mutual TLS between nodes that this authority vouches for.
func (a *authority) config(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      a.pool, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// always gives every connection the same configuration, and none for nil.
func always(cfg *tls.Config) func() *tls.Config {
	if cfg == nil {
		return nil
	}
	return func() *tls.Config { return cfg }
}

func TestMutualTLS(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	b := listen(t, "b", func(c *Config) { c.TLS = always(ours.config(t)) })
	with := func(cfg *tls.Config) *Transport {
		return listen(t, "a", func(c *Config) { c.TLS = always(cfg); c.Resolve = at("b", b.Addr().String()) })
	}
	t.Run("a peer with a certificate is served", func(t *testing.T) {
		a := with(ours.config(t))
		if got, err := a.Call(within(t, 10*time.Second), "b", Term, []byte("t")); err != nil || string(got) != "t" {
			t.Errorf("call: got %q, %v", got, err)
		}
		out, err := a.RaftListener().Dial(b.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		in, err := b.RaftListener().Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		go out.Write([]byte("raft"))
		buf := make([]byte, 4)
		if _, err := io.ReadFull(in, buf); err != nil || string(buf) != "raft" {
			t.Errorf("stream: got %q, %v", buf, err)
		}
	})
	for name, cfg := range map[string]*tls.Config{
		"a peer without a certificate is refused":            {RootCAs: ours.pool},
		"a peer with a certificate of another CA is refused": {RootCAs: ours.pool, Certificates: other.config(t).Certificates},
		"a peer that does not trust our CA does not go on":   other.config(t),
		"a peer without TLS is refused, with a hint at TLS":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := with(cfg).Call(within(t, 10*time.Second), "b", Term, nil)
			if !errs.Is(err, errs.Unavailable) || !strings.Contains(strings.ToLower(err.Error()), "tls") {
				t.Errorf("got %v (%v), want unavailable and the word TLS", err, errs.KindOf(err))
			}
		})
	}
}
