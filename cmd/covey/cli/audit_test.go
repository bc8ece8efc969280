package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/kv"
)

// audited is a world whose audit log is that of testdata/audit.jsonl.
func audited(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if o := w.asRootWith(annsPassword, "keynest", "user", "create", "ann@example.com", "--username", "ann"); o.code != 0 {
		t.Fatalf("create: %+v", o)
	}
	for _, verb := range []string{"disable", "enable", "disable"} {
		w.asRoot("keynest", "user", verb, "ann@example.com")
	}
	return w
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nall of it:\n%s", name, diff, got)
	}
}

func exportedLines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// forged is an entry that follows the last one of an export as it should.
func forged(t *testing.T, last string) string {
	t.Helper()
	body, hash, ok := strings.Cut(strings.TrimSuffix(last, "}"), `,"hash":"`)
	prev, err := hex.DecodeString(strings.TrimSuffix(hash, `"`))
	if !ok || err != nil {
		t.Fatalf("%q has no hash: %v", last, err)
	}
	body = strings.Replace(body, `"number":4`, `"number":5`, 1)
	return body + `,"hash":"` + fmt.Sprintf("%x", sha256.Sum256(append(prev, body+"}"...))) + `"}`
}

// What verify prints of an export that was tampered with, and of one that was not.
func TestAuditVerifySaysWhatItFinds(t *testing.T) {
	w := &world{t: t}
	whole := exportedLines(t)
	const u1 = 2 // the line of its first entry
	hash := strings.Repeat("0", 64)
	var b strings.Builder
	for _, tt := range []struct {
		name string
		do   func(lines []string) []string
		args []string
	}{
		{"whole", nil, nil},
		{"whole, as JSON", nil, []string{"-o", "json"}},
		{"edited", func(l []string) []string {
			l[u1+1] = strings.Replace(l[u1+1], "127.0.0.1", "127.0.0.2", 1)
			return l
		}, nil},
		{"edited, as JSON", func(l []string) []string {
			l[u1+1] = strings.Replace(l[u1+1], "127.0.0.1", "127.0.0.2", 1)
			return l
		}, []string{"-o", "jsonl"}},
		{"removed", func(l []string) []string { return slices.Delete(l, u1+1, u1+3) }, nil},
		{"reordered", func(l []string) []string { l[u1+1], l[u1+2] = l[u1+2], l[u1+1]; return l }, nil},
		{"truncated", func(l []string) []string { return l[:u1+3] }, nil},
		{"truncated within a line", func(l []string) []string { l[u1+3] = l[u1+3][:100]; return l }, nil},
		{"appended", func(l []string) []string { return append(l, "\n"+forged(t, l[u1+3])) }, nil},
		{"noted, and still there", nil, []string{"--head", "u1=4:" + headOf(whole[u1+3]), "--head", "u1=2:" + headOf(whole[u1+1])}},
		{"noted, and another history", nil, []string{"--head", "u1=2:" + hash}},
		{"noted, and cut off", func(l []string) []string {
			l[0] = strings.Replace(l[0], `"number":4,"hash":"`+headOf(l[u1+3]), `"number":3,"hash":"`+headOf(l[u1+2]), 1)
			return l[:u1+3]
		}, []string{"--head", "u1=4:" + headOf(whole[u1+3])}},
		{"noted, and the chain is gone", func(l []string) []string {
			l[0] = strings.Replace(l[0], `,{"chain":"u1","number":4,"hash":"`+headOf(l[u1+3])+`"}`, "", 1)
			return l[:u1]
		}, []string{"--head", "u1=4:" + headOf(whole[u1+3])}},
		{"no export", func([]string) []string { return []string{"{}\n"} }, nil},
	} {
		lines := slices.Clone(whole)
		if tt.do != nil {
			lines = tt.do(lines)
		}
		o := w.runIn(strings.Join(lines, ""), nil, append([]string{"audit", "verify", "-"}, tt.args...)...)
		fmt.Fprintf(&b, "== %s\n%s-- exit code %d\n%s\n", tt.name, o.out, o.code, o.errOut)
	}
	golden(t, "audit_verify.txt", b.String())
}

// headOf is the hash of an entry.
func headOf(line string) string {
	_, hash, _ := strings.Cut(line, `"hash":"`)
	return hash[:64]
}

func TestAuditVerifyReadsAFileOnATerminal(t *testing.T) {
	var out strings.Builder
	code := Main(t.Context(), []string{"audit", "verify", "testdata/audit.jsonl"}, Env{Stdout: &out, Stderr: &out, StdoutTerminal: true, Environ: []string{"NO_COLOR=1"}})
	if code != 0 || !strings.HasPrefix(out.String(), "CHAIN   ENTRIES   HEAD\no1      1         ") {
		t.Errorf("%d\n%s", code, out.String())
	}
}

func TestTheAuditLogIsExportedAndProved(t *testing.T) {
	w := audited(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if o := w.asRoot("keynest", "audit", "export", path); o.code != 0 || o.out != "" || o.errOut != "covey: 5 entries in 2 chains, unbroken\n" {
		t.Fatalf("export: %+v", o)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "audit.jsonl", string(text))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if o := w.asRoot("keynest", "audit", "export", "-"); o.code != 0 || o.out != string(text) {
		t.Errorf("to standard output: %+v", o)
	}
	csv := w.asRoot("keynest", "audit", "export", "--format", "csv")
	golden(t, "audit.csv", csv.out)
	if o := w.runIn(strings.Replace(csv.out, "user_updated", "user_viewed", 1), nil, "audit", "verify", "-"); o.code != exitUnproven || !strings.Contains(o.out, "6\tu1\t2\tedited") {
		t.Errorf("an edited table: %+v", o)
	}
	one := w.asRoot("keynest", "audit", "export", "--organization", "1").out
	own := w.asRoot("keynest", "audit", "export", "--account", "Ann@example.com").out
	if strings.Count(one, "\n") != 2 || strings.Contains(one, "u1") || strings.Count(own, "\n") != 5 || strings.Contains(own, "o1") {
		t.Errorf("one organization:\n%s\none account:\n%s", one, own)
	}
	w.walk([]step{
		{exitNotFound, "not found", []string{"keynest", "audit", "export", "--organization", "9", path}},
		{exitNotFound, "not found", []string{"keynest", "audit", "heads", "--account", "eve@example.com"}},
		{exitUsage, "exclude each other", []string{"keynest", "audit", "export", "--organization", "1", "--account", "ann@example.com"}},
		{exitUsage, "leave the flag out for all", []string{"keynest", "audit", "heads", "--account", ""}},
		{exitUsage, "neither jsonl nor csv", []string{"keynest", "audit", "export", "--format", "xml"}},
	})
	if again, err := os.ReadFile(path); err != nil || string(again) != string(text) {
		t.Errorf("after an export that was refused the file is %q, %v", again, err)
	}
}

func TestHeadsAreNotedAndCompared(t *testing.T) {
	w := audited(t)
	golden(t, "audit_heads.txt", w.asRoot("keynest", "audit", "heads").out)
	var noted []string
	for _, format := range []string{"plain", "json", "jsonl"} {
		noted = append(noted, file(t, w.asRoot("keynest", "audit", "heads", "-o", format).out))
	}
	w.asRoot("keynest", "user", "enable", "ann@example.com")
	export := w.asRoot("keynest", "audit", "export").out
	for _, heads := range noted {
		if o := w.runIn(export, nil, "audit", "verify", "-", "--heads", heads); o.code != 0 || !strings.Contains(o.errOut, "6 entries in 2 chains") || !strings.Contains(o.errOut, "in agreement with 2 heads noted before") {
			t.Errorf("the log has grown: %+v", o)
		}
	}
	other := anotherWorld(t) // ann had another name in it
	if o := other.asRootWith(annsPassword, "keynest", "user", "create", "ann@example.com", "--username", "bob"); o.code != 0 {
		t.Fatalf("create: %+v", o)
	}
	rewritten := other.asRoot("keynest", "audit", "export").out
	if o := w.runIn(rewritten, nil, "audit", "verify", "-"); o.code != 0 {
		t.Errorf("another history without heads to compare: %+v", o)
	}
	if o := w.runIn(rewritten, nil, "audit", "verify", "-", "--heads", noted[0]); o.code != exitUnproven || !strings.Contains(o.out, "2\to1\t1\tanother history") {
		t.Errorf("another history: %+v", o)
	}
	for text, says := range map[string]string{
		"": "it is empty", "o1 1\n": "line 1 has not three parts", "o1 1 abc\n": "line 1: audit: a hash must have", "x 1 abc\n": "is no chain",
		"[{}]": "head 1: ", `{"chain":"o1"}`: "head 1: ", "[": "it breaks off", "{": "head 1: ",
	} {
		if o := w.runIn(export, nil, "audit", "verify", "-", "--heads", file(t, text)); o.code != exitFailed || !strings.Contains(o.errOut, says) {
			t.Errorf("heads %q: %+v, want %q", text, o, says)
		}
	}
	for _, head := range []string{"u1", "u1=4", "u1:4=ab", "u1=0:" + strings.Repeat("0", 64)} {
		if o := w.runIn(export, nil, "audit", "verify", "-", "--head", head); o.code != exitUsage || !strings.Contains(o.errOut, "CHAIN=NUMBER:HASH") {
			t.Errorf("--head %s: %+v", head, o)
		}
	}
}

// What arrives in part must not become a file, and a log that was damaged in the
// store must not go out unnoticed.
func TestAnExportThatIsNotWholeIsFound(t *testing.T) {
	w := audited(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		for _, line := range exportedLines(t)[:4] {
			fmt.Fprint(rw, line)
		}
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	if o := w.asRoot("keynest", "audit", "export", path, "--endpoint", s.URL); o.code != exitUnavailable || !strings.Contains(o.errOut, "broke off") {
		t.Errorf("a connection that breaks: %+v", o)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if _, err := w.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
		for rec, err := range tx.ScanBack([]byte("va"), []byte("vb")) { // the last entry
			if err != nil {
				return err
			}
			tx.Set(rec.Key, []byte(strings.Replace(string(rec.Value), "127.0.0.1", "127.0.0.2", 1)), 0)
			break
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const says = "covey: line 6: chain \"u1\": entry 4: edited, or the one before it was: it does not follow from that\ncovey: the audit log is not what was recorded: 1 fault\n"
	if o := w.asRoot("keynest", "audit", "export", path); o.code != exitUnproven || o.errOut != says {
		t.Errorf("a damaged log: %+v", o)
	}
	if o := w.run("audit", "verify", path); o.code != exitUnproven || !strings.Contains(o.out, "6\tu1\t4\tedited") {
		t.Errorf("its export: %+v", o)
	}
}
