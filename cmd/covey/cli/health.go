package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/doctor"
	"github.com/coveydb/covey/internal/pki"
)

// healthTime bounds one question after a node's health.
const healthTime = 5 * time.Second

// healthFlags are those settings of serve that say where the node is.
type healthFlags struct {
	httpAddr, cert        string
	clientCert, clientKey string
	ready                 bool
	timeout               time.Duration
}

func (a *app) newHealth() *cobra.Command {
	var f healthFlags
	cmd := &cobra.Command{
		Use: "health", Short: "Ask the node on this machine whether it lives", Args: takes(0, 0),
		Long: `Ask the node on this machine whether it lives, or with --ready whether it can
serve reads and writes now. It takes the node's own settings, flags, variables
and file alike, so it needs no others beside a node: the image's HEALTHCHECK
calls it. The exit code is 6 when the answer is no, or none.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.health(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.httpAddr, "http-addr", "127.0.0.1:8700", "`host:port` on which the node serves")
	fs.StringVar(&f.cert, "tls-cert", "", "`file` with the node's certificate for clients: ask by HTTPS, and trust this certificate")
	fs.StringVar(&f.clientCert, "client-cert", "", "`file` with a client's certificate, for nodes with --tls-client-ca")
	fs.StringVar(&f.clientKey, "client-key", "", "`file` with the key of --client-cert")
	fs.BoolVar(&f.ready, "ready", false, "ask whether the node can serve reads and writes")
	fs.DurationVar(&f.timeout, "timeout", healthTime, "how long to wait for the answer")
	config.CallOnly(fs, "ready", "timeout")
	return cmd
}

func (a *app) health(ctx context.Context, f healthFlags) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	transport, scheme := &http.Transport{DisableKeepAlives: true}, "http"
	if f.cert != "" {
		conf, err := ownTLS(f)
		if err != nil {
			return &usageError{err}
		}
		transport.TLSClientConfig, scheme = conf, "https"
	}
	path := "/livez"
	if f.ready {
		path = "/readyz?verbose"
	}
	url := scheme + "://" + doctor.Dialable(f.httpAddr) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &usageError{err}
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	var alert tls.AlertError
	if errors.As(err, &alert) && !f.ready {
		return nil // it lives, and asks for a client's certificate
	}
	if err != nil {
		return &unavailableError{fmt.Sprintf("%s does not answer: %v", url, errors.Unwrap(err))}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return &unavailableError{fmt.Sprintf("%s: %v", url, err)}
	}
	if resp.StatusCode != http.StatusOK {
		return &unavailableError{fmt.Sprintf("%s answers %d: %s", url, resp.StatusCode, strings.TrimSpace(string(body)))}
	}
	_, err = a.env.Stdout.Write(body)
	return err
}

// ownTLS trusts the node's own certificate, whatever name it has: the node is
// on this machine, and its certificate is read from the file that it serves.
func ownTLS(f healthFlags) (*tls.Config, error) {
	certs, err := pki.ReadCertificates(f.cert)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	own := certs[0]
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // the certificate is compared with the file below
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !s.PeerCertificates[0].Equal(own) {
				return fmt.Errorf("the certificate is not the one in %s: has the node not read it yet?", f.cert)
			}
			return nil
		},
	}
	if f.clientCert == "" {
		return conf, nil
	}
	pair, err := tls.LoadX509KeyPair(f.clientCert, f.clientKey)
	if err != nil {
		return nil, fmt.Errorf("--client-cert and --client-key: %w", err)
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}
