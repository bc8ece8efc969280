package kvdb

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// format is an output format of lists.
type format uint8

const (
	formatText format = iota
	formatJSON
	formatLines // JSON lines; only by ?format=jsonl
)

// chooseFormat picks the format of a list: ?format= decides, else Accept.
// Neither known is errs.NotAcceptable.
func chooseFormat(query web.Pairs, accept []string) (format, error) {
	switch name := query.Value("format"); name {
	case "":
	case "text":
		return formatText, nil
	case "json":
		return formatJSON, nil
	case "jsonl":
		return formatLines, nil
	default:
		return 0, errs.E(errs.NotAcceptable, "unknown format, want text, json or jsonl")
	}
	f, ok := accepted(accept)
	if !ok {
		return 0, errs.E(errs.NotAcceptable, "lists are served as text/plain or application/json, Accept allows neither")
	}
	return f, nil
}

// accepted returns the wanted one of text and JSON: the range of the highest
// q, the first among equals. No range at all means text.
func accepted(accept []string) (format, bool) {
	media := web.ParseAccept(accept)
	if len(media) == 0 {
		return formatText, true
	}
	refused := func(typ, sub string) bool {
		return slices.ContainsFunc(media, func(m web.Media) bool { return m.Q == 0 && m.Type == typ && m.Subtype == sub })
	}
	noText, noJSON := refused("text", "plain"), refused("application", "json")
	slices.SortStableFunc(media, func(a, b web.Media) int {
		switch {
		case a.Q > b.Q:
			return -1
		case a.Q < b.Q:
			return 1
		}
		return 0
	})
	for _, m := range media {
		if m.Q == 0 {
			break
		}
		text := m.Type == "*" || m.Type == "text" && (m.Subtype == "plain" || m.Subtype == "*")
		json := m.Type == "*" || m.Type == "application" && (m.Subtype == "json" || m.Subtype == "*")
		switch {
		case text && !noText:
			return formatText, true
		case json && !noJSON:
			return formatJSON, true
		}
	}
	return 0, false
}

// contentTypes are the Content-Type headers of the formats. Responses share
// the slices: nobody writes to them.
var contentTypes = [...][]string{
	formatText:  {"text/plain; charset=utf-8"},
	formatJSON:  {"application/json"},
	formatLines: {"application/x-ndjson"},
}

// listing renders a list in one format.
type listing struct {
	format format
	values bool // keys with values
	items  int
}

// open appends what comes before the first item.
func (l *listing) open(dst []byte) []byte {
	if l.format == formatJSON {
		return append(dst, '[')
	}
	return dst
}

// item appends one item; isJSON says that value is a JSON value as it is.
func (l *listing) item(dst, key, value []byte, isJSON bool) []byte {
	if l.format == formatText {
		dst = appendLine(dst, key)
		if l.values {
			dst = appendLine(append(dst, '='), value)
		}
		return append(dst, '\n')
	}
	if l.format == formatJSON && l.items > 0 {
		dst = append(dst, ',')
	}
	l.items++
	if !l.values {
		dst = appendString(dst, key)
	} else {
		dst = append(appendString(append(dst, '['), key), ',')
		if isJSON {
			dst = append(dst, value...)
		} else {
			dst = appendString(dst, value)
		}
		dst = append(dst, ']')
	}
	if l.format == formatLines {
		dst = append(dst, '\n')
	}
	return dst
}

// close appends what comes after the last item.
func (l *listing) close(dst []byte) []byte {
	if l.format == formatJSON {
		return append(dst, ']')
	}
	return dst
}

// appendLine appends p with each newline as the two characters \n.
func appendLine(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return append(dst, p...)
		}
		dst = append(append(dst, p[:i]...), '\\', 'n')
		p = p[i+1:]
	}
}

const hexDigits = "0123456789abcdef"

// appendString appends p as a JSON string. It leaves <, > and & as they are,
// and replaces what is not UTF-8 by U+FFFD.
func appendString(dst, p []byte) []byte {
	dst = append(dst, '"')
	done := 0 // p[:done] is written
	for i := 0; i < len(p); {
		c := p[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, p[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(append(dst, p[done:i]...), '\\')
		switch c {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	return append(append(dst, p[done:]...), '"')
}
