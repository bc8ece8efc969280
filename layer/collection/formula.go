package collection

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// A formula computes a field from others:
//
//	sum    = term { ("+" | "-") term }
//	term   = factor { ("*" | "/") factor }
//	factor = number | 'text' | "text" | field | "-" factor | "(" sum ")"
//	field  = a dot path, of letters, digits, _ and $
//
// + joins if one side is a text. What is computed with a missing value, with
// anything but numbers, or has no result (a division by 0) is null; in a text,
// null is nothing.
type formula struct{ root term }

// term is one node of a formula.
type term interface{ value(object []byte) operand }

// operand is what a term gives: null, a number or a text.
type operand struct {
	kind   query.Kind // Null, Number or Text
	number float64
	text   string
}

type (
	constant operand
	pathTerm []string
	pairTerm struct {
		sign        byte
		left, right term
	}
)

const maxFormulaDepth = 50

// parseFormula reads a formula; errs.Invalid says where it is wrong.
func parseFormula(text string) (*formula, error) {
	if len(text) > maxSchemaText {
		return nil, errs.E(errs.Invalid, "a formula of %d bytes, the limit is %d", len(text), maxSchemaText)
	}
	p := formulaParser{text: text}
	root, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.next() != 0 {
		return nil, p.fault()
	}
	return &formula{root}, nil
}

// json computes the formula as JSON.
func (f *formula) json(object []byte, asText bool) []byte {
	v := f.root.value(object)
	if asText {
		return quote(v.String())
	}
	if v.kind == query.Number {
		if p, err := floatText(v.number); err == nil {
			return p
		}
	}
	return []byte("null")
}

func (v operand) String() string {
	if v.kind == query.Number {
		p, err := floatText(v.number)
		if err != nil {
			return ""
		}
		return string(p)
	}
	return v.text
}

func (c constant) value([]byte) operand { return operand(c) }

func (p pathTerm) value(object []byte) operand {
	v := object
	for _, step := range p {
		if len(v) == 0 || v[0] != '{' {
			return operand{}
		}
		v = find(v, step)
	}
	switch {
	case isNumber(v):
		return operand{kind: query.Number, number: number(v)}
	case isText(v):
		return operand{kind: query.Text, text: textOf(v)}
	}
	return operand{}
}

func (p pairTerm) value(object []byte) operand {
	a, b := p.left.value(object), p.right.value(object)
	if p.sign == '+' && (a.kind == query.Text || b.kind == query.Text) {
		if len(a.text)+len(b.text) > maxFormulaText {
			return operand{}
		}
		return operand{kind: query.Text, text: a.String() + b.String()}
	}
	if a.kind != query.Number || b.kind != query.Number {
		return operand{}
	}
	v := operand{kind: query.Number}
	switch p.sign {
	case '+':
		v.number = a.number + b.number
	case '-':
		v.number = a.number - b.number
	case '*':
		v.number = a.number * b.number
	case '/':
		v.number = a.number / b.number
	}
	if _, err := floatText(v.number); err != nil {
		return operand{}
	}
	return v
}

// maxFormulaText bounds what + joins: a formula must not make a long text of a
// field that it names many times.
const maxFormulaText = 1 << 20

type formulaParser struct {
	text  string
	i     int
	depth int
}

func (p *formulaParser) fault() error {
	return errs.E(errs.Invalid, "the formula is wrong at byte %d", p.i)
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (p *formulaParser) next() byte {
	for p.i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.i]) >= 0 {
		p.i++
	}
	if p.i == len(p.text) {
		return 0
	}
	return p.text[p.i]
}

func (p *formulaParser) sum() (term, error)  { return p.pairs("+-", p.term) }
func (p *formulaParser) term() (term, error) { return p.pairs("*/", p.factor) }

func (p *formulaParser) pairs(signs string, part func() (term, error)) (term, error) {
	left, err := part()
	for err == nil {
		sign := p.next()
		if sign == 0 || strings.IndexByte(signs, sign) < 0 {
			break
		}
		p.i++
		var right term
		right, err = part()
		left = pairTerm{sign, left, right}
	}
	return left, err
}

func (p *formulaParser) factor() (term, error) {
	if p.depth++; p.depth > maxFormulaDepth {
		return nil, errs.E(errs.Invalid, "the formula is nested deeper than %d", maxFormulaDepth)
	}
	defer func() { p.depth-- }()
	switch c := p.next(); {
	case c == '(':
		p.i++
		inner, err := p.sum()
		if err == nil && p.next() != ')' {
			err = p.fault()
		}
		p.i++
		return inner, err
	case c == '-':
		p.i++
		inner, err := p.factor()
		return pairTerm{'-', constant{kind: query.Number}, inner}, err
	case c == '\'' || c == '"':
		end := strings.IndexByte(p.text[p.i+1:], c)
		if end < 0 {
			return nil, p.fault()
		}
		text := p.text[p.i+1 : p.i+1+end]
		p.i += end + 2
		return constant{kind: query.Text, text: text}, nil
	case c >= '0' && c <= '9':
		return p.number()
	}
	return p.path()
}

func (p *formulaParser) number() (term, error) {
	start := p.i
	for p.i < len(p.text) && (p.text[p.i] == '.' || p.text[p.i] >= '0' && p.text[p.i] <= '9') {
		p.i++
	}
	f, err := strconv.ParseFloat(p.text[start:p.i], 64)
	if err != nil {
		p.i = start
		return nil, p.fault()
	}
	return constant{kind: query.Number, number: f}, nil
}

func (p *formulaParser) path() (term, error) {
	start := p.i
	for p.i < len(p.text) {
		r, n := utf8.DecodeRuneInString(p.text[p.i:])
		if r != '_' && r != '$' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		p.i += n
	}
	path := strings.Split(p.text[start:p.i], ".")
	for _, step := range path {
		if step == "" {
			p.i = start
			return nil, p.fault()
		}
	}
	return pathTerm(path), nil
}

// integer returns the integer that a value is.
func integer(value []byte) (int64, bool) {
	if !isNumber(value) {
		return 0, false
	}
	if isInteger(value) {
		n, err := strconv.ParseInt(string(value), 10, 64)
		return n, err == nil
	}
	f := number(value)
	const limit = 1 << 63
	if f != float64(int64(f)) || f >= limit || f < -limit {
		return 0, false
	}
	return int64(f), true
}
