package restdb

import (
	"context"
	"slices"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
	"github.com/coveydb/covey/layer/collection/query"
)

// metafields are shown only if they are asked for, all of them or by name.
var metafields = []string{"_created", "_changed", "_createdby", "_changedby", "_keywords", "_tags", "_version"}

// appender appends a document as an answer shows it.
type appender = func(dst []byte, d collection.Document) ([]byte, error)

// renderer returns what appends documents as the parameters want them.
func (q *request) renderer(ctx context.Context, c *collection.Collection, spec *query.Spec) appender {
	options := collection.ExpandOptions{
		Children: q.flag("fetchchildren"), Metafields: spec.Metafields || slices.ContainsFunc(metafields, spec.Fields.Asks), IDToLink: q.flag("idtolink"),
		Flatten: q.flag("flatten"), ReferencedBy: q.flag("referencedby"), Base: q.Proxies.Base(q.r),
	}
	if q.flag("fetchmediadata") {
		options.Media = media.Expansion
	}
	expander := c.Expander(ctx, options)
	if spec.Fields.Everything() {
		return expander.Append
	}
	var whole []byte // reused
	return func(dst []byte, d collection.Document) (_ []byte, err error) {
		if whole, err = expander.Append(whole[:0], d); err != nil {
			return nil, err
		}
		return spec.Fields.Apply(dst, whole), nil
	}
}

// get serves GET of a document.
func (q *request) get() error {
	id := q.oid(q.id)
	return q.answerOne(func(s *collection.Session) (*collection.Collection, collection.Document, error) {
		c, err := q.open(s, q.collection, collection.Read)
		if err != nil {
			return nil, collection.Document{}, err
		}
		d, ok, err := c.Get(id)
		if err == nil && !ok {
			err = errs.E(errs.NotFound, "there is no document %s", id)
		}
		return c, d, err
	})
}

// getChild serves GET of one document behind a child field.
func (q *request) getChild() error {
	parent, id := q.oid(q.id), q.oid(q.child)
	return q.answerOne(func(s *collection.Session) (*collection.Collection, collection.Document, error) {
		of, c, err := q.openChild(s, parent, collection.Read)
		if err != nil {
			return nil, collection.Document{}, err
		}
		d, ok, err := c.Get(id)
		if err != nil {
			return nil, d, err
		}
		if p := d.Parent(); !ok || p == nil || *p != *of.ChildOf(parent, q.field) {
			return nil, d, errs.E(errs.NotFound, "there is no document %s below %s", id, parent)
		}
		return c, d, nil
	})
}

// answerOne answers with the document that find finds.
func (q *request) answerOne(find func(*collection.Session) (*collection.Collection, collection.Document, error)) error {
	f, spec, level := q.format(), q.spec(), q.consistency()
	work, stop := q.work()
	defer stop()
	var body []byte
	info, err := q.view(level, func(_ *kv.Tx, s *collection.Session) error {
		c, d, err := find(s)
		if err != nil {
			return err
		}
		body, err = q.renderer(work, c, spec)(nil, d)
		return err
	})
	if err != nil {
		return err
	}
	q.achieved(info)
	return q.show(f, body)
}
