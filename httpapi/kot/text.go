package kot

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/coveydb/covey/layer/database"
)

const hexDigits = "0123456789abcdef"

// shortEscapes are the control characters that JSON has a letter for.
var shortEscapes = [' ']byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

// appendText appends s as a JSON string in the one form that KOT sends: ASCII
// only, everything else and DEL as \uXXXX, in small letters and surrogate
// pairs, and none of < > & / escaped. Invalid bytes read as U+FFFD.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0 // s[from:i] needs no escape and is not appended yet
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		r, size := utf8.DecodeRuneInString(s[i:])
		dst = appendEscape(dst, r)
		i += size
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r < ' ' && shortEscapes[r] != 0:
		return append(dst, '\\', shortEscapes[r])
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

// appendUnit appends one UTF-16 unit as \uXXXX.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// appendValue appends a stored value as JSON.
func appendValue(dst []byte, v database.Value) []byte {
	switch v.Kind {
	case database.Null:
		return append(dst, "null"...)
	case database.JSON:
		return append(dst, v.Text...)
	}
	return appendText(dst, v.Text)
}

// printable returns s with every character that is not to be seen, control
// characters and line ends first, as its Go escape, so that no handler of the
// log prints a line that nobody logged. Invalid bytes read as U+FFFD.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !strconv.IsPrint(r) }
