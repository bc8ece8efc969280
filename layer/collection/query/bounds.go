package query

// Bound is a constraint that a query puts on one field, for whoever plans how
// to run it. A document that matches has, among the values by which an index
// knows it (Path.Entries), one that is in the bound: for Eq, one that is Equal
// to a member of the list, and none is if the list is empty; else one of the
// kind of Lo and Hi that is not below Lo and not above Hi. A nil end is the end
// of the kind.
//
// The reverse is not true: the query itself still has to decide.
//
// Each bound speaks of one entry, and two bounds on one path may speak of two:
// {"a":{"$gt":3,"$lt":5}} matches [1,10]. So ranges may be narrowed to what they
// have in common only while no document has several entries in the index; one
// that has both ends comes from $bt, $elemMatch, a date or a pattern and is good
// for any index.
type Bound struct {
	Path           string // as Path.String writes it
	Eq             []Value
	Lo, Hi         *Value
	LoOpen, HiOpen bool // the end itself is outside
}

// In reports whether an index entry is in the bound.
func (b *Bound) In(v Value) bool {
	if b.Eq != nil {
		for _, e := range b.Eq {
			if Equal(e, v) {
				return true
			}
		}
		return false
	}
	if b.Lo != nil {
		if c := Compare(v, *b.Lo); v.kind != b.Lo.kind || c < 0 || c == 0 && b.LoOpen {
			return false
		}
	}
	if b.Hi != nil {
		if c := Compare(v, *b.Hi); v.kind != b.Hi.kind || c > 0 || c == 0 && b.HiOpen {
			return false
		}
	}
	return true
}

// Bounds returns constraints that every document meets that the query matches,
// in the order of the query. It has none for conditions that no index can help
// with: those under $or, $nor and $not, arrays as wholes, dates in texts that
// the client writes.
func (q *Query) Bounds() []Bound {
	if q == nil {
		return nil
	}
	return q.all.bounds(nil, Path{})
}

func (e every) bounds(list []Bound, prefix Path) []Bound {
	for _, n := range e {
		switch n := n.(type) {
		case every:
			list = n.bounds(list, prefix)
		case some:
			if len(n) == 1 {
				list = n[0].bounds(list, prefix)
			}
		case *field:
			list = n.bounds(list, prefix)
		}
	}
	return list
}

func (f *field) bounds(list []Bound, prefix Path) []Bound {
	if len(prefix.steps) > 0 && len(f.path.steps) > 0 && f.path.steps[0].index >= 0 {
		return list // a number behind an array is a position in it, behind its members a name
	}
	path := prefix.join(f.path)
	for i := range f.tests {
		t := &f.tests[i]
		if t.not {
			continue
		}
		if e, ok := t.is.(*element); ok {
			if len(f.path.steps) > 0 { // else it is about an array in an array, which has no entry for its members
				list = e.bounds(list, path)
			}
			continue
		}
		if b, ok := boundOf(t.is, path); ok {
			b.Path = path.text
			list = append(list, b)
		}
	}
	return list
}

// bounds returns what $elemMatch asks of a member of the array. Operators on a
// member that are ranges speak of the same entry, so they become one.
func (e *element) bounds(list []Bound, path Path) []Bound {
	from := len(list)
	list = e.all.bounds(list, path)
	if e.object {
		return list
	}
	one := -1
	kept := list[:from]
	for _, b := range list[from:] {
		if b.Eq == nil && one >= 0 && kept[one].narrow(b) {
			continue
		}
		if kept = append(kept, b); b.Eq == nil && one < 0 {
			one = len(kept) - 1
		}
	}
	return kept
}

// narrow adds the end of another range, if b lacks it and the kinds are the
// same, and reports whether it did.
func (b *Bound) narrow(o Bound) bool {
	switch {
	case b.Lo != nil && b.Hi == nil && o.Lo == nil && o.Hi != nil && b.Lo.kind == o.Hi.kind:
		b.Hi, b.HiOpen = o.Hi, o.HiOpen
	case b.Hi != nil && b.Lo == nil && o.Hi == nil && o.Lo != nil && b.Hi.kind == o.Lo.kind:
		b.Lo, b.LoOpen = o.Lo, o.LoOpen
	default:
		return false
	}
	return true
}

func boundOf(is predicate, path Path) (Bound, bool) {
	switch is := is.(type) {
	case equals:
		if is.date {
			return dateBound(&span{lo: &is.operand, hi: &is.operand}, path)
		}
		return Bound{Eq: []Value{is.Value}}, is.kind != Array
	case *oneOf:
		eq := []Value{}
		for _, o := range is.list {
			if o.date || o.kind == Array {
				return Bound{}, false
			}
			eq = append(eq, o.Value)
		}
		return Bound{Eq: eq}, true
	case *span:
		return spanBound(is, path)
	case *matcher:
		if is.prefix == "" {
			return Bound{}, false
		}
		end := []byte(is.prefix)
		end[len(end)-1]++ // UTF-8 has no byte 255
		lo, hi := TextOf(is.prefix), TextOf(string(end))
		return Bound{Lo: &lo, Hi: &hi, HiOpen: true}, true
	}
	return Bound{}, false
}

func spanBound(s *span, path Path) (Bound, bool) {
	b := Bound{LoOpen: s.loOpen, HiOpen: s.hiOpen}
	for _, o := range []*operand{s.lo, s.hi} {
		if o == nil {
			continue
		}
		if o.date {
			return dateBound(s, path)
		}
		if o.kind != Number && o.kind != Text && o.kind != Bool {
			return Bound{}, false
		}
	}
	if s.lo != nil {
		b.Lo = &s.lo.Value
	}
	if s.hi != nil {
		b.Hi = &s.hi.Value
	}
	return b, true
}

// dateBound bounds the two fields in which the server writes times: always in
// TimeLayout, so the order of the texts is the order of the times. Texts that
// clients write have several layouts, whose order is not that of the times. An
// operand may be finer than the layout: its text is then the last one before
// it, so both ends are taken in.
func dateBound(s *span, path Path) (Bound, bool) {
	if path.text != "_created" && path.text != "_changed" {
		return Bound{}, false
	}
	var b Bound
	for _, end := range []struct {
		o  *operand
		to **Value
	}{{s.lo, &b.Lo}, {s.hi, &b.Hi}} {
		if end.o == nil {
			continue
		}
		at := end.o.at.UTC()
		if at.Year() < 0 || at.Year() > 9999 {
			return Bound{}, false
		}
		v := TextOf(at.Format(TimeLayout))
		*end.to = &v
	}
	return b, true
}
