package collection

import (
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// Child opens the collection that a child field of parent stands for.
// errs.NotFound if the schema has no such field.
func (s *Session) Child(parent *Collection, field string, need Need) (*Collection, error) {
	rules, err := parent.row.rules()
	if err != nil {
		return nil, err
	}
	if rules == nil || rules.byName[field] == nil || !rules.byName[field].child() {
		return nil, errs.E(errs.NotFound, "collection %s has no children called %.100q", parent.name, field)
	}
	return s.Collection(rules.byName[field].Collection, need)
}

// ChildQuery returns the query for the children of one of the collection's
// documents under a child field.
func (c *Collection) ChildQuery(parent OID, field string) (*query.Query, error) {
	p := query.AppendText([]byte(`{"_parent_id":`), parent.String())
	p = query.AppendText(append(p, `,"_parent_def":`...), c.name)
	p = query.AppendText(append(p, `,"_parent_field":`...), field)
	return query.Parse(append(p, '}'), time.Time{})
}

// ChildOf returns what a child of one of the collection's documents has as its
// parent, for its Draft.
func (c *Collection) ChildOf(parent OID, field string) *Parent {
	return &Parent{ID: parent.String(), Collection: c.name, Field: field}
}

// lookups returns the fields that hold ids of documents, by name; nil: there
// are none.
func (c *Collection) lookups() map[string]Field {
	var found map[string]Field
	for i := range c.row.Schema.Fields {
		if f := &c.row.Schema.Fields[i]; f.lookup() {
			if found == nil {
				found = make(map[string]Field)
			}
			found[f.Name] = *f
		}
	}
	return found
}

// embed appends the child fields of a document with the children in them.
func (e *Expander) embed(id OID, fields []pair) ([]pair, error) {
	if e.rules == nil {
		return fields, nil
	}
	for _, rule := range e.rules.list {
		if !rule.child() {
			continue
		}
		list, err := e.childrenOf(id, rule)
		if err != nil {
			return nil, err
		}
		fields = append(fields, newPair(rule.Name, joinArray(list)))
	}
	return fields, nil
}

// childrenOf returns the children of a document under one field.
func (e *Expander) childrenOf(id OID, rule *fieldRule) (list [][]byte, err error) {
	children := e.children[rule.Name]
	if children == nil {
		c, err := e.c.children(rule.Collection)
		if err != nil || c == nil {
			return nil, err
		}
		children = c.expander(e.ctx, ExpandOptions{Metafields: e.o.Metafields, IDToLink: e.o.IDToLink, Base: e.o.Base, Media: e.o.Media}, e.shared)
		if e.children == nil {
			e.children = make(map[string]*Expander)
		}
		e.children[rule.Name] = children
	}
	q, err := e.c.ChildQuery(id, rule.Name)
	if err != nil {
		return nil, err
	}
	found, err := children.c.Select(e.ctx, &query.Spec{Query: q, Max: -1})
	if err != nil {
		return nil, err
	}
	for d, err := range found.Documents() {
		if err != nil {
			return nil, err
		}
		p, err := children.Append(nil, d)
		if err != nil {
			return nil, err
		}
		if err := e.shared.count(e.c, 1, len(p)); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// referrer is a lookup field that names documents of the Expander's collection.
type referrer struct {
	c     *Collection
	field string
}

// appendReferrers appends the member _referencedby, with a comma before it.
func (e *Expander) appendReferrers(dst []byte, id OID) ([]byte, error) {
	if err := e.listReferrers(); err != nil {
		return nil, err
	}
	dst = append(dst, `,"_referencedby":[`...)
	first := true
	for _, r := range e.referrers {
		p := append(query.AppendText([]byte{'{'}, r.field), ':')
		q, err := query.Parse(append(query.AppendText(p, id.String()), '}'), time.Time{})
		if err != nil {
			return nil, err
		}
		found, err := r.c.Select(e.ctx, &query.Spec{Query: q, Max: -1})
		if err != nil {
			return nil, err
		}
		for d, err := range found.Documents() {
			if err == nil {
				err = e.shared.count(e.c, 1, 0)
			}
			if err != nil {
				return nil, err
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = query.AppendText(append(dst, `{"collection":`...), r.c.name)
			dst = query.AppendText(append(dst, `,"_id":`...), d.ID().String())
			dst = append(query.AppendText(append(dst, `,"field":`...), r.field), '}')
		}
	}
	return append(dst, ']'), nil
}

// maxReferring bounds the collections whose schemas are looked at.
const maxReferring = 10_000

// listReferrers finds the lookup fields that name documents of the collection,
// among those that the caller may read.
func (e *Expander) listReferrers() error {
	if e.listed {
		return nil
	}
	var names []string
	for rec, err := range e.c.tx.Scan(below(collectionByte, e.c.db)) {
		if err != nil {
			return err
		}
		name, err := collectionName(rec.Key, e.c.db)
		if err != nil {
			return err
		}
		if len(names) == maxReferring {
			return errs.E(errs.TooLarge, "referencedby: more than %d collections to look at", maxReferring)
		}
		names = append(names, name)
	}
	for _, name := range names {
		c, err := e.shared.other(e.c, name)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		for i := range c.row.Schema.Fields {
			if f := &c.row.Schema.Fields[i]; f.lookup() && f.Collection == e.c.name {
				e.referrers = append(e.referrers, referrer{c, f.Name})
			}
		}
	}
	e.listed = true
	return nil
}
