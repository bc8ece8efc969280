package kv

import (
	"bytes"
	"iter"
	"slices"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
)

// Scan iterates over the records of [lo, hi) in ascending order of key; hi nil
// is no end. A record's slices are valid until the next step. The loop may
// break off; what it went over becomes part of what the transaction read.
// Writes made during the loop show in the next one.
func (tx *Tx) Scan(lo, hi []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		tx.scan(&merge{tx: tx, lo: lo, hi: hi, it: tx.v.Scan(lo, hi, tx.at)}, yield)
	}
}

// ScanBack is Scan in descending order.
func (tx *Tx) ScanBack(lo, hi []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		tx.scan(&merge{tx: tx, lo: lo, hi: hi, it: tx.v.ScanBack(lo, hi, tx.at), back: true}, yield)
	}
}

func (tx *Tx) scan(m *merge, yield func(Record, error) bool) {
	defer m.close()
	if m.empty() {
		return
	}
	m.own, m.spans = tx.own.within(m.lo, m.hi), tx.own.spans
	if m.back {
		m.own = slices.Clone(m.own)
		slices.Reverse(m.own)
	}
	for {
		rec, ok, err := m.next()
		if err != nil {
			yield(Record{}, err)
			return
		}
		if !ok || !yield(rec, nil) {
			return
		}
	}
}

// merge joins the stored records of a span with the transaction's own.
type merge struct {
	tx     *Tx
	lo, hi []byte
	back   bool
	it     *fsm.Iter
	own    []*ownWrite // as they were when the scan began
	spans  []span      // likewise

	peeked bool // it stands on a record that next has not used yet
	ended  bool // it has no more
	live   uint64
	any    bool   // next returned a record
	last   []byte // the key of the last one
	done   bool   // next returned the end of the span
}

// next returns the next record of the two. Of a key that both have, the own
// write counts.
func (m *merge) next() (Record, bool, error) {
	for {
		if !m.peeked && !m.ended {
			m.peeked = m.it.Next()
			m.ended = !m.peeked
			if err := m.it.Err(); err != nil {
				return Record{}, false, err
			}
		}
		if !m.peeked && len(m.own) == 0 {
			m.done = true
			return Record{}, false, nil
		}
		order := m.compare()
		if order <= 0 { // the stored record is first, or the same
			m.peeked = false
			m.live++
			rec := m.it.Record()
			if order < 0 {
				if !covered(m.spans, rec.Key) {
					m.mark(rec.Key)
					return rec, true, nil
				}
				continue
			}
		}
		w := m.own[0]
		m.own = m.own[1:]
		rec, ok, err := m.tx.ownRecord(w)
		if err != nil {
			return Record{}, false, err
		}
		if ok {
			m.mark(w.key)
			return rec, true, nil
		}
	}
}

func (m *merge) mark(key []byte) { m.any, m.last = true, append(m.last[:0], key...) }

// compare says which comes next: negative for the stored record, positive for
// the own write, 0 when both have the key.
func (m *merge) compare() int {
	switch {
	case !m.peeked:
		return 1
	case len(m.own) == 0:
		return -1
	}
	n := bytes.Compare(m.it.Record().Key, m.own[0].key)
	if m.back {
		return -n
	}
	return n
}

func (m *merge) empty() bool { return m.hi != nil && bytes.Compare(m.lo, m.hi) >= 0 }

// close remembers the part of the span that was gone over.
func (m *merge) close() {
	if err := m.it.Close(); err != nil && m.tx.err == nil {
		m.tx.err = err
	}
	if m.tx.readOnly || m.empty() {
		return
	}
	r := command.Read{Lo: m.tx.keep(m.lo), Hi: m.tx.keep(m.hi), Live: m.live}
	switch {
	case m.done:
	case !m.any:
		return // an error before the first record
	case m.back:
		r.Lo = m.last
	default:
		r.Hi = append(m.last, 0)
	}
	m.tx.reads = append(m.tx.reads, r)
}
