// Package output renders what a verb found: as a table for people, as plain
// tab-separated lines, JSON, JSON lines or YAML for programs, or raw.
//
// Cells that hold control characters are escaped in tables and plain lines, so
// that stored bytes can neither break the layout nor steer a terminal. Raw
// writes stored bytes exactly as they are. It never writes messages: those
// belong to stderr.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"go.yaml.in/yaml/v3"
)

// Format is how a result is rendered.
type Format string

// The formats a user can choose, and Plain, which is what a pipe gets by
// default: one line a row, cells separated by tabs, no header.
const (
	Table Format = "table"
	JSON  Format = "json"
	JSONL Format = "jsonl"
	YAML  Format = "yaml"
	Raw   Format = "raw"
	Plain Format = "plain"
)

// Formats returns the names of all formats.
func Formats() []string {
	return []string{string(Table), string(JSON), string(JSONL), string(YAML), string(Raw), string(Plain)}
}

// Parse returns the format named by text. "" is Table on a terminal and Plain
// elsewhere.
func Parse(text string, terminal bool) (Format, error) {
	switch {
	case slices.Contains(Formats(), text):
		return Format(text), nil
	case text == "" && terminal:
		return Table, nil
	case text == "":
		return Plain, nil
	}
	return "", fmt.Errorf("output format %q is none of %s", text, strings.Join(Formats(), ", "))
}

// Row is one thing that was found.
type Row struct {
	Cells []string // for Table and Plain, one for each column
	Doc   any      // for JSON, JSONL and YAML
}

// Result is what a verb found.
type Result struct {
	Columns []string // headings of the table, upper case
	Rows    []Row
	Doc     any    // for JSON, JSONL and YAML: one document in place of those of the rows
	Raw     []byte // for Raw; nil = the first cell of each row, one a line
}

// Writer renders results.
type Writer struct {
	Out    io.Writer
	Format Format
	Color  bool // headings in bold; set it only for a terminal without NO_COLOR
}

// Write renders r.
func (w Writer) Write(r Result) error {
	switch w.Format {
	case Table:
		return w.table(r)
	case JSON:
		return w.json(r)
	case JSONL:
		return w.jsonl(r)
	case YAML:
		return w.yaml(r)
	case Raw:
		return w.raw(r)
	}
	var b bytes.Buffer
	for _, row := range r.Rows {
		for i, c := range row.Cells {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(Clean(c))
		}
		b.WriteByte('\n')
	}
	_, err := w.Out.Write(b.Bytes())
	return err
}

func (w Writer) table(r Result) error {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "   "
	style.Format.Header = text.FormatDefault
	if w.Color {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	head := make(table.Row, len(r.Columns))
	for i, c := range r.Columns {
		head[i] = c
	}
	t.AppendHeader(head)
	for _, row := range r.Rows {
		cells := make(table.Row, len(row.Cells))
		for i, c := range row.Cells {
			cells[i] = Clean(c)
		}
		t.AppendRow(cells)
	}
	var b strings.Builder
	for line := range strings.Lines(t.Render() + "\n") {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w.Out, b.String())
	return err
}

func (w Writer) json(r Result) error {
	doc, err := encode(documents(r), "  ")
	if err != nil {
		return err
	}
	_, err = w.Out.Write(doc)
	return err
}

func (w Writer) jsonl(r Result) error {
	docs := []any{r.Doc}
	if r.Doc == nil {
		docs = docs[:0]
		for _, row := range r.Rows {
			docs = append(docs, row.Doc)
		}
	}
	for _, doc := range docs {
		line, err := encode(doc, "")
		if err != nil {
			return err
		}
		if _, err := w.Out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// yaml goes through JSON, so that both formats have the same names.
func (w Writer) yaml(r Result) error {
	doc, err := encode(documents(r), "")
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML: the order of the names stays
	if err := yaml.Unmarshal(doc, &node); err != nil {
		return err
	}
	block(&node)
	enc := yaml.NewEncoder(w.Out)
	enc.SetIndent(2)
	if err := enc.Encode(&node); err != nil {
		return err
	}
	return enc.Close()
}

// block turns JSON's brackets and quotes into YAML's own style.
func block(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.SetString(n.Value) // quotes again where the text would read as a number
	}
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style |= yaml.FlowStyle // an empty list needs its brackets
	}
	for _, c := range n.Content {
		block(c)
	}
}

func (w Writer) raw(r Result) error {
	if r.Raw != nil {
		_, err := w.Out.Write(r.Raw)
		return err
	}
	var b bytes.Buffer
	for _, row := range r.Rows {
		if len(row.Cells) > 0 {
			b.WriteString(row.Cells[0] + "\n")
		}
	}
	_, err := w.Out.Write(b.Bytes())
	return err
}

func documents(r Result) any {
	if r.Doc != nil {
		return r.Doc
	}
	docs := make([]any, len(r.Rows))
	for i, row := range r.Rows {
		docs[i] = row.Doc
	}
	return docs
}

// encode renders doc as JSON with a newline at the end, without HTML escapes.
func encode(doc any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Clean escapes what is no printable text: control characters, among them
// those that steer a terminal, and bytes that are not UTF-8.
func Clean(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
