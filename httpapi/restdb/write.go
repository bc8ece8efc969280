package restdb

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// emptyObject is what a body that is missing stands for.
var emptyObject = []byte("{}")

func (c content) object() []byte {
	if len(c.json) == 0 {
		return emptyObject
	}
	return c.json
}

// written appends documents as answers to writes show them, with all metafields.
func written(ctx context.Context, c *collection.Collection, docs []collection.Document, many bool) (dst []byte, err error) {
	expander := c.Expander(ctx, collection.ExpandOptions{Metafields: true})
	if many {
		dst = append(dst, '[')
	}
	for i, d := range docs {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = expander.Append(dst, d); err != nil {
			return nil, err
		}
	}
	if many {
		dst = append(dst, ']')
	}
	return dst, nil
}

// change serves PUT and PATCH of a document. Both merge; PUT replaces when the
// client says so.
func (q *request) change() error {
	body, err := q.content()
	if err != nil {
		return err
	}
	q.acceptable()
	replace := q.method == http.MethodPut && q.flag("replace")
	var change collection.Change
	if q.bad == nil {
		change, err = collection.ParseChange(body.object(), replace)
		q.note(err)
	}
	id := q.oid(q.id)
	o := collection.WriteOptions{At: q.at, IfVersion: q.ifMatch(), Texts: body.texts}
	ctx, cancel := q.patience()
	defer cancel()
	var answer []byte
	res, err := q.update(ctx, func(_ *kv.Tx, s *collection.Session) error {
		c, err := q.open(s, q.collection, collection.Update)
		if err != nil {
			return err
		}
		d, err := c.Update(id, change, o)
		if err != nil {
			return err
		}
		answer, err = written(ctx, c, []collection.Document{d}, false)
		return err
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		if answer, err = q.changedBefore(id); err != nil {
			return err
		}
	}
	q.wrote(res)
	return q.reply(http.StatusOK, answer)
}

// changedBefore answers a change whose first try has taken effect: with the
// document as it is now.
func (q *request) changedBefore(id collection.OID) (answer []byte, err error) {
	ctx, cancel := q.patience()
	defer cancel()
	_, err = q.view(kv.Consistency{}, func(_ *kv.Tx, s *collection.Session) error {
		c, err := q.open(s, q.collection, collection.Update)
		if err != nil {
			return err
		}
		d, ok, err := c.Get(id)
		if err != nil {
			return err
		}
		if !ok {
			return errs.E(errs.NotFound, "the first try of this request changed the document %s, which has been deleted since", id)
		}
		answer, err = written(ctx, c, []collection.Document{d}, false)
		return err
	})
	return answer, err
}

// oid reads an id from the path. One that is malformed is the id of nothing.
func (q *request) oid(text string) collection.OID {
	id, ok := collection.ParseOID(text)
	if !ok {
		q.note(errs.E(errs.NotFound, "there is no document of this id"))
	}
	return id
}

// ifMatch reads If-Match, a _version; nil if there is none.
func (q *request) ifMatch() *int64 {
	given := q.r.Header["If-Match"]
	if len(given) == 0 {
		return nil
	}
	text := strings.Trim(strings.TrimSpace(given[0]), `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 || len(given) > 1 {
		q.note(errs.E(errs.Invalid, "If-Match is not one _version: a whole number"))
		return nil
	}
	return &version
}

// noCondition refuses If-Match where there is no one document to compare: to
// ignore it would be to change what its sender wanted left alone.
func (q *request) noCondition() {
	if len(q.r.Header["If-Match"]) > 0 {
		q.note(errs.E(errs.Invalid, "If-Match works with PUT, PATCH and DELETE of one document only"))
	}
}

// remove serves DELETE of a document.
func (q *request) remove() error {
	q.acceptable()
	id, version := q.oid(q.id), q.ifMatch()
	ctx, cancel := q.patience()
	defer cancel()
	res, err := q.update(ctx, func(_ *kv.Tx, s *collection.Session) error {
		c, err := q.open(s, q.collection, collection.Delete)
		if err != nil {
			return err
		}
		if version != nil {
			if err := matches(c, id, *version); err != nil {
				return err
			}
		}
		deleted, err := c.Delete([]collection.OID{id})
		if err == nil && len(deleted) == 0 {
			err = errs.E(errs.NotFound, "there is no document %s", id)
		}
		return err
	})
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.removed([]collection.OID{id}, 1)
}

// matches compares the version of a document, if it is there.
func matches(c *collection.Collection, id collection.OID, version int64) error {
	d, ok, err := c.Get(id)
	if err == nil && ok && d.Version() != version {
		err = errs.E(errs.Exists, "the document has version %d, not %d", d.Version(), version)
	}
	return err
}

// removed answers a deletion of n documents, the first of which are ids.
func (q *request) removed(ids []collection.OID, n int) error {
	body := append(make([]byte, 0, 16+27*len(ids)), `{"result":[`...)
	for i, id := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, '"'), id.String()...), '"')
	}
	body = append(body, ']')
	if n > len(ids) {
		body = strconv.AppendInt(append(body, `,"count":`...), int64(n), 10)
	}
	return q.reply(http.StatusOK, append(body, '}'))
}

// work bounds what a request does once it is known that there is a quorum.
func (q *request) work() (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.r.Context(), workTime)
}
