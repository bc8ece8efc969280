package kvdb

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// tags is an If-Match or If-None-Match header: entity tags, which stand for
// versions of a record.
type tags struct {
	stated   bool
	any      bool     // "*"
	versions []uint64 // tags of another form name nothing that ever existed here
}

// maxTags bounds the work for one header.
const maxTags = 64

// parseTags reads a header's values. Weak tags count only where weak says so:
// RFC 9110, section 13.1, compares If-Match strongly and If-None-Match weakly.
func parseTags(values []string, weak bool) (tags, error) {
	if len(values) == 0 {
		return tags{}, nil
	}
	t := tags{stated: true}
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		t.any = true
		return t, nil
	}
	for n := 0; rest != ""; n++ {
		strong := !strings.HasPrefix(rest, "W/")
		rest = strings.TrimPrefix(rest, "W/")
		if n == maxTags || rest == "" || rest[0] != '"' {
			return tags{}, badTags()
		}
		tag, after, closed := strings.Cut(rest[1:], `"`)
		if !closed {
			return tags{}, badTags()
		}
		if v, ok := versionOf(tag); ok && (strong || weak) {
			t.versions = append(t.versions, v)
		}
		after = strings.TrimLeft(after, " \t")
		if after != "" && after[0] != ',' {
			return tags{}, badTags()
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return t, nil
}

func badTags() error {
	return errs.E(errs.Invalid, "If-Match and If-None-Match want * or up to %d tags in double quotes, separated by commas", maxTags)
}

// versionOf reads the version from the tag v123.
func versionOf(tag string) (uint64, bool) {
	digits, ok := strings.CutPrefix(tag, "v")
	if !ok || digits == "" || digits[0] == '0' || digits[0] == '+' {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	return v, err == nil
}

// matches reports whether a record of this version, or none, is named.
func (t tags) matches(found bool, version uint64) bool {
	if !found {
		return false
	}
	for _, v := range t.versions {
		if v == version {
			return true
		}
	}
	return t.any
}

// condition is what a request demands of the record as it is.
type condition struct{ match, noneMatch tags }

func parseCondition(h http.Header) (condition, error) {
	match, err := parseTags(h["If-Match"], false)
	if err != nil {
		return condition{}, err
	}
	noneMatch, err := parseTags(h["If-None-Match"], true)
	return condition{match, noneMatch}, err
}

// etag returns the strong tag of a record's version.
func etag(version uint64) string {
	var buf [24]byte
	p := strconv.AppendUint(append(buf[:0], `"v`...), version, 10)
	return string(append(p, '"'))
}
