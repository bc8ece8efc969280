package query

// SortKey is one field to sort by.
type SortKey struct {
	Path Path
	Desc bool
}

// Value returns what a stored document is sorted by: the field's value, an
// array as a whole. Of several values, behind an array on the way, it is the
// smallest, and the greatest if the order is descending. A field that is
// missing sorts as null.
func (k SortKey) Value(doc []byte) Value {
	root := document(doc)
	if v, ok := k.Path.single(root); ok {
		return v
	}
	var best Value
	first := true
	k.Path.each(root, func(v Value) bool {
		if c := Compare(v, best); first || c != 0 && c > 0 == k.Desc {
			best, first = v, false
		}
		return true
	})
	return best
}

// SortValues appends what a stored document is sorted by, one value for each
// key. The values share the document's bytes.
func SortValues(dst []Value, keys []SortKey, doc []byte) []Value {
	for _, k := range keys {
		dst = append(dst, k.Value(doc))
	}
	return dst
}

// CompareSorted compares two documents by what SortValues returned for them.
// Whoever sorts decides ties by the documents' ids.
func CompareSorted(keys []SortKey, a, b []Value) int {
	for i, k := range keys {
		if c := Compare(a[i], b[i]); c != 0 {
			if k.Desc {
				return -c
			}
			return c
		}
	}
	return 0
}
