package collection

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/maphash"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// maxDepth bounds how deep objects and arrays stand in each other, the document
// itself included.
const maxDepth = 100

// compact appends to dst the JSON text p without its blanks. It refuses what is
// no JSON by RFC 8259, what is no UTF-8, an object with two members of a name,
// numbers that no float64 holds, and what is deeper than maxDepth. Numbers and
// texts stay as they were written.
func compact(dst, p []byte) ([]byte, error) {
	c := compacter{p: p, dst: dst, seed: maphash.MakeSeed()}
	if err := c.value(); err != nil {
		return nil, err
	}
	if c.blanks(); c.i < len(c.p) {
		return nil, c.fault("something stands after its end")
	}
	return c.dst, nil
}

type compacter struct {
	p     []byte
	i     int
	dst   []byte
	depth int
	seed  maphash.Seed
	names []nameHash // of the objects that are open, the innermost last
}

func (c *compacter) fault(what string) error {
	return errs.E(errs.Invalid, "not JSON at byte %d: %s", c.i, what)
}

func (c *compacter) blanks() {
	for c.i < len(c.p) && (c.p[c.i] == ' ' || c.p[c.i] == '\t' || c.p[c.i] == '\n' || c.p[c.i] == '\r') {
		c.i++
	}
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (c *compacter) next() byte {
	if c.blanks(); c.i < len(c.p) {
		return c.p[c.i]
	}
	return 0
}

func (c *compacter) value() error {
	switch b := c.next(); {
	case b == '{':
		return c.nested(c.object)
	case b == '[':
		return c.nested(c.array)
	case b == '"':
		_, err := c.text()
		return err
	case b == '-' || b >= '0' && b <= '9':
		return c.number()
	case b == 0 && c.i >= len(c.p):
		return c.fault("it ends too early")
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(c.p[c.i:], []byte(word)) {
			c.dst, c.i = append(c.dst, word...), c.i+len(word)
			return nil
		}
	}
	return c.fault("a value is expected")
}

// nested goes through an object or an array, from its first byte to its last.
func (c *compacter) nested(inside func() error) error {
	if c.depth++; c.depth > maxDepth {
		return errs.E(errs.Invalid, "more than %d objects and arrays stand in each other", maxDepth)
	}
	c.take()
	err := inside()
	c.depth--
	return err
}

// take moves one byte to the output.
func (c *compacter) take() {
	c.dst = append(c.dst, c.p[c.i])
	c.i++
}

func (c *compacter) array() error {
	if c.next() == ']' {
		c.take()
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		switch c.next() {
		case ',':
			c.take()
		case ']':
			c.take()
			return nil
		default:
			return c.fault("a comma or the array's end is expected")
		}
	}
}

func (c *compacter) object() error {
	first := len(c.names)
	if c.next() == '}' {
		c.take()
		return nil
	}
	for {
		if c.next() != '"' {
			return c.fault("a member's name is expected")
		}
		raw, err := c.text()
		if err != nil {
			return err
		}
		name := plainText(raw)
		c.names = append(c.names, nameHash{maphash.Bytes(c.seed, name), name})
		if c.next() != ':' {
			return c.fault("a colon is expected")
		}
		c.take()
		if err := c.value(); err != nil {
			return err
		}
		switch c.next() {
		case ',':
			c.take()
		case '}':
			c.take()
			err := differ(c.names[first:])
			c.names = c.names[:first]
			return err
		default:
			return c.fault("a comma or the object's end is expected")
		}
	}
}

// nameHash is a member's name with its hash: a body may have millions of names,
// and numbers are sorted many times faster.
type nameHash struct {
	hash uint64
	name []byte
}

// differ sorts names, and refuses two that are the same: readers do not agree
// on which of them counts.
func differ(names []nameHash) error {
	slices.SortFunc(names, func(a, b nameHash) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return bytes.Compare(a.name, b.name)
	})
	for i := 1; i < len(names); i++ {
		if names[i-1].hash == names[i].hash && bytes.Equal(names[i-1].name, names[i].name) {
			return errs.E(errs.Invalid, "two members of an object are called %.100q", names[i].name)
		}
	}
	return nil
}

// text copies a string and returns it as it is written, with its quotes.
func (c *compacter) text() ([]byte, error) {
	start := c.i
	for c.i++; c.i < len(c.p); c.i++ {
		switch b := c.p[c.i]; {
		case b == '"':
			c.i++
			raw := c.p[start:c.i]
			if !utf8.Valid(raw) {
				c.i = start
				return nil, c.fault("a text is not UTF-8")
			}
			c.dst = append(c.dst, raw...)
			return raw, nil
		case b < ' ':
			return nil, c.fault("a control character in a text")
		case b == '\\':
			if c.i++; !c.escape() {
				return nil, c.fault("an escape that does not exist")
			}
		}
	}
	return nil, c.fault("a text does not end")
}

// escape moves to the last byte of what follows a backslash.
func (c *compacter) escape() bool {
	if c.i >= len(c.p) {
		return false
	}
	if c.p[c.i] != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), c.p[c.i]) >= 0
	}
	if c.i+4 >= len(c.p) {
		return false
	}
	for _, h := range c.p[c.i+1 : c.i+5] {
		if (h < '0' || h > '9') && (h < 'a' || h > 'f') && (h < 'A' || h > 'F') {
			return false
		}
	}
	c.i += 4
	return true
}

func (c *compacter) number() error {
	start := c.i
	for c.i < len(c.p) && bytes.IndexByte([]byte("+-.eE0123456789"), c.p[c.i]) >= 0 {
		c.i++
	}
	raw := c.p[start:c.i]
	if !json.Valid(raw) {
		c.i = start
		return c.fault("a number is malformed")
	}
	if _, err := strconv.ParseFloat(string(raw), 64); err != nil {
		return errs.E(errs.Invalid, "the number %.50s is out of range", raw)
	}
	c.dst = append(c.dst, raw...)
	return nil
}

// What follows reads compact JSON that compact has made.

// A pair is one member of an object. Its bytes are part of the object's.
type pair struct {
	raw   []byte // the name as it is written, with its quotes
	value []byte
}

func (m pair) name() string { return string(plainText(m.raw)) }

// is reports whether the member is called name.
func (m pair) is(name string) bool { return string(plainText(m.raw)) == name }

// newPair returns a member of its own bytes.
func newPair(name string, value []byte) pair { return pair{raw: quote(name), value: value} }

// skip returns where the value that begins at i ends.
func skip(p []byte, i int) int {
	depth := 0
	for ; i < len(p); i++ {
		switch p[i] {
		case '"':
			i = textEnd(p, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i // of what it stands in
			}
		case ',':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return min(i+1, len(p))
		}
	}
	return len(p)
}

// textEnd returns where the text ends that begins at i.
func textEnd(p []byte, i int) int {
	for i++; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(p)
}

// pairs iterates over the members of an object.
func pairs(object []byte) iter.Seq[pair] {
	return func(yield func(pair) bool) {
		for i := 1; i < len(object)-1; i++ { // from one comma to the next
			colon := textEnd(object, i)
			end := skip(object, min(colon+1, len(object)))
			if end <= colon+1 || !yield(pair{raw: object[i:colon], value: object[colon+1 : end]}) {
				return
			}
			i = end
		}
	}
}

// elements iterates over the elements of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 1; i < len(array)-1; i++ {
			end := skip(array, i)
			if end <= i || !yield(array[i:end]) {
				return
			}
			i = end
		}
	}
}

// find returns the value of an object's member, nil if there is none.
func find(object []byte, name string) []byte {
	for m := range pairs(object) {
		if m.is(name) {
			return m.value
		}
	}
	return nil
}

// appendPairs appends members with a comma before each.
func appendPairs(dst []byte, list []pair) []byte {
	for _, m := range list {
		dst = append(append(append(append(dst, ','), m.raw...), ':'), m.value...)
	}
	return dst
}

// joinObject returns an object of the members, in bytes of its own.
func joinObject(list []pair) []byte {
	if len(list) == 0 {
		return []byte("{}")
	}
	size := 2
	for _, m := range list {
		size += len(m.raw) + len(m.value) + 2
	}
	p := appendPairs(make([]byte, 0, size), list)
	p[0] = '{'
	return append(p, '}')
}

// joinArray returns an array of the values, in bytes of its own.
func joinArray(list [][]byte) []byte {
	size := 2
	for _, v := range list {
		size += len(v) + 1
	}
	p := append(make([]byte, 0, size), '[')
	p = append(p, bytes.Join(list, []byte{','})...)
	return append(p, ']')
}

// plainText returns what a JSON text means, without quotes and escapes. Without
// escapes it is part of raw.
func plainText(raw []byte) []byte {
	if len(raw) < 2 {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return raw[1 : len(raw)-1]
	}
	return []byte(s)
}

// quote returns a text as JSON.
func quote(s string) []byte { return query.AppendText(nil, strings.ToValidUTF8(s, "\ufffd")) }
