package restdb

import (
	"net/http"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// catalog is the answer about all collections.
type catalog struct {
	Collections []collection.Metadata `json:"collections"`
}

// meta serves GET /rest/_meta.
func (q *request) meta() error {
	return q.describe(func(s *collection.Session) (any, error) {
		list, err := s.Metadata()
		return catalog{list}, err
	})
}

// collectionMeta serves GET of the metadata of one collection.
func (q *request) collectionMeta() error {
	return q.describe(func(s *collection.Session) (any, error) { return s.CollectionMetadata(q.collection) })
}

// describe answers with what fn finds out.
func (q *request) describe(fn func(*collection.Session) (any, error)) error {
	q.acceptable()
	var body []byte
	info, err := q.view(q.consistency(), func(_ *kv.Tx, s *collection.Session) error {
		if q.bad != nil {
			return q.bad
		}
		v, err := fn(s)
		if err != nil {
			return err
		}
		body = appendJSON(nil, v)
		return nil
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	return q.reply(http.StatusOK, body)
}
