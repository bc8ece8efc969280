package bucket

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// maxPattern bounds the text of a pattern, and with it what compiling and
// matching cost: RE2 takes time linear in pattern and key.
const maxPattern = 1 << 10

// A Pattern is a regular expression over keys: RE2 syntax, not anchored. It
// is safe for concurrent use. A nil *Pattern matches every key.
type Pattern struct {
	re     *regexp.Regexp
	prefix string // every key that matches begins with it
}

// ParsePattern compiles text. A pattern that does not parse, or is over 1 KiB,
// is errs.Invalid.
func ParsePattern(text string) (*Pattern, error) {
	if len(text) > maxPattern {
		return nil, errs.E(errs.Invalid, "regex of %d bytes, the limit is %d", len(text), maxPattern)
	}
	if text == "" || text == ".*" {
		return nil, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, errs.E(errs.Invalid, "regex does not parse")
	}
	return &Pattern{re: re, prefix: anchoredPrefix(text)}, nil
}

// anchoredPrefix returns the literal text that ^ at the head of the pattern
// forces every matching key to begin with, which may be empty.
func anchoredPrefix(text string) string {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat || len(tree.Sub) < 2 {
		return ""
	}
	begin, literal := tree.Sub[0], tree.Sub[1]
	if begin.Op != syntax.OpBeginText || literal.Op != syntax.OpLiteral || literal.Flags&syntax.FoldCase != 0 {
		return ""
	}
	prefix := string(literal.Rune)
	// U+FFFD also matches a byte that is not UTF-8: no literal from there on.
	prefix, _, _ = strings.Cut(prefix, string(utf8.RuneError))
	return prefix
}

func (p *Pattern) match(key []byte) bool { return p == nil || p.re.Match(key) }

// narrow returns the longest prefix that keys with the given prefix which
// match p must have, and false if there can be none.
func (p *Pattern) narrow(prefix []byte) ([]byte, bool) {
	switch {
	case p == nil || strings.HasPrefix(string(prefix), p.prefix):
		return prefix, true
	case strings.HasPrefix(p.prefix, string(prefix)):
		return []byte(p.prefix), true
	}
	return nil, false
}
