package query

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// Bounds of what a client sends as a query or as hints.
const (
	maxText  = 1 << 20 // bytes
	maxDepth = 50      // objects and arrays in each other
)

// Query is a parsed query: conditions that a document has to meet, all of them.
// A nil Query has none. It is safe for concurrent use.
type Query struct {
	all      every
	distinct *Path
	paths    []Path
}

// Parse reads a query, which is a JSON object. now is what the macros of dates
// go by. What is no query is errs.Invalid, and the message names the member: no
// JSON, bad UTF-8, two members of one name, deeper than 50 levels or over 1 MiB,
// an operator that is unknown or has an operand of the wrong type.
func Parse(q []byte, now time.Time) (*Query, error) {
	root, err := open("q", q)
	if err != nil {
		return nil, err
	}
	p := &parser{now: now, query: &Query{}}
	if p.query.all, err = p.object(root, Path{}); err != nil {
		return nil, errs.E(errs.Invalid, "q: %w", err)
	}
	return p.query, nil
}

// Is returns the query for the documents whose field has a value.
func Is(path Path, value Value) *Query {
	f := &field{path: path, tests: []test{{is: equals{operand{Value: value}}}}}
	return &Query{all: every{f}, paths: []Path{path}}
}

// Empty reports whether the query matches every document.
func (q *Query) Empty() bool { return q == nil || len(q.all) == 0 }

// Match reports whether a stored document, with its metafields, meets the
// query. Of other bytes it says something, but does not fail.
func (q *Query) Match(doc []byte) bool { return q == nil || q.all.match(document(doc)) }

// Distinct returns the field whose distinct values are asked for, if they are.
func (q *Query) Distinct() (Path, bool) {
	if q == nil || q.distinct == nil {
		return Path{}, false
	}
	return *q.distinct, true
}

// Paths returns the fields that Match looks at. They may repeat.
func (q *Query) Paths() []Path {
	if q == nil {
		return nil
	}
	return q.paths
}

// With returns the query that matches what both match. Distinct is q's.
func (q *Query) With(extra *Query) *Query {
	both := &Query{}
	if q != nil {
		*both = *q
	}
	if extra != nil {
		both.all = append(both.all[:len(both.all):len(both.all)], extra.all...)
		both.paths = append(both.paths[:len(both.paths):len(both.paths)], extra.paths...)
	}
	return both
}

// open checks a JSON text from a client and returns the object that it is.
func open(what string, text []byte) (Value, error) {
	if len(text) > maxText {
		return Value{}, errs.E(errs.Invalid, "%s: %d bytes, the limit is %d", what, len(text), maxText)
	}
	if !utf8.Valid(text) {
		return Value{}, errs.E(errs.Invalid, "%s: not UTF-8", what)
	}
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return Value{}, errs.E(errs.Invalid, "%s: not JSON: %v", what, err)
	}
	v := Of(raw)
	if v.kind != Object {
		return Value{}, errs.E(errs.Invalid, "%s: a JSON object is wanted, not %s", what, v.kind)
	}
	if err := checkValue(v, 1); err != nil {
		return Value{}, errs.E(errs.Invalid, "%s: %w", what, err)
	}
	return v, nil
}

// checkValue refuses what JSON allows and this package does not.
func checkValue(v Value, depth int) error {
	if depth > maxDepth {
		return errs.E(errs.Invalid, "nested deeper than %d levels", maxDepth)
	}
	switch v.kind {
	case Number:
		if math.IsInf(v.num, 0) {
			return errs.E(errs.Invalid, "number %s is out of range", cut(v.raw))
		}
	case Array:
		for e := range v.Elements() {
			if err := checkValue(e, depth+1); err != nil {
				return err
			}
		}
	case Object:
		seen := make(map[string]bool)
		for name, e := range v.Members() {
			if seen[name] {
				return errs.E(errs.Invalid, "%q is there twice", cut(name))
			}
			seen[name] = true
			if err := checkValue(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// parser turns JSON into conditions. Its input has been through open, so depth
// and size are bounded.
type parser struct {
	now     time.Time
	query   *Query
	program int // instructions of all patterns so far
}

// object parses a query, or the query for the members of an array behind a
// path: a condition for each member.
func (p *parser) object(v Value, prefix Path) (every, error) {
	var all every
	for name, operand := range v.Members() {
		nodes, err := p.condition(name, operand, prefix)
		if err != nil {
			return nil, err
		}
		all = append(all, nodes...)
	}
	return all, nil
}

func (p *parser) condition(name string, v Value, prefix Path) (every, error) {
	switch name {
	case "$and", "$or", "$nor":
		return p.logical(name, v, prefix)
	case "$distinct":
		if v.kind != Text {
			return nil, errs.E(errs.Invalid, "$distinct: the name of a field is wanted, not %s", v.kind)
		}
		path, err := ParsePath(v.text)
		if err != nil {
			return nil, errs.E(errs.Invalid, "$distinct: %w", err)
		}
		p.query.distinct = &path
		return nil, nil
	}
	if strings.HasPrefix(name, "$") {
		return nil, errs.E(errs.Invalid, "unknown operator %q", cut(name))
	}
	path, err := ParsePath(name)
	if err != nil {
		return nil, err
	}
	p.query.paths = append(p.query.paths, prefix.join(path))
	nodes, err := p.field(path, v, prefix)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s: %w", cut(path.text), err)
	}
	return nodes, nil
}

// logical parses the operators that combine queries.
func (p *parser) logical(name string, v Value, prefix Path) (every, error) {
	var clauses some
	var all every
	for e := range v.Elements() {
		if e.kind != Object {
			return nil, errs.E(errs.Invalid, "%s: its members have to be objects, not %s", name, e.kind)
		}
		had := p.query.distinct
		nodes, err := p.object(e, prefix)
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", name, err)
		}
		if p.query.distinct != had {
			return nil, errs.E(errs.Invalid, "%s: unknown operator \"$distinct\"", name)
		}
		clauses, all = append(clauses, nodes), append(all, nodes...)
	}
	switch {
	case len(clauses) == 0:
		return nil, errs.E(errs.Invalid, "%s: an array of queries is wanted, not empty", name)
	case name == "$and":
		return all, nil
	case name == "$nor":
		return every{&not{clauses}}, nil
	}
	return every{clauses}, nil
}

// field parses what a query says of one field: a plain value, or operators.
func (p *parser) field(path Path, v Value, prefix Path) (every, error) {
	if hasOperators(v) {
		return p.operators(path, v, prefix)
	}
	o, err := p.operand(v)
	if err != nil {
		return nil, err
	}
	return every{&field{path: path, tests: []test{{is: equals{o}}}}}, nil
}

// hasOperators reports whether v is an object of operators, and not a value. A
// $date alone is a value.
func hasOperators(v Value) bool {
	n, operators, date := 0, 0, false
	for name := range v.Members() {
		n++
		if strings.HasPrefix(name, "$") {
			operators++
		}
		date = date || name == "$date"
	}
	return operators > 0 && !(date && n == 1)
}

// operand parses a value to compare with: any JSON, or a $date.
func (p *parser) operand(v Value) (operand, error) {
	if v.kind != Object && v.kind != Array {
		return operand{Value: v}, nil
	}
	for name, date := range v.Members() {
		if name != "$date" {
			continue
		}
		if date.kind != Text {
			return operand{}, errs.E(errs.Invalid, "$date: a text is wanted, not %s", date.kind)
		}
		at, err := resolveDate(date.text, p.now)
		if err != nil {
			return operand{}, err
		}
		if hasOperators(v) {
			break
		}
		return operand{date: true, at: at}, nil
	}
	return operand{Value: v}, literal(v)
}

// literal refuses operators within a value that is compared as a whole.
func literal(v Value) error {
	for e := range v.Elements() {
		if err := literal(e); err != nil {
			return err
		}
	}
	for name, e := range v.Members() {
		if strings.HasPrefix(name, "$") {
			return errs.E(errs.Invalid, "operator %q within a value", cut(name))
		}
		if err := literal(e); err != nil {
			return err
		}
	}
	return nil
}

// operands parses the members of an array.
func (p *parser) operands(v Value) ([]operand, error) {
	if v.kind != Array {
		return nil, errs.E(errs.Invalid, "an array is wanted, not %s", v.kind)
	}
	list := []operand{}
	for e := range v.Elements() {
		o, err := p.operand(e)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}
