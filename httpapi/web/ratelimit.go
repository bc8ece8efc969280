package web

import (
	"math"
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

// ParseLimits reads `N per [M] unit`, items separated by commas, such as
// "5 per hour, 1 per minute". Units are second, minute, hour, day, month (30
// days) and year (360 days), with an optional s. "" and "off" mean no limit.
// "document" means preset, the numbers that the API's documents give.
func ParseLimits(text, preset string) (Limits, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "document":
		text = preset
	case "off":
		text = ""
	}
	if text == "" {
		return nil, nil
	}
	var limits Limits
	for item := range strings.SplitSeq(text, ",") {
		l, ok := parseLimit(strings.Fields(item))
		if !ok || len(limits) == maxLimits {
			return nil, errs.E(errs.Invalid, "rate limit %q: want up to %d items like \"5 per hour\" or \"100 per 10 minutes\", separated by commas", text, maxLimits)
		}
		limits = append(limits, l)
	}
	return limits, nil
}

func parseLimit(words []string) (Limit, bool) {
	if len(words) < 3 || len(words) > 4 || words[1] != "per" {
		return Limit{}, false
	}
	n, ok := parseCount(words[0])
	many := 1
	if ok && len(words) == 4 {
		many, ok = parseCount(words[2])
	}
	if !ok {
		return Limit{}, false
	}
	unit := strings.TrimSuffix(words[len(words)-1], "s")
	for _, u := range limitUnits {
		if u.name == unit && time.Duration(many) <= maxWindow/u.span {
			return Limit{N: n, Window: time.Duration(many) * u.span}, true
		}
	}
	return Limit{}, false
}

// parseCount reads a positive number of plain digits.
func parseCount(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && n > 0 && n < math.MaxInt32 && s[0] != '+'
}

// String returns the limits in the grammar of ParseLimits.
func (l Limits) String() string {
	if len(l) == 0 {
		return "off"
	}
	var b strings.Builder
	for i, item := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(item.N) + " per ")
		for _, u := range limitUnits {
			if item.Window%u.span == 0 {
				if m := int(item.Window / u.span); m > 1 {
					b.WriteString(strconv.Itoa(m) + " " + u.name + "s")
				} else {
					b.WriteString(u.name)
				}
				break
			}
		}
	}
	return b.String()
}
