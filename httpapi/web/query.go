package web

import "strings"

// Pair is one name=value of a query string or form body, decoded.
type Pair struct{ Name, Value string }

// Pairs are the pairs of a query string or form body in their order.
type Pairs []Pair

// SplitPairs splits a query string or form body on '&' only, decodes '+' as a
// space and %XX as a byte. Unlike net/url it never drops a pair: a ';' is an
// ordinary byte and a '%' that starts no escape stays as it is. A name without
// '=' has the empty value.
func SplitPairs(raw string) Pairs {
	if raw == "" {
		return nil
	}
	pairs := make(Pairs, 0, min(strings.Count(raw, "&")+1, 16))
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, Pair{decode(name), decode(value)})
	}
	return pairs
}

// Lookup returns the value of the first pair called name.
func (p Pairs) Lookup(name string) (string, bool) {
	for i := range p {
		if p[i].Name == name {
			return p[i].Value, true
		}
	}
	return "", false
}

// Value returns the value of the first pair called name, or "".
func (p Pairs) Value(name string) string {
	v, _ := p.Lookup(name)
	return v
}

func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	p := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		p = append(p, c)
	}
	return string(p)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
