package client

import (
	"context"
	"net/http"
	"time"
)

// Fleet returns a handle on the keys of the cluster itself: join tokens, the CA,
// gossip keys and root keys. All calls need the root key. It does not connect.
func (c *Client) Fleet() *Fleet { return &Fleet{operatorAPI{c, "/cluster"}} }

// Fleet is the operator's handle on the keys of the cluster itself, safe for
// concurrent use.
type Fleet struct{ operatorAPI }

// JoinToken is the right of one new node to join, once.
type JoinToken struct {
	ID       string     `json:"id"`
	Token    string     `json:"token,omitempty"` // only when it was just made
	State    string     `json:"state"`           // open, used, revoked or expired
	Node     string     `json:"node,omitempty"`  // the only one that may use it
	NonVoter bool       `json:"non_voter,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"` // the only ones, besides loopback, that its node gets a certificate for
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	UsedBy   string     `json:"used_by,omitempty"`
	UsedAt   *time.Time `json:"used_at,omitempty"`
}

// NewToken says which token is wanted.
type NewToken struct {
	TTLSeconds int64    `json:"ttl_seconds,omitempty"` // 0 = an hour
	Node       string   `json:"id,omitempty"`          // the only one that may use it; "" = any that is no member
	NonVoter   bool     `json:"non_voter,omitempty"`
	Hosts      []string `json:"hosts,omitempty"`     // by which the node is reached; none = what it says, but no other member's
	Endpoints  []string `json:"endpoints,omitempty"` // that the new node asks; none = all members that are alive
	CA         string   `json:"ca_pem,omitempty"`    // that signed their certificates for HTTPS, besides the cluster's CA
}

// CreateToken makes a join token. Its text is in the answer, and nowhere else.
// Without a CA of the cluster it is ErrConflict.
func (f *Fleet) CreateToken(ctx context.Context, t NewToken) (made JoinToken, err error) {
	err = f.change(ctx, operatorCall{op: "make a join token", method: http.MethodPost, path: "/tokens"}, t, &made)
	return made, err
}

// Tokens returns all join tokens that are remembered, without their texts.
func (f *Fleet) Tokens(ctx context.Context) ([]JoinToken, error) {
	var list struct {
		Tokens []JoinToken `json:"tokens"`
	}
	err := f.read(ctx, operatorCall{op: "list the join tokens", path: "/tokens"}, &list)
	return list.Tokens, err
}

// RevokeToken makes a join token useless.
func (f *Fleet) RevokeToken(ctx context.Context, id string) error {
	return f.change(ctx, operatorCall{op: "revoke join token " + id, method: http.MethodDelete, path: "/tokens" + escapedPath(id)}, nil, nil)
}

// Authority is the cluster's CA, without its key.
type Authority struct {
	Cert     string    `json:"cert_pem"`
	NodeLife int64     `json:"node_life_seconds"` // of the certificates that it signs
	Set      time.Time `json:"set"`
	CAs      []struct {
		Name        string    `json:"name"`
		NotBefore   time.Time `json:"not_before"`
		NotAfter    time.Time `json:"not_after"`
		Serial      string    `json:"serial"`
		Fingerprint string    `json:"fingerprint"`
	} `json:"cas"` // the first one signs
}

// Authority returns the cluster's CA; ErrNotFound if it has none.
func (f *Fleet) Authority(ctx context.Context) (a Authority, err error) {
	err = f.read(ctx, operatorCall{op: "show the cluster's CA", path: "/ca"}, &a)
	return a, err
}

// NewAuthority is a CA for the cluster, as PEM.
type NewAuthority struct {
	Cert     string `json:"cert_pem"`
	Key      string `json:"key_pem"`
	NodeLife int64  `json:"node_life_seconds,omitempty"` // of the certificates that it signs; 0 = 90 days
}

// SetAuthority gives the cluster a CA. One that the nodes do not trust is
// ErrConflict.
func (f *Fleet) SetAuthority(ctx context.Context, a NewAuthority) error {
	return f.change(ctx, operatorCall{op: "give the cluster a CA", method: http.MethodPut, path: "/ca"}, a, nil)
}

// RemoveAuthority makes the cluster forget its CA.
func (f *Fleet) RemoveAuthority(ctx context.Context) error {
	return f.change(ctx, operatorCall{op: "remove the cluster's CA", method: http.MethodDelete, path: "/ca"}, nil, nil)
}

// GossipKeys is what a node knows of the keys that encrypt gossip.
type GossipKeys struct {
	Encrypted  bool        `json:"encrypted"`
	Generation uint64      `json:"generation"` // 0 = those that nodes were started with
	Keys       []GossipKey `json:"keys"`       // the one to send with first
	Dead       []string    `json:"dead,omitempty"`
}

// Key returns the key with this name.
func (g *GossipKeys) Key(id string) (k GossipKey, known bool) {
	for _, k := range g.Keys {
		if k.ID == id {
			return k, true
		}
	}
	return GossipKey{ID: id}, false
}

// GossipKey is one gossip key by its name. Only members that are alive count.
type GossipKey struct {
	ID      string     `json:"id"`
	Primary bool       `json:"primary"`
	Created *time.Time `json:"created,omitempty"`
	HeldBy  []string   `json:"held_by"`
	Missing []string   `json:"missing,omitempty"`
	UsedBy  []string   `json:"used_by,omitempty"` // who sends with it
}

// GossipKeys returns which gossip keys there are, and who holds and uses them.
func (f *Fleet) GossipKeys(ctx context.Context) (g GossipKeys, err error) {
	err = f.read(ctx, operatorCall{op: "list the gossip keys", path: "/gossip-keys"}, &g)
	return g, err
}

// AddGossipKey has a key drawn that all nodes hold from then on, and nobody sends
// with yet. It returns its name.
func (f *Fleet) AddGossipKey(ctx context.Context) (id string, err error) {
	var made struct {
		ID string `json:"id"`
	}
	err = f.change(ctx, operatorCall{op: "add a gossip key", method: http.MethodPost, path: "/gossip-keys"}, nil, &made)
	return made.ID, err
}

// UseGossipKey makes nodes send with a key. Unless it is forced, it is
// ErrConflict while a member that is alive does not hold the key.
func (f *Fleet) UseGossipKey(ctx context.Context, id string, force bool) error {
	call := operatorCall{op: "use gossip key " + id, method: http.MethodPost, path: "/gossip-keys" + escapedPath(id) + "/use"}
	return f.change(ctx, call, map[string]bool{"force": force}, nil)
}

// RemoveGossipKey makes nodes forget a key. It is ErrConflict while one sends
// with it.
func (f *Fleet) RemoveGossipKey(ctx context.Context, id string) error {
	return f.change(ctx, operatorCall{op: "remove gossip key " + id, method: http.MethodDelete, path: "/gossip-keys" + escapedPath(id)}, nil, nil)
}

// RootKey is one root key.
type RootKey struct {
	ID      string     `json:"id"`            // "file" for the one that the node was started with
	Key     string     `json:"key,omitempty"` // only when it was just made
	Created *time.Time `json:"created,omitempty"`
	Current bool       `json:"current,omitempty"` // the call was made with it
}

// RootKeys returns the root keys that are valid on the node that answers.
func (f *Fleet) RootKeys(ctx context.Context) ([]RootKey, error) {
	var list struct {
		Keys []RootKey `json:"keys"`
	}
	err := f.read(ctx, operatorCall{op: "list the root keys", path: "/root-keys"}, &list)
	return list.Keys, err
}

// AddRootKey makes a root key. Its text is in the answer, and nowhere else.
func (f *Fleet) AddRootKey(ctx context.Context) (made RootKey, err error) {
	err = f.change(ctx, operatorCall{op: "make a root key", method: http.MethodPost, path: "/root-keys"}, nil, &made)
	return made, err
}

// DropRootKey makes a root key useless on all nodes, within a second. The one
// that the call is made with is ErrConflict.
func (f *Fleet) DropRootKey(ctx context.Context, id string) error {
	return f.change(ctx, operatorCall{op: "drop root key " + id, method: http.MethodDelete, path: "/root-keys" + escapedPath(id)}, nil, nil)
}
