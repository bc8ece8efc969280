package query

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// What follows finds its way in JSON that is known to be valid, as stored
// documents are: it jumps over values by their brackets and quotes and decodes
// nothing but what was looked for, which is several times faster than a reader
// that has to be ready for errors. In other bytes it finds something or nothing
// and stops at the end.

// value returns the value of one JSON text, which begins with its first byte.
func value(raw string) Value {
	v := Value{raw: raw}
	if raw == "" {
		return v
	}
	switch c := raw[0]; {
	case c == '"':
		v.kind, v.text = Text, unquote(raw)
	case c == '{':
		v.kind = Object
	case c == '[':
		v.kind = Array
	case c == 't':
		v.kind, v.num = Bool, 1
	case c == 'f':
		v.kind = Bool
	case c == '-' || '0' <= c && c <= '9':
		n, _ := strconv.ParseFloat(raw, 64) // infinite if out of range, as it should be
		v.kind, v.num = Number, n+0         // -0 becomes 0
	}
	return v
}

// unquote returns what a JSON text stands for. It copies only where there are
// escapes.
func unquote(raw string) string {
	if len(raw) < 2 {
		return ""
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return gjson.Parse(raw).Str
}

// gap returns where the next value or name begins, at i or behind.
func gap(s string, i int) int {
	for i < len(s) && (s[i] <= ' ' || s[i] == ',' || s[i] == ':') {
		i++
	}
	return i
}

// skip returns where the value ends that begins at i.
func skip(s string, i int) int {
	if i >= len(s) {
		return i
	}
	switch s[i] {
	case '"':
		return skipText(s, i)
	case '{', '[':
		return skipNested(s, i)
	}
	for i < len(s) && s[i] > ' ' && s[i] != ',' && s[i] != '}' && s[i] != ']' {
		i++
	}
	return i
}

// skipText jumps from quote to quote: one ends the text unless an odd number of
// backslashes is before it.
func skipText(s string, i int) int {
	for end := i + 1; end < len(s); {
		n := strings.IndexByte(s[end:], '"')
		if n < 0 {
			break
		}
		end += n + 1
		if s[end-2] != '\\' || !escaped(s[i+1:end-1]) {
			return end
		}
	}
	return len(s)
}

// escaped reports whether text ends with an odd number of backslashes.
func escaped(text string) bool {
	return (len(text)-len(strings.TrimRight(text, `\`)))%2 == 1
}

func skipNested(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			i = skipText(s, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(s)
}

// next returns the value at i or behind, and where it ends; "" if there is none
// before the end of the object or array.
func next(s string, i int) (raw string, end int) {
	i = gap(s, i)
	end = skip(s, i)
	return s[i:end], end
}

// inside returns where the members of an object or array begin.
func inside(s string) int {
	i := 0
	for i < len(s) && s[i] <= ' ' {
		i++
	}
	return min(i+1, len(s))
}

// lookup returns the member of an object that has a name, "" if there is none.
func lookup(object, name string) string {
	for i := inside(object); ; {
		key, end := next(object, i)
		if key == "" {
			return ""
		}
		var raw string
		if raw, i = next(object, end); raw == "" || isName(key, name) {
			return raw
		}
	}
}

// isName reports whether a JSON text stands for a name. Escapes make it longer.
func isName(key, name string) bool {
	n := len(key) - 2
	switch {
	case n < len(name) || key[1] != name[0] && key[1] != '\\':
		return false
	case n == len(name):
		return key[1:n+1] == name && strings.IndexByte(name, '\\') < 0
	}
	return strings.IndexByte(key, '\\') >= 0 && unquote(key) == name
}
