package vault

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault/dotenv"
)

func read(t testing.TB, f Format, text string) [][2]string {
	t.Helper()
	c, err := ReadImport(f, text)
	if err != nil {
		t.Fatalf("ReadImport(%s, %q): %v", f, text, err)
	}
	var got [][2]string
	for _, p := range c.read.pairs {
		got = append(got, [2]string{p.key, p.value})
	}
	return got
}

func TestReadImport(t *testing.T) {
	tests := []struct {
		name string
		f    Format
		text string
		want [][2]string
	}{
		{"env is the default", "", "A=1\nb=2", [][2]string{{"A", "1"}, {"b", "2"}}},
		{"the last duplicate wins", FormatEnv, "A=1\nB=2\nA=3", [][2]string{{"A", "3"}, {"B", "2"}}},
		{"a file of comments", FormatEnv, "# nothing\n", nil},
		{"JSON", FormatJSON, "\ufeff" + `{"B":"x \"<&>\"","A":true,"C":5,"D":1.50,"E":null,"F":{"z": [1, "a b"]},"G":"","A":false}`, [][2]string{
			{"B", `x "<&>"`}, {"A", "false"}, {"C", "5"}, {"D", "1.50"}, {"E", ""}, {"F", `{"z":[1,"a b"]}`}, {"G", ""},
		}},
		{"YAML", FormatYAML, "---\nA: text\nB: true\nC: 5\nD: ~\nE:\nF: {z: [1, 'a b', null], y: yes}\nG: '007'\nH: 007\nI: 0x1F\nJ: 2024-01-02\nK: |\n  a\n  b\nL: 1.50\nA: again\nM: True\nN: 1_000\n", [][2]string{
			{"A", "again"}, {"B", "true"}, {"C", "5"}, {"D", ""}, {"E", ""}, {"F", `{"z":[1,"a b",null],"y":"yes"}`},
			{"G", "007"}, {"H", "007"}, {"I", "0x1F"}, {"J", "2024-01-02"}, {"K", "a\nb\n"}, {"L", "1.50"}, {"M", "true"}, {"N", "1_000"},
		}},
		{"JSON with surrogates", FormatJSON, `{"A":"\ud83d\ude00","B":"\uFFFD","C":"�"}`, [][2]string{{"A", "😀"}, {"B", "\ufffd"}, {"C", "\ufffd"}}},
		{"auto: JSON", FormatAuto, "\n {\"A\":1}", [][2]string{{"A", "1"}}},
		{"auto: YAML", FormatAuto, "\n---\nA: 1\n", [][2]string{{"A", "1"}}},
		{"auto: a PEM key is no YAML", FormatAuto, "A=\"-----BEGIN\n---\n\"", [][2]string{{"A", "-----BEGIN\n---\n"}}},
		{"auto: a byte order mark", FormatAuto, "\ufeff{}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, read(t, tt.f, tt.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadImportRefuses(t *testing.T) {
	const dictionary = "Environment data must be a dictionary/object"
	many := strings.Builder{}
	for i := range MaxImported + 1 {
		many.WriteString("K" + strings.Repeat("x", i/26) + string(rune('a'+i%26)) + "=1\n")
	}
	bomb := "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"
	tests := []struct {
		name string
		f    Format
		text string
		want string // of DataErrors, or the text
	}{
		{"an unknown format", "toml", "", textFormat},
		{"not UTF-8", FormatEnv, "A=\xff", "Failed to parse file content: it is not UTF-8"},
		{"a UTF-16 file", FormatEnv, "\xff\xfeA\x00", "Failed to parse file content: it is not UTF-8"},
		{"over 10 MB", FormatEnv, strings.Repeat("#", MaxImport+1), "File too large. Maximum size is 10MB."},
		{"a list of JSON", FormatJSON, "[]", dictionary},
		{"a scalar of JSON", FormatJSON, `"secret"`, dictionary},
		{"broken JSON", FormatJSON, "{\n\"A\": secret}", "Failed to parse file content: it is not valid JSON: line 2"},
		{"text after JSON", FormatJSON, "{} secret", "Failed to parse file content: it is not valid JSON: line 1"},
		{"no JSON", FormatJSON, "", "Failed to parse file content: it is not valid JSON: line 1"},
		{"a list of YAML", FormatYAML, "- secret", dictionary},
		{"no YAML", FormatYAML, "", dictionary},
		{"broken YAML", FormatYAML, "A: 1\nB: \"secret\n", "Failed to parse file content: it is not valid YAML: line"},
		{"an unknown anchor", FormatYAML, "A: *secret", "Failed to parse file content: it is not valid YAML"},
		{"an alias bomb", FormatYAML, bomb, "Failed to parse file content: line 2 has a YAML alias, which is not supported"},
		{"two documents", FormatYAML, "A: 1\n---\nB: 2\n", "Failed to parse file content: it holds more than one YAML document"},
		{"deep YAML", FormatYAML, "A: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "Failed to parse file content: line 1 is nested too deep"},
		{"YAML of too many parts", FormatYAML, "A: [" + strings.Repeat("1,", maxYAMLNodes) + "]", "Failed to parse file content: it is YAML of too many parts"},
		{"a number as a key", FormatYAML, "5: x", "Key must be a string: 5"},
		{"a list as a key", FormatYAML, "? [a]\n: x", "Key must be a string: line 1"},
		{"an empty key", FormatJSON, `{" ":"x"}`, "Key cannot be empty or whitespace only"},
		{"a bad key", FormatJSON, `{"a-b":"x"}`, "Invalid key format 'a-b': must start with letter/underscore, contain only letters/numbers/underscores"},
		{"a long key", FormatJSON, `{"` + strings.Repeat("A", 256) + `":"x"}`, "Key 'AAAAAAAAAAAAAAAAAAAA…' is too long (max 255 characters)"},
		{"a long value", FormatEnv, "A=" + strings.Repeat("s", MaxValue+1), "Value for 'A' is too long (max 65536 bytes)"},
		{"NUL", FormatJSON, `{"A":"secret\u0000"}`, "Value for 'A' contains a null character"},
		{"half a surrogate pair", FormatJSON, `{"A":"secret\ud800"}`, "Value for 'A' contains half of a surrogate pair"},
		{"keys that differ by case", FormatEnv, "A=1\na=2", "Duplicate keys found (case-insensitive)"},
		{"too many", FormatEnv, many.String(), "Too many variables (max 1000 per environment)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadImport(tt.f, tt.text)
			if !errs.Is(err, errs.Invalid) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("got %v, want errs.Invalid %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q holds a value", err)
			}
			var d DataErrors
			if got, want := errors.As(err, &d), !strings.HasPrefix(tt.want, "Fail") && !strings.HasPrefix(tt.want, "File") && tt.want != textFormat; got != want {
				t.Errorf("DataErrors: %v, want %v", got, want)
			}
		})
	}
}

func TestReadImportReportsLines(t *testing.T) {
	c, err := ReadImport(FormatEnv, "A=1\nsecret\nB=\"secret\nC=2")
	if err != nil {
		t.Fatal(err)
	}
	want := []FailedLine{{2, "", string(dotenv.NoEquals)}, {3, "B", string(dotenv.Unclosed)}}
	if diff := cmp.Diff(want, c.read.failed); diff != "" || len(c.read.pairs) != 2 {
		t.Errorf("%d pairs; failed (-want +got):\n%s", len(c.read.pairs), diff)
	}
	if c, err = ReadImport(FormatEnv, strings.Repeat("x\n", maxFailed+5)); err != nil || len(c.read.failed) != maxFailed || c.read.more != 5 {
		t.Errorf("reported %d and %d, %v", len(c.read.failed), c.read.more, err)
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]Format{
		"a.json": FormatJSON, "A.JSON": FormatJSON, "a.yaml": FormatYAML, "a.yml": FormatYAML, ".env": FormatEnv, "json": FormatEnv, "": FormatEnv,
	} {
		if got := FormatOf(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func TestAppendExport(t *testing.T) {
	pairs := []pair{{"B", "two words"}, {"A", "x"}, {"NO", "<&>\u2028\n\x7f😀"}, {"Z", "yes"}}
	tests := []struct {
		f    Format
		want string
	}{
		{FormatJSON, "{\n  \"B\": \"two words\",\n  \"A\": \"x\",\n  \"NO\": \"<&>\\u2028\\n\x7f😀\",\n  \"Z\": \"yes\"\n}\n"},
		{FormatYAML, "A: x\nB: \"two words\"\n\"NO\": \"<&>\\u2028\\n\\u007f😀\"\nZ: \"yes\"\n"},
		{FormatEnv, "A=x\nB=\"two words\"\nNO=\"<&>\u2028\\n\x7f😀\"\nZ=yes\n"},
	}
	for _, tt := range tests {
		got, err := appendExport(nil, tt.f, dotenv.Default, pairs)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.f, got, err, tt.want)
		}
	}
	for _, f := range []Format{FormatJSON, FormatYAML} {
		if got, err := appendExport(nil, f, "", nil); err != nil || string(got) != "{}\n" {
			t.Errorf("%s of nothing: %q, %v", f, got, err)
		}
	}
}

func TestWhatIsExportedIsImported(t *testing.T) {
	key := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,6}|y|No|TRUE|null|on|inf`)
	nasty := rapid.StringOfN(rapid.SampledFrom([]rune("'\"`\\$#=:-?{}[]&*!|>%@, \t\r\n\vtrueno019.~\u0085\u00a0\u2028\ufeff\ufffe\x7f\x01é😀\U0001ffff")), 0, 14, -1)
	value := rapid.OneOf(nasty, rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 })),
		rapid.SampledFrom([]string{"", "true", "5", "007", "1e5", "null", "~", "---", "2024-01-02", "<<", "{}", " x "}))
	rapid.Check(t, func(t *rapid.T) {
		var pairs []pair
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			k := key.Draw(t, "key")
			if !slices.ContainsFunc(pairs, func(p pair) bool { return strings.EqualFold(p.key, k) }) {
				pairs = append(pairs, pair{k, value.Draw(t, "value")})
			}
		}
		want := map[string]string{}
		for _, p := range pairs {
			want[p.key] = p.value
		}
		for _, f := range []Format{FormatEnv, FormatJSON, FormatYAML} {
			for _, style := range []dotenv.Style{dotenv.Default, dotenv.Shell} {
				text, err := appendExport(nil, f, style, pairs)
				if err != nil {
					t.Fatal(err)
				}
				c, err := ReadImport(f, string(text))
				if err != nil {
					t.Fatalf("%s: reading %q: %v", f, text, err)
				}
				got := map[string]string{}
				for _, p := range c.read.pairs {
					got[p.key] = p.value
				}
				if diff := cmp.Diff(want, got); diff != "" || len(c.read.failed) > 0 {
					t.Fatalf("%s: %q: failed %v, (-want +got):\n%s", f, text, c.read.failed, diff)
				}
			}
		}
	})
}

// Other readers of YAML must see the same texts, not numbers or truth values.
func TestExportedYAMLHoldsTextsOnly(t *testing.T) {
	values := []string{"true", "Yes", "0x1F", "1e3", "null", "~", "", ".inf", "2024-01-02", "12:30:00", "=", "a: b", "a #b", "plain_text"}
	var pairs []pair
	for i, v := range values {
		pairs = append(pairs, pair{"K" + string(rune('A'+i)), v})
	}
	text, _ := appendExport(nil, FormatYAML, "", pairs)
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if got[p.key] != any(p.value) {
			t.Errorf("%q reads as %#v", p.value, got[p.key])
		}
	}
}

func TestHostileYAMLEndsSoon(t *testing.T) {
	for name, text := range map[string]string{
		"sequences": strings.Repeat("- ", maxYAMLNodes/2), "flow": "A: " + strings.Repeat("[", maxYAMLNodes/2),
		"maps": strings.Repeat("? ", maxYAMLNodes/2), "words": strings.Repeat("a ", 1<<19),
		"anchors": strings.Repeat("&a ", 1<<18), "tags": strings.Repeat("!!a ", 1<<18), "quotes": strings.Repeat("'", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadImport(FormatYAML, text); !errs.Is(err, errs.Invalid) {
				t.Errorf("got %v, want errs.Invalid", err)
			}
		})
	}
}

func FuzzReadImport(f *testing.F) {
	for _, s := range []string{`{"A":1}`, "A: 1\nB: [x, {y: z}]\n", "A=1\nB='x'", "---\nA: !!binary aGk=\n", "<<: {A: 1}", "A: &x 1\nB: *x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []Format{FormatEnv, FormatJSON, FormatYAML, FormatAuto} {
			c, err := ReadImport(format, text)
			if err != nil {
				if !errs.Is(err, errs.Invalid) {
					t.Fatalf("%s: %v", format, err)
				}
				continue
			}
			for _, p := range c.read.pairs {
				if !dotenv.ValidKey(p.key) || len(p.value) > MaxValue || strings.Contains(p.value, "\x00") || !utf8.ValidString(p.value) {
					t.Fatalf("%s: accepted %q=%q", format, p.key, p.value)
				}
			}
		}
	})
}
