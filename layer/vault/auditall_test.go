package vault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// manyChains returns an export of so many chains of one entry each, and how long
// its longest line is.
func manyChains(t *testing.T, w *auditWorld, n int, f AuditFormat) (export string, longest int) {
	t.Helper()
	for first := 1; first <= n; first += 100 {
		w.update(func(tx *kv.Tx) error {
			for org := first; org <= min(n, first+99); org++ {
				if err := record(tx, jane, variableEvent(uint64(org), 1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	w2 := &world{t: t, Store: w.Store, s: &Store{}}
	export, err := w2.exportAll(AuditExport{Format: f})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(export) {
		longest = max(longest, len(line))
	}
	return export, longest
}

// However many chains there are, an export can be read line by line.
func TestAuditHeadsAreInLinesOfBoundedLength(t *testing.T) {
	const n = 2*headsOfLine + 5
	export, longest := manyChains(t, newAuditWorld(t), n, AuditJSONL)
	r, faults := verify(t, export)
	if len(faults) > 0 || len(r.Heads) != n || r.Entries != n || longest > 200*headsOfLine {
		t.Errorf("%d heads, %d entries, longest line %d, faults %q", len(r.Heads), r.Entries, longest, faults)
	}
	lines := strings.SplitAfter(export, "\n")
	if _, faults := verify(t, strings.Join(append(lines[:1:1], lines[2:]...), "")); len(faults) != MaxAuditFaults || !strings.Contains(faults[0], "does not name the end") {
		t.Errorf("without the second line of heads: %d faults, %q", len(faults), faults[:1])
	}
	if _, faults := verify(t, strings.Join(append(lines[:2:2], lines[1:]...), "")); len(faults) != MaxAuditFaults || !strings.Contains(faults[0], "is named before") {
		t.Errorf("with a line of heads twice: %d faults, %q", len(faults), faults[:1])
	}
}

// A file that somebody made to exhaust the verifier must not.
func TestAuditVerifyEndsEarlyOnAFileOfGaps(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"audit_heads":[{"chain":"o1","number":1,"hash":""}]}` + "\n")
	for i := range 10 * MaxAuditFaults {
		line, err := AuditEntry{Chain: "o1", Number: uint64(3*i + 2), Details: []byte("{}")}.line()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", line)
	}
	r, faults := verify(t, b.String())
	if len(faults) != MaxAuditFaults || r.Entries != MaxAuditFaults+1 || !strings.Contains(faults[1], "removed: entries 3 to 4") {
		t.Errorf("%d entries read, %d faults, %q", r.Entries, len(faults), faults[:2])
	}
	long := `{"audit_heads":[]}` + "\n" + `{"chain":"` + strings.Repeat("x", maxAuditLine/2) + `","number":1}` + "\n"
	if _, faults := verify(t, long); len(faults) != 1 || len(faults[0]) > 100 {
		t.Errorf("a chain with a long name: %.200q", faults)
	}
}

func TestNotedHeadsAreParsed(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	if h, err := ParseAuditHead("o12", "7", hash); err != nil || h != (AuditHead{"o12", 7, hash}) {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range [][3]string{
		{"", "7", hash}, {"o", "7", hash}, {"x1", "7", hash}, {"o01", "7", hash}, {"o1 ", "7", hash}, {"o-1", "7", hash},
		{"o1", "0", hash}, {"o1", "", hash}, {"o1", "-1", hash}, {"o1", "7", ""}, {"o1", "7", hash[:62]}, {"o1", "7", strings.ToUpper(hash)},
	} {
		if h, err := ParseAuditHead(bad[0], bad[1], bad[2]); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %+v, %v", bad, h, err)
		}
	}
}
