package kvdb

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// parseForm reads the fields of a body: a JSON object if it begins with a
// brace or its Content-Type says so, else a form, which is what curl -d sends.
// A multipart form is refused rather than taken for a form without fields:
// that would create an open bucket for somebody who sent a key.
func parseForm(contentType string, body []byte) (web.Pairs, error) {
	body = bytes.TrimSpace(body)
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case len(body) == 0:
		return nil, nil
	case body[0] == '{', kind == "application/json", strings.HasSuffix(kind, "+json"):
		return parseFields(body)
	case strings.HasPrefix(kind, "multipart/"):
		return nil, errs.E(errs.Invalid, "send the fields as application/x-www-form-urlencoded or as a JSON object, not as multipart")
	}
	return web.SplitPairs(string(body)), nil
}

// parseFields reads a JSON object of strings and numbers; null is an absent
// field.
func parseFields(body []byte) (web.Pairs, error) {
	var object map[string]json.RawMessage
	if !utf8.Valid(body) || json.Unmarshal(body, &object) != nil || object == nil {
		return nil, errs.E(errs.Invalid, "the body is not a JSON object")
	}
	pairs := make(web.Pairs, 0, len(object))
	for name, raw := range object {
		value := string(raw)
		switch c := raw[0]; {
		case c == 'n':
			continue
		case c == '"':
			if err := json.Unmarshal(raw, &value); err != nil {
				return nil, errs.E(errs.Invalid, "a field of the JSON object is damaged")
			}
		case c != '-' && (c < '0' || c > '9'):
			if isField(name) {
				return nil, errs.E(errs.Invalid, "field %s is neither a string nor a number", name)
			}
			continue
		}
		pairs = append(pairs, web.Pair{Name: name, Value: value})
	}
	return pairs, nil
}

// isField reports whether name means anything here; clients may send more.
func isField(name string) bool {
	switch name {
	case "secret_key", "write_key", "read_key", "signing_key", "default_ttl", "id", "prefix", "permissions", "ttl":
		return true
	}
	return false
}
