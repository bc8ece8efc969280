package restdb

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// defaultMax is how many documents a list shows at most if the client does not
// say.
const defaultMax = 1000

// isOn reads the value of a flag: anything but false, 0 and nothing switches it
// on, since clients send metafields=true?q={} and mean it.
func isOn(value string) bool { return value != "" && value != "0" && value != "false" }

func (q *request) flag(name string) bool { return isOn(q.query.Value(name)) }

// spec reads the parameters of a list. What is wrong with them is noted.
func (q *request) spec() *query.Spec {
	s, err := parseSpec(q.query, q.at)
	q.note(err)
	return s
}

// parseSpec merges q, the parameters and the hints of h, which come first.
// A parameter that cannot be read is errs.Invalid: left out it would widen the
// answer.
func parseSpec(pairs web.Pairs, now time.Time) (s *query.Spec, err error) {
	s = &query.Spec{Max: -1, Metafields: isOn(pairs.Value("metafields"))}
	if s.Filter, err = query.ParseFilter(pairs.Value("filter")); err != nil {
		return s, err
	}
	text, err := object(pairs, "q", true)
	if err != nil {
		return s, err
	}
	if s.Query, err = query.Parse(text, now); err != nil {
		return s, err
	}
	if s.Skip, err = count(pairs, "skip", 0); err != nil {
		return s, err
	}
	if s.Max, err = count(pairs, "max", -1); err != nil {
		return s, err
	}
	if s.Sort, err = sortKeys(pairs); err != nil {
		return s, err
	}
	if err := grouping(pairs, s); err != nil {
		return s, err
	}
	if text, err = object(pairs, "h", true); err != nil {
		return s, err
	}
	hints, err := query.ParseHints(text)
	if err != nil {
		return s, err
	}
	s.Override(hints)
	return s, nil
}

// object returns the text of q or h, of which there is one at most. A lenient
// one may be empty, null or undefined, as generated clients send them.
func object(pairs web.Pairs, name string, lenient bool) ([]byte, error) {
	text, given := "", false
	for _, p := range pairs {
		if p.Name != name {
			continue
		}
		if given {
			return nil, errs.E(errs.Invalid, "%s is given twice", name)
		}
		text, given = strings.TrimSpace(p.Value), true
	}
	if !given || lenient && (text == "" || text == "null" || text == "undefined") {
		return emptyObject, nil
	}
	if !strings.HasPrefix(text, "{") {
		return nil, errs.E(errs.Invalid, "%s is not a JSON object", name)
	}
	return []byte(text), nil
}

// count reads a number of documents. One that no int holds is as good as the
// largest.
func count(pairs web.Pairs, name string, absent int) (int, error) {
	text := strings.TrimSpace(pairs.Value(name))
	if text == "" {
		return absent, nil
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return absent, errs.E(errs.Invalid, "%s is not a whole number, 0 or more", name)
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > math.MaxInt32 {
		return math.MaxInt32, nil
	}
	return n, nil
}

// sortKeys reads sort and dir, of which the first belongs to the first, and so
// on.
func sortKeys(pairs web.Pairs) (keys []query.SortKey, err error) {
	var dirs []string
	for _, p := range pairs {
		if p.Name == "dir" {
			dirs = append(dirs, strings.TrimSpace(p.Value))
		}
	}
	n := 0
	for _, p := range pairs {
		if p.Name != "sort" {
			continue
		}
		dir := ""
		if n < len(dirs) {
			dir = dirs[n]
		}
		n++
		if p.Value == "" {
			continue
		}
		key := query.SortKey{Desc: dir == "-1"}
		if dir != "" && dir != "1" && dir != "-1" {
			return nil, errs.E(errs.Invalid, "dir is neither 1 nor -1")
		}
		if key.Path, err = query.ParsePath(p.Value); err != nil {
			return nil, errs.E(errs.Invalid, "sort: %w", err)
		}
		if keys = append(keys, key); len(keys) > maxRepeats {
			return nil, errs.E(errs.Invalid, "sort is given more than %d times", maxRepeats)
		}
	}
	return keys, nil
}

// maxRepeats bounds how often a parameter that may be repeated is.
const maxRepeats = 100

// grouping reads groupby and aggregate.
func grouping(pairs web.Pairs, s *query.Spec) error {
	for _, p := range pairs {
		if p.Value == "" {
			continue
		}
		switch p.Name {
		case "groupby":
			g, err := query.ParseGroup(p.Value)
			if err != nil {
				return err
			}
			s.GroupBy = append(s.GroupBy, g)
		case "aggregate":
			a, err := query.ParseAggregate(p.Value)
			if err != nil {
				return err
			}
			s.Aggregates = append(s.Aggregates, a)
		}
		if len(s.GroupBy)+len(s.Aggregates) > maxRepeats {
			return errs.E(errs.Invalid, "groupby and aggregate are given more than %d times", maxRepeats)
		}
	}
	return nil
}

// deletion reads the parameters of a deletion by query. Nothing is lenient here
// and nothing is left out: what it does not understand would delete more.
func deletion(pairs web.Pairs, now time.Time) (s *query.Spec, err error) {
	s = &query.Spec{Max: -1}
	if _, ok := pairs.Lookup("q"); !ok {
		return s, errs.E(errs.Invalid, "a deletion of many documents wants their ids as an array in the body, or q; q={} means all of them")
	}
	for _, name := range []string{"h", "max", "skip", "sort", "dir", "groupby", "aggregate"} {
		if v, ok := pairs.Lookup(name); ok && v != "" && v != "{}" {
			return s, errs.E(errs.Invalid, "%s has no place in a deletion by query", name)
		}
	}
	if s.Filter, err = deletionFilter(pairs); err != nil {
		return s, err
	}
	text, err := object(pairs, "q", false)
	if err != nil {
		return s, err
	}
	if s.Query, err = query.Parse(text, now); err != nil {
		return s, err
	}
	if s.Aggregated() {
		return s, errs.E(errs.Invalid, "$distinct has no place in a deletion by query")
	}
	return s, nil
}

// deletionFilter reads the one filter of a deletion, which must not be empty if
// it is there.
func deletionFilter(pairs web.Pairs) (f query.Filter, err error) {
	n := 0
	for _, p := range pairs {
		if p.Name != "filter" {
			continue
		}
		n++
		if f, err = query.ParseFilter(p.Value); err != nil {
			return f, err
		}
		if f.Empty() || n > 1 {
			return f, errs.E(errs.Invalid, "the filter of a deletion is one text with words")
		}
	}
	return f, nil
}
