package kv

import (
	"bytes"
	"slices"

	"github.com/coveydb/covey/fsm/command"
)

// ownWrites is what a transaction has written so far, for its own reads.
type ownWrites struct {
	byKey map[string]*ownWrite
	spans []span      // deleted; a later write of a key in one stands in byKey
	order []*ownWrite // by key; nil when it must be made again
}

type span struct{ lo, hi []byte }

func (s span) holds(key []byte) bool {
	return bytes.Compare(s.lo, key) <= 0 && (s.hi == nil || bytes.Compare(key, s.hi) < 0)
}

// ownWrite is the last state of one key: value (if known), then deltas added.
// It does not change once it is in ownWrites, so that a scan may hold on to it.
type ownWrite struct {
	key     []byte
	known   bool // value and deleted say what is there; else the store does
	deleted bool
	value   []byte
	deltas  []command.Number
	expiry  int64
}

func (o *ownWrites) find(key []byte) *ownWrite { return o.byKey[string(key)] }

func (o *ownWrites) put(key []byte, w *ownWrite) {
	if o.byKey == nil {
		o.byKey = make(map[string]*ownWrite)
	}
	w.key = key
	o.byKey[string(key)] = w
	o.order = nil
}

func (o *ownWrites) deleteSpan(lo, hi []byte) {
	s := span{lo, hi}
	for key, w := range o.byKey {
		if s.holds(w.key) {
			o.byKey[key] = &ownWrite{key: w.key, known: true, deleted: true}
		}
	}
	o.order = nil
	o.spans = append(o.spans, s)
}

// covered reports whether one of spans hides what the store has under key.
func covered(spans []span, key []byte) bool {
	for i := range spans {
		if spans[i].holds(key) {
			return true
		}
	}
	return false
}

// within returns the writes in [lo, hi), in ascending order of key.
func (o *ownWrites) within(lo, hi []byte) []*ownWrite {
	if len(o.byKey) == 0 {
		return nil
	}
	if o.order == nil {
		for _, w := range o.byKey {
			o.order = append(o.order, w)
		}
		slices.SortFunc(o.order, func(a, b *ownWrite) int { return bytes.Compare(a.key, b.key) })
	}
	from, _ := slices.BinarySearchFunc(o.order, lo, func(w *ownWrite, k []byte) int { return bytes.Compare(w.key, k) })
	to := len(o.order)
	if hi != nil {
		to, _ = slices.BinarySearchFunc(o.order, hi, func(w *ownWrite, k []byte) int { return bytes.Compare(w.key, k) })
	}
	return o.order[from:max(from, to)]
}
