package restdb

import (
	"bytes"
	"context"
	"encoding/json"
	"sort"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/query"
)

// removeMany serves DELETE of many documents: by their ids in the body, or by a
// query. It is never both, and never by neither.
func (q *request) removeMany() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	q.noCondition()
	text := bytes.TrimSpace(body.json)
	_, byQuery := q.query.Lookup("q")
	if byQuery && (bytes.Equal(text, emptyObject) || bytes.Equal(text, []byte("null"))) {
		text = nil // what some clients send with any deletion
	}
	if len(text) == 0 {
		spec, err := deletion(q.query, q.at)
		q.note(err)
		return q.removeMatches(spec)
	}
	if byQuery {
		q.note(errs.E(errs.Invalid, "a deletion goes by q or by the ids in the body, not by both"))
	}
	ids, err := parseIDs(text)
	q.note(err)
	if q.once.key != "" && len(ids) > maxMarks {
		q.note(errs.E(errs.Invalid, "under an Idempotency-Key a deletion is of %d ids at most", maxMarks))
	}
	return q.removeIDs(ids)
}

// parseIDs reads an array of ids. What is no id is the id of nothing.
func parseIDs(text []byte) (ids []collection.OID, err error) {
	var list []any
	if json.Unmarshal(text, &list) != nil || list == nil {
		return nil, errs.E(errs.Invalid, "the body of a deletion is not a JSON array of ids")
	}
	seen := make(map[collection.OID]bool, len(list))
	for i, item := range list {
		s, ok := item.(string)
		if !ok {
			return nil, errs.E(errs.Invalid, "element %d of the body is not an id", i)
		}
		if id, ok := collection.ParseOID(s); ok && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (q *request) removeIDs(ids []collection.OID) error {
	ctx, cancel := q.patience()
	defer cancel()
	var deleted []collection.OID
	res, err := q.update(ctx, func(tx *kv.Tx, s *collection.Session) error {
		c, err := q.open(s, q.collection, collection.Delete)
		if err != nil {
			return err
		}
		deleted, err = c.Delete(ids)
		if err == nil && q.once.key != "" {
			tx.Reply(mark(ids, deleted))
		}
		return err
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if deleted, err = marked(ids, res.Reply); err != nil {
			return err
		}
	}
	q.wrote(res)
	return q.removed(deleted, len(deleted))
}

// removal is a deletion by query. What one commit holds is one commit; more is
// several, each atomic, in the order of ids. Under an Idempotency-Key, whose
// repeat would begin anew after some of them, it is one or none.
type removal struct {
	q       *request
	spec    *query.Spec
	size    int // documents that one commit deletes
	deleted []collection.OID
	first   *recollection // what a repeat knows of the first try instead
	more    bool
}

var errSeveral = errs.E(errs.Invalid, "this deletion takes several commits, and an Idempotency-Key stands for one; want a narrower q, or no key")

// removeMatches deletes what a query matches.
func (q *request) removeMatches(spec *query.Spec) error {
	// Whether there is a quorum is found out within the request's patience;
	// only then may the deletion take its time.
	if _, err := q.view(kv.Consistency{}, func(_ *kv.Tx, s *collection.Session) error {
		_, err := q.open(s, q.collection, collection.Delete)
		if errs.Is(err, errs.NotFound) && q.once.key != "" && q.bad == nil {
			return nil // the first try may have found the collection
		}
		return err
	}); err != nil {
		return err
	}
	ctx, stop := q.work()
	defer stop()
	r := &removal{q: q, spec: spec, size: q.Config.removal}
	for {
		res, err := r.step(ctx)
		switch {
		case errs.Is(err, errs.TooLarge) && q.once.key != "":
			return errSeveral
		case errs.Is(err, errs.TooLarge) && r.size > 1:
			r.size /= 2
			continue
		case err != nil && len(r.deleted) > 0:
			return errs.E(errs.Unknown, "%d documents were deleted before this went wrong: %w", len(r.deleted), err)
		case err != nil:
			return err
		}
		q.wrote(res)
		if r.first != nil {
			return q.removed(r.first.ids, r.first.count)
		}
		if !r.more {
			return q.removed(r.deleted, len(r.deleted))
		}
	}
}

// step deletes the next documents in one commit.
func (r *removal) step(ctx context.Context) (kv.Result, error) {
	var deleted []collection.OID
	more := false
	res, err := r.q.update(ctx, func(tx *kv.Tx, s *collection.Session) error {
		c, err := r.q.open(s, r.q.collection, collection.Delete)
		if err != nil {
			return err
		}
		deleted, more, err = r.next(ctx, c)
		if err == nil && r.q.once.key != "" {
			tx.Reply(recall(deleted))
		}
		return err
	})
	if err != nil {
		return res, err
	}
	if res.Duplicate {
		r.first, err = recalled(res.Reply)
		return res, err
	}
	r.deleted = append(r.deleted, deleted...)
	r.more = more
	return res, nil
}

// next deletes what belongs into the next commit.
func (r *removal) next(ctx context.Context, c *collection.Collection) (deleted []collection.OID, more bool, err error) {
	if r.spec.Everything() {
		deleted, err = c.Clear()
		return deleted, false, err
	}
	ids, err := c.Matching(ctx, r.spec)
	if err != nil {
		return nil, false, err
	}
	if ids = r.rest(ids); len(ids) > r.size {
		if r.q.once.key != "" {
			return nil, false, errSeveral
		}
		ids, more = ids[:r.size], true
	}
	deleted, err = c.Delete(ids)
	return deleted, more, err
}

// rest leaves out the ids that earlier commits came past, so that documents that
// come in between cannot keep the deletion going.
func (r *removal) rest(ids []collection.OID) []collection.OID {
	if len(r.deleted) == 0 {
		return ids
	}
	last := r.deleted[len(r.deleted)-1]
	return ids[sort.Search(len(ids), func(i int) bool { return bytes.Compare(ids[i][:], last[:]) > 0 }):]
}
