package query

import (
	"iter"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/tidwall/gjson"
)

// Function is what an Aggregate does with the values of its field.
type Function string

// The functions. Sum and Avg take numbers and skip the rest. Min and Max are
// the document with the extreme number; where there are no numbers, the one
// with the extreme date. Count counts documents.
const (
	Sum   Function = "SUM"
	Avg   Function = "AVG"
	Min   Function = "MIN"
	Max   Function = "MAX"
	Count Function = "COUNT"
)

// Aggregate is one member of $aggregate.
type Aggregate struct {
	Function Function
	name     string // the field as it was written; of a COUNT, any text
	path     Path
}

// ParseAggregate parses one member of $aggregate, or one aggregate parameter:
// FUNCTION:path, and for COUNT any name, or none, behind the colon.
func ParseAggregate(text string) (Aggregate, error) {
	function, name, ok := strings.Cut(text, ":")
	if !ok {
		return Aggregate{}, errs.E(errs.Invalid, "aggregate %q: a colon and a field are missing, as in SUM:field", text)
	}
	a := Aggregate{Function: Function(function), name: name}
	switch a.Function {
	case Count:
		return a, nil
	case Sum, Avg, Min, Max:
		path, err := ParsePath(name)
		if err != nil {
			return Aggregate{}, errs.E(errs.Invalid, "aggregate %q: %w", text, err)
		}
		a.path = path
		return a, nil
	}
	return Aggregate{}, errs.E(errs.Invalid, "aggregate %q: unknown function %q (known: SUM, AVG, MIN, MAX, COUNT)", text, function)
}

// Key returns the name of the result: the function, one blank, and the field.
// COUNT without a name has the blank at its end.
func (a Aggregate) Key() string { return string(a.Function) + " " + a.name }

// String returns the aggregate as it was asked for.
func (a Aggregate) String() string { return string(a.Function) + ":" + a.name }

// mark is a value that Min and Max can compare: a number or a date.
type mark struct {
	ok     bool
	number bool
	num    float64
	at     time.Time
}

func markOf(v Value) mark {
	if v.Kind() == Number {
		return mark{ok: true, number: true, num: v.Float()}
	}
	t, ok := dateOf(v)
	return mark{ok: ok, at: t}
}

// dateOf returns the time, in UTC, of a value that is an ISO-8601 text.
func dateOf(v Value) (time.Time, bool) {
	if v.Kind() != Text {
		return time.Time{}, false
	}
	t, ok := ParseTime(v.Text())
	return t.UTC(), ok
}

// beats returns how much more extreme m is than other: positive if it takes
// the place, 0 if both are alike. Any number beats any date.
func (m mark) beats(other mark, f Function) int {
	switch {
	case !m.ok || !other.ok:
		return b2i(m.ok) - b2i(other.ok)
	case m.number != other.number:
		return b2i(m.number) - b2i(other.number)
	}
	c := m.at.Compare(other.at)
	if m.number {
		c = b2i(m.num > other.num) - b2i(m.num < other.num)
	}
	if f == Min {
		return -c
	}
	return c
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tally is what one aggregate has seen within one group.
type tally struct {
	n    int // documents of a COUNT, numbers of an AVG
	sum  float64
	best mark
	doc  []byte // with the best mark
}

// add takes a document's values. It reports whether the document is now the
// one to keep.
func (t *tally) add(a Aggregate, doc []byte) (keep bool) {
	switch a.Function {
	case Count:
		t.n++
	case Sum, Avg:
		for v := range a.path.units(doc) {
			if v.Kind() == Number {
				t.n++
				t.sum += v.Float()
			}
		}
	case Min, Max:
		var best mark
		for v := range a.path.units(doc) {
			if m := markOf(v); m.beats(best, a.Function) > 0 {
				best = m
			}
		}
		if !best.ok {
			return false
		}
		c := best.beats(t.best, a.Function)
		if c > 0 || c == 0 && idOf(doc) < idOf(t.doc) {
			t.best = best
			return true
		}
	}
	return false
}

// idOf returns a stored document's _id.
func idOf(doc []byte) string { return gjson.GetBytes(doc, "_id").Str }

// units calls yield with each single value that a path reaches: an array counts
// as its members, and what is missing not at all.
func (p Path) units(doc []byte) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for v := range p.Values(doc) {
			switch {
			case v.Kind() == Array:
				if !v.elements(yield) {
					return
				}
			case v.Exists() && !yield(v):
				return
			}
		}
	}
}

// appendResult appends the aggregate's value as JSON.
func (t *tally) appendResult(dst []byte, a Aggregate, show Show) ([]byte, error) {
	switch {
	case a.Function == Count:
		return appendNumber(dst, float64(t.n)), nil
	case a.Function == Sum:
		return appendNumber(dst, t.sum), nil
	case a.Function == Avg && t.n > 0:
		return appendNumber(dst, t.sum/float64(t.n)), nil
	case t.doc != nil:
		return show(dst, t.doc)
	}
	return append(dst, nullGroup...), nil
}
