package query

import (
	"math"

	"github.com/coveydb/covey/internal/errs"
)

// types are the names that $type knows, and the numbers that document stores
// have for them. A number with nothing behind the point is int and long alike.
var types = map[string]func(Value) bool{
	"number": isNumber, "19": isNumber,
	"double": isFraction, "1": isFraction,
	"int": isWhole, "16": isWhole, "long": isWhole, "18": isWhole,
	"string": isText, "text": isText, "2": isText,
	"object": isObject, "3": isObject,
	"array": isArray, "4": isArray,
	"bool": isBool, "boolean": isBool, "8": isBool,
	"null": isNull, "10": isNull,
}

func isNumber(v Value) bool   { return v.kind == Number }
func isWhole(v Value) bool    { return v.kind == Number && v.num == math.Trunc(v.num) }
func isFraction(v Value) bool { return v.kind == Number && v.num != math.Trunc(v.num) }
func isText(v Value) bool     { return v.kind == Text }
func isObject(v Value) bool   { return v.kind == Object }
func isArray(v Value) bool    { return v.kind == Array }
func isBool(v Value) bool     { return v.kind == Bool }
func isNull(v Value) bool     { return v.kind == Null && v.Exists() }

// parseType parses $type: a type, or an array of types.
func parseType(v Value) (test, error) {
	list := []Value{v}
	if v.kind == Array {
		list = list[:0]
		for e := range v.Elements() {
			list = append(list, e)
		}
	}
	var t typed
	for _, e := range list {
		name := e.text
		if e.kind == Number {
			name = e.raw
		}
		is := types[name]
		if is == nil {
			return test{}, errs.E(errs.Invalid, "unknown type %s (known: number, double, int, long, string, object, array, bool, null)", cut(e.raw))
		}
		t = append(t, is)
	}
	return test{is: t}, nil
}
