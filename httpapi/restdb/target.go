package restdb

import (
	"net/url"
	"strings"

	"github.com/coveydb/covey/layer/collection"
)

// place is what a path names.
type place uint8

const (
	atNothing    place = iota // nothing that is served, below a segment that is
	atCollection              // /rest/{collection}
	atAll                     // /rest/{collection}/*
	atDocument                // /rest/{collection}/{id}
	atChildren                // /rest/{collection}/{id}/{field}
	atChild                   // /rest/{collection}/{id}/{field}/{id}
	atJWT                     // /auth/jwt
	atToken                   // /auth/token
	atUserinfo                // /auth/userinfo
)

// target is a path, taken apart.
type target struct {
	place      place
	path       string // what a key's scope is compared with: items/ID; "" not below /rest/
	collection string
	id         string // as it was sent, perhaps no id at all
	field      string
	child      string // an id, as it was sent
	suffix     string // html of /rest/items.html
}

// parseTarget takes an escaped path apart, segment by segment, as it was sent:
// nothing is cleaned, and a slash at the end is as good as none. It reports
// false for paths that need no key to be told that they lead nowhere.
func parseTarget(escaped string) (t target, ok bool) {
	escaped = strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/")
	first, rest, _ := strings.Cut(escaped, "/")
	switch first {
	case "rest":
		return parseRest(rest), true
	case "auth":
		places := map[string]place{"jwt": atJWT, "token": atToken, "userinfo": atUserinfo}
		return target{place: places[rest]}, true
	}
	return target{}, false
}

func parseRest(escaped string) (t target) {
	t.path = escaped
	var parts []string
	for part := range strings.SplitSeq(escaped, "/") {
		// A slash in a segment would let one path pass for another before the
		// scope of a key.
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" || strings.Contains(plain, "/") || len(parts) == 4 {
			return t
		}
		parts = append(parts, plain)
	}
	if name, suffix, _ := strings.Cut(parts[0], "."); suffix != "" && len(parts) == 1 {
		parts[0], t.suffix = name, suffix
	}
	if !collection.ValidName(parts[0]) {
		return t
	}
	t.path = strings.Join(parts, "/")
	t.collection = parts[0]
	t.place = []place{atCollection, atDocument, atChildren, atChild}[len(parts)-1]
	if len(parts) > 1 {
		t.id = parts[1]
		if t.id == "*" && len(parts) == 2 {
			t.place = atAll
		}
	}
	if len(parts) > 2 {
		t.field = parts[2]
	}
	if len(parts) > 3 {
		t.child = parts[3]
	}
	return t
}
