package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/layer/vault"
)

func (a *app) newAudit() *cobra.Command {
	return newGroup("audit", "Prove an export of the audit log", a.newAuditVerify())
}

// unprovenError is an audit log that is not what was recorded.
type unprovenError struct {
	what   string
	faults int
}

func (e *unprovenError) Error() string {
	switch {
	case e.faults == 1:
		return e.what + " is not what was recorded: 1 fault"
	case e.faults >= vault.MaxAuditFaults:
		return fmt.Sprintf("%s is not what was recorded: %d faults, and then it was read no further", e.what, e.faults)
	}
	return fmt.Sprintf("%s is not what was recorded: %d faults", e.what, e.faults)
}

func (a *app) newAuditVerify() *cobra.Command {
	var noted notedHeads
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Prove that an export of the audit log is whole and unchanged", Args: takes(1, 1),
		Long: `Prove that an export of the audit log is whole and unchanged, and print the chains
with how many entries they have and the hash of the last one. FILE is what
"covey keynest audit export" or /api/audit-logs/export/ gave, in either format; - is
standard input. No cluster is needed.

Entries that were edited, removed, reordered, added or cut off at the end are found
and printed with the line where they are; the exit code is then 9. Whoever writes all
entries and heads anew is found only by heads that were noted before, of this or an
earlier export:

  covey keynest audit heads > noted.txt
  covey audit verify audit.jsonl --heads noted.txt

All chains that were noted must be in the export, as long as then or longer: compare
an export of one organization with heads of that one.`,
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&noted.args, "head", nil, "`CHAIN=NUMBER:HASH` that was noted before; may be given more than once")
	fs.StringVar(&noted.file, "heads", "", "`file` with what \"covey keynest audit heads\" printed before")
	config.CallOnly(fs, "head", "heads")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err
		}
		known, err := noted.read()
		if err != nil {
			return err
		}
		report, err := a.verifyAudit(args[0], known)
		if err != nil {
			return err
		}
		return a.showAudit(sourceName(args[0]), report, len(known))
	}
	return cmd
}

// sourceName is how messages call a file.
func sourceName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return output.Clean(path)
}

func (a *app) verifyAudit(path string, known []vault.AuditHead) (*vault.AuditReport, error) {
	from := a.env.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	report, err := vault.VerifyAudit(from, known...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sourceName(path), err)
	}
	return report, nil
}

// auditProof is what verify found, for programs.
type auditProof struct {
	Proven  bool              `json:"proven"`
	Entries int               `json:"entries"`
	Heads   []vault.AuditHead `json:"heads"`
	Faults  []auditFault      `json:"faults"`
	Noted   int               `json:"noted"` // heads that it was compared with
}

// auditFault is something that is wrong with an export.
type auditFault struct {
	Line   int    `json:"line,omitempty"`
	Chain  string `json:"chain,omitempty"`
	Number uint64 `json:"number,omitempty"`
	What   string `json:"what"`
}

// showAudit prints what was found: the chains, or what is wrong.
func (a *app) showAudit(name string, r *vault.AuditReport, noted int) error {
	proof := auditProof{
		Proven: len(r.Faults) == 0, Entries: r.Entries, Noted: noted,
		Heads: append([]vault.AuditHead{}, r.Heads...), Faults: []auditFault{}, // lists, also when they are empty
	}
	res := output.Result{Columns: []string{"CHAIN", "ENTRIES", "HEAD"}}
	for _, h := range r.Heads {
		res.Rows = append(res.Rows, headRow(h.Chain, h.Number, h.Hash))
	}
	if !proof.Proven {
		res = output.Result{Columns: []string{"LINE", "CHAIN", "ENTRY", "FAULT"}}
	}
	for _, f := range r.Faults {
		proof.Faults = append(proof.Faults, auditFault(f))
		res.Rows = append(res.Rows, output.Row{Cells: []string{positive(uint64(f.Line)), f.Chain, positive(f.Number), f.What}})
	}
	res.Doc = proof
	if err := a.write(res); err != nil {
		return err
	}
	if !proof.Proven {
		return &unprovenError{name, len(r.Faults)}
	}
	a.note("%s", provenText(r, noted))
	return nil
}

func headRow(chain string, number uint64, hash string) output.Row {
	return output.Row{Cells: []string{chain, strconv.FormatUint(number, 10), hash}}
}

// positive is the text of a number, "" for 0, which stands for none.
func positive(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// provenText says what was proved, and what was not.
func provenText(r *vault.AuditReport, noted int) string {
	text := fmt.Sprintf("proven: %s in %s, unbroken up to the ends that the export names",
		counted(r.Entries, "entry", "entries"), counted(len(r.Heads), "chain", "chains"))
	if noted > 0 {
		return text + ", and in agreement with " + counted(noted, "head", "heads") + " noted before"
	}
	return text + "; to know that it was not all written anew, compare it with heads noted before: --head, --heads"
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// notedHeads are the flags with heads that were noted before.
type notedHeads struct {
	args []string
	file string
}

func (n *notedHeads) read() ([]vault.AuditHead, error) {
	var known []vault.AuditHead
	for _, arg := range n.args {
		chain, rest, _ := strings.Cut(arg, "=")
		number, hash, _ := strings.Cut(rest, ":")
		h, err := vault.ParseAuditHead(chain, number, hash)
		if err != nil {
			return nil, usagef("--head: %w; it reads CHAIN=NUMBER:HASH", err)
		}
		known = append(known, h)
	}
	if n.file == "" {
		return known, nil
	}
	f, err := os.Open(n.file)
	if err != nil {
		return nil, fmt.Errorf("--heads: %w", err)
	}
	defer f.Close()
	more, err := readHeads(f)
	if err != nil {
		return nil, fmt.Errorf("--heads: %s: %w", output.Clean(n.file), err)
	}
	return append(known, more...), nil
}

// readHeads reads what "covey keynest audit heads" prints when nobody watches, or
// with -o json or jsonl.
func readHeads(r io.Reader) ([]vault.AuditHead, error) {
	in := bufio.NewReader(r)
	first, err := in.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty")
	case err != nil:
		return nil, err
	case first[0] == '[' || first[0] == '{':
		return readJSONHeads(in, first[0] == '[')
	}
	var heads []vault.AuditHead
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		cells := strings.Fields(lines.Text())
		if len(cells) != 3 {
			return nil, fmt.Errorf("line %d has not three parts, a chain, a number and a hash", n)
		}
		h, err := vault.ParseAuditHead(cells[0], cells[1], cells[2])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		heads = append(heads, h)
	}
	return heads, lines.Err()
}

// readJSONHeads reads objects, as they are or as a list.
func readJSONHeads(r io.Reader, list bool) ([]vault.AuditHead, error) {
	dec := json.NewDecoder(r)
	if list {
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
	}
	var heads []vault.AuditHead
	for dec.More() {
		var h vault.AuditHead
		err := dec.Decode(&h)
		if err == nil {
			h, err = vault.ParseAuditHead(h.Chain, strconv.FormatUint(h.Number, 10), h.Hash)
		}
		if err != nil {
			return nil, fmt.Errorf("head %d: %w", len(heads)+1, err)
		}
		heads = append(heads, h)
	}
	if list {
		if _, err := dec.Token(); err != nil {
			return nil, errors.New("it breaks off")
		}
	}
	return heads, nil
}
