package dotenv

import (
	"iter"
	"strings"
)

// Problem is why a line was rejected. Its text holds nothing of the line.
type Problem string

// The problems.
const (
	NoEquals  Problem = "no = in the line"
	BadKey    Problem = "invalid key: must start with a letter or underscore and contain only letters, numbers and underscores"
	Unclosed  Problem = "the quote is not closed"
	TextAfter Problem = "text after the closing quote"
	HoldsNUL  Problem = "the value holds a NUL byte"
)

// Line is one assignment of a file, or one line that is rejected.
type Line struct {
	Number  int     // counted from 1; where the assignment begins
	Key     string  // also of a rejected line, if it has a valid one
	Value   string  // empty if rejected
	Problem Problem // "" if the line is good
}

// blanks are trimmed around lines, keys and values without quotes. A carriage
// return is among them: at the end of a line it belongs to the line break.
const blanks = " \t\r\v\f"

// MaxKey bounds a key, in bytes.
const MaxKey = 255

// Scan yields the assignments and the rejected lines of a file in its order.
// Blank lines and comments are left out. A key may come more than once; that
// the last one counts is the caller's to apply. Keys and values may share
// memory with text.
//
// A quoted value may span lines. If its quote is not closed, or is followed by
// text, only the line where it begins is rejected and reading goes on with the
// next: a forgotten quote must not take other variables with it.
func Scan(text string) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		rest := strings.TrimPrefix(text, "\ufeff")
		for number := 1; rest != ""; {
			l, used := scanLine(rest)
			if l.Number = number; (l.Key != "" || l.Problem != "") && !yield(l) {
				return
			}
			number += max(1, strings.Count(rest[:used], "\n"))
			rest = rest[used:]
		}
	}
}

// scanLine reads the assignment at the start of text and returns how much of
// text it takes, line break included. Key and Problem are empty where there is
// nothing to read.
func scanLine(text string) (l Line, used int) {
	used = lineLength(text)
	line := strings.TrimRight(text[:used], blanks+"\n")
	trimmed := strings.TrimLeft(line, blanks)
	if trimmed == "" || trimmed[0] == '#' {
		return l, used
	}
	name, after, ok := strings.Cut(line, "=")
	if !ok {
		return Line{Problem: NoEquals}, used
	}
	if l.Key = keyOf(name); !ValidKey(l.Key) {
		return Line{Problem: BadKey}, used
	}
	start := len(line) - len(strings.TrimLeft(after, blanks))
	if start == len(line) || strings.IndexByte(quotes, line[start]) < 0 {
		l.Value = bare(after)
	} else {
		var n int
		if l.Value, n, l.Problem = quoted(text[start:]); l.Problem == "" {
			used = start + n + lineLength(text[start+n:])
		}
	}
	if strings.IndexByte(l.Value, 0) >= 0 {
		l.Value, l.Problem = "", HoldsNUL
	}
	return l, used
}

// lineLength is the length of the first line of text with its line break.
func lineLength(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// keyOf takes blanks and the prefix that shells want off what stands before =.
func keyOf(name string) string {
	name = strings.Trim(name, blanks)
	if after, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(after, blanks) != after {
		return strings.TrimLeft(after, blanks)
	}
	return name
}

// ValidKey reports whether key can name a variable in a file: a letter or
// underscore and then letters, digits and underscores, MaxKey bytes at most.
func ValidKey(key string) bool {
	if key == "" || len(key) > MaxKey || '0' <= key[0] && key[0] <= '9' {
		return false
	}
	for i := range len(key) {
		if c := key[i]; c != '_' && !alphanumeric(c) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// bare reads a value without quotes: it ends at a blank that is followed by #.
// A # elsewhere is part of it, as in an address.
func bare(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == '#' && strings.IndexByte(blanks, s[i-1]) >= 0 {
			s = s[:i]
		}
	}
	return strings.Trim(s, blanks)
}

const quotes = "\"'`"

// quoted reads the quoted value at the start of s and returns how much of s it
// takes, quotes included.
func quoted(s string) (value string, n int, p Problem) {
	value, n = unquote(s)
	if n == 0 {
		return "", 0, Unclosed
	}
	tail := strings.Trim(s[n:n+lineLength(s[n:])], blanks+"\n")
	if tail != "" && tail[0] != '#' {
		return "", 0, TextAfter
	}
	return value, n, ""
}

// unquote returns what stands between the quotes that s begins with, and the
// length with them; 0 if the second one is missing. Double quotes undo escapes.
// The others are literal, but '\” inside single quotes, which is how shells
// write one, is a single quote.
func unquote(s string) (value string, n int) {
	quote := s[0]
	var b strings.Builder
	from := 1 // what is not in b yet
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote == '"' && i+1 < len(s):
			if plain, ok := unescape(s[i+1]); ok {
				b.WriteString(s[from:i])
				b.WriteByte(plain)
				from = i + 2
			}
			i++
		case c == quote && quote == '\'' && strings.HasPrefix(s[i:], shellQuote):
			b.WriteString(s[from:i])
			b.WriteByte('\'')
			i += len(shellQuote) - 1
			from = i + 1
		case c == quote && b.Len() == 0:
			return s[from:i], i + 1
		case c == quote:
			b.WriteString(s[from:i])
			return b.String(), i + 1
		}
	}
	return "", 0
}

// shellQuote is a single quote inside single quotes.
const shellQuote = `'\''`

// unescape returns what a backslash and c stand for in double quotes. If they
// stand for themselves ok is false.
func unescape(c byte) (plain byte, ok bool) {
	switch c {
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case '"', '\'', '\\', '$', '`':
		return c, true
	}
	return 0, false
}
