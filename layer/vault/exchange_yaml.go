package vault

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of YAML. A node in memory is much larger than the byte or two of text
// that can make one.
const (
	maxYAMLNodes = 300_000 // line breaks and other characters that begin a node
	maxYAMLDepth = 32      // of lists and maps inside a value
)

// yamlLine finds where a parser's error is; the rest of its text may quote a
// value.
var yamlLine = regexp.MustCompile(`line (\d+)`)

// readYAML reads one mapping. Aliases are refused: a few lines of them can
// stand for more than there is memory.
func (g *gathering) readYAML(text string) error {
	if yamlNodes(text) > maxYAMLNodes {
		return unreadable("it is YAML of too many parts")
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	var doc, second yaml.Node
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return badYAML(err)
	}
	if err := d.Decode(&second); err == nil {
		return unreadable("it holds more than one YAML document")
	} else if !errors.Is(err, io.EOF) {
		return badYAML(err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		g.wrong("Environment data must be a dictionary/object")
		return nil
	}
	for c := doc.Content[0].Content; len(c) > 1; c = c[2:] {
		if more, err := g.addYAML(c[0], c[1]); err != nil || !more {
			return err
		}
	}
	return nil
}

// yamlNodes is about how many nodes a text makes, counted by what begins one.
func yamlNodes(text string) (n int) {
	for i := range len(text) {
		switch text[i] {
		case '\n', ',', '[', '{':
			n++
		case ':', '-', '?':
			if i+1 == len(text) || text[i+1] <= ' ' {
				n++
			}
		}
	}
	return n
}

func badYAML(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return unreadable("it is not valid YAML: line %s", m[1])
	}
	return unreadable("it is not valid YAML")
}

func (g *gathering) addYAML(key, value *yaml.Node) (more bool, err error) {
	if key.Kind != yaml.ScalarNode {
		g.wrong("Key must be a string: line %d", key.Line)
		return true, nil
	}
	if key.ShortTag() != "!!str" {
		g.wrong("Key must be a string: %s", strings.ToValidUTF8(key.Value[:min(len(key.Value), 20)], ""))
		return true, nil
	}
	text := value.Value
	if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" {
		p, err := appendYAMLAsJSON(nil, value, 0)
		if err != nil {
			return false, err
		}
		if text = string(p); value.Kind == yaml.ScalarNode {
			text, _ = textOfJSON(p)
		}
	}
	return g.addChecked(key.Value, text), nil
}

// appendYAMLAsJSON appends a node as compact JSON. Scalars that JSON cannot
// write as they stand, such as dates, 0x1F or 0123, are texts: a value that
// looks like one is more often a code or a PIN than that number.
func appendYAMLAsJSON(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	if depth > maxYAMLDepth {
		return nil, unreadable("line %d is nested too deep", n.Line)
	}
	var err error
	switch n.Kind {
	case yaml.ScalarNode:
		return appendScalar(dst, n), nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendYAMLAsJSON(dst, item, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != yaml.ScalarNode {
				return nil, unreadable("line %d has a key that is no text", n.Content[i].Line)
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONText(dst, n.Content[i].Value), ':')
			if dst, err = appendYAMLAsJSON(dst, n.Content[i+1], depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case yaml.AliasNode:
		return nil, unreadable("line %d has a YAML alias, which is not supported", n.Line)
	}
	return nil, unreadable("line %d", n.Line)
}

func appendScalar(dst []byte, n *yaml.Node) []byte {
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...)
	case "!!bool":
		if b, err := strconv.ParseBool(strings.ToLower(n.Value)); err == nil {
			return strconv.AppendBool(dst, b)
		}
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return append(dst, n.Value...)
		}
	}
	return appendJSONText(dst, n.Value)
}

// yamlPlain are texts that no reader of YAML takes for anything but a text,
// unless they are one of yamlWords.
var yamlPlain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./]*$`)

var yamlWords = map[string]bool{
	"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true,
	"true": true, "false": true, "null": true, "nan": true, "inf": true,
}

// appendYAMLText appends a scalar that every reader of YAML takes for this
// text: bare if nothing else can be meant, else in double quotes with what is
// not printable escaped.
func appendYAMLText(dst []byte, s string) []byte {
	if yamlPlain.MatchString(s) && !yamlWords[strings.ToLower(s)] {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case strconv.IsPrint(r):
			dst = append(dst, string(r)...)
		case r <= 0xffff:
			dst = append(dst, `\u`...)
			dst = append(dst, strconv.FormatUint(uint64(r)|1<<16, 16)[1:]...)
		default:
			dst = append(dst, `\U`...)
			dst = append(dst, strconv.FormatUint(uint64(r)|1<<32, 16)[1:]...)
		}
	}
	return append(dst, '"')
}
