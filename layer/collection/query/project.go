package query

import (
	"github.com/coveydb/covey/internal/errs"
)

// Projection chooses the fields that an answer shows: only those that are
// listed, or all but those. _id is shown unless it is hidden by name. The zero
// Projection shows everything.
type Projection struct {
	only   bool
	noID   bool
	fields *branch
}

// branch is what is listed of an object. A nil branch is the whole value.
type branch struct{ members map[string]*branch }

const (
	idField   = "_id"
	maxFields = 1_000 // of a Projection
)

// parseProjection parses $fields: {"a":1,"b.c":1} or {"a":0}.
func parseProjection(v Value) (*Projection, error) {
	if v.kind != Object {
		return nil, errs.E(errs.Invalid, "an object of fields is wanted, not %s", v.kind)
	}
	p := &Projection{fields: &branch{members: map[string]*branch{}}}
	id, n := false, 0
	for name, choice := range v.Members() {
		path, err := ParsePath(name)
		if err != nil {
			return nil, err
		}
		show := choice.True() || choice.kind == Number && choice.num == 1
		if !show && choice.kind != Bool && (choice.kind != Number || choice.num != 0) {
			return nil, errs.E(errs.Invalid, "%s: 1 or 0 is wanted, not %s", cut(name), cut(choice.raw))
		}
		if path.text == idField {
			id, p.noID = show, !show
			continue
		}
		if n++; n > maxFields {
			return nil, errs.E(errs.Invalid, "over %d fields", maxFields)
		}
		if n > 1 && p.only != show {
			return nil, errs.E(errs.Invalid, "%s: fields are either all 1 or all 0, but for _id", cut(name))
		}
		p.only = show
		p.fields.add(path)
	}
	p.only = p.only || n == 0 && id
	return p, nil
}

// add lists a field. Of a field and a part of it the whole field is listed.
func (b *branch) add(path Path) {
	last := len(path.steps) - 1
	for i := range path.steps {
		name := path.steps[i].name
		next, ok := b.members[name]
		if i == last {
			b.members[name] = nil
			return
		}
		if ok && next == nil {
			return
		}
		if !ok {
			next = &branch{members: map[string]*branch{}}
			b.members[name] = next
		}
		b = next
	}
}

// Everything reports whether nothing is left out.
func (p Projection) Everything() bool {
	return !p.only && !p.noID && (p.fields == nil || len(p.fields.members) == 0)
}

// Asks reports whether the projection shows a field because it is listed, so
// that a metafield can be added that is not shown otherwise.
func (p Projection) Asks(field string) bool {
	if !p.only || p.fields == nil {
		return false
	}
	_, ok := p.fields.members[field]
	return ok
}

// Apply appends what the projection leaves of a document, members in their
// order. Where a listed path meets an array it goes on in the members that are
// objects: of those it shows or hides a part, and other members it hides when
// only parts are shown.
func (p Projection) Apply(dst, doc []byte) []byte {
	if p.Everything() {
		return append(dst, doc...)
	}
	dst = append(dst, '{')
	for name, v := range document(doc).Members() {
		if name == idField {
			if !p.noID {
				dst = append(appendMember(dst, name, v), ',')
			}
			continue
		}
		dst = p.appendPart(dst, p.fields, name, v)
	}
	return closeList(dst, '}')
}

// appendPart appends what is left of one member, with a comma, or nothing.
func (p Projection) appendPart(dst []byte, b *branch, name string, v Value) []byte {
	below, listed := b.members[name]
	switch {
	case !listed && p.only, listed && below == nil && !p.only:
		return dst
	case !listed || below == nil:
		return append(appendMember(dst, name, v), ',')
	case p.only && v.kind != Object && v.kind != Array:
		return dst
	}
	dst = append(AppendText(dst, name), ':')
	return append(p.appendBelow(dst, below, v), ',')
}

// appendBelow appends what is left of a value of which parts are listed.
func (p Projection) appendBelow(dst []byte, b *branch, v Value) []byte {
	switch v.kind {
	case Object:
		dst = append(dst, '{')
		for name, m := range v.Members() {
			dst = p.appendPart(dst, b, name, m)
		}
		return closeList(dst, '}')
	case Array:
		dst = append(dst, '[')
		for e := range v.Elements() {
			if p.only && e.kind != Object && e.kind != Array {
				continue
			}
			dst = append(p.appendBelow(dst, b, e), ',')
		}
		return closeList(dst, ']')
	}
	return append(dst, v.raw...)
}

func appendMember(dst []byte, name string, v Value) []byte {
	return append(append(AppendText(dst, name), ':'), v.raw...)
}
