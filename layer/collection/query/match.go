package query

import (
	"math"
	"regexp"
	"time"
)

// node is a condition on a value: on a document, or on a member of an array.
type node interface{ match(v Value) bool }

// every is met by what meets all of its conditions.
type every []node

func (e every) match(v Value) bool {
	for _, n := range e {
		if !n.match(v) {
			return false
		}
	}
	return true
}

// some is met by what meets one of its conditions.
type some []every

func (s some) match(v Value) bool {
	for _, n := range s {
		if n.match(v) {
			return true
		}
	}
	return false
}

// not is met by what does not meet its condition.
type not struct{ node }

func (n *not) match(v Value) bool { return !n.node.match(v) }

// field is met by what passes all tests of one field. An empty path is the value
// itself.
type field struct {
	path  Path
	tests []test
}

func (f *field) match(root Value) bool {
	v, ok := f.path.single(root)
	for i := range f.tests {
		t := &f.tests[i]
		var passed bool
		switch {
		case !ok:
			passed = !f.path.each(root, func(v Value) bool { return !t.some(v) })
		case v.kind == Array:
			passed = t.some(v)
		default:
			passed = t.is.holds(v)
		}
		if passed == t.not {
			return false
		}
	}
	return true
}

// test asks whether something is true of one of the values that a path reaches,
// or, with not, of none of them. An array stands for its members too, unless the
// test is about the whole.
type test struct {
	is    predicate
	not   bool
	whole bool
}

// predicate is what can be true of one value.
type predicate interface{ holds(v Value) bool }

// some reports whether it is true of a value or of one of its members.
func (t *test) some(v Value) bool {
	return t.is.holds(v) || !t.whole && v.kind == Array && !v.elements(func(e Value) bool { return !t.is.holds(e) })
}

// operand is a value to compare with. A date compares with texts that are dates.
type operand struct {
	Value
	date bool
	at   time.Time
}

// compare compares a value with the operand, and reports whether they can be
// compared, which takes one type.
func (o *operand) compare(v Value) (int, bool) {
	if o.date {
		if v.kind != Text {
			return 0, false
		}
		at, ok := ParseTime(v.text)
		return at.Compare(o.at), ok
	}
	if v.kind != o.kind {
		return 0, false
	}
	return Compare(v, o.Value), true
}

type equals struct{ operand }

func (e equals) holds(v Value) bool {
	if e.date {
		c, ok := e.compare(v)
		return ok && c == 0
	}
	return Equal(v, e.Value)
}

// oneOf is true of a value that equals one of a list.
type oneOf struct {
	list    []operand
	null    bool
	numbers map[float64]bool
	texts   map[string]bool
	rest    []equals
}

func newOneOf(list []operand) *oneOf {
	o := &oneOf{list: list, numbers: make(map[float64]bool), texts: make(map[string]bool)}
	for _, x := range list {
		switch {
		case x.date || x.kind > Text:
			o.rest = append(o.rest, equals{x})
		case x.kind == Null:
			o.null = true
		case x.kind == Number:
			o.numbers[x.num] = true
		default:
			o.texts[x.text] = true
		}
	}
	return o
}

func (o *oneOf) holds(v Value) bool {
	switch {
	case v.kind == Null && o.null, v.kind == Number && o.numbers[v.num], v.kind == Text && o.texts[v.text]:
		return true
	}
	for i := range o.rest {
		if o.rest[i].holds(v) {
			return true
		}
	}
	return false
}

// span is true of a value between two others; one of them may be nil.
type span struct {
	lo, hi         *operand
	loOpen, hiOpen bool
}

func (s *span) holds(v Value) bool {
	if s.lo != nil {
		if c, ok := s.lo.compare(v); !ok || c < 0 || c == 0 && s.loOpen {
			return false
		}
	}
	if s.hi != nil {
		if c, ok := s.hi.compare(v); !ok || c > 0 || c == 0 && s.hiOpen {
			return false
		}
	}
	return true
}

type exists struct{}

func (exists) holds(v Value) bool { return v.Exists() }

// size is true of an array with so many members.
type size float64

func (s size) holds(v Value) bool {
	if v.kind != Array {
		return false
	}
	n := 0
	v.elements(func(Value) bool { n++; return float64(n) <= float64(s) })
	return float64(n) == float64(s)
}

// mod is true of a number with a remainder, which has the number's sign.
type mod struct{ divisor, remainder float64 }

func (m mod) holds(v Value) bool {
	return v.kind == Number && math.Mod(v.num, m.divisor) == m.remainder
}

// matcher is true of a text that a pattern matches.
type matcher struct {
	re     *regexp.Regexp
	prefix string // every text that matches begins with it
}

func (m *matcher) holds(v Value) bool { return v.kind == Text && m.re.MatchString(v.text) }

// element is true of an array with a member that meets all conditions.
type element struct {
	all    every
	object bool // it has to be an object
}

func (e *element) holds(v Value) bool {
	return v.kind == Array && !v.elements(func(m Value) bool {
		return e.object && m.kind != Object || !e.all.match(m)
	})
}

// typed is true of a value of one of several types.
type typed []func(Value) bool

func (t typed) holds(v Value) bool {
	for _, is := range t {
		if is(v) {
			return true
		}
	}
	return false
}
