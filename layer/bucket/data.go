package bucket

import (
	"slices"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// An Entry is a key with what is stored under it.
type Entry struct {
	Key     []byte
	Value   Value  // the zero Value in a list without values
	Version uint64 // of the commit that last changed the key; the source of its ETag
	Expiry  int64  // Unix ms, 0 = never
}

// A Condition makes a change depend on the key's present version. The zero
// value is none. A change whose condition fails is errs.Conflict. A condition
// makes the transaction read the key; without one, changes are blind and never
// conflict.
type Condition struct {
	Match     *Versions // the key must be there, at one of the versions (If-Match)
	NoneMatch *Versions // the key must not be there at one of the versions (If-None-Match)
}

// Versions is a set of record versions. Empty, it matches no record.
type Versions struct {
	Any  bool // every version of a key that is there: the * of HTTP
	List []uint64
}

func (v *Versions) has(version uint64) bool { return v.Any || slices.Contains(v.List, version) }

// check reads the store key if there is a condition and returns errs.Conflict
// if it does not hold.
func (b *Bucket) check(stored []byte, cond Condition) error {
	if cond.Match == nil && cond.NoneMatch == nil {
		return nil
	}
	r, found, err := b.tx.Get(stored)
	if err != nil {
		return err
	}
	if m := cond.Match; m != nil && !(found && m.has(r.Version)) ||
		cond.NoneMatch != nil && found && cond.NoneMatch.has(r.Version) {
		if !found {
			return errs.E(errs.Conflict, "the condition does not hold: the key does not exist")
		}
		return errs.E(errs.Conflict, "the condition does not hold: the key is at version %d", r.Version)
	}
	return nil
}

// Get returns what is stored under key. A key that is missing or expired is
// errs.NotFound. The Entry's Key is the caller's slice.
func (b *Bucket) Get(key []byte) (Entry, error) {
	if err := b.allowKey(Read, key); err != nil {
		return Entry{}, err
	}
	r, found, err := b.tx.Get(dataKey(b.id, key))
	if err != nil {
		return Entry{}, err
	}
	if !found {
		return Entry{}, errs.E(errs.NotFound, "the key does not exist")
	}
	v, err := decodeValue(r.Value)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Value: v, Version: r.Version, Expiry: r.Expiry}, nil
}

// Set stores value under key and starts its lifetime: ttl, or else the
// bucket's default. A value over the limit is errs.Invalid.
func (b *Bucket) Set(key []byte, value Value, ttl TTL, cond Condition) error {
	if err := b.allowKey(Write, key); err != nil {
		return err
	}
	if err := b.checkValue(value); err != nil {
		return err
	}
	stored := dataKey(b.id, key)
	if err := b.check(stored, cond); err != nil {
		return err
	}
	b.tx.Set(stored, value.stored(), ttl.or(b.policy.ttl))
	return nil
}

func (b *Bucket) checkValue(v Value) error {
	if len(v.bytes) > b.c.MaxValue {
		return errs.E(errs.Invalid, "value is %d bytes long, the limit is %d", len(v.bytes), b.c.MaxValue)
	}
	return nil
}

// Incr adds delta to the number under key, and restarts its lifetime: ttl, or
// else the bucket's default. A missing or expired key counts as 0. The new
// number is what the commit returns as added. A stored value that is not a
// number, and an overflow, are errs.Invalid at the commit and change nothing.
func (b *Bucket) Incr(key []byte, delta command.Number, ttl TTL, cond Condition) error {
	if err := b.allowKey(Write, key); err != nil {
		return err
	}
	stored := dataKey(b.id, key)
	if err := b.check(stored, cond); err != nil {
		return err
	}
	b.tx.Add(stored, delta, ttl.or(b.policy.ttl))
	return nil
}

// Delete deletes key. One that does not exist is no error.
func (b *Bucket) Delete(key []byte, cond Condition) error {
	if err := b.allowKey(Delete, key); err != nil {
		return err
	}
	stored := dataKey(b.id, key)
	if err := b.check(stored, cond); err != nil {
		return err
	}
	b.tx.Delete(stored)
	return nil
}

// A TxnOp is one operation of a transaction: it sets Key to Value, or deletes
// it.
type TxnOp struct {
	Delete bool
	Key    []byte
	Value  Value
	TTL    TTL
}

// Txn makes all changes, in order, or none. It needs the right to write, on
// every key; over 1,000 operations, and a key or value over its limit, are
// errs.Invalid. No operation at all is fine.
func (b *Bucket) Txn(ops []TxnOp) error {
	if err := b.allow(Write); err != nil {
		return err
	}
	if len(ops) > MaxTxn {
		return errs.E(errs.Invalid, "transaction of %d operations, the limit is %d", len(ops), MaxTxn)
	}
	for i := range ops {
		op := &ops[i]
		err := b.allowKey(Write, op.Key)
		if err == nil {
			err = b.checkValue(op.Value)
		}
		if err != nil {
			return errs.E(errs.KindOf(err), "operation %d of the transaction: %w", i, err)
		}
		if op.Delete {
			b.tx.Delete(dataKey(b.id, op.Key))
		} else {
			b.tx.Set(dataKey(b.id, op.Key), op.Value.stored(), op.TTL.or(b.policy.ttl))
		}
	}
	return nil
}
