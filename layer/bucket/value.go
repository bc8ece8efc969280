package bucket

import (
	"bytes"
	"encoding/json"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// kind says how a value is listed as JSON.
type kind uint8

const (
	text   kind = iota // a string
	number             // the number that its bytes spell
	structured
)

// A Value is what a key holds: bytes, and how they are listed as JSON. The
// zero value is the empty text.
//
// In the store a number is its bare token, which begins with a digit or a
// minus, so that the state machine's counters work on it; every other value
// follows a mark, a byte that begins no number.
type Value struct {
	bytes []byte
	kind  kind
}

const (
	textMark       = 0x00
	structuredMark = 0x01
)

// Text returns the value of a request body: a number if the whole of p is one
// JSON number token within int64 or float64, else text. It aliases p.
func Text(p []byte) Value {
	if _, ok := command.ParseNumber(p); ok {
		return Value{bytes: p, kind: number}
	}
	return Value{bytes: p}
}

// JSON returns the value that a transaction states as the JSON value p: a
// string stands for its own text, a number is a number, and anything else is
// kept as compact JSON and listed as such. Malformed JSON is errs.Invalid.
// Bytes that are not UTF-8 become U+FFFD.
func JSON(p []byte) (Value, error) {
	p = bytes.ToValidUTF8(bytes.Trim(p, " \t\r\n"), []byte("\uFFFD"))
	if len(p) > 0 && p[0] == '"' {
		var s string
		if err := json.Unmarshal(p, &s); err != nil {
			return Value{}, errs.E(errs.Invalid, "value is not a JSON value")
		}
		return Text([]byte(s)), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, p); err != nil {
		return Value{}, errs.E(errs.Invalid, "value is not a JSON value")
	}
	v := Text(compact.Bytes())
	if v.kind == text {
		v.kind = structured // also a number beyond int64 and float64
	}
	return v, nil
}

// Bytes returns the value as it was sent. The slice belongs to the Value.
func (v Value) Bytes() []byte { return v.bytes }

// IsJSON reports whether Bytes is one JSON value that is listed as it is: a
// number, or a value that a transaction gave as JSON. Otherwise it is text of
// any bytes, listed as a string.
func (v Value) IsJSON() bool { return v.kind != text }

// IsNumber reports whether Bytes is a number, on which Bucket.Incr works.
func (v Value) IsNumber() bool { return v.kind == number }

// stored returns the value's form in the store, in a slice of its own.
func (v Value) stored() []byte {
	p := make([]byte, 0, 1+len(v.bytes))
	switch v.kind {
	case text:
		p = append(p, textMark)
	case structured:
		p = append(p, structuredMark)
	}
	return append(p, v.bytes...)
}

// decodeValue reads the stored form. The value aliases p.
func decodeValue(p []byte) (Value, error) {
	if len(p) == 0 {
		return Value{}, errs.E(errs.Internal, "stored value without a mark is damaged")
	}
	switch c := p[0]; {
	case c == textMark:
		return Value{bytes: p[1:]}, nil
	case c == structuredMark:
		return Value{bytes: p[1:], kind: structured}, nil
	case c == '-', '0' <= c && c <= '9':
		return Value{bytes: p, kind: number}, nil
	}
	return Value{}, errs.E(errs.Internal, "stored value with mark %#02x is damaged or of a newer format", p[0])
}

// ParseDelta reads the body of a counter request: +N adds, -N subtracts, a
// bare N adds; N is an unsigned JSON number. Anything else, and a number
// outside int64 or float64, is errs.Invalid.
func ParseDelta(body []byte) (command.Number, error) {
	p := body
	if len(p) > 1 && p[0] == '+' && p[1] != '-' {
		p = p[1:]
	}
	n, ok := command.ParseNumber(p)
	if !ok {
		return command.Number{}, errs.E(errs.Invalid, "body is not +N or -N with a number N that fits into 64 bits")
	}
	return n, nil
}
