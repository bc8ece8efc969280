package store

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/coveydb/covey/internal/errs"
)

// maxBatchBytes bounds a batch. Pebble panics at 4 GiB.
const maxBatchBytes = 1 << 30

// Batch gathers writes and applies them together. It is a Reader that sees the
// store as it is at the time of each read, with the batch's own writes on top;
// an Iter sees the writes made before it was made. A Batch is for one
// goroutine at a time, and must be closed.
type Batch struct {
	db   *DB
	gen  *generation // nil: the store was closed already
	p    *pebble.Batch
	err  error // the first write that failed; Commit returns it
	done bool  // committed

	views  int              // calls of View so far
	prober *pebble.Iterator // nil: not needed yet
	probed int              // the batch's length when the prober last looked
}

var _ Reader = (*Batch)(nil)

// Batch returns a new, empty batch on the current content. A batch that is
// open while Replace succeeds can no longer be committed.
func (db *DB) Batch() *Batch {
	b := &Batch{db: db, gen: db.acquire()}
	if b.gen != nil {
		b.p = b.gen.p.NewIndexedBatch()
	}
	return b
}

// usable returns why the batch can not be read or written, or nil.
func (b *Batch) usable() error {
	switch {
	case b.p == nil:
		return errClosed(b.db.dir)
	case b.done:
		return errs.E(errs.Internal, "store %s: use of a batch after its commit", b.db.dir)
	}
	return nil
}

// Get implements Reader.
func (b *Batch) Get(key []byte) (value []byte, ok bool, err error) {
	if err := b.usable(); err != nil {
		return nil, false, err
	}
	return get(b.p, b.gen.dir, key)
}

// View implements Reader. fn must not write to the batch. Beneath the batch's own
// writes it may see the store as it was at an earlier View.
func (b *Batch) View(key []byte, fn func(value []byte) error) (ok bool, err error) {
	if err := b.usable(); err != nil {
		return false, err
	}
	if b.views++; b.views > probeAfter {
		return b.probe(key, fn)
	}
	return view(b.p, b.gen.dir, key, fn)
}

// probeAfter is how many keys a batch looks up one by one. Who reads more before
// it writes mostly finds nothing: it fills an index, say.
const probeAfter = 8

// probe is view for keys that are mostly not there: Pebble's Get does not ask
// the filters of the lowest level, where nine tenths of the data are, and so
// reads a block from the disk for each key that is new.
func (b *Batch) probe(key []byte, fn func(value []byte) error) (ok bool, err error) {
	options := pebble.IterOptions{UseL6Filters: true}
	switch {
	case b.prober == nil:
		if b.prober, err = b.p.NewIter(&options); err != nil {
			return false, wrap("get", b.gen.dir, err)
		}
	case b.probed != b.p.Len():
		b.prober.SetOptions(&options) // lets it see what was written since
	}
	b.probed = b.p.Len()
	if !b.prober.SeekPrefixGE(key) {
		return false, wrap("get", b.gen.dir, b.prober.Error())
	}
	value, err := b.prober.ValueAndErr()
	if err != nil {
		return false, wrap("get", b.gen.dir, err)
	}
	return true, fn(value)
}

// stopProbing gives up the prober, if there is one.
func (b *Batch) stopProbing() error {
	if b.prober == nil {
		return nil
	}
	err := b.prober.Close()
	b.prober, b.views = nil, 0
	return wrap("get", b.gen.dir, err)
}

// Scan implements Reader.
func (b *Batch) Scan(lo, hi []byte) *Iter { return b.scan(span{lo, hi}, false) }

// ScanBack implements Reader.
func (b *Batch) ScanBack(lo, hi []byte) *Iter { return b.scan(span{lo, hi}, true) }

func (b *Batch) scan(sp span, back bool) *Iter {
	if err := b.usable(); err != nil {
		return &Iter{err: err}
	}
	return scan(b.p, b.gen.dir, sp, back)
}

// Set writes value under key, which must not be empty (errs.Invalid). It copies
// both. A batch takes up to 1 GiB (errs.TooLarge). An error is kept for Commit.
func (b *Batch) Set(key, value []byte) {
	if !b.writable() || !b.validKey(key) {
		return
	}
	if b.p.Len()+len(key)+len(value) > maxBatchBytes {
		b.err = errs.E(errs.TooLarge, "store %s: a batch of more than %d bytes", b.db.dir, maxBatchBytes)
		return
	}
	b.note(b.p.Set(key, value, nil))
}

// Delete removes key, which need not exist but must not be empty
// (errs.Invalid). It copies key. An error is kept for Commit.
func (b *Batch) Delete(key []byte) {
	if b.writable() && b.validKey(key) {
		b.note(b.p.Delete(key, nil))
	}
}

// DeleteSpan removes all keys of [lo, hi) as one small record, however many
// there are. With hi nil it removes the keys from lo on that the batch sees
// now. It copies both. An error is kept for Commit.
func (b *Batch) DeleteSpan(lo, hi []byte) {
	if !b.writable() {
		return
	}
	if hi == nil {
		// A range tombstone needs an end: just after the last key.
		it := b.ScanBack(lo, nil)
		if it.Next() {
			hi = append(bytes.Clone(it.Key()), 0)
		}
		b.note(it.Close())
		if hi == nil {
			return
		}
	}
	if len(lo) == 0 {
		lo = []byte{0} // the least key
	}
	if !(span{lo, hi}).empty() {
		b.note(b.p.DeleteRange(lo, hi, nil))
	}
}

// validKey refuses the empty key: Pebble 2.1's table writer panics on a block
// that holds no other.
func (b *Batch) validKey(key []byte) bool {
	if len(key) == 0 {
		b.err = errs.E(errs.Invalid, "store %s: a write to the empty key", b.db.dir)
	}
	return len(key) > 0
}

func (b *Batch) writable() bool {
	if b.err == nil {
		b.err = b.usable()
	}
	return b.err == nil
}

func (b *Batch) note(err error) {
	if err != nil && b.err == nil {
		b.err = wrap("write to batch", b.gen.dir, err)
	}
}

// Len returns the number of writes gathered so far; a DeleteSpan counts as one.
func (b *Batch) Len() int {
	if b.p == nil {
		return 0
	}
	return int(b.p.Count())
}

// Size returns the encoded size of the writes gathered so far, in bytes.
func (b *Batch) Size() int {
	if b.p == nil {
		return 0
	}
	return b.p.Len()
}

// Commit applies all writes atomically. On return every new reader sees them;
// they become durable with the next Flush, or earlier. Commits are ordered:
// what survives a crash is a prefix of them. It waits while flushes or
// compactions are behind.
//
// On an error nothing is applied. After errs.NoSpace the batch is intact and
// may be committed again. errs.Unavailable: the store was closed, or its
// content replaced since the batch was made. A committed batch is spent; only
// Close may follow.
func (b *Batch) Commit() error {
	if b.err != nil {
		return b.err
	}
	if err := b.usable(); err != nil {
		return err
	}
	if b.db.opts.ReadOnly {
		return errs.E(errs.Invalid, "store %s: opened read-only", b.db.dir)
	}
	if b.p.Empty() {
		b.done = true
		return nil
	}
	if err := b.stopProbing(); err != nil {
		return err
	}
	if err := b.gen.health.admit(b.gen.p, memory(b.p)); err != nil {
		return err
	}
	b.db.mu.RLock()
	defer b.db.mu.RUnlock()
	if b.db.broken != nil {
		return b.db.broken
	}
	if b.db.cur != b.gen {
		return errs.E(errs.Unavailable, "store %s: replaced or closed since the batch was made", b.db.dir)
	}
	if err := b.gen.p.Apply(b.p, pebble.NoSync); err != nil {
		return wrap("commit", b.gen.dir, err)
	}
	b.gen.keeper.committed()
	b.done = true
	return nil
}

// memory estimates what p takes up in a memtable, in bytes.
func memory(p *pebble.Batch) int64 {
	const node = 48 // of the memtable's skip list
	return int64(p.Len()) + node*int64(p.Count())
}

// Close gives the batch's memory back and drops writes that were not
// committed. It may be called again.
func (b *Batch) Close() error {
	if b.p == nil {
		return nil
	}
	err := b.stopProbing()
	if cerr := wrap("close batch", b.gen.dir, b.p.Close()); err == nil {
		err = cerr
	}
	b.p = nil
	b.db.release(b.gen)
	return err
}
