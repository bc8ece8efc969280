package dotenv

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// identity fails unless the variable is read back as it was, between others.
func identity(t fataler, s Style, key, value string) {
	t.Helper()
	var p []byte
	for _, k := range []string{"BEFORE_", key, "AFTER_"} {
		v := value
		if k != key {
			v = "x"
		}
		var err error
		if p, err = Append(p, s, k, v); err != nil {
			t.Fatalf("Append(%s, %q): %v", s, v, err)
		}
	}
	var got [][2]string
	for l := range Scan(string(p)) {
		if l.Problem != "" {
			t.Fatalf("%s: reading %q: line %d: %s", s, p, l.Number, l.Problem)
		}
		got = append(got, [2]string{l.Key, l.Value})
	}
	if want := [][2]string{{"BEFORE_", "x"}, {key, value}, {"AFTER_", "x"}}; !slices.Equal(got, want) {
		t.Fatalf("%s: %q was written as %q and read as %q", s, value, p, got)
	}
}

func TestAppend(t *testing.T) {
	tests := []struct{ value, def, shell, docker string }{
		{"", `A=`, `A=''`, `A=`},
		{"sk_live_aZ09./:@%+,=-", `A=sk_live_aZ09./:@%+,=-`, `A='sk_live_aZ09./:@%+,=-'`, `A=sk_live_aZ09./:@%+,=-`},
		{"two words", `A="two words"`, `A='two words'`, `A=two words`},
		{" x\t", "A=\" x\t\"", "A=' x\t'", "A= x\t"},
		{"it's #1", `A="it's #1"`, `A='it'\''s #1'`, `A=it's #1`},
		{"ä", `A="ä"`, `A='ä'`, `A=ä`},
		{"pa$$w0rd", `A='pa$$w0rd'`, `A='pa$$w0rd'`, `A=pa$$w0rd`},
		{`C:\n "x"`, `A='C:\n "x"'`, `A='C:\n "x"'`, `A=C:\n "x"`},
		{"`$'", "A=\"\\`\\$'\"", "A='`$'\\'''", "A=`$'"},
		{"a\n\tb\r\n\\", `A="a\n\tb\r\n\\"`, "A='a\n\tb\r\n\\'", ""},
	}
	for _, tt := range tests {
		for s, want := range map[Style]string{Default: tt.def, Shell: tt.shell, Docker: tt.docker} {
			got, err := Append(nil, s, "A", tt.value)
			if want == "" {
				if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), tt.value) {
					t.Errorf("%s: %q: got %q, %v; want errs.Invalid that does not quote it", s, tt.value, got, err)
				}
				continue
			}
			if err != nil || string(got) != want+"\n" {
				t.Errorf("%s: %q: got %q, %v; want %q", s, tt.value, got, err, want+"\n")
			}
		}
	}
}

func TestParseStyle(t *testing.T) {
	for name, want := range map[string]Style{"": Default, "default": Default, "shell": Shell, "docker": Docker} {
		if got, err := ParseStyle(name); got != want || err != nil {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
	if _, err := ParseStyle("Shell"); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown style: %v, want errs.Invalid", err)
	}
}

// values are any text without NUL, and often one of what files trip over.
func values() *rapid.Generator[string] {
	nasty := rapid.StringOfN(rapid.SampledFrom([]rune("'\"`\\$#= \t\r\n\v\fnrtA\u0085\u00a0\u2028\ufeffé😀")), 0, 12, -1)
	any := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
	return rapid.OneOf(nasty, any)
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,8}`).Draw(t, "key")
		value := values().Draw(t, "value")
		for _, s := range []Style{Default, Shell} {
			identity(t, s, key, value)
		}
	})
}

// The other reader that the shell style is for.
func TestShellStyleIsSafeToSource(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	vars := []string{"", "a b", "it's", `'\''`, "$(exit 3)`exit 4`${HOME}", "a\nb\n", `\`, "!*?~#;&|<>", "é😀"}
	var script, want []byte
	for _, v := range vars {
		if script, err = Append(script, Shell, "A", v); err != nil {
			t.Fatal(err)
		}
		script = append(script, "printf '%s|' \"$A\"\n"...)
		want = append(append(want, v...), '|')
	}
	got, err := exec.Command(sh, "-c", string(script)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("sourced (-want +got):\n%s", diff)
	}
}
