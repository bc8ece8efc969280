package collection

import (
	"iter"

	"github.com/coveydb/covey/kv"
)

// Operator opens a collection for one need on behalf of the holder of the
// cluster's root key, who has been recognized as that: keys, roles and private
// data do not stand in the way. errs.NotFound if there is no such database or
// collection.
func (s *Store) Operator(tx *kv.Tx, db, name string, need Need) (*Collection, error) {
	d, err := s.open(tx, db)
	if err != nil {
		return nil, err
	}
	r, err := s.operatorRow(tx, db, name)
	if err != nil {
		return nil, err
	}
	return &Collection{store: s, tx: tx, db: db, name: name, row: r, need: need, by: byKey, full: true, strict: d.Strict, hooked: d.Hooks}, nil
}

// After returns the documents in the order of their ids, as they are stored,
// from the first after the given one on; nil is the beginning. A Document is
// good until the next one comes. It must be opened for Read.
func (c *Collection) After(id *OID) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if err := c.opened(Read); err != nil {
			yield(Document{}, err)
			return
		}
		lo, hi := documentSpan(c.row.Number)
		if id != nil {
			lo = append(documentKey(c.row.Number, *id), 0)
		}
		for rec, err := range c.tx.Scan(lo, hi) {
			var d Document
			if err == nil {
				d, err = openDocument(rec.Value)
			}
			if err != nil {
				yield(Document{}, err)
				return
			}
			if c.sees(d) && !yield(d, nil) {
				return
			}
		}
	}
}
