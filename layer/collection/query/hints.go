package query

import (
	"github.com/coveydb/covey/internal/errs"
)

// Bounds of hints.
const (
	maxKeys     = 64            // fields to sort by, groups, aggregates
	maxPosition = 1_000_000_000 // of $max and $skip
)

// Hints are what the parameter h asks for. What is nil was not given.
type Hints struct {
	Fields     *Projection
	Sort       []SortKey
	Skip, Max  *int
	GroupBy    []Group
	Aggregates []Aggregate
	GrandTotal *bool
	Metafields *bool
}

// ParseHints reads hints, which are a JSON object; the fields of $orderby sort
// in the order in which they are written. What are no hints is errs.Invalid, and
// the message names the member; unknown members are refused.
func ParseHints(h []byte) (Hints, error) {
	root, err := open("h", h)
	if err != nil {
		return Hints{}, err
	}
	var hints Hints
	for name, v := range root.Members() {
		if err := hints.set(name, v); err != nil {
			return Hints{}, errs.E(errs.Invalid, "h: %s: %w", cut(name), err)
		}
	}
	return hints, nil
}

func (h *Hints) set(name string, v Value) (err error) {
	switch name {
	case "$fields":
		h.Fields, err = parseProjection(v)
	case "$orderby":
		h.Sort, err = parseOrder(v)
	case "$max":
		h.Max, err = parsePosition(v)
	case "$skip":
		h.Skip, err = parsePosition(v)
	case "$groupby":
		h.GroupBy, err = parseList(v, ParseGroup)
	case "$aggregate":
		h.Aggregates, err = parseList(v, ParseAggregate)
	case "$aggregate-grand-total":
		h.GrandTotal, err = parseFlag(v)
	case "metafields", "$metafields":
		h.Metafields, err = parseFlag(v)
	default:
		return errs.E(errs.Invalid, "unknown hint (known: $fields, $max, $skip, $orderby, $groupby, $aggregate, $aggregate-grand-total, metafields)")
	}
	return err
}

func parseOrder(v Value) ([]SortKey, error) {
	if v.kind != Object {
		return nil, errs.E(errs.Invalid, "an object of fields is wanted, not %s", v.kind)
	}
	keys := []SortKey{}
	for name, direction := range v.Members() {
		path, err := ParsePath(name)
		if err != nil {
			return nil, err
		}
		if direction.kind != Number || direction.num != 1 && direction.num != -1 {
			return nil, errs.E(errs.Invalid, "%s: 1 (ascending) or -1 (descending) is wanted, not %s", cut(name), cut(direction.raw))
		}
		keys = append(keys, SortKey{Path: path, Desc: direction.num < 0})
	}
	if len(keys) > maxKeys {
		return nil, errs.E(errs.Invalid, "%d fields, the limit is %d", len(keys), maxKeys)
	}
	return keys, nil
}

func parsePosition(v Value) (*int, error) {
	n := int(v.num)
	if v.kind != Number || v.num < 0 || v.num > maxPosition || float64(n) != v.num {
		return nil, errs.E(errs.Invalid, "a whole number from 0 to %d is wanted, not %s", maxPosition, cut(v.raw))
	}
	return &n, nil
}

func parseFlag(v Value) (*bool, error) {
	if v.kind != Bool {
		return nil, errs.E(errs.Invalid, "true or false is wanted, not %s", v.kind)
	}
	on := v.True()
	return &on, nil
}

// parseList parses an array of texts, or one text.
func parseList[T any](v Value, parse func(string) (T, error)) ([]T, error) {
	texts := []Value{v}
	if v.kind == Array {
		texts = texts[:0]
		for e := range v.Elements() {
			texts = append(texts, e)
		}
	}
	if len(texts) > maxKeys {
		return nil, errs.E(errs.Invalid, "%d members, the limit is %d", len(texts), maxKeys)
	}
	list := []T{}
	for _, e := range texts {
		if e.kind != Text {
			return nil, errs.E(errs.Invalid, "an array of texts is wanted, not %s", e.kind)
		}
		one, err := parse(e.text)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}
