package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"
	"sync/atomic"

	"github.com/coveydb/covey/internal/errs"
)

// readGossipKey reads a key of 16, 24 or 32 bytes in base64 or hexadecimal.
func readGossipKey(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--gossip-key-file: %w", err)
	}
	text := strings.TrimSpace(string(file))
	// Hexadecimal first: its digits are also base64, of another key.
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if key, err := decode(text); err == nil && (len(key) == 16 || len(key) == 24 || len(key) == 32) {
			return key, nil
		}
	}
	return nil, errs.E(errs.Invalid, "--gossip-key-file: %s holds no key of 16, 24 or 32 bytes in base64 or hexadecimal; make one with: openssl rand -base64 32", path)
}

// mutual returns the configuration for both ends of a connection between
// peers, nil for none: each proves itself with a certificate of the CA.
func (f TLSFiles) mutual() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil
	}
	if f.CA == "" || f.Cert == "" || f.Key == "" {
		return nil, errs.E(errs.Invalid, "--peer-ca, --peer-cert and --peer-key belong together: give all three or none")
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--peer-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errs.E(errs.Invalid, "--peer-ca: %s holds no certificate", f.CA)
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--peer-cert and --peer-key: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

// certificate is the certificate of the HTTP port, which can be read again
// while it serves.
type certificate struct {
	files   TLSFiles
	current atomic.Pointer[tls.Certificate]
}

// certificate returns nil when there are no files.
func (f TLSFiles) certificate() (*certificate, error) {
	if f.Cert == "" && f.Key == "" {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, errs.E(errs.Invalid, "--tls-cert and --tls-key belong together: give both or none")
	}
	c := &certificate{files: f}
	return c, c.reload()
}

// reload reads the files; on an error the certificate stays as it is.
func (c *certificate) reload() error {
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return errs.E(errs.Invalid, "--tls-cert and --tls-key: %w", err)
	}
	c.current.Store(&cert)
	return nil
}

// config returns nil, which means plain HTTP, for a nil certificate.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
