package collection

import (
	"context"
	"net/url"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// ExpandOptions are how an answer shows documents.
type ExpandOptions struct {
	Children     bool   // embed children as arrays under their fields
	Metafields   bool   // of documents, children and lookups
	IDToLink     bool   // links to documents and media instead of lookups and ids
	Flatten      bool   // what stands in objects moves to the root, under dotted names
	ReferencedBy bool   // add which lookups lead to the document
	Base         string // of links: https://host
	// Media returns what is shown in the place of a media id, nil for an id of
	// nothing, which stays; nil: ids stay.
	Media func(tx *kv.Tx, database string, id OID) ([]byte, error)
}

// maxRelated bounds the documents that one answer reads besides its own.
const maxRelated = 20_000

// An Expander writes documents as answers show them: lookups as arrays of the
// documents that they name, one level deep and without those that are gone.
// It remembers what it has read: use one for one request, in its transaction.
type Expander struct {
	ctx       context.Context
	c         *Collection
	o         ExpandOptions
	rules     *rules
	err       error // why there are no rules
	shared    *related
	children  map[string]*Expander // by child field
	referrers []referrer
	listed    bool // referrers is complete
}

// related is what an Expander and those of the children have read together.
type related struct {
	reads, bytes int
	documents    map[relatedKey]Document // without JSON: there is none that the caller may see
	others       map[string]*Collection  // nil: there is none that the caller may read
	covered      map[string]bool         // whether the key's scope has the collection
}

type relatedKey struct {
	collection string
	id         OID
}

// Expander returns an Expander for documents of the collection.
func (c *Collection) Expander(ctx context.Context, o ExpandOptions) *Expander {
	return c.expander(ctx, o, &related{
		documents: make(map[relatedKey]Document), others: make(map[string]*Collection), covered: make(map[string]bool),
	})
}

func (c *Collection) expander(ctx context.Context, o ExpandOptions, shared *related) *Expander {
	e := &Expander{ctx: ctx, c: c, o: o, shared: shared}
	e.rules, e.err = c.row.rules()
	return e
}

// Append appends the document as the answer shows it, before a projection.
// errs.TooLarge if the answer would need too many other documents, or too long
// ones.
func (e *Expander) Append(dst []byte, d Document) ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.rules == nil && !e.o.Flatten && !e.o.ReferencedBy {
		if e.o.Metafields {
			return d.Full(dst), nil
		}
		return d.Plain(dst), nil
	}
	fields, parent := d.fields()
	fields, err := e.expand(fields, func(d Document) []byte { return e.show(d) })
	if err != nil {
		return nil, err
	}
	if e.o.Children {
		if fields, err = e.embed(d.ID(), fields); err != nil {
			return nil, err
		}
	}
	if e.o.Flatten {
		fields = flatten(fields)
	}
	dst = appendPairs(append(dst, d.JSON[:headLen]...), fields)
	dst = append(dst, parent...)
	if e.o.Metafields {
		full := d.Full(nil)
		dst = append(dst, full[d.tail:len(full)-1]...)
	}
	if e.o.ReferencedBy {
		if dst, err = e.appendReferrers(dst, d.ID()); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// show returns a related document as answers show it.
func (e *Expander) show(d Document) []byte {
	if e.o.Metafields {
		return d.Full(nil)
	}
	return d.Plain(nil)
}

// forMatch returns the stored JSON with lookups expanded, for queries that go
// through them.
func (e *Expander) forMatch(d Document) ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.rules == nil {
		return d.JSON, nil
	}
	fields, _ := d.fields()
	fields, err := e.expand(fields, func(d Document) []byte { return d.JSON })
	if err != nil {
		return nil, err
	}
	_, parent := d.fields()
	p := appendPairs(append(make([]byte, 0, 2*len(d.JSON)), d.JSON[:headLen]...), fields)
	return append(append(p, parent...), d.JSON[d.tail:]...), nil
}

// expand puts documents in the place of the ids in lookups, or links in the
// place of all ids.
func (e *Expander) expand(fields []pair, show func(Document) []byte) ([]pair, error) {
	if e.rules == nil {
		return fields, nil
	}
	for i := range fields { // the slice was made for this document
		rule := e.rules.byName[fields[i].name()]
		if rule == nil {
			continue
		}
		var err error
		switch value := fields[i].value; {
		case e.o.Media != nil && rule.media():
			fields[i].value, err = e.media(value)
		case e.o.IDToLink && (rule.lookup() || rule.media()):
			fields[i].value = e.links(rule, value)
		case rule.lookup():
			fields[i].value, err = e.lookup(rule, value, show)
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// links returns the ids in value as links.
func (e *Expander) links(r *fieldRule, value []byte) []byte {
	list, ok := listOf(value)
	if !ok {
		return value
	}
	path := "/media/"
	if r.lookup() {
		path = "/rest/" + r.Collection + "/"
	}
	links := make([][]byte, 0, len(list))
	for _, id := range list {
		links = append(links, quote(e.o.Base+path+url.PathEscape(textOf(id))))
	}
	return joinArray(links)
}

// media returns what is known of the files whose ids are in value. Of those that
// a web key may not ask about nothing is read.
func (e *Expander) media(value []byte) ([]byte, error) {
	list, ok := listOf(value)
	if !ok {
		return value, nil
	}
	shown := make([][]byte, 0, len(list))
	for _, text := range list {
		if id, ok := oidOf(text); ok && e.c.covers(mediaScope+id.String()) {
			p, err := e.o.Media(e.c.tx, e.c.db, id)
			if err == nil {
				err = e.shared.count(e.c, 1, len(p))
			}
			if err != nil {
				return nil, err
			}
			if p != nil {
				text = p
			}
		}
		shown = append(shown, text)
	}
	return joinArray(shown), nil
}

// lookup returns the documents whose ids are in value. Of those that are out of
// a web key's scope nothing is read: they show their ids, be they there or not.
func (e *Expander) lookup(r *fieldRule, value []byte, show func(Document) []byte) ([]byte, error) {
	list, ok := listOf(value)
	if !ok {
		return value, nil // it was stored before the field became a lookup
	}
	found := make([][]byte, 0, len(list))
	for _, text := range list {
		id, ok := oidOf(text)
		if !ok {
			continue
		}
		if !e.shared.covers(e.c, r.Collection) {
			found = append(found, append(append([]byte(headText), id.String()...), `"}`...))
			continue
		}
		d, err := e.shared.document(e.c, r.Collection, id)
		if err != nil {
			return nil, err
		}
		if d.JSON == nil {
			continue
		}
		p := show(d)
		if err := e.shared.count(e.c, 0, len(p)); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return joinArray(found), nil
}

// document reads a document once. Without JSON: the caller sees none.
func (s *related) document(c *Collection, name string, id OID) (Document, error) {
	key := relatedKey{name, id}
	if d, ok := s.documents[key]; ok {
		return d, nil
	}
	if err := s.count(c, 1, 0); err != nil {
		return Document{}, err
	}
	o, err := s.other(c, name)
	var d Document
	if err == nil && o != nil {
		d, _, err = o.Get(id)
	}
	if err != nil {
		return Document{}, err
	}
	s.documents[key] = d
	return d, s.count(c, 0, len(d.JSON))
}

func (s *related) other(c *Collection, name string) (*Collection, error) {
	if o, ok := s.others[name]; ok {
		return o, nil
	}
	o, err := c.other(name)
	if err == nil {
		s.others[name] = o
	}
	return o, err
}

func (s *related) covers(c *Collection, name string) bool {
	ok, known := s.covered[name]
	if !known {
		ok = c.covers(name)
		s.covered[name] = ok
	}
	return ok
}

// count adds to what the answer has cost.
func (s *related) count(c *Collection, reads, bytes int) error {
	s.reads, s.bytes = s.reads+reads, s.bytes+bytes
	if s.reads > maxRelated {
		return errs.E(errs.TooLarge, "the answer would hold more than %d documents that others refer to: ask for fewer with max", maxRelated)
	}
	if limit := c.store.cfg.MaxResult; s.bytes > limit {
		return errs.E(errs.TooLarge, "the documents that others refer to are more than %d bytes: ask for fewer with max", limit)
	}
	return nil
}

// flatten moves what stands in objects to the root, under dotted names. Of two
// fields of one name the first stays; arrays stay as they are.
func flatten(fields []pair) []pair {
	f := flattener{seen: make(map[string]bool)}
	f.add("", fields)
	return f.out
}

type flattener struct {
	out  []pair
	seen map[string]bool
}

func (f *flattener) add(prefix string, fields []pair) {
	for _, m := range fields {
		name := prefix + m.name()
		if inner := pairsOf(m.value); len(inner) > 0 {
			f.add(name+".", inner)
		} else if !f.seen[name] {
			f.seen[name] = true
			f.out = append(f.out, newPair(name, m.value))
		}
	}
}
