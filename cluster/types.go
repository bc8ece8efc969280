package cluster

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/coveydb/covey/internal/errs"
)

// ID names a cluster for ever. The zero ID means "of no cluster yet".
type ID [16]byte

// NewID draws an ID.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never returns an error
	return id
}

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	var id ID
	if p, err := hex.DecodeString(text); err == nil && len(p) == len(id) {
		return ID(p), nil
	}
	return id, errs.E(errs.Invalid, "cluster id %q: 32 hexadecimal digits are needed", text)
}

// String returns 32 hexadecimal digits, or "" for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// MarshalText is String, for logs and JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id = ID{}
	if len(text) > 0 {
		*id, err = ParseID(string(text))
	}
	return err
}

// IsZero reports whether id names no cluster.
func (id ID) IsZero() bool { return id == ID{} }

// Formats are the newest formats that a node can read, or the ones that a
// cluster has in use.
type Formats struct {
	Log    uint8 `json:"log"`    // of the entries of the Raft log
	Stream uint8 `json:"stream"` // of a snapshot on its way to another node
}

// speaks reports whether a node of formats f can follow a cluster that uses u.
func (f Formats) speaks(u Formats) bool { return f.Log >= u.Log && f.Stream >= u.Stream }

// Check is the result of one named health check.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // for people; never a secret
}

// Roles of a Member.
const (
	RoleVoter    = "voter"
	RoleNonVoter = "non-voter"
	RoleNone     = "not a member"
)

// Status is what one node knows of itself and its cluster.
type Status struct {
	ID        string   `json:"id"`         // of the node that answers
	ClusterID string   `json:"cluster_id"` // "" before it is part of a cluster
	Leader    string   `json:"leader"`     // node id, "" if unknown
	State     string   `json:"state"`      // of the node in Raft's words, such as "follower"
	Term      uint64   `json:"term"`
	Index     uint64   `json:"index"`   // applied Raft index
	Version   uint64   `json:"version"` // of the state machine
	Quorum    bool     `json:"quorum"`  // enough voters are in reach to commit
	Release   string   `json:"release"`
	Formats   Formats  `json:"formats"` // in use
	Members   []Member `json:"members"`
	Reason    string   `json:"reason,omitempty"` // why there is no leader
}

// Member is one node as another sees it.
type Member struct {
	ID            string  `json:"id"`
	PeerAddr      string  `json:"peer_addr"`
	HTTPAddr      string  `json:"http_addr"`
	GossipAddr    string  `json:"gossip_addr"`
	Role          string  `json:"role"` // RoleVoter, RoleNonVoter or RoleNone
	Leader        bool    `json:"leader"`
	Draining      bool    `json:"draining,omitempty"` // it is about to stop
	Wish          string  `json:"wish,omitempty"`     // of an operator, as Wish.String has it
	Alive         bool    `json:"alive"`              // as gossip sees it
	LastContactMS int64   `json:"last_contact_ms"`    // negative: unknown
	AppliedIndex  uint64  `json:"applied_index"`
	AppliedLag    uint64  `json:"applied_lag"` // entries behind the leader
	Release       string  `json:"release"`
	Formats       Formats `json:"formats"` // the newest that it can read

	// GossipKeys are the names of the gossip keys that it holds, the one it sends
	// with first; none if it gossips in clear text, or is not known to be alive.
	GossipKeys []string `json:"gossip_keys,omitempty"`
}
