package collection

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/coveydb/covey/layer/collection/query"
)

// sorter keeps what documents are sorted by, not the documents: the best limit
// of them, or all if that is negative, in at most so many bytes.
type sorter struct {
	keys   []query.SortKey
	idDesc bool
	limit  int
	room   int

	items []sortItem // with a limit: a heap, the last one on top
	seen  int
	size  int
	next  []query.Value // scratch
}

type sortItem struct {
	values []query.Value
	id     OID
}

// add takes a document into account. It keeps nothing of doc. false: there is
// no room.
func (o *sorter) add(doc []byte, id OID) bool {
	o.seen++
	o.next = query.SortValues(o.next[:0], o.keys, doc)
	it := sortItem{o.next, id}
	full := o.limit >= 0 && len(o.items) >= o.limit
	if full && (o.limit == 0 || o.compare(it, o.items[0]) >= 0) {
		return true
	}
	it.values = make([]query.Value, len(o.next))
	for i, v := range o.next {
		if v.Exists() {
			it.values[i] = query.Of([]byte(v.Raw()))
		}
	}
	o.size += it.size()
	switch {
	case full:
		o.size -= o.items[0].size()
		o.items[0] = it
		heap.Fix(o, 0)
	case o.limit >= 0:
		heap.Push(o, it)
	default:
		o.items = append(o.items, it)
	}
	return o.size <= o.room
}

func (it *sortItem) size() int {
	n := 64 + 64*len(it.values)
	for _, v := range it.values {
		n += 2 * len(v.Raw())
	}
	return n
}

func (o *sorter) compare(a, b sortItem) int {
	n := compareIDs(a.id, b.id)
	if o.idDesc {
		n = -n
	}
	return cmp.Or(query.CompareSorted(o.keys, a.values, b.values), n)
}

// ids returns the ids in order, and ends the sorter.
func (o *sorter) ids() []OID {
	slices.SortFunc(o.items, o.compare)
	ids := make([]OID, len(o.items))
	for i := range o.items {
		ids[i] = o.items[i].id
	}
	return ids
}

// The heap has what sorts last on top.

func (o *sorter) Len() int           { return len(o.items) }
func (o *sorter) Less(i, j int) bool { return o.compare(o.items[i], o.items[j]) > 0 }
func (o *sorter) Swap(i, j int)      { o.items[i], o.items[j] = o.items[j], o.items[i] }
func (o *sorter) Push(x any)         { o.items = append(o.items, x.(sortItem)) }
func (o *sorter) Pop() any {
	last := o.items[len(o.items)-1]
	o.items = o.items[:len(o.items)-1]
	return last
}
