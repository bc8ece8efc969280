package command

import (
	"math"
	"strconv"

	"github.com/coveydb/covey/internal/errs"
)

// Number is the operand or the value of a counter: an int64 or a float64.
// The zero value is the integer 0.
type Number struct {
	float bool
	i     int64
	f     float64
}

// maxNumberText is the longest text that is read as a number: what a counter
// holds is shortest round-trip text, which is far shorter.
const maxNumberText = 400

// ParseNumber reads text as a number. It is one if and only if the whole text
// is one JSON number token (RFC 8259, section 6) of at most 400 bytes: no sign
// but a minus, no leading zero, no blank. An integer token outside int64, and a float outside
// float64, is not a number, so that reading a text as one never loses a digit
// that matters.
func ParseNumber(text []byte) (Number, bool) {
	isFloat, ok := scanNumber(text)
	if !ok {
		return Number{}, false
	}
	if !isFloat {
		i, err := strconv.ParseInt(string(text), 10, 64)
		return Number{i: i}, err == nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return Number{float: true, f: f}, err == nil
}

// scanNumber checks the grammar: -? (0|[1-9][0-9]*) (\.[0-9]+)? ([eE][+-]?[0-9]+)?
func scanNumber(p []byte) (isFloat, ok bool) {
	if len(p) == 0 || len(p) > maxNumberText {
		return false, false
	}
	if p[0] == '-' {
		p = p[1:]
	}
	n := digits(p)
	if n == 0 || n > 1 && p[0] == '0' {
		return false, false
	}
	p = p[n:]
	if len(p) > 0 && p[0] == '.' {
		n = digits(p[1:])
		if n == 0 {
			return false, false
		}
		isFloat, p = true, p[1+n:]
	}
	if len(p) > 0 && (p[0] == 'e' || p[0] == 'E') {
		p = p[1:]
		if len(p) > 0 && (p[0] == '+' || p[0] == '-') {
			p = p[1:]
		}
		n = digits(p)
		if n == 0 {
			return false, false
		}
		isFloat, p = true, p[n:]
	}
	return isFloat, len(p) == 0
}

func digits(p []byte) int {
	n := 0
	for n < len(p) && '0' <= p[n] && p[n] <= '9' {
		n++
	}
	return n
}

// Int returns the integer i as a Number.
func Int(i int64) Number { return Number{i: i} }

// IsInt reports whether n is an integer.
func (n Number) IsInt() bool { return !n.float }

// Add returns n + o. Two integers give an integer; a float makes the sum a
// float. An integer overflow or an infinite sum is errs.Invalid.
func (n Number) Add(o Number) (Number, error) {
	if !n.float && !o.float {
		sum := n.i + o.i
		if (sum > n.i) != (o.i > 0) {
			return Number{}, errs.E(errs.Invalid, "counter would leave the range of 64-bit integers")
		}
		return Number{i: sum}, nil
	}
	f := n.float64() + o.float64()
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return Number{}, errs.E(errs.Invalid, "counter would leave the range of 64-bit floats")
	}
	return Number{float: true, f: f}, nil
}

// Neg returns -n; the least integer has no negative.
func (n Number) Neg() (Number, error) {
	if n.float {
		return Number{float: true, f: -n.f}, nil
	}
	if n.i == math.MinInt64 {
		return Number{}, errs.E(errs.Invalid, "%d has no negative among 64-bit integers", n.i)
	}
	return Number{i: -n.i}, nil
}

func (n Number) float64() float64 {
	if n.float {
		return n.f
	}
	return float64(n.i)
}

// Append appends n's one text: an integer in decimal, a float in the shortest
// form that reads back as the same float. A float of 1e18 or more has an
// exponent, so that it does not read back as an integer.
func (n Number) Append(dst []byte) []byte {
	if !n.float {
		return strconv.AppendInt(dst, n.i, 10)
	}
	abs := math.Abs(n.f)
	switch {
	case abs == 0:
		return append(dst, '0')
	case abs >= 1e18 || abs < 1e-6:
		return strconv.AppendFloat(dst, n.f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, n.f, 'f', -1, 64)
}

// String returns n's text.
func (n Number) String() string { return string(n.Append(nil)) }
