package collection

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/coveydb/covey/layer/collection/query"
)

// way is how a plan finds documents.
type way uint8

const (
	byNothing   way = iota // no document can match
	byID                   // ids that the query names
	byDocuments            // a span of the documents
	byIndex                // spans of an index
)

var wayNames = [...]string{"nothing", "ids", "documents", "index"}

// wanted is what a plan has to give.
type wanted struct {
	bounds   []query.Bound
	exact    bool            // the bounds say all that the query says
	sort     []query.SortKey // without _id and what follows it
	idDesc   bool            // ties, or everything without sort, by descending _id
	any      bool            // in any order
	unsorted bool            // no index has what is sorted by
	limit    int             // how many matches are asked for; -1 = all
}

// span is [lo, hi) of keys, hi nil for no end.
type span struct{ lo, hi []byte }

// plan is a way to find all documents that can match; the query decides on
// each. The keys in spans are those of the values only: where the index or the
// collection begins is put before them.
type plan struct {
	way   way
	ix    *Index
	ids   []OID  // byID, ascending
	spans []span // ascending, apart from each other; byDocuments: one, of ids
	back  bool   // go through them backwards

	ordered bool // documents come as they are wanted, except:
	// runs: entries whose first head values are the same come in any order.
	runs  bool
	head  int
	fixed []bool // for each of the first fields of the index: the spans have one value of it
	// exact: what the spans hold is what matches, each document once.
	exact bool
	cost  float64
	order int // how many values of the sort the order of entries gives, for explain
}

// What the planner takes for granted. It keeps no statistics: a plan depends on
// the query and the indexes alone, so it is the same on all nodes and days.
const (
	planDocuments = 1e6    // of a collection
	planEqual     = 1e-3   // of the documents have a certain value
	planBetween   = 0.05   // are in a range with two ends
	planBeyond    = 0.2    // with one
	costScan      = 1.0    // of a document in a scan
	costFetch     = 4.0    // of one found by an index
	costSort      = 0.5    // of a document put in order
	maxSpans      = 10_000 // of a plan
)

// makePlan chooses the cheapest way. It is pure; equal costs go to what comes
// first: ids, then indexes as they stand, then the documents.
func makePlan(indexes []*Index, w wanted) plan {
	best, ok := planIDs(w)
	if ok {
		return best
	}
	best = planScan(w)
	for _, ix := range indexes {
		if ix.State != Ready {
			continue
		}
		p, ok := planIndex(ix, w)
		if ok && p.way == byNothing {
			return p
		}
		if ok && (p.cost < best.cost || p.cost == best.cost && best.way == byDocuments) {
			best = p
		}
	}
	return best
}

// price sets the cost of a plan that comes to so much of the documents, and
// keeps so much of those.
func (p *plan) price(w wanted, share, rest, each float64) {
	found := planDocuments * share
	looked := found
	if p.ordered && w.limit >= 0 {
		looked = min(found, float64(w.limit)/rest)
	}
	p.cost = looked * each
	if !p.ordered {
		p.cost += found * costSort
	}
}

// share is how much of the documents a bound lets through.
func share(b *query.Bound) float64 {
	switch {
	case b.Eq != nil:
		return min(1, float64(len(b.Eq))*planEqual)
	case b.Lo != nil && b.Hi != nil:
		return planBetween
	}
	return planBeyond
}

// planIDs answers a query that names ids.
func planIDs(w wanted) (plan, bool) {
	for i := range w.bounds {
		b := &w.bounds[i]
		if b.Path != "_id" || b.Eq == nil {
			continue
		}
		p := plan{way: byID, back: w.idDesc}
		for _, v := range b.Eq {
			if id, ok := ParseOID(v.Text()); ok && v.Kind() == query.Text {
				p.ids = append(p.ids, id)
			}
		}
		slices.SortFunc(p.ids, compareIDs)
		p.ids = slices.Compact(p.ids)
		p.ordered = w.any || len(w.sort) == 0 || len(p.ids) < 2
		p.cost = float64(len(p.ids)) * costFetch
		if len(p.ids) == 0 {
			return plan{way: byNothing, ordered: true}, true
		}
		return p, true
	}
	return plan{}, false
}

func compareIDs(a, b OID) int { return bytes.Compare(a[:], b[:]) }

// planScan goes through the documents, which are in the order of their ids.
func planScan(w wanted) plan {
	p := plan{way: byDocuments, back: w.idDesc, spans: []span{{}}, ordered: w.any || len(w.sort) == 0}
	used, rest := 1.0, 1.0
	for i := range w.bounds {
		b := &w.bounds[i]
		if b.Path != "_id" || b.Eq != nil {
			rest *= share(b)
			continue
		}
		s := idSpan(b)
		if s.lo != nil && bytes.Compare(s.lo, p.spans[0].lo) > 0 {
			p.spans[0].lo = s.lo
		}
		if s.hi != nil && (p.spans[0].hi == nil || bytes.Compare(s.hi, p.spans[0].hi) < 0) {
			p.spans[0].hi = s.hi
		}
		used *= share(b)
	}
	if s := p.spans[0]; s.hi != nil && bytes.Compare(s.lo, s.hi) >= 0 {
		return plan{way: byNothing, ordered: true}
	}
	p.price(w, used, rest, costScan)
	return p
}

// idSpan returns bounds of the ids that a range of texts lets through. It may
// be wider: a text need not be an id.
func idSpan(b *query.Bound) (s span) {
	if v := b.Lo; v != nil && v.Kind() == query.Text {
		s.lo = idOfText(v.Text(), '0')
	}
	if v := b.Hi; v != nil && v.Kind() == query.Text {
		s.hi = after(idOfText(v.Text(), 'f'))
	}
	return s
}

// idOfText fills up what text has of an id.
func idOfText(text string, fill byte) []byte {
	digits := bytes.Repeat([]byte{fill}, 2*len(OID{}))
	for i := range min(len(text), len(digits)) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			break
		}
		digits[i] = text[i]
	}
	id, _ := hex.AppendDecode(nil, digits) // digits only
	return id
}

// planIndex uses ix, if it is of any use: for values of its first field, for
// the order, or for both.
func planIndex(ix *Index, w wanted) (plan, bool) {
	p := plan{way: byIndex, ix: ix}
	prefixes := [][]byte{nil}
	var fixed []bool // for each field: it has one value in all spans
	used, bounds, exact := 1.0, 0, true
	ranged, nulls := false, false
	for _, path := range ix.Paths {
		r := rangesOn(ix, path, w.bounds)
		if r.bounds == 0 || ranged || len(prefixes)*len(r.points) > maxSpans {
			break
		}
		if r.points == nil {
			p.spans, ranged = within(prefixes, r), true
			fixed = append(fixed, false)
		} else {
			prefixes = cross(prefixes, r.points)
			fixed = append(fixed, len(r.points) == 1)
			nulls = nulls || len(r.points) > 0 && r.points[0][0] == tagNull
		}
		used *= r.share
		bounds += r.bounds
		exact = exact && r.exact
	}
	if !ranged {
		for _, prefix := range prefixes {
			p.spans = append(p.spans, span{prefix, after(prefix)})
		}
	}
	if len(p.spans) == 0 {
		return plan{way: byNothing, ordered: true}, true
	}
	if ix.Unique && !ranged && !nulls && len(fixed) == len(ix.Paths) && bounds > 0 {
		used = float64(len(p.spans)) / planDocuments
	}
	p.fixed = fixed
	p.sequence(w, fixed)
	if bounds == 0 && (!p.ordered || w.any) {
		return plan{}, false
	}
	all := bounds == len(w.bounds)
	single := len(p.spans) == 1 && !ranged && len(fixed) == len(ix.Paths)
	p.exact = all && exact && w.exact && (!ix.Many || single)
	rest := 1.0
	if !all {
		for i := range w.bounds {
			rest *= share(&w.bounds[i])
		}
		rest = min(1, rest/used)
	}
	p.price(w, used, rest, costFetch)
	return p, true
}

// sequence finds out whether the entries come in the wanted order. Fields that
// have one value in all spans decide nothing; the others have to be the fields
// of the sort, in its order and all in one direction. Where a document may have
// several entries, only a sort by id can be had, from one value of each field.
func (p *plan) sequence(w wanted, fixed []bool) {
	if w.any {
		p.ordered = !p.ix.Many || len(p.spans) == 1 && len(fixed) == len(p.ix.Paths) && !slices.Contains(fixed, false)
		return
	}
	isFixed := func(path string) bool {
		i := slices.Index(p.ix.Paths, path)
		return i >= 0 && i < len(fixed) && fixed[i]
	}
	at, sorted := 0, 0
	skip := func() {
		for at < len(p.ix.Paths) && isFixed(p.ix.Paths[at]) {
			at++
		}
	}
	skip()
	if w.unsorted {
		return
	}
	for i := range w.sort {
		k := &w.sort[i]
		path := k.Path.String()
		if !p.ix.Many && isFixed(path) {
			continue
		}
		if p.ix.Many || at == len(p.ix.Paths) || p.ix.Paths[at] != path || sorted > 0 && k.Desc != p.back {
			return
		}
		p.back = k.Desc
		at, sorted = at+1, sorted+1
		skip()
	}
	rest := at < len(p.ix.Paths) // fields after those of the sort, which ids do not follow
	if sorted == 0 {
		if rest {
			return
		}
		p.back = w.idDesc
	}
	p.ordered, p.order, p.head = true, sorted, at
	p.runs = rest || p.back != w.idDesc
}

// String describes the plan in one line.
func (p *plan) String() string {
	var b strings.Builder
	b.WriteString(wayNames[p.way])
	switch p.way {
	case byID:
		fmt.Fprintf(&b, " %d", len(p.ids))
	case byIndex:
		fmt.Fprintf(&b, " %s, spans %d", p.ix.Name, len(p.spans))
	}
	if p.back {
		b.WriteString(", back")
	}
	switch {
	case !p.ordered:
		b.WriteString(", then sort")
	case p.runs:
		fmt.Fprintf(&b, ", in order but for runs of %d", p.head)
	default:
		b.WriteString(", in order")
	}
	if p.exact {
		b.WriteString(", exact")
	}
	return b.String()
}
