package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
)

// secure makes conn, which this node dialed at addr to reach node to ("" = any),
// a TLS connection if there is to be one.
func (t *Transport) secure(ctx context.Context, conn net.Conn, addr, to string) (net.Conn, error) {
	if t.cfg.TLS == nil {
		return conn, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errs.E(errs.Invalid, "peer address %s: %w", addr, err)
	}
	cfg := t.cfg.TLS().Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	// The usual check knows hosts only. Ours takes its place, not away: the same
	// chain to the same roots, and then the node's id, or else the host.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = answersFor(cfg.RootCAs, cfg.ServerName, to)
	if certs := cfg.Certificates; len(certs) > 0 && cfg.GetClientCertificate == nil {
		// Else one of a CA that the peer does not trust would be kept back, and the
		// peer could only tell that there is none.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = errors.New("it closed the connection, is it a node without TLS?")
		}
		return nil, errs.E(errs.Unavailable, "TLS handshake with %s: %w", addr, explain(err))
	}
	return c, nil
}

// answersFor returns the check that the node which was dialed shows a
// certificate of a CA in roots that is that of node to. A certificate that names
// no node, as other tools make them, has to be one for host.
func answersFor(roots *x509.CertPool, host, to string) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		leaf := cs.PeerCertificates[0] // there is one, or the handshake has ended
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := leaf.Verify(opts); err != nil {
			return err
		}
		role, id, err := pki.Identify(leaf)
		switch {
		case err != nil:
			return err
		case !pki.ServesPeers(leaf):
			return fmt.Errorf("the certificate of %s is a client's, not a node's", pki.Name(leaf))
		case role == pki.RoleNode && to != "" && id != to:
			return fmt.Errorf("the certificate there is that of node %s, and node %s was wanted", id, to)
		case role == pki.RoleNode && to != "":
			return nil
		}
		return leaf.VerifyHostname(host)
	}
}

// calledBy says what is wrong with the certificate that conn's other end, which
// says that it is node from, has shown; "" = nothing. TLS has verified its chain.
func calledBy(conn net.Conn, from string) string {
	c, ok := conn.(*tls.Conn)
	if !ok {
		return ""
	}
	chain := c.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return "" // the tls.Config asks for none
	}
	role, id, err := pki.Identify(chain[0])
	switch {
	case err != nil:
		return err.Error()
	case !pki.ServesPeers(chain[0]):
		return fmt.Sprintf("your certificate (%s) is a client's, not a node's: make one with covey cert node", pki.Name(chain[0]))
	case role == pki.RoleNode && id != from:
		return fmt.Sprintf("your certificate is that of node %s, and you say that you are node %s: give each node its own", id, from)
	}
	return ""
}

// explain puts what a failed handshake means to an operator before what the
// library says of it.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("its certificate%s is of no CA that this node trusts, is it of another cluster? (%w)", whose(unknown.Cert), err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		// Not what the library says: that holds the time, and would be news at each try.
		return fmt.Errorf("its certificate%s has expired or is not valid yet, or one of the two clocks is wrong%s", whose(invalid.Cert), span(invalid.Cert))
	case errors.As(err, &host):
		return fmt.Errorf("its certificate%s is for other hosts (%w)", whose(host.Certificate), err)
	case errors.As(err, &record):
		return fmt.Errorf("it does not speak TLS (%w)", err)
	case errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:"):
		return fmt.Errorf("it refuses this node's certificate, or to show its own (%w)", err)
	case strings.Contains(err.Error(), "didn't provide a certificate"): // crypto/tls has no type for it
		return fmt.Errorf("it shows no certificate (%w)", err)
	}
	return err
}

func span(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(" (it holds from %s until %s)", c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
}

func whose(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(" (%s, signed by %s)", pki.Name(c), c.Issuer.CommonName)
}
