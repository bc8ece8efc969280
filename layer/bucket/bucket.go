package bucket

import (
	"bytes"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
)

// The limits of the KVdb contract.
const (
	MaxKey     = 128      // bytes of a key
	MaxValue   = 16 << 10 // bytes of a value, unless Config.MaxValue says more
	MaxList    = 10_000   // keys in a list, unless Config.MaxList says otherwise
	MaxTxn     = 1_000    // operations of a transaction
	valueCap   = 16 << 20 // bytes; Config.MaxValue ends here
	maxPage    = MaxTxn   // buckets in one answer of Buckets.List
	maxKeyText = 1 << 10  // bytes of a secret, write, read or signing key
)

// Config holds what a node's operator decides. Its zero value serves the
// documented limits, lets anybody create buckets, and knows no root key.
type Config struct {
	MaxValue        int           // bytes of a value; 0 = MaxValue, at most 16 MiB
	MaxList         int           // keys in a list; 0 = MaxList
	CreateNeedsRoot bool          // only the holder of the root key may create buckets
	Root            *auth.RootKey // the operator's key; nil = nobody is the operator
	Keyring         *seal.Keyring // seals signing keys; nil = setting one is refused
}

// Buckets is the layer's entry: all functions that take a bucket's id. It
// holds configuration only and is safe for concurrent use.
type Buckets struct{ c Config }

// New returns the layer for a valid c. A limit that is negative or over its
// bound is errs.Invalid.
func New(c Config) (*Buckets, error) {
	if c.MaxValue == 0 {
		c.MaxValue = MaxValue
	}
	if c.MaxList == 0 {
		c.MaxList = MaxList
	}
	if c.MaxValue < 0 || c.MaxValue > valueCap {
		return nil, errs.E(errs.Invalid, "limit of %d bytes for a value is not between 1 and %d", c.MaxValue, valueCap)
	}
	if c.MaxList < 0 {
		return nil, errs.E(errs.Invalid, "limit of %d keys for a list is negative", c.MaxList)
	}
	return &Buckets{c: c}, nil
}

// MaxValue returns the limit for a value in bytes, so that a caller can stop
// reading a body one byte later.
func (bs *Buckets) MaxValue() int { return bs.c.MaxValue }

// MaxList returns the most keys that one list holds.
func (bs *Buckets) MaxList() int { return bs.c.MaxList }

// Exists reports whether bucket id exists. It needs no credential: that a
// bucket exists is the one thing the contract tells everybody.
func (bs *Buckets) Exists(tx *kv.Tx, id string) (bool, error) {
	if !ValidName(id) {
		return false, nil
	}
	_, found, err := tx.Get(policyKey(id))
	return found, err
}

// A Bucket is one bucket inside one transaction, in the hands of one caller.
// It must not be used after the transaction's closure has returned.
type Bucket struct {
	tx      *kv.Tx
	c       *Config
	id      string
	version uint64 // of the policy row
	policy  policy
	caller  caller
	rights  rights
}

// Open returns bucket id for a caller who needs to do one thing with it. An
// unknown bucket is errs.NotFound, whatever the credential; a credential that
// matches nothing is errs.Unauthenticated; a right one, or none, that the
// policy does not allow to do it is errs.Forbidden. The holder of the root key
// may do everything.
func (bs *Buckets) Open(tx *kv.Tx, id string, cred auth.Credential, need Need) (*Bucket, error) {
	if !ValidName(id) {
		return nil, errUnknownBucket(id)
	}
	row, found, err := tx.Get(policyKey(id))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errUnknownBucket(id)
	}
	b := &Bucket{tx: tx, c: &bs.c, id: id, version: row.Version}
	if err := b.policy.decode(row.Value); err != nil {
		return nil, errs.E(errs.Internal, "bucket %s: %w", id, err)
	}
	if b.caller, err = b.judge(cred); err != nil {
		return nil, err
	}
	b.rights = b.caller.rights(&b.policy)
	if err := b.allow(need); err != nil {
		return nil, err
	}
	return b, nil
}

// allow is the door that each method passes again.
func (b *Bucket) allow(need Need) error {
	if b.rights.has(need) {
		return nil
	}
	who := "this credential"
	if b.caller.anonymous() {
		who = "a request without a credential"
	}
	return errs.E(errs.Forbidden, "bucket %s: its policy does not allow %s to %s", b.id, who, need)
}

// allowKey allows need for one key: a token is good for its prefix only. Then
// the key's length is checked.
func (b *Bucket) allowKey(need Need, key []byte) error {
	if err := b.allow(need); err != nil {
		return err
	}
	if !bytes.HasPrefix(key, b.caller.prefix) {
		return errs.E(errs.Forbidden, "bucket %s: the key is outside the access token's prefix", b.id)
	}
	if len(key) == 0 || len(key) > MaxKey {
		return errs.E(errs.Invalid, "key is %d bytes long, not between 1 and %d", len(key), MaxKey)
	}
	return nil
}

// errUnknownBucket does not repeat an id that could not be one: it may be of
// any length.
func errUnknownBucket(id string) error {
	if !ValidName(id) {
		return errs.E(errs.NotFound, "there is no such bucket")
	}
	return errs.E(errs.NotFound, "bucket %s does not exist", id)
}
