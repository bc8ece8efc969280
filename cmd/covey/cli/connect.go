package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/pki"
)

// connection holds the flags of every verb that talks to a cluster.
type connection struct {
	endpoints   []string
	rootKeyFile string
	keyFile     string
	caFile      string
	clientCert  string
	clientKey   string
	consistency string
	timeout     time.Duration
}

// flags adds the flags. bucketKey says whether the verb works on a bucket and
// so takes a bucket's key.
func (c *connection) flags(fs *pflag.FlagSet, bucketKey bool) {
	c.reach(fs)
	fs.StringVar(&c.rootKeyFile, "root-key-file", "", "`file` with the cluster's root key; or the key itself in "+envRootKey)
	if bucketKey {
		fs.StringVar(&c.keyFile, "key-file", "", "`file` with a key of the bucket or an access token; or the key itself in "+envKey)
	}
}

// reach adds the flags that say where the cluster is and how to talk to it.
func (c *connection) reach(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.endpoints, "endpoint", []string{client.DefaultEndpoint}, "`URLs` of nodes, comma-separated; the next is tried when one does not answer")
	fs.StringVar(&c.caFile, "ca-file", "", "`file` with the certificates to trust for https (default the system's)")
	fs.StringVar(&c.clientCert, "client-cert", "", "`file` with this client's certificate, for clusters that ask for one")
	fs.StringVar(&c.clientKey, "client-key", "", "`file` with the key of --client-cert")
	fs.StringVar(&c.consistency, "consistency", "linearizable", "of reads: linearizable or stale")
	fs.DurationVar(&c.timeout, "timeout", 15*time.Second, "of one call with all its tries")
}

// open returns a client. The caller closes it.
func (c *connection) open(a *app) (*client.Client, error) {
	if c.timeout <= 0 {
		return nil, usagef("--timeout %v is not above zero", c.timeout)
	}
	root, err := a.secret("root-key-file", c.rootKeyFile, envRootKey)
	if err != nil {
		return nil, err
	}
	conf, err := c.tls()
	if err != nil {
		return nil, err
	}
	cl, err := client.New(client.Config{
		Endpoints: c.endpoints, RootKey: root, Consistency: c.consistency, Timeout: c.timeout, TLS: conf,
	})
	if err != nil {
		return nil, &usageError{err}
	}
	return cl, nil
}

// bucketKey returns the credential for a bucket: its key if one is given, else
// the root key, whose holder may do everything.
func (c *connection) bucketKey(a *app) (string, error) {
	key, err := a.secret("key-file", c.keyFile, envKey)
	if err != nil || key != "" {
		return key, err
	}
	return a.secret("root-key-file", c.rootKeyFile, envRootKey)
}

// tls returns nil where the client's own settings are meant.
func (c *connection) tls() (*tls.Config, error) {
	if c.caFile == "" && c.clientCert == "" && c.clientKey == "" {
		return nil, nil
	}
	conf := defaultTLS()
	if c.caFile != "" {
		certs, err := pki.ReadCertificates(c.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		for _, ca := range certs {
			conf.RootCAs.AddCert(ca)
		}
	}
	if (c.clientCert == "") != (c.clientKey == "") {
		return nil, usagef("--client-cert and --client-key belong together: give both or none")
	}
	if c.clientCert != "" {
		pair, err := tls.LoadX509KeyPair(c.clientCert, c.clientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert and --client-key: %w", err)
		}
		// It is shown to every cluster that asks: one that does not trust its CA
		// then says so, and not that there is none.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return conf, nil
}

// defaultTLS trusts the system's roots.
func defaultTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
