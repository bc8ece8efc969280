package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/layer/fleet"
)

// joined is what a join token gave besides a certificate, a CA and keys.
type joined struct {
	HTTPS       bool     `json:"https"` // the others serve clients with TLS, and so does this node
	GossipAddrs []string `json:"gossip_addrs"`
	CASet       int64    `json:"ca_set"` // of the CA that signed the certificate
	Issued      int64    `json:"issued"` // when the node got it, unix seconds: a certificate says that it began earlier
}

const (
	joinTime   = time.Minute // until a node that cannot join gives up
	joinPause  = time.Second
	joinAnswer = 1 << 20 // bytes
)

// join makes this node one that may be a peer, if that is up to a join token: it
// redeems the token the first time, and goes on with what that gave ever after.
func (c *Config) join(ctx context.Context) error {
	if c.PeerTLS != (TLSFiles{}) {
		if c.JoinTokenFile != "" {
			return errs.E(errs.Invalid, "--join-token-file and --peer-cert exclude each other: a token gives this node its certificate")
		}
		return nil
	}
	if err := finishRenewal(c.peerFiles()); err != nil {
		return err
	}
	certs, err := pki.ReadCertificates(c.peerPath("cert.pem"))
	switch {
	case err == nil && (time.Now().Before(certs[0].NotAfter) || c.JoinTokenFile == ""):
		return c.adopt()
	case err == nil:
		c.Log.Warn("the certificate that this node joined with has ended: it joins again", "until", certs[0].NotAfter.UTC())
	case hasFile(c.peerPath("cert.pem")):
		return errs.E(errs.Invalid, "data folder: %w", err)
	case c.JoinTokenFile == "":
		return nil
	}
	if err := c.redeem(ctx); err != nil {
		return err
	}
	return c.adopt()
}

// hasFile reports whether there is a file, or something that hides it.
func hasFile(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// adopt takes over what a token gave, now or once.
func (c *Config) adopt() error {
	var j joined
	text, err := os.ReadFile(c.peerPath("joined.json"))
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return errs.E(errs.Invalid, "data folder: what this node joined with cannot be read: %w: remove %s and join with a new token", err, filepath.Join(c.DataDir, peerFolder))
	}
	c.joined = &j
	c.PeerTLS = c.peerFiles()
	if j.HTTPS && c.HTTPTLS.Cert == "" && c.HTTPTLS.Key == "" {
		c.HTTPTLS.Cert, c.HTTPTLS.Key = c.PeerTLS.Cert, c.PeerTLS.Key
	}
	for _, addr := range j.GossipAddrs {
		if !slices.Contains(c.Join, addr) {
			c.Join = append(slices.Clip(c.Join), addr)
		}
	}
	return nil
}

// peerFiles are what a token gives.
func (c *Config) peerFiles() TLSFiles {
	return TLSFiles{CA: c.peerPath("ca.pem"), Cert: c.peerPath("cert.pem"), Key: c.peerPath("key.pem")}
}

// redeem presents the token and stores what comes back. The certificate comes
// last: with it the node has joined, and without it a node that is started again
// asks with the same key, which the token is good for.
func (c *Config) redeem(ctx context.Context) error {
	text, err := readBounded(c.JoinTokenFile, 16<<10)
	if err != nil {
		return errs.E(errs.Invalid, "--join-token-file: %w", err)
	}
	token, err := fleet.ParseToken(string(text))
	if err != nil {
		return errs.E(errs.Invalid, "--join-token-file: %w", err)
	}
	csr, err := c.request()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"node_id": c.ID, "csr_pem": string(csr), "hosts": c.hosts()})
	if err != nil {
		return err
	}
	ask := petition{token: token, text: strings.TrimSpace(string(text)), body: body}
	c.Log.Info("joining the cluster with a token", "token", token.ID, "endpoints", token.Endpoints)
	a, err := ask.send(ctx)
	if err != nil {
		return err
	}
	return c.store(a)
}

// request returns the request for a certificate. Its key is in the data folder
// before anybody sees it.
func (c *Config) request() (csr []byte, err error) {
	if c.DataDir == "" || c.ID == "" {
		return nil, errs.E(errs.Invalid, "--join-token-file needs --id and --data-dir")
	}
	if err := os.MkdirAll(filepath.Join(c.DataDir, peerFolder), 0o700); err != nil {
		return nil, errs.E(errs.Invalid, "data folder: %w", err)
	}
	csr, err = os.ReadFile(c.peerPath("csr.pem"))
	if _, missing := os.Stat(c.peerPath("key.pem")); err == nil && missing == nil {
		return csr, nil // of an earlier try
	}
	if err := os.Remove(c.peerPath("csr.pem")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errs.E(errs.Invalid, "data folder: %w", err)
	}
	csr, key, err := pki.NewRequest(c.ID)
	if err != nil {
		return nil, err
	}
	if err := pki.Replace(c.peerPath("key.pem"), key, 0o600); err != nil {
		return nil, err
	}
	return csr, pki.Replace(c.peerPath("csr.pem"), csr, 0o600)
}

// hosts are the names and addresses that this node is reached by: those that
// others dial, and this machine's own.
func (c *Config) hosts() (hosts []string) {
	add := func(host string) {
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	add(c.Advertise)
	for _, addr := range []string{c.PeerAddr, c.HTTPAddr} {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			add(host)
		}
	}
	add("localhost")
	add("127.0.0.1")
	return hosts
}

// admitted is the answer to a petition.
type admitted struct {
	Cert        string   `json:"certificate_pem"`
	CA          string   `json:"ca_pem"`
	GossipKeys  [][]byte `json:"gossip_keys"`
	GossipAddrs []string `json:"gossip_addrs"`
	ClusterID   string   `json:"cluster_id"`
	Generation  uint64   `json:"gossip_generation"`
	CASet       int64    `json:"ca_set"`

	https bool
}

// store writes down what came back.
func (c *Config) store(a *admitted) error {
	certs, err := pki.ParseCertificates([]byte(a.Cert))
	if err != nil {
		return errs.E(errs.Internal, "the answer to the join token holds no certificate: %w", err)
	}
	ring, err := c.keyring()
	if err != nil {
		return err
	}
	if len(a.GossipKeys) > 0 {
		k := keptKeys{Cluster: a.ClusterID, Generation: a.Generation, Keys: a.GossipKeys}
		if err := writeKept(c.keptPath(), ring, k); err != nil {
			return err
		}
	}
	text, err := json.Marshal(joined{HTTPS: a.https, GossipAddrs: a.GossipAddrs, CASet: a.CASet, Issued: time.Now().Unix()})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"joined.json", append(text, '\n')}, {"ca.pem", []byte(a.CA)}, {"cert.pem", []byte(a.Cert)}} {
		if err := pki.Replace(c.peerPath(f.name), f.text, 0o600); err != nil {
			return err
		}
	}
	c.Log.Info("the cluster takes this node in: it got a certificate, the CAs to trust and the gossip keys", "cluster", a.ClusterID,
		"certificate_until", certs[0].NotAfter.UTC(), "gossip_keys", len(a.GossipKeys), "gossip_addrs", a.GossipAddrs, "https", a.https)
	if err := os.Remove(c.peerPath("csr.pem")); err != nil {
		return errs.E(errs.Invalid, "data folder: %w", err)
	}
	return nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = errs.E(errs.Invalid, "%s is larger than %d bytes", path, most)
	}
	return text, err
}

// petition is the request to be let in.
type petition struct {
	token fleet.TokenText
	text  string // of token; a secret
	body  []byte
}

// send asks one node after the other until one has judged the token, for a
// minute at most.
func (p *petition) send(ctx context.Context) (*admitted, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	client := p.client()
	defer client.CloseIdleConnections()
	pause := time.NewTicker(joinPause)
	defer pause.Stop()
	for {
		var last error
		for _, endpoint := range p.token.Endpoints {
			a, err := p.ask(ctx, client, endpoint)
			if err == nil || !errs.Is(err, errs.Unavailable) {
				return a, err
			}
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-pause.C:
		}
	}
}

// client trusts the CAs that the token names, and nobody else; the system's if
// it names none.
func (p *petition) client() *http.Client {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, der := range p.token.CA {
		if ca, err := x509.ParseCertificate(der); err == nil {
			if conf.RootCAs == nil {
				conf.RootCAs = x509.NewCertPool()
			}
			conf.RootCAs.AddCert(ca)
		}
	}
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: 5 * time.Second,
		},
	}
}

// ask asks one node. errs.Unavailable: another may do it, or this one later.
func (p *petition) ask(ctx context.Context, client *http.Client, endpoint string) (*admitted, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/cluster/join", bytes.NewReader(p.body))
	if err != nil {
		return nil, errs.E(errs.Invalid, "join through %s: %w", endpoint, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.text)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, errs.E(errs.Unavailable, "join: cannot reach %s: %w", endpoint, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, joinAnswer))
	if err != nil {
		return nil, errs.E(errs.Unavailable, "join through %s: %w", endpoint, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, refusal(endpoint, res.StatusCode, text)
	}
	a := &admitted{https: strings.HasPrefix(endpoint, "https://")}
	if err := json.Unmarshal(text, a); err != nil || a.Cert == "" || a.CA == "" {
		return nil, errs.E(errs.Internal, "join: the answer of %s is not what was asked for", endpoint)
	}
	return a, nil
}

// refusal is an answer that lets nobody in, in the words of who gave it.
func refusal(endpoint string, status int, text []byte) error {
	var doc struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &doc) != nil || doc.Error.Message == "" {
		doc.Error.Message = http.StatusText(status)
	}
	kind := errs.Forbidden
	switch {
	case status >= 500:
		kind = errs.Unavailable
	case status == http.StatusConflict:
		kind = errs.Conflict
	case status == http.StatusBadRequest:
		kind = errs.Invalid
	}
	return errs.E(kind, "%s does not let this node join: %s", endpoint, doc.Error.Message)
}

// joinError is a ConfigError unless trying again makes sense.
func joinError(err error) error {
	if errs.Is(err, errs.Unavailable) {
		return err
	}
	return &ConfigError{err}
}
