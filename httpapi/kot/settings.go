package kot

import (
	"slices"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// DocumentRateLimit is the rate limit of KOT's document.
const DocumentRateLimit = "5 per hour, 1 per minute"

// Restricted are the names of endpoints that nobody may call, in the
// operator's order. Make it with ParseRestricted.
type Restricted []string

// ParseRestricted reads names of endpoints, separated by commas, such as "set,
// get". A name counts once; "" restricts nothing. The error for an unknown
// name lists the known ones.
func ParseRestricted(text string) (Restricted, error) {
	var list Restricted
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" || slices.Contains(list, name) {
			continue
		}
		if !slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.name == name }) {
			return nil, errs.E(errs.Invalid, "restricted endpoint %q is not one of %s", name, strings.Join(endpointNames(), ", "))
		}
		list = append(list, name)
	}
	return list, nil
}

// RateLimit holds for each endpoint and client. The zero value is no limit.
// Make it with ParseRateLimit.
type RateLimit struct {
	Limits web.Limits
	Items  []string // of Limits, as the operator wrote them
}

// ParseRateLimit reads what web.ParseLimits does: "5 per hour, 1 per minute",
// "5/hour", "document" for DocumentRateLimit, "" or "off" for no limit.
func ParseRateLimit(text string) (RateLimit, error) {
	limits, err := web.ParseLimits(text, DocumentRateLimit)
	if err != nil || len(limits) == 0 {
		return RateLimit{}, err
	}
	if strings.EqualFold(strings.TrimSpace(text), "document") {
		text = DocumentRateLimit
	}
	return RateLimit{Limits: limits, Items: web.SplitLimits(text)}, nil
}
