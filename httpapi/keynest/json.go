package keynest

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth  = 100    // how deep the values of a body may be nested
	maxTokens = 10_000 // names, values and brackets of a body: each takes more memory than its bytes
)

// tokens is a json.Decoder that reads so many tokens and no more.
type tokens struct {
	*json.Decoder
	left int
}

var errManyTokens = parseError("JSON parse error - over %d names and values", maxTokens)

func (t *tokens) Token() (json.Token, error) {
	if t.left--; t.left < 0 {
		return nil, errManyTokens
	}
	return t.Decoder.Token()
}

// parseJSON reads one JSON value as encoding/json would, with numbers as
// json.Number, but refuses what that would change silently: bytes that are no
// UTF-8, halves of surrogate pairs, and names that an object has twice. A value
// is stored as it came or not at all.
func parseJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, parseError("JSON parse error - the body is not valid UTF-8")
	}
	if at := halfPair(body); at >= 0 {
		return nil, parseError("JSON parse error - half of a surrogate pair at byte %d", at)
	}
	d := &tokens{json.NewDecoder(bytes.NewReader(body)), maxTokens}
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, parseError("JSON parse error - extra data at byte %d", d.InputOffset())
	}
	return v, nil
}

func parseValue(d *tokens, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, badJSON(d)
	}
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, parseError("JSON parse error - nested over %d deep at byte %d", maxDepth, d.InputOffset())
	}
	if open == '[' {
		return parseList(d, depth+1)
	}
	return parseMembers(d, depth+1)
}

func parseList(d *tokens, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON(d)
	}
	return list, nil
}

func parseMembers(d *tokens, depth int) (any, error) {
	object := make(map[string]any)
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, badJSON(d)
		}
		if _, twice := object[name]; twice {
			return nil, parseError("JSON parse error - the name before byte %d is there twice", d.InputOffset())
		}
		if object[name], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON(d)
	}
	return object, nil
}

// badJSON is the error for what is no JSON, from where the decoder stands.
func badJSON(d *tokens) error {
	if d.left < 0 {
		return errManyTokens
	}
	return parseError("JSON parse error - not valid JSON after byte %d", d.InputOffset())
}

// halfPair returns where in a JSON text the first escape is that is half of a
// surrogate pair, negative if there is none. Backslashes that are outside of
// strings, and bad escapes, are the decoder's to refuse.
func halfPair(body []byte) int {
	for i := 0; i < len(body); {
		next := bytes.IndexByte(body[i:], '\\')
		if next < 0 {
			break
		}
		i += next
		switch unit := escaped(body[i:]); {
		case unit < 0:
			i += 2
		case unit>>11 != 0xd800>>11:
			i += 6
		case unit < 0xdc00 && escaped(body[i+6:])>>10 == 0xdc00>>10:
			i += 12
		default:
			return i
		}
	}
	return -1
}

// escaped returns the UTF-16 unit of the escape \uXXXX that p begins with,
// negative if it begins with none.
func escaped(p []byte) int {
	if len(p) < 6 || p[0] != '\\' || p[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(p[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}

// typeName is what clients know a JSON value's type by.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	case string:
		return "str"
	case []any:
		return "list"
	}
	return "dict"
}
