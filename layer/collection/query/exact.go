package query

// Exact reports whether Bounds says all that the query says: a document of
// which an index has an entry in each bound does match. It then need not be
// read to be counted.
func (q *Query) Exact() bool { return q == nil || q.all.exact() }

func (e every) exact() bool {
	for _, n := range e {
		switch n := n.(type) {
		case every:
			if !n.exact() {
				return false
			}
		case *field:
			for i := range n.tests {
				if t := &n.tests[i]; t.not || t.whole || !exactly(t.is) {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// exactly reports whether boundOf says all of a predicate. Null is left out: an
// index has it also for a field that an empty array stands before.
func exactly(is predicate) bool {
	plain := func(o *operand) bool {
		return o == nil || !o.date && (o.kind == Number || o.kind == Text || o.kind == Bool)
	}
	switch is := is.(type) {
	case equals:
		return plain(&is.operand)
	case *oneOf:
		for i := range is.list {
			if !plain(&is.list[i]) {
				return false
			}
		}
		return true
	case *span:
		return plain(is.lo) && plain(is.hi)
	}
	return false
}
