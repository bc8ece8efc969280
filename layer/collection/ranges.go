package collection

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/coveydb/covey/layer/collection/query"
)

// ranges is what all bounds on one path let through.
type ranges struct {
	points [][]byte // encoded, ascending; nil: it is lo and hi
	lo, hi []byte
	bounds int // how many of the bounds that takes into account
	exact  bool
	share  float64
}

// rangesOn gathers the bounds on a path. Where a document may have several
// entries only one bound counts: two may be met by different ones.
func rangesOn(ix *Index, path string, bounds []query.Bound) (r ranges) {
	for i := range bounds {
		b := &bounds[i]
		if b.Path != path {
			continue
		}
		n, ok := rangeOf(b)
		switch {
		case !ok:
		case r.bounds == 0:
			r = n
		case ix.Many:
			if n.share < r.share {
				r = n
			}
		default:
			r = r.and(n)
		}
	}
	return r
}

// rangeOf turns one bound into keys. ok is false if it is no use.
func rangeOf(b *query.Bound) (r ranges, ok bool) {
	r = ranges{bounds: 1, exact: true, share: share(b)}
	if b.Eq != nil {
		r.points = [][]byte{}
		for _, v := range b.Eq {
			if v.Kind() == query.Array {
				return r, false // an entry is a member, not the whole
			}
			r.points = append(r.points, appendValue(nil, v))
		}
		slices.SortFunc(r.points, bytes.Compare)
		r.points = slices.CompactFunc(r.points, bytes.Equal)
		return r, true
	}
	v := cmp.Or(b.Lo, b.Hi)
	if k := v.Kind(); k == query.Object || k == query.Array || b.Lo != nil && b.Hi != nil && b.Lo.Kind() != b.Hi.Kind() {
		return r, false
	}
	tag := appendValue(nil, *v)[0]
	r.lo, r.hi = []byte{tag}, []byte{tag + 1}
	if b.Lo != nil {
		key, all := wide(*b.Lo)
		r.lo, r.exact = key, all
		if all && b.LoOpen {
			r.lo = after(key)
		}
	}
	if b.Hi != nil {
		key, all := wide(*b.Hi)
		r.hi, r.exact = after(key), r.exact && all
		if all && b.HiOpen {
			r.hi = key
		}
	}
	return r, true
}

// wide returns the beginning of a value's entry that sorts as the value does,
// and whether that is all of it.
func wide(v query.Value) (key []byte, all bool) {
	key = appendValue(nil, v)
	_, exact, _ := valueLen(key)
	return key[:exact], exact == len(key)
}

// and returns what both let through.
func (r ranges) and(o ranges) ranges {
	if r.points == nil && o.points != nil {
		r, o = o, r
	}
	both := ranges{bounds: r.bounds + o.bounds, exact: r.exact && o.exact, share: r.share * o.share}
	switch {
	case o.points != nil:
		both.points = [][]byte{}
		for _, v := range r.points {
			if _, found := slices.BinarySearchFunc(o.points, v, bytes.Compare); found {
				both.points = append(both.points, v)
			}
		}
	case r.points != nil:
		both.points = [][]byte{}
		for _, v := range r.points {
			if bytes.Compare(v, o.lo) >= 0 && bytes.Compare(v, o.hi) < 0 {
				both.points = append(both.points, v)
			}
		}
	default:
		both.lo, both.hi = slices.MaxFunc([][]byte{r.lo, o.lo}, bytes.Compare), slices.MinFunc([][]byte{r.hi, o.hi}, bytes.Compare)
		both.share = min(both.share, planBetween)
	}
	return both
}

// cross appends each value to each prefix.
func cross(prefixes, values [][]byte) [][]byte {
	out := make([][]byte, 0, len(prefixes)*len(values))
	for _, p := range prefixes {
		for _, v := range values {
			out = append(out, append(slices.Clone(p), v...))
		}
	}
	return out
}

// within returns the spans of a range behind each prefix.
func within(prefixes [][]byte, r ranges) (spans []span) {
	for _, p := range prefixes {
		s := span{append(slices.Clone(p), r.lo...), append(slices.Clone(p), r.hi...)}
		if bytes.Compare(s.lo, s.hi) < 0 {
			spans = append(spans, s)
		}
	}
	return spans
}
