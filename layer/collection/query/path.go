package query

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Bounds of a path.
const (
	maxPath  = 1 << 10 // bytes of its text
	maxSteps = 64
)

// Fields that a document does not hold: they are made of its words.
const (
	keywordsField = "_keywords"
	tagsField     = "_tags"
)

// Path names a field: member names joined by dots, a.b.c. A number is the
// position in an array and the name of a member in an object: a.0.b, which may
// also be written a[0].b.
//
// A path goes through an array without naming a position: it then reaches what
// the rest of it reaches in each member that is an object. Arrays in arrays
// have to be named by position.
type Path struct {
	text  string
	steps []step
}

type step struct {
	name  string
	index int // the name as a position, or -1
}

// ParsePath parses text. A path that is empty or too long, has an empty name or
// one that begins with $ is errs.Invalid.
func ParsePath(text string) (Path, error) {
	if len(text) > maxPath {
		return Path{}, errs.E(errs.Invalid, "field of %d bytes, the limit is %d", len(text), maxPath)
	}
	canonical := dotted(text)
	names := strings.Split(canonical, ".")
	if len(names) > maxSteps {
		return Path{}, errs.E(errs.Invalid, "field %q: %d levels, the limit is %d", text, len(names), maxSteps)
	}
	p := Path{text: canonical, steps: make([]step, len(names))}
	for i, name := range names {
		switch {
		case name == "":
			return Path{}, errs.E(errs.Invalid, "field %q: a name is empty", text)
		case name[0] == '$':
			return Path{}, errs.E(errs.Invalid, "field %q: unknown operator %q", text, name)
		}
		p.steps[i] = step{name: name, index: position(name)}
	}
	return p, nil
}

// dotted turns a[0].b into a.0.b. Brackets that hold anything else are part of
// a name.
func dotted(text string) string {
	if !strings.Contains(text, "[") {
		return text
	}
	var b strings.Builder
	for {
		open := strings.IndexByte(text, '[')
		if open < 0 {
			break
		}
		end := strings.IndexByte(text[open:], ']') + open
		if end <= open || position(text[open+1:end]) < 0 || end+1 < len(text) && text[end+1] != '.' && text[end+1] != '[' {
			b.WriteString(text[:open+1])
			text = text[open+1:]
			continue
		}
		b.WriteString(text[:open])
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(text[open+1 : end])
		text = text[end+1:]
	}
	return b.String() + text
}

// position returns the position in an array that name stands for, or -1.
func position(name string) int {
	if name == "" || len(name) > 9 || len(name) > 1 && name[0] == '0' {
		return -1
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return -1
	}
	return int(n)
}

// String returns the path in its one spelling, with dots only.
func (p Path) String() string { return p.text }

// Root returns the path's first name: the field of the document.
func (p Path) Root() string {
	if len(p.steps) == 0 {
		return ""
	}
	return p.steps[0].name
}

// Deep reports whether the path reaches into the field.
func (p Path) Deep() bool { return len(p.steps) > 1 }

// Values returns what the path reaches in a document: one value where it meets
// no array on its way, else one for each branch, which may be none. Where a
// branch ends early the value is the missing one. An array at the path's end is
// one value.
func (p Path) Values(doc []byte) iter.Seq[Value] {
	return func(yield func(Value) bool) { p.each(document(doc), yield) }
}

// Entries returns the values by which an index has to know a document, so that
// whatever a query can ask of the path is true of one of them: an array is its
// members, an empty one itself, and where there is nothing the missing value.
// many says that an array was opened: the document may then have several
// entries, in an order that is not that of Sort. Values may repeat.
func (p Path) Entries(doc []byte) (values []Value, many bool) {
	root := document(doc)
	if v, ok := p.single(root); ok {
		if values = slices.Collect(v.Elements()); len(values) > 0 {
			return values, true
		}
		return []Value{v}, false
	}
	p.each(root, func(v Value) bool {
		n := len(values)
		if values = slices.AppendSeq(values, v.Elements()); len(values) == n {
			values = append(values, v)
		}
		return true
	})
	if len(values) == 0 {
		return []Value{{}}, false
	}
	return values, true
}

// document returns a stored document as a value.
func document(doc []byte) Value {
	return Value{kind: Object, doc: true, raw: borrow(doc)}
}

// single returns the one value that the path reaches, and false if that takes
// going through the members of an array.
func (p *Path) single(v Value) (Value, bool) {
	for i := range p.steps {
		s := &p.steps[i]
		switch {
		case v.kind == Object:
			v = v.member(s.name)
		case v.kind == Array && s.index >= 0:
			v = v.at(s.index)
		case v.kind == Array:
			return Value{}, false
		default:
			return Value{}, true
		}
	}
	return v, true
}

// each calls yield with each value until it returns false, and reports whether
// it never did.
func (p *Path) each(v Value, yield func(Value) bool) bool { return walk(v, p.steps, yield) }

func walk(v Value, steps []step, yield func(Value) bool) bool {
	for i := range steps {
		s := &steps[i]
		switch {
		case v.kind == Object:
			v = v.member(s.name)
		case v.kind == Array && s.index >= 0:
			v = v.at(s.index)
		case v.kind == Array:
			return v.elements(func(e Value) bool { return e.kind != Object || walk(e, steps[i:], yield) })
		default:
			return yield(Value{})
		}
	}
	return yield(v)
}

// member returns the member of an object that has a name.
func (v Value) member(name string) Value {
	if v.doc && name[0] == '_' && (name == keywordsField || name == tagsField) {
		return v.derived(name)
	}
	return value(lookup(v.raw, name))
}

// at returns the member of an array at a position.
func (v Value) at(index int) (found Value) {
	v.elements(func(e Value) bool {
		if index--; index < 0 {
			found = e
		}
		return index >= 0
	})
	return found
}

// join returns the path that goes on with another.
func (p Path) join(rest Path) Path {
	switch {
	case len(p.steps) == 0:
		return rest
	case len(rest.steps) == 0:
		return p
	}
	return Path{text: p.text + "." + rest.text, steps: slices.Concat(p.steps, rest.steps)}
}
