package collection

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// A Selection is a query on a collection, for the goroutine and the lifetime of
// its transaction.
type Selection struct {
	c       *Collection
	ctx     context.Context
	spec    *query.Spec
	want    wanted
	expand  *Expander // nil: the query does not look through lookups
	plan    *plan     // of the last run
	sorted  int       // documents that were put in order
	entries int       // looked at, of indexes
	looked  int       // documents that were looked at
	matched int       // documents that matched, in the last run
	counted bool      // the total is of index entries

	total int // -1: not known
	kept  []Document
	have  bool // kept is the answer
}

// Select prepares a query. It sees what Get sees. Nothing is read before
// Documents or Total is called.
func (c *Collection) Select(ctx context.Context, spec *query.Spec) (*Selection, error) {
	s := &Selection{c: c, ctx: ctx, spec: spec, total: -1}
	s.want = wanted{
		any: spec.AnyOrder(), bounds: spec.Query.Bounds(),
		exact: spec.Query.Exact() && spec.Filter.Empty() && !c.mine,
	}
	for _, k := range spec.Sort {
		if k.Path.String() == "_id" {
			s.want.idDesc = k.Desc
			break
		}
		s.want.sort = append(s.want.sort, k)
	}
	s.through()
	return s, nil
}

// through sees to queries that look through lookups: they are asked of
// documents with the lookups expanded, of which no index knows.
func (s *Selection) through() {
	lookups := s.c.lookups()
	if lookups == nil {
		return
	}
	foreign := func(p query.Path) bool {
		_, is := lookups[p.Root()]
		return is && p.Deep()
	}
	asked := slices.ContainsFunc(s.spec.Query.Paths(), foreign)
	sorted := slices.ContainsFunc(s.want.sort, func(k query.SortKey) bool { return foreign(k.Path) })
	if !asked && !sorted {
		return
	}
	s.expand = s.c.Expander(s.ctx, ExpandOptions{})
	s.want.unsorted = sorted
	if asked {
		// What is not known of an index is not exact; what it says of the
		// fields of a lookup is not about the document.
		s.want.exact = false
		s.want.bounds = slices.DeleteFunc(s.want.bounds, func(b query.Bound) bool {
			p, err := query.ParsePath(b.Path)
			_, is := lookups[p.Root()]
			return err != nil || is || p.Root() == "_keywords" || p.Root() == "_tags"
		})
	}
}

// Documents goes through the matches in the order that was asked for, from Skip
// on and at most Max of them; all if Max is negative. It reads no more than it
// needs. After an error it ends.
func (s *Selection) Documents() iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if s.have {
			for _, d := range s.kept {
				if !yield(d, nil) {
					return
				}
			}
			return
		}
		skip, room, size := max(s.spec.Skip, 0), s.spec.Max, 0
		if room == 0 {
			return
		}
		whole := !s.spec.Aggregated()
		var failed error
		stopped := false
		w := s.want
		w.limit = s.limit()
		err := s.run(w, func(c candidate) bool {
			if skip > 0 {
				skip--
				return true
			}
			if size += len(c.JSON); whole && size > s.c.store.cfg.MaxResult {
				failed = s.tooMuch()
				return false
			}
			room--
			if !yield(c.keep(), nil) {
				stopped = true
				return false
			}
			stopped = room == 0
			return !stopped
		})
		switch {
		case failed != nil:
			yield(Document{}, failed)
		case err != nil:
			yield(Document{}, err)
		case !stopped:
			s.total = s.matched
		}
	}
}

// limit is how many matches have to be found for Skip and Max.
func (s *Selection) limit() int {
	if s.spec.Max < 0 {
		return -1
	}
	if n := max(s.spec.Skip, 0) + s.spec.Max; n >= 0 {
		return n
	}
	return -1 // beyond what an int holds
}

// Total returns how many documents match, whatever Skip and Max are. Where it
// has to go through all matches it keeps what Documents will give, if there is a
// Max; so ask it first, but for aggregates: after those, it costs nothing.
func (s *Selection) Total() (int, error) {
	if s.total >= 0 {
		return s.total, nil
	}
	if s.spec.Everything() && !s.c.mine {
		n, err := documentCount(s.c.tx, s.c.row.Number)
		if err == nil {
			s.total = int(n)
		}
		return int(n), err
	}
	w := s.want
	w.any, w.limit = true, -1
	if p := makePlan(s.c.row.Indexes, w); p.exact && p.way == byIndex {
		return s.count(&p)
	}
	w.any = s.spec.Max < 0 // else what Documents gives has to be in order
	skip, size := max(s.spec.Skip, 0), 0
	var kept []Document
	var failed error
	err := s.run(w, func(c candidate) bool {
		if s.matched <= skip || s.spec.Max < 0 || len(kept) >= s.spec.Max {
			return true
		}
		if size += len(c.JSON); size > s.c.store.cfg.MaxResult {
			failed = s.tooMuch()
			return false
		}
		kept = append(kept, c.keep())
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, err
	}
	s.total = s.matched
	if s.spec.Max >= 0 {
		s.kept, s.have = kept, true
	}
	return s.total, nil
}

// count counts what the entries of an exact plan are.
func (s *Selection) count(p *plan) (int, error) {
	n := 0
	for sp := range p.inOrder() {
		for _, err := range s.c.tx.Scan(p.bounds(sp)) {
			if err == nil {
				err = s.entry()
			}
			if err != nil {
				return 0, err
			}
			n++
		}
	}
	s.total, s.counted = n, true
	return n, nil
}

// Matching returns the ids of all matches in ascending order, whatever Skip and
// Max are: what a delete by query removes.
func (c *Collection) Matching(ctx context.Context, spec *query.Spec) ([]OID, error) {
	s, err := c.Select(ctx, &query.Spec{Query: spec.Query, Filter: spec.Filter, Max: -1})
	if err != nil {
		return nil, err
	}
	var ids []OID
	w := s.want
	w.limit = -1
	err = s.run(w, func(c candidate) bool {
		ids = append(ids, c.ID())
		return true
	})
	return ids, err
}

// run calls visit with each match in the order of w until it returns false; of
// matches that have to be put in order, with no more than Documents gives.
func (s *Selection) run(w wanted, visit func(candidate) bool) error {
	p := makePlan(s.c.row.Indexes, w)
	s.plan, s.matched = &p, 0
	var order *sorter
	if !p.ordered && len(w.sort) > 0 && !w.any {
		order = &sorter{keys: w.sort, idDesc: w.idDesc, limit: s.limit(), room: s.c.store.cfg.MaxResult}
	}
	for c, err := range s.candidates(&p) {
		if err != nil {
			return err
		}
		doc, err := s.matches(c.Document)
		if err != nil {
			return err
		}
		if doc == nil {
			continue
		}
		s.matched++
		if order != nil {
			if !order.add(doc, c.ID()) {
				return s.unsortable()
			}
			continue
		}
		if !visit(c) {
			return nil
		}
	}
	if order == nil {
		return nil
	}
	return s.inOrder(order, visit)
}

// inOrder reads the documents that were put in order once more.
func (s *Selection) inOrder(order *sorter, visit func(candidate) bool) error {
	s.sorted += order.seen
	matched := s.matched
	s.matched = 0
	for _, id := range order.ids() {
		c, err := s.fetch(id)
		if err != nil {
			return err
		}
		s.matched++
		if !visit(c) {
			break
		}
	}
	s.matched = matched
	return nil
}

// matches returns the JSON that a match is to be sorted by, and nil for a
// document that does not match.
func (s *Selection) matches(d Document) ([]byte, error) {
	if !s.c.sees(d) {
		return nil, nil
	}
	doc := d.JSON
	if s.expand != nil {
		var err error
		if doc, err = s.expand.forMatch(d); err != nil {
			return nil, err
		}
	}
	if s.spec.Query != nil && !s.spec.Query.Match(doc) || !s.spec.Filter.Match(d.JSON) {
		return nil, nil
	}
	return doc, nil
}

// document counts one document that is looked at, entry one entry of an index.
func (s *Selection) document() error {
	s.looked++
	return s.going(s.looked, "documents")
}

func (s *Selection) entry() error {
	s.entries++
	return s.going(s.entries, "index entries")
}

func (s *Selection) going(n int, what string) error {
	if most := s.c.store.cfg.MaxExamined; n > most {
		return errs.E(errs.Invalid, "the query has looked at %d %s of collection %s and found %d matches; more is not allowed in one request: %s",
			most, what, s.c.name, s.matched, s.advice())
	}
	if n%256 != 0 || s.ctx.Err() == nil {
		return nil
	}
	return errs.E(errs.Unavailable, "the query on collection %s was given up after %d %s: %w", s.c.name, n, what, s.ctx.Err())
}

func (s *Selection) tooMuch() error {
	return errs.E(errs.Invalid, "the answer has more than %d bytes of documents, after %d documents of collection %s; ask for less with max and skip",
		s.c.store.cfg.MaxResult, s.looked, s.c.name)
}

func (s *Selection) unsortable() error {
	return errs.E(errs.Invalid, "sorting takes more than %d bytes, after %d documents of collection %s: %s",
		s.c.store.cfg.MaxResult, s.looked, s.c.name, s.advice())
}

// advice names an index that would help.
func (s *Selection) advice() string {
	var paths []string
	add := func(path string) {
		if path != "_id" && !slices.Contains(paths, path) && len(paths) < MaxIndexPaths {
			paths = append(paths, path)
		}
	}
	for _, b := range s.want.bounds {
		if b.Eq != nil {
			add(b.Path)
		}
	}
	for _, k := range s.want.sort {
		add(k.Path.String())
	}
	for _, b := range s.want.bounds {
		add(b.Path)
	}
	if len(paths) == 0 {
		return "narrow q, or ask for less with max"
	}
	return "create an index on " + strings.Join(paths, ", ") + " (explain=true says what is used), or narrow q"
}
