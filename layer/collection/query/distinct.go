package query

import (
	"slices"
)

// distinct collects the different values that a path reaches. An array counts
// as its elements; what is missing is no value, null is one.
type distinct struct {
	path   Path
	sorted bool // the sort is by the path itself
	desc   bool
	seen   map[string]bool // by canonical form
	values []Value
	form   []byte // reused
}

func newDistinct(path Path, sort []SortKey) *distinct {
	d := &distinct{path: path, seen: map[string]bool{}}
	if len(sort) > 0 && sort[0].Path.String() == path.String() {
		d.sorted, d.desc = true, sort[0].Desc
	}
	return d
}

func (d *distinct) add(a *Accumulator, doc []byte) error {
	for v := range d.path.units(doc) {
		d.form = v.AppendCanonical(d.form[:0])
		if d.seen[string(d.form)] {
			continue
		}
		if err := a.count("$distinct", len(d.form)+len(v.Raw())); err != nil {
			return err
		}
		d.seen[string(d.form)] = true
		d.values = append(d.values, Of([]byte(v.Raw())))
	}
	return nil
}

// json returns the values as they were sent. Where the request sorts by the
// path itself they are in the order of values, which for arrays is not that of
// their documents; else in the order of first appearance.
func (d *distinct) json() []byte {
	if d.sorted {
		slices.SortStableFunc(d.values, func(x, y Value) int {
			if d.desc {
				x, y = y, x
			}
			return Compare(x, y)
		})
	}
	dst := []byte{'['}
	for i, v := range d.values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, v.Raw()...)
	}
	return append(dst, ']')
}
