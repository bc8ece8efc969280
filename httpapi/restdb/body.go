package restdb

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection/query"
)

// content is a body as JSON text.
type content struct {
	json  []byte // empty if there was no body
	texts bool   // it was a form, so its values are texts
}

// content reads the body. What is wrong with it is noted for behind the door,
// but for one that ends early: with its client gone there is nothing left to
// ask for.
func (q *request) content() (content, error) {
	body, err := web.ReadBody(q.r, q.MaxBody)
	if errs.Is(err, errs.TooLarge) {
		q.note(err)
		return content{}, nil
	}
	if err != nil {
		return content{}, err
	}
	c, err := parseContent(q.r.Header.Get("Content-Type"), body)
	q.note(err)
	q.once.content(c)
	return c, nil
}

// parseContent reads a body by its Content-Type. JSON may come without one, as
// plain text, and, for what curl -d sends, as a form.
func parseContent(contentType string, body []byte) (content, error) {
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return content{}, nil
	}
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case kind == "", kind == "application/json", kind == "text/json", kind == "text/plain", strings.HasSuffix(kind, "+json"):
		return content{json: body}, nil
	case kind == "application/x-www-form-urlencoded":
		if (body[0] == '{' || body[0] == '[') && json.Valid(body) {
			return content{json: body}, nil
		}
		if bytes.Count(body, []byte{'&'}) >= maxFields {
			return content{}, errTooManyFields
		}
		return formContent(web.SplitPairs(string(body)))
	case kind == "multipart/form-data":
		pairs, err := parseParts(contentType, body)
		if err != nil {
			return content{}, err
		}
		return formContent(pairs)
	}
	return content{}, errs.E(errs.Invalid, "the Content-Type is none of application/json, application/x-www-form-urlencoded and multipart/form-data")
}

// formContent makes a JSON object of the fields of a form. A field that comes
// more than once is an array.
func formContent(pairs web.Pairs) (content, error) {
	at := make(map[string]int, len(pairs)) // in values
	var names []string
	var values [][]string
	for _, p := range pairs {
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
			return content{}, errs.E(errs.Invalid, "a field of the form is no UTF-8")
		}
		i, known := at[p.Name]
		if !known {
			i = len(names)
			at[p.Name] = i
			names, values = append(names, p.Name), append(values, nil)
		}
		values[i] = append(values[i], p.Value)
	}
	dst := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(query.AppendText(dst, name), ':')
		if len(values[i]) == 1 {
			dst = query.AppendText(dst, values[i][0])
		} else {
			dst = appendJSON(dst, values[i])
		}
	}
	return content{json: append(dst, '}'), texts: true}, nil
}

// maxFields bounds the fields of a form, each of which takes more memory than
// it has bytes.
const maxFields = 10_000

var errTooManyFields = errs.E(errs.TooLarge, "the form has over %d fields", maxFields)

var (
	errBadParts = errs.E(errs.Invalid, "the multipart form is damaged or ends early")
	errFile     = errs.E(errs.Invalid, "the multipart form holds a file; documents are made of its other fields only")
)

func parseParts(contentType string, body []byte) (pairs web.Pairs, err error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, errs.E(errs.Invalid, "the multipart form has no readable boundary")
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxFields {
		part, err := parts.NextRawPart()
		if err == io.EOF { // bare; where the last boundary is missing it is wrapped
			return pairs, nil
		}
		if err != nil {
			return nil, errBadParts
		}
		if part.FileName() != "" {
			return nil, errFile
		}
		value, err := io.ReadAll(part)
		if err != nil || part.FormName() == "" {
			return nil, errBadParts
		}
		pairs = append(pairs, web.Pair{Name: part.FormName(), Value: string(value)})
	}
	return nil, errTooManyFields
}
