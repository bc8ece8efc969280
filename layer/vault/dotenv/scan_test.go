package dotenv

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func good(number int, key, value string) Line { return Line{Number: number, Key: key, Value: value} }

func bad(number int, key string, p Problem) Line { return Line{Number: number, Key: key, Problem: p} }

const pem = "-----BEGIN KEY-----\nMIIB/+==\nabc=\n-----END KEY-----\n"

func TestScan(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Line
	}{
		{"nothing", "", nil},
		{"blank lines and comments", "\n  \n# A=1\n\t# B\n", nil},
		{"a byte order mark", "\ufeffA=1", []Line{good(1, "A", "1")}},
		{"no line feed at the end", "A=1\nB=2", []Line{good(1, "A", "1"), good(2, "B", "2")}},
		{"CRLF", "A=1\r\nB=\"2\"\r\n\r\nC='3' # c\r\n", []Line{good(1, "A", "1"), good(2, "B", "2"), good(4, "C", "3")}},
		{"CRLF inside quotes stays", "A=\"1\r\n2\"\r\nB=3", []Line{good(1, "A", "1\r\n2"), good(3, "B", "3")}},
		{"a lone CR is no line end", "A=1\rB=2\nC=3", []Line{good(1, "A", "1\rB=2"), good(2, "C", "3")}},
		{"blanks around everything", "  A \t=  1 2  \n", []Line{good(1, "A", "1 2")}},
		{"export", "export A=1\nexport\tB=2\nexport=3\nexportC=4", []Line{good(1, "A", "1"), good(2, "B", "2"), good(3, "export", "3"), good(4, "exportC", "4")}},
		{"empty values", "A=\nB=\"\"\nC=''\nD=  # none\n", []Line{good(1, "A", ""), good(2, "B", ""), good(3, "C", ""), good(4, "D", "")}},
		{"the first = splits", "A=b=c==", []Line{good(1, "A", "b=c==")}},
		{"a comment needs a blank before it", "A=http://h/#f\nB=x #y\nC=x\t# y # z\nD=#e", []Line{
			good(1, "A", "http://h/#f"), good(2, "B", "x"), good(3, "C", "x"), good(4, "D", "#e"),
		}},
		{"nothing is interpolated", "A=pa$$w0rd$X\nB=\"${A}\"\nC=`$A`", []Line{good(1, "A", "pa$$w0rd$X"), good(2, "B", "${A}"), good(3, "C", "$A")}},
		{"JSON without quotes", `A={"a": "b", "c": [1]}`, []Line{good(1, "A", `{"a": "b", "c": [1]}`)}},
		{"quotes in the middle", `A=x"y"'z'`, []Line{good(1, "A", `x"y"'z'`)}},
		{"escapes in double quotes", `A="\n\r\t\"\'\\\$` + "\\`" + `\x\ "`, []Line{good(1, "A", "\n\r\t\"'\\$`"+`\x\ `)}},
		{"a backslash before the closing quote", `A="x\\"`, []Line{good(1, "A", `x\`)}},
		{"none in the others", `A='\n"'` + "\nB=`\\n'\"`", []Line{good(1, "A", `\n"`), good(2, "B", `\n'"`)}},
		{"a shell's single quote", `A='it'\''s'` + "\n" + `B=''\'''` + "\n" + `C='\'`, []Line{good(1, "A", "it's"), good(2, "B", "'"), good(3, "C", `\`)}},
		{"blanks inside quotes stay", "A=\" 1 \"\nB='\t'", []Line{good(1, "A", " 1 "), good(2, "B", "\t")}},
		{"# inside quotes stays", `A="x #y" # z`, []Line{good(1, "A", "x #y")}},
		{"a PEM key", "A=\"" + pem + "\"\nB='" + pem + "'\nC=`" + pem + "`\nD=1", []Line{good(1, "A", pem), good(6, "B", pem), good(11, "C", pem), good(16, "D", "1")}},
		{"duplicates all come", "A=1\nA=2", []Line{good(1, "A", "1"), good(2, "A", "2")}},
		{"lower case and underscores", "a_1=x\n_=y", []Line{good(1, "a_1", "x"), good(2, "_", "y")}},
		{"no =", "A\nexport B\nC=1", []Line{bad(1, "", NoEquals), bad(2, "", NoEquals), good(3, "C", "1")}},
		{"bad keys", "1A=1\nA-B=1\nA B=1\n=1\nÄ=1\n\"A\"=1\nA=1", []Line{
			bad(1, "", BadKey), bad(2, "", BadKey), bad(3, "", BadKey), bad(4, "", BadKey), bad(5, "", BadKey), bad(6, "", BadKey), good(7, "A", "1"),
		}},
		{"a key that is too long", strings.Repeat("A", MaxKey+1) + "=1", []Line{bad(1, "", BadKey)}},
		{"an unclosed quote costs its line", "A=\"x\nB=1\nC=2", []Line{bad(1, "A", Unclosed), good(2, "B", "1"), good(3, "C", "2")}},
		{"an unclosed quote before a quoted value", "A='x\nB='1'\nC='2'", []Line{bad(1, "A", TextAfter), good(2, "B", "1"), good(3, "C", "2")}},
		{"an escaped quote does not close", `A="x\"`, []Line{bad(1, "A", Unclosed)}},
		{"text after a quote", "A=\"x\" y\nB='x'y\nC=1", []Line{bad(1, "A", TextAfter), bad(2, "B", TextAfter), good(3, "C", "1")}},
		{"NUL", "A=\x00\nB=\"\n\x00\"\nC\x00=1\nD=1", []Line{bad(1, "A", HoldsNUL), bad(2, "B", HoldsNUL), bad(4, "", BadKey), good(5, "D", "1")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, slices.Collect(Scan(tt.text))); diff != "" {
				t.Errorf("Scan(%q) (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestScanStopsWhenItsCallerDoes(t *testing.T) {
	n := 0
	for range Scan("A=1\nB=2\nC=3") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("got %d lines, want 2", n)
	}
}

// Lines that open quotes of every kind and close none as meant: the time must
// not grow with the square of the size, or this test does not end.
func TestScanIsLinear(t *testing.T) {
	for _, line := range []string{`A="\"`, "A='\"`", "A=`'\"", `A='\''`, `A=''\''`, `A="\`, `A='x'y`} {
		text := strings.Repeat(line+"\n", 2<<20/(len(line)+1))
		n := 0
		for range Scan(text) {
			n++
		}
		if n == 0 {
			t.Errorf("%q: no lines", line)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{"", "A=1", "A=\"1\n2\" # c\nB='it'\\''s'\nC=`x`", "\ufeffexport A=\\", "A='\nB=\"\nC=`\n", "A=\x00", "A\n=\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last, lines := 0, strings.Count(text, "\n")+1
		for l := range Scan(text) {
			if l.Number <= last || l.Number > lines {
				t.Fatalf("line %d after %d of %d", l.Number, last, lines)
			}
			last = l.Number
			if l.Problem != "" {
				if l.Value != "" {
					t.Fatalf("a rejected line has the value %q", l.Value)
				}
				continue
			}
			if !ValidKey(l.Key) {
				t.Fatalf("accepted the key %q", l.Key)
			}
			if utf8.ValidString(text) && !utf8.ValidString(l.Value) {
				t.Fatalf("the value %q is cut inside a character", l.Value)
			}
			for _, s := range []Style{Default, Shell} {
				identity(t, s, l.Key, l.Value)
			}
		}
	})
}
