package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
)

// TLSFiles are the paths of PEM files.
type TLSFiles struct {
	CA   string // whom to trust: between peers the nodes, for HTTP the clients
	Cert string
	Key  string
}

// tlsPoll is how often the files of certificates are looked at.
const tlsPoll = 2 * time.Second

// What certificates are for, as logs and metrics name it.
const (
	usePeer = "peer"
	useHTTP = "http"
)

// certificate is what the ports of one use show and trust. It can be read again
// while they serve: new connections get what is newest, open ones go on as they
// are. Safe for concurrent use; a nil one stands for ports without TLS.
type certificate struct {
	use   string
	flags TLSFiles // the names of the flags that gave the files
	files TLSFiles
	node  string // whose certificate it has to be, if it names a node; peers only
	log   *slog.Logger

	note func(text string) // nil = nobody is told

	current atomic.Pointer[material]

	mu   sync.Mutex     // held while the files are read
	seen [3]os.FileInfo // of the files, when they were read

	failed, said string    // what watch met last, and what it has logged
	reminded     time.Time // of the end that is near
}

// material is the content of the files, which does not change.
type material struct {
	config *tls.Config
	leaf   *x509.Certificate
	cas    []*x509.Certificate // those in the file of whom to trust
	issuer *x509.Certificate   // of cas, that has signed leaf; nil if none of them has
}

// peerCertificate returns nil when there are no files.
func (c *Config) peerCertificate() (*certificate, error) {
	f := c.PeerTLS
	if f == (TLSFiles{}) {
		return nil, nil
	}
	if f.CA == "" || f.Cert == "" || f.Key == "" {
		return nil, errs.E(errs.Invalid, "--peer-ca, --peer-cert and --peer-key belong together: give all three or none")
	}
	return openCertificate(&certificate{
		use: usePeer, flags: TLSFiles{"--peer-ca", "--peer-cert", "--peer-key"}, files: f, node: c.ID, log: c.Log,
	})
}

// httpCertificate returns nil when there are no files.
func (c *Config) httpCertificate() (*certificate, error) {
	f := c.HTTPTLS
	if f == (TLSFiles{}) {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		if f.CA != "" && f.Cert == f.Key {
			return nil, errs.E(errs.Invalid, "--tls-client-ca asks clients for certificates, which only TLS can: give --tls-cert and --tls-key")
		}
		return nil, errs.E(errs.Invalid, "--tls-cert and --tls-key belong together: give both or none")
	}
	return openCertificate(&certificate{
		use: useHTTP, flags: TLSFiles{"--tls-client-ca", "--tls-cert", "--tls-key"}, files: f, log: c.Log,
	})
}

// openCertificate reads the files for the first time. One that has ended is let
// pass with a line in the log: a node that does not start serves nobody.
func openCertificate(c *certificate) (*certificate, error) {
	if c.log == nil {
		c.log = slog.Default()
	}
	c.seen = c.look()
	m, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current.Store(m)
	if info := c.seen[2]; info != nil && info.Mode().Perm()&0o007 != 0 {
		c.log.Warn("the key of a certificate can be read by every user of this machine: run chmod 600 on it", "use", c.use, "file", c.files.Key)
	}
	c.remind(time.Now())
	return c, nil
}

// load reads the files and checks that they fit together.
func (c *certificate) load() (*material, error) {
	m := &material{}
	var err error
	pool := x509.NewCertPool()
	if c.files.CA != "" {
		if m.cas, err = pki.ReadCertificates(c.files.CA); err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", c.flags.CA, err)
		}
		for _, ca := range m.cas {
			pool.AddCert(ca)
		}
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s and %s: %w", c.flags.Cert, c.flags.Key, err)
	}
	m.leaf = pair.Leaf
	if c.use == usePeer {
		if err := c.checkPeer(m, pair, pool); err != nil {
			return nil, err
		}
		m.config = &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
			RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			SessionTicketsDisabled: true, // a ticket could outlive the trust that it was given in
		}
		return m, nil
	}
	m.config = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
	}
	if len(m.cas) > 0 {
		m.config.ClientCAs, m.config.ClientAuth = pool, tls.RequireAndVerifyClientCert
		m.config.SessionTicketsDisabled = true // likewise
	}
	return m, nil
}

// checkPeer refuses what the other nodes would refuse too.
func (c *certificate) checkPeer(m *material, pair tls.Certificate, roots *x509.CertPool) error {
	role, id, err := pki.Identify(m.leaf)
	switch {
	case err != nil:
		return errs.E(errs.Invalid, "%s: %w", c.flags.Cert, err)
	case !pki.ServesPeers(m.leaf):
		return errs.E(errs.Invalid, "%s: %s is a client's certificate: make one with covey cert node %s", c.flags.Cert, c.files.Cert, c.node)
	case role == pki.RoleNode && id != c.node:
		return errs.E(errs.Invalid, "%s: %s is the certificate of node %s, and this is node %s: every node needs its own", c.flags.Cert, c.files.Cert, id, c.node)
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	// Whether it holds today is asked apart: a moment at which it did is tried.
	if opts.CurrentTime = time.Now(); opts.CurrentTime.After(m.leaf.NotAfter) {
		opts.CurrentTime = m.leaf.NotAfter
	} else if opts.CurrentTime.Before(m.leaf.NotBefore) {
		opts.CurrentTime = m.leaf.NotBefore
	}
	for _, der := range pair.Certificate[1:] {
		if ca, err := x509.ParseCertificate(der); err == nil {
			opts.Intermediates.AddCert(ca)
		}
	}
	chains, err := m.leaf.Verify(opts)
	if err != nil {
		return errs.E(errs.Invalid, "%s: %s is not signed by a CA in %s, so the other nodes would refuse this one: %w", c.flags.Cert, c.files.Cert, c.files.CA, err)
	}
	for _, chain := range chains {
		if root := chain[len(chain)-1]; m.issuer == nil || root.NotAfter.After(m.issuer.NotAfter) {
			m.issuer = root
		}
	}
	return nil
}

// config returns what a peer's connection uses now.
func (c *certificate) config() *tls.Config { return c.current.Load().config }

// forPeers returns nil, which means plain TCP, for a nil certificate.
func (c *certificate) forPeers() func() *tls.Config {
	if c == nil {
		return nil
	}
	return c.config
}

// forHTTP returns nil, which means plain HTTP, for a nil certificate.
func (c *certificate) forHTTP() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config(), nil },
	}
}

// Watch reads the files again when they have changed, until ctx ends.
func (c *certificate) Watch(ctx context.Context) {
	if c == nil {
		return
	}
	every(ctx, tlsPoll, func() {
		c.poll()
		c.remind(time.Now())
	})
}

// tell has note called with what Watch read again, or could not, in words for
// operators. It is for before Watch runs.
func (c *certificate) tell(note func(text string)) {
	if c != nil {
		c.note = note
	}
}

// poll reads the files if they are not those that were read last. What is wrong
// twice in a row is logged: files are replaced one after the other, and in
// between they do not fit together.
func (c *certificate) poll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.look()
	if slices.EqualFunc(now[:], c.seen[:], sameOrNone) {
		c.failed = ""
		return
	}
	changed, err := c.read(now)
	if err == nil {
		c.failed, c.said = "", ""
		if changed {
			c.noted("the " + c.use + " certificate was read again, as its files have changed")
		}
		return
	}
	if text := err.Error(); text != c.failed {
		c.failed = text
	} else if text != c.said {
		c.log.Error("a certificate was not read again, the one in use stays", "use", c.use, "error", err)
		c.noted("the " + c.use + " certificate was not read again, the one in use stays: " + text)
		c.said = text
	}
}

func (c *certificate) noted(text string) {
	if c.note != nil {
		c.note(text)
	}
}

// look returns the files as they are now; nil for one that is not there.
func (c *certificate) look() (now [3]os.FileInfo) {
	for i, path := range []string{c.files.CA, c.files.Cert, c.files.Key} {
		if path != "" {
			now[i], _ = os.Stat(path) // reading it tells what is wrong
		}
	}
	return now
}

func sameOrNone(a, b os.FileInfo) bool { return a == nil && b == nil || sameFile(a, b) }

// reload reads the files again; on an error everything stays as it is.
func (c *certificate) reload() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.read(c.look())
	return err
}

// read reads the files, which looked like now before, and reports whether they
// hold something else than they did. The caller holds mu.
func (c *certificate) read(now [3]os.FileInfo) (changed bool, err error) {
	m, err := c.load()
	if err != nil {
		return false, err
	}
	if time.Now().After(m.leaf.NotAfter) {
		return false, errs.E(errs.Invalid, "%s: the certificate in %s has ended on %s", c.flags.Cert, c.files.Cert, m.leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c.seen = now
	was := c.current.Swap(m)
	if bytes.Equal(was.leaf.Raw, m.leaf.Raw) && slices.EqualFunc(was.cas, m.cas, (*x509.Certificate).Equal) {
		return false, nil
	}
	var trusted []string
	for _, ca := range m.cas {
		trusted = append(trusted, pki.Name(ca))
	}
	c.reminded = time.Time{}
	c.log.Info("a certificate was read again; new connections use it", "use", c.use, "name", pki.Name(m.leaf),
		"serial", m.leaf.SerialNumber.Text(16), "until", m.leaf.NotAfter.UTC(), "trusts", trusted)
	return true, nil
}

// remindEvery is how often the log is told of a certificate that ends soon.
const remindEvery = 24 * time.Hour

// remind tells the log of an end that is near: two weeks away, or a fifth of the
// certificate's life where that is less. Only openCertificate and Watch call it.
func (c *certificate) remind(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf := c.current.Load().leaf
	near := min(14*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/5)
	if leaf.NotAfter.Sub(now) > near || now.Sub(c.reminded) < remindEvery {
		return
	}
	c.reminded = now
	if now.After(leaf.NotAfter) {
		c.log.Error("a certificate has ended: new connections with it are refused", "use", c.use, "file", c.files.Cert, "until", leaf.NotAfter.UTC())
		return
	}
	c.log.Warn("a certificate ends soon: replace its file, it is read again by itself", "use", c.use, "file", c.files.Cert, "until", leaf.NotAfter.UTC())
}

// reloadAll reads everything again; what cannot be read stays as it is.
func reloadAll(certs ...*certificate) error {
	var all []error
	for _, c := range certs {
		all = append(all, c.reload())
	}
	return errors.Join(all...)
}
