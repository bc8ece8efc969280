package smtp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	server "github.com/emersion/go-smtp"
)

// relayed is a mail that the test's server has taken.
type relayed struct{ from, to, data string }

// backend is the test's mail server: it answers what the test tells it to.
type backend struct {
	atMail, atRcpt, atData error
	password               string // of the user shop; "" = nobody need log in
	hang                   chan struct{}

	mu    sync.Mutex
	mails []relayed
}

func (b *backend) NewSession(*server.Conn) (server.Session, error) { return &session{b: b}, nil }

func (b *backend) taken() []relayed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mails
}

type session struct {
	b    *backend
	mail relayed
	in   bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "shop" || password != s.b.password {
			return &server.SMTPError{Code: 535, EnhancedCode: server.EnhancedCode{5, 7, 8}, Message: "wrong password " + password}
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *server.MailOptions) error {
	if s.b.password != "" && !s.in {
		return &server.SMTPError{Code: 530, Message: "log in first"}
	}
	s.mail.from = from
	return s.b.atMail
}

func (s *session) Rcpt(to string, _ *server.RcptOptions) error { s.mail.to = to; return s.b.atRcpt }

func (s *session) Data(r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.b.hang != nil {
		<-s.b.hang
	}
	if s.b.atData != nil {
		return s.b.atData
	}
	s.mail.data = string(p)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// serve runs b on loopback, with TLS from the first word if outset is set, and
// STARTTLS if config is.
func serve(t *testing.T, b *backend, config *tls.Config, outset bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	s := server.NewServer(b)
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "test", true, log.New(io.Discard, "", 0)
	if outset {
		l = tls.NewListener(l, config)
	} else {
		s.TLSConfig = config
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return addr
}

// certificate makes a certificate for 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
