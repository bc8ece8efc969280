package kv

import (
	"bytes"
	"slices"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// Record is one live key with its value.
type Record = fsm.Record

// Tx is one run of a transaction, for the goroutine that runs it and only
// until the function that was given it returns. It sees its own writes.
type Tx struct {
	v        *fsm.View
	now      int64
	at       int64 // what has expired by then is hidden
	readOnly bool
	err      error // the first misuse; the transaction fails with it

	reads []command.Read
	ops   []command.Op
	reply []byte
	own   ownWrites
	kept  []byte // the room that copies are cut from
}

// Now is the transaction's time in unix milliseconds; use no other clock inside
// a transaction. What has expired by then is hidden from it; only the first run
// of an Update may still see what expired in the last second, and it is run
// again rather than committed on that.
func (tx *Tx) Now() int64 { return tx.now }

// Version is the version of the state that the transaction reads.
func (tx *Tx) Version() uint64 { return tx.v.Version }

// Get returns key's record; ok is false if there is none. The value is the
// caller's. A record that this transaction wrote has Version 0.
func (tx *Tx) Get(key []byte) (rec Record, ok bool, err error) {
	if w := tx.own.find(key); w != nil {
		return tx.ownRecord(w)
	}
	if covered(tx.own.spans, key) {
		return Record{}, false, nil
	}
	return tx.stored(key)
}

// stored reads key as it was before this transaction, and remembers that.
func (tx *Tx) stored(key []byte) (Record, bool, error) {
	rec, ok, err := tx.v.Get(key, tx.at)
	if err != nil {
		return rec, false, err
	}
	if !tx.readOnly {
		r := command.Read{Lo: tx.keep(key), Point: true}
		if ok {
			r.Live = 1
		}
		tx.reads = append(tx.reads, r)
	}
	return rec, ok, nil
}

// Set writes value under key, for ttl (to the millisecond; 0 = for ever). All
// methods of Tx copy what they are given.
func (tx *Tx) Set(key, value []byte, ttl time.Duration) {
	ms, ok := tx.writable(ttl)
	if !ok {
		return
	}
	key, value = tx.keep(key), tx.keep(value)
	tx.ops = append(tx.ops, command.Op{Kind: command.Set, Key: key, Value: value, TTL: ms})
	tx.own.put(key, &ownWrite{known: true, value: value, expiry: tx.expiry(ms)})
}

// Add adds delta to the number under key, as one step of the state machine: it
// reads nothing and so conflicts with nothing. A key that is missing counts as
// 0. If the value is not a number, or the sum leaves the range, the whole
// Update fails with errs.Invalid. The sum is in Result.Added.
func (tx *Tx) Add(key []byte, delta command.Number, ttl time.Duration) {
	ms, ok := tx.writable(ttl)
	if !ok {
		return
	}
	key = tx.keep(key)
	tx.ops = append(tx.ops, command.Op{Kind: command.Add, Key: key, Delta: delta, TTL: ms})
	w := &ownWrite{expiry: tx.expiry(ms)}
	if last := tx.own.find(key); last != nil {
		*w = *last
		w.expiry = tx.expiry(ms)
	} else if covered(tx.own.spans, key) {
		w.known, w.deleted = true, true
	}
	w.deltas = append(slices.Clip(w.deltas), delta)
	tx.own.put(key, w)
}

// Delete removes key, if it is there.
func (tx *Tx) Delete(key []byte) {
	if _, ok := tx.writable(0); !ok {
		return
	}
	key = tx.keep(key)
	tx.ops = append(tx.ops, command.Op{Kind: command.Delete, Key: key})
	tx.own.put(key, &ownWrite{known: true, deleted: true})
}

// DeleteSpan removes all keys of [lo, hi); hi nil is no end. Its cost does not
// depend on how many there are.
func (tx *Tx) DeleteSpan(lo, hi []byte) {
	if _, ok := tx.writable(0); !ok {
		return
	}
	lo, hi = tx.keep(lo), tx.keep(hi)
	tx.ops = append(tx.ops, command.Op{Kind: command.DeleteSpan, Key: lo, Hi: hi})
	tx.own.deleteSpan(lo, hi)
}

// Touch makes key, if it is there when the transaction is committed, expire
// after ttl (0 = never).
func (tx *Tx) Touch(key []byte, ttl time.Duration) {
	ms, ok := tx.writable(ttl)
	if !ok {
		return
	}
	key = tx.keep(key)
	tx.ops = append(tx.ops, command.Op{Kind: command.Touch, Key: key, TTL: ms})
	if last := tx.own.find(key); last != nil {
		w := *last
		w.expiry = tx.expiry(ms)
		tx.own.put(key, &w)
	}
}

// Reply stores up to command.MaxReply bytes with the result, so that a later
// try under the same ID gets what this one answered.
func (tx *Tx) Reply(p []byte) { tx.reply = bytes.Clone(p) }

// keep returns a copy of p. A caller may pass on a scan's record, whose bytes
// change with the next step: aliases would guard and write the wrong keys.
func (tx *Tx) keep(p []byte) []byte {
	if len(p) == 0 {
		return p // nil and empty differ: one is no end of a span
	}
	if len(p) > cap(tx.kept)-len(tx.kept) {
		if len(p) > keepBytes {
			return bytes.Clone(p)
		}
		tx.kept = make([]byte, 0, keepBytes)
	}
	at := len(tx.kept)
	tx.kept = append(tx.kept, p...)
	return tx.kept[at:len(tx.kept):len(tx.kept)]
}

// keepBytes is how much room for copies is made at a time.
const keepBytes = 512

func (tx *Tx) writable(ttl time.Duration) (ms int64, ok bool) {
	switch {
	case tx.err != nil:
		return 0, false
	case tx.readOnly:
		tx.err = errs.E(errs.Internal, "a write in a read-only transaction")
		return 0, false
	case ttl < 0 || ttl > 0 && ttl < time.Millisecond:
		tx.err = errs.E(errs.Invalid, "time to live of %v: it is at least 1ms, or 0 for no expiry", ttl)
		return 0, false
	}
	return ttl.Milliseconds(), true
}

// expiry is when a record written now will expire, as far as this side knows.
func (tx *Tx) expiry(ttl int64) int64 {
	if ttl == 0 {
		return 0
	}
	return tx.now + ttl
}

// ownRecord is what the transaction sees of its own write. Reading a sum makes
// the read of what was summed to part of the transaction.
func (tx *Tx) ownRecord(w *ownWrite) (Record, bool, error) {
	if len(w.deltas) == 0 {
		return Record{Key: w.key, Value: bytes.Clone(w.value), Expiry: w.expiry}, !w.deleted, nil
	}
	base, have := w.value, w.known && !w.deleted
	if !w.known {
		rec, ok, err := tx.stored(w.key)
		if err != nil {
			return Record{}, false, err
		}
		base, have = rec.Value, ok
	}
	var sum command.Number
	if have {
		var ok bool
		if sum, ok = command.ParseNumber(base); !ok {
			return Record{}, false, errs.E(errs.Invalid, "the stored value is not a number")
		}
	}
	for _, d := range w.deltas {
		var err error
		if sum, err = sum.Add(d); err != nil {
			return Record{}, false, err
		}
	}
	return Record{Key: w.key, Value: sum.Append(nil), Expiry: w.expiry}, true, nil
}

// command is the transaction as the log will carry it, but for its identity.
func (tx *Tx) command() *command.Command {
	c := &command.Command{Version: tx.v.Version, Reads: tx.reads, Ops: tx.ops, Reply: tx.reply}
	if len(c.Reads) > 0 {
		c.At = tx.at
	}
	if len(c.Reads) > 1 {
		slices.SortFunc(c.Reads, compareReads)
		c.Reads = slices.CompactFunc(c.Reads, func(a, b command.Read) bool { return compareReads(a, b) == 0 })
	}
	return c
}

func compareReads(a, b command.Read) int {
	switch {
	case a.Point != b.Point:
		if a.Point {
			return -1
		}
		return 1
	case (a.Hi == nil) != (b.Hi == nil):
		if a.Hi == nil {
			return -1
		}
		return 1
	}
	if n := bytes.Compare(a.Lo, b.Lo); n != 0 {
		return n
	}
	return bytes.Compare(a.Hi, b.Hi)
}
