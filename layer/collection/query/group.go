package query

import (
	"math"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// nullGroup is the key of documents that have no value to group by.
const nullGroup = "null"

// datePrefix begins a group by a date in a format of the client's.
const datePrefix = "$DATE."

// dateParts are the groups by one part of a date, as formats.
var dateParts = map[string]string{
	"$YEAR": "Y", "$MONTH": "M", "$DAY": "D", "$HOUR": "H", "$SEC": "s",
}

// Group is one level of $groupby: a field's value, or its date in a format.
type Group struct {
	text   string
	path   Path
	date   bool
	format momentFormat
}

// ParseGroup parses one member of $groupby, or one groupby parameter: a path,
// $YEAR:path (also $MONTH, $DAY, $HOUR and $SEC), or $DATE.<format>:path with a
// format of the moment library. The format may hold colons, the path may not.
func ParseGroup(text string) (Group, error) {
	g := Group{text: text}
	field := text
	if strings.HasPrefix(text, "$") {
		colon := strings.LastIndexByte(text, ':')
		if colon < 0 {
			return Group{}, errs.E(errs.Invalid, "group %q: a date needs its field, as in $YEAR:field", text)
		}
		format, ok := strings.CutPrefix(text[:colon], datePrefix)
		if !ok {
			format, ok = dateParts[text[:colon]]
		}
		switch {
		case !ok:
			return Group{}, errs.E(errs.Invalid, "group %q: unknown part of a date (known: $YEAR, $MONTH, $DAY, $HOUR, $SEC, $DATE.<format>)", text)
		case format == "":
			return Group{}, errs.E(errs.Invalid, "group %q: the format of the date is empty", text)
		case len(format) > maxMoment:
			return Group{}, errs.E(errs.Invalid, "group by date: the format has %d bytes, at most %d are allowed", len(format), maxMoment)
		}
		g.date, g.format, field = true, parseMoment(format), text[colon+1:]
	}
	path, err := ParsePath(field)
	if err != nil {
		return Group{}, errs.E(errs.Invalid, "group %q: %w", text, err)
	}
	g.path = path
	return g, nil
}

// String returns the group as it was asked for.
func (g Group) String() string { return g.text }

// Path returns the field that the group is made by.
func (g Group) Path() Path { return g.path }

// appendKey appends the key of the group that a document belongs to. Keys are
// texts, so 1 and "1" are one group. A document belongs to one group: an array
// is one value, and its key is its JSON, as that of an object is. Without a
// value, or where a date is wanted and there is none, the key is null.
func (g *Group) appendKey(dst, doc []byte) []byte {
	var first Value
	var all []byte // of a path that reaches several values
	for v := range g.path.Values(doc) {
		switch {
		case !v.Exists():
		case !first.Exists():
			first = v
		default:
			if all == nil {
				all = append(append(all, '['), first.Raw()...)
			}
			all = append(append(all, ','), v.Raw()...)
		}
	}
	if g.date {
		if t, ok := dateOf(first); ok {
			return g.format.append(dst, t)
		}
		return append(dst, nullGroup...)
	}
	switch {
	case !first.Exists():
		return append(dst, nullGroup...)
	case all != nil:
		return append(append(dst, all...), ']')
	case first.Kind() == Text:
		return append(dst, first.Text()...)
	case first.Kind() == Number:
		return appendNumber(dst, first.Float())
	}
	return append(dst, first.Raw()...)
}

// appendNumber appends a number as JavaScript writes it, so that 1.0 is 1; what
// is beyond a float64's range is null.
func appendNumber(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(dst, nullGroup...)
	}
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n-from >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' { // 1e-07 is 1e-7
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
