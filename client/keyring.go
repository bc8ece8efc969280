package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Keyring returns a handle on what the cluster's keyring has sealed, for its
// operator: all calls need the root key. It does not connect.
func (c *Client) Keyring() *Keyring { return &Keyring{operatorAPI{c, "/cluster/keyring"}} }

// Keyring is the operator's handle on the master keys, safe for concurrent use.
// Keys are named by their ids: no call sends or shows one.
type Keyring struct{ operatorAPI }

// KeyringStatus is what a node knows of the master keys.
type KeyringStatus struct {
	Node    string      `json:"node"` // that answered
	Keys    []MasterKey `json:"keys"` // that a node holds or something is sealed with, by id
	Damaged int64       `json:"damaged,omitempty"`
	Rewrap  *Rewrap     `json:"rewrap"` // the latest re-wrapping, nil = there was none
}

// Key returns the key with this id; one that nobody knows is missing on no node
// that is named.
func (s *KeyringStatus) Key(id string) (k MasterKey, known bool) {
	for _, k := range s.Keys {
		if k.ID == id {
			return k, true
		}
	}
	return MasterKey{ID: id}, false
}

// MasterKey is one key as the cluster knows it.
type MasterKey struct {
	ID        string           `json:"id"`
	Nodes     []string         `json:"nodes"`                // members that hold it
	Missing   []string         `json:"missing,omitempty"`    // members that do not, or have not said so
	PrimaryOn []string         `json:"primary_on,omitempty"` // members that seal with it
	Sealed    int64            `json:"sealed"`               // how many secrets are sealed with it
	Kinds     map[string]int64 `json:"kinds,omitempty"`
	Droppable bool             `json:"droppable"`        // no node and nothing in the store needs it
	InUse     string           `json:"in_use,omitempty"` // why it must stay
}

// Rewrap is how far a re-wrapping has come.
type Rewrap struct {
	Key      string        `json:"key"` // that everything is sealed under
	Started  time.Time     `json:"started"`
	Finished *time.Time    `json:"finished,omitempty"` // nil = it goes on
	Total    int64         `json:"total"`              // secrets there were at the start
	Done     int64         `json:"done"`               // secrets gone over; some may have come or gone since
	Changed  int64         `json:"changed"`            // secrets that were sealed anew
	Failed   int64         `json:"failed"`
	Faults   []RewrapFault `json:"faults,omitempty"` // the first of those that failed
	Waits    string        `json:"waits,omitempty"`  // why it does not go on
}

// RewrapFault is one secret that could not be sealed anew, and stays as it is.
type RewrapFault struct {
	Kind   string `json:"kind"`
	Which  string `json:"which,omitempty"`
	Reason string `json:"reason"`
}

// Status returns which node holds which keys, what is sealed with them, and how
// far the latest re-wrapping has come. Counting takes its time where there are
// millions of buckets or users.
func (k *Keyring) Status(ctx context.Context) (s KeyringStatus, err error) {
	err = k.read(ctx, operatorCall{op: "show the master keys"}, &s)
	return s, err
}

// Nodes is Status without what is sealed with the keys.
func (k *Keyring) Nodes(ctx context.Context) (s KeyringStatus, err error) {
	err = k.read(ctx, operatorCall{op: "show the master keys", query: url.Values{"counts": {"false"}}}, &s)
	return s, err
}

// Rewrap asks for everything to be sealed under the primary key. The node that
// leads does it in the background; Nodes tells how far it is. Unless it is
// forced, it is ErrConflict while a node seals with another key or lacks this
// one.
func (k *Keyring) Rewrap(ctx context.Context, force bool) (r Rewrap, err error) {
	call := operatorCall{op: "seal everything anew", method: http.MethodPost, path: "/rewrap"}
	err = k.change(ctx, call, map[string]bool{"force": force}, &r)
	return r, err
}
