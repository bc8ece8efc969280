package web

import (
	"math"
	"strconv"
	"strings"
)

// Media is one media range of an Accept header, in lower case. Type and
// Subtype may be "*".
type Media struct {
	Type, Subtype string
	Q             float64 // 0 to 1; 0 means "not this"
}

// maxMedia bounds the work for one header; real ones hold under ten ranges.
const maxMedia = 64

// ParseAccept reads Accept headers in their order. Parameters other than q are
// dropped, a q that is no number counts as 1, and what is no media range is
// skipped. At most 64 ranges are read.
func ParseAccept(headers []string) []Media {
	var list []Media
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			if m, ok := parseMedia(part); ok && len(list) < maxMedia {
				list = append(list, m)
			}
		}
	}
	return list
}

func parseMedia(part string) (Media, bool) {
	kind, params, _ := strings.Cut(part, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if kind == "*" { // old Java clients send this for */*
		kind = "*/*"
	}
	t, sub, ok := strings.Cut(kind, "/")
	if !ok || t == "" || sub == "" || t == "*" && sub != "*" {
		return Media{}, false
	}
	m := Media{Type: t, Subtype: sub, Q: 1}
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && !math.IsNaN(q) {
			m.Q = min(max(q, 0), 1)
		}
		break
	}
	return m, true
}
