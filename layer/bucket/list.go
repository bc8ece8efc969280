package bucket

import (
	"bytes"
	"context"
	"iter"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A ListQuery says which keys to list: those with Prefix that match Pattern,
// in byte order or in Reverse, without the first Skip, and at most Limit.
type ListQuery struct {
	Prefix  []byte   // empty = all keys, or all below the access token's prefix
	Pattern *Pattern // nil = all
	Reverse bool
	Skip    int
	Limit   int  // 0 is an empty list; below 0, or above Config.MaxList, means that limit
	Values  bool // with values, which needs the right to read as well
}

// checkEvery is how many keys a list examines between two looks at its context.
const checkEvery = 1024

// List returns the entries that q asks for. It needs the right to list, and a
// prefix outside an access token's is errs.Forbidden. The sequence may be
// walked once, inside the transaction; an Entry's slices are valid until the
// next step, and an error ends it. A list examines all keys below its prefix
// until it is full: when ctx ends first, the sequence ends with
// errs.Unavailable.
func (b *Bucket) List(ctx context.Context, q ListQuery) (iter.Seq2[Entry, error], error) {
	need := List
	if q.Values {
		need = ListValues
	}
	if err := b.allow(need); err != nil {
		return nil, err
	}
	if own := b.caller.prefix; len(q.Prefix) == 0 {
		q.Prefix = own
	} else if !bytes.HasPrefix(q.Prefix, own) {
		return nil, errs.E(errs.Forbidden, "bucket %s: the prefix is outside the access token's", b.id)
	}
	if q.Skip < 0 {
		return nil, errs.E(errs.Invalid, "skip %d is negative", q.Skip)
	}
	if q.Limit < 0 || q.Limit > b.c.MaxList {
		q.Limit = b.c.MaxList
	}
	prefix, some := q.Pattern.narrow(q.Prefix)
	if !some || len(prefix) > MaxKey || q.Limit == 0 {
		return func(func(Entry, error) bool) {}, nil
	}
	lo, hi := dataSpan(b.id, prefix)
	scan := b.tx.Scan
	if q.Reverse {
		scan = b.tx.ScanBack
	}
	head := len(dataKey(b.id, nil))
	return func(yield func(Entry, error) bool) { walk(ctx, &q, head, scan(lo, hi), yield) }, nil
}

// walk yields what q asks for from the records of a scan, whose keys begin
// with head bytes that are not part of the bucket's key.
func walk(ctx context.Context, q *ListQuery, head int, records iter.Seq2[kv.Record, error], yield func(Entry, error) bool) {
	examined, skip, left := 0, q.Skip, q.Limit
	for r, err := range records {
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if examined++; examined%checkEvery == 0 && ctx.Err() != nil {
			yield(Entry{}, errs.E(errs.Unavailable, "list ended after %d keys: %w", examined, ctx.Err()))
			return
		}
		key := r.Key[head:]
		if !q.Pattern.match(key) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		e := Entry{Key: key, Version: r.Version, Expiry: r.Expiry}
		if q.Values {
			if e.Value, err = decodeValue(r.Value); err != nil {
				yield(Entry{}, err)
				return
			}
		}
		if left--; !yield(e, nil) || left == 0 {
			return
		}
	}
}
