package keynest

import (
	"encoding/binary"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

// maxImportBody bounds the body of an import in bytes: the longest file, in JSON
// that escapes no more than every other byte, and what is around it.
const maxImportBody = 2*vault.MaxImport + 1<<20

var (
	errImportSize    = errs.E(errs.Invalid, "File too large. Maximum size is 10MB.")
	errImportNothing = errs.E(errs.Invalid, `No file or data provided. Use "file" for upload or "data" for raw content.`)
)

// export serves GET of a file with all clear values of an environment. HEAD
// tells how long the file is, and is not recorded as an export.
func (q *request) export() error {
	format, wrong := vault.ParseExportFormat(q.query.Value("format"))
	style, err := dotenv.ParseStyle(q.query.Value("style"))
	if wrong == nil {
		wrong = err
	}
	var file *vault.Exported
	resolve := q.resolving()
	err = q.view(func(s *vault.Session) (err error) {
		if wrong == nil && len(q.fields.bad) == 0 {
			resolve(s)
			file, err = s.Export(q.id, format, style)
			return err
		}
		if err := s.Allowed(q.id, vault.Export); err != nil {
			return err
		}
		return wrong
	})
	if err != nil {
		return err
	}
	q.attach(file.Filename, file.ContentType)
	return web.Send(q.w, q.r, http.StatusOK, file.Body)
}

// attach makes the answer a file. The name is safe inside quotes.
func (q *request) attach(name, contentType string) {
	h := q.w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Disposition"] = []string{`attachment; filename="` + name + `"`}
}

// importAnswer says what an import did.
type importAnswer struct {
	Message string             `json:"message"`
	Summary importSummary      `json:"summary"`
	Failed  []vault.FailedLine `json:"failed_imports"` // null: none
}

type importSummary struct {
	Imported uint64 `json:"imported"`
	Updated  uint64 `json:"updated"`
	Failed   int    `json:"failed"`
	Total    uint64 `json:"total_variables"`
}

// importVariables serves POST of many variables at once. Who may not import is
// told so before the body is read, which may be long. For repeats of the request
// it keeps the two numbers that depend on what was there; the rest of the answer
// is in the body, which they have too.
func (q *request) importVariables() error {
	if err := q.view(func(s *vault.Session) error { return s.Allowed(q.id, vault.Import) }); err != nil {
		return err
	}
	content, err := q.readImport()
	if err != nil {
		return err
	}
	overwrite := q.fields.yes("overwrite", true)
	var reply []byte
	res, err := q.update(func(s *vault.Session) error {
		done, err := s.Import(q.id, content, overwrite)
		if err == nil {
			reply = binary.BigEndian.AppendUint64(nil, uint64(done.Imported))
			reply = binary.BigEndian.AppendUint64(reply, uint64(done.Updated))
			q.keep(s, reply)
		}
		return err
	})
	if err != nil {
		return err
	}
	if res.Duplicate {
		reply = res.Reply
	}
	if len(reply) != 16 {
		return errs.E(errs.Internal, "the first try of an import left %d bytes", len(reply))
	}
	a := importAnswer{Message: "Import completed successfully"}
	a.Summary.Imported, a.Summary.Updated = binary.BigEndian.Uint64(reply), binary.BigEndian.Uint64(reply[8:])
	a.Summary.Total = a.Summary.Imported + a.Summary.Updated
	a.Failed, a.Summary.Failed = content.Failed()
	return q.reply(http.StatusOK, a)
}

// readImport reads the body of an import. What it is of is said by the field
// format, else by the name of the file.
func (q *request) readImport() (*vault.Content, error) {
	err := q.read(maxImportBody)
	if errs.Is(err, errs.TooLarge) {
		return nil, errImportSize
	}
	if err != nil {
		return nil, err
	}
	f := &q.fields
	format := vault.Format(f.plain("format"))
	upload, isFile := f.values["file"].(file)
	var text string
	if isFile {
		text = string(upload.data)
		if format == "" {
			format = vault.FormatOf(upload.name)
		}
	} else {
		text = f.plain("data")
	}
	switch {
	case len(f.bad) > 0:
		return nil, f.bad
	case !isFile && text == "":
		return nil, errImportNothing
	}
	return vault.ReadImport(format, text)
}
