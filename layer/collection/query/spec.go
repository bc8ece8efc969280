package query

// Spec is what a list request asks for, after the URL and the hints have been
// merged. Build it with Max -1.
type Spec struct {
	Query      *Query // nil: every document
	Filter     Filter
	Sort       []SortKey // ties, and an empty Sort, are by ascending _id
	Skip       int
	Max        int // -1: not given
	Fields     Projection
	GroupBy    []Group
	Aggregates []Aggregate
	GrandTotal bool
	Metafields bool
}

// Override sets what the hints give and leaves the rest.
func (s *Spec) Override(h Hints) {
	if h.Fields != nil {
		s.Fields = *h.Fields
	}
	if h.Sort != nil {
		s.Sort = h.Sort
	}
	if h.Skip != nil {
		s.Skip = *h.Skip
	}
	if h.Max != nil {
		s.Max = *h.Max
	}
	if h.GroupBy != nil {
		s.GroupBy = h.GroupBy
	}
	if h.Aggregates != nil {
		s.Aggregates = h.Aggregates
	}
	if h.GrandTotal != nil {
		s.GrandTotal = *h.GrandTotal
	}
	if h.Metafields != nil {
		s.Metafields = *h.Metafields
	}
}

// Match reports whether a stored document is one that the request asks for,
// before Skip and Max.
func (s *Spec) Match(doc []byte) bool { return s.Query.Match(doc) && s.Filter.Match(doc) }

// Everything reports whether Match is true of every document.
func (s *Spec) Everything() bool { return s.Query.Empty() && s.Filter.Empty() }

// Aggregated reports whether the answer is groups or aggregates, or a list of
// distinct values, and not documents.
func (s *Spec) Aggregated() bool {
	_, distinct := s.Query.Distinct()
	return distinct || len(s.GroupBy)+len(s.Aggregates) > 0
}
