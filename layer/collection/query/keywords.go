package query

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// byKey is who has created a document under an access key.
const byKey = "api"

// metafields are the fields of a document that the server writes. Their words
// are not the document's.
var metafields = map[string]bool{
	"_id": true, "_created": true, "_changed": true, "_createdby": true, "_changedby": true, "_version": true,
	keywordsField: true, tagsField: true, "_parent_id": true, "_parent_def": true, "_parent_field": true, "_mock": true,
}

// Keywords returns the words of all values in a document, lower-cased, each
// once, in the order in which they first occur: texts are split at everything
// that is no letter, mark or digit, and so are numbers and booleans. Names of
// fields and metafields have no part in it. Behind them comes "api" where by,
// who created the document, is an access key: "api".
func Keywords(doc []byte, by string) []string {
	seen := make(map[string]bool)
	var list []string
	add := func(word string) bool {
		if word = strings.ToLower(word); !seen[word] {
			seen[word] = true
			list = append(list, word)
		}
		return true
	}
	document(doc).words(add)
	if by == byKey {
		add(byKey)
	}
	return list
}

// words calls yield with each word of the value until it returns false, and
// reports whether it never did.
func (v Value) words(yield func(string) bool) bool {
	switch v.kind {
	case Text:
		return split(v.text, yield)
	case Number, Bool:
		return split(v.raw, yield)
	case Array:
		return v.elements(func(e Value) bool { return e.words(yield) })
	case Object:
		for name, e := range v.Members() {
			if v.doc && metafields[name] {
				continue
			}
			if !e.words(yield) {
				return false
			}
		}
	}
	return true
}

func split(text string, yield func(string) bool) bool {
	from := -1
	for i, c := range text {
		if wordRune(c) {
			if from < 0 {
				from = i
			}
			continue
		}
		if from >= 0 && !yield(text[from:i]) {
			return false
		}
		from = -1
	}
	return from < 0 || yield(text[from:])
}

func wordRune(c rune) bool {
	if c < utf8.RuneSelf {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
	return unicode.IsLetter(c) || unicode.IsNumber(c) || unicode.IsMark(c)
}

// derived makes a field that is not stored: _keywords or _tags.
func (v Value) derived(name string) Value {
	doc := []byte(v.raw)
	words := Keywords(doc, v.member("_createdby").text)
	if name == tagsField {
		return TextOf(strings.Join(words, " "))
	}
	list := []byte{'['}
	for _, w := range words {
		list = append(AppendText(list, w), ',')
	}
	return Value{kind: Array, raw: string(closeList(list, ']'))}
}

// Bounds of a Filter.
const (
	maxFilter      = 4 << 10 // bytes of its text
	maxFilterWords = 64
)

// Filter is a search for words: each has to be the beginning of a keyword. The
// zero Filter matches everything.
type Filter struct{ words []string }

// ParseFilter splits a search text as Keywords splits a document's. A text that
// is too long is errs.Invalid.
func ParseFilter(text string) (Filter, error) {
	var f Filter
	if len(text) > maxFilter {
		return Filter{}, errs.E(errs.Invalid, "filter of %d bytes, the limit is %d", len(text), maxFilter)
	}
	split(text, func(word string) bool {
		if word = strings.ToLower(word); !slices.Contains(f.words, word) {
			f.words = append(f.words, word)
		}
		return true
	})
	if len(f.words) > maxFilterWords {
		return Filter{}, errs.E(errs.Invalid, "filter of %d words, the limit is %d", len(f.words), maxFilterWords)
	}
	return f, nil
}

// Empty reports whether the filter matches every document.
func (f Filter) Empty() bool { return len(f.words) == 0 }

// Match reports whether a stored document has all the words.
func (f Filter) Match(doc []byte) bool {
	if f.Empty() {
		return true
	}
	missing := uint64(1)<<len(f.words) - 1 // of 64 words: all bits
	found := func(word string) bool {
		word = strings.ToLower(word)
		for i, w := range f.words {
			if strings.HasPrefix(word, w) {
				missing &^= 1 << i
			}
		}
		return missing != 0
	}
	root := document(doc)
	if root.words(found) && root.member("_createdby").text == byKey {
		found(byKey)
	}
	return missing == 0
}
