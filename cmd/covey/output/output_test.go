package output

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

type doc struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	TTL   int    `json:"ttl_seconds"`
	Tags  []int  `json:"tags"`
}

func list() Result {
	return Result{Columns: []string{"KEY", "VALUE"}, Rows: []Row{
		{Cells: []string{"a", "<one>\ttab"}, Doc: doc{"a", "<one>\ttab", 1, []int{1, 2}}},
		{Cells: []string{"a-longer-key", "\x1b[31mred\nline\xff"}, Doc: doc{"a-longer-key", "007", 2, []int{}}},
	}}
}

func TestFormatsMatchTheirGoldenFiles(t *testing.T) {
	single := Result{Columns: []string{"KEY"}, Rows: list().Rows[:1], Doc: list().Rows[0].Doc, Raw: []byte("\x00raw")}
	for name, r := range map[string]Result{"list": list(), "single": single, "empty": {Columns: []string{"KEY", "VALUE"}}} {
		for _, f := range []Format{Table, JSON, JSONL, YAML, Raw, Plain} {
			t.Run(name+"."+string(f), func(t *testing.T) {
				var b bytes.Buffer
				if err := (Writer{Out: &b, Format: f}).Write(r); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join("testdata", name+"."+string(f))
				if *update {
					if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), b.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestParseChoosesByTerminal(t *testing.T) {
	for _, tt := range []struct {
		text     string
		terminal bool
		want     Format
	}{{"", true, Table}, {"", false, Plain}, {"json", true, JSON}, {"raw", false, Raw}} {
		if got, err := Parse(tt.text, tt.terminal); got != tt.want || err != nil {
			t.Errorf("Parse(%q, %v) = %q, %v", tt.text, tt.terminal, got, err)
		}
	}
	if _, err := Parse("xml", true); err == nil {
		t.Error("xml was accepted")
	}
}

func TestHeadingsAreBoldOnlyWithColor(t *testing.T) {
	var plain, color bytes.Buffer
	_ = Writer{Out: &plain, Format: Table}.Write(list())
	_ = Writer{Out: &color, Format: Table, Color: true}.Write(list())
	if bytes.ContainsRune(plain.Bytes(), 0x1b) || !bytes.Contains(color.Bytes(), []byte("\x1b[1m")) {
		t.Errorf("plain %q\ncolor %q", plain.String(), color.String())
	}
}

func FuzzCleanLeavesNothingThatSteersATerminal(f *testing.F) {
	f.Add("a\x1b[2J\u0085\u202e\xff\ufffd")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Errorf("%q leaves %U", s, r)
			}
		}
	})
}
