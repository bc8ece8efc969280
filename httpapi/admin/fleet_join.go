package admin

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// joining is what a node that wants to join sends.
type joining struct {
	Node  string   `json:"node_id"`
	CSR   string   `json:"csr_pem"`
	Hosts []string `json:"hosts"` // names and addresses that it will be reached by
}

// admission is the answer: all that a new node needs to be one of the cluster.
type admission struct {
	Cert        string   `json:"certificate_pem"`
	CA          string   `json:"ca_pem"` // whom to trust to be a node
	GossipKeys  [][]byte `json:"gossip_keys"`
	GossipAddrs []string `json:"gossip_addrs"`
	ClusterID   string   `json:"cluster_id"`
	Generation  uint64   `json:"gossip_generation"`
	CASet       int64    `json:"ca_set"` // since when the CA is the cluster's, unix milliseconds
}

const (
	maxHosts = fleet.MaxHosts
	maxCSR   = 16 << 10
)

var nodeID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// join redeems a join token. Who is refused is told why, and so is the log,
// without the token.
func (c *call) join() (any, error) {
	var body joining
	var token fleet.TokenText
	a, err := c.admit(&body, &token)
	from := c.Proxies.Client(c.r)
	switch {
	case err == nil:
		c.Log.Info("a node joins with a token", "node", body.Node, "token", token.ID, "remote", from, "hosts", body.Hosts)
		return a, nil
	case errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Unknown):
	case c.refusals.pass(time.Now()):
		c.Log.Warn("refused a node that wants to join", "node", shown(body.Node), "token", shown(token.ID), "remote", from, "reason", err)
	}
	if errs.Is(err, errs.Conflict) {
		err = web.WithStatus(err, http.StatusConflict)
	}
	return nil, err
}

// shown is what of a stranger's text goes into the log.
func shown(text string) slog.Value {
	if text != "" && !nodeID.MatchString(text) {
		text = "garbled"
	}
	return slog.StringValue(text)
}

func (c *call) admit(body *joining, token *fleet.TokenText) (*admission, error) {
	if err := c.private(); err != nil {
		return nil, err
	}
	cred := web.Credential(c.r, nil)
	if cred.None() {
		return nil, errs.E(errs.Unauthenticated, "send a join token as Authorization: Bearer TOKEN")
	}
	var err error
	if *token, err = fleet.ParseToken(cred.Value); err != nil {
		return nil, err
	}
	r, err := c.redemption(body, *token)
	if err != nil {
		return nil, err
	}
	// First, as what follows asks all members: not for everybody.
	if err := c.view(func(_ context.Context, tx *kv.Tx) error {
		_, err := fleet.CheckToken(tx, r)
		return err
	}); err != nil {
		return nil, err
	}
	s, err := c.standing()
	if err != nil {
		return nil, err
	}
	answer := &admission{ClusterID: s.ClusterID, GossipAddrs: []string{}}
	for _, m := range alive(s) {
		if m.GossipAddr != "" && m.ID != r.Node && len(answer.GossipAddrs) < maxHosts {
			answer.GossipAddrs = append(answer.GossipAddrs, m.GossipAddr)
		}
	}
	r.Members = called(s)
	if err := c.prepareAdmission(answer, body, r, isMember(s, r.Node)); err != nil {
		return nil, err
	}
	_, err = c.commit(0, func(tx *kv.Tx) error {
		_, err := fleet.RedeemToken(tx, r)
		return err
	})
	return answer, err
}

// private refuses to send keys where others can read them.
func (c *call) private() error {
	if c.Fleet.ClearText || strings.HasPrefix(c.Proxies.Base(c.r), "https://") {
		return nil
	}
	peer, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err == nil && peer.Addr().Unmap().IsLoopback() {
		return nil
	}
	return errs.E(errs.Forbidden, "a node joins over https only: the answer holds keys, and others could read it; give the nodes --tls-cert and --tls-key, or --insecure if you trust the network")
}

// redemption reads the body.
func (c *call) redemption(body *joining, token fleet.TokenText) (r fleet.Redemption, err error) {
	if err := c.decode(body); err != nil {
		return r, err
	}
	switch {
	case !nodeID.MatchString(body.Node):
		return r, errs.E(errs.Invalid, "node_id %q is no node's id", body.Node)
	case len(body.CSR) > maxCSR:
		return r, errs.E(errs.Invalid, "csr_pem has %d bytes, at most %d are allowed", len(body.CSR), maxCSR)
	case len(body.Hosts) == 0 || len(body.Hosts) > maxHosts:
		return r, errs.E(errs.Invalid, "hosts: 1 to %d names or addresses are needed", maxHosts)
	case slices.ContainsFunc(body.Hosts, wild):
		return r, errs.E(errs.Invalid, "hosts: a node that joins names itself, not all of a domain")
	}
	block, _ := pem.Decode([]byte(body.CSR))
	if block == nil {
		return r, errs.E(errs.Invalid, "csr_pem is no PEM text")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return r, errs.E(errs.Invalid, "csr_pem: %w", err)
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return fleet.Redemption{ID: token.ID, Secret: token.Secret, Node: body.Node, Key: key[:], Hosts: body.Hosts}, nil
}

func wild(host string) bool { return strings.HasPrefix(host, "*") }

// called returns the members with the hosts that they are reached by.
func called(s cluster.Status) (all []fleet.Called) {
	for _, m := range s.Members {
		if m.Role == cluster.RoleNone {
			continue
		}
		of := fleet.Called{Node: m.ID}
		for _, addr := range []string{m.HTTPAddr, m.PeerAddr, m.GossipAddr} {
			if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
				of.Hosts = append(of.Hosts, host)
			}
		}
		all = append(all, of)
	}
	return all
}

// prepareAdmission fills in what only the right token may have; it changes nothing. A
// node that is a member needs a token for itself: whoever had any other could
// take its place.
func (c *call) prepareAdmission(answer *admission, body *joining, r fleet.Redemption, member bool) error {
	var a *fleet.Authority
	var keys *fleet.GossipKeys
	id, err := cluster.ParseID(answer.ClusterID)
	if err != nil {
		return errs.E(errs.Unavailable, "this node is of no cluster yet")
	}
	if err := c.view(func(_ context.Context, tx *kv.Tx) error {
		t, err := fleet.CheckToken(tx, r)
		if err != nil {
			return err
		}
		if member && t.Node == "" && t.UsedAt == 0 {
			return errs.E(errs.Conflict, "node %s is a member already: remove it first, give this node another id, or make a token for it with --id %s", r.Node, r.Node)
		}
		if a, err = c.Fleet.Store.Authority(tx); err != nil {
			return err
		}
		keys, err = c.Fleet.Store.GossipKeys(tx, id.String())
		return err
	}); err != nil {
		return err
	}
	if a == nil {
		return errs.E(errs.Conflict, "the cluster has no CA any more")
	}
	if keys != nil {
		answer.Generation = keys.Generation
		for _, k := range keys.Keys {
			answer.GossipKeys = append(answer.GossipKeys, k.Secret)
		}
	} else {
		answer.GossipKeys = c.Fleet.Gossip()
	}
	answer.CASet = a.Set
	var trusted []byte
	if c.Fleet.Trusted != nil {
		if trusted, err = c.Fleet.Trusted(); err != nil {
			return err
		}
	}
	cert, ca, err := Certify(a, trusted, Applicant{ID: r.Node, Hosts: body.Hosts, CSR: []byte(body.CSR)})
	answer.Cert, answer.CA = string(cert), string(ca)
	return err
}

// Applicant is a node that a certificate is made out to.
type Applicant struct {
	ID    string
	Hosts []string
	CSR   []byte // PEM
}

// Certify signs a node's certificate with the cluster's CA, and returns it with
// the CAs that the node is to trust: the cluster's and those that the others
// trust already.
func Certify(a *fleet.Authority, trusted []byte, who Applicant) (cert, cas []byte, err error) {
	ca, err := pki.ParseAuthority(a.Cert, a.Key)
	if err != nil {
		return nil, nil, err
	}
	if cert, err = ca.SignNode(who.CSR, who.ID, who.Hosts, a.Life); err != nil {
		return nil, nil, err
	}
	cas, err = bundle(a.Cert, trusted)
	return cert, cas, err
}

// throttle lets a few events pass at once, and one a second in the long run, so
// that a stranger cannot fill the log.
type throttle struct {
	mu    sync.Mutex
	left  int
	since time.Time
}

const throttleBurst = 20

func (t *throttle) pass(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.left, t.since = throttleBurst, now
	}
	if n := int(now.Sub(t.since) / time.Second); n > 0 {
		t.left, t.since = min(t.left+n, throttleBurst), now
	}
	if t.left == 0 {
		return false
	}
	t.left--
	return true
}
