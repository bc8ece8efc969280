package query

import (
	"github.com/coveydb/covey/internal/errs"
)

// Defaults and bounds of an Accumulator.
const (
	DefaultMaxGroups = 100_000
	DefaultMaxBytes  = 64 << 20

	maxGroupLevels = 10
	maxAggregates  = 100
	groupCost      = 256 // bytes that a group takes besides its key and documents, about
	tallyCost      = 96  // and one of its aggregates
)

// Show appends a document, given as it is stored, as the answer shows it.
type Show func(dst, doc []byte) ([]byte, error)

// AccumulatorConfig says how an Accumulator shows documents and what it may keep.
type AccumulatorConfig struct {
	Show      Show
	MaxGroups int // groups, or distinct values; 0 is DefaultMaxGroups
	MaxBytes  int // of keys, values and documents kept, and of the answer; 0 is DefaultMaxBytes
}

// AnyOrder reports whether the answer is the same in whatever order the
// documents come: an aggregate over all matches.
func (s *Spec) AnyOrder() bool {
	_, distinct := s.Query.Distinct()
	return len(s.Aggregates) > 0 && len(s.GroupBy) == 0 && !distinct && s.Skip <= 0 && s.Max < 0
}

// An Accumulator makes groups, aggregates and distinct values of documents that
// come one at a time, in the order that the request asks for. Groups and
// distinct values are in the order of their first appearance. It keeps what it
// must: documents only in groups without aggregates and for MIN and MAX.
//
// It is for one goroutine.
type Accumulator struct {
	spec       *Spec
	cfg        AccumulatorConfig
	aggregates []Aggregate // each key once
	root       *group
	distinct   *distinct // instead of root
	groups     int
	bytes      int
	key        []byte // reused
}

// group is one group at one level; the root is the group of all documents.
type group struct {
	key     string
	inner   []*group // in order of appearance
	byKey   map[string]*group
	docs    []byte // as shown, with commas between them
	tallies []tally
}

// NewAccumulator returns an Accumulator for a request that is Aggregated.
func NewAccumulator(spec *Spec, cfg AccumulatorConfig) (*Accumulator, error) {
	a := &Accumulator{spec: spec, cfg: cfg, root: &group{}}
	if a.cfg.MaxGroups == 0 {
		a.cfg.MaxGroups = DefaultMaxGroups
	}
	if a.cfg.MaxBytes == 0 {
		a.cfg.MaxBytes = DefaultMaxBytes
	}
	if n := len(spec.GroupBy); n > maxGroupLevels {
		return nil, errs.E(errs.Invalid, "$groupby: %d fields, at most %d are allowed", n, maxGroupLevels)
	}
	if n := len(spec.Aggregates); n > maxAggregates {
		return nil, errs.E(errs.Invalid, "$aggregate: %d functions, at most %d are allowed", n, maxAggregates)
	}
	seen := map[string]bool{}
	for _, g := range spec.Aggregates {
		if !seen[g.Key()] {
			seen[g.Key()] = true
			a.aggregates = append(a.aggregates, g)
		}
	}
	if path, ok := spec.Query.Distinct(); ok {
		if len(spec.GroupBy)+len(spec.Aggregates) > 0 {
			return nil, errs.E(errs.Invalid, "$distinct: cannot be combined with $groupby or $aggregate")
		}
		a.distinct = newDistinct(path, spec.Sort)
	}
	return a, nil
}

// Add takes a document: stored is its stored JSON, and doc that JSON as paths
// see it, with what fields refer to if the request looks through them. It keeps
// neither. An error of kind TooLarge says which bound is reached.
func (a *Accumulator) Add(doc, stored []byte) error {
	if a.distinct != nil {
		return a.distinct.add(a, doc)
	}
	var kept []byte // one copy, whoever keeps it
	g, last := a.root, len(a.spec.GroupBy)
	for level := 0; ; level++ {
		if level == last || a.spec.GrandTotal {
			if err := a.tally(g, doc, stored, &kept); err != nil {
				return err
			}
		}
		if level == last {
			break
		}
		var err error
		if g, err = a.enter(g, a.spec.GroupBy[level], doc); err != nil {
			return err
		}
	}
	if len(a.aggregates) > 0 {
		return nil
	}
	if len(g.docs) > 0 {
		g.docs = append(g.docs, ',')
	}
	from := len(g.docs)
	var err error
	if g.docs, err = a.cfg.Show(g.docs, stored); err != nil {
		return err
	}
	return a.keep(len(g.docs) - from + 1)
}

// enter returns the group within g that a document belongs to.
func (a *Accumulator) enter(g *group, by Group, doc []byte) (*group, error) {
	a.key = by.appendKey(a.key[:0], doc)
	if in := g.byKey[string(a.key)]; in != nil {
		return in, nil
	}
	if err := a.count("$groupby", len(a.key)); err != nil {
		return nil, err
	}
	in := &group{key: string(a.key)}
	if g.byKey == nil {
		g.byKey = map[string]*group{}
	}
	g.byKey[in.key] = in
	g.inner = append(g.inner, in)
	return in, nil
}

// tally adds a document to a group's aggregates.
func (a *Accumulator) tally(g *group, doc, stored []byte, kept *[]byte) error {
	if g.tallies == nil && len(a.aggregates) > 0 {
		g.tallies = make([]tally, len(a.aggregates))
		if err := a.keep(tallyCost * len(a.aggregates)); err != nil {
			return err
		}
	}
	for i := range g.tallies {
		t := &g.tallies[i]
		if !t.add(a.aggregates[i], doc) {
			continue
		}
		if *kept == nil {
			*kept = append([]byte(nil), stored...)
		}
		if err := a.keep(len(*kept) - len(t.doc)); err != nil {
			return err
		}
		t.doc = *kept
	}
	return nil
}

// count counts one more group or value, with a key of n bytes.
func (a *Accumulator) count(what string, n int) error {
	if a.groups++; a.groups > a.cfg.MaxGroups {
		return errs.E(errs.TooLarge, "%s: more than %d different values; narrow q", what, a.cfg.MaxGroups)
	}
	return a.keep(groupCost + n)
}

// keep counts n more bytes, or fewer.
func (a *Accumulator) keep(n int) error {
	if a.bytes += n; a.bytes > a.cfg.MaxBytes {
		return a.tooLarge()
	}
	return nil
}

func (a *Accumulator) tooLarge() error {
	return errs.E(errs.TooLarge, "the groups, aggregates or distinct values of this query take more than %d bytes; narrow q or ask for fewer $fields", a.cfg.MaxBytes)
}

// JSON returns the answer: an object, or for $distinct an array. It shows the
// documents of MIN and MAX, so where Show reads from a transaction it belongs
// into that.
func (a *Accumulator) JSON() ([]byte, error) {
	if a.distinct != nil {
		return a.distinct.json(), nil
	}
	if a.root.tallies == nil && len(a.aggregates) > 0 {
		a.root.tallies = make([]tally, len(a.aggregates)) // of nothing
	}
	return a.append(nil, a.root, len(a.spec.GroupBy))
}

// append appends a group that has so many levels within it.
func (a *Accumulator) append(dst []byte, g *group, levels int) (_ []byte, err error) {
	if levels == 0 && len(a.aggregates) == 0 {
		return append(append(append(dst, '['), g.docs...), ']'), nil
	}
	dst = append(dst, '{')
	from := len(dst)
	for _, in := range g.inner {
		dst = appendName(dst, in.key, len(dst) > from)
		if dst, err = a.append(dst, in, levels-1); err != nil {
			return nil, err
		}
	}
	if levels > 0 && !a.spec.GrandTotal {
		return append(dst, '}'), nil
	}
	for i, agg := range a.aggregates {
		if g.byKey[agg.Key()] != nil {
			continue // a group of that very name: it stays
		}
		dst = appendName(dst, agg.Key(), len(dst) > from)
		if dst, err = g.tallies[i].appendResult(dst, agg, a.cfg.Show); err != nil {
			return nil, err
		}
		if len(dst) > a.cfg.MaxBytes {
			return nil, a.tooLarge()
		}
	}
	return append(dst, '}'), nil
}

// appendName appends a member's name and its colon.
func appendName(dst []byte, name string, more bool) []byte {
	if more {
		dst = append(dst, ',')
	}
	return append(AppendText(dst, name), ':')
}
