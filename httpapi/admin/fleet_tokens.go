package admin

import (
	"context"
	"encoding/pem"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// tokenInfo is a join token as it is shown.
type tokenInfo struct {
	ID       string     `json:"id"`
	Token    string     `json:"token,omitempty"` // only in the answer to its creation
	State    string     `json:"state"`           // open, used, revoked or expired
	Node     string     `json:"node,omitempty"`  // the only one that may use it
	NonVoter bool       `json:"non_voter,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"` // the only ones that its node may be certified for
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	UsedBy   string     `json:"used_by,omitempty"`
	UsedAt   *time.Time `json:"used_at,omitempty"`
}

func describeToken(t fleet.Token, now int64) tokenInfo {
	i := tokenInfo{
		ID: t.ID, State: "open", Node: t.Node, NonVoter: t.NonVoter, Hosts: t.Hosts,
		Created: *millis(t.Created), Expires: *millis(t.Expires), UsedBy: t.UsedBy, UsedAt: maybe(t.UsedAt),
	}
	switch {
	case t.UsedAt != 0:
		i.State = "used"
	case t.Revoked != 0:
		i.State = "revoked"
	case now >= t.Expires:
		i.State = "expired"
	}
	return i
}

func (c *call) listTokens() (any, error) {
	list := struct {
		Tokens []tokenInfo `json:"tokens"`
	}{[]tokenInfo{}}
	var tokens []fleet.Token
	var now int64
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		now = tx.Now()
		tokens, err = fleet.Tokens(tx)
		return err
	})
	for _, t := range tokens {
		list.Tokens = append(list.Tokens, describeToken(t, now))
	}
	return list, err
}

// newToken is the body of a token's creation.
type newToken struct {
	TTL       int64    `json:"ttl_seconds"` // 0 = an hour
	Node      string   `json:"id"`          // the only node that may use it; "" = any that is no member
	NonVoter  bool     `json:"non_voter"`
	Hosts     []string `json:"hosts"`     // that its node is reached by, and may be certified for; none = any that are no other member's
	Endpoints []string `json:"endpoints"` // of the nodes that the new one is to ask; none = all that are alive
	CA        string   `json:"ca_pem"`    // that signed their certificates for HTTPS, besides the cluster's own CA
}

const tokenLife = 3600 // seconds

// createToken makes a token and shows it, the only time.
func (c *call) createToken() (any, error) {
	var body newToken
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return nil, err
		}
	}
	if body.TTL == 0 {
		body.TTL = tokenLife
	}
	if body.TTL < 0 || body.TTL > int64(fleet.MaxTokenLife/time.Second) {
		return nil, errs.E(errs.Invalid, "ttl_seconds is not between 1 and %d", int64(fleet.MaxTokenLife/time.Second))
	}
	text, err := c.tokenText(&body)
	if err != nil {
		return nil, err
	}
	var made fleet.Token
	spec := fleet.Token{Node: body.Node, NonVoter: body.NonVoter, Hosts: body.Hosts}
	text.ID, text.Secret, err = c.makeSecret(auth.GenerateKey, secretMaker{
		create: func(tx *kv.Tx, id, secret string) error {
			a, err := fleet.AuthorityCert(tx)
			if err == nil && a == nil {
				err = errs.E(errs.Conflict, "the cluster has no CA that could sign the certificate of a new node: covey cluster ca import gives it one")
			}
			if err != nil {
				return err
			}
			t := spec
			t.ID, t.Secret = id, fleet.HashToken(secret)
			made, err = fleet.CreateToken(tx, t, time.Duration(body.TTL)*time.Second)
			return err
		},
		again: func(tx *kv.Tx, id, secret string) (err error) {
			made, err = fleet.ReplaceToken(tx, id, fleet.HashToken(secret))
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	info := describeToken(made, made.Created)
	info.Token = text.Encode()
	c.Log.Info("a join token was made", "token", info.ID, "for_node", info.Node, "expires", info.Expires)
	return info, nil
}

// tokenText returns what a token holds besides its secret: where the new node is
// to ask, and whom it may trust to be asked.
func (c *call) tokenText(body *newToken) (t fleet.TokenText, err error) {
	for _, e := range body.Endpoints {
		if err := fleet.CheckEndpoint(e); err != nil {
			return t, err
		}
	}
	t.Endpoints = body.Endpoints
	if len(t.Endpoints) == 0 {
		s, err := c.standing()
		if err != nil {
			return t, err
		}
		scheme, _, _ := strings.Cut(c.Proxies.Base(c.r), "://")
		for _, m := range alive(s) {
			if m.HTTPAddr != "" && len(t.Endpoints) < 5 {
				t.Endpoints = append(t.Endpoints, scheme+"://"+m.HTTPAddr)
			}
		}
	}
	if len(t.Endpoints) == 0 {
		return t, errs.E(errs.Conflict, "no member says where it can be reached: name nodes with endpoints")
	}
	var a *fleet.Authority
	if err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		a, err = fleet.AuthorityCert(tx)
		return err
	}); err != nil {
		return t, err
	}
	for _, text := range [][]byte{[]byte(body.CA), certOf(a)} {
		if len(text) == 0 {
			continue
		}
		certs, err := pki.ParseCertificates(text)
		if err != nil {
			return t, errs.E(errs.Invalid, "ca_pem: %w", err)
		}
		for _, cert := range certs {
			t.CA = append(t.CA, cert.Raw)
		}
	}
	return t, nil
}

func certOf(a *fleet.Authority) []byte {
	if a == nil {
		return nil
	}
	return a.Cert
}

func (c *call) revokeToken() (any, error) {
	return c.change(func(tx *kv.Tx) error { return fleet.RevokeToken(tx, c.vars["token"]) })
}

// authorityInfo is the cluster's CA as it is shown: never its key.
type authorityInfo struct {
	Cert     string            `json:"cert_pem"`
	NodeLife int64             `json:"node_life_seconds"` // of the certificates that it signs
	Set      time.Time         `json:"set"`
	CAs      []pki.Description `json:"cas"` // the first one signs
}

func (c *call) showAuthority() (any, error) {
	var a *fleet.Authority
	err := c.view(func(_ context.Context, tx *kv.Tx) (err error) {
		if a, err = fleet.AuthorityCert(tx); err == nil && a == nil {
			err = errs.E(errs.NotFound, "the cluster has no CA")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(a.Cert)
	if err != nil {
		return nil, err
	}
	info := authorityInfo{Cert: string(a.Cert), NodeLife: int64(a.Life / time.Second), Set: *millis(a.Set)}
	for _, cert := range certs {
		info.CAs = append(info.CAs, pki.Describe(cert))
	}
	return info, nil
}

// setAuthority gives the cluster a CA with which nodes sign the certificates of
// new ones. Nodes that do not trust it would refuse those, so that is refused.
func (c *call) setAuthority() (any, error) {
	var body struct {
		Cert     string `json:"cert_pem"`
		Key      string `json:"key_pem"`
		NodeLife int64  `json:"node_life_seconds"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.NodeLife < 0 || body.NodeLife > int64(fleet.MaxLife/time.Second) {
		return nil, errs.E(errs.Invalid, "node_life_seconds is not between 0 and %d", int64(fleet.MaxLife/time.Second))
	}
	a, err := pki.ParseAuthority([]byte(body.Cert), []byte(body.Key))
	if err != nil {
		return nil, err
	}
	if err := c.trusts(a); err != nil {
		return nil, err
	}
	seed := drawSeed()
	_, err = c.change(func(tx *kv.Tx) error {
		return c.Fleet.Store.SetAuthority(tx, fleet.Authority{
			Cert: []byte(body.Cert), Key: []byte(body.Key), Life: time.Duration(body.NodeLife) * time.Second,
		}, seed)
	})
	if err == nil {
		c.Log.Info("the cluster has a CA to sign with", "ca", pki.Name(a.Certificate()))
	}
	return nil, err
}

// trusts is errs.Conflict if this node, and so the others, would refuse what a
// signs.
func (c *call) trusts(a *pki.Authority) error {
	if c.Fleet.Trusted == nil {
		return nil
	}
	text, err := c.Fleet.Trusted()
	if err != nil {
		return err
	}
	certs, err := pki.ParseCertificates(text)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if cert.Equal(a.Certificate()) {
			return nil
		}
	}
	return errs.E(errs.Conflict, "this node does not trust the CA %s: add its certificate to the file of --peer-ca on all nodes first", pki.Name(a.Certificate()))
}

func (c *call) removeAuthority() (any, error) {
	return c.change(fleet.RemoveAuthority)
}

// bundle joins PEM texts of certificates, each certificate once.
func bundle(texts ...[]byte) ([]byte, error) {
	var out []byte
	seen := make(map[string]bool)
	for _, text := range texts {
		if len(text) == 0 {
			continue
		}
		certs, err := pki.ParseCertificates(text)
		if err != nil {
			return nil, err
		}
		for _, cert := range certs {
			if !seen[string(cert.Raw)] {
				seen[string(cert.Raw)] = true
				out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
			}
		}
	}
	return out, nil
}

// isMember reports whether a node is one.
func isMember(s cluster.Status, id string) bool {
	for _, m := range s.Members {
		if m.ID == id && m.Role != cluster.RoleNone {
			return true
		}
	}
	return false
}
