package bucket

import (
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Fields are the policy fields of a request, to create a bucket or to change
// one. A nil key and a TTL that is not stated are absent.
type Fields struct {
	Secret     *auth.Credential
	Write      *auth.Credential
	Read       *auth.Credential
	Signing    *auth.Credential
	DefaultTTL TTL
}

// check bounds the keys' texts.
func (f *Fields) check() error {
	for _, k := range [...]struct {
		name string
		key  *auth.Credential
	}{{"secret_key", f.Secret}, {"write_key", f.Write}, {"read_key", f.Read}, {"signing_key", f.Signing}} {
		if k.key != nil && len(k.key.Value) > maxKeyText {
			return errs.E(errs.Invalid, "%s is %d bytes long, the limit is %d", k.name, len(k.key.Value), maxKeyText)
		}
	}
	return nil
}

// A Draft is a bucket that is ready to be created. It may be used in any
// number of runs of one closure.
type Draft struct {
	ID     string // the id that the bucket will have
	named  bool
	policy policy
}

// Draft prepares the creation of a bucket, before the transaction: it draws
// the id, unless the operator has chosen one (name), and a salt, hashes the
// keys and seals the signing key. An empty key counts as absent. A name that
// cannot be a bucket's id is errs.Invalid, and so is a signing key on a node
// without a keyring.
func (bs *Buckets) Draft(name string, f Fields) (*Draft, error) {
	if name != "" && !ValidName(name) {
		return nil, errs.E(errs.Invalid, "id is not %d to %d letters, digits, - and _, or it is a reserved word", minName, maxName)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	d := &Draft{ID: name, named: name != ""}
	if !d.named {
		d.ID = NewID()
	}
	p := &d.policy
	p.salt = auth.NewSalt()
	p.ttl = DefaultTTL
	if f.DefaultTTL.stated {
		p.ttl = f.DefaultTTL.seconds
	}
	p.secret, p.write, p.read = p.hash(f.Secret), p.hash(f.Write), p.hash(f.Read)
	if f.Signing != nil && !f.Signing.None() {
		var err error
		if p.signing, err = bs.c.Keyring.Seal([]byte(f.Signing.Value), signingPlace(d.ID)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// hash returns the stored form of a key that is set, and nil for none.
func (p *policy) hash(key *auth.Credential) []byte {
	if key == nil || key.None() {
		return nil
	}
	h := p.salt.Hash(key.Value)
	return h[:]
}

// MayCreate reports whether cred may create a bucket, with an id of its
// choice if named. That needs the root key, and an id of ours needs it if the
// operator says so: a wrong credential is then errs.Unauthenticated, none is
// errs.Forbidden. Otherwise credentials do not matter.
func (bs *Buckets) MayCreate(cred auth.Credential, named bool) error {
	if !named && !bs.c.CreateNeedsRoot {
		return nil
	}
	return bs.operator(cred)
}

// operator is the door of everything that only the root key's holder may do.
func (bs *Buckets) operator(cred auth.Credential) error {
	switch {
	case bs.c.Root.Match(cred):
		return nil
	case cred.None():
		return errs.E(errs.Forbidden, "this needs the cluster's root key")
	}
	return errs.E(errs.Unauthenticated, "the credential is not the cluster's root key")
}

// Create creates the drafted bucket and leaves its id as the transaction's
// reply, so that a request that is repeated learns the first one's id. It asks
// MayCreate; an id that is taken is errs.Exists.
func (bs *Buckets) Create(tx *kv.Tx, cred auth.Credential, d *Draft) error {
	if err := bs.MayCreate(cred, d.named); err != nil {
		return err
	}
	key := policyKey(d.ID)
	_, found, err := tx.Get(key)
	if err != nil {
		return err
	}
	if found {
		return errs.E(errs.Exists, "bucket %s exists already", d.ID)
	}
	p := d.policy // the draft may be used again
	p.created = tx.Now()
	tx.Set(key, p.append(nil), 0)
	tx.Reply([]byte(d.ID))
	return nil
}

// A Change is a change of one bucket's policy, ready to be made. It may be
// used in any number of runs of one closure.
type Change struct {
	id     string
	fields Fields
	sealed []byte // the new signing key
}

// Change prepares a change of bucket id's policy, before the transaction. An
// absent field stays as it is; an empty write, read or signing key is cleared;
// an empty secret key is errs.Invalid. Return the error after Open, so that
// the bucket and the credential are judged first.
func (bs *Buckets) Change(id string, f Fields) (*Change, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Secret != nil && f.Secret.None() {
		return nil, errs.E(errs.Invalid, "secret_key is empty: it can be changed, not cleared")
	}
	c := &Change{id: id, fields: f}
	if f.Signing != nil && !f.Signing.None() {
		var err error
		if c.sealed, err = bs.c.Keyring.Seal([]byte(f.Signing.Value), signingPlace(id)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ChangePolicy makes the change. It needs the secret key or the root key; a
// secret key cannot be added to a bucket without one, not even by the operator
// (errs.Forbidden). A new default TTL affects later writes only; a new or
// cleared signing key ends all tokens.
func (b *Bucket) ChangePolicy(c *Change) error {
	if err := b.allow(ChangePolicy); err != nil {
		return err
	}
	if c.id != b.id {
		return errs.E(errs.Internal, "change of bucket %s made to bucket %s", c.id, b.id)
	}
	p, f := b.policy, &c.fields
	if f.Secret != nil {
		if p.secret == nil {
			return errs.E(errs.Forbidden, "bucket %s: a secret key cannot be added after creation", b.id)
		}
		p.secret = p.hash(f.Secret)
	}
	if f.Write != nil {
		p.write = p.hash(f.Write)
	}
	if f.Read != nil {
		p.read = p.hash(f.Read)
	}
	if f.Signing != nil {
		p.signing = c.sealed
	}
	if f.DefaultTTL.stated {
		p.ttl = f.DefaultTTL.seconds
	}
	b.tx.Set(policyKey(b.id), p.append(nil), 0)
	// The rights of this Bucket stay as the old policy granted them.
	b.policy = p
	return nil
}

// Drop deletes the bucket and all its keys, as two operations however many
// keys there are. The Bucket has no rights afterwards.
func (b *Bucket) Drop() error {
	if err := b.allow(DeleteBucket); err != nil {
		return err
	}
	b.tx.DeleteSpan(dataSpan(b.id, nil))
	b.tx.Delete(policyKey(b.id))
	b.rights = 0
	return nil
}

// Info describes a bucket to the operator. It holds no secret.
type Info struct {
	ID         string
	Created    int64 // Unix ms
	DefaultTTL int64 // seconds, 0 = never
	HasSecret  bool
	HasWrite   bool
	HasRead    bool
	HasSigning bool
}

// List returns up to limit buckets (at most 1,000) in the order of their ids,
// from the first id after the given one; "" is the beginning. Only the holder
// of the root key may list buckets: no credential is errs.Forbidden, another
// one errs.Unauthenticated.
func (bs *Buckets) List(tx *kv.Tx, cred auth.Credential, after string, limit int) ([]Info, error) {
	if err := bs.operator(cred); err != nil {
		return nil, err
	}
	if limit < 0 || limit > maxPage {
		limit = maxPage
	}
	if len(after) > maxName {
		return nil, errs.E(errs.Invalid, "the id to begin after is %d bytes long, the limit is %d", len(after), maxName)
	}
	var infos []Info
	for row, err := range tx.Scan(policySpan(after)) {
		if err != nil {
			return nil, err
		}
		if len(infos) == limit {
			break
		}
		var p policy
		id, ok := policyID(row.Key)
		if err := p.decode(row.Value); err != nil || !ok {
			return nil, errs.E(errs.Internal, "policy row of bucket %q is damaged", id)
		}
		infos = append(infos, Info{
			ID: id, Created: p.created, DefaultTTL: p.ttl,
			HasSecret: p.secret != nil, HasWrite: p.write != nil, HasRead: p.read != nil, HasSigning: p.signing != nil,
		})
	}
	return infos, nil
}
