package restdb

import (
	"bytes"
	"encoding/json"
	"html"
	"slices"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// format is an output format of reads.
type format uint8

const (
	formatJSON   format = iota
	formatScript        // a script that assigns the JSON
	formatPage          // a page with a table
)

var contentTypes = [...][]string{
	formatJSON:   jsonType,
	formatScript: {"text/javascript; charset=utf-8"},
	formatPage:   {"text/html; charset=utf-8"},
}

// sandbox keeps a page of stored text from being more than that.
var sandbox = []string{"default-src 'none'; sandbox"}

// format picks the format of an answer: the suffix of the path or ?format=
// decides. JSON has to be acceptable if neither does.
func (q *request) format() format {
	name := q.suffix
	if name == "" {
		name = q.query.Value("format")
	}
	switch name {
	case "html":
		return formatPage
	case "js":
		return formatScript
	case "json":
		return formatJSON
	case "":
		q.acceptable()
	default:
		q.note(errs.E(errs.NotAcceptable, "unknown format, want json, js or html"))
	}
	return formatJSON
}

// acceptable notes that the client does not want JSON, which is all that
// answers to writes are.
func (q *request) acceptable() {
	if !acceptsJSON(q.r.Header["Accept"]) {
		q.note(errs.E(errs.NotAcceptable, "answers are application/json, which Accept does not allow"))
	}
}

// acceptsJSON reports whether Accept headers allow JSON. None allows all; the
// most specific range decides.
func acceptsJSON(accept []string) bool {
	media := web.ParseAccept(accept)
	if len(media) == 0 {
		return true
	}
	best, allowed := 0, false
	for _, m := range media {
		specific := 0
		switch {
		case m.Type == "application" && (m.Subtype == "json" || strings.HasSuffix(m.Subtype, "+json")):
			specific = 3
		case m.Type == "application" && m.Subtype == "*":
			specific = 2
		case m.Type == "*":
			specific = 1
		}
		if specific > best {
			best, allowed = specific, m.Q > 0
		} else if specific == best && specific > 0 {
			allowed = allowed || m.Q > 0
		}
	}
	return allowed
}

// show answers a read with JSON in the wanted format.
func (q *request) show(f format, body []byte) error {
	switch f {
	case formatScript:
		body = append(append(q.scriptHead(nil), body...), scriptTail...)
	case formatPage:
		q.w.Header()["Content-Security-Policy"] = sandbox
		var err error
		if body, err = page(q.collection, body); err != nil {
			return err
		}
	}
	return q.send(200, contentTypes[f], body)
}

// scriptHead begins a script that assigns the answer to a global variable with
// the collection's name, which may be no identifier.
func (q *request) scriptHead(dst []byte) []byte {
	return append(append(query.AppendText(append(dst, "globalThis["...), q.collection), ']'), '=')
}

const scriptTail = ";\n"

// maxColumns bounds the columns of a table; what is over is left out.
const maxColumns = 200

// page renders JSON as a table: a row for each object of an array, a column for
// each name. What is no array of objects is shown as its text.
func page(title string, body []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<meta charset=utf-8>\n<title>" + html.EscapeString(title) + "</title>\n")
	var rows []json.RawMessage
	if json.Unmarshal(body, &rows) != nil {
		b.WriteString("<pre>" + html.EscapeString(string(body)) + "</pre>\n")
		return b.Bytes(), nil
	}
	var columns []string
	var cells []map[string]string
	for _, row := range rows {
		names, values, err := membersOf(row)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if len(columns) < maxColumns && !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
		cells = append(cells, values)
	}
	b.WriteString("<table border=1>\n<tr>")
	for _, name := range columns {
		b.WriteString("<th>" + html.EscapeString(name))
	}
	for _, values := range cells {
		b.WriteString("\n<tr>")
		for _, name := range columns {
			b.WriteString("<td>" + html.EscapeString(values[name]))
		}
	}
	b.WriteString("\n</table>\n")
	return b.Bytes(), nil
}

// membersOf returns the members of an object as texts, and their names in
// order. What is no object has one member without a name.
func membersOf(raw json.RawMessage) (names []string, values map[string]string, err error) {
	values = map[string]string{}
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		values[""] = textOf(raw)
		return []string{""}, values, nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		names = append(names, name.(string)) // inside an object a token is a string
		values[name.(string)] = textOf(value)
	}
	return names, values, nil
}

func textOf(raw json.RawMessage) string {
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
