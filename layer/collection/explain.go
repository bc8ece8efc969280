package collection

import "encoding/json"

// explanation is what Explain tells.
type explanation struct {
	Plan  string   `json:"plan"` // nothing, ids, documents or index
	Index string   `json:"index,omitempty"`
	Paths []string `json:"paths,omitempty"`
	Spans int      `json:"spans,omitempty"`
	Back  bool     `json:"backwards,omitempty"`
	Order string   `json:"order"` // where the order comes from: the plan, or a sort of the matches
	Cost  float64  `json:"cost"`  // by rule, in documents read one after the other

	Entries   int  `json:"entries"`   // of indexes, looked at
	Documents int  `json:"documents"` // looked at
	Sorted    int  `json:"sorted"`    // put in order
	Matched   int  `json:"matched"`   // so far
	Counted   bool `json:"counted"`   // the total was counted without reading documents

	Advice string `json:"advice,omitempty"`
}

// Explain returns a JSON object: what the planner did, and what it has cost so
// far. Before Documents or Total it is what Documents is going to do.
func (s *Selection) Explain() []byte {
	p := s.plan
	if p == nil {
		w := s.want
		w.limit = s.limit()
		made := makePlan(s.c.row.Indexes, w)
		p = &made
	}
	e := explanation{
		Plan: wayNames[p.way], Spans: len(p.spans), Back: p.back, Order: "as found", Cost: p.cost,
		Entries: s.entries, Documents: s.looked, Sorted: s.sorted, Matched: s.matched, Counted: s.counted,
	}
	if p.way == byIndex {
		e.Index, e.Paths = p.ix.Name, p.ix.Paths
	}
	if p.way == byID {
		e.Spans = len(p.ids)
	}
	switch {
	case p.ordered:
	case len(s.want.sort) > 0:
		e.Order = "sorted"
	default:
		e.Order = "ids sorted"
	}
	if p.way == byDocuments && !s.spec.Everything() || e.Order == "sorted" {
		e.Advice = s.advice()
	}
	out, err := json.Marshal(e)
	if err != nil {
		panic(err) // texts and numbers
	}
	return out
}
