package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/coveydb/covey/internal/errs"
)

// AuditReport is what VerifyAudit found.
type AuditReport struct {
	Entries int          // that the export has
	Heads   []AuditHead  // of the chains as they are in the export, in order of their names
	Faults  []AuditFault // at most MaxAuditFaults; none: the export is whole and unchanged
}

// AuditFault is something that is wrong with an export.
type AuditFault struct {
	Line   int    // of the export, from 1; 0 when it is about what is missing
	Chain  string // "" when it is about the whole export
	Number uint64 // of the entry; 0 when it is about the whole chain
	What   string
}

// String names the place and says what is wrong there.
func (f AuditFault) String() string {
	var b bytes.Buffer
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	if f.Chain != "" {
		fmt.Fprintf(&b, "chain %q: ", f.Chain)
	}
	if f.Number > 0 {
		fmt.Fprintf(&b, "entry %d: ", f.Number)
	}
	return b.String() + f.What
}

// MaxAuditFaults bounds the faults of a report; verifying ends with the last.
const MaxAuditFaults = 100

// maxAuditLine bounds a line of an export.
const maxAuditLine = 1 << 20

// VerifyAudit reads an export of either format and computes its chains again.
// It needs no cluster. It finds entries that were edited, removed, reordered,
// added or cut off at the end. Somebody who writes all entries and heads anew
// is found only by known heads, which were noted before, of this or an earlier
// export: the chains must have grown from them. The error is that of reading,
// or errs.Invalid for what is no export.
func VerifyAudit(r io.Reader, known ...AuditHead) (*AuditReport, error) {
	v := &verifier{chains: map[string]*verified{}, heads: map[string]AuditHead{}, known: map[string][]AuditHead{}}
	for _, k := range known {
		v.known[k.Chain] = append(v.known[k.Chain], k)
	}
	in := bufio.NewReaderSize(r, 1<<16)
	first, err := in.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errs.E(errs.Invalid, "this is no export of an audit log: it is empty")
	case err != nil:
		return nil, err
	case first[0] == '{':
		err = v.readJSON(in)
	default:
		err = v.readCSV(in)
	}
	if err != nil && !errors.Is(err, errManyFaults) {
		return nil, err
	}
	v.finish(err == nil)
	report := &AuditReport{Entries: v.entries, Faults: v.faults[:min(len(v.faults), MaxAuditFaults)]}
	for _, name := range slices.Sorted(maps.Keys(v.chains)) {
		c := v.chains[name]
		report.Heads = append(report.Heads, AuditHead{name, c.number, hex.EncodeToString(c.hash[:])})
	}
	return report, nil
}

var errManyFaults = errors.New("more faults than a report has")

// verifier is the state of one verification.
type verifier struct {
	chains  map[string]*verified
	heads   map[string]AuditHead // that the export names
	known   map[string][]AuditHead
	entries int
	gaps    int // that were left, also those that were filled
	faults  []AuditFault
}

// verified is a chain as far as it has been read.
type verified struct {
	number uint64 // the highest so far
	hash   [sha256.Size]byte
	gaps   []gap // ascending
}

// gap is numbers, both included, that were passed over.
type gap struct{ from, to uint64 }

func (v *verifier) fault(f AuditFault) error {
	v.faults = append(v.faults, f)
	if len(v.faults) >= MaxAuditFaults {
		return errManyFaults
	}
	return nil
}

// readJSON reads the lines of an export in JSON.
func (v *verifier) readJSON(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAuditLine)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		read := v.readEntry
		if n == 1 || v.entries == 0 && bytes.HasPrefix(line, []byte(`{"audit_heads":`)) {
			read = v.readHeads
		}
		if err := read(n, line); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return errs.E(errs.Invalid, "this is no export of an audit log: a line is longer than %d bytes", maxAuditLine)
	}
	return lines.Err()
}

func (v *verifier) readHeads(n int, line []byte) error {
	var h auditHeader
	if err := json.Unmarshal(line, &h); err != nil || h.Heads == nil {
		if n > 1 {
			return v.readEntry(n, line)
		}
		return errs.E(errs.Invalid, "this is no export of an audit log: its first line does not have the heads of chains")
	}
	again, err := plainJSON(h)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, line) {
		if err := v.fault(AuditFault{Line: n, What: "edited"}); err != nil {
			return err
		}
	}
	for _, head := range h.Heads {
		if err := v.head(n, head); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) readEntry(n int, line []byte) error {
	var e AuditEntry
	same := json.Unmarshal(line, &e) == nil
	if same {
		again, err := e.line()
		same = err == nil && bytes.Equal(again, line)
	}
	return v.entry(n, &e, same)
}

// head takes a head that the export names.
func (v *verifier) head(line int, h AuditHead) error {
	if _, ok := parseChain(h.Chain); !ok {
		return v.fault(AuditFault{Line: line, What: "edited: this names the end of no chain"})
	}
	if _, ok := v.heads[h.Chain]; ok {
		return v.fault(AuditFault{line, h.Chain, h.Number, "added: the end of this chain is named before"})
	}
	v.heads[h.Chain] = h
	return nil
}

// readCSV reads the rows of an export as CSV.
func (v *verifier) readCSV(r io.Reader) error {
	rows := csv.NewReader(r)
	for n := 0; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if n == 0 && (err != nil || !slices.Equal(row, auditColumns[:])) {
			return errs.E(errs.Invalid, "this is no export of an audit log: its first line does not have the names of the columns")
		}
		if n == 0 {
			continue
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return v.fault(AuditFault{Line: wrong.Line, What: "edited: this and what follows cannot be read"})
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		e := entryOf(row)
		if head := (AuditHead{e.Chain, e.Number, e.Hash}); slices.Equal(head.row(), row) {
			if err := v.head(line, head); err != nil {
				return err
			}
			continue
		}
		if err := v.entry(line, &e, slices.Equal(e.row(), row)); err != nil {
			return err
		}
	}
}

// entry takes the next entry of the export; same tells whether it is written
// as an export writes it.
func (v *verifier) entry(line int, e *AuditEntry, same bool) error {
	v.entries++
	_, named := parseChain(e.Chain)
	if !named {
		e.Chain = "" // it may be any text, of any length
	}
	if !same || !named || e.Number == 0 {
		if err := v.fault(AuditFault{line, e.Chain, e.Number, "edited: this is not how it was written"}); err != nil {
			return err
		}
		if !named || e.Number == 0 {
			return nil
		}
	}
	c := v.chains[e.Chain]
	if c == nil {
		c = &verified{hash: root(e.Chain)}
		v.chains[e.Chain] = c
		if _, ok := v.heads[e.Chain]; !ok {
			if err := v.fault(AuditFault{line, e.Chain, 0, "the export does not name the end of this chain"}); err != nil {
				return err
			}
		}
	}
	if e.Number <= c.number {
		what := "there is another entry of this number before"
		if c.fill(e.Number) {
			what = fmt.Sprintf("reordered: it stands after entry %d", c.number)
		}
		return v.fault(AuditFault{line, e.Chain, e.Number, what})
	}
	hash, bad := parseHash(e.Hash)
	follows := e.Number == c.number+1
	if !follows {
		c.gaps = append(c.gaps, gap{c.number + 1, e.Number - 1})
		v.gaps++
	}
	want, err := e.link(c.hash)
	c.number, c.hash = e.Number, hash
	if follows && same && (err != nil || bad != nil || want != hash) {
		err := v.fault(AuditFault{line, e.Chain, e.Number, "edited, or the one before it was: it does not follow from that"})
		if err != nil {
			return err
		}
	}
	if v.gaps > MaxAuditFaults { // each is a fault, or that something is reordered
		return errManyFaults
	}
	return v.compare(line, AuditHead{e.Chain, e.Number, e.Hash})
}

// compare compares an entry with what is known of it.
func (v *verifier) compare(line int, at AuditHead) error {
	for _, k := range v.known[at.Chain] {
		if k.Number == at.Number && k.Hash != at.Hash {
			return v.fault(AuditFault{line, at.Chain, at.Number, "another history: its hash is not the one that was noted"})
		}
	}
	return nil
}

// fill takes a number out of the gaps and reports whether it was in one.
func (c *verified) fill(number uint64) bool {
	for i, g := range c.gaps {
		if number < g.from || number > g.to {
			continue
		}
		var left []gap
		if g.from < number {
			left = append(left, gap{g.from, number - 1})
		}
		if number < g.to {
			left = append(left, gap{number + 1, g.to})
		}
		c.gaps = slices.Replace(c.gaps, i, i+1, left...)
		return true
	}
	return false
}

// finish looks for what is missing between what has been read, and if that is
// all, at the ends.
func (v *verifier) finish(all bool) {
	for _, name := range slices.Sorted(maps.Keys(v.chains)) {
		for _, g := range v.chains[name].gaps {
			v.faults = append(v.faults, AuditFault{Chain: name, Number: g.from, What: "removed: " + missing(g)})
		}
	}
	if !all {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.heads)) {
		v.end(v.heads[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.known)) {
		for _, k := range v.known[name] {
			if c := v.chains[name]; k.Number > 0 && (c == nil || c.number < k.Number) {
				v.faults = append(v.faults, AuditFault{Chain: name, Number: k.Number, What: "cut off: it was noted and is not there"})
			}
		}
	}
}

// end compares a chain with the head that the export names.
func (v *verifier) end(head AuditHead) {
	c := v.chains[head.Chain]
	if c == nil {
		c = &verified{hash: root(head.Chain)}
	}
	switch {
	case c.number < head.Number:
		v.faults = append(v.faults, AuditFault{Chain: head.Chain, Number: c.number + 1,
			What: "cut off at the end: " + missing(gap{c.number + 1, head.Number})})
	case c.number > head.Number:
		v.faults = append(v.faults, AuditFault{Chain: head.Chain, Number: head.Number + 1, What: "added: the chain ends before it"})
	case hex.EncodeToString(c.hash[:]) != head.Hash:
		v.faults = append(v.faults, AuditFault{Chain: head.Chain, Number: head.Number, What: "edited: it is not the one that the chain ends with"})
	}
}

func missing(g gap) string {
	if g.from == g.to {
		return "it is not there"
	}
	return fmt.Sprintf("entries %d to %d are not there", g.from, g.to)
}
