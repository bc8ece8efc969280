package vault

import (
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// Content is what ReadImport has read and found good, ready to be imported.
type Content struct {
	Format Format // never FormatAuto
	read   imported
}

// ReadImport reads the content of an import; see Format for what is known, ""
// is FormatEnv. Call it before the transaction: it costs time with the size,
// which is at most MaxImport.
//
// Lines of a .env file that cannot be read are left out and reported by
// Import. Everything else that is wrong is an error of kind errs.Invalid; one
// that has DataErrors inside lists what is wrong. Errors never hold a value.
func ReadImport(f Format, text string) (*Content, error) {
	switch f {
	case "":
		f = FormatEnv
	case FormatAuto:
		f = detect(strings.TrimPrefix(text, "\ufeff"))
	}
	read, err := readImport(f, text)
	if err != nil {
		return nil, err
	}
	return &Content{Format: f, read: *read}, nil
}

// Failed returns the lines that were left out, and how many there are; it lists
// at most the first 1,000 of them. Import says the same.
func (c *Content) Failed() ([]FailedLine, int) {
	return c.read.failed, len(c.read.failed) + c.read.more
}

// ImportResult is what an import did.
type ImportResult struct {
	Imported    int // variables that are new
	Updated     int // variables that were there, also those that had the value already
	Failed      int // lines that were left out
	FailedLines []FailedLine
}

// Conflicts are the keys that an import without overwrite finds there already,
// in the order of the import. As an error it is errs.Exists.
type Conflicts []string

func (c Conflicts) Error() string { return "Conflicting variables found" }

// Unwrap gives the error its kind.
func (c Conflicts) Unwrap() error { return &errs.Error{Kind: errs.Exists, Msg: c.Error()} }

// Import stores what was read in an environment, all of it or nothing. With
// overwrite it replaces the values of keys that are there; without it such keys
// are Conflicts. What had its value already gets no new version. It writes one
// entry to the audit log.
func (s *Session) Import(environment uint64, c *Content, overwrite bool) (ImportResult, error) {
	at, err := s.environment(environment, Import)
	if err != nil {
		return ImportResult{}, err
	}
	w, err := s.planWriting(at, c.read.pairs)
	if err != nil {
		return ImportResult{}, err
	}
	conflicts := w.conflicts()
	if len(conflicts) > 0 && !overwrite {
		return ImportResult{}, Conflicts(conflicts)
	}
	if err := s.write(w, changeImported); err != nil {
		return ImportResult{}, err
	}
	result := ImportResult{
		Imported: len(w.items) - len(conflicts), Updated: len(conflicts),
		Failed: len(c.read.failed) + c.read.more, FailedLines: c.read.failed,
	}
	return result, s.audit(event{at.project.Organization, verbImport, targetEnvironment, environment, details{
		"format": string(c.Format), "imported_count": result.Imported, "updated_count": result.Updated,
		"failed_imports": result.Failed, "overwrite_enabled": overwrite,
		"environment": at.environment.Name, "project": at.project.Name,
	}})
}

// takeIDs is nextID for n ids at once, and returns the first one.
func takeIDs(tx *kv.Tx, what string, n int) (uint64, error) {
	if n == 0 {
		return 0, nil
	}
	k := byText(idByte, what)
	last, err := readNumber(tx, k)
	if err != nil {
		return 0, err
	}
	tx.Set(k, strconv.AppendUint(nil, last+uint64(n), 10), 0)
	return last + 1, nil
}
