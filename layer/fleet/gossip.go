package fleet

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// GossipKey is one key that encrypts gossip.
type GossipKey struct {
	Print   string `json:"print"` // what it is called, which tells nothing of it
	Created int64  `json:"created,omitempty"`
	Secret  []byte `json:"-"`
}

// GossipKeys are the keys of a cluster's gossip. Every node holds all of them,
// and sends with the first.
type GossipKeys struct {
	Cluster    string
	Generation uint64 // grows with each change
	Keys       []GossipKey
}

// MaxGossipKeys bounds how many there are at a time.
const MaxGossipKeys = 4

type gossipRow struct {
	Cluster    string      `json:"cluster"`
	Generation uint64      `json:"generation"`
	Keys       []GossipKey `json:"keys"`    // without secrets
	Secrets    []byte      `json:"secrets"` // sealed: a list of them, in the order of Keys
}

// gossipPlace binds the keys to their cluster.
func gossipPlace(cluster string) []byte { return []byte("covey gossip keys of " + cluster) }

// ReadGossipPrints is GossipKeys without the secrets, for which it takes no
// keyring.
func ReadGossipPrints(tx *kv.Tx, cluster string) (*GossipKeys, error) {
	row, err := readGossip(tx, cluster)
	if row == nil || err != nil {
		return nil, err
	}
	return &GossipKeys{Cluster: row.Cluster, Generation: row.Generation, Keys: row.Keys}, nil
}

// readGossip returns nil if there are none, or those of another cluster.
func readGossip(tx *kv.Tx, cluster string) (*gossipRow, error) {
	var row gossipRow
	ok, err := get(tx, key(gossipByte), &row)
	if err != nil || !ok || row.Cluster != cluster || len(row.Keys) == 0 {
		return nil, err
	}
	return &row, nil
}

// GossipKeys returns the keys of a cluster's gossip, nil as long as they are
// those that nodes were started with.
func (s *Store) GossipKeys(tx *kv.Tx, cluster string) (*GossipKeys, error) {
	row, err := readGossip(tx, cluster)
	if row == nil || err != nil {
		return nil, err
	}
	plain, err := s.keyring.Open(row.Secrets, gossipPlace(cluster))
	if err != nil {
		return nil, err
	}
	var secrets [][]byte
	if err := decode(plain, &secrets); err != nil {
		return nil, err
	}
	if len(secrets) != len(row.Keys) {
		return nil, errs.E(errs.Internal, "the stored gossip keys are damaged")
	}
	g := &GossipKeys{Cluster: cluster, Generation: row.Generation, Keys: row.Keys}
	for i := range g.Keys {
		g.Keys[i].Secret = secrets[i]
	}
	return g, nil
}

// GossipEdit is a request to change the keys of a cluster's gossip.
type GossipEdit struct {
	Cluster string
	Held    []GossipKey // what the node gossips with now: where the keys begin
	Seed    seal.Seed   // the request's
}

// AddGossipKey installs a new key, with which nobody sends yet.
func (s *Store) AddGossipKey(tx *kv.Tx, e GossipEdit, k GossipKey) (*GossipKeys, error) {
	return s.editGossip(tx, e, func(keys []GossipKey) ([]GossipKey, error) {
		switch {
		case len(keys) == 0:
			return nil, errs.E(errs.Conflict, "this cluster does not encrypt its gossip: start its nodes with the same --gossip-key-file first")
		case len(keys) >= MaxGossipKeys:
			return nil, errs.E(errs.Conflict, "there are %d gossip keys already: remove one that nobody sends with", len(keys))
		}
		k.Created = tx.Now()
		return append(keys, k), nil
	})
}

// UseGossipKey makes a key the one to send with. errs.NotFound if there is no
// such key.
func (s *Store) UseGossipKey(tx *kv.Tx, e GossipEdit, print string) (*GossipKeys, error) {
	return s.editGossip(tx, e, func(keys []GossipKey) ([]GossipKey, error) {
		i := indexOf(keys, print)
		if i < 0 {
			return nil, errs.E(errs.NotFound, "there is no gossip key %s", print)
		}
		k := keys[i]
		return slices.Insert(slices.Delete(keys, i, i+1), 0, k), nil
	})
}

// RemoveGossipKey forgets a key. The one to send with is errs.Conflict.
func (s *Store) RemoveGossipKey(tx *kv.Tx, e GossipEdit, print string) (*GossipKeys, error) {
	return s.editGossip(tx, e, func(keys []GossipKey) ([]GossipKey, error) {
		switch i := indexOf(keys, print); i {
		case -1:
			return nil, errs.E(errs.NotFound, "there is no gossip key %s", print)
		case 0:
			return nil, errs.E(errs.Conflict, "gossip key %s is the one that nodes send with: use another first", print)
		default:
			return slices.Delete(keys, i, i+1), nil
		}
	})
}

func indexOf(keys []GossipKey, print string) int {
	return slices.IndexFunc(keys, func(k GossipKey) bool { return k.Print == print })
}

// editGossip stores what edit makes of the keys.
func (s *Store) editGossip(tx *kv.Tx, e GossipEdit, edit func([]GossipKey) ([]GossipKey, error)) (*GossipKeys, error) {
	g, err := s.GossipKeys(tx, e.Cluster)
	if err != nil {
		return nil, err
	}
	if g == nil {
		g = &GossipKeys{Cluster: e.Cluster, Keys: slices.Clone(e.Held)}
	}
	if g.Keys, err = edit(g.Keys); err != nil {
		return nil, err
	}
	g.Generation++
	secrets := make([][]byte, len(g.Keys))
	for i, k := range g.Keys {
		if len(k.Print) > maxName || len(k.Secret) > 64 {
			return nil, errs.E(errs.Invalid, "a gossip key of %d bytes is too long", len(k.Secret))
		}
		secrets[i] = k.Secret
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	row := gossipRow{Cluster: g.Cluster, Generation: g.Generation, Keys: g.Keys}
	if row.Secrets, err = s.keyring.SealFrom(e.Seed, plain, gossipPlace(e.Cluster)); err != nil {
		return nil, err
	}
	set(tx, key(gossipByte), row)
	return g, nil
}

// sealedGossip is the Each of the gossip keys' row.
func sealedGossip(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	var row gossipRow
	if err := decode(bytes.Clone(rec.Value), &row); err != nil {
		return nil, err
	}
	if row.Secrets == nil || !visit(sealed.Thing{
		Kind: "gossip keys", Which: "cluster " + row.Cluster, Place: gossipPlace(row.Cluster), Sealed: &row.Secrets,
	}) {
		return nil, nil
	}
	return encode(row), nil
}
