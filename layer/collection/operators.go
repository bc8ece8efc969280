package collection

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// operator is what one of the update operators does with a value.
type operator struct {
	check func(arg []byte) error                        // when the request is read
	edit  func(old, arg []byte) (now []byte, err error) // nil: there is no value
	// create: objects that are missing on the way to the value are made.
	create bool
}

const rename = "$rename" // works on two paths, so it is done by the operation

var operators = map[string]operator{
	"$set":      {anything, func(_, arg []byte) ([]byte, error) { return arg, nil }, true},
	"$unset":    {anything, func(_, _ []byte) ([]byte, error) { return nil, nil }, false},
	rename:      {aPath, nil, false},
	"$inc":      {aNumber, increase, true},
	"$mul":      {aNumber, multiply, true},
	"$min":      {anything, func(old, arg []byte) ([]byte, error) { return pick(old, arg, -1), nil }, true},
	"$max":      {anything, func(old, arg []byte) ([]byte, error) { return pick(old, arg, 1), nil }, true},
	"$push":     {valueOrEach, push, true},
	"$addToSet": {valueOrEach, addToSet, true},
	"$pull":     {plainValue, pull, false},
	"$pop":      {oneOrMinusOne, pop, false},
}

func anything([]byte) error { return nil }

func aPath(arg []byte) error {
	if !isText(arg) {
		return errs.E(errs.Invalid, "a text is expected, the new path")
	}
	_, err := splitPath(textOf(arg))
	return err
}

func aNumber(arg []byte) error {
	if !isNumber(arg) {
		return errs.E(errs.Invalid, "a number is expected")
	}
	return nil
}

func oneOrMinusOne(arg []byte) error {
	if s := string(arg); s != "1" && s != "-1" {
		return errs.E(errs.Invalid, "1 (the last element) or -1 (the first) is expected")
	}
	return nil
}

// plainValue refuses conditions: what looks like one and is none would remove
// something else than the client means.
func plainValue(arg []byte) error {
	for _, m := range pairsOf(arg) {
		if bytes.HasPrefix(plainText(m.raw), []byte("$")) {
			return errs.E(errs.Invalid, "%.100q is not known here", plainText(m.raw))
		}
	}
	return nil
}

func valueOrEach(arg []byte) error {
	list := pairsOf(arg)
	if len(list) == 1 && list[0].is("$each") {
		if list[0].value[0] != '[' {
			return errs.E(errs.Invalid, "$each takes an array")
		}
		return nil
	}
	return plainValue(arg)
}

// pairsOf returns the members of a value, none if it is no object.
func pairsOf(value []byte) []pair {
	if value[0] != '{' {
		return nil
	}
	return split(value)
}

// each returns the values that an argument stands for: itself, or what its
// $each holds.
func each(arg []byte) [][]byte {
	if list := pairsOf(arg); len(list) == 1 && list[0].is("$each") {
		return slices.Collect(elements(list[0].value))
	}
	return [][]byte{arg}
}

func isNumber(value []byte) bool {
	return len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9')
}

// isInteger reports whether a number is written as an integer.
func isInteger(number []byte) bool { return !bytes.ContainsAny(number, ".eE") }

var errOverflow = errs.E(errs.Invalid, "the result is out of range")

// increase adds: integers stay integers, as long as they are 64 bits.
func increase(old, arg []byte) ([]byte, error) {
	if old == nil {
		return arg, nil
	}
	return calculate(old, arg, func(a, b int64) (int64, bool) {
		sum := a + b
		return sum, (sum > a) == (b > 0)
	}, func(a, b float64) float64 { return a + b })
}

func multiply(old, arg []byte) ([]byte, error) {
	if old == nil {
		old = []byte("0")
	}
	return calculate(old, arg, func(a, b int64) (int64, bool) {
		if a == 0 || b == 0 {
			return 0, true
		}
		product := a * b
		return product, product/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64)
	}, func(a, b float64) float64 { return a * b })
}

func calculate(old, arg []byte, ints func(a, b int64) (int64, bool), floats func(a, b float64) float64) ([]byte, error) {
	if !isNumber(old) {
		return nil, errs.E(errs.Invalid, "the document's value is not a number")
	}
	if isInteger(old) && isInteger(arg) {
		a, errA := strconv.ParseInt(string(old), 10, 64)
		b, errB := strconv.ParseInt(string(arg), 10, 64)
		if errA != nil || errB != nil {
			return nil, errOverflow
		}
		n, ok := ints(a, b)
		if !ok {
			return nil, errOverflow
		}
		return strconv.AppendInt(nil, n, 10), nil
	}
	return floatText(floats(number(old), number(arg)))
}

// number returns the value of a number's text, which was checked.
func number(text []byte) float64 {
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// floatText writes a number as JavaScript does.
func floatText(f float64) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, errOverflow
	}
	return json.Marshal(f + 0) // + 0: no negative zero
}

// pick returns arg if it is before (-1) or after (1) old, in the order that
// queries sort by.
func pick(old, arg []byte, side int) []byte {
	if old == nil || query.Compare(query.Of(arg), query.Of(old))*side > 0 {
		return arg
	}
	return old
}

// array returns the elements of a document's value; a missing one has none.
func array(old []byte) ([][]byte, error) {
	if old != nil && old[0] != '[' {
		return nil, errs.E(errs.Invalid, "the document's value is not an array")
	}
	return slices.Collect(elements(old)), nil
}

func push(old, arg []byte) ([]byte, error) {
	list, err := array(old)
	if err != nil {
		return nil, err
	}
	return joinArray(append(list, each(arg)...)), nil
}

// maxCompared bounds how many pairs of elements one operator compares.
const maxCompared = 10_000_000

func addToSet(old, arg []byte) ([]byte, error) {
	list, err := array(old)
	if err != nil {
		return nil, err
	}
	more := each(arg)
	if len(more)*(len(list)+len(more)) > maxCompared {
		return nil, errs.E(errs.Invalid, "%d elements to look for among %d are too many", len(more), len(list))
	}
	known := make([]query.Value, 0, len(list)+len(more))
	for _, e := range list {
		known = append(known, query.Of(e))
	}
	for _, e := range more {
		v := query.Of(e)
		if !slices.ContainsFunc(known, func(k query.Value) bool { return query.Equal(k, v) }) {
			list, known = append(list, e), append(known, v)
		}
	}
	return joinArray(list), nil
}

func pull(old, arg []byte) ([]byte, error) {
	if old == nil {
		return nil, nil
	}
	list, err := array(old)
	if err != nil {
		return nil, err
	}
	v := query.Of(arg)
	return joinArray(slices.DeleteFunc(list, func(e []byte) bool { return query.Equal(query.Of(e), v) })), nil
}

func pop(old, arg []byte) ([]byte, error) {
	if old == nil {
		return nil, nil
	}
	list, err := array(old)
	if err != nil || len(list) == 0 {
		return old, err
	}
	if arg[0] == '-' {
		return joinArray(list[1:]), nil
	}
	return joinArray(list[:len(list)-1]), nil
}
