package kot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// fields are the fields of a body that mean something here, the first of each
// name. Others are not kept, so that a body cannot cost more memory than it has
// bytes to send.
type fields struct{ pairs web.Pairs }

// fieldNames are what a field can be called. cache_policy is not among them: it
// is accepted, as a hint without effect.
var fieldNames = []string{
	"database_name", "key", "value", "encryption_key", "compress", "new_database_name", "message", "query",
}

func (f *fields) lookup(name string) (string, bool) { return f.pairs.Lookup(name) }

// text returns the field, or "" if it is absent.
func (f *fields) text(name string) string { return f.pairs.Value(name) }

// wants reports whether a field called name is to be kept.
func (f *fields) wants(name string) bool {
	_, have := f.pairs.Lookup(name)
	return !have && slices.Contains(fieldNames, name)
}

// add keeps a field that is wanted.
func (f *fields) add(name, value string) {
	f.pairs = append(f.pairs, web.Pair{Name: name, Value: validText(value)})
}

// validText replaces each invalid byte with U+FFFD. strings.ToValidUTF8 would
// replace a run of them with one.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune { return r }, s)
}

// parseFields reads a body by its Content-Type. A body of any other type has
// no fields, as on the real server.
func parseFields(contentType string, body []byte) (fields, error) {
	if len(body) == 0 {
		return fields{}, nil
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/x-www-form-urlencoded":
		return parseForm(string(body)), nil
	case "multipart/form-data":
		return parseParts(contentType, body)
	case "application/json":
		return parseObject(body)
	}
	return fields{}, nil
}

func parseForm(body string) (f fields) {
	for part := range strings.SplitSeq(body, "&") {
		name, _, _ := strings.Cut(part, "=")
		// The name alone first: what is not wanted is not worth decoding.
		if p := web.SplitPairs(name); len(p) == 0 || !f.wants(p[0].Name) {
			continue
		}
		p := web.SplitPairs(part)[0]
		f.add(p.Name, p.Value)
	}
	return f
}

// maxParts bounds the parts of a multipart form. Eight names mean something.
const maxParts = 1000

func parseParts(contentType string, body []byte) (f fields, err error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return fields{}, errs.E(errs.Invalid, "the multipart form has no readable boundary")
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxParts {
		part, err := parts.NextRawPart()
		if err == io.EOF { // bare; where the last boundary is missing it is wrapped
			return f, nil
		}
		if err != nil {
			return fields{}, errBadParts
		}
		name, ok := partName(part)
		if !ok || !f.wants(name) {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return fields{}, errBadParts
		}
		f.add(name, string(value))
	}
	return fields{}, errs.E(errs.TooLarge, "the multipart form has over %d parts", maxParts)
}

var errBadParts = errs.E(errs.Invalid, "the multipart form is damaged or ends early")

// partName returns the field's name; ok is false for a file, which is none.
func partName(part *multipart.Part) (name string, ok bool) {
	disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" {
		return "", false
	}
	_, file := params["filename"]
	name, ok = params["name"]
	return name, ok && !file
}

var errBadObject = errs.E(errs.Invalid, "the body is not a JSON object")

// parseObject reads a JSON object: null is an absent field, and what is no
// string is its compact JSON text.
func parseObject(body []byte) (f fields, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fields{}, errBadObject
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fields{}, errBadObject
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fields{}, errBadObject
		}
		if field := name.(string); raw[0] != 'n' && f.wants(field) { // inside an object a token is a string
			f.add(field, textOf(raw))
		}
	}
	if _, err := d.Token(); err != nil {
		return fields{}, errBadObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fields{}, errBadObject
	}
	return f, nil
}

// textOf returns the text of a JSON value, which is known to be well-formed.
func textOf(raw json.RawMessage) string {
	if raw[0] == '"' {
		var s string
		_ = json.Unmarshal(raw, &s)
		return s
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw)
	return b.String()
}
