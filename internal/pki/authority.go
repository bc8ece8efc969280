package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Lives of certificates where nothing else is wanted.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	LeafLife      = 365 * 24 * time.Hour
)

// early is how long before they are made certificates begin to hold, as the
// clocks of other machines may be behind.
const early = time.Hour

// An Authority is a CA that can sign: its certificate and its key. It does not
// change and is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A Pair is a certificate and its key as PEM. Printing one shows only whether
// there is something.
type Pair struct {
	Cert []byte
	Key  []byte
}

// String returns a placeholder, never the key.
func (p Pair) String() string {
	if len(p.Key) == 0 {
		return ""
	}
	return "[redacted]"
}

// NewAuthority makes a CA. name is for people; the day and some random digits
// are added, so that the old CA and the new one can be told apart while both are
// trusted. life is at least a minute; 0 = AuthorityLife.
func NewAuthority(name string, life time.Duration) (*Authority, error) {
	if name = strings.TrimSpace(name); name == "" || len(name) > maxName {
		return nil, errs.E(errs.Invalid, "name of a CA: 1 to %d characters are needed", maxName)
	}
	if life == 0 {
		life = AuthorityLife
	}
	if err := checkLife(life); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: name + " " + now.UTC().Format(time.DateOnly) + " " + randomHex(3)},
		NotBefore:    now.Add(-early), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, errs.E(errs.Internal, "make a CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errs.E(errs.Internal, "make a CA: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// ParseAuthority reads a CA from PEM: its certificate, the first of certPEM, and
// the key of that. What is no CA, has ended, or does not fit together is
// errs.Invalid.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	certs, err := ParseCertificates(certPEM)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: certs[0], key: key}
	switch c := a.cert; {
	case !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errs.E(errs.Invalid, "the certificate of %s is not that of a CA", Name(c))
	case !samePublic(c.PublicKey, key.Public()):
		return nil, errs.E(errs.Invalid, "the key is not that of the certificate of %s", Name(c))
	case time.Now().After(c.NotAfter):
		return nil, errs.E(errs.Invalid, "the CA %s ended on %s: make a new one", Name(c), day(c.NotAfter))
	}
	return a, nil
}

// Certificate returns the CA's certificate, which the caller must not change.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pair returns the CA's certificate and key.
func (a *Authority) Pair() (Pair, error) { return newPair(a.CertPEM(), a.key) }

// CertPEM returns the CA's certificate.
func (a *Authority) CertPEM() []byte { return encodeCert(a.cert.Raw) }

// String returns the CA's name, never its key.
func (a *Authority) String() string { return Name(a.cert) }

// IssueNode makes a key and a certificate for the node id, which can be reached
// under hosts: names and IP addresses, at least one. 0 = LeafLife.
func (a *Authority) IssueNode(id string, hosts []string, life time.Duration) (Pair, error) {
	csr, key, err := newRequest(id)
	if err != nil {
		return Pair{}, err
	}
	cert, err := a.SignNode(csr, id, hosts, life)
	if err != nil {
		return Pair{}, err
	}
	return newPair(cert, key)
}

// SignNode returns a certificate for the node id with the public key of csr, a
// request as PEM. Everything else in the request is ignored: id, hosts and life
// (0 = LeafLife) are the caller's decision. It ends with the CA at the latest.
// A request whose own signature is wrong, a weak key, an id or a host that is
// none are errs.Invalid.
func (a *Authority) SignNode(csr []byte, id string, hosts []string, life time.Duration) ([]byte, error) {
	if !validNode.MatchString(id) {
		return nil, errs.E(errs.Invalid, "node id %q: it takes 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit", id)
	}
	req, err := parseRequest(csr)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		URIs:        []*url.URL{identity(RoleNode, id)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if err := addHosts(template, hosts); err != nil {
		return nil, err
	}
	return a.sign(template, req.PublicKey, life)
}

// IssueClient makes a key and a certificate for a client: it opens the HTTP port
// where that asks for certificates, and nothing else. life 0 = LeafLife.
func (a *Authority) IssueClient(name string, life time.Duration) (Pair, error) {
	if !validClient.MatchString(name) {
		return Pair{}, errs.E(errs.Invalid, "client name %q: it takes 1 to 64 letters, digits, dots, dashes, underscores and @, and begins with a letter or digit", name)
	}
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	cert, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		URIs:        []*url.URL{identity(RoleClient, name)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key.Public(), life)
	if err != nil {
		return Pair{}, err
	}
	return newPair(cert, key)
}

// sign completes the template of a leaf and signs it.
func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey, life time.Duration) ([]byte, error) {
	if life == 0 {
		life = LeafLife
	}
	if err := checkLife(life); err != nil {
		return nil, err
	}
	now := time.Now()
	if !now.Before(a.cert.NotAfter) {
		return nil, errs.E(errs.Conflict, "the CA %s ended on %s: it signs nothing any more", Name(a.cert), day(a.cert.NotAfter))
	}
	template.SerialNumber = newSerial()
	template.NotBefore, template.NotAfter = now.Add(-early), now.Add(life)
	if template.NotBefore.Before(a.cert.NotBefore) {
		template.NotBefore = a.cert.NotBefore
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, errs.E(errs.Internal, "sign a certificate: %w", err)
	}
	return encodeCert(der), nil
}

// maxHosts bounds the names in one certificate.
const maxHosts = 100

// addHosts puts names and addresses among the alternative names.
func addHosts(c *x509.Certificate, hosts []string) error {
	if len(hosts) == 0 || len(hosts) > maxHosts {
		return errs.E(errs.Invalid, "%d hosts: a node's certificate needs 1 to %d names or addresses that others reach it by", len(hosts), maxHosts)
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip != nil && ip.IsUnspecified():
			return errs.E(errs.Invalid, "host %s is every interface of a machine and none that others can dial", h)
		case ip != nil:
			c.IPAddresses = append(c.IPAddresses, ip)
		case validHost.MatchString(h) && len(h) <= maxHost:
			c.DNSNames = append(c.DNSNames, strings.ToLower(h))
		default:
			return errs.E(errs.Invalid, "host %q is neither a name nor an IP address", h)
		}
	}
	return nil
}

func checkLife(life time.Duration) error {
	if life < time.Minute || life > 100*365*24*time.Hour {
		return errs.E(errs.Invalid, "life of a certificate %v: one minute to 100 years", life)
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errs.E(errs.Internal, "make a key: %w", err)
	}
	return key, nil
}

// newSerial draws 127 random bits, so that no two certificates of a CA share a
// number (RFC 5280, 4.1.2.2).
func newSerial() *big.Int {
	var p [16]byte
	_, _ = rand.Read(p[:]) // documented never to return an error
	p[0] &= 0x7f
	p[15] |= 1 // never zero
	return new(big.Int).SetBytes(p[:])
}

func randomHex(n int) string {
	p := make([]byte, n)
	_, _ = rand.Read(p) // documented never to return an error
	return hex.EncodeToString(p)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
