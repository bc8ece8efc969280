package collection

import (
	"bytes"

	"github.com/coveydb/covey/layer/collection/query"
)

// Aggregate returns the groups, aggregates or distinct values that the request
// asks for, made of what Documents gives, and of how many documents they are
// made. show appends a document as the answer shows it.
func (s *Selection) Aggregate(show func(dst []byte, d Document) ([]byte, error)) (answer []byte, n int, err error) {
	made, err := query.NewAccumulator(s.spec, query.AccumulatorConfig{
		MaxBytes: s.c.store.cfg.MaxResult,
		Show: func(dst, stored []byte) ([]byte, error) {
			d, err := storedDocument(stored)
			if err != nil {
				return nil, err
			}
			return show(dst, d)
		},
	})
	if err != nil {
		return nil, 0, err
	}
	through := s.c.Expander(s.ctx, ExpandOptions{}) // groups may be made by what lookups lead to
	for d, err := range s.Documents() {
		if err != nil {
			return nil, 0, err
		}
		doc, err := through.forMatch(d)
		if err != nil {
			return nil, 0, err
		}
		if err := made.Add(doc, d.JSON); err != nil {
			return nil, 0, err
		}
		n++
	}
	answer, err = made.JSON()
	return answer, n, err
}

// storedDocument returns the document whose JSON is given.
func storedDocument(stored []byte) (Document, error) {
	// The tail is the last thing that begins so: what users write has its
	// quotes escaped.
	d := Document{JSON: stored, tail: bytes.LastIndex(stored, []byte(createdText))}
	if d.tail < 0 || !d.whole() {
		return Document{}, errDamaged
	}
	return d, nil
}
