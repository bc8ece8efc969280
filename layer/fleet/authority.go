package fleet

import (
	"bytes"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// Authority is the cluster's CA. Whether its certificate and its key belong
// together is its caller's to check.
type Authority struct {
	Cert []byte        // PEM, one or more certificates; the first one signs
	Key  []byte        // PEM; a secret
	Life time.Duration // of the certificates that it signs; 0 = DefaultLife
	Set  int64         // when it was set, unix milliseconds
}

// How long certificates of nodes that joined by a token live: they are renewed
// by themselves.
const (
	DefaultLife = 90 * 24 * time.Hour
	MinLife     = time.Minute
	MaxLife     = 2 * 365 * 24 * time.Hour
)

// maxPEM bounds each part of an Authority.
const maxPEM = 64 << 10

type authorityRow struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key"` // sealed
	Life int64  `json:"life_ms,omitempty"`
	Set  int64  `json:"set"`
}

func (r *authorityRow) open(key []byte) *Authority {
	life := time.Duration(r.Life) * time.Millisecond
	if life == 0 {
		life = DefaultLife
	}
	return &Authority{Cert: r.Cert, Key: key, Life: life, Set: r.Set}
}

func authorityPlace() []byte { return []byte("covey cluster authority") }

// SetAuthority stores a for the nodes to sign with, in place of one that is
// there. seed is the request's.
func (s *Store) SetAuthority(tx *kv.Tx, a Authority, seed seal.Seed) error {
	if len(a.Cert) == 0 || len(a.Key) == 0 || len(a.Cert) > maxPEM || len(a.Key) > maxPEM {
		return errs.E(errs.Invalid, "a certificate and a key of at most %d bytes each are needed", maxPEM)
	}
	if a.Life != 0 && (a.Life < MinLife || a.Life > MaxLife) {
		return errs.E(errs.Invalid, "certificates of nodes live %v to %v, not %v", MinLife, MaxLife, a.Life)
	}
	locked, err := s.keyring.SealFrom(seed, a.Key, authorityPlace())
	if err != nil {
		return err
	}
	set(tx, key(authorityByte), authorityRow{Cert: a.Cert, Key: locked, Life: a.Life.Milliseconds(), Set: tx.Now()})
	return nil
}

// Authority returns the cluster's CA with its key, nil if there is none.
func (s *Store) Authority(tx *kv.Tx) (*Authority, error) {
	var row authorityRow
	if ok, err := get(tx, key(authorityByte), &row); err != nil || !ok {
		return nil, err
	}
	plain, err := s.keyring.Open(row.Key, authorityPlace())
	if err != nil {
		return nil, err
	}
	return row.open(plain), nil
}

// AuthorityCert is Authority without the key, for which it takes no keyring.
func AuthorityCert(tx *kv.Tx) (*Authority, error) {
	var row authorityRow
	if ok, err := get(tx, key(authorityByte), &row); err != nil || !ok {
		return nil, err
	}
	return row.open(nil), nil
}

// RemoveAuthority forgets the CA: no node joins or renews with it any more. The
// certificates that it has signed stay good. errs.NotFound if there is none.
func RemoveAuthority(tx *kv.Tx) error {
	a, err := AuthorityCert(tx)
	if err == nil && a == nil {
		err = errs.E(errs.NotFound, "the cluster has no CA")
	}
	if err == nil {
		tx.Delete(key(authorityByte))
	}
	return err
}

// Sealed returns what the keyring has sealed for this layer: the authority's key
// and the gossip keys.
func (s *Store) Sealed() []sealed.Rows {
	authority := sealed.Rows{Name: "cluster authority", Each: sealedAuthority}
	authority.Lo, authority.Hi = all(authorityByte)
	gossip := sealed.Rows{Name: "gossip keys", Each: sealedGossip}
	gossip.Lo, gossip.Hi = all(gossipByte)
	return []sealed.Rows{authority, gossip}
}

// sealedAuthority is the Each of the authority's row.
func sealedAuthority(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	var row authorityRow
	if err := decode(bytes.Clone(rec.Value), &row); err != nil {
		return nil, err
	}
	if !visit(sealed.Thing{Kind: "cluster authorities", Which: "the cluster's CA", Place: authorityPlace(), Sealed: &row.Key}) {
		return nil, nil
	}
	return encode(row), nil
}
