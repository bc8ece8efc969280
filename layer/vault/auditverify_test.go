package vault

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// export writes all that jane may see.
func (w *auditWorld) export(f AuditFormat) string {
	w.t.Helper()
	var b bytes.Buffer
	w.view(func(tx *kv.Tx) error {
		s := w.session(tx)
		heads, err := s.AuditHeads()
		if err != nil {
			return err
		}
		out, err := NewAuditWriter(&b, f, heads)
		if err != nil {
			return err
		}
		for _, h := range heads {
			for after := uint64(0); ; {
				part, err := s.AuditPart(h, after)
				if err != nil {
					return err
				}
				if len(part) == 0 {
					break
				}
				after = part[len(part)-1].Number
				if err := out.Write(part); err != nil {
					return err
				}
			}
		}
		return out.Flush()
	})
	return b.String()
}

// exported is a world with five entries in chain o1 and one each in o2 and u7.
func exported(t testing.TB) *auditWorld {
	w := newAuditWorld(t)
	w.member(1, Admin)
	w.member(2, Editor)
	tricky := jane
	tricky.Name = "=HYPERLINK(\"x\"), \r\n'quoted' \u2028 <&>"
	for i := range uint64(5) {
		w.record(tricky, variableEvent(1, i+1))
	}
	w.record(jane, variableEvent(2, 9), event{0, verbView, targetUser, jane.User, details{"login": true}})
	return w
}

func verify(t testing.TB, export string, known ...AuditHead) (*AuditReport, []string) {
	t.Helper()
	r, err := VerifyAudit(strings.NewReader(export), known...)
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	for _, f := range r.Faults {
		faults = append(faults, f.String())
	}
	return r, faults
}

var auditFormats = []AuditFormat{AuditJSONL, AuditCSV}

func TestAuditExportVerifies(t *testing.T) {
	w := exported(t)
	for _, f := range auditFormats {
		t.Run(string(f), func(t *testing.T) {
			r, faults := verify(t, w.export(f))
			if len(faults) != 0 || r.Entries != 7 {
				t.Errorf("%d entries, faults %q; want 7 and none", r.Entries, faults)
			}
			var want []AuditHead
			w.view(func(tx *kv.Tx) (err error) {
				want, err = w.session(tx).AuditHeads()
				return err
			})
			if diff := cmp.Diff(want, r.Heads); diff != "" {
				t.Errorf("heads (-want +got):\n%s", diff)
			}
			if _, faults := verify(t, newAuditWorld(t).export(f)); len(faults) != 0 {
				t.Errorf("an export without chains: %q", faults)
			}
		})
	}
}

// The token that did something is a part of what is proved.
func TestAuditVerifyFindsAnotherServiceToken(t *testing.T) {
	w := newAuditWorld(t)
	w.member(1, Admin)
	w.record(actor{Service: 7, Name: "service token ci"}, variableEvent(1, 1))
	for f, edit := range map[AuditFormat][2]string{
		AuditJSONL: {`"service_token":7`, `"service_token":8`}, AuditCSV: {",service_token:7,", ",service_token:8,"},
	} {
		good := w.export(f)
		if _, faults := verify(t, good); len(faults) != 0 {
			t.Errorf("%s: faults %q", f, faults)
		}
		edited := strings.Replace(good, edit[0], edit[1], 1)
		if _, faults := verify(t, edited); edited == good || len(faults) == 0 {
			t.Errorf("%s: an edited one has no faults:\n%s", f, edited)
		}
	}
}

func TestAuditVerifyFindsWhatWasDone(t *testing.T) {
	w := exported(t)
	for _, f := range auditFormats {
		whole := strings.SplitAfter(strings.TrimSuffix(w.export(f), "\n"), "\n")
		whole[len(whole)-1] += "\n"
		at := len(whole) - 7 // of the first entry of o1; those of o2 and u7 follow its five
		for _, tt := range []struct {
			name string
			do   func(lines []string) []string
			want []string // parts of the faults
		}{
			{"an edited text", replaceIn(at+2, "192.0.2.1", "192.0.2.2"), []string{"entry 3: edited"}},
			{"an edited name in the details", replaceIn(at+2, "web & app", "web & spp"), []string{"entry 3: edited"}},
			{"a blank in the details", replaceIn(at+2, "{\"", "{ \""), []string{"entry 3: edited"}},
			{"an edited time", replaceIn(at+4, "22:13:20", "22:13:21"), []string{"entry 5: edited"}},
			{"a number written otherwise", replaceIn(at+2, "3", "03"), []string{"edited"}},
			{"a removed entry", cut(at+1, at+2), []string{"entry 2: removed"}},
			{"removed entries", cut(at+1, at+4), []string{"entry 2: removed: entries 2 to 4"}},
			{"a removed first entry", cut(at, at+1), []string{"entry 1: removed"}},
			{"a removed last entry", cut(at+4, at+5), []string{"entry 5: cut off"}},
			{"a removed chain", cut(at+5, at+6), []string{`chain "o2": entry 1: cut off`}},
			{"a file cut off", cut(at+3, at+7), []string{"entry 4: cut off", "entry 1: cut off", "entry 1: cut off"}},
			{"two swapped", func(l []string) []string { l[at+1], l[at+2] = l[at+2], l[at+1]; return l }, []string{"entry 2: reordered"}},
			{"one moved to the end", func(l []string) []string { return append(slices.Delete(l, at+1, at+2), whole[at+1]) }, []string{"entry 2: reordered"}},
			{"one twice", func(l []string) []string { return slices.Insert(l, at+2, l[at+1]) }, []string{"entry 2: there is another"}},
			{"one of another chain", replaceIn(at+5, "o2", "o1"), []string{"entry 1: ", "o2"}},
		} {
			t.Run(string(f)+" "+tt.name, func(t *testing.T) {
				_, got := verify(t, strings.Join(tt.do(slices.Clone(whole)), ""))
				if len(got) < len(tt.want) {
					t.Fatalf("faults %q, want %q", got, tt.want)
				}
				for i, part := range tt.want {
					if !strings.Contains(got[i], part) {
						t.Errorf("fault %d is %q, want one with %q", i, got[i], part)
					}
				}
			})
		}
	}
}

func TestAuditVerifyFindsAnyEditedByte(t *testing.T) {
	w := newAuditWorld(t)
	w.member(1, Admin)
	w.record(jane, variableEvent(1, 1), variableEvent(1, 2))
	for _, f := range auditFormats {
		whole := w.export(f)
		for i := range whole {
			for _, bit := range []byte{1, 0x20} { // another character, and the other case
				edited := []byte(whole)
				edited[i] ^= bit
				r, err := VerifyAudit(bytes.NewReader(edited))
				if err == nil && len(r.Faults) == 0 {
					t.Errorf("%s: %q for %q after %q is not found", f, edited[i], whole[i], whole[max(0, i-30):i])
				}
			}
		}
	}
}

func replaceIn(line int, old, new string) func([]string) []string {
	return func(lines []string) []string {
		lines[line] = strings.Replace(lines[line], old, new, 1)
		return lines
	}
}

func cut(from, to int) func([]string) []string {
	return func(lines []string) []string { return slices.Delete(lines, from, to) }
}

func TestAuditVerifyComparesWithNotedHeads(t *testing.T) {
	w := exported(t)
	_, noted := w.export(AuditJSONL), []AuditHead(nil)
	w.view(func(tx *kv.Tx) (err error) {
		noted, err = w.session(tx).AuditHeads()
		return err
	})
	w.record(jane, variableEvent(1, 77))
	if _, faults := verify(t, w.export(AuditCSV), noted...); len(faults) != 0 {
		t.Errorf("a chain that has grown: %q", faults)
	}
	rewritten := newAuditWorld(t) // all is consistent, and it never happened
	rewritten.member(1, Admin)
	for i := range uint64(5) {
		rewritten.record(actor{User: 8}, variableEvent(1, i+1))
	}
	if _, faults := verify(t, rewritten.export(AuditJSONL)); len(faults) != 0 {
		t.Fatalf("the other history is not consistent: %q", faults)
	}
	_, faults := verify(t, rewritten.export(AuditJSONL), noted...)
	if len(faults) != 3 || !strings.Contains(faults[0], "another history") || !strings.Contains(faults[1], "cut off") {
		t.Errorf("another history: %q", faults)
	}
}

func TestAuditVerifyRefusesWhatIsNoExport(t *testing.T) {
	for _, text := range []string{"", "{}\n", "hello\n", "{\"audit_heads\":null}\n", "\n", "{\"audit_heads\":[]}\n" + strings.Repeat("x", maxAuditLine+1)} {
		if _, err := VerifyAudit(strings.NewReader(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%.30q: %v, want invalid", text, err)
		}
	}
	many := "{\"audit_heads\":[]}\n" + strings.Repeat("{}\n", 10*MaxAuditFaults)
	if r, err := VerifyAudit(strings.NewReader(many)); err != nil || len(r.Faults) != MaxAuditFaults {
		t.Errorf("many faults: %v, %v", r, err)
	}
}

func TestAuditPartIsOfVisibleChainsOnly(t *testing.T) {
	w := exported(t)
	w.record(jane, variableEvent(5, 1))
	w.view(func(tx *kv.Tx) error {
		if _, err := w.session(tx).AuditPart(AuditHead{Chain: "o5", Number: 1}, 0); !errs.Is(err, errs.NotFound) {
			t.Errorf("another organization's chain: %v, want not found", err)
		}
		return nil
	})
	if _, err := NewAuditWriter(&bytes.Buffer{}, "xml", nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown format: %v, want invalid", err)
	}
}

func FuzzVerifyAudit(f *testing.F) {
	w := exported(f)
	for _, format := range auditFormats {
		f.Add(w.export(format))
	}
	f.Fuzz(func(t *testing.T, export string) {
		r, err := VerifyAudit(strings.NewReader(export))
		var kind *errs.Error
		if err != nil && !errors.As(err, &kind) {
			t.Errorf("error without a kind: %v", err)
		}
		if err == nil && len(r.Faults) > MaxAuditFaults {
			t.Errorf("%d faults", len(r.Faults))
		}
	})
}
