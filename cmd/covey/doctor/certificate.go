package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"

	"github.com/coveydb/covey/internal/pki"
)

// readChain reads the files of c and tries whether they fit each other.
func readChain(c Certificates, now time.Time) Chain {
	chain := Chain{Certificates: c}
	own, err := pki.ReadCertificates(c.Cert)
	if err != nil {
		chain.Err = err
		return chain
	}
	chain.Leaf = own[0]
	if _, chain.Err = os.ReadFile(c.Key); chain.Err != nil {
		return chain
	}
	_, chain.Mismatch = tls.LoadX509KeyPair(c.Cert, c.Key)
	if c.CA == "" {
		return chain
	}
	if chain.Authorities, chain.Err = pki.ReadCertificates(c.CA); chain.Err != nil {
		return chain
	}
	chain.Untrusted = verify(own, chain.Authorities, now)
	return chain
}

// verify reports why own does not lead to one of the authorities. That a
// certificate has expired is judged apart, so a time is taken at which it has
// not.
func verify(own, authorities []*x509.Certificate, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range authorities {
		roots.AddCert(c)
	}
	for _, c := range own[1:] {
		between.AddCert(c)
	}
	if now.Before(own[0].NotBefore) || now.After(own[0].NotAfter) {
		now = own[0].NotBefore
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := own[0].Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		}); err != nil {
			return err
		}
	}
	return nil
}
