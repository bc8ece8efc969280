package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/coveydb/covey/client"
)

// connection holds the flags of every verb that talks to a cluster.
type connection struct {
	endpoints   []string
	rootKeyFile string
	keyFile     string
	caFile      string
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

func (c *connection) tls() (*tls.Config, error) {
	if c.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate", c.caFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// defaultTLS trusts the system's roots.
func defaultTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
