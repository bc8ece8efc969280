package query

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// Kind is the type of a JSON value. Kinds are numbered as they sort.
type Kind uint8

// The kinds. A field that is missing is of kind Null.
const (
	Null Kind = iota
	Number
	Text
	Object
	Array
	Bool
)

var kindNames = [...]string{"null", "number", "text", "object", "array", "boolean"}

// String returns the kind's name for messages.
func (k Kind) String() string { return kindNames[k] }

// Value is one JSON value, or the lack of one: the zero Value is what a path
// reaches in a document that has no such field. A Value shares the bytes it was
// made from; they must not be changed while it is in use.
type Value struct {
	kind Kind
	doc  bool    // a whole document: fields that are made of it can be reached
	num  float64 // of a number; 1 for true
	text string  // of a text, decoded
	raw  string  // the JSON; "" for a missing value
}

// Of returns the value that the valid JSON text in p stands for.
func Of(p []byte) Value {
	raw, _ := next(borrow(p), 0)
	return value(raw)
}

// TextOf returns the value of a text.
func TextOf(s string) Value {
	return Value{kind: Text, text: s, raw: string(AppendText(nil, s))}
}

// borrow makes a string of bytes without copying them: whoever calls promises
// that the bytes stay as they are while the string is in use.
func borrow(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// Kind returns the type of the value.
func (v Value) Kind() Kind { return v.kind }

// Exists reports whether there is a value. A null that is written out exists.
func (v Value) Exists() bool { return v.raw != "" }

// Float returns the value of a number, never -0; whole numbers beyond 2^53 lose
// digits, for all purposes of this package.
func (v Value) Float() float64 { return v.num }

// Text returns the value of a text.
func (v Value) Text() string { return v.text }

// True reports whether the value is the boolean true.
func (v Value) True() bool { return v.kind == Bool && v.num != 0 }

// Raw returns the value as JSON, as it was written; "" if there is none.
func (v Value) Raw() string { return v.raw }

// Elements returns the members of an array, in order; of other values nothing.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) { v.elements(yield) }
}

// elements calls yield with each member of an array until it returns false, and
// reports whether it never did.
func (v Value) elements(yield func(Value) bool) bool {
	if v.kind != Array {
		return true
	}
	for i := inside(v.raw); ; {
		var raw string
		if raw, i = next(v.raw, i); raw == "" {
			return true
		}
		if !yield(value(raw)) {
			return false
		}
	}
}

// Members returns the members of an object, in order; of other values nothing.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.kind != Object {
			return
		}
		for i := inside(v.raw); ; {
			key, end := next(v.raw, i)
			if key == "" {
				return
			}
			var raw string
			if raw, i = next(v.raw, end); raw == "" || !yield(unquote(key), value(raw)) {
				return
			}
		}
	}
}

type member struct {
	name  string
	value Value
}

// sorted returns the members of an object by name.
func (v Value) sorted() []member {
	var ms []member
	for name, value := range v.Members() {
		ms = append(ms, member{name, value})
	}
	slices.SortStableFunc(ms, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	return ms
}

// Equal reports whether two values are the same: numbers by value (1 is 1.0),
// arrays member by member, objects whatever the order of their members, and a
// missing value is the same as null.
func Equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Null:
		return true
	case Text:
		return a.text == b.text
	case Number, Bool:
		return a.num == b.num
	}
	return a.raw == b.raw || Compare(a, b) == 0
}

// Compare orders all values: by kind first, then numbers by value, texts by
// their bytes, arrays by their first difference, objects by the first
// difference of their members sorted by name, false before true. It is a total
// order, and 0 exactly for values that are Equal.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case Text:
		return strings.Compare(a.text, b.text)
	case Number, Bool:
		return cmp.Compare(a.num, b.num)
	case Array:
		return slices.CompareFunc(slices.Collect(a.Elements()), slices.Collect(b.Elements()), Compare)
	case Object:
		return slices.CompareFunc(a.sorted(), b.sorted(), func(x, y member) int {
			return cmp.Or(strings.Compare(x.name, y.name), Compare(x.value, y.value))
		})
	}
	return 0
}

// AppendCanonical appends JSON that is the same for values that are Equal and
// different for others. Its order is not the order of Compare.
func (v Value) AppendCanonical(dst []byte) []byte {
	switch v.kind {
	case Number:
		return strconv.AppendFloat(dst, v.num, 'g', -1, 64)
	case Text:
		return AppendText(dst, v.text)
	case Bool:
		return strconv.AppendBool(dst, v.True())
	case Array:
		dst = append(dst, '[')
		for e := range v.Elements() {
			dst = append(e.AppendCanonical(dst), ',')
		}
		return closeList(dst, ']')
	case Object:
		dst = append(dst, '{')
		for _, m := range v.sorted() {
			dst = append(AppendText(dst, m.name), ':')
			dst = append(m.value.AppendCanonical(dst), ',')
		}
		return closeList(dst, '}')
	}
	return append(dst, "null"...)
}

// closeList ends a list whose members are each followed by a comma.
func closeList(dst []byte, end byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = end
		return dst
	}
	return append(dst, end)
}

// AppendText appends s as a JSON text, with no more escapes than JSON needs.
func AppendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
