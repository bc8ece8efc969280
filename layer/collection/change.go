package collection

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// A Change is what a PUT or PATCH does to a document: fields that take the
// place of those of the same name, then operators in the order in which the
// client sent them.
type Change struct {
	replace    bool // the fields of the document that are not in the change go
	fields     []pair
	operations []operation
}

// operation is one operator on one path.
type operation struct {
	name string // $inc
	path []string
	arg  []byte
	operator
}

const (
	maxOperations = 1_000  // in one Change: each may cost as much as the document is long
	maxPad        = 10_000 // elements that a path behind an array's end makes
)

// ParseChange reads the body of a PUT or PATCH; an empty one is {}. Metafields
// are ignored, whatever is to be done to them. replace: fields that the body does not
// name are removed. errs.Invalid if it is no JSON object, or holds an operator
// that does not exist or one with an argument that it does not take.
func ParseChange(body []byte, replace bool) (Change, error) {
	c := Change{replace: replace}
	if len(bytes.TrimSpace(body)) == 0 {
		return c, nil
	}
	p, err := compact(make([]byte, 0, len(body)), body)
	if err != nil {
		return Change{}, err
	}
	if p[0] != '{' {
		return Change{}, errs.E(errs.Invalid, "the body is not an object")
	}
	for m := range pairs(p) {
		name := m.name()
		switch {
		case isMetafield(name):
		case strings.HasPrefix(name, "$"):
			if err := c.parseOperator(name, m.value); err != nil {
				return Change{}, err
			}
		default:
			c.fields = append(c.fields, m)
		}
	}
	return c, nil
}

// parseOperator reads one operator with what it does to each path.
func (c *Change) parseOperator(name string, value []byte) error {
	kind, ok := operators[name]
	if !ok {
		return errs.E(errs.Invalid, "%.100q is not an update operator", name)
	}
	if value[0] != '{' {
		return errs.E(errs.Invalid, "%s takes an object of fields", name)
	}
	for m := range pairs(value) {
		path, err := splitPath(m.name())
		if err != nil {
			return errs.E(errs.Invalid, "%s: %w", name, err)
		}
		if err := kind.check(m.value); err != nil {
			return errs.E(errs.Invalid, "%s of %.100q: %w", name, m.name(), err)
		}
		if isMetafield(path[0]) || name == rename && isMetafield(strings.Split(textOf(m.value), ".")[0]) {
			continue
		}
		if len(c.operations) == maxOperations {
			return errs.E(errs.Invalid, "more than %d fields with update operators", maxOperations)
		}
		c.operations = append(c.operations, operation{name: name, path: path, arg: m.value, operator: kind})
	}
	return nil
}

// splitPath reads the dot path of an operator.
func splitPath(text string) ([]string, error) {
	path := strings.Split(text, ".")
	if len(path) > maxDepth {
		return nil, errs.E(errs.Invalid, "a path of more than %d steps", maxDepth)
	}
	for _, step := range path {
		if step == "" || step[0] == '$' {
			return nil, errs.E(errs.Invalid, "%.100q is not the path of a field", text)
		}
	}
	return path, nil
}

// apply returns the fields that a document with the given ones has afterwards.
func (c *Change) apply(fields []pair) ([]pair, error) {
	fields = c.merge(fields)
	for i := range c.operations {
		var err error
		if fields, err = c.operations[i].apply(fields); err != nil {
			return nil, err
		}
	}
	if len(c.operations) > 0 {
		for _, m := range fields {
			if depth(m.value) >= maxDepth {
				return nil, errs.E(errs.Invalid, "more than %d objects and arrays would stand in each other", maxDepth)
			}
		}
	}
	return fields, nil
}

// merge puts the change's fields over those of a document.
func (c *Change) merge(fields []pair) []pair {
	if c.replace {
		return slices.Clone(c.fields)
	}
	fields = slices.Clone(fields)
	if len(c.fields) == 0 {
		return fields
	}
	at := make(map[string]int, len(fields))
	for i, m := range fields {
		at[m.name()] = i
	}
	for _, m := range c.fields {
		if i, ok := at[m.name()]; ok {
			fields[i].value = m.value
		} else {
			fields = append(fields, m)
		}
	}
	return fields
}

func (o *operation) apply(fields []pair) ([]pair, error) {
	if o.name == rename {
		return o.rename(fields)
	}
	w := walk{create: o.create, edit: func(old []byte) ([]byte, error) { return o.edit(old, o.arg) }}
	fields, err := w.object(fields, o.path)
	return fields, o.named(err)
}

// named says in an error which operator it comes from.
func (o *operation) named(err error) error {
	if err == nil {
		return nil
	}
	return errs.E(errs.KindOf(err), "%s of %.100q: %w", o.name, strings.Join(o.path, "."), err)
}

// rename moves a value, if there is one, to the path that is the argument.
func (o *operation) rename(fields []pair) ([]pair, error) {
	to, err := splitPath(textOf(o.arg))
	if err != nil {
		return nil, o.named(err)
	}
	var value []byte
	take := walk{edit: func(old []byte) ([]byte, error) { value = old; return nil, nil }, noArrays: true}
	rest, err := take.object(fields, o.path)
	if err != nil || value == nil {
		return fields, o.named(err)
	}
	give := walk{edit: func([]byte) ([]byte, error) { return value, nil }, create: true, noArrays: true}
	rest, err = give.object(rest, to)
	return rest, o.named(err)
}

// A walk goes down a path and puts everything on the way together again around
// what edit makes of the value at its end.
type walk struct {
	edit     func(old []byte) (now []byte, err error) // nil stands for no value
	create   bool                                     // objects that are missing on the way
	noArrays bool
}

// object edits what path names among the fields, which it does not change.
func (w *walk) object(fields []pair, path []string) ([]pair, error) {
	i := slices.IndexFunc(fields, func(m pair) bool { return m.is(path[0]) })
	var old []byte
	if i >= 0 {
		old = fields[i].value
	}
	now, err := w.value(old, path[1:])
	switch {
	case err != nil:
		return nil, err
	case i < 0 && now == nil:
		return fields, nil
	case i < 0:
		return append(slices.Clip(fields), newPair(path[0], now)), nil
	case now == nil:
		return slices.Delete(slices.Clone(fields), i, i+1), nil
	}
	fields = slices.Clone(fields)
	fields[i].value = now
	return fields, nil
}

// value edits what path names in a value.
func (w *walk) value(old []byte, path []string) ([]byte, error) {
	switch {
	case len(path) == 0:
		return w.edit(old)
	case old == nil && !w.create:
		return nil, nil
	case old == nil || old[0] == '{':
		fields, err := w.object(split(old), path)
		if err != nil {
			return nil, err
		}
		return joinObject(fields), nil
	case old[0] == '[' && !w.noArrays:
		return w.array(old, path)
	case w.create || w.noArrays && old[0] == '[':
		return nil, errs.E(errs.Invalid, "there is no %.100q in a value that is not an object", path[0])
	}
	return old, nil
}

func (w *walk) array(old []byte, path []string) ([]byte, error) {
	list := slices.Collect(elements(old))
	i, err := strconv.Atoi(path[0])
	switch {
	case (err != nil || i < 0 || strconv.Itoa(i) != path[0]) && w.create:
		return nil, errs.E(errs.Invalid, "%.100q is not the number of an array's element", path[0])
	case err != nil || i < 0 || i >= len(list) && !w.create:
		return old, nil
	case i > len(list)+maxPad:
		return nil, errs.E(errs.Invalid, "element %d is too far behind the array's end", i)
	}
	for len(list) <= i {
		list = append(list, nil)
	}
	now, err := w.value(list[i], path[1:])
	if err != nil {
		return nil, err
	}
	list[i] = now
	for j := range list { // what was padded, or removed: the others keep their places
		if list[j] == nil {
			list[j] = []byte("null")
		}
	}
	return joinArray(list), nil
}

// split returns an object's members; of nil, none.
func split(object []byte) []pair { return slices.Collect(pairs(object)) }

// depth returns how deep objects and arrays stand in each other in a value.
func depth(p []byte) (most int) {
	open := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			i = textEnd(p, i) - 1
		case '{', '[':
			open++
			most = max(most, open)
		case '}', ']':
			open--
		}
	}
	return most
}
