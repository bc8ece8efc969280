package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Role is what the holder of a certificate made by this package is.
type Role string

// The roles. RoleNone is that of certificates of other tools.
const (
	RoleNone   Role = ""
	RoleCA     Role = "ca"
	RoleNode   Role = "node"
	RoleClient Role = "client"
)

// scheme is that of the URIs which name the holder of a certificate.
const scheme = "covey"

func identity(r Role, name string) *url.URL {
	return &url.URL{Scheme: scheme, Host: string(r), Path: "/" + name}
}

// Identify returns whose certificate c is: a node's with its id, a client's with
// its name, or RoleNone and "" if it does not say. A certificate that names two,
// or one in a way that this package does not write, is errs.Invalid: nobody can
// tell what its CA meant. The chain must have been verified before.
func Identify(c *x509.Certificate) (Role, string, error) {
	var found *url.URL
	for _, u := range c.URIs {
		if !strings.EqualFold(u.Scheme, scheme) {
			continue
		}
		if found != nil {
			return RoleNone, "", errs.E(errs.Invalid, "the certificate of %s names more than one holder", Name(c))
		}
		found = u
	}
	if found == nil {
		return RoleNone, "", nil
	}
	role, name := Role(found.Host), strings.TrimPrefix(found.Path, "/")
	known := role == RoleNode && validNode.MatchString(name) || role == RoleClient && validClient.MatchString(name)
	if !known || *found != *identity(role, name) {
		return RoleNone, "", errs.E(errs.Invalid, "the certificate of %s names its holder as %q, which is neither covey://node/ID nor covey://client/NAME", Name(c), found.Redacted())
	}
	return role, name, nil
}

// ServesPeers reports whether c may be shown on both ends of a connection
// between nodes: a client's certificate, by its role or by its usages, may not.
func ServesPeers(c *x509.Certificate) bool {
	role, _, err := Identify(c)
	if err != nil || role == RoleClient {
		return false
	}
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
}

// Name returns the subject of c for people: its common name, or else all of it.
func Name(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "serial number " + c.SerialNumber.Text(16)
}

// Description is what may be shown of a certificate.
type Description struct {
	Role        Role      `json:"role,omitempty"`
	Name        string    `json:"name"`
	Issuer      string    `json:"issuer"`
	Hosts       []string  `json:"hosts,omitempty"`
	Usages      []string  `json:"usages,omitempty"` // server, client, any
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Serial      string    `json:"serial"`      // hexadecimal
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, hexadecimal
}

// Describe returns what may be shown of c.
func Describe(c *x509.Certificate) Description {
	d := Description{
		Name: Name(c), Issuer: c.Issuer.CommonName, Hosts: slices.Clone(c.DNSNames),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Serial: c.SerialNumber.Text(16),
	}
	if d.Issuer == "" {
		d.Issuer = c.Issuer.String()
	}
	if role, name, err := Identify(c); err == nil && role != RoleNone {
		d.Role, d.Name = role, name
	} else if c.BasicConstraintsValid && c.IsCA {
		d.Role = RoleCA
	}
	for _, ip := range c.IPAddresses {
		d.Hosts = append(d.Hosts, ip.String())
	}
	for _, u := range []struct {
		usage x509.ExtKeyUsage
		name  string
	}{{x509.ExtKeyUsageServerAuth, "server"}, {x509.ExtKeyUsageClientAuth, "client"}, {x509.ExtKeyUsageAny, "any"}} {
		if slices.Contains(c.ExtKeyUsage, u.usage) {
			d.Usages = append(d.Usages, u.name)
		}
	}
	sum := sha256.Sum256(c.Raw)
	d.Fingerprint = hex.EncodeToString(sum[:])
	return d
}
