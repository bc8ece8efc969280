package keynest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// maxBody bounds a body in bytes: the longest value, with every byte escaped,
// and everything around it.
const maxBody = 1 << 20

// file is what a multipart form brings as a file.
type file struct {
	name string
	data []byte
}

// parseError is a body that cannot be read.
func parseError(format string, args ...any) error {
	return &coded{error: errs.E(errs.Invalid, format, args...), code: "PARSE_ERROR"}
}

// read reads the fields of the body, of at most limit bytes. Its errors are for
// behind the door: give them to refuse.
func (q *request) read(limit int) error {
	body, err := web.ReadBody(q.r, limit)
	if err != nil {
		return err
	}
	q.fields, err = parseBody(q.r.Header.Get("Content-Type"), body)
	return err
}

// parseBody reads a body by its Content-Type. An empty one has no fields.
func parseBody(contentType string, body []byte) (fields, error) {
	if len(body) == 0 {
		return newFields(nil), nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		kind = ""
	}
	switch kind {
	case "application/json":
		return parseObject(body)
	case "application/x-www-form-urlencoded":
		return parseForm(body)
	case "multipart/form-data":
		return parseParts(params["boundary"], body)
	}
	return fields{}, web.WithStatus(errs.E(errs.Invalid, "Unsupported media type %q in request.", web.HeaderText(contentType)), http.StatusUnsupportedMediaType)
}

// parseObject reads JSON. Its errors never quote the body: it may hold a
// secret.
func parseObject(body []byte) (fields, error) {
	v, err := parseJSON(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if err != nil {
		return fields{}, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return fields{}, vault.FieldErrors{nonField: {"Invalid data. Expected a dictionary, but got " + typeName(v) + "."}}
	}
	return newFields(object), nil
}

// maxParts bounds the fields of a form.
const maxParts = 1000

func parseForm(body []byte) (fields, error) {
	if bytes.Count(body, []byte{'&'}) >= maxParts {
		return fields{}, errs.E(errs.TooLarge, "the form has over %d fields", maxParts)
	}
	f := newFields(make(map[string]any))
	for _, pair := range web.SplitPairs(string(body)) {
		if err := f.set(pair.Name, pair.Value); err != nil {
			return fields{}, err
		}
	}
	return f, nil
}

var errBadParts = parseError("Multipart form parse error - the form is damaged or ends early")

func parseParts(boundary string, body []byte) (fields, error) {
	if boundary == "" {
		return fields{}, parseError("Multipart form parse error - Invalid boundary in multipart: None")
	}
	f := newFields(make(map[string]any))
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxParts {
		part, err := parts.NextPart()
		if err == io.EOF { // bare; where the last boundary is missing it is wrapped
			return f, nil
		}
		if err != nil {
			return fields{}, errBadParts
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return fields{}, errBadParts
		}
		if part.FileName() != "" {
			f.values[part.FormName()] = file{name: part.FileName(), data: data}
			continue
		}
		if err := f.set(part.FormName(), string(data)); err != nil {
			return fields{}, err
		}
	}
	return fields{}, errs.E(errs.TooLarge, "the multipart form has over %d parts", maxParts)
}
