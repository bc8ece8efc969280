package restdb

import (
	"context"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/query"
)

// totals is what X-Pagination and totals=true tell of a list.
type totals struct {
	Total int `json:"total"` // matches
	Count int `json:"count"` // of them in the answer
	Skip  int `json:"skip"`
	Max   int `json:"max"`
}

// list serves GET of a collection.
func (q *request) list() error {
	return q.answerList(q.spec(), func(s *collection.Session, need collection.Need) (*collection.Collection, error) {
		return q.open(s, q.collection, need)
	})
}

// listChildren serves GET of a child field.
func (q *request) listChildren() error {
	spec := q.spec()
	parent := q.oid(q.id)
	return q.answerList(spec, func(s *collection.Session, need collection.Need) (*collection.Collection, error) {
		of, c, err := q.openChild(s, parent, need)
		if err != nil {
			return nil, err
		}
		children, err := of.ChildQuery(parent, q.field)
		if err == nil {
			spec.Query = spec.Query.With(children)
		}
		return c, err
	})
}

// listing is the answer to a list request on its way.
type listing struct {
	web.Pieces
	q        *request
	spec     *query.Spec
	format   format
	info     kv.ReadInfo // as known inside the View
	totals   totals
	plan     bool // the answer is what the planner did
	envelope bool // the totals are part of the answer
	single   bool // of the totals only
}

// answerList serves a list, or what is made of one: groups, aggregates,
// distinct values, totals, or the plan.
func (q *request) answerList(spec *query.Spec, open opener) error {
	l := &listing{
		q: q, spec: spec, format: q.format(),
		plan: q.flag("explain"), envelope: q.flag("totals"), single: q.flag("totals") && q.flag("count"),
	}
	l.Pieces = web.Pieces{W: q.w, R: q.r, Time: q.PieceTime, Begin: l.begin}
	if l.format == formatScript {
		l.Buf = q.scriptHead(nil)
	}
	if l.single {
		spec.Skip, spec.Max = 0, defaultMax
	}
	if spec.Max < 0 && q.bad == nil && !spec.Aggregated() {
		spec.Max = defaultMax
	}
	l.totals.Skip, l.totals.Max = spec.Skip, max(spec.Max, 0)
	level := q.consistency()
	work, stop := q.work()
	defer stop()
	info, err := q.view(level, func(tx *kv.Tx, s *collection.Session) error {
		c, err := open(s, collection.Read)
		if err != nil {
			return err
		}
		// It counts documents that roles and lookups hide from others.
		if l.plan && !s.Full() {
			return errs.E(errs.Forbidden, "explain: only a full-access key may ask for it")
		}
		l.info = kv.ReadInfo{Version: tx.Version(), Consistency: level, Staleness: -1}
		return l.fill(work, c)
	})
	if err != nil {
		return err
	}
	return l.finish(info)
}

// fill runs the query and makes the answer of it.
func (l *listing) fill(ctx context.Context, c *collection.Collection) error {
	sel, err := c.Select(ctx, l.spec)
	if err != nil {
		return err
	}
	switch {
	case l.plan:
		for _, err := range sel.Documents() { // what it costs is part of what is told
			if err != nil {
				return err
			}
		}
		l.Buf = append(l.Buf, sel.Explain()...)
		return nil
	case l.single:
		err = l.total(ctx, c)
		l.totals.Count = l.totals.Total
		l.open("[]")
		l.close("")
		return err
	case l.spec.Aggregated():
		return l.aggregate(ctx, c, sel)
	}
	return l.documents(ctx, c, sel)
}

// documents renders a list of documents.
func (l *listing) documents(ctx context.Context, c *collection.Collection, sel *collection.Selection) error {
	show := l.q.renderer(ctx, c, l.spec)
	l.open("[")
	n := 0
	for d, err := range sel.Documents() {
		if err != nil {
			return err
		}
		if n++; n > 1 {
			l.Buf = append(l.Buf, ',')
		}
		if l.Buf, err = show(l.Buf, d); err != nil {
			return err
		}
		if more, err := l.flush(ctx, c); !more || err != nil {
			return err
		}
	}
	l.totals.Count = n
	if !l.Begun() {
		if err := l.count(ctx, c); err != nil {
			return err
		}
	}
	l.close("]")
	return nil
}

// aggregate renders groups, aggregates or distinct values.
func (l *listing) aggregate(ctx context.Context, c *collection.Collection, sel *collection.Selection) error {
	made, n, err := sel.Aggregate(l.q.renderer(ctx, c, l.spec))
	if err != nil {
		return err
	}
	l.totals.Count, l.totals.Total = n, l.spec.Skip+n
	if l.spec.Max >= 0 || n == 0 {
		if err := l.count(ctx, c); err != nil {
			return err
		}
	}
	if l.spec.Max < 0 {
		l.totals.Max = n
	}
	l.open(string(made))
	l.close("")
	return nil
}

// flush sends a piece of a long list, whose totals have to be known before. A
// page is made of the whole.
func (l *listing) flush(ctx context.Context, c *collection.Collection) (more bool, err error) {
	if l.format == formatPage {
		if len(l.Buf) > maxPage {
			return false, errs.E(errs.Invalid, "over %d bytes of documents are too many for a page, want a smaller max", maxPage)
		}
		return true, nil
	}
	if l.Full() && !l.Begun() {
		if err := l.total(ctx, c); err != nil {
			return false, err
		}
		l.totals.Count = max(min(l.totals.Total-l.totals.Skip, l.totals.Max), 0)
	}
	return l.Flush()
}

// count finds out the total of a list whose documents have all been seen. Where
// fewer came than could have, they were the last ones.
func (l *listing) count(ctx context.Context, c *collection.Collection) error {
	if n := l.totals.Count; n < l.spec.Max && (n > 0 || l.spec.Skip == 0) {
		l.totals.Total = l.spec.Skip + n
		return nil
	}
	return l.total(ctx, c)
}

// total counts all matches, which is a selection of its own: it needs no order
// and keeps nothing.
func (l *listing) total(ctx context.Context, c *collection.Collection) error {
	sel, err := c.Select(ctx, &query.Spec{Query: l.spec.Query, Filter: l.spec.Filter, Max: -1})
	if err != nil {
		return err
	}
	l.totals.Total, err = sel.Total()
	return err
}

// maxPage bounds the documents of a page, in bytes.
const maxPage = 8 << 20

// open begins the answer, and its data with first.
func (l *listing) open(first string) {
	if l.envelope {
		l.Buf = append(l.Buf, `{"data":`...)
	}
	l.Buf = append(l.Buf, first...)
}

// close ends the data with last, and the answer.
func (l *listing) close(last string) {
	l.Buf = append(l.Buf, last...)
	if l.envelope {
		l.Buf = append(appendJSON(append(l.Buf, `,"totals":`...), l.totals), '}')
	}
}

// paginate writes the header that tells the totals.
func (l *listing) paginate() {
	l.q.w.Header()["X-Pagination"] = []string{string(appendJSON(nil, l.totals))}
}

// begin writes the headers of a list in pieces.
func (l *listing) begin() {
	l.q.achieved(l.info)
	l.paginate()
	l.q.w.Header()["Content-Type"] = contentTypes[l.format]
	l.q.w.WriteHeader(http.StatusOK)
}

// finish writes what is left.
func (l *listing) finish(info kv.ReadInfo) error {
	if l.format == formatScript {
		l.Buf = append(l.Buf, scriptTail...)
	}
	if l.Begun() {
		return l.End()
	}
	l.q.achieved(info)
	if !l.plan {
		l.paginate()
	}
	if l.format == formatPage {
		return l.q.show(formatPage, l.Buf)
	}
	return l.q.send(http.StatusOK, contentTypes[l.format], l.Buf)
}
