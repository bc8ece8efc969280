package query

import (
	"math"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// operators parses an object of operators: {"$gt":1,"$lt":5}.
func (p *parser) operators(path Path, v Value, prefix Path) (every, error) {
	f := &field{path: path}
	var more every
	for name, arg := range v.Members() {
		var err error
		switch name {
		case "$not":
			var node *not
			if node, err = p.not(path, arg, prefix); node != nil {
				more = append(more, node)
			}
		case "$elemMatch":
			var t test
			t, err = p.elemMatch(path, arg, prefix)
			f.tests = append(f.tests, t)
		case "$all":
			var tests []test
			tests, err = p.all(path, arg, prefix)
			f.tests = append(f.tests, tests...)
		case "$regex":
			var t test
			t, err = p.regex(arg, v)
			f.tests = append(f.tests, t)
		case "$options":
			if !hasMember(v, "$regex") {
				err = errs.E(errs.Invalid, "there is no $regex beside it")
			}
		default:
			var t test
			t, err = p.test(name, arg)
			f.tests = append(f.tests, t)
		}
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", cut(name), err)
		}
	}
	if len(f.tests) > 0 {
		more = append(every{f}, more...)
	}
	return more, nil
}

// test parses an operator that needs to know nothing but its operand.
func (p *parser) test(name string, v Value) (test, error) {
	switch name {
	case "$eq", "$ne":
		o, err := p.operand(v)
		return test{is: equals{o}, not: name == "$ne"}, err
	case "$in", "$nin":
		list, err := p.operands(v)
		return test{is: newOneOf(list), not: name == "$nin"}, err
	case "$gt", "$gte", "$lt", "$lte", "$bt":
		return p.span(name, v)
	case "$exists":
		if v.kind != Bool {
			return test{}, errs.E(errs.Invalid, "true or false is wanted, not %s", v.kind)
		}
		return test{is: exists{}, not: !v.True(), whole: true}, nil
	case "$size":
		if v.kind != Number || v.num < 0 || v.num != math.Trunc(v.num) {
			return test{}, errs.E(errs.Invalid, "a whole number from 0 is wanted, not %s", cut(v.raw))
		}
		return test{is: size(v.num), whole: true}, nil
	case "$mod":
		return parseMod(v)
	case "$type":
		return parseType(v)
	}
	if strings.HasPrefix(name, "$") {
		return test{}, errs.E(errs.Invalid, "unknown operator")
	}
	return test{}, errs.E(errs.Invalid, "a field beside operators")
}

// span parses the operators of order.
func (p *parser) span(name string, v Value) (test, error) {
	if name == "$bt" {
		list, err := p.operands(v)
		if err != nil {
			return test{}, err
		}
		if len(list) != 2 || list[0].date != list[1].date || list[0].kind != list[1].kind {
			return test{}, errs.E(errs.Invalid, "two values of one type are wanted")
		}
		return test{is: &span{lo: &list[0], hi: &list[1]}}, nil
	}
	o, err := p.operand(v)
	if err != nil {
		return test{}, err
	}
	open := name == "$gt" || name == "$lt"
	if name[1] == 'g' {
		return test{is: &span{lo: &o, loOpen: open}}, nil
	}
	return test{is: &span{hi: &o, hiOpen: open}}, nil
}

// not parses $not: of a plain value, or of operators.
func (p *parser) not(path Path, v Value, prefix Path) (*not, error) {
	nodes, err := p.field(path, v, prefix)
	if err != nil {
		return nil, err
	}
	return &not{nodes}, nil
}

// all parses $all: each of its members is a value that has to be there, or an
// $elemMatch. Nothing matches an empty list.
func (p *parser) all(path Path, v Value, prefix Path) ([]test, error) {
	if v.kind != Array {
		return nil, errs.E(errs.Invalid, "an array is wanted, not %s", v.kind)
	}
	var tests []test
	for e := range v.Elements() {
		if hasMember(e, "$elemMatch") {
			for name, arg := range e.Members() {
				if name != "$elemMatch" {
					return nil, errs.E(errs.Invalid, "%q beside $elemMatch", cut(name))
				}
				t, err := p.elemMatch(path, arg, prefix)
				if err != nil {
					return nil, err
				}
				tests = append(tests, t)
			}
			continue
		}
		o, err := p.operand(e)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test{is: equals{o}})
	}
	if len(tests) == 0 {
		tests = append(tests, test{is: newOneOf(nil)})
	}
	return tests, nil
}

// elemMatch parses $elemMatch: one member of an array meets all conditions,
// which are a query for objects, or operators for other values.
func (p *parser) elemMatch(path Path, v Value, prefix Path) (test, error) {
	if v.kind != Object {
		return test{}, errs.E(errs.Invalid, "an object is wanted, not %s", v.kind)
	}
	if hasOperators(v) && !hasLogical(v) {
		nodes, err := p.operators(Path{}, v, prefix.join(path))
		wholly(nodes)
		return test{is: &element{all: nodes}, whole: true}, err
	}
	had := p.query.distinct
	nodes, err := p.object(v, prefix.join(path))
	if err == nil && p.query.distinct != had {
		err = errs.E(errs.Invalid, "unknown operator \"$distinct\"")
	}
	return test{is: &element{all: nodes, object: true}, whole: true}, err
}

// wholly makes tests of a member of an array be about the member itself: where
// that is an array again, not about the members of it.
func wholly(nodes every) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *field:
			for i := range n.tests {
				n.tests[i].whole = true
			}
		case *not:
			if inner, ok := n.node.(every); ok {
				wholly(inner)
			}
		}
	}
}

func hasMember(v Value, name string) bool {
	for n := range v.Members() {
		if n == name {
			return true
		}
	}
	return false
}

func hasLogical(v Value) bool {
	return hasMember(v, "$and") || hasMember(v, "$or") || hasMember(v, "$nor")
}

func parseMod(v Value) (test, error) {
	var list []float64
	for e := range v.Elements() {
		if e.kind == Number {
			list = append(list, e.num)
		} else {
			list = nil
			break
		}
	}
	if len(list) != 2 || list[0] == 0 {
		return test{}, errs.E(errs.Invalid, "two numbers are wanted, a divisor other than 0 and a remainder")
	}
	return test{is: mod{list[0], list[1]}}, nil
}

// Bounds of patterns. RE2 takes time in proportion to pattern and text.
const (
	maxPattern = 1 << 10 // bytes of one
	maxProgram = 4_000   // instructions of all that one query has
)

// regex parses $regex and the $options beside it.
func (p *parser) regex(v, operators Value) (test, error) {
	if v.kind != Text {
		return test{}, errs.E(errs.Invalid, "a text is wanted, not %s", v.kind)
	}
	pattern := v.text
	if len(pattern) > maxPattern {
		return test{}, errs.E(errs.Invalid, "%d bytes, the limit is %d", len(pattern), maxPattern)
	}
	for name, o := range operators.Members() {
		if name != "$options" || o.kind == Text && o.text == "" {
			continue
		}
		if o.kind != Text || strings.Trim(o.text, "ims") != "" {
			return test{}, errs.E(errs.Invalid, "$options: a text of the letters i, m and s is wanted, not %s", cut(o.raw))
		}
		pattern = "(?" + o.text + ")" + pattern
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return test{}, errs.E(errs.Invalid, "not RE2: %v", err)
	}
	prefix := anchored(tree)
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return test{}, errs.E(errs.Invalid, "not RE2: %v", err)
	}
	if p.program += len(program.Inst); p.program > maxProgram {
		return test{}, errs.E(errs.Invalid, "too expensive: the patterns of a query may have %d instructions together", maxProgram)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return test{}, errs.E(errs.Invalid, "not RE2: %v", err)
	}
	return test{is: &matcher{re: re, prefix: prefix}}, nil
}

// anchored returns the literal text that ^ at the head of a pattern forces every
// text that matches to begin with, which may be empty.
func anchored(tree *syntax.Regexp) string {
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 2 {
		return ""
	}
	begin, literal := tree.Sub[0], tree.Sub[1]
	if begin.Op != syntax.OpBeginText || literal.Op != syntax.OpLiteral || literal.Flags&syntax.FoldCase != 0 {
		return ""
	}
	return string(literal.Rune)
}
