package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"regexp"

	"github.com/coveydb/covey/internal/errs"
)

const (
	maxName  = 64  // X.520's bound of a common name
	maxHost  = 253 // RFC 1035
	maxCerts = 100 // in one bundle
)

// What PEM blocks hold.
const (
	blockCert    = "CERTIFICATE"
	blockKey     = "PRIVATE KEY"
	blockRequest = "CERTIFICATE REQUEST"
)

var (
	validNode   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	validClient = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
	validHost   = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

// ParseCertificates reads all certificates of a PEM text, at least one. Keys in
// it are passed over; every other block, text that is no PEM, and more than 100
// certificates are errs.Invalid.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := text; ; {
		block, more := pem.Decode(rest)
		if block == nil {
			if len(certs) == 0 {
				return nil, errs.E(errs.Invalid, "there is no certificate in PEM form")
			}
			if bytes.Contains(rest, []byte("-----BEGIN")) {
				return nil, errs.E(errs.Invalid, "the PEM text is damaged after certificate %d", len(certs))
			}
			return certs, nil
		}
		rest = more
		if block.Type == blockKey || block.Type == "EC PRIVATE KEY" || block.Type == "RSA PRIVATE KEY" {
			continue
		}
		if block.Type != blockCert {
			return nil, errs.E(errs.Invalid, "there is a %q where a certificate belongs", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errs.E(errs.Invalid, "certificate %d: %w", len(certs)+1, err)
		}
		if certs = append(certs, c); len(certs) > maxCerts {
			return nil, errs.E(errs.Invalid, "there are more than %d certificates", maxCerts)
		}
	}
}

// parseKey reads the first key of a PEM text. Its errors never quote the text.
func parseKey(text []byte) (crypto.Signer, error) {
	for rest := text; ; {
		block, more := pem.Decode(rest)
		if block == nil {
			return nil, errs.E(errs.Invalid, "there is no private key in PEM form")
		}
		rest = more
		var key any
		var err error
		switch block.Type {
		case blockKey:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errs.E(errs.Invalid, "the private key is encrypted with a password: store it without one, readable by its owner only")
		default:
			continue
		}
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, errs.E(errs.Invalid, "the private key is damaged or of a kind that cannot sign")
		}
		return signer, nil
	}
}

// NewRequest makes a key and a request for the certificate of a node. The
// request, PEM, goes to whoever can sign it (Authority.SignNode); the key stays.
func NewRequest(id string) (csr, key []byte, err error) {
	csr, signer, err := newRequest(id)
	if err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(signer)
	return csr, key, err
}

func newRequest(id string) ([]byte, crypto.Signer, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, key)
	if err != nil {
		return nil, nil, errs.E(errs.Invalid, "request a certificate for node %q: %w", id, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockRequest, Bytes: der}), key, nil
}

// parseRequest reads a request and checks that who made it has the key.
func parseRequest(text []byte) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != blockRequest || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errs.E(errs.Invalid, "there is no certificate request in PEM form, or more than one")
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, errs.E(errs.Invalid, "certificate request: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, errs.E(errs.Invalid, "certificate request: its signature is wrong")
	}
	if !strong(req.PublicKey) {
		return nil, errs.E(errs.Invalid, "certificate request: its key is neither ECDSA on P-256 or larger, nor Ed25519, nor RSA of 2048 bits or more")
	}
	return req, nil
}

func strong(public any) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return true
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	}
	return false
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func newPair(cert []byte, signer crypto.Signer) (Pair, error) {
	key, err := encodeKey(signer)
	return Pair{Cert: cert, Key: key}, err
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: der})
}

func encodeKey(signer crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, errs.E(errs.Internal, "encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), nil
}
