package vault

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// AuditHead names the last entry of a chain. Somebody who has noted one can
// tell later whether the chain up to there is still the same.
type AuditHead struct {
	Chain  string `json:"chain"`
	Number uint64 `json:"number"` // how many entries there are
	Hash   string `json:"hash"`   // of the last one; of an empty chain its root
}

// ParseAuditHead returns the head that somebody has noted, from its texts. A
// chain that cannot be, a number below 1 and what is no hash are errs.Invalid.
func ParseAuditHead(chain, number, hash string) (AuditHead, error) {
	n, err := strconv.ParseUint(number, 10, 64)
	switch _, ok := parseChain(chain); {
	case !ok:
		return AuditHead{}, errs.E(errs.Invalid, "%.40q is no chain: that is o or u and an id", chain)
	case err != nil || n == 0:
		return AuditHead{}, errs.E(errs.Invalid, "%.40q is no number of an entry", number)
	}
	_, err = parseHash(hash)
	return AuditHead{chain, n, hash}, err
}

// MaxAuditPart bounds the entries that AuditPart returns at once.
const MaxAuditPart = 1_000

// AuditHeads returns the ends of all chains that the user may see, which is
// what an export begins with.
func (s *Session) AuditHeads() ([]AuditHead, error) {
	chains, err := s.visibleChains()
	if err != nil {
		return nil, err
	}
	heads := make([]AuditHead, 0, len(chains))
	for _, c := range chains {
		head, err := c.head(s.tx)
		if err != nil {
			return nil, err
		}
		heads = append(heads, AuditHead{c.String(), head.Number, head.Hash})
	}
	return heads, nil
}

// AuditPart returns the next entries of a chain after the given number, up to
// the head's, at most MaxAuditPart; none at the end. So a long export can be
// made of many short transactions: what lies below a head never changes. A
// chain that the user may not see, or no more, is errs.NotFound.
func (s *Session) AuditPart(head AuditHead, after uint64) ([]AuditEntry, error) {
	chains, err := s.visibleChains()
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		if c.String() == head.Chain {
			return c.part(s.tx, after, head.Number)
		}
	}
	return nil, errs.E(errs.NotFound, "audit chain %s: not found", head.Chain)
}

func (c chain) part(tx *kv.Tx, after, last uint64) ([]AuditEntry, error) {
	var entries []AuditEntry
	for n := after + 1; n <= last && len(entries) < MaxAuditPart; n++ {
		e, err := c.entry(tx, n)
		if err != nil {
			return nil, err
		}
		entries = append(entries, *e)
	}
	return entries, nil
}

// AuditFormat is a form of an export. Both can be verified.
type AuditFormat string

// The formats.
const (
	AuditJSONL AuditFormat = "jsonl" // a line with the heads, or several, then one for each entry
	AuditCSV   AuditFormat = "csv"   // the names of the columns, rows with the heads, then one for each entry
)

// An AuditWriter writes an export: the heads, and then each chain's entries
// from the first to the one that its head names. After an error it writes no
// more.
type AuditWriter struct {
	w   io.Writer
	csv *csv.Writer // nil: lines of JSON
}

// auditHeader is the first line of an export in JSON, and those after it that
// have the heads of more chains.
type auditHeader struct {
	Heads []AuditHead `json:"audit_heads"`
}

// headsOfLine bounds the heads in one line of JSON, so that an export of any
// number of chains has lines that can be read one by one.
const headsOfLine = 100

// NewAuditWriter begins an export. An unknown format is errs.Invalid.
func NewAuditWriter(w io.Writer, f AuditFormat, heads []AuditHead) (*AuditWriter, error) {
	a := &AuditWriter{w: w}
	switch f {
	case AuditJSONL:
	case AuditCSV:
		a.csv = csv.NewWriter(w)
		if err := a.csv.Write(auditColumns[:]); err != nil {
			return nil, err
		}
	default:
		return nil, errs.E(errs.Invalid, "Invalid format. Supported formats: jsonl, csv")
	}
	for { // one line at least: by the first the format is known
		n := min(len(heads), headsOfLine)
		if err := a.heads(heads[:n]); err != nil {
			return nil, err
		}
		if heads = heads[n:]; len(heads) == 0 {
			return a, a.Flush()
		}
	}
}

// heads writes some heads, headsOfLine at most. They belong before all entries.
func (a *AuditWriter) heads(heads []AuditHead) error {
	if a.csv == nil {
		line, err := plainJSON(auditHeader{append([]AuditHead{}, heads...)}) // a list, also when it is empty
		if err != nil {
			return err
		}
		_, err = a.w.Write(append(line, '\n'))
		return err
	}
	for _, h := range heads {
		if err := a.csv.Write(h.row()); err != nil {
			return err
		}
	}
	return nil
}

// Write writes entries. They may be buffered until Flush.
func (a *AuditWriter) Write(entries []AuditEntry) error {
	for _, e := range entries {
		if a.csv != nil {
			if err := a.csv.Write(e.row()); err != nil {
				return err
			}
			continue
		}
		line, err := e.line()
		if err != nil {
			return err
		}
		if _, err := a.w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes what is buffered.
func (a *AuditWriter) Flush() error {
	if a.csv == nil {
		return nil
	}
	a.csv.Flush()
	return a.csv.Error()
}

// auditColumns are the columns of an export as CSV. A head has a chain, a
// number and a hash only.
var auditColumns = [...]string{"chain", "number", "id", "timestamp", "user", "user_name", "user_email", "action", "verb",
	"target_type", "target_id", "details", "ip_address", "hash"}

// serviceCell begins the cell of the user where a service token did it.
const serviceCell = "service_token:"

func (h AuditHead) row() []string {
	row := make([]string, len(auditColumns))
	row[0], row[1], row[len(row)-1] = h.Chain, strconv.FormatUint(h.Number, 10), h.Hash
	return row
}

func (e AuditEntry) row() []string {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	user := number(e.User)
	if e.ServiceToken != 0 {
		user = serviceCell + number(e.ServiceToken)
	}
	return []string{e.Chain, number(e.Number), number(e.ID), e.Timestamp, user, cell(e.UserName), cell(e.UserEmail),
		e.Action, e.Verb, e.TargetType, number(e.TargetID), cell(string(e.Details)), cell(e.IPAddress), e.Hash}
}

// entryOf is the reverse of row. What is no number reads as 0, and blanks in the
// details are left out, so that neither gives the same row again.
func entryOf(row []string) AuditEntry {
	number := func(s string) uint64 {
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	token, isToken := strings.CutPrefix(row[4], serviceCell)
	e := AuditEntry{
		Chain: row[0], Number: number(row[1]), ID: number(row[2]), Timestamp: row[3], User: number(row[4]),
		UserName: uncell(row[5]), UserEmail: uncell(row[6]), Action: row[7], Verb: row[8], TargetType: row[9],
		TargetID: number(row[10]), Details: compact(uncell(row[11])), IPAddress: uncell(row[12]), Hash: row[13],
	}
	if isToken {
		e.ServiceToken = number(token)
	}
	return e
}

// compact returns JSON as it is hashed, without the blanks that it need not
// have, and other texts as they are.
func compact(text string) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return json.RawMessage(text)
	}
	return b.Bytes()
}

// cell keeps spreadsheets from taking a text for a formula: they show one that
// begins with an apostrophe without it.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r'", rune(s[0])) {
		return "'" + s
	}
	return s
}

func uncell(s string) string { return strings.TrimPrefix(s, "'") }
