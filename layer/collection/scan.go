package collection

import (
	"bytes"
	"iter"
	"slices"
)

// candidate is a document that a plan has found.
type candidate struct {
	Document
	own bool // its bytes stay as they are; else until the next one is looked for
}

// keep returns the document for good.
func (c candidate) keep() Document {
	if !c.own {
		c.JSON = bytes.Clone(c.JSON)
	}
	return c.Document
}

// candidates goes through the documents that a plan finds, each once. In order,
// if the plan says so or there is nothing to sort by but ids.
func (s *Selection) candidates(p *plan) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		switch p.way {
		case byID:
			s.fetchAll(p.ids, p.back, true, yield)
		case byDocuments:
			s.scan(p, yield)
		case byIndex:
			if p.ordered {
				r := runner{s: s, p: p, yield: yield}
				r.walk()
				return
			}
			ids, err := s.collect(p)
			if err != nil {
				yield(candidate{}, err)
				return
			}
			s.fetchAll(ids, s.want.idDesc, false, yield)
		}
	}
}

// fetchAll gives the documents of ids, which ascend, backwards if back. An id
// that a query names need not exist.
func (s *Selection) fetchAll(ids []OID, back, named bool, yield func(candidate, error) bool) bool {
	for i := range ids {
		id := ids[i]
		if back {
			id = ids[len(ids)-1-i]
		}
		c, err := s.fetch(id)
		if err == nil && c.JSON == nil {
			if named {
				continue
			}
			err = errEntry
		}
		if !yield(c, err) || err != nil {
			return false
		}
	}
	return true
}

// fetch reads one document, whoever may see it. Its JSON is nil if there is none.
func (s *Selection) fetch(id OID) (candidate, error) {
	if err := s.document(); err != nil {
		return candidate{}, err
	}
	rec, ok, err := s.c.tx.Get(documentKey(s.c.row.Number, id))
	if err != nil || !ok {
		return candidate{}, err
	}
	d, err := openDocument(rec.Value)
	return candidate{d, true}, err
}

// scan goes through a span of the documents.
func (s *Selection) scan(p *plan, yield func(candidate, error) bool) {
	lo, hi := documentSpan(s.c.row.Number)
	prefix, ids := lo, p.spans[0]
	if ids.lo != nil {
		lo = slices.Concat(prefix, ids.lo)
	}
	if ids.hi != nil {
		hi = slices.Concat(prefix, ids.hi)
	}
	scan := s.c.tx.Scan
	if p.back {
		scan = s.c.tx.ScanBack
	}
	for rec, err := range scan(lo, hi) {
		if err == nil {
			err = s.document()
		}
		var d Document
		if err == nil {
			d, err = openDocument(rec.Value)
		}
		if !yield(candidate{d, false}, err) || err != nil {
			return
		}
	}
}

// collect gathers the ids in the spans of an index, each once, ascending.
func (s *Selection) collect(p *plan) (ids []OID, err error) {
	for sp := range p.inOrder() {
		for rec, err := range s.c.tx.Scan(p.bounds(sp)) {
			if err == nil {
				err = s.entry()
			}
			if err != nil {
				return nil, err
			}
			id, err := entryID(rec.Key, rec.Value)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids), nil
}

// inOrder goes through the spans in the plan's direction.
func (p *plan) inOrder() iter.Seq[span] {
	return func(yield func(span) bool) {
		for i := range p.spans {
			if p.back {
				i = len(p.spans) - 1 - i
			}
			if !yield(p.spans[i]) {
				return
			}
		}
	}
}

// bounds returns the keys of a span of the plan's index.
func (p *plan) bounds(sp span) (lo, hi []byte) {
	prefix := indexPrefix(p.ix.Number)
	lo = slices.Concat(prefix, sp.lo)
	if sp.hi == nil {
		return lo, after(prefix)
	}
	return lo, slices.Concat(prefix, sp.hi)
}

// longRun is how many ids of equal entries are gathered before a scan backwards
// turns round.
const longRun = 256

// runner gives the documents of an ordered plan. Entries come in the order that
// is wanted but for runs: entries whose values are equal as far as the sort
// goes, or of which only a hash is there. Those it gathers and puts in order.
type runner struct {
	s     *Selection
	p     *plan
	yield func(candidate, error) bool

	head  []byte // of the keys of the run
	exact bool   // the documents of the run are equal in the sort, ids decide
	ids   []OID
}

func (r *runner) walk() {
	for sp := range r.p.inOrder() {
		lo, hi := r.p.bounds(sp)
		for more := true; more; {
			var ok bool
			if hi, more, ok = r.span(lo, hi); !ok {
				return
			}
		}
	}
	r.flush()
}

// span goes through one span. more asks for another call up to rest, where a
// long run has been given. ok is false when there is no more to do at all.
func (r *runner) span(lo, hi []byte) (rest []byte, more, ok bool) {
	scan := r.s.c.tx.Scan
	if r.p.back {
		scan = r.s.c.tx.ScanBack
	}
	for rec, err := range scan(lo, hi) {
		if err == nil {
			err = r.s.entry()
		}
		var id OID
		if err == nil {
			id, err = entryID(rec.Key, rec.Value)
		}
		if err != nil {
			r.yield(candidate{}, err)
			return nil, false, false
		}
		if len(r.head) > 0 && bytes.HasPrefix(rec.Key, r.head) {
			r.ids = append(r.ids, id)
			if len(r.ids) < longRun || !r.turns() {
				continue
			}
			rest = r.head
			if !r.forward() {
				return nil, false, false
			}
			return rest, true, true
		}
		if !r.flush() || !r.begin(rec.Key, id) {
			return nil, false, false
		}
	}
	return nil, false, true
}

// begin starts a run with an entry, or gives its document at once.
func (r *runner) begin(key []byte, id OID) bool {
	n, exact, err := r.measure(key)
	if err != nil {
		r.yield(candidate{}, err)
		return false
	}
	if exact && !r.p.runs {
		return r.s.fetchAll([]OID{id}, false, false, r.yield)
	}
	r.head, r.exact, r.ids = bytes.Clone(key[:n]), exact, append(r.ids[:0], id)
	return true
}

// measure returns how long the head of a key is that a run has in common.
func (r *runner) measure(key []byte) (n int, exact bool, err error) {
	n = len(indexPrefix(0))
	for i := range r.p.head {
		length, order, ok := valueLen(key[n:])
		if !ok {
			return 0, false, errEntry
		}
		if order < length && (i >= len(r.p.fixed) || !r.p.fixed[i]) {
			return n + order, false, nil
		}
		n += length
	}
	return n, true, nil
}

// turns reports whether the rest of the run can be read in the order of ids: it
// is a run of nothing but ids in a scan backwards.
func (r *runner) turns() bool {
	return r.exact && r.p.back && !r.s.want.idDesc && r.p.head == len(r.p.ix.Paths)
}

// forward gives a long run.
func (r *runner) forward() bool {
	lo, hi := r.head, after(r.head)
	r.head, r.ids = nil, r.ids[:0]
	for rec, err := range r.s.c.tx.Scan(lo, hi) {
		if err == nil {
			err = r.s.entry()
		}
		var id OID
		if err == nil {
			id, err = entryID(rec.Key, rec.Value)
		}
		if err != nil {
			r.yield(candidate{}, err)
			return false
		}
		if !r.s.fetchAll([]OID{id}, false, false, r.yield) {
			return false
		}
	}
	return true
}

// flush gives the documents of the run in order.
func (r *runner) flush() bool {
	ids := r.ids
	r.head, r.ids = nil, nil
	slices.SortFunc(ids, compareIDs)
	if r.exact || len(ids) < 2 {
		return r.s.fetchAll(ids, r.s.want.idDesc, false, r.yield)
	}
	order := &sorter{keys: r.s.want.sort, idDesc: r.s.want.idDesc, limit: -1, room: r.s.c.store.cfg.MaxResult}
	for _, id := range ids {
		c, err := r.s.fetch(id)
		if err == nil && c.JSON == nil {
			err = errEntry
		}
		if err == nil && !order.add(c.JSON, id) {
			err = r.s.unsortable()
		}
		if err != nil {
			r.yield(candidate{}, err)
			return false
		}
	}
	r.s.sorted += order.seen
	for _, id := range order.ids() {
		if !r.s.fetchAll([]OID{id}, false, false, r.yield) {
			return false
		}
	}
	return true
}
