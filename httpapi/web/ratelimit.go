package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Limit allows N requests in every window of time.
type Limit struct {
	N      int
	Window time.Duration
}

// String returns the limit in the grammar of ParseLimits: "5 per hour", "100
// per 10 minutes".
func (l Limit) String() string {
	many, unit := l.span()
	if many > 1 {
		return strconv.Itoa(l.N) + " per " + strconv.Itoa(many) + " " + unit + "s"
	}
	return strconv.Itoa(l.N) + " per " + unit
}

// Normal returns the limit as the KOT contract names a breached one: always
// with a count of units, and these without an s, as in "2 per 1 minute".
func (l Limit) Normal() string {
	many, unit := l.span()
	return strconv.Itoa(l.N) + " per " + strconv.Itoa(many) + " " + unit
}

// span returns the window as a number of the largest unit that divides it.
func (l Limit) span() (many int, unit string) {
	for _, u := range limitUnits {
		if l.Window%u.span == 0 {
			return int(l.Window / u.span), u.name
		}
	}
	return int(l.Window / time.Second), "second"
}

// Limits all apply at once; none means no limit.
type Limits []Limit

// maxLimits bounds what is kept for each client.
const maxLimits = 8

// maxWindow keeps the sums of times far from overflow.
const maxWindow = 100 * 360 * day

const day = 24 * time.Hour

// limitUnits are the units of the grammar, in the order of String's choice.
var limitUnits = []struct {
	name string
	span time.Duration
}{{"year", 360 * day}, {"month", 30 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}

// ParseLimits reads `N per [M] unit` or `N/[M] unit`, in any case, items
// separated by ',', ';' or '|', such as "5 per hour, 1 per minute" or
// "100/10 minutes". Units are second, minute, hour, day, month (30 days) and
// year (360 days), with an optional s. "" and "off" mean no limit. "document"
// means preset, the numbers that the API's documents give.
func ParseLimits(text, preset string) (Limits, error) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "document":
		text = preset
	case "off":
		text = ""
	}
	if text == "" {
		return nil, nil
	}
	var limits Limits
	for _, item := range SplitLimits(text) {
		l, ok := parseLimit(strings.ToLower(item))
		if !ok || len(limits) == maxLimits {
			return nil, errs.E(errs.Invalid, "rate limit %q: want up to %d items like \"5 per hour\" or \"100 per 10 minutes\", separated by commas", text, maxLimits)
		}
		limits = append(limits, l)
	}
	return limits, nil
}

// SplitLimits returns the items of a text for ParseLimits, without the blanks
// around them.
func SplitLimits(text string) []string {
	items := strings.Split(strings.NewReplacer(";", ",", "|", ",").Replace(text), ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// limitForm is the grammar of one item. Real KOT servers need no blanks.
var limitForm = regexp.MustCompile(`^([0-9]+)\s*(?:/|per)\s*([0-9]*)\s*([a-z]+?)s?$`)

func parseLimit(item string) (Limit, bool) {
	m := limitForm.FindStringSubmatch(item)
	if m == nil {
		return Limit{}, false
	}
	n, ok := parseCount(m[1])
	many := 1
	if ok && m[2] != "" {
		many, ok = parseCount(m[2])
	}
	if !ok {
		return Limit{}, false
	}
	for _, u := range limitUnits {
		if u.name == m[3] && time.Duration(many) <= maxWindow/u.span {
			return Limit{N: n, Window: time.Duration(many) * u.span}, true
		}
	}
	return Limit{}, false
}

// parseCount reads a positive number of plain digits.
func parseCount(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && n > 0 && n < math.MaxInt32
}

// String returns the limits in the grammar of ParseLimits.
func (l Limits) String() string {
	if len(l) == 0 {
		return "off"
	}
	items := make([]string, len(l))
	for i, item := range l {
		items[i] = item.String()
	}
	return strings.Join(items, ", ")
}
